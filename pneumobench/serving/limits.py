"""What a server takes from others at most, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 2**20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a server takes, so that neither its memory nor its time runs out.

    Args:
        film_bytes: of one file; an uncompressed image of 16 bits and 30 million pixels fits.
        held_bytes: of all files that are being received or wait, together.
        waiting: films that are asked about or wait for their turn; they are asked about one at a time.
        form_bytes: of what a multipart form holds beside the file.
        form_parts: of such a form.
        idle_s: seconds within which a request must begin, and go on once it began.
        least_rate: bytes a second that a body must come with, `idle_s` left out.
        body_s: seconds within which a body must have come.
        drained_s: seconds that the body of a refused request is read on and thrown away; who still sends hears nothing.
        rate: requests a minute that one address may make, evenly.
        burst: requests that it may make at once.
        addresses: that are remembered for it.
        connections: that are open together; one more is closed.
    """

    film_bytes: int = 64 * MIB
    held_bytes: int = 256 * MIB
    waiting: int = 16
    form_bytes: int = 16 * 1024
    form_parts: int = 8
    idle_s: float = 10.0
    least_rate: int = 32 * 1024
    body_s: float = 120.0
    drained_s: float = 5.0
    rate: int = 240
    burst: int = 60
    addresses: int = 4096
    connections: int = 2048
