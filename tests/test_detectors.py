"""What is found in a text and what is not; that finding it is linear, and masking it is final."""

from __future__ import annotations

import json
import random
import re
import string
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genai_otel.privacy.detectors import digits, keys, national, passwords, scanner
from genai_otel.privacy.detectors.keys import KEYS
from genai_otel.privacy.masking import DEFAULT, GROUPS, Masker
from genai_otel.privacy.reasons import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALNUM = string.ascii_letters + string.digits
_random = random.Random(7)


def some(n: int, chars: str = ALNUM) -> str:
    return "".join(_random.choices(chars, k=n))


def hexadecimal(n: int) -> str:
    return some(n, "0123456789abcdef")


JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
    ".eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0"
    ".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
)
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nq+b/==\n-----END RSA PRIVATE KEY-----"

# What is planted -> what stands in its place.
SECRETS = {
    f"sk-{some(48)}": "OPENAI_KEY",
    f"sk-proj-{some(40)}_{some(30)}-{some(50)}": "OPENAI_KEY",
    f"sk-ant-api03-{some(80)}-{some(10)}AA": "ANTHROPIC_KEY",
    f"sk-or-v1-{hexadecimal(64)}": "OPENROUTER_KEY",
    "sk-lf-550e8400-e29b-41d4-a716-446655440000": "LANGFUSE_KEY",
    "AKIAIOSFODNN7EXAMPLE": "AWS_ACCESS_KEY",
    "ASIAY34FZKBOKMUTVV7A": "AWS_ACCESS_KEY",
    f"ABSK{some(110)}=": "AWS_BEDROCK_KEY",
    f"AIza{some(35)}": "GOOGLE_KEY",
    f"ya29.{some(60)}": "GOOGLE_TOKEN",
    f"GOCSPX-{some(28)}": "GOOGLE_SECRET",
    f"{some(52)}JQQJ99{some(26)}": "AZURE_KEY",
    f"a1b8Q~{some(34)}": "AZURE_KEY",
    f"ghp_{some(36)}": "GITHUB_TOKEN",
    f"gho_{some(36)}": "GITHUB_TOKEN",
    f"github_pat_{some(22)}_{some(59)}": "GITHUB_TOKEN",
    f"glpat-{some(20)}": "GITLAB_TOKEN",
    f"xoxb-{some(12, string.digits)}-{some(13, string.digits)}-{some(24)}": "SLACK_TOKEN",
    f"xapp-1-A0{some(9)}-{some(13, string.digits)}-{hexadecimal(64)}": "SLACK_TOKEN",
    f"sk_live_{some(24)}": "STRIPE_KEY",
    f"rk_test_{some(24)}": "STRIPE_KEY",
    f"whsec_{some(32)}": "STRIPE_SECRET",
    f"hf_{some(34)}": "HUGGING_FACE_TOKEN",
    f"gsk_{some(52)}": "GROQ_KEY",
    f"xai-{some(80)}": "XAI_KEY",
    f"pplx-{some(48)}": "PERPLEXITY_KEY",
    f"r8_{some(37)}": "REPLICATE_TOKEN",
    f"nvapi-{some(64)}": "NVIDIA_KEY",
    f"fw_{some(24)}": "FIREWORKS_KEY",
    f"tgp_v1_{some(43)}": "TOGETHER_KEY",
    f"lsv2_pt_{hexadecimal(32)}_{hexadecimal(10)}": "LANGSMITH_KEY",
    f"pcsk_{some(6)}_{some(62)}": "PINECONE_KEY",
    f"tvly-dev-{some(32)}": "TAVILY_KEY",
    f"SG.{some(22)}.{some(43)}": "SENDGRID_KEY",
    f"SK{hexadecimal(32)}": "TWILIO_KEY",
    f"npm_{some(36)}": "NPM_TOKEN",
    f"pypi-AgEIcHlwaS5vcmc{some(60)}": "PYPI_TOKEN",
    f"dapi{hexadecimal(32)}": "DATABRICKS_TOKEN",
    f"dop_v1_{hexadecimal(64)}": "DIGITALOCEAN_TOKEN",
    JWT: "JWT",
    PEM: "PRIVATE_KEY",
    PEM.partition("-----END")[0].strip(): "PRIVATE_KEY",
}
PERSONAL = {
    "ann.lee+x@mail.example.com": "EMAIL",
    "müller@bücher.example": "EMAIL",
    "+1 415 555 2671": "PHONE",
    "+14155552671": "PHONE",
    "+44 (0)20 7946 0958": "PHONE",
    "+33 1 42 68 53 00": "PHONE",
    "+49-30-901820": "PHONE",
    "(415) 555-2671": "PHONE",
    "415-555-2671": "PHONE",
    "1-415-555-2671": "PHONE",
    "415.555.2671": "PHONE",
    "4111 1111 1111 1111": "CARD",
    "4111-1111-1111-1111": "CARD",
    "4111111111111111": "CARD",
    "5555555555554444": "CARD",
    "2223003122003222": "CARD",
    "3782 822463 10005": "CARD",
    "378282246310005": "CARD",
    "30569309025904": "CARD",
    "6011111111111117": "CARD",
    "3530111333300000": "CARD",
    "6212345678901265": "CARD",
    "DE89370400440532013000": "IBAN",
    "DE89 3704 0044 0532 0130 00": "IBAN",
    "GB29 NWBK 6016 1331 9268 19": "IBAN",
    "FR14 2004 1010 0505 0001 3M02 606": "IBAN",
    "NO9386011117947": "IBAN",
    "NL91ABNA0417164300": "IBAN",
    "MT84MALT011000012345MTLCAST001S": "IBAN",
    "LC55HEMM000100010012001200023015": "IBAN",
    "203.0.113.77": "IP",
    "8.8.8.8": "IP",
    "2a02:8109:9c40:1a2c:d4b:3c1:fe21:1": "IP",
    "2001:db8:85a3::8a2e:370:7334": "IP",
}
NATIONAL = {
    "123-45-6789": "US_SSN",
    "AB 12 34 56 C": "UK_NINO",
    "AB123456C": "UK_NINO",
    "1 85 05 78 006 084 91": "FR_NIR",
    "12345678Z": "ES_DNI",
    "X1234567L": "ES_DNI",
    "RSSMRA85T10A562S": "IT_CODICE_FISCALE",
    "529.982.247-25": "BR_CPF",
    "2341 2341 2346": "IN_AADHAAR",
}
# Where only a part is masked: the text, and what becomes of it.
AROUND = {
    "postgres://app:s3cr3t@db.example.com/x": "postgres://[CREDENTIALS]@db.example.com/x",
    "redis://:hunter2@cache:6379/0": "redis://[CREDENTIALS]@cache:6379/0",
    "Server=db,1433;User ID=sa;Password=hunter;": "Server=db,1433;User ID=sa;Password=[PASSWORD];",
    'password="open sesame"': 'password="[PASSWORD]"',
    '{"password": "hunter22"}': '{"password": "[PASSWORD]"}',
    "PGPASSWORD=s3cr3t psql": "PGPASSWORD=[PASSWORD] psql",
    "Uid=sa;Pwd=hunter;": "Uid=sa;Pwd=[PASSWORD];",
    '{"pwd": "hunter22"}': '{"pwd": "[PASSWORD]"}',
    "passphrase: 'open sesame'": "passphrase: '[PASSWORD]'",
    "password=my_password=hunter22": "password=[PASSWORD]",
    "+1 415 555 2671+1 415 555 2671": "[PHONE][PHONE]",
    "Authorization: Bearer abcdefghij0123456789": "Authorization: Bearer [BEARER_TOKEN]",
    "authorization: Basic dXNlcjpwYXNzd29yZDE=": "authorization: Basic [CREDENTIALS]",
    f"api-key: {'0a1b2c3d' * 4}": "api-key: [SECRET]",
    f"AZURE_OPENAI_API_KEY='{'0a1b2c3d' * 4}'": "AZURE_OPENAI_API_KEY='[SECRET]'",
    "aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCY": "aws_secret_access_key = [SECRET]",
    f"AccountName=x;AccountKey={'aB3' * 28}ab==;": "AccountName=x;AccountKey=[AZURE_KEY];",
    f"https://x.example/c?sv=1&sig={'aB3' * 14}%3D": "https://x.example/c?sv=1&sig=[AZURE_SIGNATURE]",
    "write to <ann@example.com>, please": "write to <[EMAIL]>, please",
    "ann@example.com.": "[EMAIL].",
    "card:4111111111111111,": "card:[CARD],",
}  # fmt: skip
CLEAN = (
    "The meeting is on 2024-05-01 at 12:30:45.123456, in room 4.",
    "Version 3.11.7, build 20240501123045, took 0.1234567890123456 s.",
    "Pages 100-2000 and 1990 2000 2010 2020 and 1,000,000 items.",
    "uuid 550e8400-e29b-41d4-a716-446655440000 and sha 3f786850e387550fdaf836ed7e6dc881de23001b",
    "@property\ndef password(self, api_key=None): return self.password_hash",
    "max_tokens=1000, top_p=0.95, seed=1714521600, id=1714521600123",
    "a task-oriented-dialogue-system-for-everyone and risk-averse-investors-of-all-ages",
    "Bearer authentication and Basic authentication are explained in the chapter on passwords.",
    "password = get_password()",
    "The password: please choose one.",
    "from genai_otel.export import destination_of_the_metric_exporter_for_everything",
    "127.0.0.1:8080 and 0.0.0.0 and 999.999.999.999 and 1.2.3.4.5",
    "4111111111111112 is no card, and 1234567890123456 neither",
    "DE00370400440532013000 is no account",
    "std::vector<std::string_view> and Face::Bad",
    "x+1234567890 = y",
    "chatcmpl-AbCdEf1234567890AbCdEf12345 call_AbCdEf1234567890AbCdEf12",
    "git commit e3d40ed1234567890abcdef1234567890abcdef12",
    "gpt-4o-mini-2024-07-18 claude-sonnet-4-5-20250929 us.anthropic.claude-3-haiku-20240307-v1:0",
    "https://example.com/path/to/some/page?with=a&long=query#fragment",
    "C:\\Users\\ann\\file.txt at 12:30",
    "[EMAIL] [OPENAI_KEY] [EMAIL 3f2a9c1b04] [redaction failed: KeyError]",
)
EVERYTHING = {**SECRETS, **PERSONAL, **NATIONAL}
ALL = Masker(GROUPS)
USUAL = Masker(DEFAULT)
KEYED = Masker(GROUPS, key=b"key")

