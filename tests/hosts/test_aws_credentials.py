"""Keys that AWS's services hand out, by moto: what is signed with them is checked as AWS does.

moto plays the classic pieces (STS, and the metadata service of an instance); the receiver is that
of ``tests/aws``, which knows of each key only what moto has handed out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import Destination
from tests.aws.server import Aws, Key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("botocore")
moto_server = pytest.importorskip("moto.server")
pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::123456789012:role/shop"
CONFIG = f"""
[profile base]
region = eu-west-1
[profile shop]
role_arn = {ROLE}
source_profile = base
region = eu-west-1
duration_seconds = 3600
[profile hasty]
role_arn = {ROLE}
source_profile = base
region = eu-west-1
duration_seconds = 900
"""
KEYS = "[base]\naws_access_key_id = AKIABASE\naws_secret_access_key = base-secret\n"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moto: str) -> None:
    config, keys = tmp_path / "config", tmp_path / "credentials"
    config.write_text(CONFIG, encoding="utf-8")
    keys.write_text(KEYS, encoding="utf-8")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


@pytest.fixture
def aws() -> Iterator[Aws]:
    with Aws(HandedOut()) as server:
        yield server
        genai_otel.shutdown()


class HandedOut(dict[str, Key]):
    """The keys of all roles that moto has let somebody assume, by their ids."""

    def get(self, name: str, default: Any = None) -> Any:
        from moto.sts.models import sts_backends

        for of_account in sts_backends.values():
            for backend in of_account.values():
                for role in backend.assumed_roles:
                    if role.access_key_id == name:
                        return Key(role.secret_access_key, role.session_token)
        return super().get(name, default)


def send(aws: Aws, times: int = 1, **options: str) -> list[str]:
    """Spans on their way, one by one; the id of the key that each request was signed with."""
    given = {"region": "eu-west-1", **options}
    genai_otel.instrument(destinations=Destination("xray", endpoint=aws.url, options=given))
    for _ in range(times):
        with genai_otel.operation("step", "s"):
            pass
        assert genai_otel.flush(60), genai_otel.status().destinations
    assert aws.refused == []
    assert len(aws.spans()) == times
    return [got.headers["authorization"].split("Credential=")[1].split("/")[0] for got in aws.got]


def test_a_role_that_is_assumed(aws: Aws) -> None:
    """Temporary keys with a session token, asked for once."""
    first, second = send(aws, 2, profile="shop")
    assert first == second
    assert first.startswith("ASIA")
    assert all(got.headers["x-amz-security-token"] for got in aws.got)


def test_keys_that_are_about_to_end_are_fetched_anew(aws: Aws) -> None:
    """Those of a quarter of an hour are old from the start."""
    assert len(set(send(aws, 3, profile="hasty"))) >= 2


def test_the_identity_of_a_pod(aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on EKS: a token in a file, for which STS gives keys of a role."""
    token = tmp_path / "token"
    token.write_text("a.web.token", encoding="utf-8")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    (key,) = send(aws)
    assert key.startswith("ASIA")


def test_the_role_of_an_instance(aws: Aws, monkeypatch: pytest.MonkeyPatch, moto: str) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{moto}/")
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    aws.keys["test-key"] = Key("test-secret-key", "test-session-token")
    assert send(aws) == ["test-key"]


def test_a_role_that_cannot_be_assumed(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """STS is away: it is said, without a key or token in it, and nothing is sent."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    given = {"region": "eu-west-1", "profile": "shop"}
    genai_otel.instrument(destinations=Destination("xray", endpoint=aws.url, options=given))
    with genai_otel.operation("step", "s"):
        pass
    assert not genai_otel.flush(5)
    (told,) = genai_otel.status().destinations
    assert told.last_error is not None
    assert told.last_error.startswith("signing failed")
    assert "base-secret" not in told.last_error
    assert aws.got == []
