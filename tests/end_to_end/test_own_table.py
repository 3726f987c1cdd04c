"""A table with headings of its own becomes a run by its suite; a published set does in test_readme.py."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pneumobench.cli.main import main
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.reader import load_suite
from tests.datasets.tiny_sets import write_image

SHORT = ["--architectures", "test_resnet", "--controls.names", "[majority]", "--explanation.images_per_fold", "0"]


def test_a_table_with_headings_of_its_own_becomes_a_run_by_its_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["Aufnahme;Befund;Kind;Alter"]
    for number in range(24):
        write_image(tmp_path / f"data/bilder/{number}.png", seed=number)
        finding = "Pneumonia|Effusion" if number % 2 else "No Finding"
        rows.append(f"C:\\export\\bilder\\{number};{finding};Müller {number // 2};{number}")
    (tmp_path / "data/liste.txt").write_bytes("\r\n".join(rows).encode("cp1252"))
    (tmp_path / "mine.yaml").write_text(
        "name: mine\n"
        "data:\n  source: csv\n  root: data\n  csv: liste.txt\n  image_side_px: 32\n  channels: 1\n"
        "  columns: {image: Aufnahme, label: Befund, patient: Kind}\n"
        "folds: {count: 2, tune_fraction: 0.25}\n"
        "training: {epochs: 1, batch_size: 8, precision: 32-true, accelerator: cpu}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["run", "mine.yaml", *SHORT]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "next: pneumobench gallery runs/mine --data data"
    folder = RunFolder(tmp_path / "runs/mine")
    assert pd.read_csv(folder.index_csv)["image_id"].str.startswith("bilder/").all()
    assert load_suite(folder.suite_yaml).data.columns.patient == "Kind"
    assert "columns that are not read: Alter" in folder.audit_json.read_text()
