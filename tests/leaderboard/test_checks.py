from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pneumobench.errors import RecordError
from pneumobench.leaderboard.checks import ablation_scores
from pneumobench.leaderboard.map_checks import MethodSummary, method_summaries
from pneumobench.lungs.masked_regions import MASKED_REGIONS
from pneumobench.records.explanation_record import (
    CHECK_COLUMNS,
    METHOD_COLUMNS_OF_RULES_1,
    ExplanationRecord,
    MethodMetadata,
    read_explanations,
    write_explanations,
)
from pneumobench.records.job_record import JobRecord
from pneumobench.records.randomised_maps import MeanSimilarity, RandomisedMaps
from pneumobench.records.run_folder import RunFolder
from pneumobench.records.tables import write_table
from pneumobench.reporting.map_words import METHOD_COLUMNS, verdict_words

JOB = JobRecord(
    status="completed", suite="s", architecture="net", fold=0, seed=1, weights_origin="random",
    hashes={"weights": "a" * 64}, software={}, hardware={},
)  # fmt: skip
COUNT = 60
LABEL = np.arange(COUNT) % 2
IMAGE = [f"{i:02d}.png" for i in range(COUNT)]
GROUP = pd.Series(np.arange(COUNT) // 2, index=IMAGE)
POOLED = pd.DataFrame({"image_id": IMAGE, "label": LABEL, "probability": LABEL * 0.9})
RNG = np.random.default_rng(0)


def _region_ablation() -> pd.DataFrame:
    logit = {f"logit_{name}": RNG.normal(size=COUNT) for name in MASKED_REGIONS}
    return pd.DataFrame({"image_id": IMAGE, "fold": 0, "label": LABEL, "logit_none": 6.0 * LABEL - 3, **logit})


def _maps(method: str, *, deletion: float = -0.2, insertion: float = 0.2, empty: int = 1, refused: int = 0) -> Any:
    """A table of a method: gains of both curves, and how many maps are empty or refused."""
    checks = {name: RNG.uniform(0.1, 0.2, COUNT) for name in CHECK_COLUMNS}
    checks |= {
        "corners_area": np.full(COUNT, 0.16),
        "refused": np.zeros(COUNT),
        "error": np.full(COUNT, 0.004),
        "steps": np.full(COUNT, 96.0),
    }
    checks["insertion"] = checks["insertion_random"] + insertion + RNG.normal(0, 0.02, COUNT)
    checks["deletion"] = checks["deletion_random"] + deletion + RNG.normal(0, 0.02, COUNT)
    lar = np.where((np.arange(COUNT) >= 3) & (np.arange(COUNT) < 3 + empty), np.nan, 0.6)
    table = pd.DataFrame(
        {
            "image_id": IMAGE, "fold": 0, "label": LABEL, "method": method, "mask_tier": "drawn", "lung_area": 0.3,
            "lar": lar, "lar_adjusted": (lar - 0.3) / 0.7, **checks,
        }
    )  # fmt: skip
    gone = np.arange(COUNT) >= COUNT - refused
    table.loc[gone, ["lar", "lar_adjusted", *(name for name in CHECK_COLUMNS if not name.endswith("_area"))]] = np.nan
    return table.assign(refused=gone.astype(int)).assign(error=np.where(gone, 0.3, 0.004), steps=96.0)


def _randomised(left: list[float], *, repeated: float = 0.9) -> RandomisedMaps:
    """Randomised maps of which so much is left, on the way from a chance of 0.2 to what repetition gives."""

    def similar(way: float) -> MeanSimilarity:
        value = 0.2 + way * (repeated - 0.2)
        return MeanSimilarity(rank_correlation=value, structural_similarity=value)

    return RandomisedMaps(
        images=8, stages=("head", "all"), randomised=tuple((similar(0.8), similar(way)) for way in left),
        chance=similar(0.0), repeated=similar(1.0),
    )  # fmt: skip


LOST = _randomised([0.0, 0.1, -0.1, 0.05, 0.0])


def _checked(randomised: RandomisedMaps | None = LOST, **facts: Any) -> MethodMetadata:
    return MethodMetadata(images=COUNT, seconds_per_image=0.5, randomised=randomised, **facts)


def _record(methods: dict[str, MethodMetadata]) -> ExplanationRecord:
    return ExplanationRecord(
        architecture="net", fold=0, seed=1, weights="a" * 64, mask_tier="drawn", methods=methods,
        hashes={}, software={}, hardware={},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path)
    methods = {
        "good": _checked(),
        "edges": _checked(_randomised([0.9, 0.8, 1.0, 0.9, 0.95])),
        "guided": MethodMetadata(not_available="guided: the network has activations other than ReLU."),
    }
    tables = {
        "reliance": _region_ablation(),
        "good": _maps("good"),
        "edges": _maps("edges", deletion=0.0, insertion=0.0),
    }
    write_explanations(run, _record(methods), tables)
    return run


def _summary(run: RunFolder, table: pd.DataFrame, metadata: MethodMetadata) -> MethodSummary:
    """Return the summary of one method after writing and reading it."""
    write_explanations(run, _record({"one": metadata}), {"one": table.assign(method="one")})
    found = read_explanations(run, JOB)
    assert found is not None
    (summary,) = method_summaries([found], POOLED, GROUP)
    return summary


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
    edges, good, guided = method_summaries([found], POOLED, GROUP)
    assert (good.method, good.trusted, good.images, good.seconds_per_image) == ("good", True, COUNT, 0.5)
    assert good.attention is not None
    assert (good.attention.degenerate, good.degenerate) == (1, 1)
    assert good.attention.pneumonia.images == COUNT / 2, "a degenerate map is scored, as chance"
    assert good.attention.pneumonia.lar == pytest.approx((29 * 0.6 + 0.3) / 30)
    assert good.attention.pneumonia.lar_adjusted == pytest.approx(29 / 30 * 3 / 7)
    assert good.corners.chance == pytest.approx(0.16)
    assert good.error == pytest.approx(0.004)
    assert good.steps == 96
    assert good.randomised is not None
    assert good.randomised.stages["head"].rank_correlation == pytest.approx(0.76)
    assert good.randomised.left["rank_correlation"].mean == pytest.approx(0.01)
    assert edges.verdict.reasons == ("independent of what was learnt", "no better than maps in other places")
    assert edges.trusted is False
    assert verdict_words(edges) == "‡ independent of what was learnt, no better than maps in other places"
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


def test_the_interval_is_over_randomisations_and_not_over_images(tmp_path: Path) -> None:
    """Shuffles that disagree make it wide, however many images were averaged within each."""
    found = _summary(RunFolder(tmp_path), _maps("one"), _checked(_randomised([-0.2, 0.9, 0.1, 0.9, -0.1])))
    assert found.randomised is not None
    left = found.randomised.left["rank_correlation"]
    assert left.high - left.low > 1
    assert found.verdict.reasons == ("not shown to depend on what was learnt",)
    few = _summary(RunFolder(tmp_path), _maps("one"), _checked(_randomised([0.0, 0.1])))
    assert (few.trusted, few.verdict.outcome) == (None, "not checked")


@pytest.mark.parametrize(("deletion", "insertion"), [(-0.2, 0.0), (0.0, 0.2)])
def test_one_curve_alone_is_not_enough(deletion: float, insertion: float, tmp_path: Path) -> None:
    found = _summary(RunFolder(tmp_path), _maps("one", deletion=deletion, insertion=insertion), _checked())
    assert found.verdict.reasons == ("no better than maps in other places",)


def test_a_map_that_noise_changes_says_nothing_by_being_lost(tmp_path: Path) -> None:
    found = _summary(RunFolder(tmp_path), _maps("one"), _checked(_randomised([0.0, 0.1, -0.1], repeated=0.4)))
    assert (found.trusted, found.verdict.outcome) == (False, "not informative")
    assert verdict_words(found) == "‡ not informative here: a little noise in the image changes the map"


def test_maps_that_are_mostly_empty_or_refused_are_not_informative(tmp_path: Path) -> None:
    found = _summary(RunFolder(tmp_path), _maps("one", empty=20, refused=12), _checked())
    assert found.verdict.reasons == ("32 of 60 maps empty or refused",)
    assert (found.images, found.refused, found.degenerate) == (48, 12, 20), "refused maps are used nowhere"
    assert found.error == pytest.approx(0.004), "of the maps that are used"
    assert verdict_words(found).endswith("; 12 maps refused")


def test_a_share_stands_beside_its_chance_and_an_empty_map_counts_as_it(tmp_path: Path) -> None:
    table = _maps("one", empty=30)
    table["corners"] = np.where(table["lar"].isna(), np.nan, 0.9)
    found = _summary(RunFolder(tmp_path), table, _checked())
    assert found.corners.mean == pytest.approx((0.9 + 0.16) / 2)
    cells = {column.heading: column.text(found) for column in METHOD_COLUMNS}
    assert cells["corners (chance)"] == "0.53 (0.16)"
    assert cells["exactness"] == "0.4 % off at most, 96 steps (median)"


def test_a_method_that_was_checked_by_earlier_rules_shows_its_attention_alone_and_says_so(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_explanations(run, _record({"one": MethodMetadata(images=COUNT)}), {})
    home = run.explanations_folder("net", 0)
    table = _maps("one").assign(randomised_similarity=0.1)[list(METHOD_COLUMNS_OF_RULES_1)]
    plain = json.loads((home / "explanation.json").read_text())
    plain["hashes"] = {"one": write_table(home / "one.csv", table, METHOD_COLUMNS_OF_RULES_1)}
    plain["format"] = 2
    plain["methods"]["one"] = {"images": COUNT, "not_available": None, "sample": COUNT, "seconds_per_image": 1.0}
    (home / "explanation.json").write_text(json.dumps(plain))
    found = read_explanations(run, JOB)
    assert found is not None
    (summary,) = method_summaries([found], POOLED, GROUP)
    assert (summary.trusted, summary.images, summary.randomised) == (None, COUNT, None)
    assert verdict_words(summary) == "? checked by earlier rules only: explain it again"
    cells = {column.heading: column.text(summary) for column in METHOD_COLUMNS}
    assert cells["deletion"] == cells["left (rank)"] == cells["exactness"] == "–"
    assert cells["LAR adj."] == f"{29 / 30 * 3 / 7:.3f}"
    assert cells["corners (chance)"].count("(") == 0, "which image side that was is not in the table"


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


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", '{"methods": {}}', '{"methods": {"a": {"b": 1}}}', '{"methods": {"a": {"randomised": 3}}}',
        '{"methods": {"a": {"randomised": {"stages": [], "randomised": []}}}}',
    ],
)  # fmt: skip
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
    edges, good, _ = method_summaries([older, newer], POOLED, GROUP)
    assert (good.images, edges.images) == (COUNT, 2 * COUNT), "only the fold of the newer definition, and both folds"


@pytest.mark.parametrize("value", [2, -0.5, None, "x"])
def test_a_similarity_that_cannot_be_one_is_refused(folder: RunFolder, value: object) -> None:
    path = folder.explanations_folder("net", 0) / "explanation.json"
    plain = json.loads(path.read_text())
    plain["methods"]["good"]["randomised"]["chance"]["rank_correlation"] = value
    path.write_text(json.dumps(plain))
    with pytest.raises(RecordError, match="found no record of explanations"):
        read_explanations(folder, JOB)
