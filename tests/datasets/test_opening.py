"""Images are read and decoded once, and a changed file is noticed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pneumobench.datasets import opening, pictures, pixel_cache, read_files
from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.look_alikes import LookAlikes, look_alikes
from pneumobench.datasets.measured import MEASURED_NAME
from pneumobench.datasets.opening import SquareKind
from pneumobench.datasets.pixel_cache import cached_images
from pneumobench.datasets.read_files import READ_FILES_NAME, known_files
from pneumobench.files import read_sealed, write_sealed
from pneumobench.lungs.boxes import FIXED_BOX
from pneumobench.radiographs.formats import Radiograph, decode_radiograph, held_content, read_gray
from pneumobench.suite.spec import DataSpec, Suite
from tests.datasets.tiny_sets import write_image

SIDE_PX = 32
WHOLE, CUT = SquareKind(side_px=SIDE_PX), SquareKind(side_px=SIDE_PX, crop_box=FIXED_BOX)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded, by whichever way."""
    names: list[str] = []

    def counted_decode(path: Path, content: bytes) -> Radiograph:
        names.append(path.name)
        return decode_radiograph(path, content)

    def counted_read(path: Path) -> np.ndarray:
        names.append(path.name)
        return read_gray(path)

    monkeypatch.setattr(opening, "decode_radiograph", counted_decode)
    monkeypatch.setattr(pixel_cache, "read_gray", counted_read)
    return names


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    root = tmp_path / "films"
    for number in range(5):
        write_image(root / f"{number}.png", seed=number, height_px=20 + number, width_px=30)
    rows = "".join(f"{number}.png,{number % 2}\n" for number in range(5))
    (root / "index.csv").write_text(f"image,label\n{rows}")
    return Suite(data=DataSpec(source="csv", root=str(root), image_side_px=SIDE_PX))


