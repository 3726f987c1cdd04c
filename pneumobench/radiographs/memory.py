"""How much memory decoding may take: of one image, and of all that are decoded at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pneumobench.radiographs.refusals import unreadable

MAX_DECODED_BYTES: Final = 256 * 2**20  # MAX_PIXELS in 8-bit colour or 16-bit gray
DECODED_AT_ONCE_BYTES: Final = 2 * MAX_DECODED_BYTES
FILES_AT_ONCE_BYTES: Final = 512 * 2**20


class MemoryGate:
    """Lets threads pass while what they declare to take stays below a limit; others wait for their turn.

    What is above the limit by itself passes alone.

    Args:
        limit_bytes: what may be taken at a time.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.taken_bytes = 0
        self._changed = threading.Condition()

    @contextmanager
    def taking(self, size_bytes: int) -> Iterator[None]:
        """Wait until `size_bytes` fit, and hold them while the context lasts."""
        with self._changed:
            self._changed.wait_for(lambda: not self.taken_bytes or self.taken_bytes + size_bytes <= self.limit_bytes)
            self.taken_bytes += size_bytes
        try:
            yield
        finally:
            with self._changed:
                self.taken_bytes -= size_bytes
                self._changed.notify_all()


# Two gates, always passed in this order: the bytes of a file are held while its pixels wait.
FILES: Final = MemoryGate(FILES_AT_ONCE_BYTES)
PIXELS: Final = MemoryGate(DECODED_AT_ONCE_BYTES)


@contextmanager
def decoding(path: Path, decoded_bytes: int) -> Iterator[None]:
    """Hold the memory that decoding an image takes, in turn with other threads.

    Args:
        path: the file, for the message.
        decoded_bytes: what its header says that the decoder will hold.

    Raises:
        UnreadableImageError: one image alone would take more than MAX_DECODED_BYTES.
    """
    if decoded_bytes > MAX_DECODED_BYTES:
        raise unreadable(
            path,
            f"the header declares pixels that take {decoded_bytes / 2**20:.0f} MiB decoded, at most "
            f"{MAX_DECODED_BYTES // 2**20} MiB are read",
            "export it as an 8-bit or 16-bit gray image",
        )
    with PIXELS.taking(decoded_bytes):
        yield
