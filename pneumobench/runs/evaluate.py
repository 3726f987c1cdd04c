"""Networks of a run on data of another source, without training: predictions, scores, and how much is lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import track

from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.index import Index, content_of, contents, problem_error, unknown_patients
from pneumobench.errors import DataError, SettingsError
from pneumobench.leaderboard.external import ExternalScore, external_score
from pneumobench.leaderboard.scores import FoldModel, fold_model
from pneumobench.lungs.prepared import prepare_images, wanted_squares
from pneumobench.records.external_record import VARIANTS
from pneumobench.records.job_record import JobRecord
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.external_variants_table import ExternalVariants
from pneumobench.reporting.words import patients_words
from pneumobench.runs.context import Bench
from pneumobench.runs.external_predictions import earlier_predictions, external_predictions, write_predictions
from pneumobench.runs.external_variants import check_variants, score_variants
from pneumobench.runs.networks import refuse_region, trained_network
from pneumobench.suite.names import is_name
from pneumobench.suite.spec import DataSpec, Suite
from pneumobench.suite.weights import TRAINED_ON
from pneumobench.texts import counted


@dataclass(frozen=True, kw_only=True)
class ExternalEvaluation:
    """Scores of a run's networks on external data.

    Args:
        name: name of the data.
        folder: where predictions and tables lie.
        index: the external images.
        scores: one for each architecture, best first.
        source: layout of the external data.
        three_classes: whether the networks tell bacterial from viral, which is not scored here.
        variants: the same images shown in other ways; None where it was not asked.
        notes: what is to be known of the weights that the networks started from.
    """

    name: str
    folder: Path
    index: Index
    scores: tuple[ExternalScore, ...]
    source: str
    three_classes: bool
    variants: ExternalVariants | None = None
    notes: tuple[str, ...] = ()

    def words(self) -> str:
        """Say how many images of how many patients there are."""
        table = self.index.table
        unknown = int(unknown_patients(table).sum())
        patients = patients_words(self.source, table["patient"].nunique(), unknown=unknown)
        what = f"{counted(len(table), 'image')} of {patients} ({int(table['label'].sum()):,} with pneumonia)."
        if self.three_classes:
            what += " The networks were trained on three classes; here bacterial and viral are one, pneumonia."
        return what


def evaluate_networks(
    folder: RunFolder,
    suite: Suite,
    jobs: Sequence[JobRecord],
    data: DataSpec,
    *,
    name: str,
    cache: Path,
    console: Console,
    variants: Sequence[str] = (),
    bench: Callable[[], Bench] | None = None,
) -> ExternalEvaluation:
    """Score completed networks of a run on other images, prepared as the run's own were.

    Networks that were asked before about the same images keep their predictions and stand in the table too.

    Args:
        folder: the run.
        suite: its settings.
        jobs: completed networks.
        data: where the other images are and how they are read.
        name: what the data are called: a folder under `external/`.
        cache: where decoded images are kept.
        console: where progress is shown.
        variants: other ways to show the images, see VARIANT_WORDS.
        bench: opens the run with its own images, which variants are compared with.

    Raises:
        DataError: images cannot be read, or show one class only.
        SettingsError: a variant is not known, the name cannot be a folder's or is that of other images, or images are
            those of the run.
        RecordError: weights or earlier predictions are missing or changed.
        NotAvailableError: the networks were trained on a region of the images.
    """
    refuse_region(suite)
    check_variants(variants, suite.data)
    opened = _opened(bench) if bench is not None and variants else None
    if not is_name(name):
        raise SettingsError(f"--name {name}: expected a plain name, e.g. nih.")
    shown = dataclasses.replace(suite.data, lung_mask_tier="auto")  # side and crop of the run; no masks are read
    index, problems = read_radiographs(Suite(data=data), cache, squares=wanted_squares(shown))
    if problems:
        raise problem_error(index.root, problems)
    if index.table["label"].nunique() < 2:
        raise DataError(f"{data.root}: all images have one label; expected NORMAL and PNEUMONIA.")
    own, _ = folder.index_and_folds()
    known = contents(own.table)
    if shared := int((index.table["sha256"].isin(known) | content_of(index.table).isin(known)).sum()):
        raise SettingsError(
            f"{data.root}: {shared} of its images are images of the run itself, which networks may have learnt from; "
            "external data are those of another source."
        )
    index = index.without_names()
    output, records = folder.external / name, [record for record in folder.records() if record.completed]
    predictions = earlier_predictions(output, index, jobs, records)
    radiographs = prepare_images(index, shown, cache, with_masks=False).radiographs
    for job in track(jobs, "scoring", console=console, transient=True, disable=not console.is_terminal):
        architecture = trained_network(suite, folder, job)
        part = external_predictions(architecture, suite.training, index, radiographs, job.fold)
        others = [predictions[job.architecture]] if job.architecture in predictions else []
        predictions[job.architecture] = pd.concat([*others, part])
    group, own_group = (part.table.set_index("image_id")["group"] for part in (index, own))
    models, weights = _models(folder, records, predictions)
    written = write_predictions(output, name, index, predictions, weights)
    scores = [external_score(one, models[one], table, group, own_group) for one, table in written.items()]
    best_first = tuple(sorted(scores, key=lambda score: (-score.auc, score.architecture)))
    return ExternalEvaluation(
        name=name,
        folder=output,
        index=index,
        scores=best_first,
        source=data.source,
        three_classes=suite.task == "three_class",
        variants=None
        if opened is None
        else score_variants(opened, jobs, index, radiographs, variants, folder=output / VARIANTS, cache=cache),
        notes=pretraining_notes([record for record in records if record.architecture in predictions], data.source),
    )


def pretraining_notes(records: Sequence[JobRecord], source: str) -> tuple[str, ...]:
    """Return, for each list of data sets that initial weights were trained on, whose they are and what it means here.

    Args:
        records: of the networks.
        source: layout of the external data; of a plain table nobody knows which data set its images are from.
    """
    names: dict[str, set[str]] = {}
    for record in records:
        if trained_on := record.training.get(TRAINED_ON):
            names.setdefault(str(trained_on), set()).add(record.architecture)
    notes = []
    for trained_on, networks in sorted(names.items()):
        who = f"{', '.join(sorted(networks))} started from weights trained on {trained_on}"
        if source in trained_on.split(", "):
            notes.append(f"{who}: images of {source} are not new to them, and this is no external validation of them.")
        else:
            notes.append(f"{who}: no image of these sets is new to them.")
    return tuple(notes)


def _opened(bench: Callable[[], Bench]) -> Bench:
    try:
        return bench()
    except SettingsError as error:
        raise SettingsError(f"--variants needs the run's own images, which --own-data FOLDER names: {error}") from error


def _models(
    folder: RunFolder, records: Sequence[JobRecord], predictions: Mapping[str, pd.DataFrame]
) -> tuple[dict[str, list[FoldModel]], dict[str, dict[str, str]]]:
    """Return what the networks behind predictions said of the run's own images, and hashes of their weights."""
    models: dict[str, list[FoldModel]] = {}
    weights: dict[str, dict[str, str]] = {}
    for record in records:
        table = predictions.get(record.architecture)
        if table is not None and (table["fold"] == record.fold).any():
            fold = fold_model(record.fold, folder.predictions(record))
            models.setdefault(record.architecture, []).append(fold)
            weights.setdefault(record.architecture, {})[str(record.fold)] = record.hashes["weights"]
    return models, weights
