"""A provider on loopback: real clients talk to it over real sockets, and tests know the truth.

    with Provider() as provider:                                  # or the fixture `provider`
        client = openai.OpenAI(api_key="k", base_url=provider.base_url)
        client.chat.completions.create(model="tools", messages=[...], stream=True)
        provider.requests[-1].json                                # what was sent
        provider.usage_log[-1].output_tokens                      # what it was worth
        truth("tools", "chat", stream=True).tool_calls            # what the caller was given

The model that a request names selects the answer; `fixtures.py` lists the scenarios, and
`provider.add(name, Scenario(...))` brings one of a test's own. From a shell,
`python -m tests.provider --port 0` prints `READY` and its base URL. Only the standard library is
used, and nothing of the package that it helps to test.

To add a wire format, write a module beside `openai_wire` with its `Endpoint` rows (see `wire.py`)
and name it in `catalogue.py`; scenarios, delivery, failures and truth are shared.
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
