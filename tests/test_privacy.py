"""The content policy: what it lets through, attribute by attribute and call by call."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import genai_otel
from genai_otel import ContentPolicy, Destination, operation, scope, step
from genai_otel import _semconv as names
from genai_otel.privacy import AttributeFilter, as_policy, loosest, preset
from genai_otel.privacy.attribute_classes import CONTENT, FIXED
from genai_otel.privacy.custom_functions import presidio
from genai_otel.privacy.policy import CLASSES
from genai_otel.privacy.truncation import to_json
from genai_otel.testing import Capture
from tests.receiver import IN_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "sk-proj-abcDEF1234567890abcdef"
MAIL = "ann@example.com"
CARD = "4111 1111 1111 1111"


def messages(*texts: str, role: str = "user") -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": t}]} for t in texts])


def judged(policy: ContentPolicy | str, **found: Any) -> dict[str, Any]:
    """Through the gate, under short names."""
    known = {name: getattr(names, name) for name in found}
    passed = AttributeFilter(as_policy(policy)).filter({known[n]: v for n, v in found.items()})
    return {n: passed[known[n]] for n in found if known[n] in passed}


FULL_RECORD: dict[str, Any] = {
    "GEN_AI_INPUT_MESSAGES": messages(f"key {KEY}"),
    "GEN_AI_SYSTEM_INSTRUCTIONS": json.dumps([{"type": "text", "content": f"mail {MAIL}"}]),
    "GEN_AI_TOOL_CALL_ARGUMENTS": json.dumps({"to": MAIL, "password": "hunter22"}),
    "GEN_AI_RETRIEVAL_DOCUMENTS": json.dumps([{"id": "7", "score": 0.5, "content": CARD}]),
    "EXCEPTION_MESSAGE": f"no such user {MAIL}",
    "GEN_AI_REQUEST_STOP_SEQUENCES": ("END", MAIL),
    "GENAI_OTEL_TAGS": ("beta", MAIL),
    "GEN_AI_REQUEST_MODEL": "gpt-5-mini",
    "GEN_AI_RESPONSE_ID": "resp_1",
    "GEN_AI_USAGE_INPUT_TOKENS": 12,
}


def test_redacted_masks_and_keeps_the_shape() -> None:
    found = judged("redacted", **FULL_RECORD)
    assert not [v for v in (KEY, MAIL, CARD, "hunter22") if v in str(found)]
    assert json.loads(found["GEN_AI_INPUT_MESSAGES"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "key [OPENAI_KEY]"}]}
    ]
    assert json.loads(found["GEN_AI_TOOL_CALL_ARGUMENTS"]) == {
        "to": "[EMAIL]",
        "password": "[PASSWORD]",
    }
    documents = json.loads(found["GEN_AI_RETRIEVAL_DOCUMENTS"])
    assert documents == [{"id": "7", "score": 0.5, "content": "[CARD]"}]
    assert found["GEN_AI_REQUEST_STOP_SEQUENCES"] == ("END", "[EMAIL]")
    assert found["GENAI_OTEL_TAGS"] == ("beta", "[EMAIL]")
    assert found["GEN_AI_USAGE_INPUT_TOKENS"] == 12


def test_none_withholds_and_masks_the_rest() -> None:
    found = judged("none", **FULL_RECORD)
    assert set(found) == {
        "GENAI_OTEL_TAGS",
        "GEN_AI_REQUEST_MODEL",
        "GEN_AI_RESPONSE_ID",
        "GEN_AI_USAGE_INPUT_TOKENS",
    }
    assert found["GENAI_OTEL_TAGS"] == ("beta", "[EMAIL]")


def test_full_is_full() -> None:
    assert judged("full", **FULL_RECORD) == FULL_RECORD


def test_what_is_clean_is_handed_on_as_it_is() -> None:
    found = {names.GEN_AI_INPUT_MESSAGES: messages("hello"), names.GEN_AI_REQUEST_MODEL: "m"}
    for mode in ("redacted", "full"):
        assert AttributeFilter(preset(mode)).filter(found) is found


@pytest.mark.parametrize("kind", CLASSES)
def test_each_class_alone(kind: str) -> None:
    """Only what belongs to the class is withheld."""
    policy = ContentPolicy(**{**dict.fromkeys(CLASSES, "full"), kind: "none"})  # type: ignore[arg-type]
    gone = {
        "messages": {"GEN_AI_INPUT_MESSAGES", "GEN_AI_REQUEST_STOP_SEQUENCES"},
        "system": {"GEN_AI_SYSTEM_INSTRUCTIONS"},
        "tools": {"GEN_AI_TOOL_CALL_ARGUMENTS"},
        "retrieved": {"GEN_AI_RETRIEVAL_DOCUMENTS"},
        "errors": {"EXCEPTION_MESSAGE"},
        "metadata": {"GENAI_OTEL_TAGS"},
    }
    assert set(FULL_RECORD) - set(judged(policy, **FULL_RECORD)) == gone[kind]


def test_parts_of_messages_belong_to_their_class() -> None:
    said = json.dumps(
        [
            {"role": "system", "parts": [{"type": "text", "content": "be kind"}]},
            {"role": "user", "parts": [{"type": "text", "content": MAIL}]},
            {
                "role": "assistant",
                "parts": [
                    {"type": "tool_call", "id": "c1", "name": "look", "arguments": {"a": 1}},
                    {"type": "text", "content": "wait"},
                ],
                "finish_reason": "tool_call",
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": 7}]},
        ]
    )
    policy = ContentPolicy(system="none", tools="none", messages="full")
    found = json.loads(judged(policy, GEN_AI_INPUT_MESSAGES=said)["GEN_AI_INPUT_MESSAGES"])
    assert found[0]["parts"] == [{"type": "text", "content": "[withheld]"}]
    assert found[1]["parts"][0]["content"] == MAIL
    call, text = found[2]["parts"]
    assert call == {"type": "tool_call", "id": "c1", "name": "look", "arguments": "[withheld]"}
    assert (text["content"], found[2]["finish_reason"]) == ("wait", "tool_call")
    assert found[3]["parts"][0]["response"] == "[withheld]"


@pytest.mark.parametrize("kind", ["tools", "system"])
def test_one_class_alone_that_is_not_wanted(kind: str) -> None:
    """Whatever the others are: also where they are all as by default."""
    said = to_json(
        [
            {"role": "system", "parts": [{"type": "text", "content": "of system"}]},
            {
                "role": "assistant",
                "parts": [
                    {"type": "tool_call", "id": "c1", "name": "look", "arguments": "of tools"},
                    {
                        "type": "server_tool_call",
                        "id": "s1",
                        "name": "search",
                        "server_tool_call": {"type": "mcp", "arguments": "of tools"},
                    },
                ],
            },
        ]
    )
    for others in ("redacted", "full"):
        modes = {"messages": others, "system": others, "tools": others, "retrieved": others}
        policy = ContentPolicy(**{**modes, kind: "none"})
        found = judged(policy, GEN_AI_INPUT_MESSAGES=said)["GEN_AI_INPUT_MESSAGES"]
        assert f"of {kind}" not in found
        assert ("of tools" in found, "of system" in found) == (kind != "tools", kind != "system")
        assert '"server_tool_call":{"type":"mcp"' in found


def test_numbers_and_names_of_fields_are_looked_at_too() -> None:
    found = judged(
        "redacted",
        GEN_AI_TOOL_CALL_ARGUMENTS=json.dumps(
            {"card": 4111111111111111, "id": 1714521600123, MAIL: 1, "deep": [{"x": [MAIL]}]}
        ),
    )
    assert json.loads(found["GEN_AI_TOOL_CALL_ARGUMENTS"]) == {
        "card": "[CARD]",
        "id": 1714521600123,
        "[EMAIL]": 1,
        "deep": [{"x": ["[EMAIL]"]}],
    }


def test_a_secret_in_texts_that_stand_in_a_row() -> None:
    """As a provider may part them; what has nothing over its seams stays as it is."""

    def said(*texts: str) -> str:
        parts = [{"type": "text", "content": text} for text in texts]
        return to_json([{"role": "assistant", "parts": parts}])

    for texts in ((MAIL[:5], MAIL[5:]), ("key sk-proj-", KEY[8:14], f"{KEY[14:]} to you")):
        (message,) = json.loads(
            judged("redacted", GEN_AI_OUTPUT_MESSAGES=said(*texts))["GEN_AI_OUTPUT_MESSAGES"]
        )
        assert [part["content"] for part in message["parts"]] in (
            ["[EMAIL]"],
            ["key [OPENAI_KEY] to you"],
        )
    clean = said("one", "two", "three")
    assert judged("redacted", GEN_AI_OUTPUT_MESSAGES=clean)["GEN_AI_OUTPUT_MESSAGES"] is clean
    apart = judged("redacted", GEN_AI_OUTPUT_MESSAGES=said(f"to {MAIL} ", "and on"))
    assert len(json.loads(apart["GEN_AI_OUTPUT_MESSAGES"])[0]["parts"]) == 2


def test_json_that_was_cut_is_a_text() -> None:
    found = judged("redacted", GEN_AI_INPUT_MESSAGES=messages(f"mail {MAIL}")[:-3])
    assert "[EMAIL]" in found["GEN_AI_INPUT_MESSAGES"]
    assert MAIL not in found["GEN_AI_INPUT_MESSAGES"]


def test_too_deep_to_be_looked_at() -> None:
    deep = "[" * 5_000 + f'"{MAIL}"' + "]" * 5_000
    found = AttributeFilter(preset("redacted")).filter({names.GENAI_OTEL_INPUT: deep})
    assert MAIL not in str(found)


def test_users() -> None:
    hashing = ContentPolicy(hash_users=True, hash_key="k")
    one = judged(hashing, USER_ID="user-1")["USER_ID"]
    assert re.fullmatch(r"user-[0-9a-f]{10}-[0-9a-f]{6}", one)
    assert judged(hashing, USER_ID=one)["USER_ID"] == one, "judged again it stays as it is"
    assert judged(hashing, USER_ID=one[:-1])["USER_ID"] != one[:-1], "what only looks like one"
    assert judged(hashing, USER_ID="user-1")["USER_ID"] == one
    assert judged(ContentPolicy(hash_users=True), USER_ID="user-1")["USER_ID"] != one
    assert judged("redacted", USER_ID="user-1")["USER_ID"] == "user-1"
    two = {judged("redacted", USER_ID=who)["USER_ID"] for who in (MAIL, "bob@example.com")}
    assert len(two) == 2, "they stay apart"
    assert not [user for user in two if "@" in user]
    assert judged("full", USER_ID=MAIL)["USER_ID"] == MAIL


# --------------------------------------------------------------------------- functions of users


def name_of(text: str) -> str:
    return text.replace("Ann", "[NAME]")


def raises(text: str) -> str:
    raise KeyError(text)


def recurses(text: str) -> str:
    return recurses(text)


def sleeps(text: str) -> str:
    time.sleep(30)
    return text


def exits(text: str) -> str:
    raise SystemExit(text)


@pytest.mark.parametrize("mode", ["redacted", "full"])
def test_a_function_sees_every_text_and_no_structure(mode: str) -> None:
    seen: list[str] = []

    def custom(text: str) -> str:
        seen.append(text)
        return name_of(text)

    modes: Any = dict.fromkeys(CLASSES, mode)
    policy = ContentPolicy(**modes, redactor=custom, deadline=60)
    found = judged(
        policy,
        GEN_AI_INPUT_MESSAGES=messages("I am Ann", "hello"),
        GEN_AI_TOOL_CALL_ARGUMENTS=json.dumps({"name": "Ann", "n": 1}),
        GENAI_OTEL_TAGS=("Ann",),
        GEN_AI_REQUEST_MODEL="Ann-7b",
    )
    assert "I am [NAME]" in found["GEN_AI_INPUT_MESSAGES"]
    assert json.loads(found["GEN_AI_TOOL_CALL_ARGUMENTS"]) == {"name": "[NAME]", "n": 1}
    assert found["GENAI_OTEL_TAGS"] == ("[NAME]",)
    assert found["GEN_AI_REQUEST_MODEL"] == "Ann-7b", "a fact is no content"
    assert sorted(seen) == ["Ann", "Ann", "I am Ann", "hello"]


@pytest.mark.parametrize(
    ("custom", "why"),
    [
        (raises, "KeyError"),
        (recurses, "RecursionError"),
        (sleeps, "DeadlineExceeded"),
        (exits, "SystemExit"),
        (lambda text: None, "TypeError"),
        (lambda text: b"bytes", "TypeError"),
    ],
)
def test_a_function_that_fails(custom: Callable[[str], Any], why: str) -> None:
    """Closed, value by value; what it raised is not told, for it may quote the text."""
    attribute_filter = AttributeFilter(
        ContentPolicy(redactor=custom, deadline=0.1 if custom is sleeps else 60)
    )
    found = attribute_filter.filter({names.GEN_AI_INPUT_MESSAGES: messages("secret words", "more")})
    parts = [m["parts"][0] for m in json.loads(found[names.GEN_AI_INPUT_MESSAGES])]
    assert parts == [{"type": "text", "content": f"[redaction failed: {why}]"}] * 2
    assert attribute_filter.failures == {why: 2}


def test_only_the_value_that_failed() -> None:
    def custom(text: str) -> str:
        return text if "bad" not in text else raises(text)

    found = judged(
        ContentPolicy(redactor=custom, deadline=60), GEN_AI_INPUT_MESSAGES=messages("bad", "good")
    )
    assert "good" in found["GEN_AI_INPUT_MESSAGES"]
    assert "[redaction failed: KeyError]" in found["GEN_AI_INPUT_MESSAGES"]


def test_one_that_hangs_is_not_waited_for_again() -> None:
    """A few threads may hang; from then on it fails at once."""
    free, others = threading.Event(), set(threading.enumerate())
    attribute_filter = AttributeFilter(
        ContentPolicy(redactor=lambda text: str(free.wait(240)), deadline=0.05)
    )
    for _ in range(6):
        attribute_filter.filter({names.GEN_AI_INPUT_MESSAGES: messages("text")})
    started = time.monotonic()
    found = attribute_filter.filter({names.GEN_AI_INPUT_MESSAGES: messages("text")})
    assert time.monotonic() - started < IN_TIME
    assert "DeadlineExceeded" in str(found)
    hanging = set(threading.enumerate()) - others
    assert len(hanging) <= 4
    free.set()
    for thread in hanging:
        thread.join(60)
    until = time.monotonic() + 60
    while "True" not in str(found) and time.monotonic() < until:
        found = attribute_filter.filter({names.GEN_AI_INPUT_MESSAGES: messages("text")})
    assert "True" in str(found), "they came back, and it is called again"


def test_patterns_and_functions_among_the_rules() -> None:
    policy = ContentPolicy(redact=["card", re.compile(r"ACME-\d+"), name_of], deadline=60)
    found = judged(policy, GEN_AI_INPUT_MESSAGES=messages(f"Ann ACME-7 {CARD} {MAIL}"))
    assert f"[NAME] [REDACTED] [CARD] {MAIL}" in found["GEN_AI_INPUT_MESSAGES"]


# ------------------------------------------------------------------------------ said wrongly


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"messages": "ful"}, "unknown content mode 'ful' of messages: did you mean 'full'?"),
        ({"media": "keep"}, "unknown media mode 'keep'"),
        ({"redact": "email"}, "redact must be a list of names"),
        (
            {"redact": ["emails"]},
            "unknown redaction 'emails': did you mean 'email'? expected one of secrets, email",
        ),
        ({"redact": [7]}, "redact may contain only names, patterns and functions, not 7"),
        ({"redact": [re.compile(b"x")]}, "redact may contain only names, patterns and functions"),
        ({"redactor": "x"}, "redactor must be a function of one str"),
        ({"max_chars": 3}, "max_chars must be a number of at least 256, not 3"),
        ({"deadline": True}, "deadline must be a number"),
        ({"hash_key": ""}, "hash_key must not be empty"),
        ({"media": "upload"}, '"upload" requires upload_to'),
        ({"message_storage": "upload"}, '"upload" requires upload_to'),
        ({"message_storage": "file"}, "unknown message storage 'file'"),
        ({"media": "upload", "upload_to": "/tmp/x"}, "is not a URL: use file:///"),
        ({"media": "upload", "upload_to": "file://etc/x"}, "has a host"),
        ({"media": "upload", "upload_to": "s3://ann:pw@b/x"}, "upload_to s3://... contains a user"),
    ],
)
def test_a_wrong_policy_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        ContentPolicy(**wrong)


def test_the_key_is_not_shown() -> None:
    assert "s3cret" not in repr(ContentPolicy(hash_key="s3cret"))


def test_the_loosest_of_several() -> None:
    none, full, redacted = preset("none"), preset("full"), preset("redacted")
    assert loosest([none, redacted]) == redacted
    assert loosest([redacted, full, none]) == full
    two = loosest([ContentPolicy(redact=["email", "card"]), ContentPolicy(redact=["card", "ip"])])
    assert two.redact == ("card",)
    assert loosest([ContentPolicy(redact=["email"]), full]).messages == "full"
    assert loosest([ContentPolicy(redactor=name_of), redacted]).redactor is None
    assert loosest([ContentPolicy(redactor=name_of)]).redactor is name_of
    assert loosest([ContentPolicy(tools="none"), ContentPolicy(system="none")]) == redacted
    assert loosest([none, ContentPolicy(redact=["card"])]).redact == ("card",)


# -------------------------------------------------------------------------------- whole calls


@pytest.fixture
def capture() -> Iterator[Capture]:
    capture = Capture()
    genai_otel.shutdown()
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


def record(capture: Capture, content: Any) -> None:
    genai_otel.instrument(
        destinations=capture.exporter, content=content, meter_provider=capture.meter_provider
    )


def test_every_place_of_a_span(capture: Capture) -> None:
    """Its name, its status and its events, and what the scope was given."""
    record(capture, None)

    @step(name=f"step for {MAIL}")
    def fails(text: str) -> None:
        raise ValueError(text)

    facts = {"tags": [MAIL], "metadata": {MAIL: KEY}, "session_id": CARD, "user_id": MAIL}
    with scope(**facts), pytest.raises(ValueError, match="key"):
        fails(f"key {KEY}")
    span = capture.span()
    assert span.name == "task step for [EMAIL]"
    assert span.status.description == "key [OPENAI_KEY]"
    told = span.to_json()
    assert "key [OPENAI_KEY]" in told
    assert not [secret for secret in (KEY, MAIL, CARD) if secret in told]


def test_metrics_are_judged_too(capture: Capture) -> None:
    record(capture, None)
    with operation("chat") as op:
        op.provider, op.usage.input = "house", 3
        op.model, op.response_model = f"model of {MAIL}", KEY
    with operation("agent", f"agent {MAIL}"):
        pass
    told = str(capture.metrics())
    assert "model of [EMAIL]" in told
    assert not [secret for secret in (KEY, MAIL) if secret in told]


def test_a_destination_may_be_stricter(capture: Capture, tmp_path: Path) -> None:
    """Each gets what its own policy lets through; what is recorded is the most of them."""
    local = Destination("local", directory=str(tmp_path / "store"), content="none")
    genai_otel.instrument(destinations=[capture.exporter, local], content="full")
    with pytest.raises(ValueError, match="@"):
        step(raises_value)(f"mail {MAIL}")
    assert MAIL in capture.span().to_json()
    (file,) = (tmp_path / "store").glob("traces-*.jsonl")
    written = file.read_text("utf-8")
    assert "task" in written
    assert "mail" not in written


def test_a_destination_masks_what_was_recorded_in_full(capture: Capture, tmp_path: Path) -> None:
    local = Destination("local", directory=str(tmp_path / "store"), content="redacted")
    genai_otel.instrument(destinations=[capture.exporter, local], content="full")
    step(lambda text: text)(f"mail {MAIL}")
    assert MAIL in capture.span().to_json()
    (file,) = (tmp_path / "store").glob("traces-*.jsonl")
    assert "mail [EMAIL]" in file.read_text("utf-8")
    assert MAIL not in file.read_text("utf-8")


def raises_value(text: str) -> None:
    raise ValueError(text)


def test_a_function_that_records_does_not_record_itself(capture: Capture) -> None:
    """It may be a model's call: nothing inside it is recorded, so that there is no end of it."""
    calls = []

    @step
    def ask(text: str) -> str:
        calls.append(text)
        return text.upper()

    record(capture, ContentPolicy(redactor=ask, deadline=60))
    step(lambda text: None)("words")
    assert [span.name for span in capture.spans] == ["task <lambda>"]
    assert calls == ["words"]
    assert "WORDS" in capture.spans[0].to_json()


