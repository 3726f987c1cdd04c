from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pneumobench.datasets.look_alikes import NEAR_HASH_DISTANCE, LookAlikes, look_alikes, steady_hash, thumbnail
from pneumobench.datasets.perceptual_hash import close_hashes, hash_distance
from pneumobench.phantoms.dataset import make_phantoms


@pytest.fixture(scope="module")
def radiographs(tmp_path_factory: pytest.TempPathFactory) -> list[NDArray[np.uint8]]:
    """Synthetic radiographs of different children, 128 px."""
    table = make_phantoms(tmp_path_factory.mktemp("ph"), patients=12, official_test_patients=0, side_px=128, seed=3)
    found: dict[str, NDArray[np.uint8]] = {}
    for line in table.read_text().splitlines()[1:]:
        image, patient = line.split(",")[0], line.split(",")[2]
        found.setdefault(
            patient, np.asarray(cv2.imread(str(table.parent / image), cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
        )
    return list(found.values())


def found_among(radiographs: list[NDArray[np.uint8]]) -> LookAlikes:
    hashes = [steady_hash(radiograph) for radiograph in radiographs]
    return look_alikes([thumbnail(radiograph) for radiograph in radiographs], hashes)


def jpeg(radiograph: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    coded = cv2.imencode(".jpg", radiograph, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def test_different_children_are_not_alike(radiographs: list[NDArray[np.uint8]]) -> None:
    found = found_among(radiographs)
    assert len(found.same) == len(found.near) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda film: jpeg(film, 90),
        lambda film: jpeg(film, 60),
        lambda film: np.clip(film.astype(int) + 1, 0, 255).astype(np.uint8),
        lambda film: cv2.resize(film, (256, 256), interpolation=cv2.INTER_CUBIC),
        lambda film: cv2.resize(film, (64, 64), interpolation=cv2.INTER_AREA),
    ],
    ids=["jpeg 90", "jpeg 60", "one level", "enlarged", "halved"],
)
def test_the_same_picture_in_another_file(change: object, radiographs: list[NDArray[np.uint8]]) -> None:
    assert callable(change)
    found = found_among([*radiographs, change(radiographs[4])])
    assert found.same.tolist() == [[4, len(radiographs)]]
    assert len(found.near) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda film: np.clip(film * 0.8 + 30, 0, 255).astype(np.uint8), ""),
        (lambda film: cv2.GaussianBlur(film, (9, 9), 3), ""),
        (lambda film: film[:, ::-1].copy(), "mirrored"),
        (lambda film: jpeg(np.ascontiguousarray(film[:, ::-1]), 80), "mirrored"),
        (lambda film: 255 - film, "inverted"),
        (lambda film: np.rot90(film, 3).copy(), "turned left by 90°"),
        (lambda film: np.rot90(film, 2).copy(), "turned by 180°"),
        (lambda film: 250 - np.rot90(film, 1) // 2, "turned right by 90° and inverted"),
        (lambda film: film.T.copy(), "mirrored and turned left by 90°"),
    ],
    ids=["brightened", "blurred", "mirrored", "mirrored jpeg", "inverted", "right", "half", "left inverted", "flipped"],
)
def test_a_changed_picture_looks_alike(change: object, words: str, radiographs: list[NDArray[np.uint8]]) -> None:
    assert callable(change)
    found = found_among([*radiographs, change(radiographs[4])])
    assert [*found.same.tolist(), *found.near.tolist()] == [[4, len(radiographs)]]
    if len(found.near):
        assert found.change == (words,)
        assert 0.99 <= found.correlation[0] <= 1


def test_even_and_noisy_pictures_are_like_nothing() -> None:
    noise = [np.random.default_rng(seed).integers(0, 256, (512, 512), dtype=np.uint8) for seed in range(4)]
    even = [np.full((32, 32), level, dtype=np.uint8) for level in (0, 0, 100, 101)]
    found = found_among([*noise, *even])
    assert len(found.same) == len(found.near) == 0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_few_pictures(count: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 24), dtype=np.uint8)
    assert found_among([picture] * count).same.tolist() == ([[0, 1]] if count == 2 else [])


def test_one_picture_is_one_though_it_is_more_alike_when_mirrored(radiographs: list[NDArray[np.uint8]]) -> None:
    even = radiographs[0].astype(int)
    symmetric = (even + even[:, ::-1]) // 2
    noise = np.kron(np.random.default_rng(0).choice([-1, 1], (32, 32)), np.ones((4, 4), dtype=int))
    one, other = (np.clip(symmetric + levels, 0, 255).astype(np.uint8) for levels in (noise, noise[:, ::-1]))
    found = found_among([one, other])
    assert found.same.tolist() == [[0, 1]]
    assert len(found.near) == 0


