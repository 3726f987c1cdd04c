"""Somebody changes a run on disk: every change is named with its file, or shown to be harmless."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from scipy.special import expit

from pneumobench.errors import PneumobenchError
from pneumobench.files import sha256_of_text, write_json
from pneumobench.lungs.masked_regions import MASKED_REGIONS
from pneumobench.records.explanation_record import (
    ABLATION,
    CHECK_COLUMNS,
    CHECK_RULES,
    NOT_MASKED,
    ExplanationRecord,
    MethodMetadata,
    write_explanations,
)
from pneumobench.records.job_record import JobRecord, write_record
from pneumobench.records.loaded_run import gather
from pneumobench.records.manifest import seal
from pneumobench.records.run_folder import RunFolder
from tests.leaderboard.fake_run import make_fake_run
from tests.records.forgeries import FORGERIES, LEFT_OUT
from tests.records.forging import (
    ATTENTION,
    EXPLANATION,
    HISTORY,
    JOB,
    OTHER,
    PREDICTIONS,
    RECORD,
    RELIANCE,
    WEIGHTS,
    Manipulation,
    appended,
    copied,
    deleted,
    edited,
    emptied,
    explanation_table,
    hashes,
    other_images,
    predictions,
    record,
    resealed,
    software,
    with_json,
)  # fmt: skip


@pytest.fixture(scope="session")
def sealed_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic run with explanations and a manifest, as a run of today leaves it."""
    folder = make_fake_run(tmp_path_factory.mktemp("sealed") / "run", overlays=True)
    for job in folder.records():
        path = folder.record_path(job.architecture, job.fold)
        inputs = {"lung masks": sha256_of_text("masks"), "plugin mine.py": sha256_of_text("code")}
        software = {**job.software, "code": "c" * 64}
        write_record(path, dataclasses.replace(job, software=software, inputs=inputs))
        if job.completed:
            (path.parent / "history.csv").write_text("epoch,tune_auc\n0,0.5\n1,0.6\n2,0.7\n3,0.8\n")
    write_json(
        folder.environment_json, {"command": "pneumobench run fake.yaml", "software": software, "inputs": inputs}
    )
    folder.manifest_json.unlink(missing_ok=True)
    write_json(folder.manifest_json, {"format": 1, "files": {}})
    seal(folder, [path for path in folder.path.rglob("*") if path.is_file() and path != folder.manifest_json])
    for job in folder.records():
        if job.completed:
            explain(folder, job)
    assert gather(folder.path, check_weights=True).missing == ()
    return folder.path


def explain(folder: RunFolder, job: JobRecord) -> None:
    """Write explanations as those of a network that was asked about every test image with one method."""
    test = folder.predictions(job).query("split == 'test'")
    logits = {f"logit_{name}": test["logit"] for name in (NOT_MASKED, *MASKED_REGIONS)}
    attention = folder.attention(job)
    asked = ExplanationRecord(
        architecture=job.architecture, fold=job.fold, seed=job.seed, weights=job.hashes["weights"], mask_tier="box",
        methods={"gradcam": MethodMetadata(sample=len(attention), images=len(attention), rules=CHECK_RULES)},
        hashes={}, software=job.software, hardware=job.hardware,
    )  # fmt: skip
    tables = {
        ABLATION: test[["image_id", "fold", "label"]].assign(**logits),
        "gradcam": attention.assign(**dict.fromkeys(CHECK_COLUMNS, 0.5)),
    }
    write_explanations(folder, asked, tables)


