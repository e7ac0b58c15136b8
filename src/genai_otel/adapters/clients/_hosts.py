"""Who serves at a host: for clients whose API many servers speak."""

from __future__ import annotations

# Suffixes of host names -> the provider, by the convention's name if it has one.
HOSTS = {
    "ai21.com": "ai21",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "aliyuncs.com": "alibaba_cloud",
    "anthropic.com": "anthropic",
    "arcee.ai": "arcee",
    "avian.io": "avian",
    "baidubce.com": "baidu",
    "baseten.co": "baseten",
    "bigmodel.cn": "zhipu_ai",
    "cerebras.ai": "cerebras",
    "chutes.ai": "chutes",
    "cloud.databricks.com": "databricks",
    "azuredatabricks.net": "databricks",
    "gcp.databricks.com": "databricks",
    "cloud.ovh.net": "ovhcloud",
    "api.cloudflare.com": "cloudflare",
    "cognitiveservices.azure.cn": "azure.ai.openai",
    "cognitiveservices.azure.com": "azure.ai.openai",
    "cognitiveservices.azure.us": "azure.ai.openai",
    "cohere.ai": "cohere",
    "cohere.com": "cohere",
    "cursor.com": "cursor",
    "deepinfra.com": "deepinfra",
    "deepseek.com": "deepseek",
    "doubleword.ai": "doubleword",
    "elevenlabs.io": "elevenlabs",
    "featherless.ai": "featherless",
    "fireworks.ai": "fireworks",
    "friendli.ai": "friendli",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "githubcopilot.com": "github_copilot",
    "groq.com": "groq",
    "huggingface.co": "huggingface",
    "hyperbolic.xyz": "hyperbolic",
    "inceptionlabs.ai": "inception",
    "inference.ai.azure.com": "azure.ai.inference",
    "inference.net": "inference_net",
    "lambda.ai": "lambda",
    "meta.ai": "meta",
    "minimax.chat": "minimax",
    "minimax.io": "minimax",
    "minimaxi.com": "minimax",
    "mistral.ai": "mistral_ai",
    "ml.cloud.ibm.com": "ibm.watsonx.ai",
    "modal.direct": "modal",
    "modal.run": "modal",
    "models.ai.azure.com": "azure.ai.inference",
    "models.github.ai": "github",
    "moonshot.ai": "moonshot_ai",
    "moonshot.cn": "moonshot_ai",
    "nebius.com": "nebius",
    "novita.ai": "novita",
    "nscale.com": "nscale",
    "nvidia.com": "nvidia",
    "ollama.com": "ollama",
    "openai.azure.cn": "azure.ai.openai",
    "openai.azure.com": "azure.ai.openai",
    "openai.azure.us": "azure.ai.openai",
    "openai.com": "openai",
    "openrouter.ai": "openrouter",
    "perplexity.ai": "perplexity",
    "quicksilverpro.io": "quicksilverpro",
    "replicate.com": "replicate",
    "sambanova.ai": "sambanova",
    "scaleway.ai": "scaleway",
    "services.ai.azure.com": "azure.ai.inference",
    "siliconflow.cn": "siliconflow",
    "siliconflow.com": "siliconflow",
    "stepfun.com": "stepfun",
    "together.ai": "together",
    "together.xyz": "together",
    "typesafe.ai": "typesafe",
    "upstage.ai": "upstage",
    "volces.com": "volcengine",
    "voyageai.com": "voyage_ai",
    "writer.com": "writer",
    "x.ai": "x_ai",
    "z.ai": "z_ai",
}
# Hosts of Bedrock, but also of anything else on AWS.
_AWS = ("amazonaws.com", "amazonaws.com.cn", "api.aws")
# Well-known ports of local model servers.
_LOCAL_PORTS = {11434: "ollama", 8000: "vllm", 1234: "lm_studio"}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def provider_at(host: str, port: int | None, default: str) -> str:
    """Who serves at this address; ``default`` where it is not known."""
    if host in _LOOPBACK:
        return _LOCAL_PORTS.get(port or 0, default)
    labels = host.lower().split(".")
    ends = [".".join(labels[start:]) for start in range(len(labels))]
    if any(end in _AWS for end in ends):
        bedrock = any(label.startswith("bedrock") for label in labels)
        return "aws.bedrock" if bedrock else default
    return next((HOSTS[end] for end in ends if end in HOSTS), default)
