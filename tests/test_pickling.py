"""Decorated functions and patched clients go where bare ones go: pickled, copied, introspected.

Ray, Dask, Spark and loky pickle what is defined in ``__main__`` by value.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import json
import pickle
import subprocess
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

import cloudpickle
import dill
import openai
import pydantic
import pytest

import genai_otel
from genai_otel import agent, guardrail, retriever, step, tool, workflow
from genai_otel.instrumentation.open_registry import OPEN

if TYPE_CHECKING:
    from pathlib import Path

    from genai_otel.testing import Capture
    from tests.provider import Provider

DECORATORS = {
    "workflow": workflow, "agent": agent, "step": step, "tool": tool, "retriever": retriever,
    "guardrail": guardrail, "judged": guardrail(name="judged", layer="input", threshold=0.5),
}  # fmt: skip
PICKLERS: dict[str, Any] = {"cloudpickle": cloudpickle, "dill": dill}
HOW = {"cloudpickle": {}, "dill": {"recurse": True}}  # what a function of __main__ refers to, too
each_pickler = pytest.mark.parametrize("pickler", PICKLERS)

MAIN = '''
import asyncio, dataclasses, functools, sys
import genai_otel
import {pickler} as pickler

{set_up}

def decorate(function):
    return genai_otel.DECORATOR(name="named")(function)

@genai_otel.workflow
def plain(word: str, *, times: int = 1) -> str:
    """Repeats it."""
    return inner(word) * times

@genai_otel.step
def inner(word):
    return word

@genai_otel.tool(name="later")
async def coroutine(word):
    return word

@genai_otel.retriever
def generator(word):
    yield word

@genai_otel.agent
async def async_generator(word):
    yield word

@genai_otel.guardrail(layer="input", threshold=0.5)
def judge(word):
    return 0.1

@functools.wraps(plain)
def around(*args, **kwargs):
    return plain(*args, **kwargs)

@dataclasses.dataclass
class Desk:
    word: str = "tree"

    @genai_otel.tool
    def method(self):
        return self.word

    @classmethod
    @genai_otel.tool
    def of_class(cls):
        return cls.__name__

    @staticmethod
    @genai_otel.step
    def static():
        return "static"

async def read():
    return [item async for item in async_generator("e")]

def use():
    desk = Desk()
    return [
        plain("a", times=2), asyncio.run(coroutine("b")), list(generator("c")), judge("d"),
        asyncio.run(read()), around("f"), desk.method(), desk.of_class(), desk.static(),
    ]

bound = Desk("bound").method
with open(sys.argv[1], "wb") as file:
    pickler.dump((use, plain, bound, Desk), file, **{how})
print(use())
'''

OTHER = """
import sys
import genai_otel
import {pickler} as pickler
from genai_otel.testing import Capture

{set_up}
with open(sys.argv[1], "rb") as file:
    use, plain, bound, Desk = pickler.load(file)
print(use())
assert bound() == "bound" and Desk("z").method() == "z" and plain("a") == "a"
if {recorded}:
    print(*[span.name for span in capture.spans], sep=",", file=sys.stderr)
