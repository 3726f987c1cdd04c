"""One suite under several regions of its images."""

from __future__ import annotations

import pytest

from pneumobench.errors import SettingsError
from pneumobench.runs.regions import suites_by_region
from pneumobench.suite.spec import ControlSpec, DataSpec, Suite


def test_one_suite_becomes_one_for_each_region() -> None:
    suite = Suite(name="s", controls=ControlSpec(names=("majority", "thumbnail", "mask_only", "my_own")))
    suites = suites_by_region(suite, ["mask_only", "whole", "only_lungs_other_outline"])
    assert [(one.name, one.data.region, one.controls.names) for one in suites] == [
        ("s-whole", "whole", ("majority", "thumbnail", "mask_only", "my_own")),
        ("s-mask_only", "mask_only", ("thumbnail", "my_own")),
        ("s-only_lungs_other_outline", "only_lungs_other_outline", ("thumbnail", "my_own")),
    ]
    assert all(one.data.require_lung_mask for one in suites), "all have the same images"
    assert len({one.training_hash() for one in suites}) == 3


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        (["mask_only", "only_lungs"], r"--regions mask_only,only_lungs: expected whole among them"),
        (["whole"], r"--regions whole: expected a further region"),
        (["whole", "lungs"], r"--regions lungs: expected some of whole, without_lungs, "),
        (["whole", "mask_only", "mask_only"], r"expected each region once"),
    ],
)
def test_regions_that_cannot_be_compared_are_refused(regions: list[str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        suites_by_region(Suite(), regions)


def test_the_box_cannot_be_compared_with_lungs() -> None:
    with pytest.raises(SettingsError, match=r"--regions mask_only: data\.lung_mask_tier is box with data\.region"):
        suites_by_region(Suite(data=DataSpec(lung_mask_tier="box")), ["whole", "mask_only"])
