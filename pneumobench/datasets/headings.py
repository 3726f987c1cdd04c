"""Which column of a table says what: as a suite names it, else by the headings that people usually give it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Final

from pneumobench.datasets.spellings import plain
from pneumobench.datasets.tables import is_named
from pneumobench.errors import DataError, suggestion
from pneumobench.radiographs.formats import IMAGE_SUFFIXES
from pneumobench.suite.columns import ColumnSpec

ROLES: Final = tuple(item.name for item in dataclasses.fields(ColumnSpec))
# headings without blanks, `_` and `-`; the role itself comes before them
_USUAL: Final = {
    "image": ("imageindex", "imageid", "imagename", "imagepath", "imagefile", "imagefilename", "images", "img",
              "imgpath", "imgname", "xrayimagename", "file", "filename", "filepath", "path", "radiograph"),
    "label": ("labels", "finding", "findings", "findinglabel", "findinglabels", "diagnosis", "class", "classname",
              "target", "pneumonia", "disease", "category"),
    "patient": ("patients", "patientid", "patientids", "patientnumber", "patientno", "patientname", "patientkey",
                "patientcode", "patienthash", "pid", "subject", "subjectid", "personid", "childid", "mrn"),
    "subtype": ("etiology", "aetiology", "pneumoniatype"),
    "lung_mask": ("lungmasks", "lungmaskpath", "mask", "maskpath"),
    "split": ("splits", "set", "subset", "part", "partition", "datasettype"),
    "view": ("viewposition", "viewpoint", "projection", "frontal/lateral"),
}  # fmt: skip
_NEAR_PATIENT: Final = 0.85  # `pateint`, `patientdi`; not `patientage`
_SHOWN: Final = 12


def _key(heading: str) -> str:
    return plain(heading).replace(" ", "")


def found_columns(headings: Sequence[str], columns: ColumnSpec, where: str) -> tuple[dict[str, int], list[str]]:
    """Return the position of the column of each role that a table has, and one note for each that others must know.

    Args:
        headings: the first line of the table.
        columns: what a suite says.
        where: the table, for messages.

    Raises:
        DataError: a column that is needed or named is missing, stands twice, or several may be meant; or what seems to
            be the column of patients has no heading that is known.
    """
    keys = [_key(heading) for heading in headings]
    found: dict[str, int] = {}
    notes = []
    for role in ROLES:
        named = getattr(columns, role)
        usual = (_key(named),) if named else (_key(role), *_USUAL[role])
        exact = [at for at, key in enumerate(keys) if key == usual[0]]
        at = exact or [at for at, key in enumerate(keys) if key in usual]
        if len(exact) > 1:
            raise DataError(f"{where}: column {headings[exact[0]]!r} stands twice; remove or rename one of them.")
        if len(at) > 1:
            several = " and ".join(repr(headings[one]) for one in at)
            raise DataError(
                f"{where}: {several} may be the column {role}; say which with data.columns.{role}, e.g. "
                f"--data.columns.{role} {headings[at[0]]!r}."
            )
        if named and not at:
            near = suggestion(named, [heading for heading in headings if heading], count=1)
            raise DataError(
                f"{where}: column {named!r} (data.columns.{role}) is missing; {near or 'found ' + _listed(headings)}"
            )
        if at:
            found[role] = at[0]
            if _key(headings[at[0]]) != _key(role) and not named:
                notes.append(f"{where}: column {headings[at[0]]!r} is read as {role}")
    if twice := [role for role in ROLES if role in found and list(found.values()).count(found[role]) > 1]:
        raise DataError(f"{where}: column {headings[found[twice[0]]]!r} is named for {' and '.join(twice)}; name two.")
    _require(headings, found, where)
    others = [heading for at, heading in enumerate(headings) if is_named(heading) and at not in found.values()]
    if others:
        notes.append(f"{where}: columns that are not read: {_listed(others)}")
    return found, notes


def _require(headings: Sequence[str], found: dict[str, int], where: str) -> None:
    if "image" not in found and any(heading.lower().endswith(tuple(IMAGE_SUFFIXES)) for heading in headings):
        raise DataError(
            f"{where}: its first line is that of an image, not of headings ({_listed(headings)}). Write headings above "
            "it, such as image,label,patient."
        )
    if missing := [role for role in ("image", "label") if role not in found]:
        raise DataError(
            f"{where}: column {', '.join(missing)} is missing; found {_listed(headings)}. Rename the column, or name "
            f"it with data.columns.{missing[0]}."
        )
    if "patient" in found:
        return
    usual = ("patient", *_USUAL["patient"])
    for heading in headings:
        key = _key(heading)
        if not key.startswith("patient") and difflib.get_close_matches(key, usual, n=1, cutoff=_NEAR_PATIENT):
            raise DataError(
                f"{where}: column {heading!r} seems to name the patients; rename it to patient, or say "
                f"data.columns.patient {heading!r}, so that no child stands on two sides of a split."
            )


def _listed(headings: Sequence[str]) -> str:
    names = [heading or "one without a name" for heading in headings]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