MANIPULATIONS = (
    # files that all jobs share
    Manipulation("suite: another setting", edited("suite.yaml", "epochs: 20", "epochs: 90"), r"suite\.yaml: changed"),
    Manipulation("suite: another seed", edited("suite.yaml", "seed: 3", "seed: 4"), r"suite\.yaml: changed"),
    Manipulation("suite: a comment", edited("suite.yaml", "seed: 3", "seed: 3  # mine"), r"suite\.yaml: changed"),
    Manipulation(
        "suite: another source", edited("suite.yaml", "source: csv", "source: kermany"), r"suite\.yaml: changed"
    ),
    Manipulation("suite: gone", deleted("suite.yaml"), r"no suite\.yaml"),
    Manipulation("suite: empty", emptied("suite.yaml"), r"suite\.yaml: expected keys"),
    Manipulation("suite: an architecture less", edited("suite.yaml", "  - resnet18\n", ""), r"suite\.yaml: changed"),
    Manipulation("index: a label", edited("index.csv", ",1,bacteria,", ",0,bacteria,"), "hashes differ|index"),
    Manipulation("index: a patient", edited("index.csv", ",p001,", ",p900,"), "hashes differ"),
    Manipulation("index: a name", edited("index.csv", "train/", "", count=1), "hashes differ"),
    Manipulation("index: gone", deleted("index.csv"), r"no index\.csv"),
    Manipulation("folds: an image moved", edited("folds.json", ": 0,", ": 1,"), "changed after it was frozen"),
    Manipulation("folds: another hash", with_json("folds.json", lambda p: p.update(hash=OTHER)), "changed after"),
    Manipulation("folds: gone", deleted("folds.json"), r"no folds\.json"),
    Manipulation("audit: a count", edited("audit.json", "150", "151"), r"audit\.json: changed"),
    Manipulation("audit: gone", deleted("audit.json"), r"audit\.json: missing"),
    Manipulation(
        "environment: command", edited("environment.json", "fake.yaml", "x.yaml"), r"environment\.json: changed"
    ),
    Manipulation("environment: gone", deleted("environment.json"), r"environment\.json: missing"),
    Manipulation(
        "manifest: gone", deleted("manifest.json"), r"manifest\.json: missing, and the run was begun with one"
    ),
    Manipulation("manifest: empty", emptied("manifest.json"), r"manifest\.json: found no manifest"),
    Manipulation("manifest: format", with_json("manifest.json", lambda p: p.update(format=9)), r"manifest\.json"),
    Manipulation(
        "manifest: a line less", with_json("manifest.json", lambda p: p["files"].pop(RECORD)), "record.json: foreign"
    ),
    Manipulation(
        "manifest: a hash", with_json("manifest.json", lambda p: p["files"].update({HISTORY: OTHER})), "history.csv: ch"
    ),
    Manipulation(
        "manifest: leads out",
        with_json("manifest.json", lambda p: p["files"].update({"../x": OTHER})),
        r"manifest\.json",
    ),
    # records
    Manipulation("record: commit", software(commit="f" * 40), r"record\.json: changed"),
    Manipulation("record: a version", software(torch="9.9"), r"record\.json: changed"),
    Manipulation("record: dirty", software(dirty="yes"), r"record\.json: changed"),
    Manipulation("record: time", record(created="2027-01-01T00:00:00+00:00"), r"record\.json: changed"),
    Manipulation("record: machine", record(hardware={"device": "H100"}), r"record\.json: changed"),
    Manipulation(
        "record: cost", with_json(RECORD, lambda p: p["cost"].update(training_seconds=1.0)), r"record\.json: ch"
    ),
    Manipulation(
        "record: parameters", with_json(RECORD, lambda p: p["cost"].update(parameters=7)), r"record\.json: ch"
    ),
    Manipulation(
        "record: epochs", with_json(RECORD, lambda p: p["training"].update(epochs_run=99)), r"record\.json: ch"
    ),
    Manipulation("record: layer", with_json(RECORD, lambda p: p["explanation"].update(layer="x")), r"record\.json: ch"),
    Manipulation("record: plugin", record(plugin="elsewhere"), r"record\.json: changed"),
    Manipulation("record: pretrained", record(weights_origin="timm:a1"), r"record\.json: changed"),
    Manipulation("record: a space", edited(RECORD, "{", "{ "), r"record\.json: changed"),
    Manipulation("record: gone", deleted(RECORD), r"fold-0/record\.json: missing"),
    Manipulation("record: empty", emptied(RECORD), r"record\.json: found text that is not JSON"),
    Manipulation("record: key twice", edited(RECORD, '"fold": 0', '"fold": 0,\n "fold": 0'), "'fold' twice"),
    Manipulation("record: unknown key", with_json(RECORD, lambda p: p.update(rank=1)), "unknown key record.rank"),
    Manipulation("record: failure hidden", deleted("densenet121/fold-3"), r"densenet121/fold-3/record\.json: missing"),
    Manipulation("job: gone", deleted(JOB), r"resnet18/fold-0/.*: missing"),
    Manipulation("architecture: gone", deleted("resnet18"), r"resnet18/fold-0/.*: missing"),
    Manipulation("job: a foreign one", copied(JOB, "resnet18/fold-7"), "found the record of resnet18 fold 0"),
    Manipulation("job: that of another fold", other_images, r"resnet18/fold-1/.*: changed"),
    Manipulation("job: a foreign architecture", copied("resnet18", "best_net"), "found the record of resnet18 fold 0"),
    # tables, weights, explanations, pictures
    Manipulation("predictions: a digit", edited(PREDICTIONS, ",0.9", ",0.8"), r"predictions\.csv: changed"),
    Manipulation("predictions: gone", deleted(PREDICTIONS), r"predictions\.csv: missing"),
    Manipulation("predictions: an end of line", appended(PREDICTIONS, b"\n"), r"predictions\.csv: changed"),
    Manipulation("attention: a digit", edited(ATTENTION, ",0.6", ",0.9"), r"attention\.csv: changed"),
    Manipulation("attention: gone", deleted(ATTENTION), r"attention\.csv: missing"),
    Manipulation("history: a digit", edited(HISTORY, "0.5", "0.1"), r"history\.csv: changed"),
    Manipulation("history: gone", deleted(HISTORY), r"history\.csv: missing"),
    Manipulation("weights: gone", deleted(WEIGHTS), r"weights\.safetensors: missing, and those of 13 other jobs"),
    Manipulation("weights: changed", appended(WEIGHTS, b"x"), r"weights\.safetensors: found SHA-256"),
    Manipulation(
        "weights: those of another fold",
        lambda run: shutil.copy(run / WEIGHTS, run / "resnet18/fold-1/weights.safetensors") and None,
        r"fold-1/weights\.safetensors: found SHA-256",
    ),
    Manipulation("explanation: gone", deleted(EXPLANATION), r"explanation\.json: missing"),
    Manipulation("explanations: gone", deleted(f"{JOB}/explanations"), r"explanation\.json: missing"),
    Manipulation(
        "explanation: another tier",
        with_json(EXPLANATION, lambda p: p.update(mask_tier="drawn")),
        r"explanation\.json: ch",
    ),
    Manipulation(
        "explanation: of nothing asked",
        copied(f"{JOB}/explanations", "densenet121/fold-3/explanations"),
        r"fold-3/explanations/explanation\.json: foreign",
    ),
    Manipulation("reliance: a digit", edited(RELIANCE, "1.", "2."), r"reliance\.csv: changed"),
    Manipulation("reliance: gone", deleted(RELIANCE), r"reliance\.csv: missing"),
    Manipulation(
        "overlays: probabilities",
        edited(f"{JOB}/attributions/overlays.json", '"probability": 0', '"probability": 1'),
        r"overlays\.json: changed",
    ),
    Manipulation(
        "overlays: another picture",
        lambda run: appended(str(next((run / JOB / "attributions").glob("00-*.png")).relative_to(run)), b"x")(run),
        r"00-.*\.png: changed",
    ),
    # with a manifest that was renewed
    Manipulation(
        "resealed: setting",
        resealed(edited("suite.yaml", "epochs: 20", "epochs: 90")),
        r"suite\.yaml: found SHA-256 of its",
    ),
    Manipulation(
        "resealed: seed", resealed(edited("suite.yaml", "seed: 3", "seed: 4")), r"suite\.yaml: found SHA-256 of its"
    ),
    Manipulation(
        "resealed: name",
        resealed(edited("suite.yaml", "name: fake", "name: real")),
        r"suite\.yaml: found SHA-256 of its",
    ),
    Manipulation(
        "resealed: an architecture less",
        resealed(edited("suite.yaml", "  - resnet18\n", "")),
        "found the architecture resnet18, expected one of suite",
    ),
    Manipulation("resealed: label", resealed(edited("index.csv", ",1,bacteria,", ",0,bacteria,")), "hashes differ"),
    Manipulation(
        "resealed: probability",
        resealed(predictions(lambda t: t.assign(probability=t["label"] * 0.9 + 0.05))),
        r"predictions\.csv: found probability",
    ),
    Manipulation(
        "resealed: logit",
        resealed(predictions(lambda t: t.assign(logit=t["logit"] + 2))),
        r"predictions\.csv: found probability",
    ),
    Manipulation(
        "resealed: an image less",
        resealed(predictions(lambda t: t.iloc[1:])),
        r"predictions\.csv: found 1 images missing",
    ),
    Manipulation(
        "resealed: labels",
        resealed(predictions(lambda t: t.assign(label=1 - t["label"]))),
        r"predictions\.csv: found .* labels",
    ),
    Manipulation(
        "resealed: both, with explanations",
        resealed(predictions(lambda t: t.assign(logit=t["logit"] + 2, probability=expit(t["logit"] + 2)))),
        r"reliance\.csv: found",
    ),
    Manipulation("resealed: hash of suite", resealed(hashes(suite=OTHER)), "records of different suites"),
    Manipulation("resealed: hash of weights", resealed(hashes(weights=OTHER)), r"weights\.safetensors: found SHA-256"),
    Manipulation(
        "resealed: hash of predictions", resealed(hashes(predictions=OTHER)), r"predictions\.csv: found SHA-256"
    ),
    Manipulation(
        "resealed: other masks", resealed(record(inputs={"lung masks": OTHER})), "jobs with different lung masks"
    ),
    Manipulation(
        "resealed: other plugin",
        resealed(record(inputs={"plugin mine.py": OTHER})),
        "jobs with different plugin mine.py",
    ),
    Manipulation(
        "resealed: a control", resealed(record(weights_origin="control")), "found weights of control|different weights"
    ),
    Manipulation("resealed: reliance", resealed(explanation_table), r"reliance\.csv: found \d+ logits of whole images"),
    Manipulation(
        "resealed: explanation of other weights",
        resealed(with_json(EXPLANATION, lambda p: p.update(weights=OTHER))),
        "found explanations of",
    ),
    *FORGERIES,
    # harmless: the leaderboard is made from none of these
    Manipulation("its own tables are gone", lambda run: shutil.rmtree(run / "leaderboard", ignore_errors=True), None),
    Manipulation(
        "its own tables are forged", lambda run: write_json(run / "leaderboard/leaderboard.json", {"auc": 1}), None
    ),
    Manipulation("a file of the file browser", lambda run: (run / JOB / ".DS_Store").write_bytes(b"x") and None, None),
    Manipulation(
        "a picture of a heat map is gone", lambda run: next((run / JOB / "attributions").glob("*.png")).unlink(), None
    ),
    Manipulation("a note beside the run", lambda run: (run / "note.txt").write_text("mine") and None, None),
    Manipulation("an empty job folder", lambda run: (run / "resnet18/fold-9").mkdir(), None),
)


