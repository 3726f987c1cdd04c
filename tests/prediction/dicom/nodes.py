"""Nodes of a DICOM network on loopback: one that sends, and one that results are sent to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from pydicom import Dataset

from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.dicom.delivery import CLASSES, Destination
from pneumobench.prediction.dicom.identity import KINDS, Kind
from pneumobench.prediction.dicom.node import Listening, run_node
from pneumobench.prediction.dicom.reception import IMAGES
from pneumobench.prediction.dicom.spool import Spool

WAIT_S = 60.0


def until(true: Callable[[], bool], what: str, within_s: float = WAIT_S) -> None:
    """Wait for something."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        time.sleep(0.02)


class Archive:
    """Takes whatever it is sent; `came` holds UID and bytes of each, `refuses` a status to answer with instead."""

    def __init__(self) -> None:
        self.came: list[tuple[str, bytes]] = []
        self.refuses = 0
        self.port = 0

    @property
    def uids(self) -> set[str]:
        return {uid for uid, _ in self.came}

    def store(self, event: Any) -> int:
        if self.refuses:
            return self.refuses
        self.came.append((str(event.request.AffectedSOPInstanceUID), event.encoded_dataset()))
        return 0

    @contextmanager
    def open(self, port: int = 0, without: tuple[str, ...] = ()) -> Iterator[Archive]:
        """Listen while the context lasts."""
        from pynetdicom import AE, evt

        ours = AE(ae_title="ARCHIVE")
        for storage in CLASSES:
            if storage not in without:
                ours.add_supported_context(storage)
        server = ours.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, self.store)])
        assert server is not None
        self.port = server.server_address[1]
        try:
            yield self
        finally:
            server.shutdown()


def store(content: Dataset, port: int, calling: str = "SENDER") -> Dataset:
    """Send an image and return the answer; an empty one where there was none."""
    from pynetdicom import AE

    ours = AE(ae_title=calling)
    for storage in (*IMAGES, *CLASSES):
        ours.add_requested_context(storage, content.file_meta.TransferSyntaxUID)
    association = ours.associate("127.0.0.1", port)
    if not association.is_established:
        raise ConnectionRefusedError
    try:
        answer: Dataset = association.send_c_store(content)
        return answer
    finally:
        association.release()


class Running:
    """A node in a thread of this process."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.port = 0

    def tell(self, words: str) -> None:
        if words.startswith("listening on"):
            self.port = int(words.split(":")[1].split()[0])
        self.told.append(words)

    def says(self, words: str) -> bool:
        return any(words in one for one in list(self.told))


@contextmanager
def running(
    predictor: AskedBundle,
    queue: Path,
    archive_port: int,
    callers: tuple[str, ...] = (),
    kinds: tuple[Kind, ...] = KINDS,
) -> Iterator[Running]:
    """Run a node while the context lasts."""
    node, stop = Running(), threading.Event()
    here = Listening(host="127.0.0.1", port=0, title="PNEUMOBENCH", callers=callers)
    there = Destination(host="127.0.0.1", port=archive_port, called="ARCHIVE")
    thread = threading.Thread(
        target=run_node, args=(predictor, Spool(queue), here, there),
        kwargs={"stop": stop, "tell": node.tell, "kinds": kinds},
    )  # fmt: skip
    thread.start()
    try:
        until(lambda: node.port > 0, "a node that listens")
        yield node
    finally:
        stop.set()
        thread.join(WAIT_S)
    assert not thread.is_alive()


def read(path: Path) -> pydicom.FileDataset:
    """Return a file."""
    return pydicom.dcmread(path)
