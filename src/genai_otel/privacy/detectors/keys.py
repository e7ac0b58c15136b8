"""Detect keys and tokens of known vendors, each by a literal that it always contains."""

from __future__ import annotations

import base64
import re
import string
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

Finding = tuple[int, int, str]  # (start, end, label of the placeholder)


class Key(NamedTuple):
    """One form of a key. ``literal`` is searched first; if it is absent, ``shape`` is not tried.

    ``before``: characters of the key before the match of ``shape``. ``loose``: the literal is short
    enough to occur inside a word, so the key must begin a word and must not consist of words.
    """

    label: str
    literal: str
    shape: re.Pattern[str]
    before: int = 0
    loose: bool = False


_W = "[A-Za-z0-9_-]"
_A = "[A-Za-z0-9]"
# A JWT may begin only where a run of its characters begins: otherwise the search is quadratic.
_BEGINS = r"(?:(?<![A-Za-z0-9_-]eyJ)|(?<=\\[bfnrt]eyJ)|(?<=\\u[0-9a-f]{4}eyJ))"


def _key(label: str, literal: str, shape: str, before: int = 0, *, loose: bool = False) -> Key:
    return Key(label, literal, re.compile(shape), before, loose)


KEYS = (
    _key("ANTHROPIC_KEY", "sk-ant-", rf"sk-ant-{_W}{{16,}}"),
    _key("OPENROUTER_KEY", "sk-or-", rf"sk-or-{_W}{{16,}}"),
    _key("LANGFUSE_KEY", "k-lf-", rf"k-lf-(?<=[sp]k-lf-){_W}{{16,}}", 1),
    _key("OPENAI_KEY", "sk-proj-", rf"sk-proj-{_W}{{16,}}"),
    _key("OPENAI_KEY", "sk-", rf"sk-{_W}{{16,}}", loose=True),
    _key("AWS_ACCESS_KEY", "AKIA", r"AKIA[A-Z0-9]{16}"),
    _key("AWS_ACCESS_KEY", "ASIA", r"ASIA[A-Z0-9]{16}"),
    _key("AWS_BEDROCK_KEY", "ABSK", r"ABSK[A-Za-z0-9+/]{40,}={0,2}"),
    _key("AWS_BEDROCK_KEY", "bedrock-api-key-", r"bedrock-api-key-[A-Za-z0-9+/]{16,}={0,2}"),
    _key("GOOGLE_KEY", "AIza", rf"AIza{_W}{{30,}}"),
    _key("GOOGLE_TOKEN", "ya29.", rf"ya29\.{_W}{{16,}}"),
    _key("GOOGLE_SECRET", "GOCSPX-", rf"GOCSPX-{_W}{{20,}}"),
    _key("AZURE_KEY", "JQQJ9", rf"JQQJ9(?<={_A}{{52}}JQQJ9){_A}{{20,}}", 52),
    _key("AZURE_KEY", "Q~", r"Q~(?<=[A-Za-z0-9_.~-]{3}[0-9]Q~)[A-Za-z0-9_.~-]{31,}", 4),
    _key("AZURE_KEY", "Key=", r"Key=(?<=(?:ccount|Access)Key=)([A-Za-z0-9+/%]{20,}={0,2})"),
    _key("AZURE_SIGNATURE", "sig=", r"sig=(?<=[?&;]sig=)([A-Za-z0-9+/%]{20,}={0,2})"),
    _key("GITHUB_TOKEN", "gh", rf"gh[pousr]_{_A}{{30,}}"),
    _key("GITHUB_TOKEN", "github_pat_", r"github_pat_[A-Za-z0-9_]{30,}"),
    _key("GITLAB_TOKEN", "glpat-", rf"glpat-{_W}{{16,}}"),
    _key("SLACK_TOKEN", "xox", r"xox[abcdeoprs]-[A-Za-z0-9-]{10,}"),
    _key("SLACK_TOKEN", "xapp-", r"xapp-[0-9]-[A-Za-z0-9-]{10,}"),
    _key("STRIPE_KEY", "_live_", rf"_live_(?<=[prs]k_live_){_A}{{16,}}", 2),
    _key("STRIPE_KEY", "_test_", rf"_test_(?<=[prs]k_test_){_A}{{16,}}", 2),
    _key("STRIPE_SECRET", "whsec_", r"whsec_[A-Za-z0-9+/]{24,}={0,2}"),
    _key("HUGGING_FACE_TOKEN", "hf_", rf"hf_{_A}{{30,}}", loose=True),
    _key("HUGGING_FACE_TOKEN", "api_org_", rf"api_org_{_A}{{30,}}"),
    _key("GROQ_KEY", "gsk_", rf"gsk_{_A}{{30,}}", loose=True),
    _key("XAI_KEY", "xai-", rf"xai-{_A}{{30,}}", loose=True),
    _key("PERPLEXITY_KEY", "pplx-", rf"pplx-{_A}{{30,}}"),
    _key("REPLICATE_TOKEN", "r8_", rf"r8_{_A}{{30,}}", loose=True),
    _key("NVIDIA_KEY", "nvapi-", rf"nvapi-{_W}{{30,}}"),
    _key("FIREWORKS_KEY", "fw_", rf"fw_{_A}{{20,}}", loose=True),
    _key("TOGETHER_KEY", "tgp_v1_", rf"tgp_v1_{_W}{{30,}}"),
    _key("LANGSMITH_KEY", "lsv2_", r"lsv2_[A-Za-z0-9_]{30,}"),
    _key("PINECONE_KEY", "pcsk_", r"pcsk_[A-Za-z0-9_]{30,}"),
    _key("TAVILY_KEY", "tvly-", r"tvly-[A-Za-z0-9-]{20,}"),
    _key("SENDGRID_KEY", "SG.", rf"SG\.{_W}{{16,}}\.{_W}{{16,}}"),
    _key("TWILIO_KEY", "SK", r"SK[0-9a-f]{32}", loose=True),
    _key("NPM_TOKEN", "npm_", rf"npm_{_A}{{30,}}"),
    _key("PYPI_TOKEN", "pypi-", rf"pypi-{_W}{{50,}}"),
    _key("DATABRICKS_TOKEN", "dapi", r"dapi[0-9a-f]{32}"),
    _key("DIGITALOCEAN_TOKEN", "dop_v1_", r"dop_v1_[0-9a-f]{40,}"),
    _key("JWT", "eyJ", rf"eyJ{_BEGINS}{_W}{{8,}}+\.{_W}{{8,}}+(?:\.{_W}*+)?"),
)

