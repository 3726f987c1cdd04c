"""What is odd about a file that can be read reaches the audit with its name, from the cache as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pneumobench.datasets.audit import audit, audit_text, read_radiographs
from pneumobench.radiographs.dicom_display import INVERSE_OF_BRIGHT
from pneumobench.radiographs.plausibility import FILLED, ONE_LEVEL
from pneumobench.suite.spec import DataSpec, Suite
from tests.datasets.tiny_sets import write_image
from tests.radiographs.dicom_files import radiograph, ramp, written


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    root = tmp_path / "images"
    for number in range(4):
        write_image(root / f"{number}.png", seed=number, height_px=40, width_px=40)
    tags: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 4096, "PresentationLUTShape": "INVERSE"}
    for name in ("a.dcm", "b.dcm"):
        written(
            root,
            radiograph(np.kron(ramp(0, 4095 - ord(name[0])), np.ones((2, 2), "uint16")), stored_bits=12, **tags),
            name,
        )
    written(
        root,
        radiograph(np.kron(ramp(5, 4000), np.ones((2, 2), "uint16")), stored_bits=12, BurnedInAnnotation="YES", **tags),
        "c.dcm",
    )
    rng = np.random.default_rng(0)
    filled = rng.integers(0, 256, (60, 60), dtype=np.uint8)
    filled[-20:] = 128
    Image.fromarray(filled).save(root / "filled.png")
    dot = np.zeros((60, 60), dtype=np.uint8)
    dot[0, :3] = 255
    Image.fromarray(dot).save(root / "dot.png")
    Image.fromarray(np.full((60, 60), 77, dtype=np.uint8)).save(root / "empty.png")
    Image.new("L", (1, 1)).save(root / "point.png")
    whole = (root / "0.png").with_suffix(".jpeg")
    Image.fromarray(rng.integers(0, 256, (90, 90), dtype=np.uint8)).save(whole)
    content = bytearray(whole.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 300] = bytes(300)
    whole.write_bytes(content)
    names = sorted(path.name for path in root.iterdir())
    rows = "".join(f"{name},{number % 2}\n" for number, name in enumerate(names))
    (root / "index.csv").write_text(f"image,label\n{rows}")
    return Suite(data=DataSpec(source="csv", root=str(root)))


def test_findings_reach_the_audit_by_name(
    suite: Suite, tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        index, problems = read_radiographs(suite, cache)
        found = audit(index, problems)
        assert found["findings"] == {
            INVERSE_OF_BRIGHT: ["a.dcm", "b.dcm", "c.dcm"],
            "BurnedInAnnotation is YES: there is text in the pixels, which a network may read": ["c.dcm"],
            FILLED: ["filled.png"],
            ONE_LEVEL: ["dot.png"],
        }
        assert len(problems) == 3
        for name, words in (
            ("0.jpeg", "damaged: its decoder says 'Corrupt JPEG data"),
            ("empty.png", "all of its pixels have one gray level"),
            ("point.png", "1 x 1 pixels; at least 4 a side are expected"),
        ):
            assert any(name in problem and words in problem for problem in problems)
    text = audit_text(found)
    assert f"3 images to look at: {INVERSE_OF_BRIGHT} (a.dcm, b.dcm, c.dcm)" in text
    assert f"1 image to look at: {FILLED} (filled.png)" in text
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
