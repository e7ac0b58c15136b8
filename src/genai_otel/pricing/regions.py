"""Regions where list prices do not apply, because the provider charges more there.

Price tables do not include this. Checked in November 2026:
platform.claude.com/docs/en/manage-claude/data-residency (US only, 1.1 times the price),
cloud.google.com/vertex-ai/generative-ai/pricing (1.1 times for Claude from 4.5 on, and for Gemini
from 3 on), aws.amazon.com/bedrock/pricing (models other than Claude have a price in each region,
and the table has that of the US). OpenAI, xAI and Together have separate hosts for it, which are
not known as theirs.
"""

from __future__ import annotations

import re

from .billers import region_of_host

# Claude up to 4.1, Gemini up to 2.5 and models with one price cost the same everywhere.
_VERTEX_SURCHARGE = re.compile(
    r"(?:claude-(?!3|2|instant|[a-z]+-4(?:-[01])?(?:[@-]20\d|@|$)|4-(?:opus|sonnet)))"
    r"|gemini-(?![12]|pro(?:-vision)?$)"
)
_LISTED = re.compile(r"us-(?:east|west)-\d")
_ABROAD = re.compile(r"(?:eu|apac|jp|au|ca|sa|uk|in|me|af)\.")


_UNKNOWN = "unknown"


def region_of(host: str | None, provider: str | None) -> str | None:
    """Return the region of a host; Vertex AI without a host may have been called in any."""
    if not host and provider == "gcp.vertex_ai":
        return _UNKNOWN
    return region_of_host(host)


def is_elsewhere(biller: str, matched: str, name: str | None, region: str | None) -> bool:
    """Return whether the price of ``matched`` does not apply where the model ``name`` ran."""
    model = (name or "").strip().lower().rpartition("/")[2]
    if biller == "anthropic":
        return region is not None
    if biller == "google":
        return region not in (None, "global") and _VERTEX_SURCHARGE.match(model) is not None
    if biller != "aws" or matched.startswith(("aws/regional.", "aws/global.")):
        return False
    region = region or _region_of_arn(name)
    if region is None:
        return _ABROAD.match(model) is not None
    return _LISTED.fullmatch(region) is None


_PARTS_OF_ARN = 6


def _region_of_arn(name: str | None) -> str | None:
    """Return the region of ``arn:aws:bedrock:eu-west-1:...``, the region where it may be called."""
    parts = (name or "").split(":", _PARTS_OF_ARN)
    return parts[3] or None if parts[0] == "arn" and len(parts) >= _PARTS_OF_ARN else None
