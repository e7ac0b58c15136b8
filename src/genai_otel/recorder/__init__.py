"""Convert Operations to spans, events and metrics; the only user of the OpenTelemetry API."""

from .costs import Costs
from .metrics import Instruments
from .recorder import ACTIVE, Recorder, Recording, Sinks, Source, current

__all__ = [
    "ACTIVE",
    "Costs",
    "Instruments",
    "Recorder",
    "Recording",
    "Sinks",
    "Source",
    "current",
]
