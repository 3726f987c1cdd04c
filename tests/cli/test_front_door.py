"""What a command prints: all, nothing, or an answer for a program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pneumobench.cli import main as cli
from pneumobench.datasets.cards import card_names
from pneumobench.phantoms.dataset import make_phantoms
from pneumobench.suite.described import described_keys
from pneumobench.suite.reader import load_suite
from pneumobench.suite.shipped import suite_names
from pneumobench.suite.types import known_keys


@pytest.mark.parametrize("name", suite_names())
def test_a_printed_suite_is_the_suite_again(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["suite", name]) == 0
    shown = capsys.readouterr()
    path = tmp_path / "mine.yaml"
    path.write_text(shown.out)
    assert load_suite(path) == load_suite(name)
    assert f"next: pneumobench run {name}" in shown.err
    assert cli.main(["suite", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == yaml.safe_load(path.read_text())


def test_every_key_is_printed_below_its_meaning_and_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(described_keys()) == set(known_keys())
    assert cli.main(["suite", "search-demo"]) == 0
    text = " ".join(capsys.readouterr().out.replace("#", " ").split())
    for key in described_keys().values():
        assert " ".join(key.meaning.rstrip(".").split()) in text, key.name
        assert key.keys or f"Takes: {' '.join(key.expected.split())}" in text, key.name


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("training.ema_decay", ["exponential moving average", "a number or null, 0 < x < 1", "default: null"]),
        ("training.epochs", ["1 to 100,000", "default: 20", "--training.epochs 20"]),
        ("training.fine_tuning", ["training.fine_tuning.layer_decay"]),
        ("seed", ["0 to 2,147,483,647"]),
        ("run", ["usage: pneumobench run", "--retry-failed"]),
    ],
)
def test_help_says_what_a_key_takes(word: str, said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help", word]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(part in text for part in said)


def test_help_alone_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help"]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert {key.name for key in described_keys().values() if not key.keys} <= listed


def test_quiet_prints_errors_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["suite", "smoke", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert cli.main(["suite", "smoke", "--json", "--quiet"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["name"] == "smoke"
    assert shown.err == ""
    assert cli.main(["suite", "smke", "--quiet"]) == 2
    assert "did you mean smoke" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "holds"),
    [
        ("audit {folder} --output report.json", {"source": "csv", "refusals": []}),
        ("datasets kermany", {"name": "kermany", "source": "kermany"}),
        ("architectures resnet1*", {"plugins": {}, "broken": {}}),
    ],
)
def test_a_program_reads_json_alone_on_stdout(
    command: str, holds: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    make_phantoms(tmp_path / "set", patients=16, official_test_patients=0, side_px=32, seed=1)
    for quiet in ([], ["--quiet"]):
        assert cli.main([*command.format(folder="set").split(), "--json", *quiet]) == 0
        shown = capsys.readouterr()
        answer = json.loads(shown.out)
        assert {key: answer[key] for key in holds} == holds
        assert not (quiet and shown.err)
    if command.startswith("audit"):
        assert answer == json.loads(Path("report.json").read_text())


def test_what_a_plugin_prints_is_no_part_of_an_answer(tmp_path: Path) -> None:
    make_phantoms(tmp_path / "set", patients=16, official_test_patients=0, side_px=32, seed=1)
    (tmp_path / "noisy.py").write_text("import os\nprint('noise')\nos.write(1, b'more noise')\n")
    command = [sys.executable, "-m", "pneumobench", "audit", "set", "--plugin", "noisy.py", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout)["source"] == "csv"
    assert "more noise" in done.stderr
    assert "next: pneumobench run quickstart --name mine --plugin noisy.py --data.source csv" in done.stderr
    silent = subprocess.run(
        [*command, "--quiet"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert silent.stdout == done.stdout


def test_an_audit_of_a_small_set_names_a_run_that_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_phantoms(tmp_path / "-set", patients=13, official_test_patients=0, side_px=32, seed=1)
    assert cli.main(["audit", "./-set"]) == 0
    shown = capsys.readouterr().out.splitlines()
    most = next(line for line in shown if line.startswith("most folds")).rsplit(maxsplit=1)[1]
    assert shown[-1].endswith(f"--data.root ./-set --data.csv index.csv --folds.count {most}")


def test_a_refused_list_of_images_is_reported_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    (tmp_path / "set/index.csv").write_text("image,label,split\na.png,0,sometimes\n")
    assert cli.main(["audit", str(tmp_path / "set"), "--json"]) == 3
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert report == json.loads(Path("audit.json").read_text())
    assert "split 'sometimes' is not known" in report["refusals"][0]
    assert str(tmp_path) not in shown.out
    assert shown.err.count("split 'sometimes' is not known") == 1


def test_lists_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["datasets", "--json"]) == 0
    assert [card["name"] for card in json.loads(capsys.readouterr().out)] == card_names()
    assert cli.main(["check", "test_resnet", "--json"]) == 0
    shown = capsys.readouterr()
    findings = json.loads(shown.out)
    assert all(finding["kept"] for finding in findings)
    assert len(findings) == shown.err.count("ok  ")


def test_an_error_shows_escapes_and_obeys_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["suite", "no\x1b[2Jsuite"]) == 2
    assert cli.main(["audit", "no\x1b[2J\u202efolder"]) == 3
    written = capsys.readouterr().err
    assert "no\\x1b[2J" in written
    assert not {"\x1b", "\u202e"} & set(written)


@pytest.mark.parametrize(
    ("typed", "completed"), [("ru", "run"), ("run --retry", "--retry-failed"), ("run --wandb off", "offline")]
)
def test_bash_completes(typed: str, completed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "bash"]) == 0
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out)
    words, last = " ".join(["pneumobench", *typed.split()]), len(typed.split())
    asked = f"COMP_WORDS=({words}); COMP_CWORD={last}; _shtab_pneumobench; printf '%s\\n' ${{COMPREPLY[@]}}"
    line = f"source {script}; {asked}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, timeout=30)
    assert completed in done.stdout.split()


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_have_a_completion_too(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    assert "leaderboard" in capsys.readouterr().out


def test_what_libraries_warn_of_does_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(
        "import logging, warnings\n"
        "for name in ('lightning.pytorch', 'PIL', 'urllib3', 'timm', 'pydicom'):\n"
        "    logging.getLogger(name).warning('noise')\n"
        "warnings.warn('noise')\nwarnings.warn('noise', UserWarning)\n"
    )
    command = [sys.executable, "-m", "pneumobench", "architectures", "resnet18", "--plugin", "noisy.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    assert "resnet18" in done.stdout
    assert "noise" not in done.stdout + done.stderr
