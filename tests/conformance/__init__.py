"""Conformance: real clients against the loopback provider, one table over all libraries.

In progress: ``make conformance`` runs it, the suite does not yet (see tests/conftest.py).

A cell of the table is one call: library x endpoint x client x door x mode x colour (sync or async)
x scenario x ending. It is made twice through the same door, bare and instrumented. The instrumented
host must see what the bare one sees: values, types, exceptions, request bytes and headers. The one
span must tell what the provider truly said (`tests.provider.truth`), and the metrics must equal it.

* `table.py`: what rows there are, and how they are multiplied into cells
* `visits.py`: how a door is gone through and a stream is left, once for both colours
* `facts.py`: what a span tells, what it should tell
* `openai_rows.py`: the rows of one library; `libraries.py` lists them
* `report.py`: the matrix, printed by `make conformance` and kept in `docs/conformance.md`

**A new library** brings its wire format to `tests/provider`, and a file of rows here: its clients,
endpoints, doors and blocks. A library of the catalogue without rows fails the suite.

**A gap** is a row too, with its reason: it says in which cells which fact is not as it should be.
Where such a fact is right after all, the cell fails: the gap has healed, and its row must go.
"""
