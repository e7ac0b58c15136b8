"""What kind of failure it was: the real exceptions of each client, and real calls that fail."""

from __future__ import annotations

import asyncio
import socket
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel.record import CATEGORIES, Failure
from genai_otel.recorder.error_categories import category_of, category_of_word

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.testing import Capture
    from tests.provider import Provider

openai = pytest.importorskip("openai")

HELLO: Any = [{"role": "user", "content": "Hello"}]


# --------------------------------------------------------------------------------- real calls


def failed(capture: Capture, client: Any, model: str, **more: Any) -> dict[str, Any]:
    """What the span of a call that fails says of it."""
    with client, pytest.raises(openai.OpenAIError):
        for _ in client.chat.completions.create(model=model, messages=HELLO, **more):
            pass
    told = capture.span().attributes
    (point,) = capture.metrics()["gen_ai.client.operation.duration"]
    for name in ("error.type", "genai_otel.error.category"):
        assert point.attributes[name] == told[name]
    return dict(told)


def client_of(url: str, **more: Any) -> Any:
    return openai.OpenAI(base_url=url, api_key="test", **{"max_retries": 0, **more})


STATUSES = {
    "err400": ("BadRequestError", "app"),
    "err400-context": ("BadRequestError", "app"),
    "err400-filter": ("BadRequestError", "content_filter"),
    "err401": ("AuthenticationError", "auth"),
    "err403": ("PermissionDeniedError", "auth"),
    "err404": ("NotFoundError", "app"),
    "err429": ("RateLimitError", "throttle"),
    "err500": ("InternalServerError", "provider"),
    "err502-page": ("InternalServerError", "provider"),
    "cut-headers": ("APIConnectionError", "network"),
}


@pytest.mark.parametrize("model", STATUSES)
def test_statuses_of_openai(genai_otel_capture: Capture, provider: Provider, model: str) -> None:
    told = failed(genai_otel_capture, client_of(provider.base_url), model)

    name, category = STATUSES[model]
    assert told["error.type"] == f"openai.{name}"
    assert told["genai_otel.error.category"] == category


def test_a_timeout(genai_otel_capture: Capture, provider: Provider) -> None:
    told = failed(genai_otel_capture, client_of(provider.base_url, timeout=0.2), "hang")

    assert told["genai_otel.error.category"] == "timeout"


