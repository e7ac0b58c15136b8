"""A request as the server received it, and what became of it."""

from __future__ import annotations

import email.parser
import email.policy
import functools
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from email.message import Message, MIMEPart


class UsageEntry(NamedTuple):
    """What an answer was worth, whether or not the reply told; `None` where nothing was made."""

    path: str
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    status: int
    streamed: bool
    completed: bool


@dataclass(eq=False)
class Request:
    """Method, path, headers and body are the client's; the rest is filled in while answering.

    `status`, `sent` and `completed` are set before the last bytes leave, so a client which has
    read its reply to the end sees them. A client which leaves early must `wait` first.
    """

    method: str
    path: str
    headers: Message[str, str]
    raw: bytes
    received: float = field(default_factory=time.time)
    request_id: str = ""
    endpoint: str | None = None
    model: str | None = None
    status: int | None = None
    sent: list[float] = field(default_factory=list)
    """Epoch seconds at which each frame of a stream was written."""
    completed: bool = False
    """The whole answer was written."""
    disconnected: bool = False
    """The client left before that."""
    done: threading.Event = field(default_factory=threading.Event, repr=False)

    def wait(self, seconds: float = 5.0) -> bool:
        """Wait until the server is done with this request."""
        return self.done.wait(seconds)

    @functools.cached_property
    def json(self) -> Any:
        """The body as JSON, `None` when it is none."""
        try:
            return json.loads(self.raw)
        except ValueError:
            return None

    @functools.cached_property
    def form(self) -> dict[str, str]:
        """The plain fields of a multipart body; of files, their names."""
        kind = self.headers.get("content-type", "")
        if not kind.startswith("multipart/"):
            return {}
        head = f"content-type: {kind}\r\n\r\n".encode()
        parser = email.parser.BytesParser(policy=email.policy.HTTP)
        return dict(map(_field, parser.parsebytes(head + self.raw).iter_parts()))


def _field(part: MIMEPart) -> tuple[str, str]:
    name = part.get_param("name", header="content-disposition")
    filename = part.get_filename()
    value = filename or (part.get_payload(decode=True) or b"").decode()  # type: ignore[union-attr]
    return str(name), value