"""
SET_UP = "capture = Capture(); genai_otel.instrument(destinations=capture.exporter)"
EXPECTED = str(["aa", "b", ["c"], 0.1, ["e"], "f", "tree", "Desk", "static"])
NAMES = (
    "task inner,invoke_workflow plain,execute_tool later,retrieval generator,apply_guardrail judge,"
    "invoke_agent async_generator,task inner,invoke_workflow plain,execute_tool method,"
    "execute_tool of_class,task static,execute_tool method,execute_tool method,task inner,"
    "invoke_workflow plain"
)


@each_pickler
@pytest.mark.parametrize("recorded", [True, False])
def test_pickled_by_value_into_another_process(
    tmp_path: Path, pickler: str, *, recorded: bool
) -> None:
    """They work there, and are recorded where that is set up."""
    file = tmp_path / "pickled"
    here = "genai_otel.instrument(destinations='local')"
    main = MAIN.replace("{pickler}", pickler).replace("{set_up}", here)
    main = main.replace("{how}", repr(HOW[pickler]))
    there = SET_UP if recorded else ""
    other = OTHER.format(pickler=pickler, set_up=there, recorded=recorded)
    assert _run(main, file).stdout.splitlines()[-1] == EXPECTED
    done = _run(other, file)
    assert done.stdout.strip() == EXPECTED
    assert done.stderr.strip() == (NAMES if recorded else "")


def _run(program: str, file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=file.parent)
    assert done.returncode == 0, done.stderr
    return done


def plain(number: int, *rest: str, flag: bool = False) -> list[int]:
    """Does it."""
    return [number, len(rest), flag]


async def coroutine(number: int) -> list[int]:
    return [number]


def generator(number: int) -> typing.Iterator[int]:
    yield number


async def async_generator(number: int) -> typing.AsyncIterator[int]:
    yield number


FUNCTIONS = (plain, coroutine, generator, async_generator)


def _by_value(function: Any) -> Any:
    """As if it was defined in a ``__main__`` that is not there when it is loaded."""
    made = types.FunctionType(function.__code__, {"__name__": "__main__"}, function.__name__)
    made.__module__ = "__main__"
    made.__annotations__ = typing.get_type_hints(function)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__doc__ = function.__doc__
    return made


@each_pickler
@pytest.mark.parametrize("name", DECORATORS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_by_value_while_recording(
    genai_otel_capture: Capture, pickler: str, name: str, function: Any
) -> None:
    bare = _by_value(function)
    decorated = DECORATORS[name](bare)
    chosen = PICKLERS[pickler]
    loaded = chosen.loads(chosen.dumps(decorated, **HOW[pickler]))
    assert loaded is not decorated
    for ask in (
        inspect.signature, inspect.getdoc, inspect.iscoroutinefunction, inspect.isfunction,
        inspect.isgeneratorfunction, inspect.isasyncgenfunction, typing.get_type_hints,
    ):  # fmt: skip
        assert ask(loaded) == ask(decorated) == ask(bare), ask
    made = loaded(1)
    if inspect.isgenerator(made):
        list(made)
    elif inspect.iscoroutine(made):
        with pytest.raises(StopIteration):
            made.send(None)
    elif inspect.isasyncgen(made):
        with pytest.raises(StopIteration):
            made.asend(None).send(None)
        with pytest.raises(StopIteration):
            made.aclose().send(None)
    assert len(genai_otel_capture.spans) == 1


@pytest.mark.parametrize("name", DECORATORS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_copied(name: str, function: Any) -> None:
    decorated = DECORATORS[name](function)
    assert copy.deepcopy(decorated) is decorated
    assert copy.copy(decorated) is decorated
    again = functools.partial(decorated, 1)
    assert copy.deepcopy(again).func is decorated
    assert inspect.unwrap(decorated) is function
    assert functools.WRAPPER_ASSIGNMENTS[0] in dir(decorated)
    rewrapped = functools.wraps(decorated)(lambda *_: None)
    assert inspect.signature(rewrapped) == inspect.signature(function)


# -------------------------------------------------------------------------- classes with methods


@dataclasses.dataclass(frozen=True)
class Point:
    x: int = 1

    @tool
    def double(self) -> int:
        return self.x * 2


class Model(pydantic.BaseModel):
    x: int = 1

    @tool
    def double(self) -> int:
        return self.x * 2

    @step
    async def later(self) -> int:
        return self.x

    @pydantic.field_validator("x")
    @classmethod
    @step
    def positive(cls, value: int) -> int:
        return abs(value)

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    @step
    def tripled(self) -> int:
        return self.x * 3


@tool
def module_level(number: int) -> int:
    return number


def test_dataclasses_and_models(genai_otel_capture: Capture) -> None:
    for made in (Point(4), Model(x=-4)):
        pickled = [each.loads(each.dumps(made)) for each in (pickle, cloudpickle, dill)]
        for copied in (made, copy.deepcopy(made), *pickled):
            assert copied == made
            assert copied.double() == 8
    assert Model(x=-4).model_dump() == {"x": 4, "tripled": 12}
    assert dataclasses.replace(Point(1), x=2).double() == 4
    validated = pydantic.validate_call(module_level)
    assert validated("3") == 3  # type: ignore[arg-type]
    assert {span.name for span in genai_otel_capture.spans} >= {
        "execute_tool double",
        "task positive",
    }


def test_pickled_by_name() -> None:
    for pickler in (pickle, cloudpickle, dill):
        assert pickler.loads(pickler.dumps(module_level)) is module_level
        assert pickler.loads(pickler.dumps(Point.double)) is Point.double


# -------------------------------------------------------------------------------- patched clients

CLIENTS = """
import copy, json, pickle, sys
import cloudpickle, dill
import anthropic, boto3, google.genai, mistralai, ollama, openai, cohere
from qdrant_client import QdrantClient
{set_up}
from openai._base_client import AsyncAPIClient, SyncAPIClient
from openai._streaming import Stream

