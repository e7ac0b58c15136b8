"""Runs one task in a peer's environment and prints JSON on the last line."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from .contract import Adapter, Options
from .session import load

_Task = Callable[[Adapter, Options, argparse.Namespace], Any]


def _instructions(adapter: Adapter, options: Options, args: argparse.Namespace) -> Any:
    from .instructions import count

    return count(adapter, options, args.workloads, args.repeats)


def _paired(adapter: Adapter, options: Options, args: argparse.Namespace) -> Any:
    from .paired import measure

    return measure(adapter, options, args.workloads, args.pairs, args.scale)


def _fresh(adapter: Adapter, options: Options, args: argparse.Namespace) -> Any:  # noqa: ARG001
    from .startup import fresh

    return fresh(adapter, options)


def _growth(adapter: Adapter, options: Options, args: argparse.Namespace) -> Any:
    from .startup import growth

    return growth(adapter, options, args.calls)


def _profile(adapter: Adapter, options: Options, args: argparse.Namespace) -> Any:
    from .profiling import profile

    return profile(adapter, options, args.workloads)


def _estimates(adapter: Adapter, options: Options, args: argparse.Namespace) -> Any:  # noqa: ARG001
    from .estimates import measure

    return measure()


TASKS: dict[str, _Task] = {
    "instructions": _instructions,
    "paired": _paired,
    "fresh": _fresh,
    "growth": _growth,
    "profile": _profile,
    "estimates": _estimates,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--content", choices=("on", "off"), default="on")
    parser.add_argument("--metrics", action="store_true")
    parser.add_argument("--endpoint")
    parser.add_argument("--mode", default="")
    parser.add_argument("--workloads", type=lambda text: text.split(","), default=[])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--calls", type=int, default=50_000)
    return parser.parse_args()


def main() -> None:
    args = _arguments()
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.ERROR)
    options = Options(args.content == "on", args.metrics, args.endpoint, args.mode)
    result = TASKS[args.task](load(args.peer), options, args)
    sys.stdout.write("\n" + json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)  # peers' exit hooks may wait for a network that is not there


if __name__ == "__main__":
    main()
