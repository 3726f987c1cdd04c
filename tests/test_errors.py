from __future__ import annotations

import inspect

import pytest

from pneumobench import errors
from pneumobench.errors import (
    DataError,
    DivergedError,
    LeakError,
    PneumobenchError,
    RecordError,
    SettingsError,
    UnreadableImageError,
    nearest_names,
    suggestion,
)


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (PneumobenchError, 1),
        (DivergedError, 1),
        (SettingsError, 2),
        (DataError, 3),
        (UnreadableImageError, 3),
        (LeakError, 3),
        (RecordError, 3),
    ],
)
def test_exit_codes_tell_settings_from_data(kind: type[PneumobenchError], exit_code: int) -> None:
    assert kind("x").exit_code == exit_code


def test_every_error_of_the_package_is_shown_without_a_traceback() -> None:
    own = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
    assert len(own) >= 7
    assert all(issubclass(kind, PneumobenchError) for kind in own)


def test_nearest_names_are_sorted_by_likeness_and_limited() -> None:
    known = ["vit_base", "resnet50", "resnet18", "resnet101"]
    assert nearest_names("resnet19", known, count=1) == ["resnet18"]
    assert set(nearest_names("resnet19", known)) == {"resnet18", "resnet50", "resnet101"}
    assert nearest_names("resnet19", iter(known), count=2)[0] == "resnet18"
    assert nearest_names("qqq", known) == []


def test_suggestion_reads_as_a_question() -> None:
    assert suggestion("epoch", ["epochs"]) == "did you mean epochs?"
    assert suggestion("abcd1", ["abcd2", "abcd3"], count=2) == "did you mean abcd3 or abcd2?"
    three = suggestion("abcd1", ["abcd2", "abcd3", "abcd4", "abcd5"])
    assert three.count(", ") == 1
    assert " or " in three
    assert three.endswith("?")
    assert suggestion("qqq", ["epochs"]) == ""
