"""Runs at the start of each interpreter below ``genai-otel run``; then runs the host's own.

The interpreter may be of another environment or version; there it must do nothing.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path


def _restore_path() -> None:
    """Restore the program's ``sys.path``; child processes inherit ours from ``PYTHONPATH``."""
    here = os.path.normcase(Path(__file__).parent)
    sys.path[:] = [path for path in sys.path if os.path.normcase(path) != here]


def _instrument() -> None:
    try:
        from genai_otel._sdk import entry_point
    except ImportError:
        return
    entry_point.start()


def _run_hidden_sitecustomize() -> None:
    """Run the ``sitecustomize`` that ours has hidden; its exceptions are raised to the host."""
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


_restore_path()
_instrument()
_run_hidden_sitecustomize()
