"""What people write for labels, parts of a split and views: one meaning for every usual spelling."""

from __future__ import annotations

import difflib
import functools
import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["normal", "pneumonia", "other", "uncertain", "missing", "unclear"]
Part = Literal["train", "val", "test"]
View = Literal["frontal", "lateral", "unknown", "other"]

# what tables, spreadsheets, pandas and R leave where nothing is said, in small letters
MISSING: Final = frozenset(
    {
        *("", "-", "--", ".", "..", "...", "nan", "-nan", "na", "n/a", "n.a.", "n.a", "<na>", "nat"),
        *("none", "null", "nil", "n.d.", "nd", "inf", "-inf", "undefined", "todo"),
        *("#n/a", "#na", "#n/a n/a", "#null!", "#value!", "#ref!", "#name?", "#div/0!"),
        *("missing", "not available", "not applicable", "unlabelled", "unlabeled"),
    }
)
_NORMAL: Final = frozenset(
    {"normal", "normals", "healthy", "no finding", "no findings", "nofinding", "unremarkable", "negative", "neg"}
    | {"no", "n", "false", "f", "absent", "clear"}
)
_MISSPELT_BY_MANY: Final = "pnemonia"  # throughout the table of a published set
_PNEUMONIA: Final = {
    **dict.fromkeys(("pneumonia", "positive", "pos", "yes", "y", "true", "t", "present", "+"), ""),
    _MISSPELT_BY_MANY: "",
    **dict.fromkeys(("bacteria", "bacterial"), "bacteria"),
    **dict.fromkeys(("virus", "viral"), "virus"),
}
_UNCERTAIN: Final = frozenset({"uncertain", "unknown", "equivocal", "unclear", "indeterminate", "maybe", "?", "+/-"})
_NO_DISEASE_NAMED: Final = frozenset({"abnormal", "abnormality", "sick", "ill", "disease", "diseased", "finding"})
_DENIAL: Final = re.compile(  # of pneumonia, and of nothing else
    r"(no|non|not|without|negative|neg|absent) ?pneumonia|(no|without) (evidence|signs?) of pneumonia"
    r"|negative for pneumonia|pneumonia (absent|negative|neg)"
)
_DOUBTED: Final = frozenset(
    {"possible", "possibly", "probable", "probably", "suspected", "suspicion", "likely", "unlikely", "cannot", "maybe"}
    | {"questionable", "doubtful", "query"}
)
# beside pneumonia they may deny it, or something else, or say when it was: only a reader can tell
_AMBIGUOUS: Final = frozenset(
    {"no", "non", "not", "without", "negative", "neg", "absent", "absence", "free", "false", "excluded", "exclude"}
    | {"excluding", "except", "ruled", "rule", "out", "resolved", "resolving", "history", "previous", "prior", "post"}
    | {"old", "former", "treated", "healed", "vs", "versus", "or", "normal", "healthy", "0", "1", "yes", "true"}
)
_LONG: Final = 4  # letters: shorter words (no, pos, 0, 1) name no class folder, and are near too many others
_NEAR: Final = 0.82  # similarity from which a word is a misspelt one: `pnuemonia`, not `pneumonitis`

_PARTS: Final[dict[str, Part]] = {
    **dict.fromkeys(("train", "training", "trainset", "tr", "trn"), "train"),
    **dict.fromkeys(
        ("val", "valid", "validation", "validate", "dev", "development", "tune", "eval", "evaluation"), "val"
    ),
    **dict.fromkeys(("test", "testing", "testset", "tst", "te", "holdout", "hold out", "held out"), "test"),
}
_FRONTAL: Final = frozenset({"pa", "ap", "frontal", "posteroanterior", "anteroposterior", "postero", "antero"})
_LATERAL: Final = frozenset({"l", "ll", "rl", "lat", "llat", "rlat", "lateral"})


@dataclass(frozen=True)
class Finding:
    """What a label says.

    Args:
        kind: `normal`, `pneumonia`, `other` (another disease alone), `uncertain`, `missing`, or `unclear` (it may be
            misspelt, says two things at once, or names no disease).
        etiology: `bacteria` or `virus`, where the label says so.
        meant: for `unclear`, the nearest word; empty = none.
    """

    kind: Kind
    etiology: str = ""
    meant: str = ""