class Mine(openai.OpenAI):
    def extra(self):
        return "extra"

class Tooled(ollama.Client):
    pass

def user():
    return openai.OpenAI, ollama.chat, SyncAPIClient.request

reply = openai.OpenAI(api_key="k", base_url=sys.argv[1]).chat.completions.create(
    model="ok", messages=[{{"role": "user", "content": "Hello"}}])
client = openai.OpenAI(api_key="k", base_url=sys.argv[1])
raw = client.chat.completions.with_raw_response.create(
    model="ok", messages=[{{"role": "user", "content": "Hello"}}])
whole = raw.parse()

THINGS = dict(
    request=SyncAPIClient.request, arequest=AsyncAPIClient.request, stream=Stream.__init__,
    client=client, function=ollama.chat, mine=Mine, tooled=Tooled, user=user, reply=reply,
    whole=whole, raw=raw, response=raw.http_response, ollama=ollama.Client(), qdrant=QdrantClient,
    messages=anthropic.Anthropic, local=QdrantClient.query_points, boto=boto3.client,
    co=cohere.Client,
)
WAYS = dict(
    pickle=lambda x: pickle.loads(pickle.dumps(x)),
    cloudpickle=lambda x: cloudpickle.loads(cloudpickle.dumps(x)),
    dill=lambda x: dill.loads(dill.dumps(x)), deepcopy=copy.deepcopy, copy=copy.copy,
)
found = {{}}
for name, thing in THINGS.items():
    for way, act in WAYS.items():
        try:
            made = act(thing)
        except Exception as error:
            found[name + " " + way] = type(error).__name__
        else:
            found[name + " " + way] = [type(made).__name__, made is thing]
print(json.dumps(found))
"""


def test_what_can_be_copied_of_a_client_still_can(provider: Provider, tmp_path: Path) -> None:
    """Each thing, in each way, bare and patched: what worked works, what failed fails alike."""
    outcomes = []
    for set_up in ("", "import genai_otel; genai_otel.instrument(destinations='local')"):
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            CLIENTS.format(set_up=set_up),
            provider.base_url,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        outcomes.append(json.loads(done.stdout.splitlines()[-1]))
    bare, patched = outcomes
    differing = {key: (bare[key], patched[key]) for key in bare if bare[key] != patched[key]}
    assert differing == {}
    assert genai_otel.__version__


def test_the_open_streams_of_a_process_are_not_copied() -> None:
    """Decorators refer to them, and ``dill`` follows that."""
    assert pickle.loads(pickle.dumps(OPEN)) is OPEN


async def test_pickled_while_a_clients_coroutine_waits(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    """Where that was made is kept in this process, and goes nowhere."""
    async with openai.AsyncOpenAI(api_key="sk", base_url=provider.base_url) as client:
        made = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hi"}]
        )
        pickled = cloudpickle.dumps(step(lambda word: word * 2))
        await made
    assert cloudpickle.loads(pickled)("ab") == "abab"
    assert len(genai_otel_capture.spans) == 2
