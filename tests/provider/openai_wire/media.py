"""Images and audio: POST /v1/images/{generations,edits,variations}, /v1/audio/{speech,...}.

Shapes: OpenAI's API reference, "images", "image streaming" and "audio".
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.provider.openai_wire import common
from tests.provider.wire import Ask, Endpoint, Frame, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.scenario import Scenario, Usage

# ----------------------------------------------------------------------------------------- images

# One transparent pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
_PICTURE = base64.b64encode(PNG).decode()
_LOOK = {"background": "opaque", "output_format": "png", "quality": "low", "size": "1024x1024"}
_EVENT_PREFIX = {"images": "image_generation", "image-edits": "image_edit"}


def _image_usage(usage: Usage) -> Json:
    details = {"text_tokens": usage.input, "image_tokens": 0}
    return {**common.io_usage(usage), "input_tokens_details": details}


def _told(data: Json, scenario: Scenario) -> Usage | None:
    return scenario.usage.plain() if data.get("usage") else None


def _images(ask: Ask, scenario: Scenario) -> Json:
    by_url = ask.body.get("response_format") == "url"
    image = {"url": "http://127.0.0.1/picture.png"} if by_url else {"b64_json": _PICTURE}
    body: Json = {
        "created": common.CREATED,
        **_LOOK,
        "data": [image] * int(ask.body.get("n") or 1),
    }
    common.put_usage(body, scenario, _image_usage)
    return common.damage(body, scenario, "data")


def _image_frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    prefix = _EVENT_PREFIX[ask.endpoint]
    common_part = {**_LOOK, "created_at": common.CREATED, "b64_json": _PICTURE}
    for index in range(int(ask.body.get("partial_images") or 1)):
        kind = f"{prefix}.partial_image"
        yield Frame({"type": kind, **common_part, "partial_image_index": index}, event=kind)
    kind = f"{prefix}.completed"
    data = common.put_usage({"type": kind, **common_part}, scenario, _image_usage)
    yield Frame(data, event=kind, usage=_told(data, scenario))


# ----------------------------------------------------------------------------------------- speech

# Half a second of silence: the header of a WAV file, and its samples.
_SAMPLES = bytes(8000)
SOUND = (
    b"RIFF" + (36 + len(_SAMPLES)).to_bytes(4, "little") + b"WAVEfmt \x10\0\0\0\1\0\1\0"
    b"\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data" + len(_SAMPLES).to_bytes(4, "little") + _SAMPLES
)


def _speech(ask: Ask, scenario: Scenario) -> bytes:
    return SOUND


def _speech_frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    for start in range(0, len(SOUND), 4096):
        audio = base64.b64encode(SOUND[start : start + 4096]).decode()
        yield Frame({"type": "speech.audio.delta", "audio": audio}, event="speech.audio.delta")
    data = common.put_usage({"type": "speech.audio.done"}, scenario, common.io_usage)
    yield Frame(data, event="speech.audio.done", usage=_told(data, scenario))


# ----------------------------------------------------------------- transcriptions and translations

_SEGMENT = {
    "id": 0,
    "seek": 0,
    "start": 0.0,
    "end": 0.5,
    "tokens": [1, 2, 3],
    "temperature": 0.0,
    "avg_logprob": -0.2,
    "compression_ratio": 1.1,
    "no_speech_prob": 0.01,
}
_CUES = {
    "text": "{text}\n",
    "srt": "1\n00:00:00,000 --> 00:00:00,500\n{text}\n\n",
    "vtt": "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\n{text}\n\n",
}


def _tokens(usage: Usage) -> Json:
    details = {"text_tokens": 0, "audio_tokens": usage.input}
    return {"type": "tokens", **common.io_usage(usage), "input_token_details": details}


def _verbose(text: str) -> Json:
    segments = [{**_SEGMENT, "text": text}]
    return {"language": "english", "duration": 0.5, "text": text, "segments": segments}


def _transcript(ask: Ask, scenario: Scenario) -> Json | str:
    """Usage comes with the plain JSON (in tokens) and with the verbose one (in seconds)."""
    text, form = scenario.replies[0].text, ask.body.get("response_format")
    if form in _CUES:
        return _CUES[form].format(text=text)
    billed = ask.endpoint == "transcriptions"
    if form == "verbose_json":
        body = _verbose(text)
        spell = lambda _: {"type": "duration", "seconds": 1}  # noqa: E731 - as short as it is
    else:
        body, spell = {"text": text}, _tokens
    if billed:
        common.put_usage(body, scenario, spell)
    return common.damage(body, scenario, "text")


def _transcript_frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    delta, done = "transcript.text.delta", "transcript.text.done"
    for piece in scenario.pieces():
        if piece.kind == "text" and piece.choice == 0:
            yield Frame({"type": delta, "delta": piece.value}, event=delta, piece=piece)
    data = {"type": done, "text": scenario.replies[0].text}
    common.put_usage(data, scenario, _tokens)
    yield Frame(data, event=done, usage=_told(data, scenario))


def _stream_error(ask: Ask, scenario: Scenario, sequence: int) -> Frame:
    return Frame({"type": "error", "error": common.STREAM_ERROR}, event="error", handed=False)


_IMAGES = Endpoint(
    name="images",
    path=common.path("/images/generations"),
    ask=common.asks("images"),
    error=common.error,
    whole=_images,
    frames=_image_frames,
    error_frame=_stream_error,
    fault=common.STREAM_ERROR,
    counts="plain",
)
_TRANSCRIPTIONS = replace(
    _IMAGES,
    name="transcriptions",
    path=common.path("/audio/transcriptions"),
    ask=common.asks("transcriptions"),
    whole=_transcript,
    frames=_transcript_frames,
    tells=frozenset({"text"}),
)

ENDPOINTS = (
    _IMAGES,
    replace(
        _IMAGES,
        name="image-edits",
        path=common.path("/images/edits"),
        ask=common.asks("image-edits"),
    ),
    replace(
        _IMAGES,
        name="speech",
        path=common.path("/audio/speech"),
        ask=common.asks("speech"),
        whole=_speech,
        frames=_speech_frames,
        counts="none",
        binary_type="audio/wav",
    ),
    _TRANSCRIPTIONS,
    replace(
        _TRANSCRIPTIONS,
        name="translations",
        path=common.path("/audio/translations"),
        ask=common.asks("translations"),
        frames=None,
        counts="none",
    ),
)
