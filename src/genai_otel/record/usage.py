"""The usage ledger: tokens as the provider counted them, and how each provider counts.

``input`` and ``output`` are the totals that a bill is made of, everything else is part of one of
them. Providers differ in what their totals leave out; a ``Rule`` says so, and nothing else does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .foreign import as_dict

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 2**53
"""Above that JSON loses digits, and nobody counted it."""


class Usage:
    """Tokens as the provider counted them; ``None`` is unknown, never 0.

    ``input`` includes what was read from and written to a cache, ``output`` includes reasoning; so
    do all parts below belong to their total. ``cache_write`` is kept for five minutes or for a time
    that the provider does not tell. ``cached_audio`` and ``cached_image`` are parts of both
    ``cache_read`` and ``audio_input`` or ``image_input``. ``processed_input`` and
    ``processed_output`` are what the model saw where the provider bills another number.
    ``images`` were made, ``seconds`` of audio or video heard or made, ``characters`` spoken and
    ``pages`` read: some models are billed by these. ``charged`` is what the provider says that the
    call cost, in USD. ``estimated`` is the method where nobody counted.

    ``CHARGES`` are what tools of the provider did for the call, billed beside the tokens:
    ``containers`` ran code, ``tool_images`` were made by another model, ``other_charges`` are
    billed units of any other kind. ``unclear`` names charges of which the number, or the price list
    that holds for them, is not known: no price can be right then.

    A plain class whose defaults stand on the class: one is made for every call, recorded or not.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    audio_input: int | None = None
    image_input: int | None = None
    video_input: int | None = None
    cached_audio: int | None = None
    cached_image: int | None = None
    tool_use_input: int | None = None
    processed_input: int | None = None

    output: int | None = None
    reasoning: int | None = None
    audio_output: int | None = None
    image_output: int | None = None
    video_output: int | None = None
    accepted_predictions: int | None = None
    rejected_predictions: int | None = None
    processed_output: int | None = None

    # No tokens.
    web_searches: int | None = None
    web_fetches: int | None = None
    file_searches: int | None = None
    map_searches: int | None = None
    containers: int | None = None
    tool_images: int | None = None
    other_charges: int | None = None
    search_units: int | None = None
    images: int | None = None
    seconds: float | None = None
    characters: int | None = None
    pages: int | None = None
    charged: float | None = None

    estimated: str | None = None
    unclear: tuple[str, ...] | None = None

    def doubt(self, charge: str) -> None:
        """Notes a charge that cannot be priced from what is known."""
        known = self.unclear or ()
        if charge not in known:
            self.unclear = (*known, charge)

    def resolve_doubt(self, charge: str) -> None:
        """The reply has shown what there is of that charge."""
        if self.unclear is not None:
            self.unclear = tuple(each for each in self.unclear if each != charge) or None

    @property
    def cache_written(self) -> int | None:
        """Tokens written to a cache, however long it keeps them."""
        if self.cache_write is None:
            return self.cache_write_1h
        return self.cache_write + (self.cache_write_1h or 0)

    def normalize(self) -> None:
        """Forgets what cannot be: values that are no counts, and parts larger than their total."""
        known = vars(self)
        for name, value in known.items():
            if name not in _NO_COUNTS and not _is_count(value):
                known[name] = None
        for name in _LENGTHS:
            if known.get(name) is not None and not _is_length(known[name]):
                known[name] = None
        for total, parts in PARTS:
            rest = known.get(total)
            if rest is None:
                continue
            for part in parts:
                size = known.get(part) or 0
                if size > rest:
                    known[part] = None
                else:
                    rest -= size

    def add(self, other: Usage) -> None:
        """Adds what another call used, where both belong to one whole, a session's responses."""
        mine = vars(self)
        for name, value in vars(other).items():
            if value is not None and name not in _WORDS:
                mine[name] = (mine.get(name) or 0) + value

    def absorb(self, other: Usage) -> None:
        """Takes from ``other``, which counted the same call, what is unknown here."""
        mine, theirs = vars(self), vars(other)
        if self.estimated is not None and other.estimated is None and other.output is not None:
            mine.clear()
        for charge in self.unclear or ():
            if theirs.get(charge) is not None and charge not in (other.unclear or ()):
                self.resolve_doubt(charge)
        for name, value in theirs.items():
            if mine.get(name) is None:
                mine[name] = value
        self.normalize()

    def buckets(self) -> dict[str, int]:
        """The known totals in pieces that do not overlap and always add up to them.

        Of input: ``fresh_input``, ``cache_read``, ``cache_write``, ``cache_write_1h``,
        ``audio_input``, ``image_input``, ``video_input``; of output: ``text_output``,
        ``reasoning``, ``audio_output``, ``image_output``, ``video_output``. Empty
        pieces are left out. Cached audio is in ``cache_read``.
        """
        sane = Usage()
        vars(sane).update(vars(self))
        sane.normalize()
        return {
            **_pieces(sane.input, "fresh_input", _input_parts(sane)),
            **_pieces(sane.output, "text_output", _output_parts(sane)),
        }


