from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pneumobench.errors import RecordError, SettingsError
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.leaderboard import write_leaderboard


def written(run: RunFolder) -> dict[str, bytes]:
    """Return all files of the leaderboard by their path in its folder."""
    home = run.leaderboard
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_all_files_are_written_twice_alike(run: RunFolder) -> None:
    first = write_leaderboard(run.path)
    files = written(run)
    pages = {f"architectures/{name}.html" for name in ("resnet18", "densenet121", "vit_base_patch16_224")}
    assert set(files) == {"index.html", "side-by-side.html", "leaderboard.csv", "leaderboard.json", "README.md"} | pages
    assert first.page == run.leaderboard / "index.html"
    write_leaderboard(run.path)
    assert written(run) == files


def test_a_copy_elsewhere_gives_the_same_bytes(run: RunFolder, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(run.path, copy)
    first, second = write_leaderboard(run.path), write_leaderboard(copy)
    for name in ("page", "csv", "json", "readme"):
        assert getattr(first, name).read_bytes() == getattr(second, name).read_bytes()


def test_weights_and_images_are_not_needed(run: RunFolder) -> None:
    before = write_leaderboard(run.path)
    csv, data = before.csv.read_bytes(), before.json.read_bytes()
    for path in (*run.path.glob("*/fold-*/weights.safetensors"), run.environment_json, run.audit_json):
        path.unlink()
    for path in run.path.glob("*/fold-*/attributions"):
        shutil.rmtree(path)
    after = write_leaderboard(run.path)
    assert after.csv.read_bytes() == csv
    assert after.json.read_bytes() == data
    assert "pneumobench run fake\n" in after.readme.read_text()


def test_a_damaged_run_leaves_the_old_leaderboard_untouched(run: RunFolder) -> None:
    write_leaderboard(run.path)
    files = written(run)
    path = run.predictions_path("resnet18", 0)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(RecordError, match="found SHA-256"):
        write_leaderboard(run.path)
    assert written(run) == files


def test_a_folder_that_cannot_be_written_is_one_clear_error(run: RunFolder) -> None:
    run.leaderboard.write_text("a file where the folder belongs")
    with pytest.raises(SettingsError, match=r"cannot write .*leaderboard"):
        write_leaderboard(run.path)


def test_the_literal_command_comes_from_the_environment(run: RunFolder) -> None:
    paths = write_leaderboard(run.path)
    assert "pneumobench run fake.yaml --data data\n" in paths.readme.read_text()
    assert "pneumobench run fake.yaml --data data<" in paths.page.read_text()
    run.environment_json.write_text(json.dumps({"command": 3}))
    assert "pneumobench run fake\n" in write_leaderboard(run.path).readme.read_text()


def test_a_leaderboard_needs_neither_pytorch_nor_scikit_learn(run: RunFolder) -> None:
    program = (
        "import sys; from pathlib import Path; from pneumobench.reporting.leaderboard import write_leaderboard\n"
        "from pneumobench.reporting.compared import control_words\n"
        "write_leaderboard(Path(sys.argv[1])), control_words()\n"
        "assert not {'torch', 'sklearn', 'matplotlib'} & set(sys.modules), 'seconds of imports for nothing'\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(run.path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
