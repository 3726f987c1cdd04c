"""What stands in README and the pages of docs/."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
README = REPOSITORY / "README.md"
PAGES = sorted((REPOSITORY / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


def bash_blocks(page: Path) -> str:
    """Return the lines of all shell blocks of a page."""
    return "\n".join(content for language, _, content in BLOCK.findall(page.read_text()) if language == "bash")


def python_blocks(page: Path) -> list[str]:
    """Return the Python of a page, without the parts that are only drawn in (`...`)."""
    return [content for language, _, content in BLOCK.findall(page.read_text()) if language == "python"]


def titled_files(page: Path) -> dict[str, str]:
    """Return the files that a page shows whole, by name; those that are taken from the repository left out."""
    found = BLOCK.findall(page.read_text())
    return {title: content for _, title, content in found if title and not content.startswith("--8<--")}
