"""Checkpoints that survive a crash while they are written: synced, hashed, with the previous one kept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from lightning.fabric.plugins import CheckpointIO

from pneumobench.errors import RecordError
from pneumobench.files import sha256_of_file, write_text, written_whole


class SafeCheckpointIO(CheckpointIO):
    """Writes NAME and NAME.sha256 in the target folder, and moves the older pair to NAME.previous first.

    Lightning's own writer moves the file out of the system's temporary folder, which is not atomic across file
    systems. Tensors and plain values only: files are read with `weights_only=True`.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint, whole or not at all."""
        del storage_options
        target = Path(path)
        new = target.with_name(target.name + ".new")
        with written_whole(new) as temporary, temporary.open("wb") as file:
            hashed = _HashedFile(file)
            try:
                torch.save(checkpoint, cast(BinaryIO, hashed))
            except RuntimeError as error:  # PyTorch says something else of a full disk
                raise hashed.failed or error from None
        if target.exists() and _digest_file(target).exists():  # without a hash it was never finished
            target.replace(_previous(target))
            _digest_file(target).replace(_digest_file(_previous(target)))
        new.replace(target)
        write_text(_digest_file(target), hashed.digest.hexdigest() + "\n")

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint to go on from, or the previous one where the newest is damaged.

        Raises:
            RecordError: neither is whole.
        """
        del weights_only
        target = Path(path)
        for candidate in (target, _previous(target)):
            if is_whole(candidate):
                return _loaded(candidate, map_location or "cpu")
        raise RecordError(f"{target}: the checkpoint and the one before it are damaged; delete the job's folder.")

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Delete a checkpoint with its hash and its predecessor."""
        remove_checkpoint(Path(path))


class _HashedFile:
    """A file that is hashed while it is written; PyTorch writes one from its beginning to its end."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()
        self.failed: OSError | None = None

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.failed = error
            raise

    def flush(self) -> None:
        self.file.flush()


def is_whole(path: Path) -> bool:
    """Tell whether a checkpoint exists and its hash is the one written beside it."""
    if not path.is_file():
        return False
    # a kill between two renames leaves the previous file beside the hash that was the newest one's
    digests = [_digest_file(path), _digest_file(path.with_name(path.name.removesuffix(".previous")))]
    known = {digest.read_text().strip() for digest in digests if digest.is_file()}
    return bool(known) and sha256_of_file(path) in known


def can_resume(path: Path) -> bool:
    """Tell whether the checkpoint or its predecessor is whole."""
    return is_whole(path) or is_whole(_previous(path))


def written_here(path: Path) -> dict[str, Any]:
    """Return the checkpoint that this run has just written, without a look at its hash."""
    return _loaded(path, "cpu")


def remove_checkpoint(path: Path) -> None:
    """Delete a checkpoint with its hash and its predecessor; missing files are no fault."""
    for file in (path, _previous(path)):
        file.unlink(missing_ok=True)
        _digest_file(file).unlink(missing_ok=True)


def _loaded(path: Path, map_location: Any) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True, mmap=True)
    return checkpoint


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".previous")


def _digest_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
