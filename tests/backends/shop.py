"""A parcel shop's assistant: one trace with everything on it that a backend should show."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import openai

import genai_otel
from genai_otel import Verdict
from tests.provider.scenario import Reply, Scenario, ToolCall, Usage

if TYPE_CHECKING:
    from tests.provider import Provider

MODEL, EMBEDDING_MODEL = "gpt-4o-mini", "text-embedding-3-small"
# The list prices of these models, for a provider on loopback that nobody bills for.
PRICES = {
    "models": {
        f"{MODEL}*": {"input": 0.15, "cache_read": 0.075, "output": 0.60},
        f"{EMBEDDING_MODEL}*": {"input": 0.02},
    }
}
QUESTION = "Where is my parcel JD014?"
ANSWER = "Your parcel waits in the post office on Mill Lane until Friday."
SYSTEM = "You help the customers of a parcel service. Be brief and kind."
_TRACK = ToolCall("call_track", "track", '{"number": "JD014"}')
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "track",
            "description": "Finds where a parcel is.",
            "parameters": {"type": "object", "properties": {"number": {"type": "string"}}},
        },
    }
]
DOCUMENTS = [
    {"id": "returns.md", "score": 0.83, "content": "Parcels wait ten days at a post office."},
    {"id": "hours.md", "score": 0.61, "content": "Post offices are open from 9 to 17."},
]


def prepare(provider: Provider) -> None:
    """The models answer what the story needs."""
    calls = Scenario(
        replies=(Reply(calls=(_TRACK,), finish="tool_calls"),),
        usage=Usage(412, 18, cached=256),
        then="gpt-4o-mini-after-tools",
    )
    provider.add(MODEL, calls)
    provider.add(f"{MODEL}-after-tools", Scenario(replies=(Reply(ANSWER),), usage=Usage(466, 21)))
    provider.add(EMBEDDING_MODEL, Scenario(replies=(Reply(),), usage=Usage(9, 0)))


def run(base_url: str, session: str) -> None:
    """Answer one customer, from one session, and fail where it was arranged to fail."""
    with openai.OpenAI(base_url=base_url, api_key="test", max_retries=0) as client:
        shop = Shop(client, session)
        with genai_otel.scope(tags=["beta"], metadata={"tenant": "north"}):
            shop.help(QUESTION)


class Shop:
    def __init__(self, client: openai.OpenAI, session: str) -> None:
        self.client, self.session = client, session

    @genai_otel.workflow(name="answer a customer")
    def help(self, question: str) -> str:
        """Learns inside of it whose session it is, as a web handler does."""
        with genai_otel.scope(session_id=self.session, user_id="ada"):
            self.harmless(question)
            self.find(question)
            answer = self.talk(question)
            self.tone(answer)
            return answer

    @genai_otel.guardrail(name="injection", phase="input")
    def harmless(self, text: str) -> Verdict:
        return Verdict("allow", score=0.02)

    @genai_otel.retriever(name="handbook")
    def find(self, query: str) -> list[dict[str, Any]]:
        self.client.embeddings.create(model=EMBEDDING_MODEL, input=query)
        return DOCUMENTS

    @genai_otel.agent(name="clerk")
    def talk(self, question: str) -> str:
        said: list[Any] = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": question},
        ]
        said.append(self.ask(said))
        said.append(
            {
                "role": "tool",
                "tool_call_id": "call_track",
                "content": json.dumps(self.track("JD014")),
            }
        )
        with suppress(TimeoutError):
            self.notify("JD014")
        return str(self.ask(said)["content"])

    def ask(self, said: list[Any]) -> dict[str, Any]:
        """A streamed turn, with usage."""
        with self.client.chat.completions.stream(
            model=MODEL,
            messages=said,
            tools=TOOLS,
            temperature=0.2,
            stream_options={"include_usage": True},
        ) as stream:
            message = stream.get_final_completion().choices[0].message
        return message.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True)

    @genai_otel.tool
    def track(self, number: str) -> dict[str, str]:
        """Finds where a parcel is."""
        return {"number": number, "place": "post office, Mill Lane", "until": "Friday"}

    @genai_otel.tool
    def notify(self, number: str) -> None:
        raise TimeoutError(f"no answer about {number} within 5 s")

    @genai_otel.guardrail(name="tone", phase="output")
    def tone(self, text: str) -> Verdict:
        return Verdict("flag", score=0.6, category="promise", reason="promises a day")
