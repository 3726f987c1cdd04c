from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd
import pytest

from pneumobench.datasets.folds import Folds
from pneumobench.datasets.index import INDEX_COLUMNS, Index
from pneumobench.errors import SettingsError
from pneumobench.records.run_folder import RunFolder
from pneumobench.records.run_state import claim_folder, refuse_other_run, waited_for, write_run_metadata
from pneumobench.suite.spec import ArchitectureSpec, DataSpec, Suite
from pneumobench.suite.training import TrainingSpec

SUITE = Suite(name="mine", data=DataSpec(source="csv", root="/secret/place"))


def _index(*contents: str) -> Index:
    rows = [
        [f"{number}.png", "train", number % 2, "normal", f"p{number}", number, content, 8, 8, ""]
        for number, content in enumerate(contents)
    ]
    return Index(root=Path(), table=pd.DataFrame(rows, columns=INDEX_COLUMNS))


def _folds(index: Index) -> Folds:
    return Folds(
        count=2, seed=0, index_hash=index.hash(), tune_fraction=0.1, test_fold={}, tune=((), ()), official_test=()
    )


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "mine")
    index = _index("aa", "bb")
    write_run_metadata(run, SUITE, index, _folds(index), {"images": 2}, "pneumobench run mine")
    return run


def test_the_same_run_goes_on_from_another_place_with_another_architecture(folder: RunFolder) -> None:
    moved = dataclasses.replace(
        SUITE, data=DataSpec(source="csv", root="/elsewhere"), architectures=ArchitectureSpec(names=("vit", "resnet"))
    )
    refuse_other_run(folder, moved, _index("aa", "bb"))


def test_the_place_of_the_data_is_not_written(folder: RunFolder) -> None:
    assert "/secret/place" not in "".join(file.read_text() for file in folder.path.iterdir())


def test_other_settings_are_refused_with_the_difference(folder: RunFolder) -> None:
    other = dataclasses.replace(SUITE, training=TrainingSpec(epochs=7))
    with pytest.raises(SettingsError, match=r"(?s)other settings:.*-  epochs: 20.*\+  epochs: 7.*another --name"):
        refuse_other_run(folder, other, _index("aa", "bb"))


@pytest.mark.parametrize(
    ("contents", "words"),
    [(("aa", "cc"), "0 gone, 0 new, 1 changed"), (("aa",), "1 gone"), (("aa", "bb", "cc"), "1 new")],
)
def test_other_images_are_refused_with_what_changed(folder: RunFolder, contents: tuple[str, ...], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        refuse_other_run(folder, SUITE, _index(*contents))


@pytest.mark.parametrize("hold", [claim_folder, waited_for])
def test_an_error_leaves_no_empty_folder_and_takes_nothing_else_away(
    hold: Callable[[Path], AbstractContextManager[None]], tmp_path: Path
) -> None:
    with pytest.raises(KeyError), hold(tmp_path / "runs/mine"):
        raise KeyError
    assert not (tmp_path / "runs/mine").exists()
    (tmp_path / "runs/mine").mkdir()
    (tmp_path / "runs/mine/suite.yaml").write_text("name: mine")
    with pytest.raises(KeyError), hold(tmp_path / "runs/mine"):
        raise KeyError
    assert (tmp_path / "runs/mine/suite.yaml").is_file()


def _claim(path: Path) -> str:
    try:
        with claim_folder(path):
            return "claimed"
    except SettingsError as error:
        return str(error)


def test_a_folder_belongs_to_one_process_until_it_lets_go(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with claim_folder(tmp_path / "run"):
            assert "in use by another run (process " in pool.apply(_claim, (tmp_path / "run",))
        assert pool.apply(_claim, (tmp_path / "run",)) == "claimed"
