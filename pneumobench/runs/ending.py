"""A process that is asked to end does so within seconds, whatever it is at, and leaves no process behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pneumobench.errors import TERMINATED

DEADLINE_S: Final = 3.0  # a command has ended 5 s after it was asked to, on a busy machine too
ELSEWHERE_S: Final = 15.0  # where a cluster has to be told first
_ASKED: Final = {signal.SIGINT: 128 + signal.SIGINT, signal.SIGTERM: TERMINATED}  # signal -> exit code
_LAST_WORDS: Final = "pneumobench: {}; finished jobs are kept, start again to go on."
WORDS: Final = {
    signal.SIGINT: _LAST_WORDS.format("interrupted"),
    signal.SIGTERM: _LAST_WORDS.format("asked to end"),
}
_elsewhere = threading.Event()
_exit = os._exit  # the one that foreign code cannot be kept from calling, see suite.process_state


def end_when_asked(deadline_s: float = DEADLINE_S, *, says: bool = True) -> None:
    """Have this process end with code 143 on SIGTERM, as with 130 on Ctrl-C, and after `deadline_s` in any case.

    Python hears a signal between two steps of its own, and a step of a training may be a long one of PyTorch's. What is
    cut off there costs what a kill costs: finished jobs are kept, and a training goes on from its last checkpoint.

    Args:
        deadline_s: seconds from the signal on after which this process and those that it started are killed.
        says: whether it then says what a command says that is asked to end; a process of a job says nothing.
    """
    signal.signal(signal.SIGTERM, _end)
    here, there = socket.socketpair()
    there.setblocking(False)
    signal.set_wakeup_fd(there.detach(), warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))  # a loader's signals are not this process's
    threading.Thread(target=_watch, args=(here, deadline_s, says), name="ending", daemon=True).start()


def tell_dead_loaders_once() -> None:
    """Keep what PyTorch raises of a loader process that died from being printed where nothing can catch it.

    It raises it wherever the training is, in a destructor too. The record of the job says it.
    """
    sys.unraisablehook = _unraisable


def _unraisable(found: sys.UnraisableHookArgs) -> None:
    if not str(found.exc_value).startswith("DataLoader worker"):
        sys.__unraisablehook__(found)


def _end(*_: object) -> None:
    raise SystemExit(TERMINATED)


@contextmanager
def time_to_tell_others() -> Iterator[None]:
    """Give this process more time to end, in which it ends what it had started elsewhere."""
    within = _elsewhere.is_set()
    _elsewhere.set()
    try:
        yield
    finally:
        if not within:
            _elsewhere.clear()


def _watch(here: socket.socket, deadline_s: float, says: bool) -> None:
    while (number := here.recv(1)[0]) not in _ASKED:
        continue
    time.sleep(ELSEWHERE_S if _elsewhere.is_set() else deadline_s)  # the process ends meanwhile, if it hears
    for child in multiprocessing.active_children():
        child.kill()
    if says:  # the command did not come to it
        os.write(2, f"{WORDS[signal.Signals(number)]}\n".encode())
    _exit(_ASKED[signal.Signals(number)])
