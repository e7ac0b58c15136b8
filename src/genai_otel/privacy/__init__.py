"""Select which content is recorded and exported, and redact it.

A ``ContentPolicy`` is the configuration; an ``AttributeFilter`` applies it to attributes; detectors
find what is masked; truncation limits the rest.
"""

from .attribute_filter import AttributeFilter
from .policy import ContentPolicy, as_policy, loosest, preset, strictest
from .resource_filter import exportable
from .truncation import fit, fit_all, shorten

__all__ = [
    "AttributeFilter",
    "ContentPolicy",
    "as_policy",
    "exportable",
    "fit",
    "fit_all",
    "loosest",
    "preset",
    "shorten",
    "strictest",
]
