"""Questions to a trained network: what does it score with parts of the image blanked, and do its heat maps hold?"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from pneumobench.architectures import Architecture
from pneumobench.attributions.faithfulness import SCORED_TOGETHER
from pneumobench.attributions.lung_attention_maps import MAIN_METHOD, rows_with_lungs
from pneumobench.attributions.methods import AttributionMethod, attribution_method
from pneumobench.errors import NoRoomError, NotAvailableError, PneumobenchError
from pneumobench.lungs.masked_regions import MASKED_REGIONS, MaskedRegion
from pneumobench.records.explanation_record import (
    ABLATION,
    CHECK_RULES,
    NOT_MASKED,
    ExplanationRecord,
    MethodMetadata,
    read_explanation_record,
    read_explanations,
    write_explanations,
)
from pneumobench.records.job_record import JobRecord, read_record
from pneumobench.records.provenance import machine, software_versions
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.progress import duration
from pneumobench.runs.context import Bench
from pneumobench.runs.map_checks import checked_maps, read_main_pass
from pneumobench.runs.networks import trained_network
from pneumobench.texts import counted
from pneumobench.training.cost import hardware
from pneumobench.training.devices import device_of
from pneumobench.training.predictions import logit_of, score_images


def explain_jobs(
    bench: Bench,
    jobs: Sequence[tuple[str, int]],
    methods: Sequence[str],
    images: int,
    console: Console,
    *,
    redo: bool = False,
    told: bool = True,
) -> None:
    """Explain every completed network among the jobs (architecture, fold); one that fails is said and costs itself.

    Methods without maps are said too, once for each architecture. With `told` false nothing else is shown: the caller
    shows the progress.
    """
    records = [read_record(path) for job in jobs if (path := bench.folder.record_path(*job)).is_file()]
    networks = [job for job in records if job.completed and not job.is_control]
    started, explained = time.monotonic(), 0
    for job in track(
        networks, "explaining", console=console, transient=True, disable=not told or not console.is_terminal
    ):
        try:
            explained += explain_network(bench, job, methods, images, redo=redo)
        except NoRoomError:
            raise
        except (PneumobenchError, RuntimeError) as error:
            console.print(f"{job.architecture} fold {job.fold} not explained: {error}", style="red", markup=False)
    if images:
        for words in without_maps(bench.folder, networks, methods):
            console.print(words, style="yellow", markup=False)
    if explained and told:
        words = f"{', '.join(methods)} on {images} images a fold; " if methods and images else ""
        took = duration(time.monotonic() - started)
        console.print(
            f"{counted(explained, 'network')} explained ({words}parts of the image masked) in {took}", highlight=False
        )


def without_maps(folder: RunFolder, networks: Sequence[JobRecord], methods: Sequence[str]) -> list[str]:
    """Return a line for each architecture and method of which a network has no maps, with the reason.

    Raises:
        RecordError: earlier explanations are damaged.
    """
    reasons: dict[tuple[str, str], str] = {}
    for job in networks:
        record = read_explanation_record(folder, job)
        for method in methods:
            known = record.methods.get(method) if record is not None else None
            reason = "not explained" if known is None else known.not_available
            if reason:
                reasons.setdefault((job.architecture, method), reason)
    return [f"{architecture}: no maps by {method}: {reason}" for (architecture, method), reason in reasons.items()]


def explain_network(bench: Bench, job: JobRecord, methods: Sequence[str], images: int, *, redo: bool = False) -> bool:
    """Ask what was not yet asked of a trained network, write its `explanations/`, and tell whether there was any.

    A method is checked again where its definition or the rules of the checks have changed since.

    Args:
        bench: data and settings of the run.
        job: record of a completed network.
        methods: attribution methods to check.
        images: images of the fold they are checked on.
        redo: check a method again that was checked on another number of images.

    Raises:
        SettingsError: a method is not known.
        RecordError: weights, main maps or earlier explanations are damaged.
    """
    wanted = [attribution_method(name) for name in methods] if images else []
    earlier = read_explanation_record(bench.folder, job)
    known = earlier.methods if earlier else {}
    todo = [method for method in wanted if not _is_current(method, known.get(method.name), images if redo else None)]
    if earlier is not None and not todo:
        return False
    architecture = trained_network(bench.suite, bench.folder, job)
    rows = _sample(bench, job, images)
    main = read_main_pass(bench, job, rows) if MAIN_METHOD in (method.name for method in todo) else None
    tables: dict[str, pd.DataFrame] = {}
    checked: dict[str, MethodMetadata] = {}
    if earlier is None and bench.suite.masks_at_test_time:
        tables[ABLATION] = _region_ablation(bench, job, architecture)
    for method in todo if len(rows) else []:
        try:
            tables[method.name], run = checked_maps(bench, job, architecture, method, rows, main)
        except NotAvailableError as error:  # in words: why this method cannot explain this network
            run = MethodMetadata(not_available=str(error))
        except NoRoomError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one method does on one network must cost only itself
            run = MethodMetadata(not_available=f"{type(error).__name__}: {error}"[:300])
        checked[method.name] = dataclasses.replace(run, sample=images, definition=method.definition, rules=CHECK_RULES)
    record = ExplanationRecord(
        architecture=job.architecture,
        fold=job.fold,
        seed=job.seed,
        weights=job.hashes["weights"],
        mask_tier=bench.masks.tier(),
        methods={**known, **checked},
        hashes={name: sha256 for name, sha256 in (earlier.hashes if earlier else {}).items() if name not in checked},
        software=software_versions(),
        hardware=hardware(bench.suite.training, machine()),
    )
    write_explanations(bench.folder, record, tables)
    return True


def _sample(bench: Bench, job: JobRecord, images: int) -> NDArray[np.int64]:
    """Return test rows with lungs to check methods on, so that methods can be compared on the same images.

    The images on which all methods so far were checked come first: fewer are drawn from them, more are added to them.
    """
    drawn = rows_with_lungs(bench.fold_images(job.fold), bench.masks, images, bench.suite.seed)
    earlier = read_explanations(bench.folder, job)
    tables = [set(table["image_id"]) for table in earlier.methods.values()] if earlier is not None else []
    if not tables:
        return drawn
    every = rows_with_lungs(bench.fold_images(job.fold), bench.masks, None, bench.suite.seed)
    shared = bench.index.table["image_id"].iloc[every].isin(set.intersection(*tables)).to_numpy()
    known, others = every[shared], every[~shared]
    rng = np.random.default_rng([bench.suite.seed, 3])
    if len(known) > images:
        return np.sort(rng.choice(known, images, replace=False))
    added = rng.choice(others, min(images - len(known), len(others)), replace=False)
    return np.sort(np.concatenate([known, added]))


def _is_current(method: AttributionMethod, known: MethodMetadata | None, images: int | None) -> bool:
    """Tell whether a method was checked by its present definition and rules, and on so many images if that is asked."""
    if known is None or images not in (None, known.sample):
        return False
    return known.definition == method.definition and known.rules == CHECK_RULES


def _region_ablation(bench: Bench, job: JobRecord, architecture: Architecture) -> pd.DataFrame:
    """Return predictions of the fold's test images that have a lung mask, as they are and with parts blanked.

    Every outline that the images of all folds have is used; without lung masks of other patients there are fewer.
    """
    rows = rows_with_lungs(bench.fold_images(job.fold), bench.masks, None, bench.suite.seed)
    table = bench.index.table.iloc[rows]
    known = bench.folder.predictions(job).set_index("image_id")["logit"]
    logits = {NOT_MASKED: known.loc[table["image_id"]].to_numpy(np.float64)}
    step = max(SCORED_TOGETHER, bench.suite.training.batch_size)
    device = device_of(bench.suite.training)

    outlines = bench.outlines(job.fold)
    forms = outlines.forms()

    def shown(region: MaskedRegion) -> Iterator[Tensor]:
        for some in (rows[start : start + step] for start in range(0, len(rows), step)):
            radiographs = torch.from_numpy(np.array(bench.radiographs[some])).to(device)
            lungs = np.ascontiguousarray(outlines.of_rows(some, region.outline))
            yield region(radiographs, torch.from_numpy(lungs).to(device))[:, None]

    for name, region in MASKED_REGIONS.items():
        if region.outline in forms:
            found = score_images(architecture, shown(region), bench.suite.training)
            logits[name] = logit_of(found).astype(np.float64)
    images = {"image_id": table["image_id"], "fold": job.fold, "label": table["label"]}
    return pd.DataFrame({**images, **{f"logit_{name}": logit for name, logit in logits.items()}})
