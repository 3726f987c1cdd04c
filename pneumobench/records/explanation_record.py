"""What was asked of one trained network, on disk: how it scores with parts of the image blanked, and its heat maps."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd
from scipy.special import expit

from pneumobench.errors import RecordError
from pneumobench.files import canonical_json, sha256_of_text, write_text
from pneumobench.lungs.region_names import REGIONS
from pneumobench.records.job_record import JobRecord
from pneumobench.records.locks import waited_for
from pneumobench.records.manifest import EXPLANATION_FILE, seal
from pneumobench.records.randomised_maps import RandomisedMaps
from pneumobench.records.run_folder import RunFolder
from pneumobench.records.tables import read_table, write_table

EXPLANATION_FORMAT: Final = 3
READABLE_FORMATS: Final = (2, 3)  # 2: of runs published before methods were checked by the rules of today
CHECK_RULES: Final = 2  # by which maps are checked; a method that was checked by others is checked again
ABLATION: Final = "reliance"
NOT_MASKED: Final = "none"  # the image as it is
# a table has the columns of the regions that were asked: masks of other patients, say, are not always there
ABLATION_COLUMNS: Final = ("image_id", "fold", "label", *(f"logit_{name}" for name in (NOT_MASKED, *REGIONS)))
ATTENTION_COLUMNS: Final = ("image_id", "fold", "label", "method", "mask_tier", "lung_area", "lar", "lar_adjusted")
SHARES: Final = ("corners", "borders", "outside_body")
CURVES: Final = ("deletion", "insertion", "deletion_random", "insertion_random")
CHECK_COLUMNS: Final = (*SHARES, *(f"{name}_area" for name in SHARES), *CURVES, "refused", "error", "steps")
METHOD_COLUMNS: Final = (*ATTENTION_COLUMNS, *CHECK_COLUMNS)
# tables of rules 1: curves against smooth random maps of one size, and a correlation with one shuffled copy; of these
# nothing is shown
METHOD_COLUMNS_OF_RULES_1: Final = (*ATTENTION_COLUMNS, *SHARES, *CURVES, "randomised_similarity")


@dataclass(frozen=True, kw_only=True)
class MethodMetadata:
    """How one method was run on one network: images asked for and explained, seconds an image, or why not.

    `definition` is that of the method then, see `AttributionMethod`, and `rules` those of the checks, CHECK_RULES; a
    record on disk that names none holds the first. `randomised` is None where no image has a map that points somewhere.
    """

    sample: int = 0
    definition: int = 1
    rules: int = CHECK_RULES
    images: int = 0
    seconds_per_image: float | None = None
    not_available: str | None = None
    randomised: RandomisedMaps | None = None


@dataclass(frozen=True, kw_only=True)
class ExplanationRecord:
    """The facts of one network's explanations, written last.

    `hashes` are SHA-256 of the text of reliance.csv and of METHOD.csv by the name of the method; `weights` is that of
    the weights that were explained.
    """

    architecture: str
    fold: int
    seed: int
    weights: str
    mask_tier: str
    methods: dict[str, MethodMetadata]
    hashes: dict[str, str]
    software: dict[str, str]
    hardware: dict[str, str | int | float]
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    format: int = EXPLANATION_FORMAT


@dataclass(frozen=True, kw_only=True)
class Explanations:
    """Tables of one job; `methods` has one for each method that was available.

    `ablation` may be empty: image_id, fold, label, blanking, logit, probability, a row for each image and blanking.
    """

    record: ExplanationRecord
    ablation: pd.DataFrame
    methods: dict[str, pd.DataFrame]


def write_explanations(folder: RunFolder, record: ExplanationRecord, tables: dict[str, pd.DataFrame]) -> None:
    """Write the tables (`ablation` and one a method), then explanation.json with their hashes; each whole."""
    home = folder.explanations_folder(record.architecture, record.fold)
    hashes = dict(record.hashes)
    with waited_for(folder.path):  # whoever reads the run finds all of them or none
        for name, table in tables.items():
            columns: tuple[str, ...] = METHOD_COLUMNS
            if name == ABLATION:
                columns = tuple(column for column in ABLATION_COLUMNS if column in table.columns)
            path = folder.explanation_path(record.architecture, record.fold, name)
            hashes[name] = write_table(path, table, columns)
        text = canonical_json(dataclasses.asdict(dataclasses.replace(record, hashes=hashes)))
        paths = [folder.explanation_path(record.architecture, record.fold, name) for name in hashes]
        seal(folder, paths, {home / EXPLANATION_FILE: sha256_of_text(text)})
        write_text(home / EXPLANATION_FILE, text)


def read_explanation_record(folder: RunFolder, job: JobRecord) -> ExplanationRecord | None:
    """Read explanation.json of a job, None where there is none.

    Raises:
        RecordError: the file is damaged, or explains other weights than those of the job.
    """
    path = folder.explanations_folder(job.architecture, job.fold) / EXPLANATION_FILE
    if not path.is_file():
        return None
    again = f"Delete the folder {path.parent.name}/ beside the job's record and run `pneumobench explain` again."
    try:
        plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        methods = {name: _method_metadata(metadata) for name, metadata in plain.pop("methods").items()}
        record = ExplanationRecord(**plain, methods=methods)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise RecordError(f"{path}: found no record of explanations ({error}). {again}") from error
    if record.format not in READABLE_FORMATS:
        raise RecordError(f"{path}: found format {record.format}, expected {EXPLANATION_FORMAT}. {again}")
    found = (record.architecture, record.fold, record.weights)
    expected = (job.architecture, job.fold, job.hashes.get("weights", ""))
    if found != expected:
        raise RecordError(
            f"{path}: found explanations of {found[0]} fold {found[1]}, weights {found[2][:12]}, expected "
            f"{expected[0]} fold {expected[1]}, weights {expected[2][:12]}: the job was run again since. {again}"
        )
    return record


def read_explanations(folder: RunFolder, job: JobRecord) -> Explanations | None:
    """Read the explanations of a job after comparing every table's SHA-256, None where there are none.

    Raises:
        RecordError: a file is missing, damaged or changed, or explains other weights.
    """
    record = read_explanation_record(folder, job)
    if record is None:
        return None
    ablation = pd.DataFrame(columns=["image_id", "fold", "label", "blanking", "logit", "probability"])
    methods = {}
    for name, sha256 in sorted(record.hashes.items()):
        path = folder.explanation_path(job.architecture, job.fold, name)
        if name == ABLATION:
            ablation = _by_region(read_table(path, ABLATION_COLUMNS, sha256, may_lack=ABLATION_COLUMNS[4:]))
        elif name in record.methods and record.methods[name].rules < CHECK_RULES:
            table = read_table(path, METHOD_COLUMNS_OF_RULES_1, sha256)
            shown = table[[*ATTENTION_COLUMNS, *SHARES]].reindex(columns=list(METHOD_COLUMNS)).assign(refused=0)
            methods[name] = _numbers(shown, METHOD_COLUMNS[5:])
        else:
            methods[name] = _numbers(read_table(path, METHOD_COLUMNS, sha256), METHOD_COLUMNS[5:])
    return Explanations(record=record, ablation=ablation, methods=methods)


def _method_metadata(plain: dict[str, Any]) -> MethodMetadata:
    randomised = plain.get("randomised")
    read = None if randomised is None else RandomisedMaps.read(randomised)
    return MethodMetadata(**{"rules": 1, **plain, "randomised": read})


def _by_region(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each image and blanking of a table with one column a blanking."""
    wide = _numbers(table, tuple(table.columns[3:])).rename(columns=lambda name: name.removeprefix("logit_"))
    long = wide.melt(["image_id", "fold", "label"], var_name="blanking", value_name="logit")
    return long.assign(probability=expit(long["logit"].to_numpy()))


def _numbers(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the table with these columns as numbers; an empty cell is NaN."""
    given = {name: table[name].where(table[name] != "") for name in columns}
    return table.assign(**{name: pd.to_numeric(values).astype("float64") for name, values in given.items()})