def test_there_are_as_many_as_were_tried() -> None:
    assert len({manipulation.name for manipulation in MANIPULATIONS}) == len(MANIPULATIONS) >= 62


@pytest.mark.parametrize("manipulation", MANIPULATIONS, ids=lambda one: one.name)
def test_a_manipulation_is_named_or_harmless(manipulation: Manipulation, sealed_template: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(sealed_template, run)
    manipulation.change(run)
    if manipulation.words is None:
        assert _shown(run) == _shown(sealed_template)
        return
    with pytest.raises(PneumobenchError, match=rf"(?s){manipulation.words}"):
        gather(run, check_weights=True)


def _shown(run: Path) -> dict[tuple[str, int], str]:
    found = gather(run, check_weights=True)
    return {job: f"{found.attention[job].to_csv()} {table.to_csv()}" for job, table in found.predictions.items()}


@pytest.mark.parametrize("forgery", LEFT_OUT, ids=lambda one: one.name)
def test_what_is_left_out_is_said_on_the_page(forgery: Manipulation, sealed_template: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(sealed_template, run)
    forgery.change(run)
    (missing,) = gather(run, check_weights=True).missing
    assert forgery.words is not None
    assert missing.startswith(forgery.words)


def test_all_weights_may_be_left_out_of_a_published_copy(sealed_template: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(sealed_template, run, ignore=shutil.ignore_patterns("*.safetensors", "attributions"))
    assert gather(run, check_weights=True).notes == (
        "weights of 14 jobs are not here: nobody can score images with them again",
    )


def test_a_run_made_before_manifests_is_read_and_said(fake_run_template: Path) -> None:
    assert "made before manifests" in gather(fake_run_template).notes[0]


def test_a_run_begun_before_manifests_gets_one_of_all_it_has(fake_run_template: Path, tmp_path: Path) -> None:
    shutil.copytree(fake_run_template, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    seal(folder, ())
    assert gather(folder.path).notes == ()
    (folder.path / PREDICTIONS).unlink()
    with pytest.raises(PneumobenchError, match=r"predictions\.csv: missing"):
        gather(folder.path)
