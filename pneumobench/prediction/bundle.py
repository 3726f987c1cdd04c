"""A bundle: networks with all that is needed to use them, as files that hold data alone, never a program."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from pneumobench.errors import RecordError, SettingsError
from pneumobench.files import canonical_json, sha256_of_bytes, sha256_of_file
from pneumobench.lungs.boxes import Crop
from pneumobench.lungs.lung_parts import WEIGHTS_FOLDER, WEIGHTS_NAME
from pneumobench.prediction.bundle_files import SUMS, damaged, files_of
from pneumobench.radiographs.geometry import GEOMETRY

BUNDLE_FORMAT: Final = 1
BUNDLE_JSON: Final = "bundle.json"
REFERENCE: Final = "reference.safetensors"
CARD: Final = "README.md"
SUITE: Final = "suite.yaml"  # settings of the run, by which its images can be split again
FOR_RESEARCH: Final = "For research, not for diagnosis."

_STRICT: Final = ConfigDict(extra="forbid", frozen=True)


@checked_dataclass(config=_STRICT, kw_only=True)
class BundledNetwork:
    """What the networks of one architecture are, the same in all folds: see `NetworkForm`; and where they come from.

    `plugin` is the source of a plugin architecture, which has to be loaded first; None = timm knows the name.
    """

    in_channels: Literal[1, 3]
    outputs: Literal[1, 3]
    head: tuple[str, ...]
    fit: str
    pixel_mean: float | None
    pixel_std: float | None
    own_statistics: bool
    plugin: str | None
    weights_origin: str
    weights_source: str = ""
    weights_licence: str = ""
    trained_on: str = ""


@checked_dataclass(config=_STRICT, kw_only=True)
class Member:
    """One trained network of a fold: its architecture, the file of its weights, and its share in the fold's answer."""

    architecture: str
    file: str
    share: float = 1.0


@checked_dataclass(config=_STRICT, kw_only=True)
class BundledFold:
    """What one fold contributes.

    Args:
        fold: its number in the run.
        members: its networks; their probabilities are averaged by their shares.
        temperature: what the logit is divided by, fitted on the fold's validation part.
        thresholds: by rule, of the probability before tempering, chosen on the same part.
        sure_from: tempered confidence that a declared share of the same part reaches, by share.
        feature_limits: by architecture, distance to the reference features that 99 % of the same part keep below.
    """

    fold: int
    members: tuple[Member, ...]
    temperature: float
    thresholds: dict[str, float]
    sure_from: dict[str, float]
    feature_limits: dict[str, float] = field(default_factory=dict)


@checked_dataclass(config=_STRICT, kw_only=True)
class Reason:
    """A reason to have a person look at an image.

    Args:
        words: what is wrong where it is given.
        limit: number beyond which it is given; None = it is no matter of a number.
        validation_share: of the validation images that it is given for; None = one network alone cannot tell.
        flags: whether an image it is given for is flagged. A reason that most usual images give says something of the
            networks, not of the image, and flags none.
    """

    words: str
    limit: float | None
    validation_share: float | None = None
    flags: bool = True


@checked_dataclass(config=_STRICT, kw_only=True)
class ExportedGraph:
    """The networks of a bundle as one ONNX graph, in place of their weights.

    Args:
        precision: of the networks; what comes before and after them is float32 and float64.
        features: the output of the graph that holds the features of a network, by the file that its weights were in.
        made_of: what names the bundle that was exported.
        file: the graph: gray levels (N, H, W) uint8 of any one size -> fold_probability and what follows from it.
        lungs: the lung segmenter: images (N, 224, 224) uint8 -> lung logits of the same shape.
        parity: how far its answers lie from those of PyTorch.
    """

    precision: Literal["fp32", "fp16", "int8"]
    features: dict[str, str]
    made_of: str
    file: str = "networks.onnx"
    lungs: str = "lungs.onnx"
    parity: str = "parity.json"


