"""Sentences that stand above and below every table: data, weights, controls, marks."""

from __future__ import annotations

from typing import Final

from pneumobench.datasets.layouts import LAYOUTS
from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.records.job_record import CONTROL_ORIGIN
from pneumobench.suite.regions import REGION_WORDS
from pneumobench.suite.weights import SELF_SUPERVISED
from pneumobench.texts import counted

ABLATION_WORDS: Final = (
    "Test-time masking: AUC within folds on the images that have a lung mask, with its 95 % interval over patients. "
    "The networks were trained on whole images; masked ones are outside of what they learnt, and the share of normal "
    "images that they call pneumonia (threshold 0.5) shows how far. The outline is the image's own, which stays "
    "visible and says much about the label; that of another patient, drawn without regard to class among the images "
    "tested in the same fold; or none, where one region is masked in all images. So this shows how a network answers "
    "to masking, not what a region is worth: that takes networks trained and tested on the region (option "
    "--regions of pneumobench run). "
    "Masks: manually annotated, segmented by a network, or a fixed box in place of the lungs, which holds heart and "
    "spine too."
)


# what was fitted on frozen features, by the value of training.fit
FROZEN_WORDS: Final = {
    "frozen_logistic": "logistic regression",
    "frozen_neighbours": "votes of the nearest training images",
}


def weights_words(origin: str) -> str:
    """Say where the weights of an architecture started, and whether they stayed there.

    >>> weights_words("random"), weights_words("file:resnet18.safetensors")
    ('random initialisation', 'weights file resnet18.safetensors')
    >>> weights_words("frozen_logistic:timm:resnet18.a1_in1k")
    'frozen features (pretrained, timm resnet18.a1_in1k), logistic regression'
    """
    fit, start = _fit_and_start(origin)
    if fit:
        return f"frozen features ({weights_words(start)}), {FROZEN_WORDS[fit]}"
    if origin == "random":
        return "random initialisation"
    if origin == CONTROL_ORIGIN:
        return "shortcut baseline (control), no network"
    kind, _, name = origin.partition(":")
    if kind == "timm":
        return f"pretrained, timm {name}"
    if kind == SELF_SUPERVISED:
        return f"self-supervised on the training part of each fold, {name}"
    return f"weights file {name}" if kind == "file" else origin


def _fit_and_start(origin: str) -> tuple[str, str]:
    """Return what was fitted on frozen features, empty where a network was trained, and where its weights started."""
    fit, _, start = origin.partition(":")
    return (fit, start) if fit in FROZEN_WORDS else ("", origin)


def mask_words(tiers: str, source: str) -> str:
    """Say where the lung masks of a data set come from; synthetic images come with theirs.

    >>> mask_words("drawn", "kermany"), mask_words("box and drawn", "kermany"), mask_words("drawn", "phantoms")
    ('manually annotated', 'box and manually annotated', 'exact')
    """
    layout = LAYOUTS.find(source)
    return tiers.replace("drawn", "exact" if layout is not None and layout.synthetic else "manually annotated")


def marks(row: Row) -> str:
    """Return the signs behind an architecture's name: `*` top group, `†` does not clear the best shortcut baseline."""
    return (" *" if row.in_top_group else "") + (" †" if row.clears_controls is False else "")


KIND_WORDS: Final = {"control": "control", "ensemble": "ensemble"}  # in place of the rank


def weights_notice(board: Leaderboard) -> str:
    """Say once, above every table, what the networks started from."""
    seen = {row.architecture: row.weights_origin for row in board.networks if row.weights_origin not in ("", "none")}
    origins = {name: _fit_and_start(origin)[1] for name, origin in seen.items()}
    fits = sorted({fit for origin in seen.values() if (fit := _fit_and_start(origin)[0])})
    frozen = "".join(f" Networks are frozen: only a last layer is fitted ({FROZEN_WORDS[fit]})." for fit in fits)
    random = [name for name, origin in origins.items() if origin == "random"]
    if not origins:
        return "No network has finished yet."
    if len(random) == len(origins):
        return f"Random initialisation: no network here was pretrained on any image.{frozen}"
    if random:
        names = ", ".join(random)
        return f"Random initialisation for {names}; the others were pretrained. Compare them with care.{frozen}"
    return f"All networks here started from pretrained weights.{frozen}"


def protocol_words(protocol: str, folds: int) -> str:
    """Say in a few words how images were split.

    >>> protocol_words("patient", 5)
    '5 folds by patient'
    """
    return {
        "patient": f"{counted(folds, 'fold')} by patient",
        "holdout": "one held-out test part, by patient",
        "official": "trained on the official train folder, tested on the official test folder",
        "image_random": f"{counted(folds, 'fold')} by image, with images of one patient on both sides",
    }[protocol]


def ranked_folds_words(board: Leaderboard) -> str:
    """Return the folds that were ranked, such as `folds 0 and 1 of 5`; empty where these are all."""
    if not board.ranked_folds:
        return ""
    *first, last = map(str, board.ranked_folds)
    named = f"folds {', '.join(first)} and {last}" if first else f"fold {last}"
    return f"{named} of {board.folds}"


