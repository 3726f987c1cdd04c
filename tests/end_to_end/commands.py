"""Runs the command line as a user does, in a process of its own.

`pneumobench` and `start` fork that process from one that has already imported PyTorch, Lightning and the package and
has done nothing else, which saves ten seconds of imports each time. `typed` starts Python anew. A forked command leads
a session of its own, as in a terminal of its own: all that it starts belongs to it. It ends with the tests, however
they end.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
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

    def __init__(
        self, arguments: tuple[str | Path, ...], *, cwd: Path, before: Callable[[], object] | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="command-")
        self._output = Path(self._folder.name)
        self._process = _IMPORTED.Process(
            target=_run, args=(list(map(str, arguments)), cwd, environment(), self._output, before)
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

    def press_ctrl_c(self) -> None:
        """Interrupt the command and all that it started, as a terminal does."""
        assert self._process.pid is not None
        os.killpg(self._process.pid, signal.SIGINT)

    def left_over(self) -> list[str]:
        """Return the command lines of processes that it started and that still live, itself included."""
        assert self._process.pid is not None
        return processes_of_session(self._process.pid)

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


def processes_of_session(leader: int) -> list[str]:
    """Return process number and command line of every living process of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state not in "ZX":
                line = (stat.parent / "cmdline").read_text().replace("\0", " ")
                found.append(f"{stat.parent.name}: {line}")
    return found


def _run(
    arguments: list[str], cwd: Path, variables: dict[str, str], output: Path, before: Callable[[], object] | None
) -> None:
    """Become the command: its folder, environment, streams and signals; ends with SystemExit."""
    os.setsid()
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(variables)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it hears Ctrl-C even where the tests were told not to
    multiprocessing.set_start_method(None, force=True)  # of loader processes: as in a command that was typed
    sys.argv = ["pneumobench", *arguments]
    if before is not None:
        before()
    from pneumobench.cli.main import entry

    entry()


def _end_with_the_tests() -> None:
    tests = multiprocessing.parent_process()
    assert tests is not None
    tests.join()
    os.killpg(0, signal.SIGKILL)


def start(*arguments: str | Path, cwd: Path, before: Callable[[], object] | None = None) -> Command:
    """Start a command and return at once; `before` is called in its process first."""
    return Command(arguments, cwd=cwd, before=before)


def pneumobench(*arguments: str | Path, cwd: Path, before: Callable[[], object] | None = None) -> CompletedProcess[str]:
    """Run a command to its end."""
    command = start(*arguments, cwd=cwd, before=before)
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
