from __future__ import annotations

from pathlib import Path

import pytest

from pneumobench.datasets.layouts import LAYOUTS
from pneumobench.datasets.sources import recognised_data
from pneumobench.errors import DataError, SettingsError
from pneumobench.suite.spec import DataSpec
from tests.datasets.published_sets import vindr_row, write_rsna, write_vindr
from tests.datasets.tiny_sets import write_kermany


def test_a_folder_is_recognised_by_its_files(tmp_path: Path) -> None:
    write_kermany(tmp_path / "plain")
    write_kermany(tmp_path / "nested/chest_xray")
    write_rsna(tmp_path / "rsna")
    write_vindr(tmp_path / "vindr", {part: [vindr_row(part, "No finding")] for part in ("train", "test")})
    (tmp_path / "own").mkdir()
    (tmp_path / "own/index.csv").write_text("image,label\n")
    found = {name: recognised_data(tmp_path / name).source for name in ("plain", "nested", "rsna", "vindr", "own")}
    assert found == {"plain": "kermany", "nested": "kermany", "rsna": "rsna", "vindr": "vindr_pcxr", "own": "csv"}


def test_a_table_is_read_from_its_folder(tmp_path: Path) -> None:
    assert recognised_data(tmp_path / "films.csv") == DataSpec(source="csv", root=str(tmp_path), csv="films.csv")


def test_a_layout_that_is_named_is_not_guessed(tmp_path: Path) -> None:
    assert recognised_data(tmp_path, source="rsna") == DataSpec(source="rsna", root=str(tmp_path))


@pytest.mark.parametrize("name", ["stage_2_train_labels.csv", "image_labels_test.csv"])
def test_an_incomplete_set_is_recognised_so_that_its_own_error_is_shown(name: str, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / name).write_text("")
    assert recognised_data(tmp_path).source == ("rsna" if "stage" in name else "vindr_pcxr")


def test_an_unknown_folder_shows_every_layout(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DataError, match=r"not a folder of a known layout \(pictures\)") as caught:
        recognised_data(tmp_path)
    for name in ("kermany", "rsna", "vindr_pcxr", "csv"):
        assert LAYOUTS.get(name).tree in str(caught.value)
    assert "phantoms" not in str(caught.value), "nobody has a folder of them"
    with pytest.raises(DataError, match="gone: no such data folder"):
        recognised_data(tmp_path / "gone")


@pytest.mark.parametrize(
    ("path", "source", "lung_masks", "words"),
    [
        ("films.csv", "rsna", "", "--source rsna is a layout of folders"),
        ("films.csv", None, "masks", "with data.source csv; a folder of masks goes with source kermany only"),
        ("rsna", None, "masks", "with data.source rsna; a folder of masks goes with source kermany only"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    path: str, source: str | None, lung_masks: str, words: str, tmp_path: Path
) -> None:
    write_rsna(tmp_path / "rsna")
    with pytest.raises(SettingsError, match=words):
        recognised_data(tmp_path / path, source=source, lung_masks=lung_masks)