FRAMES = (
    "{}",
    "see {} there",
    "({})",
    '"{}"',
    "x={}",
    "a\n{}\nb",
    "ключ: {}",
    "\x1b{}\x07",
    "日本{}。",
)


@pytest.mark.parametrize("planted", EVERYTHING)
def test_found_wherever_it_stands(planted: str) -> None:
    for frame in FRAMES:
        text = frame.format(planted)
        masked = ALL.masked(text)
        assert planted not in masked
        assert f"[{EVERYTHING[planted]}]" in masked
        assert ALL.suspects(json.dumps(text, ensure_ascii=False))


@pytest.mark.parametrize("planted", SECRETS)
def test_a_secret_touching_other_things(planted: str) -> None:
    for text in (f"?key={planted}&x=1", f"'{planted}'", f"{planted};{planted}"):
        assert planted not in USUAL.masked(text)


@pytest.mark.parametrize("text", AROUND)
def test_only_the_value_is_masked(text: str) -> None:
    assert USUAL.masked(text) == AROUND[text]


@pytest.mark.parametrize("text", CLEAN)
def test_left_alone(text: str) -> None:
    assert USUAL.masked(text) == text


@pytest.mark.parametrize("planted", NATIONAL)
def test_national_ids_are_an_option(planted: str) -> None:
    assert USUAL.masked(planted) == planted


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_alone(group: str) -> None:
    masker = Masker([group])
    found = {label for planted, label in EVERYTHING.items() if masker.suspects(planted)}
    others = {
        label
        for planted, label in EVERYTHING.items()
        if Masker(set(GROUPS) - {group}).suspects(planted)
    }
    assert found
    assert not found & others or group == "national_ids"


