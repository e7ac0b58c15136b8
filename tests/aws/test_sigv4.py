"""Signatures: accepted by a server that knows nothing of botocore, only where they are right."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from genai_otel.export.backends import sigv4
from tests.aws.server import Aws, Key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("botocore")

KEY, SECRET, TOKEN = (
    "AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "a session's token==",
)


@pytest.fixture(autouse=True)
def _only_these_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def aws() -> Iterator[Aws]:
    with Aws({KEY: Key(SECRET)}) as server:
        yield server


@pytest.fixture
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def body() -> bytes:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.name, span.start_time_unix_nano = "chat gpt-5", time.time_ns()
    return gzip.compress(request.SerializeToString())


def send(aws: Aws, sign: sigv4.Sign, *, sent: bytes | None = None, **more: str) -> int:
    """What the server answers to a signed request; ``sent`` instead of what was signed."""
    url = f"{aws.url}/v1/traces"
    given = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", **more}
    signed = body()
    headers = dict(sign("POST", url, given, signed))
    try:
        with urlopen(Request(url, signed if sent is None else sent, headers)) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            json.loads(error.read())
        return error.code


def sign(**options: str) -> sigv4.Sign:
    return sigv4.signer("xray", {"region": "eu-west-1", **options})


@pytest.mark.usefixtures("_keys")
def test_a_signed_request_is_accepted(aws: Aws) -> None:
    assert send(aws, sign()) == 200
    assert [span.name for span in aws.spans()] == ["chat gpt-5"]
    assert aws.got[0].headers["content-encoding"] == "gzip"


@pytest.mark.usefixtures("_keys")
def test_a_session_token_is_sent_and_signed(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    assert send(aws, sign()) == 403
    aws.keys[KEY] = Key(SECRET, TOKEN)
    assert send(aws, sign()) == 200
    assert aws.got[0].headers["x-amz-security-token"] == TOKEN


def refused(aws: Aws, sign: sigv4.Sign, **more: Any) -> str:
    assert send(aws, sign, **more) == 403
    return aws.refused[-1].kind


@pytest.mark.usefixtures("_keys")
def test_what_is_not_right_is_refused(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(aws, sign(), sent=body() + b" ") == "InvalidSignatureException"
    assert refused(aws, sign(region="us-east-1")) == "InvalidSignatureException"
    other_service = sigv4.signer("logs", {"region": "eu-west-1"})
    assert refused(aws, other_service) == "InvalidSignatureException"
    assert refused(aws, lambda *given: given[2]) == "MissingAuthenticationTokenException"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{SECRET}x")
    assert refused(aws, sign()) == "InvalidSignatureException"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
    assert refused(aws, sign()) == "UnrecognizedClientException"
    assert aws.got == []


@pytest.mark.usefixtures("_keys")
@pytest.mark.parametrize("skew", [-600, 600])
def test_a_clock_that_is_wrong_is_refused(aws: Aws, skew: int) -> None:
    aws.skew = skew
    assert refused(aws, sign()) == "InvalidSignatureException"
    assert "expired" in aws.refused[-1].message


@pytest.mark.usefixtures("_keys")
def test_headers_are_signed_too(aws: Aws) -> None:
    def changed(*given: Any) -> dict[str, str]:
        headers = dict(sign()(*given))
        return {**headers, "Content-Type": "application/json"}

    assert refused(aws, changed) == "InvalidSignatureException"


@pytest.mark.usefixtures("_keys")
def test_a_request_that_is_sent_again_is_signed_anew(aws: Aws) -> None:
    again = sign()
    url = f"{aws.url}/v1/traces"
    first = again("POST", url, {"Content-Type": "application/x-protobuf"}, b"")
    second = again("POST", url, first, b"")
    assert sorted(name.lower() for name in second) == sorted({name.lower() for name in second})
    assert second["Authorization"].count("Signature=") == 1


def test_a_profile_and_keys_that_come_later(aws: Aws, tmp_path: Path) -> None:
    signing = sign(profile="telemetry")
    with pytest.raises(Exception, match="telemetry"):
        signing("POST", aws.url, {}, b"")
    (tmp_path / "credentials").write_text(
        f"[telemetry]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    )
    assert send(aws, signing) == 200


def test_no_credentials_are_told_so_and_looked_for_again(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    signing = sign()
    with pytest.raises(RuntimeError, match="no AWS credentials: set AWS_PROFILE"):
        signing("POST", aws.url, {}, b"")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert send(aws, signing) == 200


def test_keys_that_end_are_fetched_anew(aws: Aws, tmp_path: Path) -> None:
    """A credential process, whose keys are nearly over each time: each request asks it again."""
    script = tmp_path / "keys.py"
    calls = tmp_path / "calls"
    script.write_text(
        "import datetime, json, pathlib, sys\n"
        f"calls = pathlib.Path({str(calls)!r})\n"
        "n = len(calls.read_text()) if calls.exists() else 0\n"
        "calls.write_text('x' * (n + 1))\n"
        "ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)\n"
        f"print(json.dumps(dict(Version=1, AccessKeyId=f'{KEY}{{n}}', SecretAccessKey={SECRET!r},\n"
        "    SessionToken=f'token{n}', Expiration=ends.isoformat())))\n"
    )
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {script}\n")
    for n in range(8):
        aws.keys[f"{KEY}{n}"] = Key(SECRET, f"token{n}")
    signing = sign()
    assert [send(aws, signing) for _ in range(3)] == [200, 200, 200]
    used = [got.headers["x-amz-security-token"] for got in aws.got]
    assert len(set(used)) == 3


def test_botocore_is_not_imported_before_something_is_signed() -> None:
    code = (
        "import sys; from genai_otel.export.backends import sigv4;"
        " sigv4.signer('xray', {'region': 'eu-west-1'}); assert 'botocore' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_package_it_says_which_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sigv4, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError) as caught:
        sign()
    assert caught.value.name == "botocore"


def test_what_a_command_says_of_its_failure_is_not_told(aws: Aws, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        '[default]\ncredential_process = sh -c "echo s3cret >&2; exit 1"\n', encoding="utf-8"
    )
    with pytest.raises(RuntimeError, match="could not be loaded") as told:
        send(aws, sign())
    assert "s3cret" not in "".join(traceback.format_exception(told.value))
