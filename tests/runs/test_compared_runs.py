"""Finished runs that cannot be compared are refused with the reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pneumobench.errors import RecordError, SettingsError
from pneumobench.files import write_text
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.compared_runs import compare_runs
from tests.leaderboard.conftest import fake_run_template, run
from tests.leaderboard.fake_run import make_index

__all__ = ["fake_run_template", "run"]


@pytest.fixture
def other(run: RunFolder, tmp_path: Path) -> Path:
    """A copy of the run, in a folder of the same name."""
    return Path(shutil.copytree(run.path, tmp_path / "other" / run.path.name))


def test_a_run_and_its_copy_do_not_differ(run: RunFolder, other: Path, tmp_path: Path) -> None:
    made = compare_runs([run.path, other], tmp_path / "both")
    page = made.page.read_text()
    assert "No setting, version or input differs." in page
    names = {effect.value for effect in made.effects}
    assert names == {f"{tmp_path.name}/run", "other/run"}, "folders of one name are told apart"
    for effect in made.effects:
        assert effect.against is None or (effect.against.difference, effect.against.p_holm) == (0, 1)
    assert {effect.architecture for effect in made.effects} == {"resnet18", "vit_base_patch16_224"}, "complete ones"
    for name in names:
        assert f"- {name}: densenet121 (4 of 5 folds, failed)" in page, "what is left out is said"
    again = compare_runs([run.path, other], tmp_path / "both")
    assert again.page.read_text() == page


def test_what_cannot_be_compared_is_refused(run: RunFolder, other: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected at least two runs"):
        compare_runs([run.path], tmp_path / "both")
    with pytest.raises(SettingsError, match="a run is given twice"):
        compare_runs([run.path, run.path / ".." / "run"], tmp_path / "both")
    with pytest.raises(RecordError, match="expected the folder of a run"):
        compare_runs([run.path, tmp_path / "nothing"], tmp_path / "both")
    with pytest.raises(SettingsError, match="holds other files, where the comparison would go"):
        compare_runs([run.path, other], run.path)
    compare_runs([run.path, other], tmp_path / "both")
    with pytest.raises(SettingsError, match="both is a comparison already: give folders of runs"):
        compare_runs([run.path, tmp_path / "both"], tmp_path / "third")


def test_runs_without_a_network_in_common_are_refused(run: RunFolder, other: Path, tmp_path: Path) -> None:
    for name in ("resnet18", "vit_base_patch16_224"):
        shutil.rmtree(other / name)
    with pytest.raises(SettingsError, match=r"no network is complete in .*other/run: densenet121"):
        compare_runs([run.path, other], tmp_path / "both")


def test_runs_of_other_images_are_refused(
    run: RunFolder, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make_index()
    table = index.table.assign(sha256=index.table["sha256"].str[::-1])
    monkeypatch.setattr("pneumobench.runs.compared_runs.rank_run", lambda path: None)
    opened = RunFolder.index_and_folds

    def changed(folder: RunFolder) -> object:
        found, folds = opened(folder)
        return (type(found)(root=found.root, table=table), folds) if folder.path == other else (found, folds)

    monkeypatch.setattr(RunFolder, "index_and_folds", changed)
    with pytest.raises(SettingsError, match=r"its 150 images are not the 150 of .* \(150 names are in both\)"):
        compare_runs([run.path, other], tmp_path / "both")
    write_text(tmp_path / "note", "nothing was written")
    assert not (tmp_path / "both").exists()


def test_runs_of_other_folds_are_refused(run: RunFolder, other: Path, tmp_path: Path) -> None:
    for name in ("resnet18", "vit_base_patch16_224", "densenet121"):
        shutil.rmtree(other / name / "fold-4", ignore_errors=True)
    with pytest.raises(RecordError, match=r"found folds 0, 1 and 2 of 5, expected all folds"):
        compare_runs([run.path, other], tmp_path / "both")
