"""The text of an exception: what its own ``__str__`` makes, guarded, bounded and by policy."""

from __future__ import annotations

import http.client
import subprocess
import urllib.error
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ValidationError

import genai_otel
from genai_otel import Settings, step
from genai_otel.testing import Capture

if TYPE_CHECKING:
    from collections.abc import Iterator


class Order(BaseModel):
    amount: int


class Described(Exception):
    def __init__(self, code: int, details: dict[str, str]) -> None:
        self.code, self.details = code, details

    def __str__(self) -> str:
        return f"order {self.code} failed: {self.details['reason']}"


class Odd(Exception):
    """``text`` is what ``__str__`` returns or raises."""

    def __init__(self, *arguments: Any, text: Any) -> None:
        super().__init__(*arguments)
        self.text = text

    def __str__(self) -> Any:
        if isinstance(self.text, BaseException):
            raise self.text
        return self.text


class OwnText(str):
    __slots__ = ()

    def __len__(self) -> int:
        raise AssertionError

    __getitem__ = __str__ = __len__  # type: ignore[assignment]


def raised(error: BaseException) -> Any:
    def fails() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        step(fails)()
    assert caught.value is error


def text(capture: Capture) -> Any:
    """What is recorded, in both of its places."""
    span = capture.span()
    (event,) = [event for event in span.events if event.name == "exception"]
    recorded = event.attributes.get("exception.message")
    assert span.status.description == recorded
    return recorded


def _invalid() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Order(amount="many")  # type: ignore[arg-type]
    return caught.value


MADE = {
    "pydantic": _invalid,
    "process": lambda: subprocess.CalledProcessError(3, ["train", "--fast"]),
    "http": lambda: urllib.error.HTTPError("u", 503, "busy", http.client.HTTPMessage(), None),
    "own": lambda: Described(7, {"reason": "sold out"}),
    "os": lambda: FileNotFoundError(2, "No such file", "prompts.json"),
    "key": lambda: KeyError("tenant"),
    "group": lambda: ExceptionGroup("two", [ValueError("a"), Described(1, {"reason": "b"})]),
}


@pytest.mark.parametrize("name", MADE)
def test_classes_that_make_their_own(genai_otel_capture: Capture, name: str) -> None:
    error = MADE[name]()
    raised(error)
    assert text(genai_otel_capture) == str(error) != ""


@pytest.mark.parametrize(
    ("made", "recorded"),
    [
        (ValueError("from __str__"), "the argument"),
        (RecursionError(), "the argument"),
        (SystemExit(3), "the argument"),
        (GeneratorExit(), "the argument"),
        (None, "the argument"),
        (b"bytes", "the argument"),
        ("half \ud83d", "half ?"),
        ("", ""),
    ],
)
def test_whatever_str_does(genai_otel_capture: Capture, made: Any, recorded: str) -> None:
    raised(Odd("the argument", 5, text=made))
    assert (text(genai_otel_capture) or "") == recorded


def test_of_a_subclass_of_text_nothing_is_called(genai_otel_capture: Capture) -> None:
    raised(Odd("the argument", text=OwnText("its own")))
    assert text(genai_otel_capture) == "its own"


def test_it_is_bounded(genai_otel_capture: Capture) -> None:
    raised(Odd(text="word " * 1_000_000))
    assert 4_000 < len(text(genai_otel_capture)) <= 4_096


def test_what_str_calls_is_not_recorded(genai_otel_capture: Capture) -> None:
    class Calls(Exception):
        def __str__(self) -> str:
            return str(step(lambda: "looked up")())

    raised(Calls())
    assert text(genai_otel_capture) == "looked up"


@pytest.fixture
def capture(request: pytest.FixtureRequest) -> Iterator[Capture]:
    """Set up with the arguments of a test's parameter."""
    captured = Capture()
    genai_otel.instrument(
        destinations=captured.exporter, meter_provider=captured.meter_provider, **request.param
    )
    yield captured
    genai_otel.shutdown()
    captured.meter_provider.shutdown()


OFF = {"content": "full", "settings": Settings(exception_str=False)}


@pytest.mark.parametrize("capture", [OFF], indirect=True)
def test_switched_off_no_code_of_the_hosts_is_run(capture: Capture) -> None:
    raised(Odd("the argument", text=AssertionError("called")))
    assert text(capture) == "the argument"


@pytest.mark.parametrize("capture", [{"content": "none"}], indirect=True)
def test_without_content_there_is_none(capture: Capture) -> None:
    raised(Described(7, {"reason": "sold out"}))
    assert text(capture) is None


@pytest.mark.parametrize("capture", [{"content": "redacted"}], indirect=True)
def test_secrets_in_it_are_masked(capture: Capture) -> None:
    raised(Described(7, {"reason": "mail to ada@example.com"}))
    assert text(capture).startswith("order 7 failed: mail to ")
    assert "ada@" not in text(capture)
