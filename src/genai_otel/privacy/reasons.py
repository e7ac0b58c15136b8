"""Why something is masked, in words for a person."""

from __future__ import annotations

from .detectors.keys import KEYS

_WHY = {
    "PRIVATE_KEY": "a private key in PEM",
    "JWT": "a JSON web token: two or three parts in base64, the first of which begins with '{\"'",
    "BEARER_TOKEN": "a long value after 'Bearer'",
    "CREDENTIALS": "a user's name and password: before the host of a URL, or after 'Basic'",
    "PASSWORD": "the value of something called password, passwd, passphrase or pwd",
    "SECRET": "a long value of something called secret, api_key, access_token or the like",
    "EMAIL": "a mail address",
    "PHONE": "a phone number with its country's code, or in the form of North America",
    "CARD": "a card number: an issuer's first digits and length, and its check digit",
    "IBAN": "a bank account: its country's length, and its check digits",
    "IP": "an address of the internet",
    "US_SSN": "a social security number of the United States, by its form",
    "UK_NINO": "a national insurance number of the United Kingdom, by its form",
    "FR_NIR": "a social security number of France, by its check digits",
    "ES_DNI": "an identity number of Spain, by its check letter",
    "IT_CODICE_FISCALE": "a tax code of Italy, by its check letter",
    "BR_CPF": "a taxpayer's number of Brazil, by its check digits",
    "IN_AADHAAR": "an Aadhaar number of India, by its check digit",
    "REDACTED": "a pattern of your own",
}


def reason(label: str) -> str:
    """Why what ``[label]`` stands for was taken out."""
    told = _WHY.get(label)
    if told is not None:
        return told
    literals = ", ".join(repr(key.literal) for key in KEYS if key.label == label)
    name = label.lower().replace("_", " ")
    return f"the form of {'an' if name[0] in 'aeiou' else 'a'} {name}: what goes with {literals}"
