"""The documentation is whole: links lead somewhere, pages name every public name, command and key, notebooks run."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

import pneumobench
from docs._make import reference, repository
from pneumobench import metrics
from pneumobench.cli.main import COMMANDS
from pneumobench.cli.options import command_parser
from pneumobench.metrics.table import METRICS
from pneumobench.suite.types import known_keys
from tests.documentation.pages import PAGES, README, REPOSITORY, python_blocks

LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
NOTEBOOKS = sorted((REPOSITORY / "docs/notebooks").glob("*.ipynb"))
TINY = {
    "quickstart": 'SUITE = "smoke"\nCHANGES = dict(name="notebook", architectures=["test_resnet", "test_vit"])',
    "own-network": 'SUITE = "smoke"\nCHANGES = dict(name="own-network", architectures=["test_resnet", "notebook_net"])',
}
# sentences that turned out to be about the outline of the lung masks, not about lungs
ARTEFACTS = ("lungs blanked out* reaches", "on images without lungs than on lungs alone")


def public_objects() -> dict[str, Any]:
    """Return every public name that a user is shown, methods of public classes included."""
    found: dict[str, Any] = {}
    for home, module in (("pneumobench", pneumobench), ("pneumobench.metrics", metrics)):
        for name in module.__all__:
            if name.startswith("__"):
                continue
            found[f"{home}.{name}"] = whole = getattr(module, name)
            if inspect.isclass(whole) and whole.__module__.startswith("pneumobench"):
                own = {key: item for key, item in vars(whole).items() if not key.startswith("_")}
                methods = {key: item for key, item in own.items() if callable(item) or isinstance(item, property)}
                found |= {f"{home}.{name}.{key}": item for key, item in methods.items()}
    return found


def missing_docstrings(objects: dict[str, Any]) -> list[str]:
    """Return the names without a docstring of their own."""
    return [name for name, item in objects.items() if not inspect.getdoc(item) or not item.__doc__]


def test_every_public_name_has_a_docstring() -> None:
    objects = public_objects()
    assert len(objects) > 40
    assert missing_docstrings(objects) == []


def test_a_missing_docstring_is_found() -> None:
    def bare() -> None: ...

    assert missing_docstrings({"bare": bare, "run": pneumobench.run}) == ["bare"]


def test_the_api_reference_holds_every_public_name() -> None:
    page = reference.api_page("# Python API")
    shown = set(re.findall(r"^::: (\S+)$", page, flags=re.MULTILINE))
    names = {name for name in public_objects() if name.count(".") == (2 if ".metrics." in name else 1)}
    assert names <= shown


def test_the_command_reference_holds_every_option() -> None:
    page = reference.commands_page("# Commands")
    for name, command, summary in reference.commands(command_parser(COMMANDS)):
        assert f"\n## {name}\n" in page
        assert summary
        for action in command._actions:
            for option in set(action.option_strings) - {"-h", "--help"}:
                assert f"`{option}" in page


def test_the_suite_reference_holds_every_key_with_its_meaning() -> None:
    page = reference.suite_page("# Keys")
    for key, kind in known_keys().items():
        if not hasattr(kind, "__dataclass_fields__"):
            (row,) = [line for line in page.splitlines() if line.startswith(f"| `{key}` |")]
            assert row.split(" | ")[-1].strip(" |"), f"{key} has no meaning in its docstring"


def test_the_metric_reference_holds_every_metric() -> None:
    page = reference.metrics_page("# Metrics")
    for metric in METRICS.values():
        (row,) = [line for line in page.splitlines() if f"| `{metric.name}` |" in line]
        assert metric.meaning in row


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_between_files_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page}: {target}"


def test_links_to_files_become_links_to_their_pages() -> None:
    text = "[a](../../leaderboard/framing/README.md#x) [b](../how-to/own-data.md) [c](../notebooks/quickstart.ipynb)"
    expected = "[a](../results/framing.md#x) [b](../how-to/own-data.md) [c](../notebooks/quickstart.md)"
    assert repository.own_page("concepts/folds.md", text) == expected
    with pytest.raises(ValueError, match=r"docs/concepts/folds\.md: links to \.\./\.\./setup\.py, which has no page"):
        repository.own_page("concepts/folds.md", "[d](../../setup.py)")


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_python_of_the_pages_uses_names_that_exist(page: Path) -> None:
    for block in python_blocks(page):
        if block.startswith("--8<--") or "(..." in block:  # the file itself, or a sketch of it
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "pneumobench":
                for alias in node.names:
                    assert alias.name in pneumobench.__all__, f"{page}: {alias.name}"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pb":
                assert node.attr in pneumobench.__all__, f"{page}: pb.{node.attr}"


def test_what_was_an_artefact_is_not_repeated() -> None:
    for page in (README, *PAGES):
        text = " ".join(page.read_text().split())
        assert not any(words in text for words in ARTEFACTS), page


@pytest.mark.parametrize("page", sorted(repository.PAGES))
def test_files_of_the_repository_become_pages(page: str) -> None:
    assert repository.page_text(page).removeprefix(repository.WIDE).startswith("# ")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if "outputs" in cell)


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    notebook = nbformat.read(path, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    parameters.source = f"{TINY[path.stem]}\nRUNS = Path('runs')"
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert list(tmp_path.glob("runs/*/leaderboard/index.html"))
