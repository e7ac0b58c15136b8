"""Media are told by type, length and hash, or dropped, or written somewhere under that hash."""

from __future__ import annotations

import base64
import json
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

import openai
import pytest

import genai_otel
from genai_otel import ContentPolicy, Destination
from genai_otel import _semconv as names
from genai_otel.privacy.uploads.media import Uploads
from genai_otel.record import KEEPER, media
from genai_otel.testing import Capture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.provider import Provider

PICTURE = b"\x89PNG" + bytes(range(256)) * 8
DATA = base64.b64encode(PICTURE).decode()


@pytest.fixture
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=provider.base_url, max_retries=0) as client:
        yield client


@pytest.fixture
def capture() -> Iterator[Capture]:
    capture = Capture()
    genai_otel.shutdown()
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


def show(client: openai.OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}
    client.chat.completions.create(
        model="ok",
        messages=[{"role": "user", "content": [image]}],  # type: ignore[list-item,misc]
    )


def part_of(capture: Capture) -> dict[str, Any]:
    attributes = capture.span().attributes or {}
    (message,) = json.loads(str(attributes[names.GEN_AI_INPUT_MESSAGES]))
    (part,) = message["parts"]
    return dict(part)


def test_by_default_a_hash(capture: Capture, client: openai.OpenAI) -> None:
    genai_otel.instrument(destinations=capture.exporter)
    show(client)
    part = part_of(capture)
    assert len(part.pop("sha256")) == 16
    assert part.pop("size") == len(PICTURE)
    assert part == {"type": "media", "modality": "image", "mime_type": "image/png"}
    assert DATA[:40] not in capture.span().to_json()


def test_dropped(capture: Capture, client: openai.OpenAI) -> None:
    genai_otel.instrument(destinations=capture.exporter, content=ContentPolicy(media="drop"))
    show(client)
    assert part_of(capture) == {"type": "media", "modality": "image", "mime_type": "image/png"}


def test_a_picture_in_a_tools_answer_is_dropped_too(
    capture: Capture, client: openai.OpenAI
) -> None:
    genai_otel.instrument(destinations=capture.exporter, content=ContentPolicy(media="drop"))
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}
    asked: Any = [{"role": "tool", "tool_call_id": "t1", "content": [image]}]
    client.chat.completions.create(model="ok", messages=asked)
    (picture,) = part_of(capture)["response"]
    assert picture == {"type": "media", "modality": "image", "mime_type": "image/png"}


def test_uploaded(capture: Capture, client: openai.OpenAI, tmp_path: Path) -> None:
    """The bytes are there when a flush says so, for their owner only; a second time they are not
    written again. A destination that may not have them does not even learn where they are."""
    store, local = tmp_path / "media", tmp_path / "local"
    policy = ContentPolicy(media="upload", upload_to=store.as_uri())
    stricter = Destination("local", directory=str(local), content="redacted")
    genai_otel.instrument(destinations=[capture.exporter, stricter], content=policy)
    show(client)
    assert genai_otel.flush()
    part = part_of(capture)
    (file,) = store.iterdir()
    assert part["uri"] == file.as_uri()
    assert file.read_bytes() == PICTURE
    assert file.name.endswith(".png")
    assert file.name.startswith(part["sha256"])
    if os.name == "posix":
        assert (file.stat().st_mode & 0o777, store.stat().st_mode & 0o777) == (0o600, 0o700)
    capture.clear()
    show(client)
    assert genai_otel.flush()
    assert part_of(capture)["uri"] == file.as_uri()
    assert list(store.iterdir()) == [file]
    (written,) = local.glob("traces-*.jsonl")
    assert part["sha256"] in written.read_text("utf-8")
    assert store.as_uri() not in written.read_text("utf-8")


def test_shut_down_nothing_is_kept(capture: Capture, tmp_path: Path) -> None:
    policy = ContentPolicy(media="upload", upload_to=(tmp_path / "media").as_uri())
    genai_otel.instrument(destinations=capture.exporter, content=policy)
    assert KEEPER.keep is not None
    genai_otel.shutdown()
    assert KEEPER.keep is None
    assert "uri" not in media("image", DATA)


def test_the_standard_variable(
    capture: Capture,
    client: openai.OpenAI,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH", str(tmp_path / "media"))
    genai_otel.instrument(destinations=capture.exporter)
    show(client)
    assert genai_otel.flush()
    (file,) = (tmp_path / "media").iterdir()
    assert part_of(capture)["uri"] == file.as_uri()
    genai_otel.instrument(destinations=capture.exporter, content="none")
    show(client)
    assert list((tmp_path / "media").iterdir()) == [file]


def test_a_store_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Counted and told once, without what an address may hold."""
    (tmp_path / "file").write_text("in the way")
    uploads = Uploads((tmp_path / "file" / "media").as_uri())
    for n in range(3):
        assert uploads.keep(DATA, f"{n}", "image/png")
    assert uploads.flush(30)
    assert sum(uploads.failures.values()) == 3
    assert uploads.written == 0
    assert len(caplog.records) == 1
    assert uploads.close(30)


def test_a_full_queue_drops_and_counts(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path.as_uri(), most=100)
    assert uploads.keep(b"x" * 101, "a", None) is None
    assert uploads.failures == {"QueueFull": 1}
    assert uploads.keep(b"x" * 99, "b", None) == f"{tmp_path.as_uri()}/b.bin"
    assert uploads.flush(30)
    assert (tmp_path / "b.bin").read_bytes() == b"x" * 99
    assert uploads.close(30)
    assert uploads.keep(b"x", "c", None) is None, "closed"


def test_a_slow_store_is_waited_for_no_longer_than_asked() -> None:
    free = threading.Event()
    uploads = Uploads("file:///nowhere")
    uploads._write = lambda name, data: free.wait(30)
    uploads.keep(b"x", "a", None)
    assert uploads.flush(0.05) is False
    free.set()
    assert uploads.flush(30) is True
    assert uploads.close(30)


def test_other_stores_need_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genai_otel.privacy.uploads.media.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="requires fsspec") as told:
        Uploads("s3://user:key@bucket/media?secret=1")
    assert "key" not in str(told.value)
    assert "secret" not in str(told.value)


def test_any_store_of_fsspec() -> None:
    fsspec = pytest.importorskip("fsspec")
    uploads = Uploads("memory://media")
    assert uploads.keep(DATA, "d" * 64, "image/png") == f"memory://media/{'d' * 64}.png"
    assert uploads.flush(30)
    assert fsspec.filesystem("memory").cat(f"/media/{'d' * 64}.png") == PICTURE
    assert uploads.close(30)


def test_addresses_lose_what_is_secret_in_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    part = media("image", "https://ann:pw@x.example/a/b.png?sig=1#frag")
    assert part["uri"] == "https://x.example/a/b.png"
