from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumobench.datasets.identifiers import NO_PATIENT, identifier_key, named_patients

TWELVE = [
    "12", "00012", "12.0", "12.00", "12,0", " 12 ", "12\t", "\u00a012\u2009", "\uff11\uff12", "\ufeff12", "1\u200b2",
    "'12", "'12'", "\u0661\u0662", "\u0967\u0968",
    '="12"', '="00012"', '"12"', "012.0", "12.",
]  # fmt: skip


@pytest.mark.parametrize("text", TWELVE)
def test_every_usual_spelling_of_a_number_is_one_patient(text: str) -> None:
    assert identifier_key(text) == "12"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("P007", "p7"),
        ("P-07", "p\u20137"),
        ("P-07", "P\u22127"),
        ("Jos\u00e9", "Jose\u0301"),
        ("STRASSE 1", "stra\u00dfe 01"),
        ("case  3", "Case 3"),
        ("A_001", "a_1"),
    ],
)
def test_spellings_that_are_one_patient(one: str, other: str) -> None:
    assert identifier_key(one) == identifier_key(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12", "120"),
        ("12", "-12"),
        ("1.2", "12"),
        ("P1-2", "P12"),
        ("0", ""),
        ("a b", "ab"),
        ("12e5", "12"),
        ("1000", "1"),
    ],
)
def test_different_identifiers_stay_apart(one: str, other: str) -> None:
    assert identifier_key(one) != identifier_key(other)


NOBODY = [
    "", " ", "nan", "NaN", "NAN", "None", "NA", "N/A", "n/a", "n.a.", "null", "NULL", "-", "--", "\u2014", "_", "?",
    ".", "<NA>", "#N/A", "NaT", "unknown", "Unknown", "missing", "anonymous", "\u00a0",
    "\uff2e\uff21", '=""', "\u200b",
]  # fmt: skip


@pytest.mark.parametrize("text", NOBODY)
def test_what_means_no_patient(text: str) -> None:
    assert identifier_key(text) == ""


def test_zero_is_a_patient() -> None:
    assert identifier_key("0") == identifier_key("000") == "0"


@given(st.text(max_size=12))
def test_a_key_is_its_own_key(text: str) -> None:
    key = identifier_key(text)
    assert identifier_key(key) == key


def test_spellings_are_joined_and_missing_ones_are_patients_of_their_own() -> None:
    found = named_patients(["12", "00012", "12.0", "P1", "nan", "", "n/a"], [f"{n}.png" for n in range(7)])
    assert found.patient == ("00012", "00012", "00012", "P1", "4.png", "5.png", "6.png")
    assert found.joined == (("00012", "12", "12.0"),)


def test_a_single_spelling_stays_as_it_is() -> None:
    found = named_patients(["007", "Jos\u00e9", "1.20"], ["a", "b", "c"])
    assert found.patient == ("007", "Jos\u00e9", "1.20")
    assert found.joined == ()


def test_images_that_are_their_own_patients_are_not_joined_by_the_numbers_in_their_paths() -> None:
    found = named_patients(["scan/07.png", "scan/7.png"], ["scan/07.png", "scan/7.png"])
    assert found.patient == ("scan/07.png", "scan/7.png")
    assert found.joined == ()


def test_missing_values_are_written_as_keys() -> None:
    assert {identifier_key(value) for value in NO_PATIENT} == {""}


def test_identifiers_that_a_spreadsheet_rounded_are_counted() -> None:
    listed = ["1.01E+06", "1,01E+06", " 1e+06", "p1.1e06", "12", "3e45", "2.5", ""]
    found = named_patients(listed, [f"{number}.png" for number in range(len(listed))])
    assert found.rounded == 3
