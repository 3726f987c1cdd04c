from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from pneumobench.datasets.index import Index
from pneumobench.datasets.layouts.csv import list_csv
from pneumobench.datasets.opening import open_images
from pneumobench.datasets.pixel_cache import DECODE_CHUNK, cached_images, cached_squares, content_key
from pneumobench.errors import SettingsError, UnreadableImageError
from pneumobench.radiographs.formats import read_gray
from pneumobench.radiographs.geometry import image_to_square
from tests.datasets.tiny_sets import write_image


def index_in(root: Path, names: list[str]) -> Index:
    (root / "index.csv").write_text("image,label\n" + "".join(f"{name},{n % 2}\n" for n, name in enumerate(names)))
    return open_images(root, list_csv(root, "index.csv"))[0]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    root = tmp_path / "images"
    for seed, name in enumerate(["a.png", "b.jpeg", "c.png"]):
        write_image(root / name, seed=seed, height_px=20 + seed, width_px=30)
    return index_in(root, ["a.png", "b.jpeg", "c.png"])


def test_images_are_squares_in_index_order(index: Index, tmp_path: Path) -> None:
    radiographs = cached_images(index, 16, tmp_path / "cache")
    assert radiographs.shape == (3, 16, 16)
    assert radiographs.dtype == np.uint8
    for row, image_id in enumerate(index.table["image_id"]):
        assert np.array_equal(radiographs[row], image_to_square(read_gray(index.root / image_id), 16))


def test_images_are_a_read_only_memory_map(index: Index, tmp_path: Path) -> None:
    radiographs = cached_images(index, 16, tmp_path / "cache")
    assert isinstance(radiographs, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        radiographs[0, 0, 0] = 1


def test_the_same_content_elsewhere_uses_the_same_file(index: Index, tmp_path: Path) -> None:
    radiographs = cached_images(index, 16, tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("*.npy")
    written = file.stat().st_mtime_ns
    moved = Index(root=Path(shutil.move(index.root, tmp_path / "moved")), table=index.table)
    for image in moved.root.glob("*.png"):
        image.unlink()  # so nothing can be decoded again
    assert np.array_equal(cached_images(moved, 16, tmp_path / "cache"), radiographs)
    assert [item.stat().st_mtime_ns for item in (tmp_path / "cache").glob("*.npy")] == [written]


def test_other_content_order_or_side_makes_another_file(index: Index, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cached_images(index, 16, cache)
    cached_images(index, 20, cache)
    assert len(list(cache.glob("*.npy"))) == 2
    reversed_index = Index(root=index.root, table=index.table.iloc[::-1].reset_index(drop=True))
    assert np.array_equal(cached_images(reversed_index, 16, cache), cached_images(index, 16, cache)[::-1])
    write_image(index.root / "a.png", seed=99, height_px=20, width_px=30)
    changed = cached_images(index_in(index.root, ["a.png", "b.jpeg", "c.png"]), 16, cache)
    assert not np.array_equal(changed[0], cached_images(index, 16, cache)[0])
    assert len(list(cache.glob("*.npy"))) == 4


def test_a_failure_half_way_leaves_no_cache_file(index: Index, tmp_path: Path) -> None:
    (index.root / "c.png").unlink()
    with pytest.raises(UnreadableImageError, match=r"c\.png: no such file"):
        cached_images(index, 16, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_more_than_one_chunk_keeps_its_order(tmp_path: Path) -> None:
    paths = [Path(str(number)) for number in range(DECODE_CHUNK + 5)]
    squares = cached_squares(tmp_path / "x.npy", paths, 2, lambda p: np.full((2, 2), int(p.name) % 251, dtype=np.uint8))
    assert squares[:, 0, 0].tolist() == [number % 251 for number in range(DECODE_CHUNK + 5)]


def test_no_image_is_an_empty_array(tmp_path: Path) -> None:
    assert cached_squares(tmp_path / "x.npy", [], 4, lambda p: np.zeros((4, 4), dtype=np.uint8)).shape == (0, 4, 4)


def test_the_content_key_sees_content_and_order_but_not_names(tmp_path: Path) -> None:
    one, other = write_image(tmp_path / "a.png", seed=1), write_image(tmp_path / "b.png", seed=2)
    key = content_key([one, other])
    assert content_key([other, one]) != key
    assert content_key([Path(shutil.copy(one, tmp_path / "copy.png")), other]) == key
    write_image(one, seed=3)
    assert content_key([one, other]) != key


@pytest.mark.parametrize("damage", ["zeroed", "cut", "empty", "one bit", "no hash", "hash of another"])
def test_a_damaged_cache_is_found_said_and_made_again(
    index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    expected = np.array(cached_images(index, 16, tmp_path / "cache"))
    (file,) = (tmp_path / "cache").glob("*.npy")
    content, digest = bytearray(file.read_bytes()), file.with_name(file.name + ".sha256")
    if damage == "zeroed":
        content[128:] = bytes(len(content) - 128)
    elif damage == "one bit":
        content[-1] ^= 1
    file.write_bytes(content[: {"cut": -100, "empty": 0}.get(damage)])
    if damage == "no hash":  # of a writer that was killed, or an older version
        digest.unlink()
    elif damage == "hash of another":
        digest.write_bytes(bytes([255]) * 64)
    assert np.array_equal(cached_images(index, 16, tmp_path / "cache"), expected)
    said = capsys.readouterr().err
    assert ("decoded images are not as they were written" in said) == (damage != "no hash")
    assert np.array_equal(cached_images(index, 16, tmp_path / "cache"), expected)
    assert capsys.readouterr().err == "", "made again once"


def test_a_full_disk_is_said_before_the_first_pixel(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SettingsError, match=r"1 MiB are needed for decoded images, and [\d,]+ MiB are free .No space"):
        cached_images(index, 500, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