_BEARER = re.compile(r"earer {1,3}([A-Za-z0-9._~+/-]{16,}+=*+)")
_BASIC = re.compile(r"asic {1,3}([A-Za-z0-9+/]{8,}={0,2})")
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=:,.()\s\\-]*+"
)
_WORDS = re.compile(r"[a-z]{1,15}(?:[-_.][a-z]{1,15})*+[-_.]?")


def find_keys(text: str, near: str) -> Iterator[Finding]:
    """Find keys in ``text``. ``near`` are its long words, which contain the literal of any key."""
    for label, literal, shape, before, loose in KEYS:
        if literal in near:
            done = -1
            for found in shape.finditer(text):
                start, end = found.span(found.lastindex or 0)
                start -= before
                if loose:
                    alone = start == done or stands_alone(text, start)
                    if not alone or worded(text[start:end]):
                        continue
                    done = end
                yield start, end, label
    if "earer " in near:
        for found in _BEARER.finditer(text):
            if not worded(found[1]):
                yield *found.span(1), "BEARER_TOKEN"


def find_basic(text: str) -> Iterator[Finding]:
    """Find Base64 text that decodes to ``user:password``."""
    for found in _BASIC.finditer(text):
        try:
            decoded = base64.b64decode(found[1] + "==", validate=False)
        except ValueError:
            continue
        if b":" in decoded and decoded.isascii():
            yield *found.span(1), "CREDENTIALS"


def find_private_keys(text: str) -> Iterator[Finding]:
    """Find PEM private keys, up to their end, or as far as they go if truncated."""
    for found in _PEM.finditer(text):
        start, end = found.span()
        mark = text.find("-----END", start, end)
        close = text.find("-----", mark + 8, end) if mark >= 0 else -1
        yield start, (close + 5 if close >= 0 else end), "PRIVATE_KEY"


_IN_WORD = frozenset(string.ascii_letters + string.digits)


def in_word(char: str) -> bool:
    """Return whether a character is a letter or digit that a key or number may contain.

    Other scripts do not count: many of them put no space between words.
    """
    return char in _IN_WORD


def stands_alone(text: str, start: int) -> bool:
    """Return whether no word continues into ``start``; the end of a JSON escape is no word."""
    before = text[start - 1 : start]
    if before not in _IN_WORD:
        return True
    if before in "bfnrt" and text[max(0, start - 2) : start - 1] == "\\":
        return True
    return text[max(0, start - 6) : start - 4] == "\\u"


def worded(value: str) -> bool:
    """Return whether a value consists of plain words, as no key does."""
    return _WORDS.fullmatch(value) is not None
