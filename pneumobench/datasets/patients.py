"""Who an image belongs to: patient names of the Kermany files, and groups that must stay on one side of a split."""

from __future__ import annotations

import re
import typing
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pneumobench.datasets.index import content_of
from pneumobench.suite.spec import PatientRule

# The published names, and what is sure to be one of them: copies (Kaggle, Mendeley v1) name a pneumonia
# person447_virus_921.jpeg, also person447_virus_921_1.jpeg; Mendeley v2 and v3 name disease, patient and image
_SCHEMES = {
    "person": re.compile(r"(?P<patient>person\d+)_(?P<subtype>bacteria|virus)_\d+(_\d+)?", re.IGNORECASE),
    "IM": re.compile(r"(?P<patient>(NORMAL2-)?IM-\d+)-\d+(-\d+)?", re.IGNORECASE),
    "disease-patient-image": re.compile(r"(?P<subtype>bacteria|virus|normal)-(?P<patient>\d+)-\d+", re.IGNORECASE),
}
SCHEME_EXAMPLES: Final = "person12_virus_48, IM-0115-0001, NORMAL2-IM-0095-0001 or BACTERIA-1008087-0001"
# what file managers, browsers and tools put before or behind a name when they copy the file
_COPY_WORD = r"(copy|copies|kopie|copie|copia|cópia|kopia|копия|副本|コピー)"
_COPIED = (
    re.compile(rf"{_COPY_WORD}( \(?\d+\)?)? (of|von|de|di|av) (?P<name>.+)", re.IGNORECASE),
    re.compile(
        rf"(?P<name>.+?)[\s_.-]*\(?((another|\d+(st|nd|rd|th)) )?{_COPY_WORD}\)?([\s_]*\(?\d+\)?)?", re.IGNORECASE
    ),
    re.compile(r"(?P<name>.+?)\s*[(\[]\d+[)\]]"),
    re.compile(r"(?P<name>.+)_(jpe?g|png)\.rf\.[0-9a-z]+", re.IGNORECASE),  # an export of Roboflow
    re.compile(r"(?P<name>.+)\.(jpe?g|png|dcm|dicom)", re.IGNORECASE),
)


def _scheme_match(file_stem: str) -> tuple[str, re.Match[str], bool] | None:
    """Return the scheme of a file name, its match, and whether the name is that of a copy."""
    name, copied = unicodedata.normalize("NFKC", file_stem).strip(), False
    while True:
        for scheme, pattern in _SCHEMES.items():
            if match := pattern.fullmatch(name):
                return scheme, match, copied
        shorter = next((found["name"] for pattern in _COPIED if (found := pattern.fullmatch(name))), None)
        if shorter is None:
            return None
        name, copied = shorter.strip(), True


def kermany_patient(file_stem: str) -> tuple[str, str] | None:
    """Return (number, subtype) of a Kermany file name without its suffix, or None for a foreign name.

    Case does not count, and neither does what a copied file has beside its name: ` (1)`, ` - Copy`, a second suffix.

    >>> kermany_patient("person447_virus_921_1")
    ('person447', 'virus')
    >>> kermany_patient("NORMAL2-IM-0095-0001-0002")
    ('NORMAL2-IM-0095', 'normal')
    >>> kermany_patient("BACTERIA-1008087-0001"), kermany_patient("IM-0115-0001 (1)"), kermany_patient("scan 7")
    (('1008087', 'bacteria'), ('IM-0115', 'normal'), None)
    """
    if (found := _scheme_match(file_stem)) is None:
        return None
    scheme, match, _ = found
    if scheme == "IM":
        return match["patient"].upper(), "normal"
    return match["patient"].lower(), match["subtype"].lower()


def kermany_image(file_stem: str, split: str, rule: PatientRule) -> tuple[str, str]:
    """Return (patient, subtype) of a Kermany image; a name of no published scheme has an empty patient: not known.

    Nobody published what a number of a file name counts. `number` is the cautious reading: `person12` is one child
    in every folder and of every subtype. `folder_subtype_number` is the likely one: numbers restart in each folder
    and for each subtype. `image` reads no patient.

    Args:
        file_stem: file name without its suffix.
        split: official folder, train or test.
        rule: reading of the number.

    >>> kermany_image("person12_virus_48", "train", "number")
    ('person12', 'virus')
    >>> kermany_image("person12_virus_48", "train", "folder_subtype_number")
    ('train/virus/person12', 'virus')
    """
    if (known := kermany_patient(file_stem)) is None:
        return "", "unknown"
    number, subtype = known
    if rule == "image":
        return "", subtype
    return (number if rule == "number" else f"{split}/{subtype}/{number}"), subtype


def kermany_facts(table: pd.DataFrame) -> dict[str, Any]:
    """Return what the file names of Kermany et al. say, for the audit, JSON-ready.

    Args:
        table: of an index.

    Returns:
        `patient_rules`: patients and groups (patient or content) under each rule. `file_names`: images by naming
        scheme, how many names are those of copied files, and which no scheme explains or say another class than the
        folder.
    """
    image_id, content = table["image_id"].tolist(), content_of(table).tolist()
    matches = {image: _scheme_match(PurePosixPath(image).stem) for image in image_id}
    counts: dict[str, dict[str, int]] = {}
    for rule in typing.get_args(PatientRule):
        read = [
            kermany_image(PurePosixPath(image).stem, side, rule)[0] or image
            for image, side in zip(image_id, table["split"], strict=True)
        ]
        groups = len(set(group_images(read, content).tolist()))
        counts[rule] = {"patients": len(set(read)), "groups": groups}
    schemes = [found[0] for found in matches.values() if found]
    subtypes = {image: kermany_image(PurePosixPath(image).stem, "train", "image")[1] for image in image_id}
    contrary = [
        image
        for image, label in zip(image_id, table["label"], strict=True)
        if subtypes[image] != "unknown" and (subtypes[image] == "normal") != (label == 0)
    ]
    return {
        "patient_rules": counts,
        "file_names": {
            "schemes": {scheme: schemes.count(scheme) for scheme in _SCHEMES if scheme in schemes},
            "copies": sum(found[2] for found in matches.values() if found),
            "unexplained": [image for image, found in matches.items() if found is None],
            "of_another_class": contrary,
        },
    }


def group_images(patient: Sequence[str], content_hash: Sequence[str]) -> NDArray[np.int64]:
    """Return one group number an image: images that share a patient or their content are joined, transitively.

    Groups are numbered by first appearance.

    >>> group_images(["a", "b", "c"], ["1", "1", "2"]).tolist()
    [0, 0, 1]
    """
    images = len(patient)
    patients = np.unique(np.asarray(patient, dtype=object).astype(str), return_inverse=True)[1]
    contents = np.unique(np.asarray(content_hash, dtype=object).astype(str), return_inverse=True)[1]
    # a graph of images, patients and contents; its connected components are the groups
    first_content = images + int(patients.max(initial=-1)) + 1
    nodes = first_content + int(contents.max(initial=-1)) + 1
    image = np.tile(np.arange(images), 2)
    owner = np.concatenate([images + patients, first_content + contents])
    graph = coo_array((np.ones(2 * images, dtype=np.int8), (image, owner)), shape=(nodes, nodes))
    component = connected_components(graph, directed=False)[1][:images]
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse], dtype=np.int64)