def test_an_error_of_ours_withholds_the_value(
    capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> Any:
        raise RuntimeError(KEY)

    monkeypatch.setattr("genai_otel._support.errors.FAULTS.strict", False)
    monkeypatch.setattr("genai_otel._support.errors.FAULTS.counts", {})
    record(capture, None)
    monkeypatch.setattr("genai_otel._support.errors.FAULTS.strict", False)
    monkeypatch.setattr("genai_otel.privacy.json_walk.JsonWalk.attribute", breaks)
    step(lambda text: None)(f"mail {MAIL}")
    span = capture.span()
    assert span.attributes is not None
    assert span.attributes[names.GENAI_OTEL_INPUT] == "[redaction failed: RuntimeError]"
    assert genai_otel.status().internal_errors


# ----------------------------------------------------------------------------------- any value

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40)
    | st.sampled_from([MAIL, KEY, CARD, f"x {MAIL} \ud800", "\x00", "[EMAIL]"])
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.just("password"), inner, max_size=4)
    ),
    max_leaves=20,
)
PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "tool_call", "tool_call_response", "media", "odd"])},
    optional={"content": VALUES, "arguments": VALUES, "response": VALUES, "id": st.text(),
              "name": st.text()},
)  # fmt: skip
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "tool"]), "parts": st.lists(PARTS, max_size=3)}
    )
    | VALUES,
    max_size=4,
)
MODES = st.sampled_from(["none", "redacted", "full"])


