"""Names of files: what systems and programs leave in every folder, and names that no table can hold."""

from __future__ import annotations

import unicodedata
from typing import Final

_LITTER: Final = frozenset(
    {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "$recycle.bin", "lost+found"}
    | {"system volume information"}
)
_LITTER_STARTS: Final = (".", "~$", "thumbs.db:")  # hidden files (.DS_Store, ._x) and open office documents
_LITTER_ENDS: Final = ("~", ":zone.identifier")  # copies of editors, and where Windows got a file from


def is_litter(name: str) -> bool:
    """Tell whether a file or folder is none of the data set's: made by Windows, macOS, an office program or a notebook.

    >>> [name for name in ("._a.png", "Thumbs.db", "~$list.xlsx", ".ipynb_checkpoints", "a.png") if not is_litter(name)]
    ['a.png']
    """
    folded = name.casefold()
    return folded in _LITTER or folded.startswith(_LITTER_STARTS) or folded.endswith(_LITTER_ENDS)


def is_unusable(name: str) -> bool:
    r"""Tell whether a name has control characters (zero bytes, line ends) or bytes that are no text.

    >>> is_unusable("a\0.png"), is_unusable("M\N{LATIN SMALL LETTER U WITH DIAERESIS}ller 1.png")
    (True, False)
    """
    return any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)
