"""One lung attention: the main table and the checks of the main method rest on the same maps."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from pneumobench.attributions.lung_attention_maps import read_heat, rows_with_lungs
from pneumobench.attributions.methods import attribution_method
from pneumobench.attributions.methods.layer_methods import CLAMPED_THEN_RESIZED
from pneumobench.cli.main import main
from pneumobench.errors import RecordError
from pneumobench.files import sha256_of_file
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.metrics.lung_attention import lung_attention_ratio
from pneumobench.records.explanation_record import read_explanation_record
from pneumobench.records.job_record import JobRecord
from pneumobench.records.manifest import seal
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.context import Bench, open_run
from pneumobench.runs.explain_jobs import explain_jobs, explain_network
from pneumobench.runs.networks import trained_network
from pneumobench.suite.registry import load_plugin_file

QUIET = Console(file=io.StringIO())
LUNG_ATTENTION = ["lung_area", "lar", "lar_adjusted"]
JOBS = [(name, fold) for name in ("test_resnet", "test_vit", "ten_lines") for fold in (0, 1)]


@pytest.fixture
def bench(run: RunFolder, tmp_path: Path) -> Bench:
    """The smoke run in a folder of its own, its images and masks read."""
    path = shutil.copytree(run.path.parent, tmp_path / "runs") / run.path.name
    load_plugin_file(Path("ten.py"))
    return open_run(path, None, QUIET)


def _job(bench: Bench, name: str = "test_resnet", fold: int = 0) -> JobRecord:
    return next(record for record in bench.folder.records() if (record.architecture, record.fold) == (name, fold))


def _digits(path: Path) -> pd.DataFrame:
    """Return the lung attention as it is written, by image."""
    return pd.read_csv(path, dtype=str, keep_default_na=False).set_index("image_id")[LUNG_ATTENTION]


def _outdate(bench: Bench, methods: list[str]) -> None:
    """Make the explanations of test_resnet fold 0 those of an earlier version, with another lung attention."""
    folder = bench.folder.explanations_folder("test_resnet", 0)
    record = json.loads((folder / "explanation.json").read_text())
    for name in methods:
        del record["methods"][name]["definition"]
        table = pd.read_csv(folder / f"{name}.csv")
        adjusted = (0.5 - table["lung_area"]) / (1 - table["lung_area"])
        table.assign(lar=0.5, lar_adjusted=adjusted).to_csv(folder / f"{name}.csv", index=False)
        record["hashes"][name] = sha256_of_file(folder / f"{name}.csv")
    (folder / "explanation.json").write_text(json.dumps(record))
    seal(bench.folder, folder.glob("*"))


@pytest.mark.parametrize("maps", ["kept", "not kept"])
def test_both_tables_hold_the_same_lung_attention_to_the_last_digit(bench: Bench, maps: str) -> None:
    for name, fold in JOBS:
        shutil.rmtree(bench.folder.explanations_folder(name, fold))
        if maps == "not kept":
            (bench.folder.attributions_folder(name, fold) / "maps.npz").unlink()
    explain_jobs(bench, JOBS, ["gradcam"], 5, QUIET)
    for name, fold in JOBS:
        checked = _digits(bench.folder.explanations_folder(name, fold) / "gradcam.csv")
        assert len(checked) == 5
        pd.testing.assert_frame_equal(checked, _digits(bench.folder.attention_path(name, fold)).loc[checked.index])


@pytest.mark.parametrize(("name", "fold"), JOBS)
def test_the_map_of_an_image_does_not_depend_on_the_batch_it_was_made_in(bench: Bench, name: str, fold: int) -> None:
    job = _job(bench, name, fold)
    architecture = trained_network(bench.suite, bench.folder, job)
    rows = rows_with_lungs(bench.fold_images(fold), bench.masks, None, bench.suite.seed)
    some = rows[[0, 3, len(rows) - 1]]
    kept = read_heat(bench.folder.attributions_folder(name, fold), some, bench.suite.data.image_side_px)
    assert kept is not None
    lar = bench.folder.attention(job).set_index("image_id")["lar"].loc[bench.index.table["image_id"].iloc[some]]
    for i, row in enumerate(some):
        radiograph = torch.from_numpy(np.array(bench.radiographs[row]))[None, None]
        alone = attribution_method("gradcam").attribute(architecture, radiograph)
        torch.testing.assert_close(alone[0], kept[i], rtol=1e-3, atol=1e-4 * max(float(kept[i].max()), 1e-12))
        share = lung_attention_ratio(alone.numpy(), bench.masks.of_rows(some[i : i + 1])).ratio
        np.testing.assert_allclose(share, lar.iloc[i], atol=1e-5)


def test_the_leaderboards_two_tables_agree_on_the_same_images(bench: Bench) -> None:
    explain_jobs(bench, JOBS, ["gradcam"], 10_000, QUIET, redo=True)  # all images with lungs, as in the main table
    rows = {row.architecture: row for row in rank_run(bench.folder.path).rows}
    for name in {name for name, _ in JOBS}:
        (summary,) = rows[name].attention
        (checked,) = (found for found in rows[name].methods if found.method == "gradcam")
        assert checked.attention == summary


def test_a_method_of_an_older_definition_is_checked_again_and_the_others_are_kept(bench: Bench) -> None:
    job = _job(bench)
    assert explain_network(bench, job, ["gradcam", "hirescam", "occlusion"], 4)
    home = bench.folder.explanations_folder("test_resnet", 0)
    right = {path.name: path.read_bytes() for path in home.glob("*.csv")}
    assert not explain_network(bench, job, ["gradcam", "hirescam", "occlusion"], 4, redo=True), "all of it is current"
    _outdate(bench, ["gradcam", "hirescam", "occlusion"])
    assert {row.architecture for row in rank_run(bench.folder.path).rows} >= {"test_resnet"}, "older tables are read"
    before = (home / "occlusion.csv").read_bytes()
    arguments = ["explain", str(bench.folder.path), "--methods", "gradcam,hirescam,occlusion", "--images", "4"]
    assert main([*arguments, "--architectures", "test_resnet", "--folds", "0"]) == 0
    record = read_explanation_record(bench.folder, job)
    assert record is not None
    assert record.methods["gradcam"].definition == record.methods["hirescam"].definition == CLAMPED_THEN_RESIZED
    assert record.methods["occlusion"].definition == 1
    for name in ("gradcam.csv", "hirescam.csv", "reliance.csv"):
        assert (home / name).read_bytes() == right[name]
    assert (home / "occlusion.csv").read_bytes() == before, "its definition is the same: it is not computed again"


def test_a_table_of_an_older_definition_is_dropped_where_the_method_fails_now(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    _outdate(bench, ["gradcam"])

    def fails(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("pneumobench.runs.explain_jobs.checked_maps", fails)
    assert explain_network(bench, _job(bench), ["gradcam"], 4)
    record = read_explanation_record(bench.folder, _job(bench))
    assert record is not None
    assert record.methods["gradcam"].not_available == "RuntimeError: out of memory"
    assert "gradcam" not in record.hashes


def test_maps_that_are_not_those_of_the_table_are_refused(bench: Bench) -> None:
    _outdate(bench, ["gradcam"])
    path = bench.folder.attributions_folder("test_resnet", 0) / "maps.npz"
    with np.load(path) as kept:
        np.savez_compressed(path, rows=kept["rows"], maps=-kept["maps"])
    with pytest.raises(RecordError, match=r"found maps\.npz with another lung attention than attention\.csv"):
        explain_network(bench, _job(bench), ["gradcam"], 4)
    path.unlink()
    assert explain_network(bench, _job(bench), ["gradcam"], 4), "what the message says helps"
