"""Runs when an interpreter starts below ``genai-otel run``; then the host's own gets its turn.

It may find itself in an interpreter of another environment or age, where it must do nothing.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path


def _leave_the_path() -> None:
    """The program shall see the path that it would have without us; its children inherit ours."""
    here = os.path.normcase(Path(__file__).parent)
    sys.path[:] = [path for path in sys.path if os.path.normcase(path) != here]


def _instrument() -> None:
    try:
        from genai_otel._sdk import entry_point
    except ImportError:
        return
    entry_point.start()


def _hand_over() -> None:
    """Runs the ``sitecustomize`` that ours has hidden; what it raises is the host's business."""
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


_leave_the_path()
_instrument()
_hand_over()
