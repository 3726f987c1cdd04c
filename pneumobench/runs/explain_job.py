"""Questions to a trained network: what does it score with parts of the image blanked, and do its heat maps hold?"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from pneumobench.architectures import Architecture
from pneumobench.attributions.explain import rows_to_explain
from pneumobench.attributions.faithfulness import SCORED_TOGETHER, faithfulness, random_maps
from pneumobench.attributions.methods import AttributionMethod, attribution_method
from pneumobench.attributions.randomisation import map_similarity, with_shuffled_weights
from pneumobench.errors import NotAvailableError, PneumobenchError
from pneumobench.lungs.masked_regions import MASKED_REGIONS
from pneumobench.metrics.attention_drift import attention_drift
from pneumobench.metrics.lung_attention import lung_attention_ratio
from pneumobench.records.explanation_record import (
    ABLATION,
    NOT_MASKED,
    ExplanationRecord,
    MethodMetadata,
    read_explanation_record,
    write_explanations,
)
from pneumobench.records.job_record import JobRecord, read_record
from pneumobench.records.provenance import machine, software_versions
from pneumobench.reporting.progress import duration
from pneumobench.runs.context import Bench
from pneumobench.runs.networks import trained_network
from pneumobench.training.cost import device_of, hardware
from pneumobench.training.predictions import logit_of, score_images


def explain_jobs(
    bench: Bench,
    jobs: Sequence[tuple[str, int]],
    methods: Sequence[str],
    images: int,
    console: Console,
    *,
    redo: bool = False,
) -> None:
    """Explain every completed network among the jobs (architecture, fold); one that fails is said and costs itself."""
    records = [read_record(path) for job in jobs if (path := bench.folder.record_path(*job)).is_file()]
    networks = [job for job in records if job.completed and not job.is_control]
    started, explained = time.monotonic(), 0
    for job in track(networks, "explaining", console=console, transient=True, disable=not console.is_terminal):
        try:
            explained += explain_job(bench, job, methods, images, redo=redo)
        except (PneumobenchError, RuntimeError) as error:
            console.print(f"{job.architecture} fold {job.fold} not explained: {error}", style="red", markup=False)
    if explained:
        words = f"{', '.join(methods)} on {images} images a fold; " if methods and images else ""
        took = duration(time.monotonic() - started)
        console.print(f"{explained} networks explained ({words}parts of the image blanked) in {took}", highlight=False)


def explain_job(bench: Bench, job: JobRecord, methods: Sequence[str], images: int, *, redo: bool = False) -> bool:
    """Ask what was not yet asked of a trained network, write its `explanations/`, and tell whether there was any.

    Args:
        bench: data and settings of the run.
        job: record of a completed network.
        methods: attribution methods to check.
        images: images of the fold they are checked on.
        redo: check a method again that was checked on another number of images.

    Raises:
        SettingsError: a method is not known.
        RecordError: weights or earlier explanations are damaged.
    """
    wanted = [attribution_method(name) for name in methods] if images else []
    earlier = read_explanation_record(bench.folder, job)
    known = earlier.methods if earlier else {}
    todo = [m for m in wanted if m.name not in known or (redo and known[m.name].sample != images)]
    if earlier is not None and not todo:
        return False
    architecture = trained_network(bench.suite, bench.folder, job)
    rows = rows_to_explain(bench.fold_images(job.fold), bench.masks, images, bench.suite.seed)
    tables: dict[str, pd.DataFrame] = {}
    metadata: dict[str, MethodMetadata] = dict(earlier.methods) if earlier else {}
    if earlier is None:
        tables[ABLATION] = _region_ablation(bench, job, architecture)
    for method in todo if len(rows) else []:
        try:
            tables[method.name], metadata[method.name] = _checked_maps(bench, job, architecture, method, rows, images)
        except NotAvailableError as error:  # in words: why this method cannot explain this network
            metadata[method.name] = MethodMetadata(sample=images, not_available=str(error))
        except Exception as error:  # noqa: BLE001 - whatever one method does on one network must cost only itself
            metadata[method.name] = MethodMetadata(
                sample=images, not_available=f"{type(error).__name__}: {error}"[:300]
            )
    record = ExplanationRecord(
        architecture=job.architecture,
        fold=job.fold,
        seed=job.seed,
        weights=job.hashes["weights"],
        mask_tier=bench.masks.tier(),
        methods=metadata,
        hashes=dict(earlier.hashes) if earlier else {},
        software=software_versions(),
        hardware=hardware(bench.suite.training, machine()),
    )
    write_explanations(bench.folder, record, tables)
    return True


def _region_ablation(bench: Bench, job: JobRecord, architecture: Architecture) -> pd.DataFrame:
    """Return predictions of the fold's test images that have a lung mask, as they are and with parts blanked."""
    rows = rows_to_explain(bench.fold_images(job.fold), bench.masks, None, bench.suite.seed)
    table = bench.index.table.iloc[rows]
    known = bench.folder.predictions(job).set_index("image_id")["logit"]
    logits = {NOT_MASKED: known.loc[table["image_id"]].to_numpy(np.float64)}
    step = max(SCORED_TOGETHER, bench.suite.training.batch_size)
    for name, blank in MASKED_REGIONS.items():
        batches = (
            torch.from_numpy(blank(np.array(bench.radiographs[some]), bench.masks.of_rows(some)))[:, None]
            for some in (rows[start : start + step] for start in range(0, len(rows), step))
        )
        logits[name] = logit_of(score_images(architecture, batches, bench.suite.training)).astype(np.float64)
    images = {"image_id": table["image_id"], "fold": job.fold, "label": table["label"]}
    return pd.DataFrame({**images, **{f"logit_{name}": logit for name, logit in logits.items()}})


