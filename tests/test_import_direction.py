"""Imports go one way, files stay short, and no module is a drawer for everything."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pneumobench

PACKAGE = Path(pneumobench.__file__).parent

# from left to right: a module imports from its own stage and from stages to its left
ORDER = (
    ("errors", "files", "declared"),
    ("training_spec", "suite", "search_space", "suite_files", "suite_reader", "suite_types", "suite_values"),
    ("radiographs",),
    ("lungs",),
    ("architectures",),
    ("metrics",),
    ("claims",),
    ("training",),
    ("attributions",),
    ("results",),
    ("reporting",),
    ("networks",),
    ("bench",),
    ("job", "control_jobs", "explanation_job", "gallery_job", "film_job", "evaluation_job"),
    ("runner", "search"),
    ("questions",),
    ("cli", "cli_data", "cli_options", "cli_papers", "cli_questions", "cli_search", "__init__", "__main__"),
)
RANK = {stage: rank for rank, stages in enumerate(ORDER) for stage in stages}
# stages side by side: of those to their left they know the foundation, and nothing but this
FOUNDATION = {stage for stages in ORDER[:2] for stage in stages}
SIDE_BY_SIDE = {
    "radiographs": FOUNDATION,
    "lungs": FOUNDATION | {"radiographs"},
    "architectures": FOUNDATION,
    "metrics": FOUNDATION,
    "claims": FOUNDATION | {"metrics"},
    "attributions": FOUNDATION | {"radiographs", "lungs", "architectures", "metrics"},
}
MAX_LINES = 320
DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc", "shared", "tools"}


def imported_stages(source: Path, package: Path) -> list[tuple[int, str]]:
    """Return (line, stage) of every import from the package, those inside functions and TYPE_CHECKING included."""
    inside = source.relative_to(package).parts[:-1]
    found = []
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            home = node.module or ""
            if node.level:
                up = (package.name, *inside)[: len(inside) + 2 - node.level]
                home = ".".join((*up, home) if home else up)
            names = [f"{home}.{alias.name}" for alias in node.names]
        line = getattr(node, "lineno", 0)
        for name in names:
            root, *rest = name.split(".")
            if root == package.name:
                found.append((line, rest[0] if rest and rest[0] in RANK else "__init__"))
    return found


def wrong_imports(package: Path) -> list[str]:
    """Return one line for each import of the package that goes against the order."""
    wrong = []
    for source in sorted(package.rglob("*.py")):
        relative = source.relative_to(package)
        stage = relative.parts[0].removesuffix(".py")
        if stage not in RANK:
            wrong.append(f"{relative}: stage {stage!r} has no place in the order")
            continue
        for line, other in imported_stages(source, package):
            allowed = SIDE_BY_SIDE.get(stage, RANK.keys())
            if RANK[other] > RANK[stage] or (other != stage and other not in allowed):
                wrong.append(f"{relative}:{line}: {stage} imports {other}")
    return wrong


def test_imports_go_one_way() -> None:
    assert wrong_imports(PACKAGE) == []


def test_the_imports_of_the_package_are_really_seen() -> None:
    seen = {stage for source in PACKAGE.rglob("*.py") for _, stage in imported_stages(source, PACKAGE)}
    assert {"errors", "suite", "radiographs", "architectures", "metrics", "results", "reporting", "cli"} <= seen


@pytest.mark.parametrize(
    ("module", "code", "found"),
    [
        ("errors.py", "from pneumobench.suite import Suite", "errors.py:1: errors imports suite"),
        ("suite.py", "def load():\n    import pneumobench.radiographs.index", "suite.py:2: suite imports radiographs"),
        ("metrics/a.py", "from pneumobench.radiographs import index", "metrics/a.py:1: metrics imports radiographs"),
        ("metrics/a.py", "from pneumobench.architectures import x", "metrics/a.py:1: metrics imports architectures"),
        ("architectures/a.py", "from pneumobench.lungs.masks import x", "architectures imports lungs"),
        ("radiographs/a.py", "from ..lungs import masks", "radiographs/a.py:1: radiographs imports lungs"),
        ("radiographs/a.py", "from .. import runner", "radiographs/a.py:1: radiographs imports runner"),
        ("attributions/a.py", "from pneumobench.training import fit", "attributions imports training"),
        ("results/a.py", "import os, pneumobench.reporting.page", "results/a.py:1: results imports reporting"),
        ("job.py", "if TYPE_CHECKING:\n    from pneumobench import cli", "job.py:2: job imports cli"),
        ("reporting/a.py", "from pneumobench import run", "reporting/a.py:1: reporting imports __init__"),
        ("extras.py", "", "extras.py: stage 'extras' has no place in the order"),
    ],
)
def test_a_wrong_import_is_found(module: str, code: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "pneumobench" / module
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    (only,) = wrong_imports(tmp_path / "pneumobench")
    assert only.endswith(found)


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("lungs/masks.py", "from pneumobench.radiographs.index import Index"),
        ("radiographs/a.py", "from .b import c\nfrom . import d\nfrom ..suite import Suite"),
        ("results/run_state.py", "def f():\n    from pneumobench.suite_reader import load_suite"),
        ("cli.py", "from pneumobench.runner import run\nimport torch"),
    ],
)
def test_a_right_import_passes(module: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "pneumobench" / module
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    assert wrong_imports(tmp_path / "pneumobench") == []


def test_no_file_hides_a_second_subject() -> None:
    lines = {
        str(p.relative_to(PACKAGE)): len(p.read_text(encoding="utf-8").splitlines()) for p in PACKAGE.rglob("*.py")
    }
    assert len(lines) > 40
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


def test_no_module_is_a_drawer_for_everything() -> None:
    assert {p.name for p in PACKAGE.rglob("*") if p.stem.strip("_") in DRAWERS} == set()
