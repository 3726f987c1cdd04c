from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from pneumobench.leaderboard.confounds import FACTS, confounds
from pneumobench.reporting.confound_table import failed_check

IMAGES = 2000


@pytest.fixture(scope="module")
def images() -> tuple[dict[str, pd.DataFrame], pd.DataFrame, pd.Series]:
    """Return predictions that follow width alone, or the label too; facts, one image without; and patients."""
    rng = np.random.default_rng(0)
    width = np.exp(rng.normal(7, 0.3, IMAGES))
    height = width * np.exp(rng.normal(0, 0.05, IMAGES))
    gray = rng.normal(120, 15, IMAGES)
    label = (rng.random(IMAGES) < 1 / (1 + np.exp(8 * (np.log(width) - 7)))).astype(int)
    names = [f"{row:04d}.png" for row in range(IMAGES)]
    facts = pd.DataFrame(dict(zip(FACTS, (width, height, width / height, gray), strict=True)), index=names)
    facts.loc[names[7], "width"] = np.nan
    base = pd.DataFrame({"image_id": names, "label": label, "fold": np.arange(IMAGES) % 5})
    by_width = 1 / (1 + np.exp(6 * (np.log(width) - 7)))
    tables = {
        "by_width": base.assign(probability=by_width),
        "by_lungs": base.assign(probability=np.clip(0.2 + 0.5 * label + rng.normal(0, 0.15, IMAGES), 0, 1)),
    }
    return tables, facts, pd.Series(np.arange(IMAGES) // 2, index=names)


def test_what_a_fact_gave_is_gone_among_matched_images_and_what_lungs_gave_is_not(
    images: tuple[dict[str, pd.DataFrame], pd.DataFrame, pd.Series],
) -> None:
    tables, facts, group = images
    kinds = {"by_width": "control", "by_lungs": "network"}
    score = pd.Series(tables["by_width"]["probability"].to_numpy(), index=facts.index)
    found = confounds(tables, kinds, facts, group, facts_score=score, refitted_score=score, caliper_sd=0.1)
    assert (found.images, found.without_facts) == (IMAGES - 1, 1)
    rows = {row.name: row for row in found.scores}
    assert list(rows) == ["by_width", "by_lungs", *FACTS, "all facts", "all facts, fitted to the pairs"]
    assert rows["by_width"].all_images.value > 0.85
    assert failed_check(found) == []
    loose = confounds(tables, kinds, facts, group, facts_score=score, refitted_score=score, caliper_sd=20)
    assert loose.pairs > found.pairs
    assert failed_check(loose)[0].startswith("**The check fails here:** width 0.")
    for name in ("by_width", "width", "height", "mean_gray", "all facts"):
        interval = rows[name].matched.interval
        assert interval.low < 0.5 < interval.high, name
        assert abs(rows[name].matched.value - 0.5) < 0.06, name
    assert abs(rows["by_width"].adjusted.value - 0.5) < 0.06
    assert rows["by_lungs"].matched.interval.low > 0.85
    assert rows["by_lungs"].adjusted.interval.low > 0.9
    assert rows["by_lungs"].kind == "network"
    assert rows["width"].kind == "fact"
    assert rows["width"].all_images.value > 0.5, "smaller images are those of pneumonia: the fact is turned round"
    assert np.isnan(rows["all facts, fitted to the pairs"].all_images.value)
    assert 50 < found.pairs < found.normals
    spread = np.log(facts["width"]).std()
    assert 0 < found.farthest["width"] <= np.exp(0.101 * spread) - 1
    assert found.farthest["mean_gray"] <= 0.101 * facts["mean_gray"].std()
    assert 0.5 < found.compared <= 1


def test_strata_hold_all_images_once_for_each_fact(
    images: tuple[dict[str, pd.DataFrame], pd.DataFrame, pd.Series],
) -> None:
    tables, facts, group = images
    score = pd.Series(0.5, index=facts.index)
    found = confounds(tables, {}, facts, group, facts_score=score, refitted_score=None, caliper_sd=0.1)
    for fact in FACTS:
        strata = [stratum for stratum in found.strata if stratum.fact == fact]
        assert len(strata) == 5
        assert sum(stratum.images for stratum in strata) == found.images
        assert (
            sum(stratum.pneumonia_images for stratum in strata)
            == tables["by_width"]["label"].sum() - (tables["by_width"]["label"].iloc[7])
        )
        assert all(one.high < other.low for one, other in itertools.pairwise(strata))
        assert all(set(stratum.areas) == set(tables) for stratum in strata)
    widths = [stratum.areas["by_width"].value for stratum in found.strata if stratum.fact == "width"]
    assert max(widths) < 0.85, "within a stratum of width less is left"


def test_images_of_one_size_are_matched_on_what_differs(
    images: tuple[dict[str, pd.DataFrame], pd.DataFrame, pd.Series],
) -> None:
    tables, facts, group = images
    same = facts.assign(width=224.0, height=224.0, aspect=1.0)
    score = pd.Series(0.5, index=facts.index)
    found = confounds(tables, {}, same, group, facts_score=score, refitted_score=None, caliper_sd=0.1)
    rows = {row.name: row for row in found.scores}
    assert rows["width"].matched.value == 0.5
    assert found.pairs > 300
    assert [stratum.images for stratum in found.strata if stratum.fact == "width"] == [IMAGES]
