"""The reason for each kind of mask, as text."""

from __future__ import annotations

from .detectors.keys import KEYS

_REASONS = {
    "PRIVATE_KEY": "a private key in PEM",
    "JWT": "a JSON Web Token: two or three parts in base64, the first of which begins with '{\"'",
    "BEARER_TOKEN": "a long value after 'Bearer'",
    "CREDENTIALS": "a user's name and password: before the host of a URL, or after 'Basic'",
    "PASSWORD": "the value of something called password, passwd, passphrase or pwd",
    "SECRET": "a long value of something called secret, api_key, access_token or the like",
    "EMAIL": "an email address",
    "PHONE": "a phone number with a country code, or in North American format",
    "CARD": "a card number: an issuer's prefix and length, and a valid check digit",
    "IBAN": "an IBAN: the length of its country, and valid check digits",
    "IP": "an IP address",
    "US_SSN": "a US social security number, by its format",
    "UK_NINO": "a UK national insurance number, by its format",
    "FR_NIR": "a French social security number, by its check digits",
    "ES_DNI": "a Spanish identity number, by its check letter",
    "IT_CODICE_FISCALE": "an Italian tax code, by its check letter",
    "BR_CPF": "a Brazilian taxpayer number, by its check digits",
    "IN_AADHAAR": "an Indian Aadhaar number, by its check digit",
    "REDACTED": "a custom pattern",
}


def reason(label: str) -> str:
    """Return why the text replaced by ``[label]`` was masked."""
    known = _REASONS.get(label)
    if known is not None:
        return known
    literals = ", ".join(repr(key.literal) for key in KEYS if key.label == label)
    name = label.lower().replace("_", " ")
    return f"the format of {'an' if name[0] in 'aeiou' else 'a'} {name}: contains {literals}"