_LENGTHS = ("seconds", "charged")
_WORDS = ("estimated", "unclear")
_NO_COUNTS = (*_WORDS, *_LENGTHS)
CHARGES = (
    *("web_searches", "file_searches", "map_searches"),
    *("containers", "tool_images", "other_charges"),
)
"""Counts of what is billed beside tokens. ``web_fetches`` are not: their provider bills none."""
COUNTS = tuple(name for name in Usage.__annotations__ if name not in _NO_COUNTS)

# Parts of one row do not overlap; where they are too much together, the later one is disbelieved.
PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("input", ("cache_read", "cache_write", "cache_write_1h")),
    ("input", ("audio_input", "image_input", "video_input")),
    ("input", ("tool_use_input",)),
    ("cache_read", ("cached_audio", "cached_image")),
    ("audio_input", ("cached_audio",)),
    ("image_input", ("cached_image",)),
    ("output", ("reasoning", "audio_output", "image_output", "video_output")),
    ("output", ("accepted_predictions", "rejected_predictions")),
)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST


def _is_length(value: Any) -> bool:
    return _is_count(value) or (type(value) is float and 0 <= value <= MOST)


def _input_parts(usage: Usage) -> Mapping[str, int | None]:
    return {
        "cache_read": usage.cache_read,
        "cache_write": usage.cache_write,
        "cache_write_1h": usage.cache_write_1h,
        "audio_input": max(0, (usage.audio_input or 0) - (usage.cached_audio or 0)),
        "image_input": max(0, (usage.image_input or 0) - (usage.cached_image or 0)),
        "video_input": usage.video_input,
    }


def _output_parts(usage: Usage) -> Mapping[str, int | None]:
    return {
        "reasoning": usage.reasoning,
        "audio_output": usage.audio_output,
        "image_output": usage.image_output,
        "video_output": usage.video_output,
    }


def _pieces(total: int | None, rest_name: str, parts: Mapping[str, int | None]) -> dict[str, int]:
    """``total`` shared out to the parts in their order, and what then remains.

    A part that overlaps with those before it (audio, of which nobody says how much was cached) gets
    what they leave.
    """
    rest, found = total or 0, {}
    for name, size in parts.items():
        piece = min(size or 0, rest)
        rest -= piece
        found[name] = piece
    found[rest_name] = rest
    return {name: piece for name, piece in found.items() if piece}


# ------------------------------------------------------------------------------------- rules


class Labelled(NamedTuple):
    """A list of counts, each with a label which says of what."""

    label_key: str
    count_key: str
    names: Mapping[str, str]


Shape = tuple[tuple[str, Any], ...]
"""Pairs of a key and where its value goes: a count's name, or the shape of what it holds.

A name that stands twice has two spellings: the later one is believed.
"""


