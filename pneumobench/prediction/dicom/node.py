"""A node: images come, are asked about one after the other, and their results go to another node."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pneumobench.errors import DataError, SettingsError
from pneumobench.prediction.dicom.delivery import Deliverer, Destination
from pneumobench.prediction.dicom.identity import KINDS, Kind
from pneumobench.prediction.dicom.reception import Reception, reason_of
from pneumobench.prediction.dicom.results import results_about
from pneumobench.prediction.dicom.spool import FAILED, Entry, Spool
from pneumobench.texts import counted

if TYPE_CHECKING:
    from pneumobench.prediction.asked import AskedBundle

LOOKS_EVERY_S: Final = 0.5
AGAIN_AFTER_S: Final = 10.0  # where the disk is full
LAST_SEND_S: Final = 5.0  # what is being sent has this long to arrive when the node is asked to end


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where a node listens.

    Args:
        host, port: its address; port 0 = any free one.
        title: its AE title.
        callers: AE titles that may call; none = all.
    """

    host: str
    port: int
    title: str
    callers: tuple[str, ...] = ()


def run_node(
    predictor: AskedBundle,
    spool: Spool,
    here: Listening,
    to: Destination,
    *,
    stop: threading.Event,
    tell: Callable[[str], None],
    kinds: Sequence[Kind] = KINDS,
) -> None:
    """Receive, answer and deliver until asked to stop, which takes as long as the image that is being asked about.

    Args:
        predictor: who answers; asked in the thread that calls this.
        spool: what was received and not yet delivered.
        here: where images come.
        to: where results go.
        stop: set it to end.
        tell: is told what happens, without a tag of an image; from several threads.
        kinds: which results are made.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    more = threading.Event()
    server = Reception(spool, tell, more.set).listen(here.host, here.port, here.title, here.callers)
    deliverer = Deliverer(spool, to, here.title, tell, stop)
    try:
        port = server.server_address[1]
        tell(
            f"listening on {here.host}:{port} as {here.title}; results go to {to.called} at {to.host}:{to.port}; "
            f"{counted(len(spool.waiting()), 'image')} to be asked about, {len(spool.outgoing())} to be delivered"
            + (f", {kept} kept in {FAILED}" if (kept := spool.aside()) else "")
        )
        deliverer.start()
        while not stop.is_set():
            more.clear()
            for entry in spool.waiting():
                if stop.is_set():
                    break
                if _answered(predictor, spool, entry, kinds, tell):
                    deliverer.more.set()
                else:
                    stop.wait(AGAIN_AFTER_S)
                    break
            more.wait(LOOKS_EVERY_S)
    finally:
        stop.set()
        deliverer.more.set()
        server.shutdown()
        if deliverer.is_alive():
            deliverer.join(LAST_SEND_S)


def _answered(
    predictor: AskedBundle, spool: Spool, entry: Entry, kinds: Sequence[Kind], tell: Callable[[str], None]
) -> bool:
    """Ask about an image and put its results in its place; tell whether it has left the queue."""
    path = spool.image(entry)
    try:
        (said,) = predictor.stream([path], workers=1)
        if said.problem:
            raise DataError(said.problem)
        results = results_about(predictor, path, path.read_bytes(), said, kinds)
    except Exception as error:  # noqa: BLE001  # one image is not the end; the text of an error may quote it
        tell(f"{entry.short} cannot be asked about ({type(error).__name__}); it is kept in {Path(FAILED) / path.name}")
        spool.set_aside(entry)
        return True
    try:
        spool.answered(entry, results)
    except SettingsError as error:
        tell(
            f"the results of {entry.short} cannot be kept: {reason_of(error)}; the image is, and is asked about again "
            f"in {AGAIN_AFTER_S:.0f} s"
        )
        return False
    tell(f"answered {entry.short}")
    return True
