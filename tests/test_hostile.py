"""What requests, models and callers say chooses no destination, opens no file and is not held."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import openai
import pytest

from genai_otel import step
from tests import fresh

if TYPE_CHECKING:
    from pathlib import Path

    from genai_otel.testing import Capture
    from tests.provider import Provider

# Files, connections, processes and unpickling while ours is on the stack, or at all.
PROGRAM = """
import sys
seen, on = [], False
EVENTS = ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system")
EVENTS += ("pickle.find_class",)
def hook(event, given):
    if on and event == "open":
        frame = sys._getframe()
        while frame is not None:
            if "genai_otel" in frame.f_code.co_filename:
                seen.append((event, str(given[0])))
                break
            frame = frame.f_back
    elif on and event in EVENTS and "127.0.0.1" not in str(given):
        seen.append((event, str(given)))
sys.addaudithook(hook)
import openai
from opentelemetry import baggage, context
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
import genai_otel
from genai_otel import operation, scope
exporter = InMemorySpanExporter()
genai_otel.instrument(destinations=exporter, content="full")
client = openai.OpenAI(api_key="k", base_url=sys.argv[1])
def ask(said):
    client.chat.completions.create(model="ok", messages=[{"role": "user", "content": said}])
ask("warm")
with operation("chat", "warm"):
    pass
genai_otel.flush()
from genai_otel._support import background
background.finish()
on = True
evil = "http://evil.example/v1/traces"
trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
carrier = {"traceparent": trace, "tracestate": "genai_otel=http:evil,x=../../etc/passwd"}
inside = TraceContextTextMapPropagator().extract(carrier, baggage.set_baggage("endpoint", evil))
token = context.attach(inside)
for url in (evil, "file:///etc/passwd", "../../etc/passwd", "/etc/shadow", "data:image/png,aGk="):
    ask([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": url}])
    with scope(user_id=url, metadata={"path": url}, tags=[url]), operation("tool", url) as op:
        op.arguments, op.result = {"file": url}, url
        op.model = op.host = op.provider = url
context.detach(token)
assert genai_otel.flush()
on = False
print(len(exporter.get_finished_spans()), seen)
"""


def test_nothing_that_is_said_chooses_a_place(provider: Provider, tmp_path: Path) -> None:
    done = fresh.script(PROGRAM, provider.base_url, cwd=tmp_path)
    assert done.stdout.strip() == "12 []"


class Failed(Exception):
    pass


def test_nothing_of_the_hosts_is_kept(genai_otel_capture: Capture, provider: Provider) -> None:
    """Errors, replies, streams and arguments go as they would, without the collector."""

    @step
    def fails() -> None:
        raise Failed

    class Messages(list[Any]):
        pass

    def used() -> list[weakref.ref[Any]]:
        said = Messages([{"role": "user", "content": "Hello"}])
        reply = client.chat.completions.create(model="ok", messages=said)
        stream = client.chat.completions.create(model="ok", messages=said, stream=True)
        assert list(stream)
        found: list[Any] = [said, reply, stream]
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model="err400", messages=said)
        with pytest.raises(Failed) as failed:
            fails()
        found += [refused.value, failed.value]
        refs = [weakref.ref(each) for each in found]
        found.clear()
        return refs

    with openai.OpenAI(api_key="k", base_url=provider.base_url, max_retries=0) as client:
        kept = used()
        gc.collect()  # pytest's own notes of what was raised
    assert [ref() for ref in kept] == [None] * 5
    assert len(genai_otel_capture.spans) == 4