def plain(text: str) -> str:
    """Return text in small letters, with single blanks for `_`, `-` and blanks, in the usual Unicode form.

    >>> plain(" No_Finding ")
    'no finding'
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[\s_\-\u200b\ufeff]+", " ", folded).strip(" .'\"").split())


def is_missing(text: str) -> bool:
    """Tell whether a cell says nothing: empty, or one of `nan`, `NA`, `None`, `null`, `-` and their like."""
    return " ".join(text.split()).casefold() in MISSING


@functools.lru_cache(maxsize=10_000)
def read_label(text: str) -> Finding:
    """Return what a label says; several findings are separated by `|`, `/`, `;` or `,`.

    >>> read_label("Pneumonia|Effusion").kind, read_label("No Finding").kind, read_label("1.0").kind
    ('pneumonia', 'normal', 'pneumonia')
    >>> read_label("Pneumonia/Viral/COVID-19")
    Finding(kind='pneumonia', etiology='virus', meant='')
    >>> read_label("-1").kind, read_label("Effusion").kind, read_label("pnuemonia")
    ('uncertain', 'other', Finding(kind='unclear', etiology='', meant='pneumonia'))
    """
    if is_missing(text):
        return Finding("missing")
    if (number := _number(text)) is not None:
        kinds: dict[float, Kind] = {0: "normal", 1: "pneumonia", -1: "uncertain"}
        return Finding(kinds.get(number, "unclear"))
    text = re.sub(r"\br/o\b", "query", text, flags=re.IGNORECASE)  # rule out
    if text.strip() in _UNCERTAIN:
        return Finding("uncertain")
    findings = [_one(part) for part in re.split(r"[|/;,]", text) if not is_missing(part)]
    by_kind = {finding.kind: finding for finding in findings}
    if len(by_kind) > 1 and "normal" in by_kind and ("pneumonia" in by_kind or "uncertain" in by_kind):
        return Finding("unclear")
    etiologies = sorted({finding.etiology for finding in findings} - {""})
    if "uncertain" in by_kind or "unclear" in by_kind:
        return by_kind.get("unclear", Finding("uncertain"))
    if "pneumonia" in by_kind:
        return Finding("pneumonia", etiologies[0] if len(etiologies) == 1 else "")
    return Finding("normal") if set(by_kind) == {"normal"} else Finding("other")


def _number(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", "."))  # 1,0 of a spreadsheet
    except ValueError:
        return None


def _one(text: str) -> Finding:
    word = plain(text.replace("?", " "))
    words = set(word.split())
    if "?" in text and word in {"", *_NORMAL, *_PNEUMONIA}:
        return Finding("uncertain")
    if word in _NORMAL:
        return Finding("normal")
    if word in _PNEUMONIA:
        return Finding("pneumonia", _PNEUMONIA[word])
    if word in _UNCERTAIN:
        return Finding("uncertain")
    if word in _NO_DISEASE_NAMED:
        return Finding("unclear")
    if _DENIAL.fullmatch(word):
        return Finding("uncertain" if "?" in text else "normal")
    if any(part.endswith("pneumonia") for part in words):
        if words & _DOUBTED or "?" in text or "rule out" in word:  # after a longer name
            return Finding("uncertain")
        if words & _AMBIGUOUS or any(part.startswith(("non", "no")) and part.endswith("pneumonia") for part in words):
            return Finding("unclear")
        said = {_PNEUMONIA[part] for part in words if part in _PNEUMONIA} - {""}
        return Finding("pneumonia", said.pop() if len(said) == 1 else "")
    known = [name for name in {*_NORMAL, *_PNEUMONIA} - {_MISSPELT_BY_MANY} if len(name) >= _LONG]
    if near := difflib.get_close_matches(word, sorted(known), n=1, cutoff=_NEAR):
        return Finding("unclear", meant=near[0])
    return Finding("other")


def class_of_folder(name: str) -> Finding | None:
    """Return what images in a folder of this name are labelled; None = it is no class folder.

    >>> class_of_folder("Viral Pneumonia"), class_of_folder("images")
    (Finding(kind='pneumonia', etiology='virus', meant=''), None)
    """
    finding = _one(name)
    long = len(plain(name)) >= _LONG
    return finding if long and finding.kind in ("normal", "pneumonia") else None


def unclear_class(name: str) -> bool:
    """Tell whether a folder's name speaks of pneumonia and does not say whether its images show it.

    >>> unclear_class("non-COVID pneumonia"), unclear_class("Viral Pneumonia"), unclear_class("COVID19")
    (True, False, False)
    """
    return "pneumonia" in name.casefold() and class_of_folder(name) is None


def read_part(text: str) -> Part | None:
    """Return the part of a split that a word means; None = no known one.

    >>> read_part("Training"), read_part("VALID"), read_part("test_set"), read_part("fold1")
    ('train', 'val', 'test', None)
    """
    word = plain(text)
    return _PARTS.get(word) or _PARTS.get(re.sub(r" (set|split|data|images|part)$", "", word))


def read_view(text: str) -> View:
    """Return which way an image was taken; `AP Supine` and blank cells among them.

    >>> [read_view(view) for view in ("PA", "AP Supine", "L", "Lateral", "", "Axial")]
    ['frontal', 'frontal', 'lateral', 'lateral', 'unknown', 'other']
    """
    words = set(plain(text).split())
    if is_missing(text) or words <= {"unknown"}:
        return "unknown"
    if words & _LATERAL:
        return "lateral"
    return "frontal" if words & _FRONTAL else "other"
