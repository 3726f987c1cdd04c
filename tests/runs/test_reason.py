"""What a record says of a training that failed."""

from __future__ import annotations

import pytest
import torch

from pneumobench.runs.train_job import reason_of


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no such\n  file"), "ValueError: no such file"),
        (OSError(2, "No such file", "/srv/data/place/a.png"), "FileNotFoundError: [Errno 2] No such file: 'a.png'"),
        (RuntimeError("see https://host/page/x and a/b/c"), "RuntimeError: see https://host/page/x and a/b/c"),
        (torch.OutOfMemoryError("CUDA"), "out of memory, batch 8"),
    ],
)
def test_a_reason_is_one_line_without_folders_of_this_machine(error: Exception, words: str) -> None:
    assert reason_of(error, 8) == words
