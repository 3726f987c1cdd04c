"""Many jobs in one process: what a job used is given back."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from pneumobench.training.fit import fit, remove_training_files
from tests.training.tiny_fold import tiny_architecture, tiny_data, tiny_images, tiny_spec

MIB = 2**20


def _resident_mib() -> float:
    gc.collect()
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096 / MIB


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_job_after_job_does_not_grow_memory(tmp_path: Path) -> None:
    images, spec = tiny_images(600), tiny_spec(epochs=1, batch_size=64)

    def train(number: int) -> None:
        folder = tmp_path / str(number)
        fit(tiny_architecture(), tiny_data(images, batch_size=64), spec, folder=folder, seed=number)
        remove_training_files(folder)

    for number in range(4):  # first uses load libraries and fill caches
        train(number)
    before = _resident_mib()
    for number in range(4, 16):
        train(number)
    assert _resident_mib() - before < 40, "twelve more trainings"
