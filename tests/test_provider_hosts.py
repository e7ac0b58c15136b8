"""Who serves is told by the host: of clients whose API many servers speak."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _semconv as names
from tests.answers import serving

openai = pytest.importorskip("openai")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture

PRICED = {
    "anthropic": ("api.anthropic.com", "anthropic"),
    "arcee": ("api.arcee.ai", "arcee"),
    "avian": ("api.avian.io", "avian"),
    "aws": ("bedrock-runtime.us-east-1.amazonaws.com", "aws.bedrock"),
    "azure": ("mine.openai.azure.com", "azure.ai.openai"),
    "baseten": ("inference.baseten.co", "baseten"),
    "cerebras": ("api.cerebras.ai", "cerebras"),
    "cloudflare": ("api.cloudflare.com", "cloudflare"),
    "cohere": ("api.cohere.ai", "cohere"),
    "cursor": ("api.cursor.com", "cursor"),
    "databricks": ("dbc-1.cloud.databricks.com", "databricks"),
    "deepseek": ("api.deepseek.com", "deepseek"),
    "doubleword": ("api.doubleword.ai", "doubleword"),
    "elevenlabs": ("api.elevenlabs.io", "elevenlabs"),
    "fireworks": ("api.fireworks.ai", "fireworks"),
    "github-copilot": ("api.githubcopilot.com", "github_copilot"),
    "google": ("generativelanguage.googleapis.com", "gcp.gemini"),
    "groq": ("api.groq.com", "groq"),
    "meta": ("api.meta.ai", "meta"),
    "minimax": ("api.minimax.io", "minimax"),
    "mistral": ("api.mistral.ai", "mistral_ai"),
    "modal": ("me--app.modal.run", "modal"),
    "moonshotai": ("api.moonshot.ai", "moonshot_ai"),
    "novita": ("api.novita.ai", "novita"),
    "openai": ("api.openai.com", "openai"),
    "openai-decisions": ("api.openai.com", "openai"),
    "openrouter": ("openrouter.ai", "openrouter"),
    "ovhcloud": ("oai.endpoints.kepler.ai.cloud.ovh.net", "ovhcloud"),
    "perplexity": ("api.perplexity.ai", "perplexity"),
    "quicksilverpro": ("api.quicksilverpro.io", "quicksilverpro"),
    "together": ("api.together.xyz", "together"),
    "typesafe": ("api.typesafe.ai", "typesafe"),
    "voyageai": ("api.voyageai.com", "voyage_ai"),
    "x-ai": ("api.x.ai", "x_ai"),
    "zai": ("api.z.ai", "z_ai"),
    "zhipuai": ("open.bigmodel.cn", "zhipu_ai"),
}
"""Each provider of the price table -> a host of its, and what it is called."""
OTHERS = {
    "bedrock-mantle.us-east-1.api.aws": "aws.bedrock",
    "bedrock-mantle.eu-west-1.amazonaws.com": "aws.bedrock",
    "vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com": "aws.bedrock",
    "models.github.ai": "github",
    "us-south.ml.cloud.ibm.com": "ibm.watsonx.ai",
    # what anybody runs on a cloud, and what only ends like a host that is known
    "mine-1.us-east-1.elb.amazonaws.com": "openai",
    "notopenai.example.org": "openai",
    "phoenix.ai": "openai",
}
HOSTS = {**dict(PRICED.values()), **OTHERS}
ANSWERS: dict[str, Any] = {}


@pytest.fixture(scope="module")
def proxy() -> Iterator[str]:
    with serving(ANSWERS) as root:
        yield root


@pytest.mark.parametrize("host", HOSTS)
def test_openai_compatible_servers(genai_otel_capture: Capture, proxy: str, host: str) -> None:
    ANSWERS[f"http://{host}/v1/chat/completions"] = {"id": "c", "model": "m", "choices": []}
    with openai.OpenAI(
        api_key="k",
        base_url=f"http://{host}/v1",
        http_client=openai.DefaultHttpxClient(proxy=proxy),
    ) as client:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi."}])
    attributes = genai_otel_capture.span().attributes or {}
    assert attributes[names.SERVER_ADDRESS] == host
    assert attributes[names.GEN_AI_PROVIDER_NAME] == HOSTS[host]


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.anthropic.com", "anthropic"),
        ("api.deepseek.com", "deepseek"),
        ("api.moonshot.ai", "moonshot_ai"),
        ("api.z.ai", "z_ai"),
        ("openrouter.ai", "openrouter"),
        ("bedrock-mantle.us-east-1.api.aws", "aws.bedrock"),
        ("gateway.example.org", "anthropic"),
    ],
)
def test_servers_that_speak_as_anthropic_does(
    genai_otel_capture: Capture, proxy: str, host: str, provider: str
) -> None:
    anthropic = pytest.importorskip("anthropic")
    ANSWERS[f"http://{host}/anthropic/v1/messages"] = {
        "id": "m", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    with anthropic.Anthropic(
        api_key="k",
        base_url=f"http://{host}/anthropic",
        http_client=anthropic.DefaultHttpxClient(proxy=proxy),
    ) as client:
        client.messages.create(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi."}]
        )
    attributes = genai_otel_capture.span().attributes or {}
    assert attributes[names.GEN_AI_PROVIDER_NAME] == provider


def test_each_host_of_the_price_table_is_known() -> None:
    """A provider that a newer table brings needs a host above, and a line among the hosts."""
    data = pytest.importorskip("genai_prices.data")
    patterns = {each.id: each.api_pattern for each in data.providers}
    routed = {name for name in patterns if name.startswith("huggingface_")}  # by path, not host
    assert set(patterns) - routed <= set(PRICED)
    for name, (host, _) in PRICED.items():
        if name in patterns:
            paths = ("", "/", "/serving-endpoints/", "/client/v4/accounts/me/ai/")
            assert any(re.match(patterns[name], f"https://{host}{path}") for path in paths), name
