"""Requests signed for AWS (Signature Version 4), by botocore: the extra ``aws``.

Credentials are those of AWS's default chain: environment, profile, SSO, web identity, container,
instance. They are looked up on the worker's thread when the first request is signed, refreshed when
they are about to end, and looked up again at the next try where there were none.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from genai_otel._support.fork import unforked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Sign = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]

_REPLACED_HEADERS = ("authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256")


def signer(service: str, options: Mapping[str, str]) -> Sign:
    """A function from method, URL, headers and body to all headers to send.

    ``options``: ``region``, and ``profile`` where it is not the default. Imports nothing of
    botocore's; raises ``ModuleNotFoundError`` if it is not installed, and the function raises
    ``RuntimeError`` where no credentials are found.
    """
    if find_spec("botocore") is None:
        raise ModuleNotFoundError("No module named 'botocore'", name="botocore")
    keys = _Credentials(options.get("profile"))
    region = options["region"]

    def sign(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        return _sign(keys.current(), (service, region), method, url, (headers, body))

    return sign


class _Credentials:
    """The current credentials."""

    def __init__(self, profile: str | None) -> None:
        self._profile, self._found, self._process = profile, None, os.getpid()

    def current(self) -> Any:
        """Keys and token as of this moment; botocore refreshes them where that is due.

        No lock: one worker asks, and a forked child could find it held for ever. So it could
        botocore's own, for a refresh: a child looks for its credentials anew.
        """
        if self._process != os.getpid():
            self._found, self._process = None, os.getpid()
        with unforked():
            from botocore.exceptions import CredentialRetrievalError
            from botocore.session import Session

        try:
            if self._found is None:
                self._found = Session(profile=self._profile).get_credentials()
            found: Any = self._found
            if found is not None:
                return found.get_frozen_credentials()
        except CredentialRetrievalError as error:  # whose text quotes the output of a command
            kind = type(error).__name__
            raise RuntimeError(f"AWS credentials could not be loaded ({kind})") from None
        raise RuntimeError(
            "no AWS credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY, or give this machine a role"
        )


def _sign(
    keys: Any, scope: tuple[str, str], method: str, url: str, sent: tuple[Mapping[str, str], bytes]
) -> dict[str, str]:
    headers, body = sent
    kept = {name: value for name, value in headers.items() if name.lower() not in _REPLACED_HEADERS}
    with unforked():  # in the middle of an import, or with a lock of OpenSSL's held, which hashes
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method=method, url=url, headers=kept, data=body)
        SigV4Auth(keys, *scope).add_auth(request)
    return dict(request.headers.items())
