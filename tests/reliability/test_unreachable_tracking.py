"""Weights & Biases that cannot be reached or has no key costs a run seconds, and no byte of its results."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pneumobench.cli.exit_codes import DONE
from tests.end_to_end.commands import pneumobench
from tests.end_to_end.test_side_by_side import results
from tests.reliability.faults import SETTINGS

ADDED_S = 20.0  # that tracking may take at most


def unreachable() -> None:
    """Have a key, and a service that nobody answers for."""
    os.environ.update(WANDB_API_KEY="0" * 40, WANDB_BASE_URL="http://127.0.0.1:9")


def without_key() -> None:
    """Have no key anywhere."""
    os.environ.update(HOME=str(Path.cwd()), NETRC=str(Path("no-netrc").absolute()))


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (without_key, "not tracked with Weights & Biases: no API key found"),
        pytest.param(unreachable, "not tracked with Weights & Biases", marks=pytest.mark.long),
    ],
    ids=["no key", "unreachable"],
)
def test_a_run_without_tracking_is_the_same_run(before: object, words: str, quick: Path, tmp_path: Path) -> None:
    assert callable(before)
    (tmp_path / "faulty.py").write_text((quick / "faulty.py").read_text())
    command = ("run", "smoke", *SETTINGS, "--architectures", "quick")
    began = time.monotonic()
    assert pneumobench(*command, "--name", "alone", cwd=tmp_path).returncode == DONE
    alone = time.monotonic() - began
    began = time.monotonic()
    done = pneumobench(*command, "--wandb", "online", cwd=tmp_path, before=before)
    assert time.monotonic() - began < alone + ADDED_S
    assert done.returncode == DONE, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert results(tmp_path / "runs/smoke") == results(quick / "runs/smoke")
