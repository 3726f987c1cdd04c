"""Runs the command line as a user does, in a process of its own.

`pneumobench` and `start` fork that process from one that has already imported PyTorch, Lightning and the package and
has done nothing else, which saves ten seconds of imports each time. `typed` starts Python anew.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import CompletedProcess

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT_S = 300

_IMPORTED = multiprocessing.get_context("forkserver")
_IMPORTED.set_forkserver_preload(["pneumobench.runs.run", "pneumobench.reporting.terminal", "pneumobench.search.tune"])


def environment() -> dict[str, str]:
    """Return the environment of a user without a data folder, a terminal or a W&B key."""
    hidden = ("PNEUMOBENCH_DATA", "WANDB_API_KEY")
    return {key: value for key, value in os.environ.items() if key not in hidden} | {"COLUMNS": "140"}


class Command:
    """A command that runs, with the methods of `subprocess.Popen` that the tests need."""

    def __init__(self, arguments: tuple[str | Path, ...], *, cwd: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="command-")
        self._output = Path(self._folder.name)
        self._process = _IMPORTED.Process(
            target=_run, args=(list(map(str, arguments)), cwd, environment(), self._output)
        )
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit code; minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def communicate(self, timeout: float = TIMEOUT_S) -> tuple[str, str]:
        """Wait for the end; return what was printed on stdout and stderr.

        Raises:
            TimeoutError: it did not end in time, and was killed.
        """
        self._process.join(timeout)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
            raise TimeoutError(f"the command did not end within {timeout} s")
        return (self._output / "stdout").read_text(), (self._output / "stderr").read_text()


def _run(arguments: list[str], cwd: Path, variables: dict[str, str], output: Path) -> None:
    """Become the command: its folder, environment, streams and signals; ends with SystemExit."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(variables)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it hears Ctrl-C even where the tests were told not to
    sys.argv = ["pneumobench", *arguments]
    from pneumobench.cli.main import entry

    entry()


def start(*arguments: str | Path, cwd: Path) -> Command:
    """Start a command and return at once."""
    return Command(arguments, cwd=cwd)


def pneumobench(*arguments: str | Path, cwd: Path) -> CompletedProcess[str]:
    """Run a command to its end."""
    command = start(*arguments, cwd=cwd)
    output, errors = command.communicate()
    assert command.returncode is not None
    return CompletedProcess(["pneumobench", *map(str, arguments)], command.returncode, output, errors)


def typed(*arguments: str | Path, cwd: Path) -> CompletedProcess[str]:
    """Run `python -m pneumobench ...` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pneumobench", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
