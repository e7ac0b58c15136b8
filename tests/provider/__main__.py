"""`python -m tests.provider --port 0` serves until it is interrupted or terminated."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from tests.provider.replay import RECORDED, Replay
from tests.provider.server import Provider


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.provider", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--replay", type=Path, default=RECORDED, help="answers for `replay-*`")
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Provider(arguments.port, replay=Replay(arguments.replay), keep=100) as provider:
        print(f"READY {provider.base_url}", flush=True)
        while not stop.wait(0.5):  # an endless wait could not be interrupted everywhere
            pass


if __name__ == "__main__":
    main()