def test_equal_values_stay_equal_under_a_key() -> None:
    one, two, three = (KEYED.masked(f"to {who}@example.com") for who in ("ann", "ann", "bob"))
    assert one == two != three
    assert re.fullmatch(r"to \[EMAIL [0-9a-f]{10}\]", one)
    assert one != Masker(GROUPS, key=b"other").masked("to ann@example.com")


def test_a_pattern_of_ones_own() -> None:
    masker = Masker((), [re.compile(r"ACME-\d+")])
    assert masker.masked("badge ACME-77, ann@example.com") == "badge [REDACTED], ann@example.com"
    assert masker.masked(masker.masked("ACME-77")) == "[REDACTED]"
    assert Masker((), [re.compile(r"[A-Z]*")]).masked("A [IP] b") == "[REDACTED] [IP] b"


def test_every_word_has_its_reason() -> None:
    for label in {*EVERYTHING.values(), "PASSWORD", "SECRET", "CREDENTIALS", "BEARER_TOKEN"}:
        assert reason(label)
    for key in KEYS:
        assert repr(key.literal) in reason(key.label) or key.label == "JWT"


# ----------------------------------------------------------------------------------- any text

PIECES = [
    *EVERYTHING, *AROUND, "@", "-", " ", ".", ":", "://", "sk-", "eyJ", "password=", "api_key: ",
    "Bearer ", "Basic ", "user:pass@", "host.com", "[EMAIL]", "[", "]", "\\", '"', "'", "\n", ";",
    "0", "7", "x", "é", "日本", "\ud800", "\x00", "-----BEGIN PRIVATE KEY-----",
]  # fmt: skip
STORAGE = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=10).map("".join)


