"""An Operation becomes a span, events and metrics; the only user of the OpenTelemetry API."""

from .context import scope, suppress
from .metrics import Instruments
from .recorder import Recorder, Recording, Source, current

__all__ = [
    "Instruments",
    "Recorder",
    "Recording",
    "Source",
    "current",
    "scope",
    "suppress",
]
