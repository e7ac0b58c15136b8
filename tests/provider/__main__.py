"""`python -m tests.provider --port 0` serves until it is interrupted or terminated."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from tests.provider.replay import RECORDED, Replay
from tests.provider.server import Provider


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.provider", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--replay", type=Path, default=RECORDED, help="answers of `replay-*` models"
    )
    arguments = parser.parse_args()
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with Provider(arguments.port, replay=Replay(arguments.replay)) as provider:
        print(f"READY {provider.base_url}", flush=True)
        signal.sigwait(signals)


main()