@given(STORAGE)
def test_masking_is_final_and_json_hides_nothing(text: str) -> None:
    for masker in (ALL, KEYED):
        masked = masker.masked(text)
        assert masker.masked(masked) == masked
        assert not masker.masks(masked)
        assert masked == text or masker.suspects(json.dumps(text, ensure_ascii=False))


HOSTILE = [
    "a", "1", "@", "a@", "@a.", "@a-", "a@a.", "://", "://a:", "sk-", "eyJ", "eyJaaaaaaaaa.", "SG.",
    "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "password=", 'password:"', "api_key=", "secret",
    "Bearer a", "Basic ", "1 ", "1-", "1.", "1.1.1.", "+1", "+1(", "(415) ", "4111 ", "4111-",
    "DE89 ", "a:", "0:", "::", "1:2:3:", "\\u0007", "\\n", " ", "\\", "w_", "wW", "A", "é", "日",
    "\x00", "123-45-6789", "123.456.789-", "12345678901 ", *(key.literal for key in KEYS),
]  # fmt: skip


DENSE = [piece for piece in PIECES if len(piece) > 1]  # each a finding, one after the other
MIXED = ["".join(_random.choices([*PIECES, *HOSTILE], k=3)) for _ in range(40)]
MOST_STEPS = 150
"""For a character of a text that is all findings; most take a tenth of it."""


class Counted:
    """A pattern that counts the characters it is led over."""

    def __init__(self, pattern: re.Pattern[str], steps: list[int]) -> None:
        self._pattern, self._steps = pattern, steps

    def _led(self, found: re.Match[str] | None) -> re.Match[str] | None:
        self._steps[0] += 1 if found is None else found.end() - found.start() + 1
        return found

    def match(self, *given: Any) -> re.Match[str] | None:
        return self._led(self._pattern.match(*given))

    def fullmatch(self, *given: Any) -> re.Match[str] | None:
        return self._led(self._pattern.fullmatch(*given))

    def finditer(self, text: str, *given: int) -> Iterator[re.Match[str]]:
        first, last = (*given, 0, len(text))[:2] if len(given) != 1 else (given[0], len(text))
        self._steps[0] += last - first
        for found in self._pattern.finditer(text, *given):
            self._led(found)
            yield found


@pytest.fixture(scope="module")
def steps() -> Iterator[Callable[[str], int]]:
    """What masking a text takes: calls of functions, Python's too, and characters of patterns."""
    counted = [0]
    with pytest.MonkeyPatch.context() as patch:
        for module in (digits, keys, national, scanner, passwords):
            for name, value in list(vars(module).items()):
                if isinstance(value, re.Pattern):
                    patch.setattr(module, name, Counted(value, counted))
        shapes = [key._replace(shape=Counted(key.shape, counted)) for key in KEYS]
        patch.setattr(keys, "KEYS", shapes)
        ids = [(label, Counted(shape, counted), checks) for label, shape, checks in national._IDS]
        patch.setattr(national, "_IDS", ids)

        def count(text: str) -> int:
            counted[0] = 0

            def called(*_: Any) -> None:
                counted[0] += 1

            sys.setprofile(called)
            try:
                ALL.masked(text)
            finally:
                sys.setprofile(None)
            return counted[0]

        yield count


@pytest.mark.slow
@pytest.mark.parametrize("piece", [*HOSTILE, *DENSE, *MIXED])
def test_hostile_text_takes_steps_in_proportion(steps: Callable[[str], int], piece: str) -> None:
    """Counted, not timed: ten times the text, about ten times the steps; few for a character."""
    small, large = (steps(piece * (size // len(piece) + 1)) for size in (1_000, 10_000))
    assert large < 15 * small + 10_000
    assert large < MOST_STEPS * 10_000


@pytest.mark.slow
@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_takes_time_in_proportion(piece: str) -> None:
    """What is quadratic would take minutes for this, and what is linear takes a fraction of it."""
    for tail in ("", "!", "@"):
        text = piece * (100_000 // len(piece)) + tail
        started = time.thread_time()
        ALL.masked(text)
        assert time.thread_time() - started < 10
