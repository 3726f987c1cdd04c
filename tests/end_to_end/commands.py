"""Runs the command line as a user does, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """Return the environment of a user without a data folder, a terminal or a W&B key."""
    hidden = ("PNEUMOBENCH_DATA", "WANDB_API_KEY")
    return {key: value for key, value in os.environ.items() if key not in hidden} | {"COLUMNS": "140"}


def pneumobench(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pneumobench", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def start(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """Start a command and return at once; it hears Ctrl-C even where the tests themselves were told not to."""
    return subprocess.Popen(
        [sys.executable, "-m", "pneumobench", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
