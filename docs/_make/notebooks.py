"""Notebooks as pages: their text and code; with DOCS_EXECUTE_NOTEBOOKS=1 they run first and show what they print."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

EXECUTE = "DOCS_EXECUTE_NOTEBOOKS"


def notebook_page(path: Path) -> str:
    """Return a notebook as Markdown, with a link to the file itself."""
    notebook = nbformat.read(path, as_version=4)
    if os.environ.get(EXECUTE):
        from nbclient import NotebookClient

        NotebookClient(notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
    text, _ = MarkdownExporter().from_notebook_node(notebook)
    return f"{text.rstrip()}\n\n[The notebook itself]({path.name})\n"
