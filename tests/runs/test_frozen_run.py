"""A run of frozen networks: features once for all folds, and rows that every part of the suite knows."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

import pneumobench as pb
from pneumobench.architectures import Architecture, build_architecture
from pneumobench.errors import RecordError, SettingsError
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.records.claims_of_job import refuse_false_claims
from pneumobench.reporting.words import weights_notice, weights_words
from pneumobench.runs.embeddings import embedding
from pneumobench.runs.networks import trained_network
from pneumobench.runs.plan import plan
from pneumobench.search.tune import check_search
from pneumobench.suite.checked import UnfitError
from pneumobench.suite.training import FineTuningSpec
from pneumobench.training.frozen import embedded
from pneumobench.training.predictions import score_images
from tests.training.tiny_fold import tiny_spec

COUNTED: list[int] = []


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> pb.Run:
    """Return a run of one network with a logistic regression on its features."""
    suite = pb.load_suite(
        "smoke",
        training={"fit": "frozen_logistic"},
        architectures=["test_vit"],
        controls={"names": ["majority"]},
        explanation={"methods": [], "images_per_fold": 4, "overlays_per_fold": 0},
    )
    with pytest.MonkeyPatch.context() as patch:
        whole = embedded

        def counted(*arguments: object) -> object:
            found = whole(*arguments)  # type: ignore[arg-type]
            COUNTED.append(len(found))
            return found

        patch.setattr("pneumobench.runs.embeddings.embedded", counted)
        run = pb.run(suite, output=tmp_path_factory.mktemp("runs"), console=Console(file=io.StringIO()))
    assert not run.failed, [one.reason for one in run.failed]
    return run


def test_features_are_computed_once(frozen: pb.Run) -> None:
    images = len(frozen.folder.index_and_folds()[0].table)
    batch = 2 * frozen.suite.training.batch_size
    assert sorted(COUNTED) == [batch] * 2 + [images], "a first batch for each fold, and all images once"


def test_the_saved_network_says_what_was_scored(frozen: pb.Run) -> None:
    index, _ = frozen.folder.index_and_folds()
    (job,) = [record for record in frozen.records if record.architecture == "test_vit" and record.fold == 1]
    network = trained_network(frozen.suite, frozen.folder, job)
    table = frozen.folder.predictions(job).query("split == 'test'")
    radiographs = np.load(next((frozen.path.parent / ".cache").glob("films-32px-*.npy")))
    rows = index.table.reset_index().set_index("image_id").loc[table["image_id"], "index"].to_numpy()
    found = score_images(network, iter([torch.from_numpy(radiographs[rows])[:, None]]), frozen.suite.training)
    np.testing.assert_allclose(found[:, 0], table["logit"], atol=1e-3)


def test_records_and_rows_say_that_the_network_is_frozen(frozen: pb.Run) -> None:
    (record, *_) = [record for record in frozen.records if record.architecture == "test_vit"]
    assert record.training["fit"] == "frozen_logistic"
    assert record.training["features"] == 64
    assert isinstance(record.training["inverse_strength"], float)
    assert "epochs_run" not in record.training
    assert record.cost is not None
    assert record.cost.trainable_parameters == 65
    assert record.cost.training_seconds is not None
    assert record.explanation is not None, "heat maps are of the whole network"
    board = rank_run(frozen.path)
    (row,) = [row for row in board.rows if row.architecture == "test_vit"]
    assert row.weights_origin == "frozen_logistic:random"
    assert weights_words(row.weights_origin) == "frozen features (random initialisation), logistic regression"
    assert "only a last layer is fitted (logistic regression)" in weights_notice(board)
    page = (frozen.folder.leaderboard / "index.html").read_text()
    assert "frozen features (random initialisation), logistic regression" in page
    assert "at most" not in weights_notice(board)
    assert not frozen.folder.history_path("test_vit", 0).exists()
    origins = pd.read_csv(frozen.folder.leaderboard / "leaderboard.csv").set_index("architecture")["weights_origin"]
    assert origins["test_vit"] == "frozen_logistic:random"


def test_a_plan_counts_the_features_and_no_epochs(frozen: pb.Run) -> None:
    def seconds(**training: object) -> float:
        suite = pb.load_suite("smoke", name="planned", training=training, architectures=["test_resnet"])
        return plan(suite, output=frozen.path.parent, console=Console(file=io.StringIO())).seconds

    assert 0 < seconds(fit="frozen_logistic", epochs=100) < 0.5 * seconds(epochs=100)


@pytest.mark.parametrize("said", ["frozen_neighbours", None])
def test_a_record_of_another_fit_is_refused(frozen: pb.Run, said: str | None) -> None:
    index, folds = frozen.folder.index_and_folds()
    (record,) = [record for record in frozen.records if record.architecture == "test_vit" and record.fold == 0]
    refuse_false_claims(frozen.folder, frozen.suite, index, folds, [record])
    others = {key: value for key, value in record.training.items() if key != "fit"}
    false = dataclasses.replace(record, training=others if said is None else {**others, "fit": said})
    with pytest.raises(RecordError, match=rf"fit {said or 'network'}, expected frozen_logistic \(training\.fit"):
        refuse_false_claims(frozen.folder, frozen.suite, index, folds, [false])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head": ("relu",)}, r"training\.head does not go with training\.fit frozen_logistic"),
        ({"fine_tuning": FineTuningSpec(trained="head")}, r"training\.fine_tuning\.trained does not go with"),
        ({"balanced_sampler": True}, r"training\.balanced_sampler .*class_weights to balanced"),
        ({"devices": 2, "batch_size": 8}, r"training\.devices does not go with"),
    ],
)
def test_what_a_frozen_network_cannot_have_is_refused(changes: dict[str, object], words: str) -> None:
    suite = pb.Suite()
    with pytest.raises(UnfitError, match=words):
        dataclasses.replace(suite, training=tiny_spec(fit="frozen_logistic", **changes))
    dataclasses.replace(suite, training=tiny_spec(**changes))


def test_neither_a_search_nor_a_trainer_is_for_frozen_networks() -> None:
    suite = pb.load_suite("smoke", training={"fit": "frozen_logistic"}, architectures=["test_vit"])
    with pytest.raises(SettingsError, match=r"a search is about training\.fit network"):
        check_search(suite, {"training.learning_rate": None})  # type: ignore[dict-item]
    with pytest.raises(SettingsError, match="which no Trainer does"):
        pb.PneumoniaClassifier.from_suite(suite, "test_vit")


def network(**changes: object) -> Architecture:
    architecture = build_architecture("test_resnet", in_channels=1, image_side_px=32, seed=1)
    return dataclasses.replace(architecture, **changes)  # type: ignore[arg-type]


def test_kept_features_belong_to_weights_images_and_code(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    radiographs, spec = generator.integers(0, 256, (40, 32, 32), dtype=np.uint8), tiny_spec()

    def files() -> int:
        return len(list(tmp_path.rglob("*.safetensors")))

    first = embedding(network(), "a", radiographs, spec, tmp_path)
    assert files() == 1
    again = embedding(network(), "a", radiographs, spec, tmp_path)
    np.testing.assert_array_equal(again.features, first.features)
    assert again.seconds == first.seconds
    other_head = network()
    with torch.no_grad():
        other_head.module.get_submodule("fc").weight.zero_()  # type: ignore[operator]
    embedding(other_head, "a", radiographs, spec, tmp_path)
    assert files() == 1, "the last layer reads features and makes none"
    embedding(network(pixel_mean=0.1), "a", radiographs, spec, tmp_path)
    brighter = radiographs.copy()
    brighter[-1] = 255
    embedding(network(), "a", brighter, spec, tmp_path)
    assert files() == 3


@pytest.mark.parametrize("fault", ["code", "cut", "flipped"])
def test_features_that_are_not_those_of_the_network_are_not_used(tmp_path: Path, fault: str) -> None:
    radiographs = np.random.default_rng(0).integers(0, 256, (40, 32, 32), dtype=np.uint8)
    architecture, spec = network(), tiny_spec()
    right = embedding(architecture, "a", radiographs, spec, tmp_path).features
    (path,) = tmp_path.rglob("*.safetensors")
    if fault == "code":  # of the network, which no hash of weights knows
        architecture.module.get_submodule("layer4").register_forward_hook(lambda *arguments: 2 * arguments[-1])
        right = 2 * right
    else:
        whole = path.read_bytes()
        path.write_bytes(whole[:-100] if fault == "cut" else whole[:-9] + b"\x7f" + whole[-8:])
    found = embedding(architecture, "a", radiographs, spec, tmp_path).features
    np.testing.assert_allclose(found, right, rtol=1e-5)
