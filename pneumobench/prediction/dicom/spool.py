"""What was received and not yet delivered, on disk: whatever moment a process is killed at, nothing is lost.

| where | what lies there | it leaves when |
|---|---|---|
| incoming/KEY.SHA256.dcm | an image whose sender was told that it is kept | its results lie in outgoing |
| outgoing/KEY.SHA256/KIND.dcm | results that wait for delivery | the other side said that it has them |
| failed/KEY.SHA256.dcm | an image that could not be asked about | it is sent again, or somebody looks at it |
| done.txt | KEY and SHA256 of every image whose results were delivered, a line each | never |

KEY is the hash of the image's SOP instance UID, so that no name of a file says who an image is of. A file is written
beside its place, synced, and renamed; so is a folder of results. What two places hold after a kill is further on in
the later one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pneumobench.errors import RecordError, SettingsError
from pneumobench.files import NO_ROOM, cannot_write, sha256_of_text, temporary_folder, written_whole
from pneumobench.prediction.dicom.identity import KINDS, Kind

INCOMING, OUTGOING, FAILED, DONE = "incoming", "outgoing", "failed", "done.txt"
SUFFIX: Final = ".dcm"
KEY_DIGITS: Final = 32
OWNER_ONLY: Final = 0o700  # images of patients lie there


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An image in the queue.

    Args:
        key: hash of its SOP instance UID.
        sha256: of what results about it depend on, beginning.
    """

    key: str
    sha256: str

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.key}.{self.sha256}"

    @property
    def short(self) -> str:
        """What it is called in the log."""
        return self.key[:12]

    @staticmethod
    def of(sop_instance: str, sha256: str) -> Entry:
        """Return the entry of an image by its UID and the SHA-256 of its bytes."""
        return Entry(key=sha256_of_text(sop_instance)[:KEY_DIGITS], sha256=sha256[:KEY_DIGITS])

    @staticmethod
    def named(name: str) -> Entry:
        """Return the entry that a file or folder is named by."""
        key, _, sha256 = name.removesuffix(SUFFIX).partition(".")
        return Entry(key=key, sha256=sha256)


