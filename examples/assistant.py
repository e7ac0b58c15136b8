"""A small retrieval assistant for travellers on a mountain railway.

    python examples/assistant.py "What can I eat at the top?"

It finds the leaflets that fit the question by their embeddings, lets a model answer from the best
one, looks up the next train with a tool and lets the model say so. All it knows is in
examples/documents and examples/timetable.csv.

What makes it observable is `genai_otel.instrument()` and the decorators, nothing else: the calls of
the OpenAI client are recorded by themselves. It talks to any server with the OpenAI API, as
OPENAI_BASE_URL and OPENAI_API_KEY say; `make demo` runs it against a real model on this machine.
"""

from __future__ import annotations

import argparse
import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from openai import OpenAI

import genai_otel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openai.types.chat import ChatCompletionMessageParam

    Vector = Sequence[float]

HERE = Path(__file__).parent
TITLE = "Korneck railway"

# One exchange as an example: a small model follows what it has seen better than what it was told.
ANSWERS: list[ChatCompletionMessageParam] = [
    {
        "role": "system",
        "content": f"You answer questions about the {TITLE} with the words of its leaflets.",
    },
    {
        "role": "user",
        "content": "Leaflet: The station at Brenn has a waiting room, which is heated in winter. "
        "The toilets are behind it.\nQuestion: Is there a waiting room?",
    },
    {
        "role": "assistant",
        "content": "Yes, the station at Brenn has a waiting room, which is heated in winter.",
    },
]
FAREWELLS: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You write one friendly sentence to a traveller."},
    {"role": "user", "content": "Facts: next train from Halden 08:35."},
    {
        "role": "assistant",
        "content": "The next train from Halden leaves at 08:35. Have a good journey!",
    },
]
# What questions are like in general: see `centred`.
USUAL_QUESTIONS = (
    "How much does a return ticket cost?",
    "When was the line built?",
    "May I bring a dog?",
    "Does the train run in a storm?",
    "Is there a path down to the valley?",
    "Where can I have lunch?",
)


@dataclass(frozen=True)
class Leaflet:
    id: str
    text: str
    vector: Vector


@dataclass(frozen=True)
class Found:
    """A leaflet as a search gives it; the retriever's span tells its id, score and text."""

    id: str
    score: float
    text: str


class Assistant:
    def __init__(self, client: OpenAI, model: str, embedding_model: str) -> None:
        self.client = client
        self.model = model
        self.embedding_model = embedding_model
        self.leaflets: list[Leaflet] = []
        self.usual_question: Vector = ()

    @genai_otel.step(name="read the leaflets")
    def read(self, folder: Path) -> int:
        """Embed all leaflets, and some questions, in one request."""
        files = sorted(folder.glob("*.md"))
        texts = [file.read_text(encoding="utf-8") for file in files]
        vectors = self.embed([*texts, *USUAL_QUESTIONS])
        leaflets, questions = vectors[: len(texts)], vectors[len(texts) :]
        usual = mean(leaflets)
        self.usual_question = mean(questions)
        for file, text, vector in zip(files, texts, leaflets, strict=True):
            body = text.partition("\n")[2].strip()
            self.leaflets.append(Leaflet(file.stem, body, centred(vector, usual)))
        return len(self.leaflets)

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        reply = self.client.embeddings.create(model=self.embedding_model, input=list(texts))
        return [item.embedding for item in reply.data]

    @genai_otel.workflow(name="help a traveller")
    def help(self, question: str, station: str, now: str) -> str:
        best, *_ = self.find(question)
        answer = "".join(show(self.answer(question, best)))
        train = self.next_train(station, now)
        return f"{answer}\n{self.farewell(station, train)}"

    @genai_otel.retriever(name="leaflets")
    def find(self, question: str, count: int = 2) -> list[Found]:
        """The leaflets that are nearest in meaning."""
        [vector] = self.embed([question])
        wanted = centred(vector, self.usual_question)
        found = [Found(x.id, likeness(wanted, x.vector), x.text) for x in self.leaflets]
        return sorted(found, key=lambda each: -each.score)[:count]

    def answer(self, question: str, leaflet: Found) -> Iterator[str]:
        """Text as the model writes it."""
        ask = f"Leaflet: {leaflet.text}\nQuestion: {question}"
        stream = self.client.chat.completions.create(
            model=self.model,
            messages=[*ANSWERS, {"role": "user", "content": ask}],
            temperature=0,
            max_tokens=60,
            stream=True,
            stream_options={"include_usage": True},
        )
        for chunk in stream:
            for choice in chunk.choices:
                yield choice.delta.content or ""

    @genai_otel.tool
    def next_train(self, station: str, now: str) -> str | None:
        """Departure of the next train, or nothing if there is none today."""
        with (HERE / "timetable.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        later = [r["departure"] for r in rows if r["station"] == station and r["departure"] > now]
        return min(later, default=None)

    def farewell(self, station: str, train: str | None) -> str:
        facts = f"next train from {station} {train}" if train else "no more trains today"
        reply = self.client.chat.completions.create(
            model=self.model,
            messages=[*FAREWELLS, {"role": "user", "content": f"Facts: {facts}."}],
            temperature=0,
            max_tokens=40,
        )
        return (reply.choices[0].message.content or "").strip()


def mean(vectors: Sequence[Vector]) -> Vector:
    return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]


def centred(vector: Vector, usual: Vector) -> Vector:
    """What sets this one apart; to a small model all questions look alike, and all leaflets."""
    return [x - y for x, y in zip(vector, usual, strict=True)]


def likeness(one: Vector, other: Vector) -> float:
    """The cosine of the angle between two vectors."""
    product = sum(x * y for x, y in zip(one, other, strict=True))
    return product / (math.hypot(*one) * math.hypot(*other) or 1.0)


def show(pieces: Iterator[str]) -> Iterator[str]:
    for piece in pieces:
        print(piece, end="", flush=True)
        yield piece
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("question", nargs="?", default="What can I eat at the top?")
    parser.add_argument("--station", default="Brenn")
    parser.add_argument("--now", default="13:20", metavar="HH:MM")
    parser.add_argument("--model", default="gpt-5-mini")
    parser.add_argument("--embedding-model", default="text-embedding-3-small")
    options = parser.parse_args()

    genai_otel.instrument(service_name="railway-assistant", prices=HERE / "prices.toml")
    assistant = Assistant(OpenAI(), options.model, options.embedding_model)
    assistant.read(HERE / "documents")
    with genai_otel.scope(session_id="counter-1", tags=["demo"]):
        reply = assistant.help(options.question, options.station, options.now)
    print(reply.rpartition("\n")[2])


if __name__ == "__main__":
    main()
