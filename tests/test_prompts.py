"""Named prompts: the next model call is told of them, and only that one."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import prompt, scope
from genai_otel._support.errors import FAULTS
from tests.stored import run_cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from genai_otel.testing import Capture
    from tests.provider import Provider

openai = pytest.importorskip("openai")

GREET = prompt("greet", "Greet {name} in {city}.", version="3")


@pytest.fixture
def client(provider: Provider) -> Iterator[Any]:
    with openai.OpenAI(base_url=provider.base_url, api_key="test") as client:
        yield client


def ask(client: Any, text: str = "Hello", **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="ok", messages=messages, **more)


def told(capture: Capture) -> list[Any]:
    """Name and version of each span's prompt."""
    names = ("gen_ai.prompt.name", "gen_ai.prompt.version")
    return [tuple(span.attributes.get(name) for name in names) for span in capture.spans]


TAGGED, PLAIN = ("greet", "3"), (None, None)


# --------------------------------------------------------------------------------- templates


def test_a_template_is_rendered_as_format_does() -> None:
    json = prompt("json", 'Answer as {{"city": "{city}", "price": {price:.2f}}}')

    assert json.render(city="Oslo", price=3) == 'Answer as {"city": "Oslo", "price": 3.00}'
    assert GREET.render(name="Ada", city="Oslo", other=1) == "Greet Ada in Oslo."


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{0}", "{0} is no name"),
        ("{}", "{} is no name"),
        ("{user.email}", "{user.email} is no name"),
        ("{user[email]}", "is no name"),
        ('{"a": 1}', "is no name of a variable"),
        ("{a:{b}}", "is no name"),
        ("a } b", "write {{ and }} for braces"),
        ("a { b", "write {{ and }} for braces"),
    ],
)
def test_a_bad_template_is_refused_when_it_is_made(template: str, said: str) -> None:
    with pytest.raises(ValueError, match="prompt 'p'") as refused:
        prompt("p", template)
    assert said in str(refused.value)


def test_what_is_missing_is_told() -> None:
    with pytest.raises(ValueError, match="prompt 'greet': missing values: city, name"):
        GREET.render()
    with pytest.raises(ValueError, match="needs a name"):
        prompt("", "text")


def test_without_a_version_the_template_is_its_own() -> None:
    one, other = prompt("p", "one"), prompt("p", "other")

    assert one.version == hashlib.sha256(b"one").hexdigest()[:12]
    assert one.version != other.version


def test_a_prompt_renders_where_nothing_is_recorded() -> None:
    genai_otel.shutdown()
    assert GREET.render(name="Ada", city="Oslo")


# ----------------------------------------------------------------------------- the next call


def test_the_next_model_call_is_told_and_no_other(genai_otel_capture: Capture, client: Any) -> None:
    ask(client, GREET.render(name="Ada", city="Oslo"))
    ask(client)

    assert told(genai_otel_capture) == [TAGGED, PLAIN]
    attributes = genai_otel_capture.spans[0].attributes
    assert attributes["genai_otel.prompt.hash"] == GREET.tag.digest
    outside = {k: v for k, v in attributes.items() if "messages" not in k}
    assert "Ada" not in str(outside), "variables are not told"


def test_tools_and_embeddings_do_not_take_it(genai_otel_capture: Capture, client: Any) -> None:
    text = GREET.render(name="Ada", city="Oslo")
    client.embeddings.create(model="e", input=text)
    genai_otel.tool(lambda: None)()
    ask(client, text)

    assert told(genai_otel_capture) == [PLAIN, PLAIN, TAGGED]


def test_streams_and_layers_are_one_call(genai_otel_capture: Capture, client: Any) -> None:
    with genai_otel.operation("chat"):
        for _ in ask(client, GREET.render(name="Ada", city="Oslo"), stream=True):
            pass
    ask(client)

    assert told(genai_otel_capture) == [TAGGED, PLAIN]