def test_each_image_is_decoded_once_and_not_again(suite: Suite, decoded: list[str], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    index, _ = read_radiographs(suite, cache, squares=(WHOLE, CUT))
    images = np.array(cached_images(index, SIDE_PX, cache))
    cut = np.array(cached_images(index, SIDE_PX, cache, [FIXED_BOX] * 5))
    assert sorted(decoded) == [f"{number}.png" for number in range(5)], "index and cache in one pass"
    again, _ = read_radiographs(suite, cache, squares=(WHOLE, CUT))
    assert np.array_equal(cached_images(again, SIDE_PX, cache), images)
    assert len(decoded) == 5, "a second start decodes nothing"
    assert again.to_csv() == index.to_csv()
    # without the pass: the same bytes
    apart, _ = read_radiographs(suite)
    assert apart.to_csv() == index.to_csv()
    assert np.array_equal(cached_images(apart, SIDE_PX, tmp_path / "other"), images)
    assert np.array_equal(cached_images(apart, SIDE_PX, tmp_path / "other", [FIXED_BOX] * 5), cut)
    assert not list(cache.glob(".squares-*")), "the temporary squares are gone"


def test_a_changed_file_is_noticed_although_size_and_date_are_as_before(
    suite: Suite, decoded: list[str], tmp_path: Path
) -> None:
    path = Path(suite.data.root) / "2.png"
    before, _ = read_radiographs(suite, tmp_path / "cache", squares=(WHOLE,))
    date = path.stat().st_mtime_ns
    other = write_image(tmp_path / "other.png", seed=99, height_px=40, width_px=16)
    content = other.read_bytes()
    path.write_bytes(content.ljust(len(path.read_bytes()), b"\0"))
    os.utime(path, ns=(date, date))
    decoded.clear()
    after, problems = read_radiographs(suite, tmp_path / "cache", squares=(WHOLE,))
    assert problems == ()
    assert decoded == ["2.png"]
    assert tuple(after.table.loc[2, ["width", "height"]]) == (16, 40)
    assert after.hash() != before.hash()
    assert np.array_equal(
        cached_images(after, SIDE_PX, tmp_path / "cache"), cached_images(after, SIDE_PX, tmp_path / "none")
    )


def test_a_file_that_became_unreadable_is_a_problem(suite: Suite, tmp_path: Path) -> None:
    read_radiographs(suite, tmp_path / "cache")
    (Path(suite.data.root) / "1.png").write_bytes(b"broken")
    index, problems = read_radiographs(suite, tmp_path / "cache")
    assert len(index.table) == 4
    assert "1.png" in problems[0]


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 3}', "{", '{"a": ["x", "y"]}'])
def test_damaged_sizes_are_made_anew(text: str, suite: Suite, decoded: list[str], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    index, _ = read_radiographs(suite, cache)
    (cache / MEASURED_NAME).write_text(text)
    decoded.clear()
    assert read_radiographs(suite, cache)[0].to_csv() == index.to_csv()
    assert len(decoded) == 5


def test_a_copy_under_another_name_is_known_by_its_content(suite: Suite, decoded: list[str], tmp_path: Path) -> None:
    read_radiographs(suite, tmp_path / "cache")
    root = Path(suite.data.root)
    shutil.copy(root / "0.png", root / "copy.png")
    with (root / "index.csv").open("a") as table:
        table.write("copy.png,0\n")
    decoded.clear()
    index, _ = read_radiographs(suite, tmp_path / "cache")
    assert decoded == []
    assert tuple(index.table.loc[5, ["width", "height"]]) == (30, 20)


def test_nothing_is_kept_without_a_cache_folder(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    read_radiographs(suite)
    assert list((tmp_path / "here").iterdir()) == []


# files that nobody has touched are not read again


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose bytes were read, by a clock that is ten seconds ahead of the tests' files."""
    names: list[str] = []

    def counted(path: Path) -> AbstractContextManager[bytes]:
        names.append(path.name)
        return held_content(path)

    monkeypatch.setattr(opening, "held_content", counted)
    monkeypatch.setattr(opening, "now_ns", lambda: time.time_ns() + 10**10)
    return names


def test_a_file_that_nobody_touched_is_read_once(suite: Suite, read: list[str], tmp_path: Path) -> None:
    index, _ = read_radiographs(suite, tmp_path / "cache")
    assert sorted(read) == [f"{number}.png" for number in range(5)]
    read.clear()
    again, _ = read_radiographs(suite, tmp_path / "cache")
    assert read == []
    assert again.to_csv() == index.to_csv()
    assert again.hashed == index.hashed != ""


def test_a_changed_file_of_the_same_size_is_found_by_its_date(suite: Suite, read: list[str], tmp_path: Path) -> None:
    before, _ = read_radiographs(suite, tmp_path / "cache")
    path = Path(suite.data.root) / "2.png"
    content = write_image(tmp_path / "other.png", seed=99, height_px=10, width_px=10).read_bytes()
    path.write_bytes(content.ljust(path.stat().st_size, b"\0"))
    read.clear()
    after, _ = read_radiographs(suite, tmp_path / "cache")
    assert read == ["2.png"]
    changed = after.table["sha256"] != before.table["sha256"]
    assert changed.tolist() == [False, False, True, False, False]


def test_a_date_that_was_put_back_hides_no_change(suite: Suite, read: list[str], tmp_path: Path) -> None:
    read_radiographs(suite, tmp_path / "cache")
    path = Path(suite.data.root) / "2.png"
    date = path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    os.utime(path, ns=(date, date))
    read.clear()
    read_radiographs(suite, tmp_path / "cache")
    assert read == ["2.png"], "when the file was changed, no program sets"


def test_what_no_date_tells_is_found_by_rehash(suite: Suite, read: list[str], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    index, _ = read_radiographs(suite, cache)
    # as if two files had been exchanged while no clock ran
    kept = read_sealed(cache / READ_FILES_NAME)
    assert kept is not None
    one, other = (next(path for path in kept if path.endswith(name)) for name in ("/0.png", "/1.png"))
    kept[one][3], kept[other][3] = kept[other][3], kept[one][3]
    write_sealed(cache / READ_FILES_NAME, kept)
    assert read_radiographs(suite, cache)[0].hash() != index.hash()
    read.clear()
    assert read_radiographs(suite, cache, rehash=True)[0].hash() == index.hash()
    assert len(read) == 5
    assert read_radiographs(suite, cache)[0].hash() == index.hash(), "what was read is kept"
    assert len(read) == 5


def test_a_file_changed_just_before_it_was_read_is_read_again(
    suite: Suite, read: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "now_ns", read_files.now_ns)
    for _ in range(2):
        read_radiographs(suite, tmp_path / "cache")
    assert len(read) == 10
    assert not (tmp_path / "cache" / READ_FILES_NAME).exists()


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 3}', "{", '{"sha256": "0", "value": {"a": 1}}'])
def test_a_damaged_list_of_files_is_as_good_as_none(text: str, suite: Suite, read: list[str], tmp_path: Path) -> None:
    index, _ = read_radiographs(suite, tmp_path / "cache")
    (tmp_path / "cache" / READ_FILES_NAME).write_text(text)
    read.clear()
    assert read_radiographs(suite, tmp_path / "cache")[0].to_csv() == index.to_csv()
    assert len(read) == 5
    assert len(known_files(tmp_path / "cache")) == 5


def test_an_index_says_when_its_oldest_hash_was_read(
    suite: Suite, read: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = read_radiographs(suite, tmp_path / "cache")
    monkeypatch.setattr(opening, "now_ns", lambda: time.time_ns() + 10**14)
    assert read_radiographs(suite, tmp_path / "cache")[0].hashed == first.hashed
    anew, _ = read_radiographs(suite, tmp_path / "cache", rehash=True)
    assert anew.hashed > first.hashed


def test_pictures_are_compared_once(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def counted(thumbnails: Sequence[NDArray[np.uint8]], hashes: Sequence[NDArray[np.uint8]]) -> LookAlikes:
        compared.append(len(thumbnails))
        return look_alikes(thumbnails, hashes)

    monkeypatch.setattr(pictures, "look_alikes", counted)
    root = Path(suite.data.root)
    write_image(root / "0.png", seed=4, height_px=64, width_px=64)
    assert cv2.imwrite(str(root / "1.png"), read_gray(root / "0.png")[::-1, ::-1])
    first, _ = read_radiographs(suite, tmp_path / "cache")
    again, _ = read_radiographs(suite, tmp_path / "cache")
    assert compared == [5]
    assert again.identity == first.identity
    assert first.identity.near[0].change == "turned by 180°"
    write_image(root / "3.png", seed=77)
    read_radiographs(suite, tmp_path / "cache")
    assert compared == [5, 5], "another picture"
