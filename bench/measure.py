"""Starts the workers and gathers what they measured."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .environments import ROOT, build_library

if TYPE_CHECKING:
    from collections.abc import Container

    from .environments import Environments
    from .harness.contract import Peer

CALLS = ("chat_short", "chat_large")
STREAMS = ("stream_20", "stream_200", "async_stream_20", "async_stream_200")
EVERYTHING = (*CALLS, *STREAMS, "embeddings", "async_64")
GROWTH_CALLS = 50_000
HOUR = 3600
LAYOUTS = 3
"""Processes that count the same. Their environments differ in size, and so where things lie in
memory: on that depends how often CPython finds an attribute in its table of all classes'."""
_SHIFT = 1_777


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to configure the peers for a count of instructions."""

    name: str
    workloads: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    def without(self, found: Container[str]) -> Variant:
        """The same for the workloads that are not among ``found``."""
        return replace(self, workloads=tuple(w for w in self.workloads if w not in found))

    def applies(self, peer: Peer) -> bool:
        return {
            "content": True,
            "no content": peer.content_switch,
            "sampled out": peer.opentelemetry,
            "metrics": peer.metrics,
        }[self.name]


CONTENT = Variant("content", EVERYTHING)
QUICK = Variant("content", (*CALLS, *STREAMS))
VARIANTS = (
    CONTENT,
    Variant("no content", CALLS, ("--content", "off")),
    Variant("sampled out", CALLS, (), (("OTEL_TRACES_SAMPLER", "always_off"),)),
    Variant("metrics", ("chat_short", "stream_20", "stream_200"), ("--metrics",)),
)


class Laboratory:
    """Runs one task of one peer at a time, each in a process of its own."""

    def __init__(self, environments: Environments, folder: Path) -> None:
        self._environments, self._folder = environments, folder

    @cached_property
    def _library(self) -> Path:
        return build_library(self._folder)

    def instructions(self, name: str, variant: Variant, repeats: int) -> dict[str, Any] | None:
        """Instructions per call of each workload, bare and added: the median of the layouts."""
        _ = self._library  # made before several ask for it
        once = partial(self._instructions, name, variant, repeats)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # counts do not depend on the load
            found = [each for each in pool.map(once, range(LAYOUTS)) if each is not None]
        if not found:
            return None
        return {
            work: sorted((each[work] for each in found), key=itemgetter("added"))[len(found) // 2]
            for work in found[0]
        }

    def _instructions(
        self, name: str, variant: Variant, repeats: int, layout: int
    ) -> dict[str, Any] | None:
        arguments = ["--workloads", ",".join(variant.workloads), *variant.arguments]
        shifting = ("BENCH_LAYOUT", "x" * layout * _SHIFT), ("PYTHONHASHSEED", "0")
        recorded, counts = self._counted(
            name,
            "instructions",
            *arguments,
            "--repeats",
            str(repeats),
            variables=(*variant.variables, *shifting),
        )
        if recorded is None:
            return None
        return {work: {**_added(counts[work]), **recorded[work]} for work in recorded}

    def estimates(self, name: str) -> dict[str, Any] | None:
        """Errors and instructions of the token estimate, by kind of text."""
        recorded, counts = self._counted(name, "estimates")
        for row in (recorded or {}).values():
            row["instructions"] = counts[row["label"]]["traced"][0]
        return recorded

    def _counted(
        self, name: str, task: str, *arguments: str, variables: tuple[tuple[str, str], ...] = ()
    ) -> tuple[dict[str, Any] | None, dict[str, dict[str, dict[int, float]]]]:
        """A worker's answer, and the counts that it has dumped."""
        more = {**dict(variables), "BENCH_CALLGRIND_LIB": str(self._library)}
        with tempfile.TemporaryDirectory() as dumps:
            counted = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
            counted.append(f"--callgrind-out-file={dumps}/callgrind.out")
            recorded = self.worker(name, task, *arguments, prefix=counted, variables=more)
            return recorded, _counts(Path(dumps))

    def fresh(self, names: list[str], rounds: int) -> dict[str, list[Any]]:
        """Fresh processes, alternating between the peers; the first round compiles bytecode."""
        values: dict[str, list[Any]] = {n: [] for n in names}
        for number in range(rounds + 1):
            for name in names:
                value = self.worker(name, "fresh")
                if number and value is not None:
                    values[name].append(value)
        return values

    def growth(self, name: str) -> list[dict[str, int]] | None:
        points: list[dict[str, int]] | None
        points = self.worker(name, "growth", "--calls", str(GROWTH_CALLS))
        return points

    def worker(
        self,
        name: str,
        task: str,
        *arguments: str,
        prefix: list[str] | None = None,
        variables: dict[str, str] | None = None,
        otlp: bool = False,
    ) -> Any:
        """The worker's answer; None, and its last words on stderr, when it failed."""
        python = self._environments.python(name, otlp=otlp)
        command = [*(prefix or []), python, "-m", "bench.harness.worker", task]
        done = subprocess.run(
            [*command, "--peer", name, *arguments],
            cwd=ROOT,
            env={**self._environments.variables(), **(variables or {})},
            capture_output=True,
            text=True,
            timeout=HOUR,
            check=False,
        )
        try:
            return json.loads(done.stdout.strip().splitlines()[-1])
        except (IndexError, ValueError):
            tail = (done.stderr or done.stdout)[-1500:]
            say(f"{name}: {task} failed ({done.returncode}):\n{tail}")
            return None


def say(text: str) -> None:
    """Progress, apart from the table on stdout."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def _counts(folder: Path) -> dict[str, dict[str, dict[int, float]]]:
    """Reads callgrind's dumps: instructions per call by workload, mode and repeat."""
    out: dict[str, dict[str, dict[int, float]]] = {}
    for path in folder.glob("callgrind.out*"):
        text = path.read_text(errors="replace")
        label = re.search(r"bench:(\w+):(\w+):(\d+):(\d+)", text)
        total = re.search(r"^totals: (\d+)", text, re.MULTILINE)
        if label and total:
            work, mode, repeat, calls = label.groups()
            modes = out.setdefault(work, {"bare": {}, "traced": {}})
            modes[mode][int(repeat)] = int(total.group(1)) / int(calls)
    return out


def _added(modes: dict[str, dict[int, float]]) -> dict[str, Any]:
    """The least of each kind: what disturbs a block (a table that grows) only ever adds."""
    bare, traced = sorted(modes["bare"].values()), sorted(modes["traced"].values())
    return {"bare": bare[0], "added": traced[0] - bare[0], "all": [bare, traced]}
