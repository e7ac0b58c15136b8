"""Counts what the peers and genai_otel add to an application, and prints one table."""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import more, report
from .environments import ROOT, Environments, MissingToolError, build_library, peers
from .goals import FLOOR, NONE, OURS
from .measure import QUICK, VARIANTS, Laboratory, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .goals import Results

DEFAULT = (NONE, FLOOR, OURS, "openai_v2", "genai_otel_instrument", "otel_genai")
FRESH_ROUNDS = 5


def main() -> int:
    args = _arguments()
    names = _chosen(args)
    environments = Environments(args.folder.resolve(), refresh=args.refresh)
    try:
        if args.task == "table":
            build_library(args.folder)  # says at once what is missing
        built = _build(environments, names, otlp=args.task == "otlp")
    except MissingToolError as problem:
        sys.stderr.write(f"bench: {problem}\n")
        return 2
    laboratory = Laboratory(environments, args.folder)
    if args.task != "table":
        sys.stdout.write(more.TASKS[args.task](laboratory, built, args.workloads.split(",")))
        return 0
    results = _measure(laboratory, environments, built, args)
    sys.stdout.write(report.render(results) + "\n")
    return 1 if args.check and report.missed(results) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("task", nargs="?", default="table", choices=("table", *more.TASKS))
    parser.add_argument("--peers", default="", help="comma-separated, or all; ours and the floor")
    parser.add_argument("--quick", action="store_true", help="calls and streams of floor and ours")
    parser.add_argument("--jobs", type=int, default=2, help="counting processes at a time")
    parser.add_argument("--repeats", type=int, default=3, help="counted pairs of blocks; the least")
    parser.add_argument("--reuse", action="store_true", help="peers' earlier figures; ours anew")
    parser.add_argument("--refresh", action="store_true", help="make the environments anew")
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    parser.add_argument("--workloads", default="chat_short", help="of paired and profile")
    folder = ROOT / ".venvs" / "bench"
    parser.add_argument("--folder", type=Path, default=folder, help="environments and results")
    return parser.parse_args()


def _chosen(args: argparse.Namespace) -> list[str]:
    """The peers asked for, with the bare client, the floor and ours, which the goals need."""
    known, asked = list(peers()), [name for name in args.peers.split(",") if name]
    unknown = sorted({*asked} - {*known, "all"})
    if unknown:
        raise SystemExit(f"bench: no peer {', '.join(unknown)}; there are {', '.join(known)}")
    if args.task in {"estimates", "modes"}:
        return [OURS]
    if args.quick and not asked:
        return [FLOOR, OURS]
    wanted = known if "all" in asked else asked or DEFAULT
    return list(dict.fromkeys((NONE, FLOOR, OURS, *wanted)))


def _build(environments: Environments, names: list[str], *, otlp: bool) -> list[str]:
    """Builds what is missing; a peer that no longer installs is left out, and said."""
    known, built = peers(), []
    for name in names:
        say(f"environment of {name}")
        try:
            environments.build(name, known[name], otlp=otlp)
            built.append(name)
        except subprocess.CalledProcessError as error:
            say(f"{name} cannot be installed and is left out:\n{error.stderr[-800:]}")
    return built


def _measure(
    laboratory: Laboratory, environments: Environments, names: list[str], args: argparse.Namespace
) -> Results:
    known = peers()
    results: Results = {name: _earlier(args, name) for name in names}
    for name in names:
        results[name]["versions"] = environments.versions(name, known[name])
        results[name]["own format"] = not known[name].opentelemetry
    _counts(laboratory, results, args)
    if not args.quick:
        fresh = [name for name in names if not results[name].get("fresh")]
        say(f"fresh processes: {', '.join(fresh)}")
        for name, values in laboratory.fresh(fresh, FRESH_ROUNDS).items():
            results[name]["fresh"] = values
            _keep(args, name, results[name])
    return results


def _keep(args: argparse.Namespace, name: str, found: dict[str, Any]) -> None:
    """At once, so that a run which was broken off can be taken up again with ``--reuse``."""
    folder = args.folder / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(found))


def _earlier(args: argparse.Namespace, name: str) -> dict[str, Any]:
    path = args.folder / "results" / f"{name}.json"
    if not args.reuse or name == OURS or not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _counts(laboratory: Laboratory, results: Results, args: argparse.Namespace) -> None:
    """Everything that other load cannot disturb, several processes at a time."""
    todo = list(_todo(laboratory, results, args))
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        running = {pool.submit(_timed, step): (name, what) for name, what, step in todo}
        for done, future in enumerate(concurrent.futures.as_completed(running), 1):
            name, what = running[future]
            value, seconds = future.result()
            earlier = results[name].get(what) or {}
            results[name][what] = {**earlier, **value} if isinstance(value, dict) else value
            _keep(args, name, results[name])
            say(f"[{done}/{len(todo)}] {name}: {what}, {seconds:.0f} s")


def _todo(
    laboratory: Laboratory, results: Results, args: argparse.Namespace
) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """What is not known yet: the main rows of all first."""
    known = peers()
    for variant in (QUICK,) if args.quick else VARIANTS:
        for name in results:
            missing = variant.without(results[name].get(variant.name) or {})
            if variant.applies(known[name]) and missing.workloads:
                count = partial(laboratory.instructions, name, missing, args.repeats)
                yield name, variant.name, count
    for name in () if args.quick else results:
        if results[name].get("growth") is None:
            yield name, "growth", partial(laboratory.growth, name)


def _timed(step: Callable[[], Any]) -> tuple[Any, float]:
    start = time.monotonic()
    return step(), time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main())
