"""Images by C-STORE: looked at, kept on disk, and only then answered with success. Source: DICOM PS3.4 annex B."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydicom import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from pneumobench.errors import DataError, SettingsError, UnreadableImageError
from pneumobench.files import sha256_of_bytes
from pneumobench.prediction.dicom.source import Source, read_source
from pneumobench.prediction.dicom.spool import Entry, Spool
from pneumobench.radiographs.dicom_header import NO_CHEST, NO_RADIOGRAPHY
from pneumobench.radiographs.formats import MAX_FILE_BYTES, Radiograph, decode_radiograph
from pneumobench.radiographs.plausibility import implausible

if TYPE_CHECKING:
    from pynetdicom.events import Event
    from pynetdicom.transport import ThreadedAssociationServer

IMAGES: Final = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)
# Source: DICOM PS3.4 table B.2-1; the last digits of Cxxx are free
SUCCESS, NO_ROOM, NOT_ITS_CLASS, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xA900, 0xC000
OTHER_CONTENT, NO_CHEST_RADIOGRAPH = 0xC001, 0xC002
ASSOCIATIONS: Final = 8  # at a time; each holds an image in memory
PDU_BYTES: Final = 2**18  # of what is received in one piece
IDLE_S: Final = 60.0  # an association that says nothing ends
COMMENT_LETTERS: Final = 64  # of ErrorComment. Source: DICOM PS3.7 C.4
ASKED: Final = Path("image")  # what messages call it


class Refusal(Exception):  # noqa: N818  # an answer, not a fault
    """Why an image is not taken, and the status that says it."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Reception:
    """Answers C-STORE and C-ECHO.

    Args:
        spool: where images are kept.
        tell: is told what happens, without a tag of an image.
        more: is called when an image was kept.
    """

    def __init__(self, spool: Spool, tell: Callable[[str], None], more: Callable[[], None]) -> None:
        self.spool, self.tell, self.more = spool, tell, more

    def listen(self, host: str, port: int, title: str, callers: Sequence[str]) -> ThreadedAssociationServer:
        """Begin to answer, in threads of their own; `shutdown` of what is returned ends it.

        Args:
            host: address to listen on.
            port: where; 0 = any free one.
            title: our AE title.
            callers: AE titles that may call; none = all.

        Raises:
            SettingsError: the address is in use, or none of this machine.
        """
        from pynetdicom import AE, evt
        from pynetdicom.sop_class import Verification

        ours = AE(ae_title=title)
        ours.maximum_associations = ASSOCIATIONS
        ours.maximum_pdu_size = PDU_BYTES
        ours.network_timeout = ours.acse_timeout = ours.dimse_timeout = IDLE_S
        ours.require_calling_aet = list(callers)
        ours.add_supported_context(Verification)
        for storage in IMAGES:
            ours.add_supported_context(storage, _readable())
        try:
            server = ours.start_server(
                (host, port),
                block=False,
                evt_handlers=[(evt.EVT_CONN_OPEN, _bound), (evt.EVT_C_STORE, self.store), (evt.EVT_C_ECHO, self.echo)],
            )
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {host}:{port}: {error.strerror or error}. Choose another --port, or a --host of "
                "this machine."
            ) from error
        assert server is not None, "it returns at once"
        return server

    def echo(self, event: Event) -> int:
        """Answer that we are there."""
        _message_ended(event)
        return SUCCESS

    def store(self, event: Event) -> Dataset:
        """Answer to an image: success where it is safe on disk, and why not otherwise."""
        answer = Dataset()
        try:
            _message_ended(event)
            self._keep(event)
            answer.Status = SUCCESS
        except Refusal as refusal:
            answer.Status, answer.ErrorComment = refusal.status, str(refusal)[:COMMENT_LETTERS]
            self.tell(f"refused an image with status 0x{refusal.status:04X}: {refusal}")
        except Exception as error:  # noqa: BLE001  # its text may quote the image
            answer.Status = NOT_UNDERSTOOD
            self.tell(f"refused an image with status 0x{NOT_UNDERSTOOD:04X}: {type(error).__name__} while it was read")
        return answer

    def _keep(self, event: Event) -> None:
        asked: Any = event.request
        content = event.encoded_dataset()
        source, problem = None, ""
        try:
            source = read_source(ASKED, content)
        except UnreadableImageError as error:
            problem = _words(error)
        if source is None or (source.sop_class, source.sop_instance) != (
            str(asked.AffectedSOPClassUID),
            str(asked.AffectedSOPInstanceUID),
        ):
            raise Refusal(NOT_ITS_CLASS, problem or "its UIDs are not those that it was announced by")
        if source.own:
            raise Refusal(NOT_UNDERSTOOD, "a result of pneumobench is no radiograph")
        try:
            radiograph = decode_radiograph(ASKED, content)
            implausible(ASKED, radiograph.gray)
        except DataError as error:
            raise Refusal(NOT_UNDERSTOOD, _words(error)) from None
        for note in radiograph.notes:
            if note in (NO_RADIOGRAPHY, NO_CHEST):
                raise Refusal(NO_CHEST_RADIOGRAPH, note)
        entry = Entry.of(source.sop_instance, _asked_digest(source, radiograph))
        try:
            kept = self.spool.keep(entry, content)
        except (SettingsError, OSError) as error:
            raise Refusal(NO_ROOM, f"cannot be kept: {reason_of(error)}; send it again later") from error
        if kept == "other":
            raise Refusal(OTHER_CONTENT, "another image with the same SOP instance UID was received before")
        if kept == "same":
            self.tell(f"received {entry.short} again: it is not asked about a second time")
        else:
            self.tell(f"received {entry.short}")
            self.more()


def _asked_digest(source: Source, radiograph: Radiograph) -> str:
    """Return the SHA-256 of all that results depend on, however the image was encoded on its way."""
    shape = repr((radiograph.gray.shape, radiograph.notes, source.described()))
    return sha256_of_bytes(shape.encode() + radiograph.gray.tobytes())


def _words(error: Exception) -> str:
    return str(error).removeprefix(f"{ASKED}: ").rstrip(".")


def reason_of(error: BaseException) -> str:
    """Return in the words of the system why the queue cannot be written."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return (cause.strerror if isinstance(cause, OSError) else None) or "the queue cannot be written"


def _readable() -> list[UID]:
    """Return the transfer syntaxes that are decoded here; a deflated image would be inflated however large it is."""
    found = []
    for syntax in AllTransferSyntaxes:
        if syntax == DeflatedExplicitVRLittleEndian:
            continue
        with suppress(NotImplementedError):
            if not syntax.is_encapsulated or get_decoder(syntax).is_available:
                found.append(UID(syntax))
    return found


class _Bounded:
    """Receives no more of a message than an image may have: what is longer ends the connection."""

    def __init__(self, receive: Callable[[int], bytearray]) -> None:
        self.receive, self.taken = receive, 0
        self.turn = threading.Lock()

    def __call__(self, count: int) -> bytearray:
        with self.turn:
            self.taken += count
            # a piece may be longer than we asked for by its own head
            if count > 2 * PDU_BYTES or self.taken > MAX_FILE_BYTES:
                raise OSError("more than an image")
        return self.receive(count)


def _bound(event: Event) -> None:
    socket: Any = event.assoc.dul.socket
    socket.socket.settimeout(IDLE_S)  # in the middle of a piece, too
    socket.recv = _Bounded(socket.recv)


def _message_ended(event: Event) -> None:
    socket: Any = event.assoc.dul.socket
    if socket is not None and isinstance(socket.recv, _Bounded):
        socket.recv.taken = 0
