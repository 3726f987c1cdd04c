"""Image files that are refused: one line that says what was found and what to do, and the size that is read."""

from __future__ import annotations

from pathlib import Path

from pneumobench.errors import UnreadableImageError

# a 43 x 35 cm image at 0.1 mm has 15 M; below the size at which Pillow warns by itself
MAX_PIXELS = 80_000_000
COPY_AGAIN = "copy or download it again"


def unreadable(path: Path, found: str, remedy: str) -> UnreadableImageError:
    """Return the error for one file: what was found in it and what to do."""
    return UnreadableImageError(f"{path}: {found}; {remedy}.")


def check_pixel_count(path: Path, width: int, height: int) -> None:
    """Refuse an image that its header declares too large, before memory is taken for it.

    Raises:
        UnreadableImageError: more than MAX_PIXELS, or no pixel at all.
    """
    if width <= 0 or height <= 0:
        raise unreadable(path, f"the header declares {width} x {height} pixels", "export the image again")
    if width * height > MAX_PIXELS:
        raise unreadable(
            path,
            f"the header declares {width} x {height} pixels, at most {MAX_PIXELS:,} are read",
            "export the image at its native size, or remove the file if it is no image",
        )
