"""Detect national ids (opt-in): most are bare digits, recognized by their check digits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .keys import in_word, stands_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .keys import Finding

_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20,
                 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23), strict=True))  # fmt: skip
_VERHOEFF = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_SHIFT = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def _ssn(text: str) -> bool:
    """United States: no area 000, 666 or 9xx, no group 00, no serial 0000."""
    return (
        text[:3] not in ("000", "666")
        and text[0] != "9"
        and text[4:6] != "00"
        and text[7:] != "0000"
    )


def _nir(text: str) -> bool:
    """France: two check digits, modulo 97."""
    digits = _bare(text).replace("2A", "19").replace("2B", "18")
    return 97 - int(digits[:13]) % 97 == int(digits[13:])


def _dni(text: str) -> bool:
    """Spain: a letter by the remainder of 23; foreigners' numbers begin with a letter."""
    bare = _bare(text)
    number = bare[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return _DNI[int(number) % 23] == bare[-1]


def _codice_fiscale(text: str) -> bool:
    """Italy: the last letter is the sum of all others, the odd ones by a table."""
    total = sum(_ODD[char] for char in text[0:15:2])
    total += sum(int(char, 36) % 10 if char.isdigit() else ord(char) - 65 for char in text[1:15:2])
    return chr(65 + total % 26) == text[15]


def _cpf(text: str) -> bool:
    """Brazil: two check digits."""
    digits = [int(char) for char in _bare(text)]
    if len(set(digits)) == 1:
        return False
    for n in (9, 10):
        total = sum(digit * (n + 1 - i) for i, digit in enumerate(digits[:n]))
        if total * 10 % 11 % 10 != digits[n]:
            return False
    return True


def _aadhaar(text: str) -> bool:
    """India: the Verhoeff check."""
    check = 0
    for i, char in enumerate(reversed(_bare(text))):
        check = int(_VERHOEFF[check][int(_SHIFT[i % 8][int(char)])])
    return check == 0


def _any(_text: str) -> bool:
    return True


def _bare(text: str) -> str:
    return "".join(filter(str.isalnum, text))


_NIR = r"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9][0-9AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}"
_NINO = r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?[0-9]{2}){3} ?[A-D]"
_CODICE = r"[A-Z]{6}[0-9]{2}[A-EHLMPR-T][0-9]{2}[A-Z][0-9]{3}[A-Z]"
_IDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("US_SSN", re.compile(r"[0-9]{3}-[0-9]{2}-[0-9]{4}"), _ssn),
    ("UK_NINO", re.compile(_NINO), _any),
    ("FR_NIR", re.compile(_NIR), _nir),
    ("ES_DNI", re.compile(r"[0-9XYZ][0-9]{7}-?[A-HJ-NP-TV-Z]"), _dni),
    ("IT_CODICE_FISCALE", re.compile(_CODICE), _codice_fiscale),
    ("BR_CPF", re.compile(r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}"), _cpf),
    ("IN_AADHAAR", re.compile(r"[2-9][0-9]{3} ?[0-9]{4} ?[0-9]{4}"), _aadhaar),
)


def find_national(text: str) -> Iterator[Finding]:
    """Find ids of seven countries by their form or check digits."""
    for label, shape, checks in _IDS:
        for found in shape.finditer(text):
            start, end = found.span()
            if in_word(text[end : end + 1]) or not stands_alone(text, start):
                continue
            if checks(found[0]):
                yield start, end, label
