"""Many jobs in one process: what a job used is given back."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch

from pneumobench.training.fit import fit, remove_training_files
from pneumobench.training.memory import peak_memory_mib, reset_peak_memory
from tests.training.tiny_fold import tiny_architecture, tiny_data, tiny_images, tiny_spec

MIB = 2**20


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is reset through /proc")
@pytest.mark.parametrize("before_mib", [0, 600])
def test_the_peak_of_a_job_is_its_own_whatever_ran_before(before_mib: int) -> None:
    small = [bytes(1000) for _ in range(before_mib * 1000)]  # the heap itself grows, not only large blocks
    large = torch.ones(before_mib * MIB // 4)
    del small, large
    reset_peak_memory()
    ours = torch.ones(200 * MIB // 4)
    del ours
    assert 195 < peak_memory_mib("cpu") < 225


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
