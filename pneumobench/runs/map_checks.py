"""Do the heat maps of one method on one network hold? A row of checks for each image of a sample."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from pneumobench.architectures import Architecture
from pneumobench.attributions.faithfulness import SCORED_TOGETHER, faithfulness
from pneumobench.attributions.lung_attention_maps import MAIN_METHOD, read_heat
from pneumobench.attributions.methods import AttributionMethod, CheckedMaps
from pneumobench.attributions.randomisation import STAGES, Likeness, Randomisation, randomisation
from pneumobench.errors import NotAvailableError, RecordError
from pneumobench.metrics.attention_drift import attention_drift
from pneumobench.metrics.lung_attention import lung_attention_ratio
from pneumobench.records.explanation_record import MethodMetadata
from pneumobench.records.job_record import JobRecord
from pneumobench.records.randomised_maps import MeanSimilarity, RandomisedMaps
from pneumobench.runs.context import Bench
from pneumobench.training.devices import device_of

LUNG_ATTENTION = ["lung_area", "lar", "lar_adjusted"]
SAME_LAR = 1e-4  # beyond what another device rounds otherwise; other maps differ by far more


@dataclass(frozen=True, kw_only=True, eq=False)
class MainPass:
    """What the training of a job left of its main maps for a sample of rows.

    Args:
        attention: lung_area, lar and lar_adjusted of the job's attention.csv, by image_id; of all its images.
        heat: maps (n, side, side) of the sample at the size of the image; None where they were not kept.
        seconds_per_image: what a map took then.
    """

    attention: pd.DataFrame
    heat: Tensor | None
    seconds_per_image: float | None


def read_main_pass(bench: Bench, job: JobRecord, rows: NDArray[np.int64]) -> MainPass | None:
    """Return the main maps and their lung attention for rows of the index; None where the job has none of this tier.

    Raises:
        RecordError: attention.csv or maps.npz is damaged, or they do not belong together.
    """
    table = bench.folder.attention(job)
    table = table[(table["method"] == MAIN_METHOD) & (table["mask_tier"] == bench.masks.tier())]
    if job.explanation is None or table.empty:
        return None
    attention = table.set_index("image_id")[LUNG_ATTENTION]
    folder = bench.folder.attributions_folder(job.architecture, job.fold)
    heat = read_heat(folder, rows, bench.suite.data.image_side_px)
    image_id = bench.index.table["image_id"].iloc[rows]
    if heat is not None:
        expected = attention["lar"].reindex(image_id).to_numpy(np.float64)
        lar = lung_attention_ratio(heat.numpy(), bench.masks.of_rows(rows)).ratio
        if not np.allclose(lar, expected, rtol=0, atol=SAME_LAR, equal_nan=True):
            raise RecordError(
                f"{folder}: found maps.npz with another lung attention than attention.csv beside the folder, expected "
                "that of the same maps. Delete maps.npz: the maps are then computed again from the weights."
            )
    return MainPass(attention=attention, heat=heat, seconds_per_image=job.explanation.seconds_per_image)


def checked_maps(
    bench: Bench,
    job: JobRecord,
    architecture: Architecture,
    method: AttributionMethod,
    rows: NDArray[np.int64],
    main: MainPass | None,
) -> tuple[pd.DataFrame, MethodMetadata]:
    """Check the maps of a method on rows of the index, and return a row for each and how it was run.

    The maps of the main method are those that the lung attention of the network rests on, and keep their lung attention
    to the last digit; they are computed again, by the same function, only where a run did not keep them.

    Raises:
        NotAvailableError: the method does not exist for the network.
    """
    device = device_of(bench.suite.training)
    radiographs = torch.from_numpy(np.array(bench.seen(job.fold)[rows]))[:, None].to(device)
    if method.name != MAIN_METHOD:
        main = None
    if main is not None and main.heat is not None:
        found, seconds = CheckedMaps(maps=main.heat.to(device)), main.seconds_per_image
    else:
        started = time.perf_counter()
        found = _maps(architecture, method, radiographs)
        seconds = round((time.perf_counter() - started) / len(rows), 6)
    heat, kept = found.maps, ~found.maps.isnan().flatten(1).any(1)
    if not bool(kept.any()):
        raise NotAvailableError(f"{method.name} refused its map of each of {len(rows)} images: {_exactness(found)}.")

    def probability(some: Tensor) -> Tensor:
        with torch.inference_mode():
            shown = [architecture.logits(part) for part in torch.split(some, SCORED_TOGETHER)]
            return torch.sigmoid(torch.cat(shown).float())

    faithful = faithfulness(probability, radiographs[kept], heat[kept], values=method.values, seed=bench.suite.seed)
    maps, refused = heat.nan_to_num().cpu().numpy(), ~kept.cpu().numpy()
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
            **dict.fromkeys(dataclasses.asdict(faithful), np.nan),
            "refused": refused.astype(np.int64),
            "error": np.nan if found.error is None else found.error.cpu().numpy().astype(np.float64),
            "steps": np.nan if found.steps is None else found.steps.cpu().numpy().astype(np.float64),
        }
    )
    checked.loc[~refused, list(dataclasses.asdict(faithful))] = np.stack(list(dataclasses.asdict(faithful).values()), 1)
    if main is not None:
        known = checked["image_id"].isin(main.attention.index).to_numpy()
        checked.loc[known, LUNG_ATTENTION] = main.attention.loc[checked.loc[known, "image_id"]].to_numpy()
    similarity = randomisation(architecture, method, radiographs, heat, seed=bench.suite.seed)
    return checked, MethodMetadata(images=len(rows), seconds_per_image=seconds, randomised=_plain(similarity))


def _maps(architecture: Architecture, method: AttributionMethod, radiographs: Tensor) -> CheckedMaps:
    parts = [method.checked(architecture, part) for part in torch.split(radiographs, SCORED_TOGETHER)]
    return CheckedMaps(
        maps=torch.cat([part.maps for part in parts]),
        error=None if parts[0].error is None else torch.cat([part.error for part in parts if part.error is not None]),
        steps=None if parts[0].steps is None else torch.cat([part.steps for part in parts if part.steps is not None]),
    )


def _exactness(found: CheckedMaps) -> str:
    """Say how far from exact refused maps were."""
    if found.error is None or found.steps is None:
        return "they are not numbers"
    return f"off by {float(found.error.min()):.1%} or more after {int(found.steps.max())} steps"


def _plain(found: Randomisation | None) -> RandomisedMaps | None:
    """Return a randomisation as records keep it."""
    if found is None:
        return None

    def similarity(of: Likeness) -> MeanSimilarity:
        return MeanSimilarity(
            rank_correlation=round(of.rank_correlation, 6), structural_similarity=round(of.structural_similarity, 6)
        )

    return RandomisedMaps(
        images=found.images,
        stages=STAGES,
        randomised=tuple(
            tuple(None if of is None else similarity(of) for of in cascade) for cascade in found.randomised
        ),
        chance=similarity(found.chance),
        repeated=similarity(found.repeated),
    )
