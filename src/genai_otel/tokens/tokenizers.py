"""Token counts by the models' own tokenizer, where its file lies on this machine's disk already.

tiktoken fetches such files when they are missing, or are not what they should be, without a time
limit. So its loader is never called: its definitions are run with one of ours that only reads.
That takes half a second and tens of megabytes, on a thread of its own; until it is done, and for
all other models, nothing is counted here.
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
_PER_MESSAGE, _PER_REPLY = 4, 3  # the role and the marks around it; what opens the answer


class Counted(NamedTuple):
    """Tokens of what was asked and answered, and by which method."""

    asked: int
    answered: int
    method: str


class Tokenizers:
    """The tokenizers of OpenAI's models, as far as their files are in ``directory``.

    ``None`` is where tiktoken keeps them by itself, in the folder for temporary files.
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
        """Never waits: ``None`` for a model without a tokenizer, or whose is not loaded yet.

        And for very long texts, which would take milliseconds. ``asked`` has a text a message; in a
        ``chat`` there are marks around each.
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
        """Loads the tokenizer of that model, on a thread, if there is one."""
        with self._lock:
            if model in self._known:
                return
            if len(self._known) >= _MOST_KNOWN:  # names of models may come from strangers
                del self._known[next(iter(self._known))]
            self._known[model] = None
        begin("tokenizer", self._load, model)

    def _load(self, model: str) -> None:
        try:
            found = self._tokenizer(model)
        except Exception:  # noqa: BLE001 - not there, not readable, another tiktoken: no tokenizer
            return
        with self._lock:
            if model in self._known:
                self._known[model] = found

    def _tokenizer(self, model: str) -> Any:
        import tiktoken
        from tiktoken.registry import ENCODINGS

        name = tiktoken.encoding_name_for_model(model)
        found = ENCODINGS.get(name) or self._loaded.get(name)  # the host's own, if it has one
        if found is None:
            found = self._loaded[name] = tiktoken.Encoding(**self._definition(name))
        return found

    def _definition(self, name: str) -> dict[str, Any]:
        """What tiktoken's own definition says, with our way to read the file that it names."""
        from tiktoken_ext import openai_public

        world = dict(vars(openai_public))
        for each, value in vars(openai_public).items():
            if isinstance(value, FunctionType) and value.__module__ == openai_public.__name__:
                world[each] = FunctionType(value.__code__, world, each, value.__defaults__)
        world["load_tiktoken_bpe"], world["data_gym_to_mergeable_bpe_ranks"] = self._read, _refuse
        made: dict[str, Any] = world[name]()
        return made

    def _read(self, address: str, expected_hash: str) -> dict[bytes, int]:
        """The tokens of the file that tiktoken has kept for ``address``; checked, never fetched."""
        key = hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
        data = (self._directory / key).read_bytes()
        if hashlib.sha256(data).hexdigest() != expected_hash:
            raise ValueError("the file is not what it should be")
        pairs = (line.split() for line in data.splitlines() if line)
        return {base64.b64decode(token): int(rank) for token, rank in pairs}


def _refuse(*_args: Any, **_more: Any) -> Any:
    raise ValueError("of several files, and of no model that chats")
