from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumobench.datasets.patients import group_images, kermany_facts, kermany_image, kermany_patient
from pneumobench.suite.spec import PatientRule

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
        # Mendeley v2 and v3: disease, randomised patient number, image number of that patient
        ("BACTERIA-1008087-0001", ("1008087", "bacteria")),
        ("VIRUS-1008087-0003", ("1008087", "virus")),
        ("NORMAL-28501-0001", ("28501", "normal")),
        # case, and what copying leaves beside a name
        ("PERSON12_Virus_7", ("person12", "virus")),
        ("im-0115-0001", ("IM-0115", "normal")),
        ("bacteria-1008087-0001", ("1008087", "bacteria")),
        ("IM-0001-0001 (1)", ("IM-0001", "normal")),
        ("IM-0001-0001(12)", ("IM-0001", "normal")),
        ("IM-0001-0001 [2]", ("IM-0001", "normal")),
        ("BACTERIA-1008087-0001 - Copy", ("1008087", "bacteria")),
        ("person1_bacteria_2 - Copy (3)", ("person1", "bacteria")),
        ("person1_bacteria_2 - Kopie", ("person1", "bacteria")),
        ("person1_bacteria_2 - Copie (2)", ("person1", "bacteria")),
        ("person1_bacteria_2 - 副本", ("person1", "bacteria")),
        ("person1_bacteria_2 copy 2", ("person1", "bacteria")),
        ("person1_bacteria_2 (copy)", ("person1", "bacteria")),
        ("person1_bacteria_2 (another copy)", ("person1", "bacteria")),
        ("person1_bacteria_2 (3rd copy)", ("person1", "bacteria")),
        ("person1_bacteria_2_copy", ("person1", "bacteria")),
        ("Copy of person1_bacteria_2", ("person1", "bacteria")),
        ("Kopie von person1_bacteria_2", ("person1", "bacteria")),
        ("person1_bacteria_2.jpeg", ("person1", "bacteria")),
        ("person1_bacteria_2.jpeg - Copy (1)", ("person1", "bacteria")),
        ("person1_bacteria_2_jpeg.rf.0a1b2c3d4e5f60718293a4b5c6d7e8f9", ("person1", "bacteria")),
        ("  IM-0115-0001 ", ("IM-0115", "normal")),
        ("NORMAL-IM-0095-0001", None),
        ("FUNGUS-1008087-0001", None),
        ("BACTERIA-1008087", None),
        ("BACTERIA-x1-0001", None),
        ("person1_bacteria_2_flipped", None),
        ("aug_0_1234", None),
        ("00000001_000", None),
        ("copy", None),
        ("(1)", None),
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
        ("VIRUS-12-0001", "train", ("train/virus/12", "virus")),
    ],
)
def test_a_number_may_restart_in_each_folder_and_subtype(stem: str, split: str, expected: tuple[str, str]) -> None:
    assert kermany_image(stem, split, "folder_subtype_number") == expected
    number = kermany_image(stem, split, "number")[0]
    assert expected[0].endswith(f"/{number}")


@pytest.mark.parametrize("rule", ["number", "folder_subtype_number", "image"])
def test_a_name_of_no_scheme_has_no_patient(rule: PatientRule) -> None:
    assert kermany_image("covid 7", "train", rule) == ("", "unknown")


def test_the_rule_image_reads_no_patient_but_the_subtype() -> None:
    assert kermany_image("person12_virus_7", "train", "image") == ("", "virus")


def test_one_number_of_the_second_scheme_is_one_child_whatever_the_disease() -> None:
    assert (
        kermany_image("BACTERIA-12-0001", "train", "number")[0] == kermany_image("VIRUS-12-0002", "test", "number")[0]
    )


def test_the_facts_count_both_rules_schemes_copies_and_contrary_names() -> None:
    rows = [
        ("train/PNEUMONIA/person1_bacteria_1.jpeg", "train", 1, "a"),
        ("train/PNEUMONIA/person1_bacteria_2.jpeg", "train", 1, "b"),
        ("train/PNEUMONIA/person1_virus_6.jpeg", "train", 1, "c"),
        ("test/PNEUMONIA/person1_virus_9.jpeg", "test", 1, "d"),
        ("train/NORMAL/IM-0001-0001.jpeg", "train", 0, "e"),
        ("train/NORMAL/NORMAL2-IM-0001-0001.jpeg", "train", 0, "e"),
        ("train/NORMAL/VIRUS-77-0001 (1).jpeg", "train", 0, "f"),
        ("train/NORMAL/scan.jpeg", "train", 0, "g"),
    ]
    facts = kermany_facts(pd.DataFrame(rows, columns=["image_id", "split", "label", "sha256"]))
    assert facts["patient_rules"] == {
        "number": {"patients": 5, "groups": 4},
        "folder_subtype_number": {"patients": 7, "groups": 6},
        "image": {"patients": 8, "groups": 7},
    }
    assert facts["file_names"] == {
        "schemes": {"person": 4, "IM": 2, "disease-patient-image": 1},
        "copies": 1,
        "unexplained": ["train/NORMAL/scan.jpeg"],
        "of_another_class": ["train/NORMAL/VIRUS-77-0001 (1).jpeg"],
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
