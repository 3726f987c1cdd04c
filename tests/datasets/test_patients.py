from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumobench.datasets.patients import group_images, kermany_image, kermany_patient, patient_rule_counts

RADIOGRAPHS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("12345678")), max_size=24)


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("person447_virus_921", ("person447", "virus")),
        ("person447_virus_921_1", ("person447", "virus")),
        ("person1_bacteria_2", ("person1", "bacteria")),
        ("IM-0115-0001", ("IM-0115", "normal")),
        ("NORMAL2-IM-0095-0001", ("NORMAL2-IM-0095", "normal")),
        ("NORMAL2-IM-0095-0001-0002", ("NORMAL2-IM-0095", "normal")),
        ("NORMAL-IM-0095-0001", None),
        ("person1_fungus_2", None),
        ("person_virus_2", None),
        ("xperson1_virus_2", None),
        ("IM-0115", None),
        ("", None),
    ],
)
def test_kermany_names(stem: str, expected: tuple[str, str] | None) -> None:
    assert kermany_patient(stem) == expected


def test_one_patient_number_is_one_patient_whatever_the_subtype() -> None:
    bacterial, viral = kermany_patient("person12_bacteria_1"), kermany_patient("person12_virus_7")
    assert bacterial is not None
    assert viral is not None
    assert bacterial[0] == viral[0]


@pytest.mark.parametrize(
    ("stem", "split", "expected"),
    [
        ("person12_bacteria_1", "train", ("train/bacteria/person12", "bacteria")),
        ("person12_virus_7", "train", ("train/virus/person12", "virus")),
        ("person12_virus_7", "test", ("test/virus/person12", "virus")),
        ("person447_virus_921_1", "train", ("train/virus/person447", "virus")),
        ("NORMAL2-IM-0095-0001", "test", ("test/normal/NORMAL2-IM-0095", "normal")),
        ("covid 7", "train", ("train/unknown/covid 7", "unknown")),
    ],
)
def test_a_number_may_restart_in_each_folder_and_subtype(stem: str, split: str, expected: tuple[str, str]) -> None:
    assert kermany_image(stem, split, "folder_subtype_number") == expected
    number = kermany_image(stem, split, "number")[0]
    assert expected[0].endswith(f"/{number}")


def test_both_rules_are_counted() -> None:
    radiographs = [
        ("train/PNEUMONIA/person1_bacteria_1.jpeg", "train", "a"),
        ("train/PNEUMONIA/person1_bacteria_2.jpeg", "train", "b"),
        ("train/PNEUMONIA/person1_virus_6.jpeg", "train", "c"),
        ("test/PNEUMONIA/person1_virus_9.jpeg", "test", "d"),
        ("train/NORMAL/IM-0001-0001.jpeg", "train", "e"),
        ("train/NORMAL/NORMAL2-IM-0001-0001.jpeg", "train", "e"),
    ]
    image_id, split, content = zip(*radiographs, strict=True)
    assert patient_rule_counts(image_id, split, content) == {
        "number": {"patients": 3, "groups": 2},
        "folder_subtype_number": {"patients": 5, "groups": 4},
    }


def test_im_and_normal2_im_are_two_patients() -> None:
    assert kermany_patient("IM-0095-0001") != kermany_patient("NORMAL2-IM-0095-0001")


def naive_groups(radiographs: list[tuple[str, str]]) -> list[int]:
    """Join any two images that share something until nothing changes any more; number by first appearance."""
    group = list(range(len(radiographs)))
    changed = True
    while changed:
        changed = False
        for i, one in enumerate(radiographs):
            for j, other in enumerate(radiographs):
                if (one[0] == other[0] or one[1] == other[1]) and group[i] != group[j]:
                    group[i] = group[j] = min(group[i], group[j])
                    changed = True
    order = list(dict.fromkeys(group))
    return [order.index(number) for number in group]


@given(RADIOGRAPHS)
def test_groups_equal_those_of_a_naive_union(radiographs: list[tuple[str, str]]) -> None:
    groups = group_images([radiograph[0] for radiograph in radiographs], [radiograph[1] for radiograph in radiographs])
    assert groups.tolist() == naive_groups(radiographs)


@given(RADIOGRAPHS)
def test_same_patient_or_same_content_is_one_group(radiographs: list[tuple[str, str]]) -> None:
    groups = group_images([radiograph[0] for radiograph in radiographs], [radiograph[1] for radiograph in radiographs])
    for side in (0, 1):
        seen: dict[str, int] = {}
        for radiograph, group in zip(radiographs, groups.tolist(), strict=True):
            assert seen.setdefault(radiograph[side], group) == group


def test_groups_are_joined_along_a_chain() -> None:
    # a-1, b-1, b-2, c-2: a and c share nothing, yet both share something with b
    assert group_images(["a", "b", "b", "c", "d"], ["1", "1", "2", "2", "3"]).tolist() == [0, 0, 0, 0, 1]


def test_a_patient_named_like_a_content_hash_joins_nothing() -> None:
    assert group_images(["x", "y"], ["y", "x"]).tolist() == [0, 1]


def test_no_image_is_no_group() -> None:
    assert group_images([], []).shape == (0,)
