from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pneumobench.cli.main import main


def _radiograph(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (24, 24), dtype=np.uint8))


def _kermany(root: Path, *, normal: int = 14, pneumonia: int = 14) -> Path:
    for number in range(normal):
        _radiograph(root / f"train/NORMAL/IM-{number:04d}-0001.jpeg", number)
    for number in range(pneumonia):
        _radiograph(root / f"train/PNEUMONIA/person{number}_bacteria_{number}.jpeg", 1000 + number)
    return root


def _fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path, arguments: list[str]
) -> tuple[int, str]:
    """Return exit code and message of a command that must leave nothing half-written."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PNEUMOBENCH_DATA", raising=False)
    code = main(arguments)
    message = capsys.readouterr().err
    assert message.startswith("pneumobench: ")
    assert "Traceback" not in message
    assert not list(folder.glob("runs/*/*/fold-*")), "nothing was trained"
    return code, message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "quikstart"], ["'quikstart' is neither a shipped suite", "did you mean quickstart?"]),
        (["run", "smoke", "--architectures", "resnet19"], ["unknown architecture 'resnet19'", "resnet18"]),
        (["run", "smoke", "--training.epoch", "3"], ["unknown key 'training.epoch'", "training.epochs"]),
        (["run", "smoke", "--training.epochs", "many"], ["training.epochs is 'many'; expected a whole number"]),
        (["run", "smoke", "--training.epochs"], ["--training.epochs needs a value"]),
        (["run", "smoke", "--architectures", ""], ["--architectures ''", "leave the option out for all"]),
        (["run", "smoke", "--training.accelerator", "tpu"], ["training.accelerator 'tpu'", "is not to be had"]),
        (["run", "smoke", "--folds", "7"], ["--folds 7", "folds 0 to 1"]),
        (["run", "smoke", "--folds", "one"], ["--folds one: expected numbers"]),
        (["run", "smoke", "--plugin", "gone.py"], ["gone.py does not exist"]),
        (["run", "smoke", "--architectures.weights", "no-such-folder"], ["no such weights file"]),
        (["run", "smoke", "--name", "Bad Name"], ["name is 'Bad Name'", "a-z 0-9"]),
        (["run", "kermany"], ["--data FOLDER", "PNEUMOBENCH_DATA"]),
        (["run", "smoke", "--output", "/proc/nowhere"], ["cannot write /proc/nowhere", "--output"]),
        (["check", "no_such_net_at_all"], ["unknown architecture"]),
        (["leaderboard", "runs/nothing"], ["runs/nothing"]),
    ],
)
def test_wrong_settings_end_with_one_message_and_code_2(
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, message = _fails(capsys, monkeypatch, tmp_path, arguments)
    assert code == (3 if arguments[0] == "leaderboard" else 2)
    for word in words:
        assert word in message


def test_a_suite_file_names_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\ntraining:\n  epochs: 2\n  lerning_rate: 0.1\n")
    code, message = _fails(capsys, monkeypatch, tmp_path, ["run", "mine.yaml"])
    assert code == 2
    assert "mine.yaml line 4: unknown key 'training.lerning_rate'; did you mean training.learning_rate?" in message


def test_unusable_data_ends_with_one_message_and_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(root: Path) -> tuple[int, str]:
        arguments = [
            "run",
            "kermany",
            "--data",
            str(root),
            "--architectures",
            "test_resnet",
            "--data.image_side_px",
            "32",
        ]
        return _fails(capsys, monkeypatch, tmp_path, arguments)

    assert run(tmp_path / "gone")[0] == 3

    (tmp_path / "empty").mkdir()
    code, message = run(tmp_path / "empty")
    assert code == 3
    assert "train/NORMAL/*.jpeg" in message

    root = _kermany(tmp_path / "one-class", pneumonia=0)
    code, message = run(root)
    assert code == 3
    assert "PNEUMONIA: class folder is missing" in message

    sizes = ["--controls.original_sizes", "gone.csv"]
    code, message = _fails(
        capsys, monkeypatch, tmp_path, ["run", "kermany", "--data", str(_kermany(tmp_path / "sizes")), *sizes]
    )
    assert code == 3
    assert "gone.csv: no such table of original sizes" in message
    assert not (tmp_path / "runs/.cache").exists(), "no image was opened"

    root = _kermany(tmp_path / "few", normal=3)
    code, message = run(root)
    assert code == 3
    assert "3 patient groups have NORMAL images, too few for 5 folds" in message

    root = _kermany(tmp_path / "bad")
    (root / "train/NORMAL/IM-9999-0001.jpeg").write_bytes(b"")
    broken = root / "train/PNEUMONIA/person1_bacteria_1.jpeg"
    broken.write_bytes(broken.read_bytes()[:-40])
    code, message = run(root)
    assert code == 3
    assert "2 files cannot be used" in message
    assert "IM-9999-0001.jpeg" in message
    assert "person1_bacteria_1.jpeg" in message


def test_protocols_that_the_data_do_not_have_are_refused_before_the_first_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["run", "smoke", "--protocols", "patient,official", "--data.phantoms.official_test_patients", "0"]
    code, message = _fails(capsys, monkeypatch, tmp_path, asked)
    assert code == 3
    assert "--protocols official: " in message


def test_audit_lists_every_bad_file_and_writes_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = _kermany(tmp_path / "data")
    assert main(["audit", str(root)]) == 0
    assert "28 images, 28 patients, 28 groups" in capsys.readouterr().out
    (root / "train/NORMAL/IM-9999-0001.jpeg").write_bytes(b"no image")
    (root / "train/NORMAL/notes.txt").write_text("hello")
    assert main(["audit", str(root), "--output", "report.json"]) == 3
    output = capsys.readouterr().out
    assert "files that cannot be used: 2" in output
    assert "notes.txt" in (tmp_path / "report.json").read_text()