def test_one_rendered_in_an_operation_that_is_over_is_for_nobody(
    genai_otel_capture: Capture, client: Any
) -> None:
    @genai_otel.step
    def prepare() -> None:
        GREET.render(name="Ada", city="Oslo")

    prepare()
    ask(client)

    assert told(genai_otel_capture) == [PLAIN, PLAIN]


async def test_tasks_have_their_own(genai_otel_capture: Capture, provider: Provider) -> None:
    prompts = [prompt(f"p{number}", "Hello", version="1") for number in range(8)]

    async def call(client: Any, number: int) -> None:
        text = prompts[number].render()
        await asyncio.sleep(0)
        await client.chat.completions.create(
            model="ok", messages=[{"role": "user", "content": text}], seed=number
        )

    async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="test") as client:
        await asyncio.gather(*(call(client, number) for number in range(8)))

    for span in genai_otel_capture.spans:
        number = span.attributes["gen_ai.request.seed"]
        assert span.attributes["gen_ai.prompt.name"] == f"p{number}"


async def test_a_task_that_takes_it_takes_it_for_all(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="test") as client:
        messages: Any = [{"role": "user", "content": GREET.render(name="Ada", city="Oslo")}]
        await asyncio.create_task(client.chat.completions.create(model="ok", messages=messages))
        await client.chat.completions.create(model="ok", messages=messages)

    assert told(genai_otel_capture) == [TAGGED, PLAIN]


def test_threads_have_their_own(genai_otel_capture: Capture, client: Any) -> None:
    other = threading.Thread(target=lambda: GREET.render(name="Ada", city="Oslo"))
    other.start()
    other.join()
    ask(client)

    assert told(genai_otel_capture) == [PLAIN]


def test_a_value_that_cannot_be_written_raises_its_own_error() -> None:
    class Sour:
        def __format__(self, form: str) -> str:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        GREET.render(name=Sour(), city="Oslo")
    assert FAULTS.counts == {}


# ------------------------------------------------------------------------------ for a stretch


def test_a_scope_has_it_for_all_inside(genai_otel_capture: Capture, client: Any) -> None:
    with scope(prompt=GREET, experiment=("tone", "warm")):
        ask(client)
        ask(client, prompt("inner", "Hi", version="1").render())
        with scope(prompt="other"):
            ask(client)
    ask(client)

    assert told(genai_otel_capture) == [TAGGED, ("inner", "1"), ("other", None), PLAIN]
    first, *_, last = genai_otel_capture.spans
    assert first.attributes["feature_flag.key"] == "tone"
    assert first.attributes["feature_flag.result.variant"] == "warm"
    assert "feature_flag.key" not in last.attributes


def test_an_odd_prompt_does_not_lose_the_scope(genai_otel_capture: Capture) -> None:
    class Sour:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    with scope(session_id="s", prompt=Sour()), genai_otel.operation("step"):  # type: ignore[arg-type]
        pass

    assert genai_otel_capture.span().attributes["session.id"] == "s"


@pytest.mark.parametrize("odd", [7, "tone", ("one",), {"tone": "warm"}, object()])
def test_an_odd_experiment_is_none(genai_otel_capture: Capture, odd: Any) -> None:
    with scope(experiment=odd), genai_otel.operation("step"):
        pass

    assert "feature_flag.key" not in genai_otel_capture.span().attributes


# --------------------------------------------------------------------------------- what it cost


def test_cost_is_told_apart_by_prompt(provider: Provider, tmp_path: Path, client: Any) -> None:
    genai_otel.shutdown()
    settings = genai_otel.Settings(store_directory=str(tmp_path / "store"))
    genai_otel.instrument(
        settings=settings,
        destinations="local",
        prices={"models": {"ok*": {"input": 1.0, "output": 2.0}}},
    )
    for _ in range(2):
        ask(client, GREET.render(name="Ada", city="Oslo"))
    ask(client)
    genai_otel.shutdown()
    shown = run_cli("report", "cost", "--by", "prompt", "--dir", "store", cwd=tmp_path).stdout

    rows = {line.split()[0]: line.split()[1] for line in shown.splitlines() if line.strip()}
    assert (rows["greet"], rows["(none)"], rows["total"]) == ("2", "1", "3")