class Spool:
    """The queue in a folder, which one process holds (see `pneumobench.records.locks.claim_folder`).

    Args:
        folder: made where it is not there; for its owner alone.

    Raises:
        SettingsError: the folder cannot be written.
        RecordError: done.txt is none of ours.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._turn = threading.Lock()  # images come by several threads
        make_folder(folder)
        try:
            for name in (INCOMING, OUTGOING, FAILED):
                (folder / name).mkdir(exist_ok=True)
            self._known = dict(self._delivered())
        except OSError as error:
            raise _no_queue(folder, error) from error
        self._settle()

    def keep(self, entry: Entry, content: bytes) -> Literal["new", "same", "other"]:
        """Put an image into the queue and return once it is safe on disk.

        Returns:
            Whether it is new; the same was received before; or another under the same UID was, which is not kept.

        Raises:
            SettingsError: it cannot be written; NoRoomError where the disk is full.
        """
        with self._turn:
            if known := self._known.get(entry.key):
                return "same" if known == entry.sha256 else "other"
            place = self.folder / INCOMING / f"{entry.name}{SUFFIX}"
            try:
                with written_whole(place) as temporary:
                    temporary.write_bytes(content)
                _sync(place.parent)
            except OSError as error:
                raise cannot_write(place.parent, error) from error
            self._known[entry.key] = entry.sha256
            (self.folder / FAILED / place.name).unlink(missing_ok=True)  # it is tried again
            return "new"

    def waiting(self) -> list[Entry]:
        """Return the images that were not asked about yet, the first that came first."""
        return [Entry.named(path.name) for path in _by_age(self.folder / INCOMING)]

    def image(self, entry: Entry) -> Path:
        """Return the file of an image that waits."""
        return self.folder / INCOMING / f"{entry.name}{SUFFIX}"

    def answered(self, entry: Entry, results: Mapping[Kind, bytes]) -> None:
        """Put results in the place of their image, all or none.

        Raises:
            SettingsError: they cannot be written; NoRoomError where the disk is full.
        """
        place = self.folder / OUTGOING / entry.name
        try:
            if not place.is_dir():
                with temporary_folder(place.parent, entry.name) as temporary:
                    whole = temporary / entry.name
                    whole.mkdir()
                    for kind, content in results.items():
                        with (whole / f"{kind}{SUFFIX}").open("wb") as file:
                            file.write(content)
                            file.flush()
                            os.fsync(file.fileno())
                    _sync(whole)
                    whole.rename(place)
                _sync(place.parent)
            self.image(entry).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(place.parent, error) from error

    def set_aside(self, entry: Entry) -> None:
        """Take an image that cannot be asked about out of the queue, and keep it; sent again, it is tried again."""
        with self._turn:
            self.image(entry).replace(self.folder / FAILED / f"{entry.name}{SUFFIX}")
            _sync(self.folder / FAILED)
            self._known.pop(entry.key, None)

    def aside(self) -> int:
        """Return how many images could not be asked about and lie there."""
        return len(_by_age(self.folder / FAILED))

    def outgoing(self) -> list[Entry]:
        """Return the images whose results wait for delivery, the first that was answered first."""
        return [Entry.named(path.name) for path in _by_age(self.folder / OUTGOING)]

    def results(self, entry: Entry) -> list[Path]:
        """Return the files of results that were not delivered yet."""
        found = (self.folder / OUTGOING / entry.name / f"{kind}{SUFFIX}" for kind in KINDS)
        return [path for path in found if path.is_file()]

    def delivered(self, entry: Entry) -> None:
        """Remember that all results of an image are on the other side, and forget them.

        Raises:
            SettingsError: it cannot be written; NoRoomError where the disk is full.
        """
        place = self.folder / DONE
        line = f"{entry.key} {entry.sha256}\n".encode()
        try:
            with place.open("ab") as file:
                start = file.tell()
                try:
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), start)
                    raise
            self._forget(entry)
        except OSError as error:
            raise cannot_write(place, error) from error

    def _forget(self, entry: Entry) -> None:
        place = self.folder / OUTGOING / entry.name
        for path in place.iterdir():
            path.unlink()
        place.rmdir()

    def _settle(self) -> None:
        """Go on where a killed process ended: what lies in two places has reached the later one."""
        for entry in self.outgoing():
            if self._known.get(entry.key) == entry.sha256:
                self._forget(entry)
            self._known[entry.key] = entry.sha256
        for entry in self.waiting():
            if self._known.get(entry.key) == entry.sha256:
                self.image(entry).unlink()
            self._known[entry.key] = entry.sha256

    def _delivered(self) -> Iterator[tuple[str, str]]:
        """Yield what done.txt holds; the beginning of a line that a killed process was writing is cut off."""
        place = self.folder / DONE
        if not place.exists():
            place.touch()
            return
        with place.open("rb+") as file:
            whole = 0
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                key, _, sha256 = line.decode("ascii", "replace").strip().partition(" ")
                if len(key) != KEY_DIGITS or len(sha256) != KEY_DIGITS:
                    raise RecordError(
                        f"{place}: line {number} is no pair of hashes; expected what `pneumobench receive` wrote. "
                        "Name another --queue, or take the line out: its image is then answered again if it comes."
                    )
                whole += len(line)
                yield key, sha256
            file.truncate(whole)


def make_folder(folder: Path) -> None:
    """Make the folder of a queue, for its owner alone; one that holds anything else is left as it is.

    Raises:
        SettingsError: it holds other files, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        if others := sorted(names - {INCOMING, OUTGOING, FAILED, DONE}):
            raise SettingsError(
                f"--queue {folder}: is no queue: it holds {others[0]}. Name a new folder, or one that "
                "`pneumobench receive` made."
            )
        folder.chmod(OWNER_ONLY)
    except OSError as error:
        raise _no_queue(folder, error) from error


def _no_queue(folder: Path, error: OSError) -> SettingsError:
    if error.errno in NO_ROOM:
        return cannot_write(folder, error)
    return SettingsError(f"--queue {folder}: cannot be written: {error.strerror or error}. Name a folder of your own.")


def _by_age(folder: Path) -> list[Path]:
    found = [(path.stat().st_mtime_ns, path.name, path) for path in folder.iterdir() if not path.name.startswith(".")]
    return [path for *_, path in sorted(found)]


def _sync(folder: Path) -> None:
    """Make renames in a folder safe from a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
