"""Imports go one way, files stay short, and no module is a drawer for everything."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pneumobench

PACKAGE = Path(pneumobench.__file__).parent

# from left to right: a module imports from its own room and from rooms to its left; rooms side by side do not know
# each other
ORDER = (
    ("errors", "texts"),
    ("files",),
    ("metrics",),
    ("claims", "suite", "phantoms"),
    ("radiographs", "architectures"),
    ("datasets",),
    ("lungs",),
    ("training", "attributions", "records"),
    ("prediction", "leaderboard"),
    ("reporting",),
    ("runs",),
    ("search",),
    ("serving",),
    ("__init__",),
    ("cli",),
    ("__main__",),
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
MAX_AT_THE_ROOT = 5
MAX_LINES = 300
DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc", "shared", "tools"}


def imported_rooms(source: Path, package: Path) -> list[tuple[int, str]]:
    """Return (line, room) of every import from the package, those inside functions and TYPE_CHECKING included."""
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
        room = relative.parts[0].removesuffix(".py")
        if room not in RANK:
            wrong.append(f"{relative}: room {room!r} has no place in the order")
            continue
        for line, other in imported_rooms(source, package):
            if other != room and RANK[other] >= RANK[room]:
                wrong.append(f"{relative}:{line}: {room} imports {other}")
    return wrong


def test_imports_go_one_way() -> None:
    assert wrong_imports(PACKAGE) == []


def test_the_imports_of_the_package_are_really_seen() -> None:
    seen = {room for source in PACKAGE.rglob("*.py") for _, room in imported_rooms(source, PACKAGE)}
    assert {
        "errors",
        "suite",
        "radiographs",
        "architectures",
        "metrics",
        "records",
        "leaderboard",
        "reporting",
        "cli",
    } <= seen


@pytest.mark.parametrize(
    ("module", "code", "found"),
    [
        ("errors.py", "from pneumobench.suite import spec", "errors.py:1: errors imports suite"),
        ("suite/a.py", "def load():\n    import pneumobench.datasets.index", "suite/a.py:2: suite imports datasets"),
        ("metrics/a.py", "from pneumobench.datasets import index", "metrics/a.py:1: metrics imports datasets"),
        ("claims/a.py", "from pneumobench.suite.spec import Suite", "claims/a.py:1: claims imports suite"),
        ("architectures/a.py", "from pneumobench.radiographs.formats import x", "architectures imports radiographs"),
        ("radiographs/a.py", "from ..lungs import masks", "radiographs/a.py:1: radiographs imports lungs"),
        ("radiographs/a.py", "from .. import runs", "radiographs/a.py:1: radiographs imports runs"),
        ("attributions/a.py", "from pneumobench.training import fit", "attributions imports training"),
        ("records/a.py", "import os, pneumobench.reporting.page", "records/a.py:1: records imports reporting"),
        ("runs/a.py", "if TYPE_CHECKING:\n    from pneumobench import cli", "runs/a.py:2: runs imports cli"),
        ("reporting/a.py", "from pneumobench import run", "reporting/a.py:1: reporting imports __init__"),
        ("extras.py", "", "extras.py: room 'extras' has no place in the order"),
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
        ("lungs/masks.py", "from pneumobench.datasets.index import Index"),
        ("radiographs/a.py", "from .b import c\nfrom . import d\nfrom ..suite.spec import Suite"),
        ("records/run_state.py", "def f():\n    from pneumobench.suite.reader import load_suite"),
        ("cli/main.py", "from pneumobench.runs.run import run\nimport torch"),
        ("cli/main.py", "import pneumobench"),
    ],
)
def test_a_right_import_passes(module: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "pneumobench" / module
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    assert wrong_imports(tmp_path / "pneumobench") == []


def imported_when_loaded(source: Path, package: Path) -> set[Path]:
    """Return the files of the package that a file imports while it is loaded itself."""
    found = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:  # not those inside functions or TYPE_CHECKING
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package.name):
            home = package.parent / node.module.replace(".", "/") if node.module else package
            for path in (home.with_suffix(".py"), *(home / f"{alias.name}.py" for alias in node.names)):
                if path.is_file():
                    found.add(path)
    return found


def circles(package: Path) -> list[str]:
    """Return the files that are loaded again, through others, while they are being loaded."""
    graph = {source: imported_when_loaded(source, package) for source in package.rglob("*.py")}
    reached = {source: set(others) for source, others in graph.items()}
    for _ in graph:
        grown = {source: others.union(*(graph[other] for other in others)) for source, others in reached.items()}
        if grown == reached:
            break
        reached = grown
    return sorted(str(source.relative_to(package)) for source, others in reached.items() if source in others)


def test_no_import_runs_in_a_circle(tmp_path: Path) -> None:
    assert circles(PACKAGE) == []
    (tmp_path / "pneumobench/suite").mkdir(parents=True)
    for name, other in (("spec", "rules"), ("rules", "shipped"), ("shipped", "spec"), ("types", "spec")):
        text = f"from pneumobench.suite.{other} import x\n"
        (tmp_path / f"pneumobench/suite/{name}.py").write_text(text)
    assert circles(tmp_path / "pneumobench") == ["suite/rules.py", "suite/shipped.py", "suite/spec.py"]


def test_no_file_hides_a_second_subject() -> None:
    lines = {
        str(p.relative_to(PACKAGE)): len(p.read_text(encoding="utf-8").splitlines()) for p in PACKAGE.rglob("*.py")
    }
    assert len(lines) > 40
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


def test_the_root_holds_rooms_not_modules() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MAX_AT_THE_ROOT


def test_no_module_is_a_drawer_for_everything() -> None:
    assert {p.name for p in PACKAGE.rglob("*") if p.stem.strip("_") in DRAWERS} == set()
