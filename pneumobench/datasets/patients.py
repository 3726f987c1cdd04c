"""Who an image belongs to: patient names of the Kermany files, and groups that must stay on one side of a split."""

from __future__ import annotations

import re
import typing
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pneumobench.suite.spec import PatientRule

# person447_virus_921_1.jpeg exists besides person447_virus_921.jpeg
_PNEUMONIA_NAME = re.compile(r"(?P<patient>person\d+)_(?P<subtype>bacteria|virus)_\d+(_\d+)?")
_NORMAL_NAME = re.compile(r"(?P<patient>(NORMAL2-)?IM-\d+)-\d+(-\d+)?")


def kermany_patient(file_stem: str) -> tuple[str, str] | None:
    """Return (number, subtype) of a Kermany file name without its suffix, or None for a foreign name.

    >>> kermany_patient("person447_virus_921_1")
    ('person447', 'virus')
    >>> kermany_patient("NORMAL2-IM-0095-0001-0002")
    ('NORMAL2-IM-0095', 'normal')
    """
    if match := _PNEUMONIA_NAME.fullmatch(file_stem):
        return match["patient"], match["subtype"]
    if match := _NORMAL_NAME.fullmatch(file_stem):
        return match["patient"], "normal"
    return None


def kermany_image(file_stem: str, split: str, rule: PatientRule) -> tuple[str, str]:
    """Return (patient, subtype) of a Kermany image; a foreign name is its own patient of unknown subtype.

    Nobody published what a number of a file name counts. `number` is the cautious reading: `person12` is one child
    in every folder and of every subtype. `folder_subtype_number` is the likely one: numbers restart in each folder
    and for each subtype.

    Args:
        file_stem: file name without its suffix.
        split: official folder, train or test.
        rule: reading of the number.

    >>> kermany_image("person12_virus_48", "train", "number")
    ('person12', 'virus')
    >>> kermany_image("person12_virus_48", "train", "folder_subtype_number")
    ('train/virus/person12', 'virus')
    """
    number, subtype = kermany_patient(file_stem) or (file_stem, "unknown")
    return (number if rule == "number" else f"{split}/{subtype}/{number}"), subtype


def patient_rule_counts(
    image_id: Sequence[str], split: Sequence[str], content_hash: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Return how many patients and groups (patient or content) images of Kermany et al. have under each rule."""
    counts: dict[str, dict[str, int]] = {}
    for rule in typing.get_args(PatientRule):
        radiographs = zip(image_id, split, strict=True)
        patient = [kermany_image(PurePosixPath(image).stem, side, rule)[0] for image, side in radiographs]
        groups = len(set(group_images(patient, content_hash).tolist()))
        counts[rule] = {"patients": len(set(patient)), "groups": groups}
    return counts


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
