"""A provider on loopback: real clients talk to it over real sockets, and tests know the truth.

The model that a request names selects the answer; `fixtures.py` lists the scenarios. Written with
the standard library only, and without the package that it helps to test.
"""

from __future__ import annotations

from tests.provider.fixtures import SCENARIOS, named
from tests.provider.received import Request, UsageEntry
from tests.provider.replay import Replay
from tests.provider.scenario import Failure, Reply, Scenario, ToolCall, Usage
from tests.provider.server import Provider
from tests.provider.truth import Truth, truth

__all__ = [
    "SCENARIOS",
    "Failure",
    "Provider",
    "Replay",
    "Reply",
    "Request",
    "Scenario",
    "ToolCall",
    "Truth",
    "Usage",
    "UsageEntry",
    "named",
    "truth",
]