def leak_notice(board: Leaderboard) -> str:
    """Warn of a split that lets patients onto both sides; nothing for others."""
    if not patients_published(board.source):
        return (
            "Patients are not published with these images: those of one patient may stand on both sides of a fold, and "
            "intervals take each image for a patient of its own."
        )
    if board.patients_unknown:
        return (
            f"Of {board.patients_unknown:,} images the patient is not known: each counts as a patient of its own. "
            "Images of one child may stand on both sides of a fold, and intervals may be too narrow."
        )
    if board.protocol != "image_random":
        return ""
    return (
        "Folds by image: images of one patient were trained on and tested. These scores are too good, and are here to "
        "show by how much."
    )


def patients_published(source: str) -> bool:
    """Tell whether images of one patient can be told in a data set; a layout whose plugin is not here is trusted."""
    layout = LAYOUTS.find(source)
    return layout is None or layout.patients_published


def patients_known(board: Leaderboard) -> bool:
    """Tell whether images of one patient can be told, so that a split is clean of patients on both sides."""
    return patients_published(board.source) and not board.patients_unknown


def patients_words(source: str, count: int, patient_rule: str = "number", *, unknown: int = 0) -> str:
    """Say how many patients there are, and what is counted where that is not certain.

    Args:
        source: layout of the data.
        count: patients, an image whose patient is not known counted as one.
        patient_rule: see DataSpec.
        unknown: images whose patient is not known.

    >>> patients_words("kermany", 3103), patients_words("kermany", 4082, "folder_subtype_number")
    ('3,103 patients', '4,082 patients (counted by folder, subtype and number)')
    """
    if not patients_published(source):
        return "patients whose identity is not published: each image counts as one"
    if patient_rule == "image":
        return "patients whose identity is not known: each image counts as one"
    rule = " (counted by folder, subtype and number)" if patient_rule == "folder_subtype_number" else ""
    of_unknown = f" ({unknown:,} images of unknown patients count as one each)" if unknown else ""
    return f"{counted(count, 'patient')}{rule}{of_unknown}"


def data_words(board: Leaderboard) -> str:
    """Say how many images of how many patients were cross-validated and tested, at what size."""
    colour = "gray" if board.channels == 1 else "three channels"
    side = f"{board.image_side_px} × {board.image_side_px} px"
    kind = layout.images if (layout := LAYOUTS.find(board.source)) is not None else "images"
    split = protocol_words(board.protocol, board.folds)
    split += f", here {named}" if (named := ranked_folds_words(board)) else ""
    epochs = f"at most {counted(board.epochs, 'epoch')}" if board.epochs else "frozen features"
    if board.patients_unknown:
        split = split.replace("by patient", "by image" if board.patient_rule == "image" else "by patient where known")
    patients, official = (
        patients_words(board.source, count, board.patient_rule) for count in (board.patients, board.official_patients)
    )
    text = (
        f"{counted(len(board.networks), 'architecture')}, {split}; {_counted_images(board.images, kind)} of {patients} "
        f"({board.pneumonia_images:,} with pneumonia), "
        f"{side}, {colour}, {epochs}, seed {board.seed}"
        + ("" if board.training_seed is None else f", seed of the trainings {board.training_seed}")
        + ("" if board.training_images is None else f"; each fold trained on about {board.training_images:,} images")
        + ("" if board.region == "whole" else f"; trained and tested on {REGION_WORDS[board.region]}")
        + ("; trained on three classes: normal, bacterial, viral" if board.task == "three_class" else "")
    )
    if board.official_images:
        text += (
            f"; {separate_test(board).lower()}: {_counted_images(board.official_images, kind)} of {official} "
            f"({board.official_pneumonia_images:,} with pneumonia)"
        )
    return text + "."


def _counted_images(count: int, kind: str) -> str:
    return counted(count, kind.removesuffix("s"), kind)


def separate_test(board: Leaderboard) -> str:
    """Return what the test images are called that no fold holds."""
    return "Held-out part" if board.held_out else "Official test folder"


def tested_words(board: Leaderboard) -> str:
    """Say which network scores an image of the main table."""
    if board.protocol == "image_random":
        return "Every image is scored once, by the model of the fold that was not trained on it."
    if not patients_known(board):
        return "Every image is scored by a model that was not trained on it."
    if board.protocol == "official":
        return (
            f"Every image of the official test folder is scored by one model.{_shared_patients(board, board.patients)}"
        )
    if board.protocol == "holdout":
        return "Every image of the test part is scored by one model, which has never seen its patient."
    return "Every image is scored once, by the model of the fold that has never seen its patient."


def separate_test_words(board: Leaderboard) -> str:
    """Say what the scores on the separate test images are."""
    return (
        f"The mean probability of the {board.models} folds' models on {board.official_images:,} images that none of "
        "them saw. "
        + ("Patients were put aside before the folds were made. " if board.held_out else
           "This folder may differ from the cross-validated images: compare numbers within a table only. ")
        + f"The order is that of the ranking above.{shared_patients_words(board)}"
    )  # fmt: skip


def shared_patients_words(board: Leaderboard) -> str:
    """Return a sentence about patient names of the separate test images that were trained on, or nothing."""
    return _shared_patients(board, board.official_patients) if board.official_images else ""


def _shared_patients(board: Leaderboard, patients: int) -> str:
    shared = board.official_patients_trained_on
    if not shared:
        return ""
    return (
        f" {shared:,} of its {patients:,} patient names also stand among the training patients; "
        "whether they are the same children is not known."
    )
