"""The package as somebody imports it: one example from a suite to answers, and the parts of it."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import pytest
import torch

import pneumobench as pb
from pneumobench.phantoms.dataset import make_phantoms

TINY = {"patients": 24, "official_test_patients": 4, "side_px": 64}


def tiny_suite(**settings: Any) -> pb.Suite:
    """Return a suite of one tiny network that trains in a second."""
    tiny: dict[str, Any] = {
        "name": "tiny",
        "architectures": ["test_resnet"],
        "data": {"image_side_px": 32, "phantoms": TINY},
        "folds": {"count": 2, "tune_fraction": 0.3},
        "training": {"epochs": 1},
        "controls": {"names": ["majority"]},
        "explanation": {"methods": [], "images_per_fold": 2, "checked_images_per_fold": 2},
    }
    return pb.load_suite("smoke", **(tiny | settings))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> pb.Run:
    """Return a finished run of the tiny suite."""
    folder = tmp_path_factory.mktemp("public")
    return pb.run(tiny_suite(), output=folder)


def test_a_run_says_what_it_is_and_shows_its_leaderboard(run: pb.Run) -> None:
    assert repr(run) == f"Run tiny: 2 of 2 jobs completed; page: {run.path / 'leaderboard' / 'index.html'}"
    assert run.failed == ()
    assert run.leaderboard.page.is_file()
    assert "test_resnet" in str(run.leaderboard)
    assert "Leaderboard: tiny" in repr(run.leaderboard)
    frame = run.leaderboard.to_frame()
    assert set(frame["architecture"]) == {"test_resnet", "control-majority"}
    html = run.leaderboard._repr_html_()
    assert html.startswith("<table")
    assert "test_resnet" in html


def test_predictions_are_one_row_an_image_part_and_fold(run: pb.Run) -> None:
    table = run.predictions("test_resnet")
    assert set(table["fold"]) == {0, 1}
    assert table[table["split"] == "test"]["image_id"].is_unique
    assert table["probability"].between(0, 1).all()
    with pytest.raises(pb.SettingsError, match=r"no completed architecture 'test_resnt'; did you mean test_resnet\?"):
        run.predictions("test_resnt")


def test_a_run_that_lies_on_disk_is_opened_and_asked_further(run: pb.Run, tmp_path: Path) -> None:
    again = pb.open_run(str(run.path))
    assert repr(again).startswith("Run tiny: 4 of 4 jobs completed")  # the control's too
    pd.testing.assert_frame_equal(again.leaderboard.to_frame(), run.leaderboard.to_frame())
    board = again.explain(methods=["gradcam"], images=2)
    assert "gradcam" in {method.method for row in board.board.rows for method in row.methods}
    pd.testing.assert_frame_equal(again.leaderboard.to_frame(), board.to_frame())
    table = make_phantoms(
        tmp_path, patients=12, official_test_patients=2, images_per_patient=(1, 1), side_px=64, seed=9
    )
    found = again.evaluate(table, name="other")
    assert list(found.to_frame()["architecture"]) == ["test_resnet"]
    assert "External data: other" in repr(found)
    assert found.page.is_file()
    image = next(path for path in sorted(tmp_path.rglob("*.png")) if "mask" not in str(path))
    answers = again.explain_image(image, methods=["gradcam"])
    assert answers.picture.is_file()
    assert "not a diagnosis" in " ".join(repr(answers).split())
    assert answers.to_frame()["probability"].between(0, 1).all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda run: run.explain(methods=["gradcamm"]),
        lambda run: run.explain(architectures=["resnet"]),
        lambda run: run.explain(folds=[2]),
        lambda run: run.explain(images=0),
        lambda run: run.evaluate(run.path / "nothing.csv"),
        lambda run: pb.open_run(run.path / "tiny"),
        lambda run: pb.run(tiny_suite(architectures=["no_such_net"]), output=run.path.parent),
        lambda run: pb.PneumoniaClassifier.from_suite(
            tiny_suite(training={"class_weights": "balanced"}), "test_resnet"
        ),
        lambda run: pb.FoldDataModule.from_suite(tiny_suite(), fold=2),
        lambda run: pb.FoldDataModule.from_suite("smoke"),  # type: ignore[arg-type]
        lambda run: pb.run("smoke"),  # type: ignore[arg-type]
        lambda run: pb.run(tiny_suite(), folds=["0"]),  # type: ignore[list-item]
    ],
)
def test_a_mistake_is_an_error_of_the_package(wrong: object, run: pb.Run) -> None:
    assert callable(wrong)
    with pytest.raises(pb.PneumobenchError):
        wrong(run)


@pytest.mark.parametrize("task", ["binary", "three_class"])
def test_the_lightning_parts_train_in_a_plain_trainer(task: str, tmp_path: Path) -> None:
    suite = tiny_suite(task=task, training={"class_weights": "balanced", "focal_alpha": None, "batch_size": 8})
    data = pb.FoldDataModule.from_suite(suite, fold=1, output=tmp_path)
    model = pb.PneumoniaClassifier.from_suite(suite, "test_resnet", data=data)
    before = {name: weight.clone() for name, weight in model.network.named_parameters()}
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", default_root_dir=tmp_path, enable_progress_bar=False, logger=False
    )
    orders: list[list[tuple[int, int]]] = []

    class Orders(lightning.Callback):
        def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
            orders.append(list(data.order))

    trainer.callbacks.append(Orders())  # type: ignore[attr-defined]
    trainer.fit(model, datamodule=data)
    assert any(not torch.equal(weight, before[name]) for name, weight in model.network.named_parameters())
    assert {"train_loss", "tune_loss", "tune_auc", "tune_accuracy"} <= set(trainer.callback_metrics)
    assert [epoch for order in orders for epoch, _ in order[:1]] == [0, 1]
    assert [row for _, row in orders[0]] != [row for _, row in orders[1]], "another order in each epoch"


def test_a_trainer_without_an_end_has_a_schedule_too(tmp_path: Path) -> None:
    suite = tiny_suite(training={"schedule": "constant", "batch_size": 8})
    data = pb.FoldDataModule.from_suite(suite, output=tmp_path)
    model = pb.PneumoniaClassifier.from_suite(suite, "test_resnet")
    trainer = lightning.Trainer(
        max_steps=2, accelerator="cpu", default_root_dir=tmp_path, enable_progress_bar=False, logger=False
    )
    trainer.fit(model, datamodule=data)
    assert trainer.global_step == 2


# the surface


def test_the_version_is_that_of_the_package() -> None:
    assert pb.__version__ == version("pneumobench")


def test_every_public_name_resolves_and_has_a_docstring() -> None:
    assert len(set(pb.__all__)) == len(pb.__all__)
    for name in pb.__all__:
        found = getattr(pb, name)
        assert name == "__version__" or (inspect.getdoc(found) or "").strip(), name


def test_every_public_function_has_an_example() -> None:
    functions = [name for name in pb.__all__ if inspect.isfunction(getattr(pb, name))]
    assert {"run", "load_suite", "open_run", "register_architecture"} <= set(functions)
    for name in functions:
        assert ">>>" in (inspect.getdoc(getattr(pb, name)) or ""), name


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(pb.__file__ or "").read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == pb._HOMES
    assert (Path(pb.__file__ or "").parent / "py.typed").is_file()


def test_a_suite_is_read_without_torch() -> None:
    code = (
        "import sys, pneumobench as pb; suite = pb.load_suite('smoke', training=dict(epochs=3)); "
        "pb.TrainingSpec(), pb.suite_names(), pb.SettingsError; assert suite.training.epochs == 3; "
        "heavy = {'torch', 'lightning', 'pandas', 'timm'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_what_is_finished_is_found_without_torch() -> None:
    code = (
        "import sys, pneumobench.runs.nothing_left, pneumobench.search.outcome, pneumobench.reporting.search; "
        "heavy = {'torch', 'lightning', 'timm'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
