"""langsmith: ``wrap_openai``, its own wire format, into an in-process stub.

It does not make OpenTelemetry spans here; its background thread serialises,
compresses and posts runs. The stub session answers 202 and counts.
"""

from __future__ import annotations

import os
from typing import Any

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(
    packages=("langsmith",),
    statements="import langsmith\nfrom langsmith.wrappers import wrap_openai",
    title="langsmith",
    opentelemetry=False,
    embeddings=False,
)
_SERVER = {
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "size_limit": 100,
        "size_limit_bytes": 20_971_520,
        "scale_up_nthreads_limit": 16,
        "scale_up_qsize_trigger": 1000,
        "scale_down_nempty_trigger": 4,
    },
    "instance_flags": {"zstd_compression_enabled": True},
}


def _accepting_session() -> Any:
    """A requests session that answers everything at once."""
    import requests

    class Accepting(requests.Session):
        def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> Any:
            data = kwargs.get("data")
            if data is not None and hasattr(data, "read"):
                data.read()
            response = requests.Response()
            response.status_code, response.url = 202, str(url)
            response._content = b"{}"  # noqa: SLF001 - requests has no other way
            return response

    return Accepting()


def setup(exporters: Exporters, options: Options) -> Session:  # noqa: ARG001 - has its own
    os.environ["LANGSMITH_TRACING"] = "true"
    os.environ["LANGSMITH_API_KEY"] = "lsv2_bench"
    import langsmith
    from langsmith.utils import get_env_var
    from langsmith.wrappers import wrap_openai

    get_env_var.cache_clear()  # something may have asked before the variables were set
    runs = [0]

    class Counting(langsmith.Client):  # type: ignore[misc]
        """Counts the runs that are begun."""

        def create_run(self, *args: Any, **kwargs: Any) -> None:
            runs[0] += 1
            super().create_run(*args, **kwargs)

    client = Counting(
        api_url=options.endpoint or "http://127.0.0.1:9",
        api_key="lsv2_bench",
        session=_accepting_session() if options.endpoint is None else None,
        hide_inputs=not options.content,
        hide_outputs=not options.content,
        info=_SERVER,
    )
    return Session(
        flush=client.flush,
        wrap=lambda api: wrap_openai(api, tracing_extra={"client": client}),
        count=lambda: runs[0],
    )
