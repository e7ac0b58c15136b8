"""``genai-otel traces`` through real processes, pipes and a pseudo-terminal."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import StatusCode

from genai_otel.cli.text import clean, duration, local_time, one_line, shortened
from genai_otel.cli.tree import render_tree
from genai_otel.store.read.reader import StoreReader
from tests.stored import SOURCES, chat, messages, run_cli, run_python, tracing, write_assistant

if TYPE_CHECKING:
    from pathlib import Path

CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
NASTY = (
    "a\x1b[31mred\x1b[0m\x1b]0;title\x07b\x9b2Jc\x00\x08\x7f\x85\u202ed\u2066e\ud800f"
    "\x1b]8;;http://evil\x1b\\link\x1bP1;2|x\x1b\\\rg\nh"
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def trace_id(work: Path) -> str:
    return write_assistant(work / ".genai_otel")


# ------------------------------------------------------------------------------------ the list


def test_the_list_is_newest_first(work: Path) -> None:
    old = write_assistant(work / ".genai_otel", "shop")
    new = write_assistant(work / ".genai_otel", "office")
    for arguments in (("traces",), ("traces", "list"), ("traces", "--limit", "2", "list")):
        head, first, second = run_cli(*arguments, cwd=work).stdout.splitlines()
        assert head.split() == [
            "started", "trace", "name", "service", "spans", "models", "tokens", "duration", "status"
        ]  # fmt: skip
        assert new[:8] in first
        assert old[:8] in second
        for fact in ("office", "invoke_workflow answer", "gpt-5-2026-08-01", "2,403 → 190"):
            assert fact in first
        assert first.endswith("1 failed")


def test_the_list_may_be_limited_and_says_so(work: Path) -> None:
    for _ in range(3):
        write_assistant(work / "store")
    done = run_cli("traces", "list", "--dir", "store", "--limit", "1", cwd=work)
    assert len(done.stdout.splitlines()) == 2
    assert "2 older traces are not shown" in done.stderr
    assert "at least 1" in run_cli("traces", "--limit", "0", cwd=work, code=2).stderr


def _write_many(store: Path) -> None:
    """Three traces: of two users and services, one of them failed, one priced."""
    for service, model, user, more in (
        ("shop", "gpt-5", "ada", {"gen_ai.usage.cost": 0.25, "genai_otel.tags": ["beta"]}),
        ("shop", "claude", "bob", {"session.id": "s-2"}),
        ("office", "gpt-5-mini", "bob", {"error.type": "TimeoutError"}),
    ):
        with tracing(store, service) as tracer:
            facts = chat(model) | {"user.id": user} | more
            with tracer.start_as_current_span(f"chat {model}", attributes=facts) as span:
                if "error.type" in more:
                    span.set_status(StatusCode.ERROR)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("--model gpt-*", ["gpt-5-mini", "gpt-5"]),
        ("--model CLAUDE*", ["claude"]),
        ("--name chat?gpt-5", ["gpt-5"]),
        ("--service shop --user bob", ["claude"]),
        ("--session s-2", ["claude"]),
        ("--tag beta", ["gpt-5"]),
        ("--status error", ["gpt-5-mini"]),
        ("--status ok --since 1h", ["claude", "gpt-5"]),
        ("--since 2999-01-01", []),
        ("--min-cost 0.2", ["gpt-5"]),
        ("--min-cost 0.3", []),
        ("--min-duration 3600", []),
        ("--model gpt-* --limit 1", ["gpt-5-mini"]),
    ],
)
def test_the_list_may_be_filtered(work: Path, options: str, found: list[str]) -> None:
    _write_many(work / "store")
    done = run_cli("traces", "--dir", "store", *options.split(), "--json", cwd=work)
    assert [each["name"] for each in json.loads(done.stdout)] == [f"chat {each}" for each in found]
    shown = run_cli("traces", "list", "--dir", "store", *options.split(), cwd=work)
    assert len(shown.stdout.splitlines()) == (len(found) + 1 if found else 0)
    assert ("none of 3 traces matches the filters" in shown.stderr) == (not found)


def test_the_list_has_costs(work: Path) -> None:
    _write_many(work / "store")
    head, *rows = run_cli("traces", "--dir", "store", cwd=work).stdout.splitlines()
    assert "cost" in head
    assert ["$0.2500" in row for row in rows] == [False, False, True]


GAPS = {
    "unknown_biller": (
        {"genai_otel.cost.status": "unknown_biller"},
        ["gateway.example.com have no price", '"gateway.example.com" = "openai"', "free = true"],
    ),
    "no usage": (
        {"gen_ai.request.stream": True, "gen_ai.usage.output_tokens": None},
        ["include_usage", "GENAI_OTEL_REQUEST_STREAM_USAGE=gateway.example.com"],
    ),
    "left early": (
        {
            "gen_ai.request.stream": True,
            "gen_ai.usage.output_tokens": None,
            "genai_otel.response.completed": False,
        },
        [],
    ),
    "nothing": ({}, []),
}


@pytest.mark.parametrize("name", GAPS)
@pytest.mark.parametrize("command", ["traces show", "report cost"])
def test_what_would_complete_the_figures_is_said(work: Path, name: str, command: str) -> None:
    more, hints = GAPS[name]
    facts = {**chat(), "server.address": "gateway.example.com", **more}
    with tracing(work) as tracer:
        present = {key: value for key, value in facts.items() if value is not None}
        tracer.start_span("chat gpt-5", attributes=present).end()
    said = run_cli(*command.split(), "--dir", ".", cwd=work).stderr
    assert bool(said) == bool(hints)
    assert all(hint in said for hint in hints)


def test_the_lines_that_are_proposed_are_prices(work: Path) -> None:
    with tracing(work) as tracer:
        facts = {"genai_otel.cost.status": "unknown_biller", "server.address": 'odd".host'}
        tracer.start_span("chat", attributes=chat('m"x') | facts).end()
    said = run_cli("traces", "show", "--dir", ".", cwd=work).stderr
    lines = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    (work / "prices.toml").write_text("\n".join(lines), encoding="utf-8")
    assert run_cli("prices", "check", "prices.toml", cwd=work).stdout


def test_a_probe_is_not_the_last_trace(work: Path) -> None:
    trace_id = write_assistant(work / ".genai_otel")
    run_cli("doctor", "--send", "local", cwd=work)
    assert len(json.loads(run_cli("traces", "--json", cwd=work).stdout)) == 2
    assert trace_id in run_cli("traces", "show", cwd=work).stdout
    assert trace_id in run_cli("traces", "show", "last", cwd=work).stdout


def test_the_list_as_json(work: Path, trace_id: str) -> None:
    (summary,) = json.loads(run_cli("traces", "--json", cwd=work).stdout)
    assert summary["trace_id"] == trace_id
    assert (summary["spans"], summary["input_tokens"], summary["status"]) == (7, 2403, "ok")


def test_the_store_is_the_one_that_the_settings_name(work: Path) -> None:
    trace_id = write_assistant(work / "elsewhere")
    env = {"GENAI_OTEL_STORE_DIRECTORY": "elsewhere"}
    assert trace_id[:8] in run_cli("traces", cwd=work, env=env).stdout
    wrong = {"GENAI_OTEL_CONTENT": "sometimes"}
    assert "content mode" in run_cli("traces", cwd=work, env=wrong, code=2).stderr


def test_no_store_and_an_empty_one(work: Path) -> None:
    missing = run_cli("traces", cwd=work, code=2)
    assert f"no store found at {work / '.genai_otel'}: run a program" in missing.stderr
    assert "or give a store with --dir\n" in missing.stderr
    (work / ".genai_otel").mkdir()
    empty = run_cli("traces", cwd=work)
    assert (empty.stdout, empty.stderr) == ("", "note: no traces yet\n")
    assert "no traces yet" in run_cli("traces", "show", cwd=work, code=2).stderr


def test_damage_is_noted_beside_the_answer(work: Path, trace_id: str) -> None:
    (file,) = (work / ".genai_otel").glob("*.jsonl")
    with file.open("ab") as stream:
        stream.write(b"rubbish\n" + file.read_bytes()[:100])
    done = run_cli("traces", cwd=work)
    assert trace_id[:8] in done.stdout
    assert "1 line(s)" in done.stderr
    assert "1 incomplete last line(s)" in done.stderr


# ------------------------------------------------------------------------------------ the tree

CALL = ["gpt-5 → gpt-5-2026-08-01", "1,200 [128] → 95", "212 ms", "10.4 ms"]
TREE = [
    ["model", "tokens [cached]", "TTFT", "TPOT", "status"],
    ["invoke_workflow answer", "ok"],
    ["├── retrieval handbook", "ok"],
    ["│   └── embeddings minilm", "minilm", "3", "ok"],
    ["├── chat gpt-5", *CALL, "ok"],
    ["├── execute_tool track", "error: TimeoutError"],
    ["├── apply_guardrail tone", "deny: rude"],
    ["└── chat gpt-5", *CALL, "incomplete"],
]


def cells(tree: list[str]) -> list[list[str]]:
    """By line, without the durations, which no two runs have in common."""
    split = [re.split(r"(?<=[^│\s])\s{2,}", line.strip()) for line in tree]
    head, *rows = split
    return [head[1:], *([row[0], *row[2:]] for row in rows)]


@pytest.mark.parametrize("which", ["last", "whole", "prefix"])
def test_a_trace_as_a_tree(work: Path, trace_id: str, which: str) -> None:
    wanted = {"last": "last", "whole": trace_id.upper(), "prefix": trace_id[:6]}[which]
    headline, *tree = run_cli("traces", "show", wanted, cwd=work).stdout.splitlines()
    assert headline.startswith(f"trace {trace_id}  20")
    assert headline.endswith("2,403 → 190 tokens")
    assert "shop  7 spans" in headline
    assert cells(tree) == TREE


def test_unknown_and_ambiguous_ids_are_told(work: Path, trace_id: str) -> None:
    ids = [trace_id, *(write_assistant(work / ".genai_otel") for _ in range(16))]
    shared = next(first for first in "0123456789abcdef" if sum(i[0] == first for i in ids) > 1)
    ambiguous = run_cli("traces", "show", shared, cwd=work, code=2)
    assert re.search(rf"\d+ traces begin with '{shared}': {shared}[0-9a-f]{{7}}", ambiguous.stderr)
    assert "no trace begins with 'nix'" in run_cli("traces", "show", "nix", cwd=work, code=2).stderr
    assert "begin with ''" in run_cli("traces", "show", "", cwd=work, code=2).stderr


def test_cost_has_a_column_when_somebody_knows_it(work: Path) -> None:
    with tracing(work) as tracer:
        tracer.start_span("chat gpt-5", attributes=chat(gen_ai__usage__cost=0.001234)).end()
    tree = run_cli("traces", "show", "--dir", ".", cwd=work).stdout
    assert "cost" in tree
    assert "0.001234" in tree


def test_what_the_tokens_are_and_by_which_prices(work: Path) -> None:
    usage = {
        "gen_ai.usage.cache_creation.input_tokens": 64,
        "gen_ai.usage.reasoning.output_tokens": 40,
        "genai_otel.usage.audio.input_tokens": 50,
        "genai_otel.usage.audio.output_tokens": 0,
        "genai_otel.usage.estimated": "script-aware-1",
        "genai_otel.prices.version": "genai-prices/1 to 2026-01-01",
    }
    totals = {
        "gen_ai.operation.name": "invoke_workflow",
        "genai_otel.total.input_tokens": 1200,
        "genai_otel.total.output_tokens": 95,
        "genai_otel.total.cost": 0.5,
    }
    with tracing(work) as tracer, tracer.start_as_current_span("job", attributes=totals):
        tracer.start_span("chat gpt-5", attributes=chat() | usage).end()
    _, _, job, call, prices = run_cli("traces", "show", "--dir", ".", cwd=work).stdout.splitlines()

    assert " ".join(job.split()).endswith("Σ 1,200 → 95 Σ $0.5000 ok")
    assert "1,200 [128] → 95  64 cache write, 50 audio in, 40 reasoning, estimated  212 ms" in call
    assert prices == "prices: genai-prices/1 to 2026-01-01"


def test_whose_it_was_and_how_it_ended(work: Path) -> None:
    facts = {
        "session.id": "s-1",
        "user.id": "ada",
        "genai_otel.tags": ["beta", "shop"],
        "genai_otel.response.attempts": 3,
        "gen_ai.response.finish_reasons": ["length", "length"],
        "genai_otel.cost.status": "unknown_model",
    }
    with tracing(work) as tracer, tracer.start_as_current_span("all"):
        for number in range(5):
            tracer.start_span("chat", attributes=chat() | facts | {"user.id": f"u{number}"}).end()
    _, scope, head, _, call, *_ = run_cli(
        "traces", "show", "--dir", ".", cwd=work
    ).stdout.splitlines()
    assert scope == "session s-1  user u0, u1, u2 and 2 more  tags beta, shop"
    assert re.split(r"\s{2,}", head)[-3:] == ["cost", "finish", "status"]
    assert re.split(r"\s{2,}", call)[-3:] == ["unknown_model", "length", "ok, 3 attempts"]


UNCOUNTED = {
    "gen_ai.operation.name": "chat",
    "genai_otel.cost.status": "no_usage",
    "gen_ai.request.model": "gpt-5",
    "genai_otel.response.completed": False,
}


def test_sums_that_lack_calls_are_marked(work: Path) -> None:
    totals = {
        "gen_ai.operation.name": "invoke_workflow",
        "genai_otel.total.model_calls": 2,
        "genai_otel.total.input_tokens": 1200,
        "genai_otel.total.output_tokens": 95,
        "genai_otel.total.cost": 0.5,
        "genai_otel.total.uncounted_calls": 1,
        "genai_otel.total.unpriced_calls": 1,
    }
    with tracing(work) as tracer, tracer.start_as_current_span("job", attributes=totals):
        tracer.start_span("chat gpt-5", attributes=chat(gen_ai__usage__cost=0.5)).end()
        tracer.start_span("chat gpt-5", attributes=UNCOUNTED).end()
    shown = run_cli("traces", "show", "--dir", ".", cwd=work).stdout
    assert "Σ 1,200 → 95 (partial)" in shown
    assert "Σ $0.5000 (partial)" in shown
    assert "1,200 → 95 tokens (partial)" in shown
    listed = run_cli("traces", "--dir", ".", cwd=work).stdout
    assert "1,200 → 95 (partial)" in listed
    assert "$0.5000 (partial)" in listed
    (row,) = json.loads(run_cli("traces", "--dir", ".", "--json", cwd=work).stdout)
    assert (row["uncounted_calls"], row["unpriced_calls"]) == (1, 1)


def test_sums_that_may_lack_calls_are_marked(work: Path) -> None:
    totals = {
        "gen_ai.operation.name": "invoke_workflow",
        "genai_otel.total.model_calls": 1,
        "genai_otel.total.input_tokens": 1200,
        "genai_otel.total.output_tokens": 95,
        "genai_otel.total.cost": 0.5,
        "genai_otel.total.partial": True,
    }
    with tracing(work) as tracer, tracer.start_as_current_span("job", attributes=totals):
        tracer.start_span("chat gpt-5", attributes=chat(gen_ai__usage__cost=0.5)).end()
    shown = run_cli("traces", "show", "--dir", ".", cwd=work).stdout
    assert "Σ 1,200 → 95 (partial)" in shown
    assert "Σ $0.5000 (partial)" in shown


def test_where_nobody_counted_no_sum_is_shown(work: Path) -> None:
    totals = {"gen_ai.operation.name": "invoke_workflow", "genai_otel.total.model_calls": 1,
              "genai_otel.total.uncounted_calls": 1}  # fmt: skip
    with tracing(work) as tracer, tracer.start_as_current_span("job", attributes=totals):
        tracer.start_span("chat gpt-5", attributes=UNCOUNTED).end()
    shown = run_cli("traces", "show", "--dir", ".", cwd=work).stdout
    assert "Σ" not in shown
    assert "0 →" not in shown


def test_content_stands_below_its_span_and_is_shortened(work: Path, trace_id: str) -> None:
    with tracing(work / ".genai_otel") as tracer:
        long = "word " * 1000
        facts = chat(
            gen_ai__input__messages=messages("user", long), gen_ai__system_instructions="["
        )
        with tracer.start_as_current_span("chat gpt-5", attributes=facts) as span:
            span.record_exception(ValueError("bad luck"))
    shown = run_cli("traces", "show", "--content", cwd=work).stdout
    assert "user: word word" in shown
    assert "characters…]" in shown
    assert len(shown) < 2000
    assert "assistant: In the post office" in shown
    assert "ValueError: bad luck" in shown
    tree = run_cli("traces", "show", trace_id, "--content", cwd=work).stdout
    for text in (
        "query: parcel",
        "document returns.md (0.83): Parcels wait ten days.",
        "user: Where",
    ):
        assert text in tree


def test_what_was_not_recorded_is_said(work: Path) -> None:
    with tracing(work) as tracer:
        span = tracer.start_span("chat gpt-5", attributes={"gen_ai.operation.name": "chat"})
        span.add_event("exception", {"exception.type": "openai.RateLimitError"})
        span.end()
    shown = run_cli("traces", "show", "--content", "--dir", str(work), cwd=work)
    assert "RateLimitError:" not in shown.stdout
    assert "no content was recorded in this trace" in shown.stderr


def test_a_cancelled_call_and_its_own_name(work: Path) -> None:
    facts = {
        "gen_ai.operation.name": "invoke_workflow",
        "genai_otel.error.category": "cancelled",
        "genai_otel.response.completed": False,
    }
    with tracing(work) as tracer:
        tracer.start_span("invoke_workflow inline", attributes=facts).end()
    tree = run_cli("traces", "show", "--dir", str(work), cwd=work).stdout
    for name in ("inline", "invoke_workflow inline"):
        listed = run_cli("traces", "--name", name, "--dir", str(work), cwd=work).stdout
        assert "cancelled" in tree
        assert "cancelled" in listed


def test_content_of_every_shape_is_shown(work: Path) -> None:
    parts = [
        {"type": "reasoning", "content": "hm"},
        {"type": "tool_call", "name": "track", "arguments": {"id": 7}},
        {"type": "tool_call_response", "response": "there"},
        {"type": "uri", "uri": "https://example.org/a.png", "mime_type": "image/png"},
        {"type": "media", "modality": "image", "size": 1024, "sha256": "ab"},
        "bare",
    ]
    facts = {
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "be kind"}]),
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": parts}, 7, {"role": "x"}]),
        "gen_ai.output.messages": "not json",
        "gen_ai.tool.call.result": [1, 2],
        "genai_otel.output": '{"answer": 42}',
    }
    with tracing(work) as tracer:
        tracer.start_span("chat", attributes=facts).end()
    shown = run_cli("traces", "show", "--content", "--dir", str(work), cwd=work).stdout
    for text in (
        "system: be kind", "user: (reasoning) hm", 'user: tool call: track({"id": 7})',
        "user: tool result: there", "user: (image/png, https://example.org/a.png)",
        "user: (image, 1,024 bytes)", "user: bare", "result: [1, 2]",
        'output: {"answer": 42}',
    ):  # fmt: skip
        assert text in shown


def test_of_many_messages_the_first_and_the_last_are_shown(work: Path) -> None:
    said = [{"role": "user", "parts": [{"type": "text", "content": f"no {n}"}]} for n in range(30)]
    with tracing(work) as tracer:
        facts = {"gen_ai.input.messages": json.dumps(said)}
        tracer.start_span("chat", attributes=facts).end()
    shown = run_cli("traces", "show", "--content", "--dir", str(work), cwd=work).stdout
    assert re.findall(r"no (\d+)", shown) == ["0", "25", "26", "27", "28", "29"]
    assert "24 more messages" in shown


def test_a_trace_as_json(work: Path) -> None:
    with tracing(work) as tracer:
        facts = {"nan": float("nan"), "raw": b"\xff", "list": [1, 2], "text": NASTY}
        tracer.start_span("odd", attributes=facts).end()
    text = run_cli("traces", "show", "--json", "--dir", str(work), cwd=work).stdout
    (span,) = json.loads(text)["spans"]
    assert span["attributes"]["nan"] == "NaN"
    assert span["attributes"]["raw"] == "/w=="
    assert span["attributes"]["list"] == [1, 2]
    assert not CONTROLS.search(text.replace("\n", "").replace("\x7f", ""))


# ------------------------------------------------------------------------------ where it is shown


def test_nothing_in_a_store_steers_the_terminal(work: Path) -> None:
    store = work / "store"
    names = (
        *("gen_ai.request.model", "gen_ai.response.model", "error.type", "genai_otel.input"),
        *("gen_ai.guardrail.result.type", "gen_ai.guardrail.result.reason"),
    )
    facts: dict[str, Any] = dict.fromkeys(names, NASTY)
    facts["gen_ai.input.messages"] = json.dumps(
        [{"role": NASTY, "parts": [{"type": "text", "content": NASTY}]}]
    )
    facts["gen_ai.retrieval.documents"] = json.dumps([{"id": NASTY, "content": NASTY}])
    with (
        tracing(store, NASTY) as tracer,
        tracer.start_as_current_span(NASTY, attributes=facts) as span,
    ):
        span.record_exception(ValueError(NASTY), {"exception.type": NASTY})
    for arguments in (("list",), ("show",), ("show", "--content")):
        done = run_cli("traces", *arguments, "--dir", "store", cwd=work)
        assert "red" in done.stdout
        assert not CONTROLS.search(done.stdout.replace("\n", "")), done.stdout
    wrong = run_cli("traces", "show", "\x1b[31m", "--dir", "store", cwd=work, code=2)
    assert not CONTROLS.search(wrong.stderr.replace("\n", ""))


def test_a_pipe_gets_no_color_and_whole_lines(work: Path) -> None:
    with tracing(work / ".genai_otel") as tracer:
        tracer.start_span("n" * 90, attributes=chat("m" * 80)).end()
    env = {"COLUMNS": "40", "TERM": "xterm-256color"}
    tree = run_cli("traces", "show", cwd=work, env=env).stdout
    assert "\x1b" not in tree
    assert "n" * 90 in tree
    assert "1,200 [128] → 95" in tree


def in_terminal(width: int, *arguments: str, cwd: Path, **env: str) -> str:
    """What the command shows on a terminal of that width."""
    import fcntl
    import pty
    import struct
    import subprocess
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    command = [sys.executable, "-m", "genai_otel", *arguments]
    known = {"PATH": os.environ["PATH"], "PYTHONPATH": SOURCES, "TERM": "xterm-256color"} | env
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, cwd=cwd, env=known
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            chunk = os.read(leader, 65_536)
        except OSError:  # Linux says so when the last writer is gone
            break
        if not chunk:
            break
        shown += chunk
    os.close(leader)
    assert process.wait() == 0
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize("width", [40, 60, 100, 140])
@pytest.mark.usefixtures("trace_id")
def test_no_terminal_is_too_narrow_for_the_numbers(work: Path, width: int) -> None:
    shown = in_terminal(width, "traces", "show", cwd=work, NO_COLOR="1")
    assert max(map(len, shown.splitlines())) <= width
    for number in ("1,200 [128] → 95", "212 ms", "10.4 ms"):
        assert number in shown
    assert ("├── chat gpt-5\n" in shown) == (width < 90)  # stacked where columns do not fit
    listed = in_terminal(width, "traces", cwd=work, NO_COLOR="1")
    assert max(map(len, listed.splitlines())) <= width
    assert "2,403 → 190" in listed


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX")
@pytest.mark.usefixtures("trace_id")
def test_a_terminal_gets_color(work: Path) -> None:
    assert "\x1b[" in in_terminal(120, "traces", "show", cwd=work)
    assert "\x1b[" not in in_terminal(120, "traces", "show", cwd=work, TERM="dumb")


@pytest.mark.usefixtures("trace_id")
def test_a_reader_that_has_seen_enough_may_leave(work: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-m', 'genai_otel', 'traces', 'show', '--json'],"
        " stdout=subprocess.PIPE, stderr=subprocess.PIPE)\n"
        "p.stdout.close()\n"
        "print(p.stderr.read().decode())\n"
    )
    assert run_python("-c", code, cwd=work).stdout.strip() == ""


def test_an_old_encoding_costs_characters_not_the_answer(work: Path, trace_id: str) -> None:
    done = run_cli("traces", "show", cwd=work, env={"PYTHONIOENCODING": "ascii"})
    assert trace_id in done.stdout
    assert "???" in done.stdout


def test_the_tree_as_a_function(work: Path, trace_id: str) -> None:
    trace = StoreReader(work / ".genai_otel").trace(trace_id)
    plain, colored = render_tree(trace, color=False), render_tree(trace, color=True)
    assert "\x1b" not in plain
    assert "\x1b[" in colored
    assert clean(colored).replace(" ", "") == plain.replace(" ", "")


def test_an_unfinished_trace_is_shown_with_what_there_is(work: Path) -> None:
    with tracing(work / "store") as tracer:
        root = tracer.start_as_current_span("running")
        with root:
            tracer.start_span("done").end()
            shown = run_cli("traces", "show", "--dir", "store", cwd=work).stdout
    assert "done (parent not stored)" in shown


# ------------------------------------------------------------------------------- the command


def test_nothing_beyond_the_core_is_needed(work: Path, trace_id: str) -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('rich', 'openai', 'fsspec', 'botocore')))\n"
        "from genai_otel.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    for arguments in (["traces"], ["traces", "show"], ["report", "cost"]):
        assert trace_id[:8] in run_python("-c", code, *arguments, cwd=work).stdout or (
            arguments[0] == "report"
        )
    assert "gpt-5" in run_python("-c", code, "prices", "show", "gpt-5", cwd=work).stdout


def test_help_and_version(work: Path) -> None:
    for arguments in ((), ("--help",)):
        text = run_cli(*arguments, cwd=work).stdout
        assert all(command in text for command in ("traces", "doctor", "run", "examples"))
    assert run_cli("--version", cwd=work).stdout.startswith("genai-otel ")
    assert "--content" in run_cli("traces", "show", "--help", cwd=work).stdout
    assert "invalid choice" in run_cli("trace", cwd=work, code=2).stderr


def test_the_command_is_light(work: Path) -> None:
    code = "import genai_otel.cli, sys; print(*sorted(sys.modules))"
    loaded = run_python("-c", code, cwd=work).stdout.split()
    heavy = ("rich", "pydantic", "pydantic_core", "opentelemetry.sdk", "wrapt", "openai")
    assert [name for name in heavy if name in loaded] == []


# ------------------------------------------------------------------------------------- words


def test_control_characters_and_escapes_are_taken_out() -> None:
    assert one_line(NASTY) == "aredbcde\ufffdflinkg h"
    assert clean("a\r\nb\tc\u2028d") == "a\nb    c\nd"
    assert clean("\x1b]0;never ended") == "0;never ended"
    assert clean("\x1b[" * 100_000) is not None  # and soon


def test_figures_have_about_three_digits() -> None:
    shown = {0: "0 us", 412_345: "412 us", 4_234_567: "4.23 ms", 41_234_567: "41.2 ms"}
    shown |= {412_345_678: "412 ms", 2_310_000_000: "2.31 s", 41_230_000_000: "41.2 s"}
    shown |= {185_000_000_000: "3 min 05 s", 59_999_999_999: "60.0 s"}
    assert {value: duration(value) for value in shown} == shown


def test_absurd_times_and_long_texts() -> None:
    assert local_time(10**40) == "-"
    assert shortened("short", 10) == "short"
    assert shortened("abcdefghij" * 10, 20) == "abcdefghijabcde […80 characters…] fghij"
