"""One suite under several ways to split its images."""

from __future__ import annotations

import pytest

from pneumobench.errors import SettingsError
from pneumobench.runs.protocols import suites_by_protocol
from pneumobench.suite.spec import FoldSpec, Suite


def test_one_suite_becomes_one_for_each_protocol() -> None:
    suites = suites_by_protocol(Suite(name="s"), ["image_random", "patient", "official"])
    assert [(s.name, s.folds.protocol, s.folds.count) for s in suites] == [
        ("s-image_random", "image_random", 5), ("s-patient", "patient", 5), ("s-official", "official", 1)
    ]  # fmt: skip
    with pytest.raises(SettingsError, match="expected patient among them"):
        suites_by_protocol(Suite(), ["official"])
    with pytest.raises(SettingsError, match="--protocols random: expected some of"):
        suites_by_protocol(Suite(), ["patient", "random"])
    with pytest.raises(SettingsError, match=r"--protocols official: folds\.protocol official tests on the official"):
        suites_by_protocol(Suite(folds=FoldSpec(held_out_fraction=0.2)), ["patient", "official"])
