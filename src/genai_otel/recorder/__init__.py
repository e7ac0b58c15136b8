"""An Operation becomes a span, events and metrics; the only user of the OpenTelemetry API."""

from .costs import Accounts
from .metrics import Instruments
from .recorder import ACTIVE, Ledgers, Recorder, Recording, Source, current

__all__ = [
    "ACTIVE",
    "Accounts",
    "Instruments",
    "Ledgers",
    "Recorder",
    "Recording",
    "Source",
    "current",
]
