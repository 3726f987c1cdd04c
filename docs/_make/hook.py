"""MkDocs hook: adds the pages that are made from the code and from files of the repository."""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))  # mkdocs runs this file by its path

from docs._make import notebooks, reference, repository  # noqa: E402

INTRODUCED = {
    "reference/commands.md": reference.commands_page,
    "reference/suite.md": reference.suite_page,
    "reference/metrics.md": reference.metrics_page,
    "reference/api.md": reference.api_page,
}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add generated pages; a page in docs/reference/ is the introduction of what is generated below it."""
    made = {}
    for page, make in INTRODUCED.items():
        made[page] = make((REPOSITORY / "docs" / page).read_text(encoding="utf-8"))
    made |= {page: repository.page_text(page) for page in repository.PAGES}
    made |= {figure: (REPOSITORY / file).read_text(encoding="utf-8") for figure, file in repository.FIGURES.items()}
    for path in sorted((REPOSITORY / "docs/notebooks").glob("*.ipynb")):
        made[f"notebooks/{path.stem}.md"] = notebooks.notebook_page(path)
    for page, text in made.items():
        if (written := files.get_file_from_path(page)) is not None:
            files.remove(written)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Turn links of the pages in docs/ to files of the repository, which work where they stand, to their pages."""
    name = page.file.src_uri
    return repository.own_page(name, markdown) if (REPOSITORY / "docs" / name).is_file() else markdown
