"""Texts that are written below an address, as they may leave, and told of on the span."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

import genai_otel
from genai_otel import ContentPolicy, Destination, Settings, operation, retriever, tool
from genai_otel import _semconv as names
from genai_otel.privacy import loosest, preset
from genai_otel.record import KEEPER
from genai_otel.testing import Capture

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-proj-abcDEF1234567890abcdef"
REFS = {
    names.GEN_AI_INPUT_MESSAGES_REF: "_inputs.json",
    names.GEN_AI_OUTPUT_MESSAGES_REF: "_outputs.json",
    names.GEN_AI_SYSTEM_INSTRUCTIONS_REF: "_system_instruction.json",
    names.GEN_AI_TOOL_DEFINITIONS_REF: "_tool_definitions.json",
}
_STANDARD = "OTEL_INSTRUMENTATION_GENAI_"


@pytest.fixture
def capture() -> Iterator[Capture]:
    capture = Capture()
    genai_otel.shutdown()
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


def say() -> None:
    with operation("chat") as op:
        op.provider, op.model = "openai", "gpt-5-mini"
        op.system, op.input, op.output = "Be brief.", f"my key is {KEY}", "Thank you."  # type: ignore[assignment]
        op.tools = [{"type": "function", "name": "look"}]


def told(capture: Capture) -> dict[str, Any]:
    return dict(capture.span().attributes or {})


def read(address: Any) -> Any:
    """What was written there, once all is written."""
    assert genai_otel.flush()
    return json.loads(Path(url2pathname(urlsplit(str(address)).path)).read_text("utf-8"))


@pytest.mark.parametrize("texts", ["upload", "both"])
def test_what_was_said_is_written_masked(capture: Capture, tmp_path: Path, texts: str) -> None:
    store = tmp_path / "said"
    policy = ContentPolicy(message_storage=texts, upload_to=store.as_uri())
    genai_otel.instrument(destinations=capture.exporter, content=policy)
    say()
    found, context = told(capture), capture.span().get_span_context()
    assert context is not None
    for name, end in REFS.items():
        assert found[name].startswith(f"{store.as_uri()}/{context.trace_id:032x}_")
        assert found[name].endswith(f"{context.span_id:016x}{end}")
        assert (name.removesuffix("_ref") in found) is (texts == "both")
    (message,) = read(found[names.GEN_AI_INPUT_MESSAGES_REF])
    assert message["parts"] == [{"type": "text", "content": "my key is [OPENAI_KEY]"}]
    assert len(list(store.iterdir())) == len(REFS)
    if os.name == "posix":
        assert {file.stat().st_mode & 0o777 for file in store.iterdir()} == {0o600}


def test_what_has_no_reference_in_the_convention(capture: Capture, tmp_path: Path) -> None:
    policy = ContentPolicy(message_storage="upload", upload_to=tmp_path.as_uri())
    genai_otel.instrument(destinations=capture.exporter, content=policy)
    tool(lambda key: f"got {key}", name="look")(KEY)
    found = told(capture)
    more = read(found[names.GENAI_OTEL_CONTENT_REF])
    assert json.loads(more[names.GEN_AI_TOOL_CALL_RESULT]) == {"result": "got [OPENAI_KEY]"}
    assert names.GEN_AI_TOOL_CALL_ARGUMENTS in more
    assert "got" not in str(found)


def test_nothing_is_written_of_what_is_withheld(capture: Capture, tmp_path: Path) -> None:
    """By its class, or altogether: neither texts nor media."""
    modes: Any = {"messages": "none", "system": "none"}
    policy = ContentPolicy(
        **modes, message_storage="both", media="upload", upload_to=tmp_path.as_uri()
    )
    genai_otel.instrument(destinations=capture.exporter, content=policy)
    assert KEEPER.keep is None
    say()
    assert set(told(capture)) & set(REFS) == {names.GEN_AI_TOOL_DEFINITIONS_REF}
    read(told(capture)[names.GEN_AI_TOOL_DEFINITIONS_REF])
    assert len(list(tmp_path.iterdir())) == 1


def test_a_mask_that_fails_uploads_no_raw_text(capture: Capture, tmp_path: Path) -> None:
    def raises(text: str) -> str:
        raise KeyError(text)

    policy = ContentPolicy(
        message_storage="upload", upload_to=tmp_path.as_uri(), redactor=raises, deadline=60
    )
    genai_otel.instrument(destinations=capture.exporter, content=policy)
    say()
    assert genai_otel.flush()
    written = "".join(file.read_text("utf-8") for file in tmp_path.iterdir())
    assert "[redaction failed: KeyError]" in written
    assert not [text for text in (KEY, "my key", "Be brief", "Thank you") if text in written]


def test_an_error_of_ours_uploads_no_raw_text(
    capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> Any:
        raise RuntimeError(KEY)

    policy = ContentPolicy(message_storage="upload", upload_to=tmp_path.as_uri())
    genai_otel.instrument(destinations=capture.exporter, content=policy)
    monkeypatch.setattr("genai_otel._support.errors.FAULTS.strict", False)
    monkeypatch.setattr("genai_otel._support.errors.FAULTS.counts", {})
    monkeypatch.setattr("genai_otel.privacy.json_walk.JsonWalk.attribute", breaks)
    say()
    found = told(capture)
    assert read(found[names.GEN_AI_INPUT_MESSAGES_REF]) == "[redaction failed: RuntimeError]"


def test_destinations_have_what_they_may(capture: Capture, tmp_path: Path) -> None:
    """One keeps texts on spans and does not learn where they are, another has only references."""
    store = (tmp_path / "said").as_uri()
    local = Destination("local", directory=str(tmp_path / "store"), content="redacted")
    uploading = ContentPolicy(message_storage="upload", upload_to=store)
    genai_otel.instrument(destinations=[capture.exporter, local], content=uploading)
    say()
    found = told(capture)
    assert set(REFS) < set(found)
    assert not {name.removesuffix("_ref") for name in REFS} & set(found)
    (file,) = (tmp_path / "store").glob("traces-*.jsonl")
    written = file.read_text("utf-8")
    assert "my key is [OPENAI_KEY]" in written
    assert store not in written


def test_the_loosest_of_several_that_upload() -> None:
    uploading = ContentPolicy(message_storage="upload", upload_to="file:///a")
    assert loosest([uploading]) == uploading
    both = loosest([preset("redacted"), uploading])
    assert (both.message_storage, both.upload_to) == ("both", "file:///a")
    media = ContentPolicy(media="upload", upload_to="file:///b")
    assert loosest([media, uploading]).media == "upload"
    assert loosest([media, uploading]).upload_to == "file:///b"


def test_a_store_that_fails_or_is_full_is_counted(
    capture: Capture, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The span goes out; its texts are lost, and neither log nor status quotes them."""
    (tmp_path / "file").write_text("in the way")
    policy = ContentPolicy(
        message_storage="upload", upload_to=(tmp_path / "file" / "said").as_uri()
    )
    genai_otel.instrument(destinations=capture.exporter, content=policy)
    say()
    assert genai_otel.flush()
    assert capture.span()
    (fault,) = genai_otel.status().internal_errors
    assert fault.startswith("upload: ")
    assert "my key" not in caplog.text