@given(MESSAGES, VALUES, MODES, MODES, MODES, st.sampled_from([256, 1_000, 262_144]))
def test_any_record_stays_json_without_secrets(
    said: Any, free: Any, one: str, two: str, three: str, most: int
) -> None:
    """Valid JSON in valid UTF-8, within its budget; judged again it stays as it is."""
    policy = ContentPolicy(messages=one, tools=two, system=three, max_chars=most)
    found = judged(
        policy,
        GEN_AI_INPUT_MESSAGES=json.dumps(said),
        GEN_AI_TOOL_CALL_ARGUMENTS=json.dumps(free),
    )
    for name, mode in (("GEN_AI_INPUT_MESSAGES", one), ("GEN_AI_TOOL_CALL_ARGUMENTS", two)):
        assert (name in found) is (mode != "none")
        if name in found:
            json.loads(found[name].encode())
            assert len(found[name]) <= most
            assert "full" in (one, two, three) or KEY not in found[name]
    assert judged(policy, **found) == found, "what was judged is judged alike again"


@pytest.mark.parametrize(
    "password",
    ["hunter22", 'Tr0ub"4dor&3', "a\\b9xyz12", "pä55wört", "ab\x11cd12", '"x9y"', "\tfoo9"],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_password_that_json_writes_with_escapes(password: str, ascii_only: bool) -> None:
    told = json.dumps({"to": "x", "password": password}, ensure_ascii=ascii_only)
    found = judged("redacted", GEN_AI_TOOL_CALL_ARGUMENTS=told)
    assert json.loads(found["GEN_AI_TOOL_CALL_ARGUMENTS"]) == {"to": "x", "password": "[PASSWORD]"}
    said = judged("redacted", GEN_AI_INPUT_MESSAGES=messages(f"The login is {told}."))
    (part,) = json.loads(said["GEN_AI_INPUT_MESSAGES"])[0]["parts"]
    assert part["content"] == 'The login is {"to": "x", "password": "[PASSWORD]"}.'


def test_a_note_of_what_was_left_out_is_not_withheld() -> None:
    """It is a message of the same sort as those beside it, and destinations judge it again."""
    said = [{"role": "system", "parts": []}, *({"role": "user", "parts": [n]} for n in range(99))]
    policy = ContentPolicy(messages="full", system="none", max_chars=256)
    once = judged(policy, GEN_AI_INPUT_MESSAGES=json.dumps(said))
    assert " of 100 left out]" in once["GEN_AI_INPUT_MESSAGES"]
    assert judged(policy, **once) == once


@given(st.sampled_from(sorted(FIXED)), st.text(max_size=20), MODES, st.booleans())
def test_any_text_under_any_name(name: str, text: str, mode: str, listed: bool) -> None:
    """Whatever the attribute is for, and whether it is a list."""
    value = f"{text} {KEY} {text}"
    found = AttributeFilter(preset(mode)).filter(
        {name: (value, value) if listed else value, text: value}
    )
    assert mode == "full" or KEY not in str(found)
    if mode == "none":
        assert not found.keys() & CONTENT.keys()


def test_presidio() -> None:
    """Its own recogniser of patterns; engines with a language model need one to be installed."""
    presidio_analyzer = pytest.importorskip("presidio_analyzer")
    pattern = presidio_analyzer.Pattern("badge", r"ACME-\d+", 0.9)
    recognizer = presidio_analyzer.PatternRecognizer("BADGE", patterns=[pattern])

    class Analyzer:
        """An engine with one recogniser and no language model."""

        def analyze(self, text: str, language: str, entities: list[str]) -> Any:
            assert language == "en"
            return recognizer.analyze(text, entities)

    custom = presidio(Analyzer(), entities=["BADGE"])
    found = judged(ContentPolicy(redactor=custom, deadline=60), GENAI_OTEL_TAGS=("a ACME-7 b",))
    assert found["GENAI_OTEL_TAGS"] == ("a [BADGE] b",)