def _checked_maps(
    bench: Bench,
    job: JobRecord,
    architecture: Architecture,
    method: AttributionMethod,
    rows: NDArray[np.int64],
    images: int,
) -> tuple[pd.DataFrame, MethodMetadata]:
    device = device_of(bench.suite.training)
    radiographs = torch.from_numpy(np.array(bench.radiographs[rows]))[:, None].to(device)
    started = time.perf_counter()
    heat = _maps(architecture, method, radiographs)
    seconds = time.perf_counter() - started
    shuffled = _maps(with_shuffled_weights(architecture, bench.suite.seed), method, radiographs)

    def probability(some: Tensor) -> Tensor:
        with torch.inference_mode():
            shown = [architecture.logits(part) for part in torch.split(some, SCORED_TOGETHER)]
            return torch.sigmoid(torch.cat(shown).float())

    faithful = faithfulness(probability, radiographs, heat, signed=method.signed)
    chance = faithfulness(
        probability,
        radiographs,
        random_maps(len(rows), radiographs.shape[-1], bench.suite.seed).to(device),
        signed=False,
    )
    maps = heat.cpu().numpy()
    attention = lung_attention_ratio(maps, bench.masks.of_rows(rows))
    drift = attention_drift(maps, radiographs[:, 0].cpu().numpy())
    table = bench.index.table.iloc[rows]
    checked = pd.DataFrame(
        {
            "image_id": table["image_id"].to_numpy(dtype=object),
            "fold": job.fold,
            "label": table["label"].to_numpy(np.int64),
            "method": method.name,
            "mask_tier": bench.masks.tier(),
            "lung_area": attention.lung_area,
            "lar": attention.ratio,
            "lar_adjusted": attention.adjusted,
            **dataclasses.asdict(drift),
            "deletion": faithful.deletion,
            "insertion": faithful.insertion,
            "deletion_random": chance.deletion,
            "insertion_random": chance.insertion,
            "randomised_similarity": map_similarity(maps, shuffled.cpu().numpy()),
        }
    )
    return checked, MethodMetadata(sample=images, images=len(rows), seconds_per_image=round(seconds / len(rows), 6))


def _maps(architecture: Architecture, method: AttributionMethod, radiographs: Tensor) -> Tensor:
    return torch.cat([method.attribute(architecture, part) for part in torch.split(radiographs, SCORED_TOGETHER)])