@checked_dataclass(config=_STRICT, kw_only=True)
class Bundle:
    """All of a bundle but weights and reference images.

    Args:
        name: of the bundle.
        architecture: the row of the leaderboard that it reproduces.
        task: `binary` or `three_class`.
        classes: names of the outputs' classes.
        image_side_px: side of the square that networks see.
        crop: what is cut out first.
        geometry: how an image becomes a square; a version of this package that does it otherwise refuses the bundle.
        networks: by architecture.
        folds: what is averaged.
        rule: which threshold decides.
        coverage: declared share of images that are decided, the others being for a reader.
        reasons: to have a person look, by name, in the order in which they are told.
        results: what the leaderboard says of the row, for people.
        origin: suite, hashes and versions of the run.
        segmenter: SHA-256 of the weights that find the lungs.
        exported: where its networks are if not in the files of its folds; None = there.
        format: of this file.
    """

    name: str
    architecture: str
    task: Literal["binary", "three_class"]
    classes: tuple[str, ...]
    image_side_px: int
    crop: Crop
    geometry: str
    networks: dict[str, BundledNetwork]
    folds: tuple[BundledFold, ...]
    rule: str
    coverage: str
    reasons: dict[str, Reason]
    results: dict[str, Any]
    origin: dict[str, Any]
    segmenter: str
    exported: ExportedGraph | None = None
    format: Literal[1] = BUNDLE_FORMAT

    @property
    def network_files(self) -> list[str]:
        """The files that hold its networks, each once."""
        if self.exported is not None:
            return [self.exported.file, self.exported.lungs, self.exported.parity]
        return [member.file for fold in self.folds for member in fold.members]

    def to_json(self) -> str:
        """Return bundle.json."""
        return canonical_json(TypeAdapter(Bundle).dump_python(self, mode="json"))


@dataclass(frozen=True, kw_only=True)
class OpenedBundle:
    """A bundle whose files are what its SHA256SUMS says.

    Args:
        bundle: what it is.
        sha256: of its SHA256SUMS: names the bundle in every answer.
        read: returns the bytes of a file of it.
        path: where it lies.
        names: of its files that were checked, sorted.
    """

    bundle: Bundle
    sha256: str
    read: Callable[[str], bytes]
    path: Path
    names: tuple[str, ...] = ()


def open_bundle(path: Path) -> OpenedBundle:
    """Open a bundle, a folder or a ZIP file, and check every file of it.

    Raises:
        SettingsError: nothing that could be a bundle is there.
        RecordError: a file is missing, was changed, or is not named by SHA256SUMS; or bundle.json is not one.
    """
    read, names = files_of(path)
    if SUMS not in names or BUNDLE_JSON not in names:
        raise SettingsError(
            f"{path}: found no {BUNDLE_JSON}; expected a bundle, which `pneumobench bundle RUN --to BUNDLE` writes."
        )
    listed = read(SUMS)
    sums = {}
    for line in listed.decode(errors="replace").splitlines():
        sha256, _, name = line.partition("  ")
        sums[name] = sha256
    others = sorted(names - set(sums) - {SUMS})
    for name in sorted(sums):
        if name not in names:
            raise damaged(path, f"no file {name!r}", f"one ({SUMS} names it)")
        if sha256_of_bytes(read(name)) != sums[name]:
            raise damaged(path, f"{name} changed", f"the SHA-256 that {SUMS} names")
    if others:
        raise damaged(path, f"a file {others[0]!r}", f"none but those that {SUMS} names")
    try:
        bundle = TypeAdapter(Bundle).validate_json(read(BUNDLE_JSON), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or BUNDLE_JSON
        raise damaged(path, f"{where}: {first['msg']}", f"format {BUNDLE_FORMAT} of this version") from error
    if missing := sorted({*bundle.network_files, REFERENCE, SUITE} - names):
        raise damaged(path, f"no file {missing[0]!r}", f"one ({BUNDLE_JSON} names it)")
    return OpenedBundle(bundle=bundle, sha256=sha256_of_bytes(listed), read=read, path=path, names=tuple(sorted(sums)))


def require_same_way(opened: OpenedBundle) -> None:
    """Refuse a bundle whose images are prepared otherwise here than in training.

    Raises:
        RecordError: another geometry, or another lung segmenter.
    """
    bundle = opened.bundle
    here = sha256_of_file(WEIGHTS_FOLDER / WEIGHTS_NAME)
    for what, found, expected in (("geometry", bundle.geometry, GEOMETRY), ("lung segmenter", bundle.segmenter, here)):
        if found != expected:
            raise RecordError(
                f"{opened.path}: found {what} {found[:20]}, expected {expected[:20]} of this version: images would be "
                "prepared otherwise than in training. Use the version that made the bundle "
                f"({bundle.origin.get('pneumobench', 'unknown')}), or make it anew."
            )


def is_bundle(path: Path) -> bool:
    """Tell whether a folder or a ZIP file holds a bundle.json, whatever else is to be said of it."""
    if path.is_dir():
        return (path / BUNDLE_JSON).is_file()
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return BUNDLE_JSON in archive.namelist()