class Rule(NamedTuple):
    """How one provider counts.

    ``leaves_out`` has the parts which the provider's own total does not include, so that they are
    added. ``grand_total`` is a key that tells whether ``output`` includes the reasoning, where
    servers of one shape differ. ``omits_zeros``: a total that is not there is 0 if a part is.
    """

    shape: Shape
    leaves_out: tuple[tuple[str, tuple[str, ...]], ...] = ()
    grand_total: str | None = None
    omits_zeros: bool = False


def read_usage(payload: Mapping[str, Any], usage: Usage, rule: Rule) -> Usage:
    """Fills ``usage`` with what ``payload`` says; counts that it does not have stay as they are.

    So the counters of a stream, which are running totals, replace each other and never add up.
    """
    found: dict[str, Any] = {}
    _walk(payload, rule.shape, found)
    if "cache_writes" in found:
        _split_writes(found, usage)
    for total, parts in rule.leaves_out:
        _complete(total, parts, found, usage, omits_zeros=rule.omits_zeros)
    if rule.grand_total is not None and found.get("reasoning"):
        _include_reasoning(payload.get(rule.grand_total), found)
    known = vars(usage)
    known.update(found)
    if len(known) > len(found) or _has_parts(found):
        usage.normalize()
    return usage


def running(before: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """What a stream has counted so far: totals that only grow, of which the newest is believed.

    One that is absent, or 0 after more, says nothing: some servers end with such counts.
    """
    found = {**before}
    if not found:
        return {**later}
    for name, value in later.items():
        known = found.get(name)
        parts, more = as_dict(known), as_dict(value)
        if parts and more and name.endswith("_details"):
            found[name] = running(parts, more)
        elif known is None or not (value is None or (type(value) in _NUMBERS and value == 0)):
            found[name] = value
    return found


_NUMBERS = (int, float)


def _has_parts(found: Mapping[str, Any]) -> bool:
    """Whether anything but the totals was counted: mostly not, and then nothing can be wrong."""
    return bool(sum(found.values()) != found.get("input", 0) + found.get("output", 0))


def _walk(source: Mapping[str, Any], shape: Shape, found: dict[str, Any]) -> None:
    for key, target in shape:
        value = source.get(key)
        if value is None:
            continue
        if type(target) is str:
            if type(value) is int:
                if 0 <= value <= MOST:
                    found[target] = value
            elif type(value) is float:
                _note_real(value, target, found)
        elif type(target) is tuple:
            _walk(as_dict(value), target, found)
        elif type(value) is list:
            found.update(_labelled(value, target))


def _note_real(value: float, target: str, found: dict[str, Any]) -> None:
    """Some clients have floats for counts; only a length may be between two whole numbers."""
    if 0 <= value <= MOST and (value.is_integer() or target == "seconds"):
        found[target] = int(value) if value.is_integer() else value


def _labelled(entries: list[Any], target: Labelled) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in entries:
        row = as_dict(entry)
        label, count = row.get(target.label_key), row.get(target.count_key)
        # str.__str__: the label may be of an enum class of the client's.
        name = target.names.get(str.__str__(label)) if isinstance(label, str) else None
        if name is not None and _is_count(count):
            found[name] = found.get(name, 0) + int(count or 0)
    return found


def _split_writes(found: dict[str, int], usage: Usage) -> None:
    """Of all cache writes, those which are not kept for an hour."""
    writes = found.pop("cache_writes")
    for_an_hour = found.get("cache_write_1h", usage.cache_write_1h) or 0
    if for_an_hour > writes:
        found["cache_write_1h"] = for_an_hour = 0
    found["cache_write"] = writes - for_an_hour


def _complete(
    total: str, parts: tuple[str, ...], found: dict[str, int], usage: Usage, *, omits_zeros: bool
) -> None:
    """Adds to the provider's total what it leaves out; parts may come before or after it."""
    before: int | None = getattr(usage, total)
    if total in found:
        base = found[total]
    elif not any(part in found for part in parts):
        return
    elif before is not None:
        base = before - sum(getattr(usage, part) or 0 for part in parts)
    elif omits_zeros:
        base = 0
    else:
        return
    found[total] = base + sum(found.get(part, getattr(usage, part)) or 0 for part in parts)


def _include_reasoning(grand_total: Any, found: dict[str, int]) -> None:
    """Some servers of this shape (xAI) count reasoning beside the output: their sum shows it."""
    output, reasoning = found.get("output", 0), found["reasoning"]
    if grand_total == found.get("input", 0) + output + reasoning:
        found["output"] = output + reasoning


def _two_spellings(shape: Shape) -> Shape:
    """Each key as the wire has it (camelCase), and as the Python client has it."""
    snake = tuple((_snake(key), _snake_target(target)) for key, target in shape)
    return (*shape, *snake)


def _snake(key: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in key)


def _snake_target(target: Any) -> Any:
    if type(target) is Labelled:
        return Labelled(_snake(target.label_key), _snake(target.count_key), target.names)
    return target


_SERVER_TOOLS: Shape = (
    ("server_tool_use", (("web_search_requests", "web_searches"),)),  # OpenRouter, LiteLLM
    ("server_tool_use_details", (("web_search_requests", "web_searches"),)),  # OpenRouter
    ("num_sources_used", "other_charges"),  # xAI, which bills sources of a live search
    ("num_server_side_tools_used", "other_charges"),  # xAI
)

_CHAT_SHAPE: Shape = (
    ("prompt_tokens", "input"),
    ("completion_tokens", "output"),
    ("cached_tokens", "cache_read"),  # Moonshot
    ("prompt_cache_hit_tokens", "cache_read"),  # DeepSeek
    ("num_cached_tokens", "cache_read"),  # Mistral
    ("reasoning_tokens", "reasoning"),  # SGLang
    *_SERVER_TOOLS,
    ("num_search_queries", "web_searches"),  # Perplexity
    (
        "prompt_tokens_details",
        (
            ("cached_tokens", "cache_read"),
            ("cache_write_tokens", "cache_writes"),
            (  # LiteLLM, of Anthropic's
                "cache_creation_token_details",
                (("ephemeral_1h_input_tokens", "cache_write_1h"),),
            ),
            ("audio_tokens", "audio_input"),
            ("image_tokens", "image_input"),
        ),
    ),
    (
        "completion_tokens_details",
        (
            ("reasoning_tokens", "reasoning"),
            ("audio_tokens", "audio_output"),
            ("image_tokens", "image_output"),  # OpenRouter
            ("accepted_prediction_tokens", "accepted_predictions"),
            ("rejected_prediction_tokens", "rejected_predictions"),
        ),
    ),
)

OPENAI_CHAT = Rule(_CHAT_SHAPE, grand_total="total_tokens")
"""Chat completions, completions and embeddings, as OpenAI and the many servers like it have them.

platform.openai.com/docs/api-reference/chat/object
"""

DEEPSEEK = OPENAI_CHAT
"""``prompt_tokens`` is the sum of hits and misses: api-docs.deepseek.com/guides/kv_cache."""

GROQ = Rule((("x_groq", (("usage", _CHAT_SHAPE),)), *_CHAT_SHAPE))
"""The last chunk of a stream has it one level deeper: console.groq.com/docs/api-reference."""

MISTRAL = Rule(
    (
        ("prompt_tokens", "input"),
        ("completion_tokens", "output"),
        ("num_cached_tokens", "cache_read"),
        ("prompt_token_details", (("cached_tokens", "cache_read"),)),
        ("prompt_tokens_details", (("cached_tokens", "cache_read"),)),
        ("completion_tokens_details", (("reasoning_tokens", "reasoning"),)),
        ("prompt_audio_seconds", "seconds"),
        ("pages_processed", "pages"),  # "usage_info" of OCR
        (
            "connectors",  # calls of each tool: docs.mistral.ai/agents/connectors
            (
                ("web_search", "web_searches"),
                ("web_search_premium", "other_charges"),
                ("code_interpreter", "containers"),
                ("image_generation", "tool_images"),
                ("document_library", "file_searches"),
            ),
        ),
    )
)
"""docs.mistral.ai/api"""

_INPUT_DETAILS: Shape = (
    ("cached_tokens", "cache_read"),
    ("cache_write_tokens", "cache_write"),
    ("audio_tokens", "audio_input"),
    ("image_tokens", "image_input"),
    ("cached_tokens_details", (("audio_tokens", "cached_audio"), ("image_tokens", "cached_image"))),
)
_OUTPUT_DETAILS: Shape = (
    ("reasoning_tokens", "reasoning"),
    ("audio_tokens", "audio_output"),
    ("image_tokens", "image_output"),
)

OPENAI_RESPONSES = Rule(
    (
        ("input_tokens", "input"),
        ("output_tokens", "output"),
        ("input_tokens_details", _INPUT_DETAILS),
        ("output_tokens_details", _OUTPUT_DETAILS),
        ("input_token_details", _INPUT_DETAILS),  # transcriptions, realtime
        ("output_token_details", _OUTPUT_DETAILS),
        ("seconds", "seconds"),  # transcriptions that are billed by their length
        *_SERVER_TOOLS,
    ),
    grand_total="total_tokens",
)
"""Responses, images, transcriptions, realtime: platform.openai.com/docs/api-reference/responses."""

_INTERACTION_IN = {
    "audio": "audio_input",
    "image": "image_input",
    "document": "image_input",
    "video": "video_input",
}
_INTERACTION_OUT = {"audio": "audio_output", "image": "image_output", "video": "video_output"}
_GROUNDING = {
    "google_search": "web_searches",
    "google_maps": "map_searches",
    "retrieval": "other_charges",
}
GEMINI_INTERACTIONS = Rule(
    (
        ("total_input_tokens", "input"),
        ("total_cached_tokens", "cache_read"),
        ("total_tool_use_tokens", "tool_use_input"),
        ("total_output_tokens", "output"),
        ("total_thought_tokens", "reasoning"),
        ("input_tokens_by_modality", Labelled("modality", "tokens", _INTERACTION_IN)),
        ("output_tokens_by_modality", Labelled("modality", "tokens", _INTERACTION_OUT)),
        ("grounding_tool_count", Labelled("type", "count", _GROUNDING)),
    ),
    grand_total="total_tokens",
)
"""ai.google.dev/api/interactions-api, "usage"; the sum tells whether output includes thoughts."""

WATSONX = Rule((("input_token_count", "input"), ("generated_token_count", "output")))
"""Generation, not chat: cloud.ibm.com/apidocs/watsonx-ai#text-generation."""

ANTHROPIC = Rule(
    (
        ("input_tokens", "input"),
        ("output_tokens", "output"),
        ("cache_read_input_tokens", "cache_read"),
        (
            "cache_creation",
            (
                ("ephemeral_5m_input_tokens", "cache_write"),
                ("ephemeral_1h_input_tokens", "cache_write_1h"),
            ),
        ),
        ("cache_creation_input_tokens", "cache_writes"),
        ("output_tokens_details", (("thinking_tokens", "reasoning"),)),
        (
            "server_tool_use",
            (("web_search_requests", "web_searches"), ("web_fetch_requests", "web_fetches")),
        ),
    ),
    leaves_out=(("input", ("cache_read", "cache_write", "cache_write_1h")),),
)
"""docs.claude.com/en/api/messages, "usage"."""

BEDROCK_CONVERSE = Rule(
    (
        ("inputTokens", "input"),
        ("outputTokens", "output"),
        ("cacheReadInputTokens", "cache_read"),
        (
            "cacheDetails",
            Labelled("ttl", "inputTokens", {"5m": "cache_write", "1h": "cache_write_1h"}),
        ),
        ("cacheWriteInputTokens", "cache_writes"),
        # The same counts as the last chunk of InvokeModel's streams spells them.
        ("inputTokenCount", "input"),
        ("outputTokenCount", "output"),
        ("cacheReadInputTokenCount", "cache_read"),
        ("cacheWriteInputTokenCount", "cache_writes"),
    ),
    leaves_out=(("input", ("cache_read", "cache_write", "cache_write_1h")),),
)
"""docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html"""

BEDROCK_BODIES = Rule(
    (
        ("inputTextTokenCount", "input"),  # Titan
        ("tokenCount", "output"),
        ("totalOutputTextTokenCount", "output"),
        ("prompt_token_count", "input"),  # Llama
        ("generation_token_count", "output"),
    )
)
"""Bodies of InvokeModel in the words of their makers; the headers count the same.

docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

_MODALITY_IN = {
    "AUDIO": "audio_input",
    "IMAGE": "image_input",
    "DOCUMENT": "image_input",
    "VIDEO": "video_input",
}
_MODALITY_CACHED = {"AUDIO": "cached_audio", "IMAGE": "cached_image", "DOCUMENT": "cached_image"}
_MODALITY_OUT = {"AUDIO": "audio_output", "IMAGE": "image_output", "VIDEO": "video_output"}

GEMINI = Rule(
    _two_spellings(
        (
            ("promptTokenCount", "input"),
            ("cachedContentTokenCount", "cache_read"),
            ("toolUsePromptTokenCount", "tool_use_input"),
            ("candidatesTokenCount", "output"),
            ("responseTokenCount", "output"),  # the live API
            ("thoughtsTokenCount", "reasoning"),
            ("promptTokensDetails", Labelled("modality", "tokenCount", _MODALITY_IN)),
            ("cacheTokensDetails", Labelled("modality", "tokenCount", _MODALITY_CACHED)),
            ("candidatesTokensDetails", Labelled("modality", "tokenCount", _MODALITY_OUT)),
            ("responseTokensDetails", Labelled("modality", "tokenCount", _MODALITY_OUT)),
        )
    ),
    leaves_out=(("input", ("tool_use_input",)), ("output", ("reasoning",))),
    omits_zeros=True,
)
"""ai.google.dev/api/generate-content, "UsageMetadata"."""

COHERE = Rule(
    (
        (
            "tokens",
            (
                ("input_tokens", "input"),
                ("output_tokens", "output"),
                ("input_tokens", "processed_input"),
                ("output_tokens", "processed_output"),
            ),
        ),
        (
            "billed_units",
            (
                ("input_tokens", "input"),
                ("output_tokens", "output"),
                ("search_units", "search_units"),
                ("pages", "pages"),
                ("classifications", "other_charges"),
                ("images", "other_charges"),
            ),
        ),
        ("cached_tokens", "cache_read"),
    )
)
"""Two counts, of which the billed one is the total, as the conventions want it.

docs.cohere.com/reference/chat, "usage"
"""

OLLAMA = Rule((("prompt_eval_count", "input"), ("eval_count", "output")))
"""docs.ollama.com/api; a prompt that was not evaluated again has no count."""

LANGCHAIN = Rule(
    (
        ("input_tokens", "input"),
        ("output_tokens", "output"),
        (
            "input_token_details",
            (
                ("cache_read", "cache_read"),
                ("cache_creation", "cache_write"),
                ("ephemeral_5m_input_tokens", "cache_write"),
                ("ephemeral_1h_input_tokens", "cache_write_1h"),
                ("audio", "audio_input"),
            ),
        ),
        ("output_token_details", (("reasoning", "reasoning"), ("audio", "audio_output"))),
    )
)
"""``usage_metadata`` of its messages, where every total includes its parts, whoever counted.

reference.langchain.com/python/langchain-core/messages/ai/UsageMetadata
"""