def test_all_files_of_a_picture_are_linked_to_its_first(radiographs: list[NDArray[np.uint8]]) -> None:
    copies = [np.clip(radiographs[3].astype(int) + levels, 0, 255).astype(np.uint8) for levels in (2, 4, 6)]
    found = found_among([*radiographs, *copies])
    first = len(radiographs)
    assert found.same.tolist() == [[3, first], [3, first + 1], [3, first + 2]], "through each other"


def test_an_even_border_makes_no_pictures_alike_and_hides_no_copy(radiographs: list[NDArray[np.uint8]]) -> None:
    framed = [
        np.asarray(cv2.copyMakeBorder(film, 200, 200, 90, 400, cv2.BORDER_CONSTANT, value=255), dtype=np.uint8)
        for film in radiographs
    ]
    assert len(found_among(framed).near) == 0
    both = found_among([*radiographs, framed[2]])
    assert [*both.same.tolist(), *both.near.tolist()] == [[2, len(radiographs)]]


def test_of_very_many_pairs_the_likest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pneumobench.datasets.look_alikes.NEAR_KEPT", 50)
    generator = np.random.default_rng(1)
    base = cv2.GaussianBlur(generator.random((16, 16)), (0, 0), 3)
    base = 255 * (base - base.min()) / np.ptp(base)
    many = [np.clip(base + generator.normal(0, 4, (16, 16)), 0, 255).astype(np.uint8) for _ in range(40)]
    hashes = [np.frombuffer(generator.bytes(32), dtype=np.uint8) for _ in many]
    found = look_alikes(many, hashes)
    assert len(found.near) == len(found.change) == 50
    flat = [film.astype(float).ravel() for film in many]
    every = sorted((np.corrcoef(flat[i], flat[j])[0, 1] for i in range(40) for j in range(i + 1, 40)), reverse=True)
    assert sorted(found.correlation, reverse=True) == pytest.approx(every[:50])


@pytest.mark.parametrize(
    "change",
    [
        lambda film: cv2.createCLAHE(2.0, (8, 8)).apply(film),
        lambda film: (255 * (film / 255) ** 2).astype(np.uint8),
        lambda film: film[1:, 2:].copy(),
        lambda film: jpeg(film[:-2, :-3].copy(), 60),
    ],
    ids=["equalised locally", "gamma", "cut", "cut and saved again"],
)
def test_hashes_find_what_thumbnails_do_not_correlate_on(change: object, radiographs: list[NDArray[np.uint8]]) -> None:
    assert callable(change)
    changed = change(radiographs[4])
    found = found_among([*radiographs, changed])
    assert found.near.tolist() == [[4, len(radiographs)]]
    assert found.hash_distance[0] <= NEAR_HASH_DISTANCE
    assert found.hash_distance[0] == hash_distance(steady_hash(radiographs[4]), steady_hash(changed))
    assert found.change == ("",)


def test_a_pair_that_only_its_hashes_find_tells_how_its_thumbnails_correlate(
    radiographs: list[NDArray[np.uint8]],
) -> None:
    changed = np.asarray(cv2.createCLAHE(2.5, (4, 4)).apply(radiographs[4]), np.uint8)
    found = found_among([*radiographs, changed])
    expected = np.corrcoef(thumbnail(radiographs[4]).ravel(), thumbnail(changed).ravel())[0, 1]
    assert found.near.tolist() == [[4, len(radiographs)]]
    assert found.correlation[0] == pytest.approx(expected)
    assert found.correlation[0] < 0.99


def test_close_hashes_are_all_pairs_within_the_distance() -> None:
    rng = np.random.default_rng(2)
    hashes = np.frombuffer(rng.bytes(32 * 600), np.uint8).reshape(600, 32).copy()
    hashes[550] = hashes[3] ^ np.uint8(1)  # one bit in each of its bytes
    hashes[599] = hashes[550]
    found = {tuple(pair) for pairs in close_hashes(hashes, 32) for pair in pairs.tolist()}
    assert found == {(3, 550), (3, 599), (550, 599)}
    assert {tuple(pair) for pairs in close_hashes(hashes, 31) for pair in pairs.tolist()} == {(550, 599)}
