"""How patient identifiers are spelled: one key for all usual spellings of one identifier, and what means none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pneumobench.datasets.spellings import MISSING

# words that say nothing, as `identifier_key` writes them, and those that say of a person only that nobody knows
NO_PATIENT: Final = MISSING | {
    *("?", "??", "???", "unknown", "unspecified", "not known", "anonymous", "anonymized", "anonymised"),
    *("anon", "(null)", "<null>", "<none>", "no id", "no name", "redacted", "removed", "tbd", "n.n.", "withheld"),
}
_INVISIBLE: Final = {"Cc", "Cf"}  # control characters; zero-width spaces, byte order marks, direction marks
_DASHES: Final = re.compile("[\u2010-\u2015\u2212\u2043\ufe58\ufe63\uff0d]")
_QUOTED: Final = re.compile(r"=?\"(.*)\"|'(.*)'|'(.*)")  # ="0012" and '0012 keep a spreadsheet from reading a number
_WHOLE_NUMBER: Final = re.compile(r"(\d+)(\.0*|,00?)")  # 12.0 as pandas and R write a column with gaps; 12,0
_ROUNDED: Final = re.compile(r"\s*(\d[.,]\d+E\+?\d+|\dE\+\d+)\s*")  # 1.01E+06, as spreadsheets show a long number
_LEADING_ZEROS: Final = re.compile(r"(?<!\d)0+(?=\d)")


@dataclass(frozen=True, kw_only=True)
class NamedPatients:
    """The patients of images after their identifiers were read.

    Args:
        patient: one name an image. An image whose patient is not known is named as itself: it is a patient of its own.
        joined: the spellings that were taken for one patient, sorted; one tuple a patient that has several.
        rounded: images whose identifier a spreadsheet seems to have rounded: several children may have it.
    """

    patient: tuple[str, ...]
    joined: tuple[tuple[str, ...], ...]
    rounded: int = 0


def identifier_key(text: str) -> str:
    """Return what all usual spellings of an identifier have in common; an empty string where it means none.

    Unicode compatibility forms are one (NFKC: full-width digits, ligatures, combined accents), and so are the digits of
    all scripts; invisible characters go, blanks at the ends go and others count as one, every dash is a hyphen, a
    spreadsheet's quotation marks go, case is ignored, `12.0` is 12, and leading zeros of a number go wherever it
    stands. This joins rather than parts: two children that are taken for one stay on one side of a split, one child
    taken for two may not.

    >>> [identifier_key(text) for text in ("12", "00012", "12.0", " １２ ", "P-07", "p–7", "NaN", "n/a", "-")]
    ['12', '12', '12', '12', 'p-7', 'p-7', '', '', '']
    """
    while (shorter := _plainer(text)) != text:  # quotation marks may stand around quotation marks
        text = shorter
    return "" if text in NO_PATIENT or not text.strip("-_") else text


def _plainer(text: str) -> str:
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    text = "".join(" " if letter.isspace() else letter for letter in text)
    text = "".join(letter for letter in text if unicodedata.category(letter) not in _INVISIBLE)
    text = "".join(str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in text)
    text = _DASHES.sub("-", " ".join(text.split()))
    if quoted := _QUOTED.fullmatch(text):
        text = next(part for part in quoted.groups() if part is not None)
    if number := _WHOLE_NUMBER.fullmatch(text):
        text = number[1]
    return _LEADING_ZEROS.sub("", text)


def named_patients(listed: Sequence[str], image_id: Sequence[str]) -> NamedPatients:
    """Return one patient an image: spellings of one identifier are one patient, a missing one is the image itself.

    A patient keeps the spelling that is listed, the first in alphabetical order where there are several.

    >>> named_patients(["007", "7", "nan"], ["a.png", "b.png", "c.png"])
    NamedPatients(patient=('007', '007', 'c.png'), joined=(('007', '7'),), rounded=0)
    """
    # an image that is listed as its own patient has a path there, which is no identifier
    keys = [
        "" if patient == image else identifier_key(patient) for patient, image in zip(listed, image_id, strict=True)
    ]
    spellings: dict[str, set[str]] = {}
    for key, patient in zip(keys, listed, strict=True):
        if key:
            spellings.setdefault(key, set()).add(patient.strip())
    return NamedPatients(
        patient=tuple(min(spellings[key]) if key else image for key, image in zip(keys, image_id, strict=True)),
        joined=tuple(sorted(tuple(sorted(found)) for found in spellings.values() if len(found) > 1)),
        rounded=sum(_ROUNDED.fullmatch(patient.upper()) is not None for patient in listed),
    )
