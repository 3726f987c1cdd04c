"""What shapes a run beside its suite and its images, by content."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumobench.datasets.index import INDEX_COLUMNS, Index
from pneumobench.runs import inputs
from pneumobench.runs.inputs import inputs_of
from pneumobench.suite.architectures import ArchitectureSpec
from pneumobench.suite.registry import load_plugin_file
from pneumobench.suite.spec import ControlSpec, DataSpec, Suite

PLUGIN = """\
from torch import nn
from layers_of_mine import WIDTH
from pneumobench import Architecture, register_architecture


@register_architecture("of_mine", source="a test")
def of_mine(*, in_channels: int) -> Architecture:
    return Architecture(module=nn.Flatten(), in_channels=in_channels)
"""


def index_in(root: Path, *, masks: int) -> Index:
    rows = []
    for number in range(3):
        mask = f"masks/{number}.png" if number < masks else ""
        if mask:
            (root / "masks").mkdir(exist_ok=True)
            (root / mask).write_bytes(np.uint8(number).tobytes())
        rows.append([f"{number}.png", "train", 0, "normal", f"p{number}", number, "aa", 8, 8, mask])
    return Index(root=root, table=pd.DataFrame(rows, columns=INDEX_COLUMNS))


def test_code_beside_a_plugin_counts_as_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "layers_of_mine.py").write_text("WIDTH = 3\n")
    load_plugin_file(tmp_path / "mine.py")
    suite, index = Suite(architectures=ArchitectureSpec(names=("of_mine",))), index_in(tmp_path, masks=0)
    try:
        before = inputs_of(suite, index)
        assert set(before) == {"plugin mine.py", "plugin layers_of_mine.py"}
        (tmp_path / "layers_of_mine.py").write_text("WIDTH = 4\n")
        after = inputs_of(suite, index)
    finally:
        del sys.modules["layers_of_mine"]
    assert before["plugin mine.py"] == after["plugin mine.py"]
    assert before["plugin layers_of_mine.py"] != after["plugin layers_of_mine.py"]


def test_masks_segmenter_weights_and_sizes_count_as_far_as_they_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/net.safetensors").write_bytes(b"1")
    (tmp_path / "segmenter").mkdir()
    (tmp_path / "segmenter/lung_unet.safetensors").write_bytes(b"1")
    (tmp_path / "sizes.csv").write_text("image\n")
    monkeypatch.setattr(inputs, "SEGMENTER_FOLDER", tmp_path / "segmenter")
    suite = Suite(
        architectures=ArchitectureSpec(names=("net",), weights=str(tmp_path / "weights")),
        controls=ControlSpec(original_sizes="sizes.csv"),
    )
    all_masks, some_masks = index_in(tmp_path, masks=3), index_in(tmp_path, masks=2)
    plain = inputs_of(suite, all_masks)
    assert set(plain) == {"lung masks", "initial weights net", "original sizes"}
    assert all(len(sha256) == 64 for sha256 in plain.values())
    assert set(inputs_of(Suite(data=DataSpec(lung_mask_tier="box")), all_masks)) == set()
    assert set(inputs_of(Suite(), some_masks)) == {"lung masks", "lung segmenter"}, "segmented lungs stand in"
    segmented = dataclasses.replace(suite, data=DataSpec(lung_mask_tier="segmented"))
    before = inputs_of(segmented, all_masks)
    for file in ("weights/net.safetensors", "segmenter/lung_unet.safetensors", "sizes.csv"):
        (tmp_path / file).write_bytes(b"2")
    after = inputs_of(segmented, all_masks)
    assert set(before) == set(after) == {"lung segmenter", "initial weights net", "original sizes"}
    assert all(before[key] != after[key] for key in before)
    (tmp_path / "masks/1.png").write_bytes(b"changed")
    assert inputs_of(suite, all_masks)["lung masks"] != plain["lung masks"]
