from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from pneumobench.errors import SettingsError
from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.ensembles import cross_fitted_weights, ensemble_predictions, fitted_weights
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.reporting.compared import ensemble_gain
from pneumobench.reporting.markdown import leaderboard_markdown
from pneumobench.reporting.page import leaderboard_page
from pneumobench.suite.architectures import ArchitectureSpec
from pneumobench.suite.spec import Suite

NETWORKS = ("resnet18", "vit_base_patch16_224")


@pytest.fixture(scope="module")
def board(fake_run_template: Path) -> Leaderboard:
    return rank_run(fake_run_template)


def predictions(template: Path, architecture: str) -> pd.DataFrame:
    return pd.concat([pd.read_csv(path) for path in sorted(template.glob(f"{architecture}/fold-*/predictions.csv"))])


def test_the_mean_ensemble_scores_the_mean_probability(board: Leaderboard, fake_run_template: Path) -> None:
    tables = [predictions(fake_run_template, name).query("split == 'test'").set_index("image_id") for name in NETWORKS]
    mean = (tables[0]["probability"] + tables[1]["probability"].loc[tables[0].index]) / 2
    row = next(row for row in board.rows if row.architecture == "ensemble-mean")
    assert row.out_of_fold is not None
    by_fold = [roc_auc_score(part["label"], mean.loc[part.index]) for _, part in tables[0].groupby("fold")]
    sizes = tables[0].groupby("fold").size()
    assert row.out_of_fold.auc == pytest.approx(np.average(by_fold, weights=sizes))
    assert row.out_of_fold.images == 120
    assert (row.rank, row.kind, row.status) == (None, "ensemble", "5 of 5 folds")
    assert row.weights_origin == "mean of 2 networks"  # densenet121 lacks a fold
    # of the official folder: mean over networks and folds
    official = [predictions(fake_run_template, name).query("split == 'official_test'") for name in NETWORKS]
    by_image = pd.concat(official).groupby("image_id")[["label", "probability"]].mean()
    assert row.official is not None
    assert row.official.auc == pytest.approx(roc_auc_score(by_image["label"], by_image["probability"]))
    assert row.cost is not None
    assert row.cost.parameters == 11_170_753 + 85_254_913
    assert row.cost.inference_images_per_second == pytest.approx(105.0)


def test_weights_minimise_the_log_loss() -> None:
    rng = np.random.default_rng(0)
    label = rng.random(400) < 0.6
    logits = [2.0 * label + rng.normal(size=400) - 1 for _ in range(2)] + [rng.normal(size=400)]
    shares = np.column_stack([1 / (1 + np.exp(-logit)) for logit in logits])
    weights = fitted_weights(np.where(label[:, None], shares, 1 - shares))
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0
    assert weights[2] < 0.1  # noise
    best = log_loss(label, shares @ weights)
    for other in (
        [1, 0, 0],
        [0, 1, 0],
        [1 / 3, 1 / 3, 1 / 3],
        weights + np.array([0.02, -0.02, 0]),
        weights - np.array([0.02, -0.02, 0]),
    ):
        assert log_loss(label, shares @ np.array(other)) >= best - 1e-6


def synthetic_members() -> dict[str, dict[int, pd.DataFrame]]:
    """Return two networks of like skill and unlike mistakes over five folds of 40 test images."""
    rng, members = np.random.default_rng(4), dict[str, dict[int, pd.DataFrame]]()
    for name in NETWORKS:
        for fold in range(5):
            label = np.arange(40) % 2
            probability = 1 / (1 + np.exp(-2 * (label - 0.5) - rng.normal(size=40)))
            image_id = [f"{fold}-{number}" for number in range(40)]
            members.setdefault(name, {})[fold] = pd.DataFrame(
                {"image_id": image_id, "split": "test", "label": label, "probability": probability, "logit": 0.0}
            )
    return members


def test_no_image_has_a_say_in_the_weights_it_is_scored_with() -> None:
    members = synthetic_members()
    before = cross_fitted_weights(members)
    assert len({tuple(weights) for weights in before.values()}) == 5
    table = members["resnet18"][2]
    table["probability"] = 0.99 - table["label"] * 0.98  # as wrong as can be
    after = cross_fitted_weights(members)
    assert after[2].tolist() == before[2].tolist()
    assert all(after[fold][0] < before[fold][0] for fold in (0, 1, 3, 4))


def test_one_fold_takes_its_weights_from_the_tune_part(fake_run_template: Path) -> None:
    members = {name: {0: predictions(fake_run_template, name).query("fold == 0")} for name in NETWORKS}
    tune = [table[0].query("split == 'tune'").sort_values("image_id") for table in members.values()]
    truth = [np.where(part["label"] == 1, part["probability"], 1 - part["probability"]) for part in tune]
    assert cross_fitted_weights(members)[0].tolist() == fitted_weights(np.column_stack(truth)).tolist()


def test_three_classes_are_mixed_alike() -> None:
    tables = []
    for shares in ([0.2, 0.5, 0.3], [0.6, 0.1, 0.3]):
        row = dict(zip(("probability_normal", "probability_bacterial", "probability_viral"), shares, strict=True))
        base = {"image_id": "a", "split": "test", "label": 1, "logit": 0.0, "probability": 1 - shares[0]}
        tables.append(pd.DataFrame([{**base, "class_label": 2, **row}]))
    mixed = ensemble_predictions({"x": {0: tables[0]}, "y": {0: tables[1]}}, {0: np.array([0.25, 0.75])})[0].iloc[0]
    assert mixed["probability_normal"] == pytest.approx(0.5)
    assert mixed["probability_bacterial"] == pytest.approx(0.2)
    assert mixed["probability"] == pytest.approx(0.5)
    assert mixed["logit"] == pytest.approx(0)


def test_the_tables_show_what_an_ensemble_gains(board: Leaderboard) -> None:
    best = board.networks[0]
    assert best.out_of_fold is not None
    for ensemble in board.ensembles:
        row = next(row for row in board.rows if row.architecture == ensemble.name)
        assert row.out_of_fold is not None
        gain, low, high = ensemble_gain(ensemble)
        assert gain == pytest.approx(row.out_of_fold.auc - best.out_of_fold.auc)
        assert low <= gain <= high
        assert sum(ensemble.weights.values()) == pytest.approx(1)
    text = leaderboard_markdown(board, command="x")
    assert "| ensemble | ensemble-mean |" in text
    assert "| ensemble-weighted | resnet18 1.00 |" in text  # the other one adds nothing
    page = leaderboard_page(board, (), command="x")
    assert 'id="ensembles"' in page
    assert "mean of 2 networks" in page


@pytest.mark.parametrize("name", ["ensemble-mean", "ensemble-weighted"])
def test_no_network_can_take_the_name_of_an_ensemble(name: str) -> None:
    with pytest.raises(SettingsError, match="the name of a row"):
        Suite(architectures=ArchitectureSpec(names=(name,)))
