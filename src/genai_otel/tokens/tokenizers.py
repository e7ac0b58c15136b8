"""Count tokens with the model's own tokenizer, if its file is on this machine already.

tiktoken downloads such files, without a time limit, if they are missing or their hash is wrong. So
its loader is never called: its definitions are run with a loader that only reads. That takes half a
second and tens of megabytes, on a background thread; until it is done, and for all other models,
nothing is counted here.
"""

from __future__ import annotations

import base64
import hashlib
import tempfile
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from genai_otel._support.background import begin
from genai_otel._support.locks import reentrant

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_KNOWN = 1_000
_LONGEST = 64_000
_PER_MESSAGE, _PER_REPLY = 4, 3  # role and delimiters of a message; start of the reply


class Counted(NamedTuple):
    """Tokens of the request and the response, and the method."""

    asked: int
    answered: int
    method: str


class Tokenizers:
    """Tokenizers of OpenAI's models whose files are in ``directory``.

    ``None`` is tiktoken's default, in the directory for temporary files.
    """

    def __init__(self, directory: str | None = None) -> None:
        place = Path(tempfile.gettempdir(), "data-gym-cache")
        self._directory = Path(directory) if directory else place
        self._lock = reentrant()
        self._known: dict[str, Any] = {}
        self._loaded: dict[str, Any] = {}

    def count(
        self, model: str | None, asked: Sequence[str], answered: Sequence[str], *, chat: bool
    ) -> Counted | None:
        """Count tokens without waiting; ``None`` if the model's tokenizer is missing or not loaded.

        Also ``None`` for very long texts, which would take milliseconds. ``asked`` has one text per
        message; in a ``chat`` each has delimiters, which are counted.
        """
        if model is None:
            return None
        if model not in self._known:
            self._look_for(model)
        tokenizer = self._known.get(model)
        if tokenizer is None or sum(map(len, (*asked, *answered))) > _LONGEST:
            return None
        # Not "encode": it raises on texts that a user can type.
        sent = sum(len(tokenizer.encode_ordinary(text)) for text in asked)
        made = sum(len(tokenizer.encode_ordinary(text)) for text in answered)
        around = _PER_MESSAGE * len(asked) + _PER_REPLY if chat else 0
        return Counted(sent + around, made, f"tiktoken-{tokenizer.name}")

    def _look_for(self, model: str) -> None:
        """Load the model's tokenizer, if there is one, on a thread."""
        with self._lock:
            if model in self._known:
                return
            if len(self._known) >= _MOST_KNOWN:  # model names may be untrusted
                del self._known[next(iter(self._known))]
            self._known[model] = None
        begin("tokenizer", self._load, model)

    def _load(self, model: str) -> None:
        try:
            found = self._tokenizer(model)
        except Exception:  # noqa: BLE001 - missing, not readable, another tiktoken: no tokenizer
            return
        with self._lock:
            if model in self._known:
                self._known[model] = found

    def _tokenizer(self, model: str) -> Any:
        import tiktoken
        from tiktoken.registry import ENCODINGS

        name = tiktoken.encoding_name_for_model(model)
        found = ENCODINGS.get(name) or self._loaded.get(name)  # the application's own first
        if found is None:
            found = self._loaded[name] = tiktoken.Encoding(**self._definition(name))
        return found

    def _definition(self, name: str) -> dict[str, Any]:
        """Run tiktoken's own definition with our function to read the file."""
        from tiktoken_ext import openai_public

        world = dict(vars(openai_public))
        for each, value in vars(openai_public).items():
            if isinstance(value, FunctionType) and value.__module__ == openai_public.__name__:
                world[each] = FunctionType(value.__code__, world, each, value.__defaults__)
        world["load_tiktoken_bpe"], world["data_gym_to_mergeable_bpe_ranks"] = self._read, _refuse
        made: dict[str, Any] = world[name]()
        return made

    def _read(self, address: str, expected_hash: str) -> dict[bytes, int]:
        """Read the ranks in tiktoken's cached file of ``address``; verified, never downloaded."""
        key = hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
        data = (self._directory / key).read_bytes()
        if hashlib.sha256(data).hexdigest() != expected_hash:
            raise ValueError("the file is not what it should be")
        pairs = (line.split() for line in data.splitlines() if line)
        return {base64.b64decode(token): int(rank) for token, rank in pairs}


def _refuse(*_args: Any, **_more: Any) -> Any:
    raise ValueError("of several files, and of no model that chats")
