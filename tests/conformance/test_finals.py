"""What is recorded of a stream is what the client itself puts together of it, on every fixture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.facts import found
from tests.conformance.libraries import LIBRARIES
from tests.conformance.share import WHOLE
from tests.conformance.table import COLOURS, Cell, listed
from tests.provider import SCENARIOS
from tests.provider.fixtures import NEVER_DONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.conftest import Bench

FAILS = {
    ("openai", "chat"): "tools-shuffled, filtered, length, null-choices, null-delta",
    ("openai", "responses"): "filtered, length, null-choices, null-delta",
    ("anthropic", "messages"): "nousage, null-usage, null-delta",
}
"""Streams that reach their end, of which a major of the client makes an error, and no message."""
WRONG = {
    ("openai", "responses", "null-message"): "the last event takes back what was said before it",
    ("anthropic", "messages", "tools-shuffled"): "the client gives a call the arguments of another",
}
"""Those of which it makes a message that is not what was said."""


def _streams() -> Iterator[Any]:
    """Every fixture that reaches its end: of the others nobody makes a message."""
    for name, endpoint in FAILS:
        for scenario, row in SCENARIOS.items() if name in LIBRARIES else ():
            done = row.failure is None and row.ending == "done" and scenario not in NEVER_DONE
            if done and (name, endpoint, scenario) not in WRONG:
                for colour in COLOURS if WHOLE else COLOURS[:1]:
                    yield Cell(
                        name, endpoint, "plain", "helper", "stream", colour, scenario, "exhausted"
                    )


@pytest.mark.parametrize("cell", list(_streams()), ids=str)
def test_the_record_of_a_stream_is_the_clients_final_message(bench: Bench, cell: Cell) -> None:
    library = LIBRARIES[cell.library]
    bench.forget()
    bench.instrument()
    visit = bench.visit(library, cell)
    bench.go(visit)
    (span,) = bench.spans()
    if visit.final is None:
        assert visit.error is not None
        assert cell.scenario in listed(FAILS[cell.library, cell.endpoint])
    else:
        told, final = found(span), library.finals[cell.endpoint](visit.final)
        assert {fact: told[fact] for fact in final} == final
