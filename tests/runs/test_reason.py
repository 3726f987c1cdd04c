"""What a record says of a training that failed."""

from __future__ import annotations

import pytest
import torch

from pneumobench.runs.train_job import reason_of

LOADER = "a loader process died (training.loader_workers); the system ends processes when memory runs out"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no such\n  file"), "ValueError: no such file"),
        (OSError(2, "No such file", "/srv/data/place/a.png"), "FileNotFoundError: [Errno 2] No such file: 'a.png'"),
        (RuntimeError("see https://host/page/x and a/b/c"), "RuntimeError: see https://host/page/x and a/b/c"),
        (torch.OutOfMemoryError("CUDA"), "out of memory, batch 8"),
        (MemoryError(), "out of memory, batch 8"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), LOADER),
        (ConnectionResetError(104, "Connection reset by peer"), LOADER),
    ],
)
def test_a_reason_is_one_line_without_folders_of_this_machine(error: Exception, words: str) -> None:
    assert reason_of(error, 8) == words
