"""Conformance: real clients against the loopback provider, one table over all libraries.

A cell of the table is one call: library x endpoint x client x door x mode x colour (sync or async)
x scenario x ending. It is made twice through the same door, bare and instrumented. The instrumented
host must see what the bare one sees: values, types, exceptions, request bytes and headers. The one
span must tell what the provider truly said (`tests.provider.truth`), and the metrics must equal it.

* `table.py`: what rows there are, and how they are multiplied into cells
* `visits.py`: how a door is gone through and a stream is left, once for both colours
* `facts.py`: what a span tells, what it should tell
* `share.py`: which cells the suite runs; `make conformance` runs all
* `libraries.py`: the list of libraries; `openai_rows.py`: the rows of one
* `stainless_doors.py`: doors that many clients share; `kin_rows.py`: clients that share all else
* `plain.py`: the door of all other clients, and what their rows share
* `report.py`: the table as a page, `docs/conformance.md`
* `test_finals.py`: what clients put together of a stream; `tests/test_mutations.py`: odd answers

**A new library** takes three things:

1. a wire format in `tests/provider`: a module with its `Endpoint` rows (`tests/provider/wire.py`
   tells what they are), named in `tests/provider/catalogue.py`. The model that a request names
   selects the scenario, so whole replies, streams, failures and truth come from the one table of
   scenarios; the module spells them. What an embedded library answers needs no wire format.
2. a file of rows here, which ends in `LIBRARY = Library(...)`:

   * `clients(provider, colour)`: the clients by name (`plain` at least), without retries, or a
     coroutine that makes them
   * `Endpoint`s, named as in the wire format: resource and verb lead to the method, `model` is the
     argument that names the model, `modes` are whole, streamed ..., `facts` what its spans tell
     beside or instead of the truth. Where no wire format has that name, the truth is empty, and all
     facts are the row's; `wire` where a second endpoint is spelled like the first
   * `Door`s: coroutines that make the call of a `Visit`; they await `now(...)` and enter with
     `entered(...)`, so that each is written once for both colours. Clients made by Stainless take
     `stainless_doors.DOORS`
   * `Block`s: which endpoints, doors, scenarios, modes and endings are multiplied. Take all
     scenarios through the main door, some through the others, the early endings for streams
   * `finals`: the facts of the client's own accumulated message, for doors that set `visit.final`
   * `by_chance` and `shown`, where headers or values differ from one call to the next
   * `touches`, so that odd answers are tried; `share`, where little of the reading is its own

3. a line in `libraries.py`, which names a module with several libraries for each. A library of the
   catalogue without one fails the suite, unless it is in `WITHOUT_ROWS` with a reason.

`pytest tests/conformance -k "NAME and chat"` runs a part, with `GENAI_OTEL_WHOLE=1` all of it.

**A gap** is a row too, with its reason: it says in which cells which fact is not as it should be.
Where such a fact is right after all, the cell fails: the gap has healed, and its row must go.
"""