def test_a_slow_store_holds_nobody(
    capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    monkeypatch.setattr("genai_otel.privacy.uploads.media._write_file", lambda *_: free.wait(60))
    policy = ContentPolicy(message_storage="upload", upload_to=tmp_path.as_uri())
    genai_otel.instrument(destinations=capture.exporter, content=policy)
    say()  # returns, though nothing can be written
    assert genai_otel.flush(0.05) is False
    free.set()
    assert genai_otel.flush(60)


# ------------------------------------------------------------------------- the standard variables


def environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(_STANDARD + name, value)


def test_the_standard_hook(
    capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, COMPLETION_HOOK="upload", UPLOAD_BASE_PATH=str(tmp_path))
    genai_otel.instrument(destinations=capture.exporter)
    say()
    found = told(capture)
    assert names.GEN_AI_INPUT_MESSAGES in found
    assert read(found[names.GEN_AI_INPUT_MESSAGES_REF])


def test_the_standard_hook_without_content_on_spans(
    capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the convention has it: a hook that was asked for is called whatever the capture mode."""
    environment(
        monkeypatch,
        COMPLETION_HOOK="upload",
        UPLOAD_BASE_PATH=str(tmp_path),
        CAPTURE_MESSAGE_CONTENT="NO_CONTENT",
    )
    genai_otel.instrument(destinations=capture.exporter)
    say()
    retriever(lambda query: [{"id": "1", "content": query}])("find bridges")
    said, found = (str(dict(span.attributes or {})) for span in capture.spans)
    assert not [text for text in ("my key", "Be brief", "bridges") if text in said + found]
    assert genai_otel.flush()
    assert len(list(tmp_path.iterdir())) == len(REFS) + 1


@pytest.mark.parametrize("ours", [True, False])
def test_none_is_none_whatever_hook(
    capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    """Said to us, it holds; and a hook without a path has nowhere to write."""
    environment(monkeypatch, COMPLETION_HOOK="upload", CAPTURE_MESSAGE_CONTENT="NO_CONTENT")
    if ours:
        environment(monkeypatch, UPLOAD_BASE_PATH=str(tmp_path))
        monkeypatch.setenv("GENAI_OTEL_CONTENT", "none")
    genai_otel.instrument(destinations=capture.exporter)
    say()
    assert genai_otel.flush()
    assert not list(tmp_path.iterdir())
    assert not set(REFS) & set(told(capture))


def test_a_hook_of_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environment(monkeypatch, COMPLETION_HOOK="theirs")
    assert Settings.from_environment().completion_hook is None
    genai_otel.instrument(destinations=[])
    assert "only upload is supported" in caplog.text
    assert "only upload is supported" in genai_otel.status().notices[0]
    with pytest.raises(ValueError, match="unknown completion hook 'theirs'"):
        Settings(completion_hook="theirs")


# ----------------------------------------------------------------------------- stores of fsspec


def test_a_store_of_fsspec(capture: Capture) -> None:
    fsspec = pytest.importorskip("fsspec")
    policy = ContentPolicy(message_storage="upload", upload_to="memory://said")
    genai_otel.instrument(destinations=capture.exporter, content=policy)
    say()
    assert genai_otel.flush()
    address = told(capture)[names.GEN_AI_OUTPUT_MESSAGES_REF]
    assert address.startswith("memory://said/")
    assert json.loads(fsspec.filesystem("memory").cat(address))[0]["role"] == "assistant"


def test_s3(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket as ``s3fs`` writes it, over HTTP, to a server that imitates S3."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    fsspec = pytest.importorskip("fsspec")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
            monkeypatch.setenv(f"AWS_{name}", "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
        files = fsspec.filesystem("s3")
        files.mkdir("s3://said")
        policy = ContentPolicy(message_storage="both", upload_to="s3://said/of/today")
        genai_otel.instrument(destinations=capture.exporter, content=policy)
        say()
        assert genai_otel.flush(30)
        address = told(capture)[names.GEN_AI_INPUT_MESSAGES_REF]
        assert address.startswith("s3://said/of/today/")
        assert b"[OPENAI_KEY]" in files.cat(address)
        assert len(files.ls("s3://said/of/today")) == len(REFS)
    finally:
        server.stop()
