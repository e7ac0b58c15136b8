"""Our spans inside a web server's, which is not sent: the backends have a tree with a root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import pytest
from opentelemetry.sdk.trace import TracerProvider

import genai_otel
from genai_otel import Destination
from tests.backends import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.backends.conftest import Backends

pytestmark = pytest.mark.slow

PROJECT = "among-others"
_QUERY = """{projects{edges{node{name
  sessions(first:5){edges{node{sessionId firstInput{value} lastOutput{value}}}}
  spans(first:50){edges{node{name parentId}}}}}}}"""


@pytest.fixture
def serve() -> Iterator[Callable[[Destination], str]]:
    """Answers one request of a web server's; gives the id of its trace."""

    def run(to: Destination) -> str:
        provider = TracerProvider(shutdown_on_exit=False)
        genai_otel.instrument(tracer_provider=provider, destinations=to, content="full")
        host = provider.get_tracer("a.web.framework")

        @genai_otel.workflow
        def answer(question: str) -> str:
            with host.start_as_current_span("SELECT"), genai_otel.operation("step", "look"):
                return f"{question} That it is."

        with (
            host.start_as_current_span("GET /") as request,
            genai_otel.scope(session_id="session-2"),
        ):
            answer("Is it so?")
        assert genai_otel.flush(60)
        return f"{request.get_span_context().trace_id:032x}"

    yield run
    genai_otel.shutdown()


def test_phoenix(backends: Backends, serve: Callable[[Destination], str]) -> None:
    url = backends.need("phoenix")
    serve(Destination("phoenix", endpoint=url, options={"project": PROJECT}))

    def complete() -> Any:
        told = servers.ask(f"{url}/graphql", {"query": _QUERY})["data"]["projects"]["edges"]
        found = next((each["node"] for each in told if each["node"]["name"] == PROJECT), None)
        return found if found and len(found["spans"]["edges"]) == 2 else None

    project = servers.eventually(complete)
    parents = {row["node"]["name"]: row["node"]["parentId"] for row in project["spans"]["edges"]}
    assert parents["invoke_workflow answer"] is None
    assert parents["task look"] is not None
    (session,) = [edge["node"] for edge in project["sessions"]["edges"]]
    assert session["firstInput"]["value"] == "Is it so?"
    assert session["lastOutput"]["value"] == "Is it so? That it is."


def test_mlflow(backends: Backends, serve: Callable[[Destination], str]) -> None:
    url = backends.need("mlflow")
    trace_id = serve(Destination("mlflow", endpoint=url, options={"timeout": "60"}))
    address = f"{url}/api/3.0/mlflow/traces/get?trace_id=tr-{trace_id}&allow_partial=true"

    def complete() -> Any:
        try:
            found = servers.ask(address)["trace"]
        except HTTPError:  # it is not there yet
            return None
        return found if len(found.get("spans", ())) == 2 else None

    trace = servers.eventually(complete)
    assert "Is it so?" in trace["trace_info"]["request_preview"]
    assert trace["trace_info"]["state"] == "OK"
