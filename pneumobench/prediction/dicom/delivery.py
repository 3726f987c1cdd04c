"""Results to the node that they go to: again and again, ever more rarely, until it says that it has them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)

from pneumobench.errors import SettingsError
from pneumobench.prediction.dicom.spool import Spool
from pneumobench.radiographs.dicom import warnings_heard

CLASSES: Final = (SecondaryCaptureImageStorage, ComprehensiveSRStorage, ParametricMapStorage)
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0
NETWORK_TIMEOUT_S: Final = 30.0
HAS_IT: Final = 0x0111  # a kill came between its answer and our note of it. Source: DICOM PS3.7 C.5.6, duplicate
TITLE_LETTERS: Final = 16


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A node that results are sent to.

    Args:
        host, port: where it listens.
        called: its AE title.
    """

    host: str
    port: int
    called: str

    @staticmethod
    def of(text: str, called: str) -> Destination:
        """Read HOST:PORT.

        Raises:
            SettingsError: it is none, or the title is not one.
        """
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 2**16:
            raise SettingsError(f"--to {text}: expected HOST:PORT of the node that results go to, e.g. pacs.local:104.")
        return Destination(host=host.strip("[]"), port=int(port), called=checked_title(called, "--called"))


def checked_title(title: str, option: str) -> str:
    """Return an AE title.

    Raises:
        SettingsError: it is none. Source: DICOM PS3.5 6.2, AE.
    """
    if (
        not title.strip()
        or len(title) > TITLE_LETTERS
        or not title.isascii()
        or "\\" in title
        or not title.isprintable()
    ):
        raise SettingsError(
            f"{option} {title!r}: expected an AE title: 1 to {TITLE_LETTERS} letters of ASCII without a backslash."
        )
    return title


class UnreachableError(Exception):
    """The other side does not answer, refuses us, or ended the association: nothing else can be sent now."""


def send(files: Sequence[Path], to: Destination, calling: str, sent: Callable[[Path], None]) -> str:
    """Send files and tell of each that the other side has it; return why one was not taken, or nothing.

    Args:
        files: results.
        to: where they go.
        calling: our AE title.
        sent: is told of each file.

    Raises:
        UnreachableError: nothing can be sent now.
    """
    from pynetdicom import AE
    from pynetdicom.status import STATUS_SUCCESS, STATUS_WARNING, code_to_category

    if not files:
        return ""
    ours = AE(ae_title=calling)
    ours.acse_timeout = ours.dimse_timeout = ours.network_timeout = ours.connection_timeout = NETWORK_TIMEOUT_S
    for storage in CLASSES:
        for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):  # apart: as it is written, where it is taken so
            ours.add_requested_context(storage, syntax)
    problem = ""
    with warnings_heard():
        try:
            association = ours.associate(to.host, to.port, ae_title=to.called)
        except OSError as error:  # a name that is no machine
            raise UnreachableError(f"{to.called} at {to.host}:{to.port}: {error.strerror or error}") from None
        if not association.is_established:
            why = "refuses us" if association.is_rejected else "does not answer"
            raise UnreachableError(f"{to.called} at {to.host}:{to.port} {why}")
        try:
            for file in files:
                try:
                    status = int(association.send_c_store(pydicom.dcmread(file)).get("Status", -1))
                except ValueError:  # no presentation context for it
                    problem = f"{to.called} takes no {file.stem}; leave it out with --results"
                    continue
                except RuntimeError:
                    raise UnreachableError(f"{to.called} ended the association") from None
                if status < 0:
                    raise UnreachableError(f"{to.called} did not answer for a {file.stem}")
                if status == HAS_IT or code_to_category(status) in (STATUS_SUCCESS, STATUS_WARNING):
                    sent(file)
                else:
                    problem = f"{to.called} refused a {file.stem} with status 0x{status:04X}"
        finally:
            association.release()
    return problem


class Deliverer(threading.Thread):
    """Sends what waits in a queue, in its order; what is not taken waits twice as long each time.

    Args:
        spool: the queue.
        to: where results go.
        calling: our AE title.
        tell: is told what happens.
        stop: ends it after what is being sent.
    """

    def __init__(
        self, spool: Spool, to: Destination, calling: str, tell: Callable[[str], None], stop: threading.Event
    ) -> None:
        super().__init__(name="delivery", daemon=True)
        self.spool, self.to, self.calling, self.tell, self.stop = spool, to, calling, tell, stop
        self.more = threading.Event()  # set where there may be something to send

    def run(self) -> None:
        """Send until asked to stop."""
        wait_s = FIRST_WAIT_S
        while not self.stop.is_set():
            self.more.clear()
            problem = self._round()
            if problem:
                self.tell(f"not delivered: {problem}; next try in {wait_s:.0f} s, nothing is lost")
                self.stop.wait(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            else:
                wait_s = FIRST_WAIT_S
                self.more.wait(1.0)

    def _round(self) -> str:
        """Send all that waits; return what is wrong with the last that was not taken."""
        problem = ""
        for entry in self.spool.outgoing():
            if self.stop.is_set():
                break
            try:
                found = send(self.spool.results(entry), self.to, self.calling, Path.unlink)
                if found:
                    problem = found
                    continue
                self.spool.delivered(entry)
                self.tell(f"delivered the results of {entry.short}")
            except UnreachableError as error:
                return str(error)
            except (SettingsError, OSError) as error:  # a full disk: what was sent is sent again, under the same UIDs
                problem = str(error)
            except Exception as error:  # noqa: BLE001  # one damaged file is not the end; its text may quote it
                problem = f"the results of {entry.short} cannot be sent ({type(error).__name__})"
        return problem
