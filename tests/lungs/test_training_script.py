"""The script that trains the shipped segmenter, on phantoms in the folders of Kermany et al."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pneumobench.datasets.index import Index
from pneumobench.lungs.lung_parts import WEIGHTS_FOLDER, WEIGHTS_NAME
from pneumobench.lungs.quality import BOUNDS_NAME
from pneumobench.lungs.segmenter import training_facts
from pneumobench.suite.shipped import declared_folder
from tests.lungs.conftest import in_float32


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(declared_folder() / "segmenter"))
    with in_float32():
        yield importlib.import_module("train")


@pytest.fixture
def kermany(phantoms: Index, tmp_path: Path) -> Path:
    for number, row in enumerate(phantoms.table.itertuples()):
        normal = row.label == 0
        name = f"IM-{number:04d}-0001.png" if normal else f"person{number}_{row.subtype}_1.png"
        radiograph = f"{row.split}/{'NORMAL' if normal else 'PNEUMONIA'}/{name}"
        for source, folder in ((row.image_id, "chest_xray"), (row.lung_mask, "lung_masks")):
            (tmp_path / "data" / folder / radiograph).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(phantoms.root / str(source), tmp_path / "data" / folder / radiograph)
    return tmp_path / "data"


@pytest.mark.long
def test_it_writes_weights_bounds_card_and_pictures(
    script: Any, kermany: Path, phantoms: Index, tmp_path: Path
) -> None:
    output, pictures = tmp_path / "weights", tmp_path / "worst"
    descriptions = tmp_path / "descriptions.yaml"
    arguments = [str(kermany), "--epochs", "1", "--output", str(output), "--pictures", str(pictures)]
    arguments += ["--cache", str(tmp_path / "cache"), "--descriptions", str(descriptions), "--threads", "1"]
    script.run(script.options_of(arguments))
    assert (output / BOUNDS_NAME).is_file()
    metadata = training_facts(output)
    assert (metadata["epochs"], metadata["seed"]) == ("1", "0")
    card = (output / "README.md").read_text()
    for stated in ("10.17632/rscbjbr9sj", "V7 Labs", "CC BY 4.0", "held-out patients", "official test folder"):
        assert stated in card
    shown = [line for line in card.splitlines() if line.startswith("| `chest_xray/train")]
    held_out = int(next(line for line in card.splitlines() if line.startswith("| images with annotated")).split("|")[2])
    assert int(metadata["films"]) + held_out == (phantoms.table["split"] == "train").sum(), (
        "held-out images are not trained on"
    )
    assert len(shown) == len(list(pictures.glob("*.png"))) == min(10, held_out)

    weights = (output / WEIGHTS_NAME).read_bytes()
    image_id = shown[0].split("`")[1]
    descriptions.write_text(f"{image_id}: arms over both lungs\n")
    script.run(script.options_of([*arguments, "--card-only"]))
    assert (output / WEIGHTS_NAME).read_bytes() == weights
    assert "| arms over both lungs |" in (output / "README.md").read_text()


def test_a_trial_on_few_images_is_never_shipped(script: Any) -> None:
    assert script.options_of(["data"]).output == WEIGHTS_FOLDER
    assert WEIGHTS_FOLDER not in (script.options_of(["data", "--limit", "200"]).output, Path())
