"""Set-up by launchers: ``opentelemetry-instrument`` through its entry point, ``genai-otel run``.

Both run before the program does, so no exception may leave this module.
"""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger("genai_otel")


def start(**arguments: Any) -> bool:
    """Set up a program that did not call ``instrument()``; log failures, never raise them."""
    try:
        from .lifecycle import instrument_implicitly

        instrument_implicitly(**arguments)
    except ValueError as error:  # a setting that is not accepted
        logger.error("genai_otel: the program runs without telemetry: %s", error)  # noqa: TRY400
    except Exception:
        logger.exception("genai_otel: the program runs without telemetry")
    else:
        return True
    return False


class Instrumentor:
    """What the loader of opentelemetry-instrumentation expects, without importing that package.

    It calls ``Instrumentor().instrument(skip_dep_check=True)`` after the SDK is configured. The
    process has a TracerProvider then: we join it and add no destination that was not asked for.
    """

    _is_instrumented_by_opentelemetry = False

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        return Instrumentor._is_instrumented_by_opentelemetry

    def instrumentation_dependencies(self) -> tuple[str, ...]:
        """None: each library is looked at when it is imported, and skipped if it does not suit."""
        return ()

    def instrument(self, **arguments: Any) -> None:
        """Take providers from ``arguments``; ignore the loader's other options."""
        known = ("tracer_provider", "meter_provider")
        given = {name: arguments[name] for name in known if name in arguments}
        # On the class: the loader makes an instance for each call.
        Instrumentor._is_instrumented_by_opentelemetry = start(**given)

    def uninstrument(self, **_: Any) -> None:
        from .lifecycle import uninstrument

        uninstrument()
        Instrumentor._is_instrumented_by_opentelemetry = False
