from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumobench.errors import RecordError
from pneumobench.leaderboard.checks import ablation_scores, method_summaries
from pneumobench.lungs.masked_regions import MASKED_REGIONS
from pneumobench.records.explanation_record import (
    CHECK_COLUMNS,
    ExplanationRecord,
    MethodMetadata,
    read_explanations,
    write_explanations,
)
from pneumobench.records.job_record import JobRecord
from pneumobench.records.run_folder import RunFolder

JOB = JobRecord(
    status="completed", suite="s", architecture="net", fold=0, seed=1, weights_origin="random",
    hashes={"weights": "a" * 64}, software={}, hardware={},
)  # fmt: skip
COUNT = 60
LABEL = np.arange(COUNT) % 2
IMAGE = [f"{i:02d}.png" for i in range(COUNT)]
GROUP = pd.Series(np.arange(COUNT) // 2, index=IMAGE)
RNG = np.random.default_rng(0)


def _region_ablation() -> pd.DataFrame:
    logit = {f"logit_{name}": RNG.normal(size=COUNT) for name in MASKED_REGIONS}
    return pd.DataFrame({"image_id": IMAGE, "fold": 0, "label": LABEL, "logit_none": 6.0 * LABEL - 3, **logit})


def _maps(method: str, *, gain: float, similarity: float) -> pd.DataFrame:
    checks = {name: RNG.uniform(0.1, 0.2, COUNT) for name in CHECK_COLUMNS}
    checks["insertion"] = checks["insertion_random"] + gain + RNG.normal(0, 0.02, COUNT)
    checks["deletion"] = checks["deletion_random"] - gain + RNG.normal(0, 0.02, COUNT)
    checks["randomised_similarity"] = similarity + RNG.normal(0, 0.02, COUNT)
    lar = np.where(np.arange(COUNT) == 3, np.nan, 0.6)
    return pd.DataFrame(
        {
            "image_id": IMAGE, "fold": 0, "label": LABEL, "method": method, "mask_tier": "drawn", "lung_area": 0.3,
            "lar": lar, "lar_adjusted": lar - 0.2, **checks,
        }
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path)
    record = ExplanationRecord(
        architecture="net", fold=0, seed=1, weights="a" * 64, mask_tier="drawn",
        methods={
            "good": MethodMetadata(images=COUNT, seconds_per_image=0.5),
            "edges": MethodMetadata(images=COUNT, seconds_per_image=0.1),
            "guided": MethodMetadata(not_available="guided: the network has activations other than ReLU."),
        },
        hashes={}, software={}, hardware={},
    )  # fmt: skip
    tables = {
        "reliance": _region_ablation(),
        "good": _maps("good", gain=0.2, similarity=0.05),
        "edges": _maps("edges", gain=0.0, similarity=0.9),
    }
    write_explanations(run, record, tables)
    return run


def test_what_was_written_is_read_and_summed_up(folder: RunFolder) -> None:
    found = read_explanations(folder, JOB)
    assert found is not None
    scores = ablation_scores([found], GROUP)
    assert list(scores) == ["none", *sorted(MASKED_REGIONS)]
    first = found.ablation[found.ablation["image_id"] == "01.png"].set_index("blanking")
    assert first.loc["none", "probability"] == pytest.approx(1 / (1 + np.exp(-3)))
    assert scores["none"].auc == 1.0
    assert scores["none"].normals_called_positive == 0.0
    shown = found.ablation[(found.ablation["blanking"] == "only_lungs") & (found.ablation["label"] == 0)]
    assert scores["only_lungs"].normals_called_positive == pytest.approx((shown["logit"] >= 0).mean())
    assert 0.2 < scores["only_lungs"].normals_called_positive < 0.8
    assert scores["without_lungs"].interval.low < scores["without_lungs"].auc < 0.75
    pooled = pd.DataFrame({"image_id": IMAGE, "label": LABEL, "probability": LABEL * 0.9})
    edges, good, guided = method_summaries([found], pooled, GROUP)
    assert (good.method, good.trusted, good.images, good.seconds_per_image) == ("good", True, COUNT, 0.5)
    assert good.attention is not None
    assert good.attention.degenerate == 1
    assert good.attention.pneumonia.lar == pytest.approx(0.6)
    assert (edges.depends_on_weights, edges.faithful, edges.trusted) == (False, False, False)
    assert guided.not_available is not None
    assert guided.trusted is None


def test_a_table_of_fewer_regions_is_read_as_it_is_and_one_of_unknown_ones_is_not(tmp_path: Path) -> None:
    """Images of one patient can get no outline of another; runs of other versions had other regions."""
    record = ExplanationRecord(
        architecture="net", fold=0, seed=1, weights="a" * 64, mask_tier="drawn", methods={}, hashes={}, software={},
        hardware={},
    )  # fmt: skip
    run, table = RunFolder(tmp_path), _region_ablation()
    fewer = table.drop(columns=["logit_only_lungs_other_outline", "logit_fixed_region_removed"])
    write_explanations(run, record, {"reliance": fewer})
    found = read_explanations(run, JOB)
    assert found is not None
    assert set(found.ablation["blanking"]) == {"none", *MASKED_REGIONS} - {
        "only_lungs_other_outline", "fixed_region_removed",
    }  # fmt: skip
    assert "only_lungs_other_outline" not in ablation_scores([found], GROUP)
    with pytest.raises(AssertionError, match=r"reliance\.csv: columns"):
        write_explanations(run, record, {"reliance": table.assign(logit_heart=0.0)})


def test_a_changed_table_is_refused(folder: RunFolder) -> None:
    path = folder.explanations_folder("net", 0) / "good.csv"
    path.write_text(path.read_text().replace("0.6", "0.9"))
    with pytest.raises(RecordError, match="changed after"):
        read_explanations(folder, JOB)


def test_explanations_of_other_weights_are_refused(folder: RunFolder) -> None:
    path = folder.explanations_folder("net", 0) / "explanation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "weights": "b" * 64}))
    with pytest.raises(RecordError, match="the job was run again since"):
        read_explanations(folder, JOB)


@pytest.mark.parametrize("text", ["", "[]", '{"methods": {}}', '{"methods": {"a": {"b": 1}}}'])
def test_a_damaged_record_is_refused(folder: RunFolder, text: str) -> None:
    (folder.explanations_folder("net", 0) / "explanation.json").write_text(text)
    with pytest.raises(RecordError, match=r"found no record of explanations.*run `pneumobench explain` again"):
        read_explanations(folder, JOB)


def test_a_job_without_explanations_has_none(tmp_path: Path) -> None:
    assert read_explanations(RunFolder(tmp_path), JOB) is None
    assert ablation_scores([], GROUP) == {}
    assert method_summaries([], pd.DataFrame(), GROUP) == ()


def test_maps_of_two_definitions_have_no_mean(folder: RunFolder) -> None:
    older = read_explanations(folder, JOB)
    assert older is not None
    redone = dataclasses.replace(older.record.methods["good"], definition=2)
    record = dataclasses.replace(older.record, methods={"good": redone, "edges": older.record.methods["edges"]})
    newer = dataclasses.replace(older, record=record)
    pooled = pd.DataFrame({"image_id": IMAGE, "label": LABEL, "probability": LABEL * 0.9})
    edges, good, _ = method_summaries([older, newer], pooled, GROUP)
    assert (good.images, edges.images) == (COUNT, 2 * COUNT), "only the fold of the newer definition, and both folds"
