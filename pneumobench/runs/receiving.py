"""A bundle as a node of a DICOM network, until the process is asked to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from pneumobench.errors import TERMINATED, InUseError, SettingsError, warn
from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import FOR_RESEARCH
from pneumobench.prediction.dicom.delivery import Destination
from pneumobench.prediction.dicom.identity import Kind
from pneumobench.prediction.dicom.node import Listening, run_node
from pneumobench.prediction.dicom.spool import Spool, make_folder
from pneumobench.records.locks import claim_folder
from pneumobench.runs.addresses import is_loopback
from pneumobench.runs.ending import time_to_tell_others


def receive_images(
    predictor: AskedBundle,
    queue: Path,
    here: Listening,
    to: Destination,
    *,
    kinds: Sequence[Kind],
    console: Console,
) -> None:
    """Receive images, answer and deliver, until Ctrl-C or SIGTERM; what waits then is gone on with at the next start.

    Args:
        predictor: who answers.
        queue: folder of what was received and not yet delivered.
        here: where images come.
        to: where results go.
        kinds: which results are made.
        console: where it is told what happens.

    Raises:
        SettingsError: the address cannot be listened on, or another process holds the queue, or it is none.
        SystemExit: on SIGTERM, with its code.
        KeyboardInterrupt: on Ctrl-C.
    """
    if not 0 <= here.port < 2**16:
        raise SettingsError(f"--port {here.port}: expected 1 to 65535.")
    if not is_loopback(here.host):
        known = f"{', '.join(here.callers)} may call, by a name that anybody can give" if here.callers else ""
        warn(
            f"--host {here.host}: other machines can reach this node, and DICOM knows no password: "
            f"{known or 'anybody there can send; name who may with --caller TITLE'}."
        )
    if {"picture", "heat-map"} & set(kinds):
        predictor.check_maps()

    def tell(words: str) -> None:
        console.print(words, highlight=False, soft_wrap=True, markup=False)

    with _held(queue), time_to_tell_others(), _asked_to_end() as (stop, ended_by):
        tell(FOR_RESEARCH)
        run_node(predictor, Spool(queue), here, to, stop=stop, tell=tell, kinds=kinds)
        number = ended_by()
    if number == signal.SIGTERM:
        raise SystemExit(TERMINATED)
    if number == signal.SIGINT:
        raise KeyboardInterrupt


@contextmanager
def _held(queue: Path) -> Iterator[None]:
    make_folder(queue)
    with ExitStack() as held:
        try:
            held.enter_context(claim_folder(queue))
        except InUseError as error:
            raise InUseError(
                f"--queue {queue}: another process holds it: wait for its end, or name another."
            ) from error
        yield


@contextmanager
def _asked_to_end() -> Iterator[tuple[threading.Event, Callable[[], int | None]]]:
    """Give what is set when the process is asked to end, instead of an exception in the middle of an image."""
    stop, numbers = threading.Event(), list[int]()

    def ask(number: int, _: FrameType | None) -> None:
        numbers.append(number)
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop, lambda: numbers[0] if numbers else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
