"""Small things that every sentence needs: numbers with their nouns, and foreign text that may be shown anywhere."""

from __future__ import annotations

import re
import unicodedata

IRREGULAR = {"is": "are", "was": "were", "has": "have", "does": "do"}
_MARKDOWN_LINK = re.compile(r"!?\[(?=[^\]]*\]\s*[(\[:])|!(?=\[)")
_ADDRESS = re.compile(r"(https?|ftp):(?=//)|(mailto|xmpp):", flags=re.IGNORECASE)  # what becomes a link by itself


def counted(count: int, noun: str, several: str = "") -> str:
    """Return a number with its noun.

    >>> counted(1, "epoch"), counted(3, "epoch"), counted(12345, "image"), counted(0, "copy", "copies")
    ('1 epoch', '3 epochs', '12,345 images', '0 copies')
    """
    return f"{count:,} {noun if count == 1 else several or f'{noun}s'}"


def verb(count: int, one: str) -> str:
    """Return the form of a verb that goes with a number.

    >>> verb(1, "has"), verb(2, "has"), verb(2, "shows")
    ('has', 'have', 'show')
    """
    return one if count == 1 else IRREGULAR.get(one, one.removesuffix("s"))


def safe_text(text: str) -> str:
    r"""Return text that only shows itself: what would steer a terminal or turn the direction of reading is written out.

    Line breaks and tabulators stay, as they are in our own messages.

    >>> safe_text("film\x1b[31m\u202e.png")
    'film\\x1b[31m\\u202e.png'
    """
    return "".join(
        character.encode("unicode_escape").decode("ascii") if _steers(character) else character for character in text
    )


def _steers(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def markdown_text(text: str) -> str:
    r"""Return text on one line as a cell or a sentence of a Markdown page: no markup, link, picture or cell border.

    >>> markdown_text("a|b <i> ![x](http://example.org)")
    'a\\|b &lt;i&gt; \\!\\[x](http:&#8203;//example.org)'
    """
    plain = safe_text(" ".join(text.split()))
    for character, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("`", "&#96;")):
        plain = plain.replace(character, safe)
    plain = _MARKDOWN_LINK.sub(lambda found: "".join(f"\\{character}" for character in found[0]), plain)
    plain = _ADDRESS.sub(lambda found: f"{found[0]}&#8203;", plain)
    return re.sub(r"www\.|(?<=\w)@(?=\w)", lambda found: found[0].replace(".", "&#46;").replace("@", "&#64;"), plain)
