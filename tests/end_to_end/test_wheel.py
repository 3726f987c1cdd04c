"""What a user installs holds the declared suites, and nothing under a name that could clash."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.end_to_end.commands import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_suites_as_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for suite in ("quickstart", "smoke", "kermany", "kermany-cpu"):
        assert f"pneumobench/declared_files/suites/{suite}.yaml" in names
    for card in ("kermany", "nih", "rsna", "vindr-pcxr"):
        assert f"pneumobench/declared_files/datasets/{card}.md" in names
    assert "pneumobench/reporting/templates/page.html.j2" in names
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"pneumobench"}


def test_an_installed_package_finds_its_suites(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import sys\n"
        "sys.path[:] = [sys.argv[1], *(path for path in sys.path if path != sys.argv[2])]  # not the checkout\n"
        "import pneumobench\n"
        "from pneumobench.suite.shipped import suite_names, suite_path\n"
        "assert pneumobench.__file__.startswith(sys.argv[1]), pneumobench.__file__\n"
        "print(','.join(suite_names())); print(suite_path('smoke'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "site"), str(REPOSITORY)],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (
        done.stdout.splitlines()[0]
        == "kermany,kermany-cpu,kermany-lite0,kermany-official,kermany-two-networks,quickstart,search-demo,smoke"
    )
    assert str(tmp_path / "site") in done.stdout.splitlines()[1]
