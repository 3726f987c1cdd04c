"""A run that was begun is gone on with on the same settings, data and code, or refused with the difference."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pneumobench.cli.exit_codes import DONE, WRONG_SETTINGS
from tests.end_to_end.commands import pneumobench
from tests.reliability.faults import SETTINGS, finished

DATA = (
    "run", "kermany", "--data", "data", "--data.image_side_px", "32", "--data.lung_masks", "", "--folds.count", "2",
    "--architectures", "quick", "--training.epochs", "1", "--training.precision", "32-true",
    "--training.accelerator", "cpu", "--architectures.weights", "none", *SETTINGS,
)  # fmt: skip


def test_other_settings_and_other_code_are_refused_with_the_difference(folder: Path) -> None:
    before = finished(folder / "runs/smoke")
    command = ("run", "smoke", *SETTINGS, "--architectures", "quick")
    other = pneumobench(*command, "--training.learning_rate", "0.5", cwd=folder)
    assert other.returncode == WRONG_SETTINGS
    assert "-  learning_rate: 0.001" in other.stderr
    assert "+  learning_rate: 0.5" in other.stderr
    with (folder / "faulty.py").open("a") as plugin:
        plugin.write("# another line\n")
    shutil.rmtree(folder / "runs/smoke/quick/fold-1")
    before = {name: sha256 for name, sha256 in before.items() if not name.startswith("quick/fold-1/")}
    refused = pneumobench(*command, cwd=folder)
    assert refused.returncode == WRONG_SETTINGS
    assert "plugin faulty.py: SHA-256" in refused.stderr
    assert "--accept-changes" in refused.stderr
    assert finished(folder / "runs/smoke") == before
    assert pneumobench(*command, "--accept-changes", cwd=folder).returncode == DONE
    assert before.items() <= finished(folder / "runs/smoke").items()


@pytest.mark.parametrize("change", ["another image", "one image less"])
def test_other_data_are_refused_with_what_changed(change: str, folder: Path) -> None:
    chance = np.random.default_rng(0)
    for number in range(24):
        for name in (f"NORMAL/IM-{number:04d}-0001.jpeg", f"PNEUMONIA/person{number}_bacteria_{number}.jpeg"):
            path = folder / "data/train" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), chance.integers(0, 255, (48, 48), dtype=np.uint8))
    done = pneumobench(*DATA, "--folds", "0", cwd=folder)
    assert done.returncode == DONE, done.stderr
    run = folder / "runs/kermany"
    before = finished(run)
    assert "quick/fold-0/record.json" in before
    image = folder / "data/train/NORMAL/IM-0003-0001.jpeg"
    if change == "another image":
        cv2.imwrite(str(image), chance.integers(0, 255, (48, 48), dtype=np.uint8))
    else:
        image.unlink()
    refused = pneumobench(*DATA, cwd=folder)
    assert refused.returncode == WRONG_SETTINGS, refused.stderr
    words = "0 gone, 0 new, 1 changed" if change == "another image" else "1 gone, 0 new, 0 changed"
    assert f"holds a run on other images: {words}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert finished(run) == before
