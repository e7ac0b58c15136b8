"""Every cell of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import _semconv as names
from genai_otel._support.errors import FAULTS
from genai_otel.instrumentation.open_registry import OPEN
from tests.conformance.facts import expected, found, truth_of
from tests.conformance.libraries import LIBRARIES
from tests.conformance.share import QUICK, WHOLE, shared
from tests.conformance.table import Cell, cells, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from tests.conformance.conftest import Bench
    from tests.conformance.facts import Facts
    from tests.conformance.table import Library
    from tests.conformance.visits import Visit
    from tests.provider import Request

    Visited = tuple[Visit, list[Request]]


def _chosen() -> Iterator[Any]:
    """All cells, or the share; what goes beyond the smallest share takes its time."""
    for library in LIBRARIES.values():
        table = cells(library)
        pairs = shared(table, min(QUICK, library.share))
        quick = set(pairs)
        for cell in table if WHOLE else shared(table, library.share, has=pairs):
            yield pytest.param(cell, id=str(cell), marks=[] if cell in quick else pytest.mark.slow)


@pytest.fixture(scope="module")
def without_us(request: pytest.FixtureRequest, bench: Bench) -> Callable[[Cell], Visited]:
    """What each cell is without us: a library's are all visited before the first is watched."""
    chosen = [
        item.callspec.params["cell"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    ]
    known: dict[Cell, Visited] = {}

    def asked_for(cell: Cell) -> Visited:
        if cell not in known:
            genai_otel.uninstrument()
            bench.forget()
            library = LIBRARIES[cell.library]
            known.update(
                {c: visited(bench, library, c) for c in chosen if c.library == library.name}
            )
            assert not bench.spans()
        return known.pop(cell)

    return asked_for


@pytest.mark.parametrize("cell", list(_chosen()))
def test_cell(bench: Bench, without_us: Callable[[Cell], Visited], cell: Cell) -> None:
    library = LIBRARIES[cell.library]
    bare, asked_bare = without_us(cell)
    bench.forget()
    bench.instrument()
    visit, asked = visited(bench, library, cell)
    assert visit.seen() == bare.seen()
    assert sent(library, asked) == sent(library, asked_bare)
    if visit.endpoint.served and not asked:  # a stream that sends nothing before it is read
        assert (visit.ending.take, bench.spans(), bench.points()) == (False, (), {})
        return
    (span,) = bench.spans()
    known = truth_of(visit)
    compare(library, cell, expected(library, visit, bench.port), found(span))
    if visit.final is not None:
        final = library.finals[cell.endpoint](visit.final)
        told = found(span)
        assert {key: told[key] for key in final} == final
    if asked:
        assert_no_token_before(span, asked[-1].sent, known.first_token)
    assert_measured(span, bench.points())
    assert (len(OPEN), FAULTS.counts, bench.log.lines) == (0, {}, [])


def visited(bench: Bench, library: Library, cell: Cell) -> Visited:
    visit = bench.visit(library, cell)
    if visit.ending.early:
        visit.limit = truth_of(visit).chunks
    return visit, bench.go(visit)


def sent(library: Library, requests: list[Request]) -> list[Any]:
    """The requests as they were sent; the parts of a form are parted by chance."""
    return [_sent(request, listed(library.by_chance)) for request in requests]


def _sent(request: Request, by_chance: list[str]) -> Any:
    form = dict(request.form)
    ignored = [*by_chance, "content-type"] if form else by_chance
    headers = {k: v for k, v in request.headers.items() if k.lower() not in ignored}
    return request.method, request.path, headers, form or request.raw


def compare(library: Library, cell: Cell, wanted: Facts, told: Facts) -> None:
    """The span tells the truth, but for declared gaps; and these are gaps still."""
    wrong = {
        fact: f"{told[fact]!r} instead of {value!r}"
        for fact, value in wanted.items()
        if told[fact] != value
    }
    gaps = [gap for gap in library.gaps if gap.covers(cell, library.major())]
    declared = {fact for gap in gaps for fact in listed(gap.facts)}
    assert {fact: text for fact, text in wrong.items() if fact not in declared} == {}
    healed = {fact for fact in declared - wrong.keys() if wanted.get(fact) not in (None, (), "")}
    assert not healed, f"declared as gaps, but right: {sorted(healed)}"


def assert_no_token_before(span: ReadableSpan, sent_at: list[float], first: int | None) -> None:
    """The first token is not told to have come before the provider sent it."""
    waited = (span.attributes or {}).get(names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN)
    if waited is not None and first is not None:
        assert (span.start_time or 0) / 1e9 + waited > sent_at[first] - 0.002


# --------------------------------------------------------------------------------------- metrics

_DURATIONS = {
    "chat": names.METRIC_GEN_AI_CLIENT_OPERATION_DURATION,
    "apply_guardrail": names.METRIC_GENAI_OTEL_GUARDRAIL_DURATION,
    "invoke_agent": names.METRIC_GEN_AI_INVOKE_AGENT_DURATION,
}
"""By operation; that of all other ones is the first."""
_TIMES = {
    names.METRIC_GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK: (
        names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK
    ),
    names.METRIC_GENAI_OTEL_CLIENT_TIME_TO_FIRST_TOKEN: (
        names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN
    ),
    names.METRIC_GENAI_OTEL_CLIENT_TIME_PER_OUTPUT_TOKEN: (
        names.GENAI_OTEL_RESPONSE_TIME_PER_OUTPUT_TOKEN
    ),
}
_TOKENS = {
    "input": names.GEN_AI_USAGE_INPUT_TOKENS,
    "output": names.GEN_AI_USAGE_OUTPUT_TOKENS,
}
_SHARED = (
    names.GEN_AI_OPERATION_NAME,
    names.GEN_AI_PROVIDER_NAME,
    names.GEN_AI_REQUEST_MODEL,
    names.GEN_AI_RESPONSE_MODEL,
    names.SERVER_ADDRESS,
    names.SERVER_PORT,
)


def assert_measured(span: ReadableSpan, points: dict[str, list[Any]]) -> None:
    """Every metric is what the span tells, and nothing else was measured."""
    told = dict(span.attributes or {})
    operation = told[names.GEN_AI_OPERATION_NAME]
    (duration,) = points.pop(_DURATIONS.get(operation, _DURATIONS["chat"]))
    lasted = ((span.end_time or 0) - (span.start_time or 0)) / 1e9
    assert duration.sum == pytest.approx(lasted, abs=2e-9)  # nanoseconds are cut off
    assert duration.attributes.get(names.ERROR_TYPE) == told.get(names.ERROR_TYPE)
    if operation in _DURATIONS and operation != "chat":
        return
    shared = {name: told[name] for name in _SHARED if name in told}
    measured = {}
    for point in points.pop(names.METRIC_GEN_AI_CLIENT_TOKEN_USAGE, ()):
        measured[_TOKENS[point.attributes[names.GEN_AI_TOKEN_TYPE]]] = point.sum
    assert measured == {name: told[name] for name in _TOKENS.values() if name in told}
    missing = points.pop(names.METRIC_GENAI_OTEL_COST_MISSING, ())
    why = told.get(names.GENAI_OTEL_COST_STATUS)
    reasons = [point.attributes[names.GENAI_OTEL_COST_STATUS] for point in missing]
    assert reasons == ([] if why in {None, "failed"} else [why])
    points.pop(names.METRIC_GEN_AI_CLIENT_OPERATION_TIME_PER_OUTPUT_CHUNK, None)
    times = {_TIMES[name]: each.sum for name, (each,) in points.items()}
    assert times == {name: told[name] for name in _TIMES.values() if name in told}
    for each in (duration, *(point for rows in points.values() for point in rows)):
        assert {key: each.attributes.get(key) for key in shared} == shared