def test_a_connection_that_is_refused(genai_otel_capture: Capture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    told = failed(genai_otel_capture, client_of(f"http://127.0.0.1:{port}/v1"), "ok")

    assert told["genai_otel.error.category"] == "network"


def test_a_stream_that_breaks_off(genai_otel_capture: Capture, provider: Provider) -> None:
    with client_of(provider.base_url) as client, pytest.raises(Exception, match=r"onnection|peer"):
        for _ in client.chat.completions.create(model="cut", messages=HELLO, stream=True):
            pass

    assert genai_otel_capture.span().attributes["genai_otel.error.category"] == "network"


def test_an_error_within_a_stream(genai_otel_capture: Capture, provider: Provider) -> None:
    told = failed(genai_otel_capture, client_of(provider.base_url), "error-event", stream=True)

    assert told["genai_otel.error.category"] == "provider"


def test_an_error_in_an_answer_that_came_as_if_all_were_well(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    with client_of(provider.base_url) as client:
        client.chat.completions.create(model="error-200", messages=HELLO)

    assert genai_otel_capture.span().attributes["genai_otel.error.category"] == "provider"


async def test_a_cancelled_call_has_a_category_and_no_error(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="test") as client:
        call = asyncio.create_task(client.chat.completions.create(model="hang", messages=HELLO))
        await asyncio.sleep(0.2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    told = genai_otel_capture.span().attributes

    assert told["genai_otel.error.category"] == "cancelled"
    assert "error.type" not in told
    (point,) = genai_otel_capture.metrics()["gen_ai.client.operation.duration"]
    assert point.attributes["genai_otel.error.category"] == "cancelled"


def test_a_call_that_went_well_has_none(genai_otel_capture: Capture, provider: Provider) -> None:
    with client_of(provider.base_url) as client:
        client.chat.completions.create(model="ok", messages=HELLO)

    assert "genai_otel.error.category" not in genai_otel_capture.span().attributes


def test_an_error_of_the_applications_own_is_its_own(genai_otel_capture: Capture) -> None:
    @genai_otel.tool
    def divide() -> float:
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        divide()

    assert genai_otel_capture.span().attributes["genai_otel.error.category"] == "app"


def test_a_generator_that_is_left_is_no_failure(genai_otel_capture: Capture) -> None:
    @genai_otel.step
    def numbers() -> Any:
        yield from range(9)

    left = numbers()
    next(left)
    left.close()

    assert "genai_otel.error.category" not in genai_otel_capture.span().attributes


@pytest.mark.unconventional(
    "by hand, and nobody says whose model it is", "[missing] gen_ai.provider.name"
)
def test_a_category_told_by_hand_is_one_of_the_nine(genai_otel_capture: Capture) -> None:
    for told in ("quota", "bad luck", 7):
        with genai_otel.operation("chat") as op:
            op.failure, op.category = Failure("MyError"), told  # type: ignore[assignment]

    categories = [s.attributes["genai_otel.error.category"] for s in genai_otel_capture.spans]
    assert categories == ["quota", "provider", "provider"]


# ------------------------------------------------------------------- the exceptions of clients


def http() -> Any:
    """The HTTP library of today's clients, or of older ones."""
    try:
        return import_module("httpx2")
    except ImportError:
        return pytest.importorskip("httpx")


def request() -> Any:
    return http().Request("POST", "https://example.com")


def stainless(name: str, status: int, body: Any = None) -> Callable[[Any], BaseException]:
    """An exception of a client that Stainless made, as the client makes it."""

    def make(client: Any) -> BaseException:
        got = http().Response(status, request=request())
        made: BaseException = getattr(client, name)("told", response=got, body=body)
        return made

    return make


def connection(name: str) -> Callable[[Any], BaseException]:
    def make(client: Any) -> BaseException:
        made: BaseException = getattr(client, name)(request=request())
        return made

    return make


def aws(code: str, status: int = 400) -> Callable[[Any], BaseException]:
    def make(exceptions: Any) -> BaseException:
        answer = {"Error": {"Code": code, "Message": "m"},
                  "ResponseMetadata": {"HTTPStatusCode": status}}  # fmt: skip
        made: BaseException = exceptions.ClientError(answer, "Converse")
        return made

    return make


def google(name: str, code: int, status: str) -> Callable[[Any], BaseException]:
    answer = {"error": {"code": code, "message": "m", "status": status}}
    return lambda errors: getattr(errors, name)(code, answer)


def mistral(status: int) -> Callable[[Any], BaseException]:
    def make(errors: Any) -> BaseException:
        got = http().Response(status, text="{}", request=request())
        made: BaseException = errors.SDKError("m", got)
        return made

    return make


def inside(kind: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": "m"}}


HTTP_ERRORS: list[tuple[str, Callable[[Any], BaseException], str]] = [
    ("connect", lambda h: h.ConnectError("m"), "network"),
    ("protocol", lambda h: h.RemoteProtocolError("m"), "network"),
    ("read timeout", lambda h: h.ReadTimeout("m"), "timeout"),
    ("pool timeout", lambda h: h.PoolTimeout("m"), "timeout"),
    ("no scheme", lambda h: h.UnsupportedProtocol("m"), "app"),
    ("a status", lambda h: h.HTTPStatusError(
        "m", request=None, response=h.Response(503)), "provider"),
]  # fmt: skip
TABLE: dict[str, list[tuple[str, Callable[[Any], BaseException], str]]] = {
    "openai": [
        ("insufficient quota", stainless("RateLimitError", 429, {"code": "insufficient_quota"}),
         "quota"),
        ("rate", stainless("RateLimitError", 429, {"code": "rate_limit_exceeded"}), "throttle"),
        ("conflict", stainless("ConflictError", 409), "app"),
        ("unprocessable", stainless("UnprocessableEntityError", 422), "app"),
        ("azure filter", stainless("BadRequestError", 400, {
            "code": None, "innererror": {"code": "ResponsibleAIPolicyViolation"}}),
         "content_filter"),
        ("overloaded", stainless("InternalServerError", 503), "provider"),
        ("gateway timeout", stainless("InternalServerError", 504), "timeout"),
        ("timeout", connection("APITimeoutError"), "timeout"),
        ("filter while parsing", lambda o: o.ContentFilterFinishReasonError(), "content_filter"),
        ("no key", lambda o: o.OpenAIError("The api_key client option must be set"), "app"),
    ],
    "anthropic": [
        ("overloaded", stainless("InternalServerError", 529, inside("overloaded_error")),
         "provider"),
        ("rate", stainless("RateLimitError", 429, inside("rate_limit_error")), "throttle"),
        ("billing", stainless("BadRequestError", 400, inside("billing_error")), "quota"),
        ("permission", stainless("PermissionDeniedError", 403, inside("permission_error")), "auth"),
        ("invalid", stainless("BadRequestError", 400, inside("invalid_request_error")), "app"),
        ("in a stream", stainless("APIStatusError", 200, inside("overloaded_error")), "provider"),
        ("timeout", connection("APITimeoutError"), "timeout"),
    ],
    "groq": [
        ("flex is full", stainless("APIStatusError", 498), "throttle"),
        ("rate", stainless("RateLimitError", 429, {"error": {"code": "rate_limit_exceeded"}}),
         "throttle"),
        ("timeout", connection("APITimeoutError"), "timeout"),
    ],
    "botocore.exceptions": [
        ("throttled", aws("ThrottlingException", 429), "throttle"),
        ("quota", aws("ServiceQuotaExceededException"), "quota"),
        ("denied", aws("AccessDeniedException", 403), "auth"),
        ("expired", aws("ExpiredTokenException", 403), "auth"),
        ("invalid", aws("ValidationException"), "app"),
        ("missing", aws("ResourceNotFoundException", 404), "app"),
        ("slow", aws("ModelTimeoutException", 408), "timeout"),
        ("broken", aws("ModelErrorException", 424), "provider"),
        ("not ready", aws("ModelNotReadyException", 429), "provider"),
        ("unavailable", aws("ServiceUnavailableException", 503), "provider"),
        ("within a stream", lambda e: e.EventStreamError(
            {"Error": {"Code": "modelStreamErrorException"}}, "ConverseStream"), "provider"),
        ("an unknown code", aws("SomethingNew", 503), "provider"),
        ("no credentials", lambda e: e.NoCredentialsError(), "auth"),
        ("wrong parameters", lambda e: e.ParamValidationError(report="m"), "app"),
        ("read timeout", lambda e: e.ReadTimeoutError(endpoint_url="u"), "timeout"),
        ("connect timeout", lambda e: e.ConnectTimeoutError(endpoint_url="u"), "timeout"),
        ("no endpoint", lambda e: e.EndpointConnectionError(endpoint_url="u"), "network"),
        ("closed", lambda e: e.ConnectionClosedError(endpoint_url="u"), "network"),
    ],
    "google.genai.errors": [
        ("exhausted", google("ClientError", 429, "RESOURCE_EXHAUSTED"), "throttle"),
        ("denied", google("ClientError", 403, "PERMISSION_DENIED"), "auth"),
        ("invalid", google("ClientError", 400, "INVALID_ARGUMENT"), "app"),
        ("deadline", google("ServerError", 504, "DEADLINE_EXCEEDED"), "timeout"),
        ("unavailable", google("ServerError", 503, "UNAVAILABLE"), "provider"),
        ("cancelled", google("ClientError", 499, "CANCELLED"), "cancelled"),
        ("no status", google("APIError", 500, ""), "provider"),
    ],
    "mistralai.client.errors": [
        ("unauthorized", mistral(401), "auth"),
        ("rate", mistral(429), "throttle"),
        ("invalid", mistral(422), "app"),
        ("broken", mistral(500), "provider"),
        ("no answer", lambda e: e.NoResponseError(), "network"),
    ],
    "cohere.errors": [
        ("rate", lambda e: e.TooManyRequestsError(body={}), "throttle"),
        ("unauthorized", lambda e: e.UnauthorizedError(body={}), "auth"),
        ("invalid", lambda e: e.BadRequestError(body={"message": "m"}), "app"),
        ("gateway", lambda e: e.GatewayTimeoutError(body={}), "timeout"),
        ("unavailable", lambda e: e.ServiceUnavailableError(body={}), "provider"),
    ],
    "ollama": [
        ("no such model", lambda o: o.ResponseError("not found", 404), "app"),
        ("broken", lambda o: o.ResponseError("boom", 500), "provider"),
        ("a bad request", lambda o: o.RequestError("no model"), "app"),
        ("not running", lambda o: ConnectionError("not running"), "network"),
    ],
    "httpx": HTTP_ERRORS,
    "httpx2": HTTP_ERRORS,
    "requests.exceptions": [
        ("connection", lambda r: r.ConnectionError(), "network"),
        ("read timeout", lambda r: r.ReadTimeout(), "timeout"),
        ("connect timeout", lambda r: r.ConnectTimeout(), "timeout"),
        ("certificate", lambda r: r.SSLError(), "network"),
        ("cut", lambda r: r.ChunkedEncodingError(), "network"),
        ("address", lambda r: r.InvalidURL(), "app"),
    ],
    "urllib3.exceptions": [
        ("refused", lambda u: u.NewConnectionError(None, "m"), "network"),
        ("read timeout", lambda u: u.ReadTimeoutError(None, "u", "m"), "timeout"),
        ("connect timeout", lambda u: u.ConnectTimeoutError(), "timeout"),
        ("protocol", lambda u: u.ProtocolError(), "network"),
        ("retries", lambda u: u.MaxRetryError(None, "u"), "network"),
    ],
    "aiohttp": [
        ("refused", lambda a: a.ClientConnectorError(None, OSError()), "network"),
        ("left", lambda a: a.ServerDisconnectedError(), "network"),
        ("timeout", lambda a: a.ServerTimeoutError(), "timeout"),
        ("payload", lambda a: a.ClientPayloadError(), "network"),
        ("a status", lambda a: a.ClientResponseError(None, (), status=429), "throttle"),
    ],
    "builtins": [
        ("timeout", lambda b: TimeoutError(), "timeout"),
        ("asyncio's", lambda b: TimeoutError(), "timeout"),
        ("refused", lambda b: ConnectionRefusedError(), "network"),
        ("reset", lambda b: ConnectionResetError(), "network"),
        ("pipe", lambda b: BrokenPipeError(), "network"),
        ("no such host", lambda b: socket.gaierror(), "network"),
        ("cancelled", lambda b: asyncio.CancelledError(), "cancelled"),
        ("interrupted", lambda b: KeyboardInterrupt(), "cancelled"),
        ("value", lambda b: ValueError(), "app"),
        ("file", lambda b: FileNotFoundError(), "app"),
    ],
}  # fmt: skip
ROWS = [(module, *row) for module, rows in TABLE.items() for row in rows]


@pytest.mark.parametrize(
    ("module", "make", "category"),
    [pytest.param(m, make, category, id=f"{m}: {name}") for m, name, make, category in ROWS],
)
def test_exceptions_of(module: str, make: Callable[[Any], BaseException], category: str) -> None:
    client = pytest.importorskip(module)

    assert category_of(make(client)) == category


def test_every_category_has_a_row() -> None:
    assert {row[3] for row in ROWS} == set(CATEGORIES)


# --------------------------------------------------------------------------- of no client's


def test_what_raised_it_is_asked_where_the_outer_says_nothing() -> None:
    outer = RuntimeError("agent failed")
    outer.__cause__ = ConnectionResetError()
    assert category_of(outer) == "network"

    circle = RuntimeError()
    circle.__cause__ = ValueError()
    circle.__cause__.__cause__ = circle
    assert category_of(circle) == "app"


def test_no_code_of_an_exceptions_is_run() -> None:
    class Trap(Exception):
        @property
        def status_code(self) -> int:
            raise AssertionError("read")

        @property
        def response(self) -> Any:
            raise AssertionError("read")

        def __getattr__(self, name: str) -> Any:
            raise AssertionError("read")

    trap = Trap()
    trap.body = {"code": object(), "error": {"type": 7}}  # type: ignore[attr-defined]
    assert category_of(trap) == "app"


@pytest.mark.parametrize("status", [200, 399, 600, -1, 2**70, True, "429", 429.0, None])
def test_what_is_no_status_of_a_failure_says_nothing(status: Any) -> None:
    error = Exception()
    error.status_code = status  # type: ignore[attr-defined]
    assert category_of(error) == "app"


@pytest.mark.parametrize(
    ("word", "category"),
    [("429", "throttle"), ("502", "provider"), ("server_error", "provider"), ("200", None),
     ("content_filter", "content_filter"), ("9" * 5000, None), ("²", None), ("", None)],
)  # fmt: skip
def test_words_of_an_answer(word: str, category: str | None) -> None:
    assert category_of_word(word) == category
