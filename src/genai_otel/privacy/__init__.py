"""What text may leave: what is looked for, what takes its place, how much of it is kept.

``Gate`` applies a ``ContentPolicy`` to attributes: the recorder has one, and each destination that
may have less. ``fit`` and ``shorten`` keep what leaves within sizes; ``told`` says what of a
resource may leave.
"""

from .attribute_filter import Gate
from .policy import ContentPolicy, as_policy, loosest, preset, strictest
from .resource_filter import told
from .truncation import fit, fit_all, shorten

__all__ = [
    "ContentPolicy",
    "Gate",
    "as_policy",
    "fit",
    "fit_all",
    "loosest",
    "preset",
    "shorten",
    "strictest",
    "told",
]
