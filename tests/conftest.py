"""Fixtures of the whole suite."""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

import genai_otel
from tests.closing import clients_closed
from tests.collected import collect
from tests.export_workers import make_worker
from tests.leftovers import left_to_the_collector
from tests.provider.plugin import provider, provider_server

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["clients_closed", "make_worker", "nothing_set_up", "provider", "provider_server"]

pytest_plugins = ["tests.judged"]

# Errors of our own are raised in this suite; tests that show how they are contained say otherwise.
os.environ["GENAI_OTEL_STRICT"] = "1"

# Each client that is made loads the machine's certificates, hundreds of them, and those of the
# suite are made by the thousand. All of them talk to loopback: one certificate will do.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("authority.pem"))

# pytest compiles our modules by way of their syntax trees, which CPython 3.11 cannot do on two
# threads at once: what a thread of ours would import is imported before there are any.
for _name in ("pricing.bundled", "pricing.price_list", "tokens.tokenizers"):
    import_module(f"genai_otel.{_name}")

# A process's first call may be over before its prices are loaded; no test here is about that.
with suppress(ImportError):  # without the table's package
    import_module("genai_otel.pricing.bundled").Bundled()

# How long an example takes on a busy machine decides nothing.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


def pytest_collection_finish() -> None:
    """What was imported stays to the end: tests that collect need not have it looked through.

    Of itself the collector runs seldom: what a test leaves behind is found at the end of its file,
    not in the middle of another.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 100, 1_000)


@pytest.fixture(autouse=True, scope="module")
def nothing_set_up() -> Iterator[None]:
    """What one file leaves set up or open would decide for the next, or fail a test of it."""
    genai_otel.shutdown()
    yield
    genai_otel.shutdown()
    if left := left_to_the_collector():
        pytest.fail("\n".join(["left to the garbage collector:", *left]), pytrace=False)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The collector does not run by itself."""
    collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def no_mistake_told_yet() -> None:
    """Each is told once and only so many are: tests of odd values must not use that up."""
    from genai_otel.record import misuse

    misuse._REPORTED.clear()
