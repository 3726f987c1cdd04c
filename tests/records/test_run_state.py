from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event

import pandas as pd
import pytest

from pneumobench.datasets.folds import Folds
from pneumobench.datasets.index import INDEX_COLUMNS, Index
from pneumobench.errors import SettingsError
from pneumobench.records.locks import claim_folder, is_claimed, waited_for
from pneumobench.records.run_folder import RunFolder
from pneumobench.records.run_state import as_kept, refuse_other_run, without_places, write_run_metadata
from pneumobench.suite.architectures import ArchitectureSpec
from pneumobench.suite.reader import load_suite
from pneumobench.suite.spec import (
    ControlSpec,
    DataSpec,
    ExplanationSpec,
    LoggingSpec,
    Suite,
)
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


def test_the_difference_holds_only_what_is_the_reason(folder: RunFolder) -> None:
    other = dataclasses.replace(
        SUITE,
        architectures=ArchitectureSpec(names=("vit",), plugins=("mine.py",)),
        controls=ControlSpec(names=("majority",)),
        explanation=ExplanationSpec(methods=("occlusion",), checked_images_per_fold=8),
        logging=LoggingSpec(wandb="offline"),
        training=TrainingSpec(epochs=7, loader_workers=3),
    )
    with pytest.raises(SettingsError) as caught:
        refuse_other_run(folder, other, _index("aa", "bb"))
    assert str(caught.value).splitlines()[1:-1] == ["  -  epochs: 20", "  +  epochs: 7"]


def test_a_start_takes_no_architecture_control_or_method_away(folder: RunFolder) -> None:
    fewer = dataclasses.replace(
        SUITE,
        architectures=ArchitectureSpec(names=("vit",)),
        controls=ControlSpec(names=()),
        explanation=ExplanationSpec(methods=()),
    )
    index = _index("aa", "bb")
    write_run_metadata(folder, fewer, index, _folds(index), {"images": 2}, "")
    kept = load_suite(folder.suite_yaml, of_run=True)
    assert kept.architectures.names == ("resnet18", "vit")
    assert kept.controls == SUITE.controls
    assert kept.explanation == SUITE.explanation
    more = dataclasses.replace(SUITE, explanation=ExplanationSpec(methods=("occlusion",)))
    write_run_metadata(folder, more, index, _folds(index), {"images": 2}, "")
    assert load_suite(folder.suite_yaml, of_run=True).explanation.methods == ("gradcam", "occlusion")


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


def _share_often(path: Path) -> str:
    for _ in range(300):
        try:
            with claim_folder(path, shared=True):
                pass
        except SettingsError as error:
            return str(error)
    return "shared"


def test_processes_that_begin_to_share_a_folder_at_the_same_time_are_not_refused(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:  # a lock belongs to an open file: threads meet as processes do
        assert set(pool.map(_share_often, [tmp_path / "run"] * 4)) == {"shared"}


def test_a_look_whether_a_folder_is_free_does_not_keep_it_from_being_claimed(tmp_path: Path) -> None:
    path, ended = tmp_path / "run", Event()

    def look() -> None:
        while not ended.is_set():
            is_claimed(path)

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            claimed = [_claim(path) for _ in range(300)]
        finally:
            ended.set()
        looking.result()
    assert set(claimed) == {"claimed"}


def test_a_run_keeps_no_name_and_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    run, named = RunFolder(tmp_path / "mine"), _index("aa", "bb", "cc")
    named.table["picture"] = ["x", "y", "z"]
    kept = as_kept(run, named)
    write_run_metadata(run, SUITE, kept, _folds(kept), {}, "")
    assert kept.table["patient"].tolist() == ["patient-00001", "patient-00002", "patient-00003"]
    again = as_kept(run, named)
    assert again.hash() == kept.hash()
    refuse_other_run(run, SUITE, again)


def test_an_earlier_run_that_kept_names_goes_on_with_them(tmp_path: Path) -> None:
    run, named = RunFolder(tmp_path / "mine"), _index("aa", "bb")
    write_run_metadata(run, SUITE, named, _folds(named), {}, "")
    now = dataclasses.replace(named, table=named.table.assign(picture=["x", "y"]))
    kept = as_kept(run, now)
    assert kept.hash() == named.hash()
    refuse_other_run(run, SUITE, kept)
    other = dataclasses.replace(now, table=now.table.assign(patient=["p0", "p0"]))
    with pytest.raises(SettingsError, match="labels, patients or masks differ"):
        refuse_other_run(run, SUITE, as_kept(run, other))


def _sleep_with_the_lock(path: Path) -> None:
    with claim_folder(path):
        loader = multiprocessing.get_context("fork").Process(target=time.sleep, args=(20,))
        loader.start()
        (path / "loader").write_text(str(loader.pid))
        signal.pause()


def test_a_loader_process_that_outlives_a_killed_run_does_not_hold_its_folder(tmp_path: Path) -> None:
    run = multiprocessing.get_context("spawn").Process(target=_sleep_with_the_lock, args=(tmp_path / "run",))
    run.start()
    while not (tmp_path / "run/loader").is_file() or not (tmp_path / "run/loader").read_text():
        assert run.is_alive()
        time.sleep(0.01)
    loader = int((tmp_path / "run/loader").read_text())
    assert is_claimed(tmp_path / "run")
    run.kill()
    run.join()
    try:
        os.kill(loader, 0)  # it lives
        with claim_folder(tmp_path / "run"):
            pass
    finally:
        os.kill(loader, signal.SIGKILL)


def test_a_claim_clears_what_a_killed_writer_left(tmp_path: Path) -> None:
    left = tmp_path / "run/net/fold-0/.predictions.csv.x1.tmp.csv"
    left.parent.mkdir(parents=True)
    left.touch()
    with claim_folder(tmp_path / "run"):
        assert not left.exists()


def test_where_plugins_and_weights_lie_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    architectures = ArchitectureSpec(
        plugins=(str(tmp_path / "nets/a.py"), "/secret/place/b.py", "../up/c.py", "d.py"), weights="/secret/place/w"
    )
    suite, index = dataclasses.replace(SUITE, architectures=architectures), _index("aa", "bb")
    run = RunFolder(tmp_path / "runs/mine")
    write_run_metadata(run, suite, index, _folds(index), {}, "")
    kept = load_suite(run.suite_yaml, of_run=True)
    assert kept.architectures.plugins == ("nets/a.py", "b.py", "c.py", "d.py")
    assert kept.architectures.weights == "w"
    assert kept.training_hash() == suite.training_hash()
    assert str(tmp_path) not in run.suite_yaml.read_text()
    refuse_other_run(run, suite, index)


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("none", "none"),
        ("imagenet", "imagenet"),
        ("self_supervised", "self_supervised"),
        ("hf-hub:timm/resnet18.a1_in1k", "hf-hub:timm/resnet18.a1_in1k"),
        ("package:my_weights", "package:my_weights"),
        ("/home/me/lite", "lite"),
    ],
)
def test_a_run_keeps_where_weights_come_from_and_no_folder_of_this_machine(source: str, kept: str) -> None:
    suite = Suite(architectures=ArchitectureSpec(names=("a", "b"), weights=source, weights_of=(f"b={source}",)))
    public = without_places(suite).architectures
    assert (public.weights, public.weights_of) == (kept, (f"b={kept}",))
