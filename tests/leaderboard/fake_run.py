"""A run folder with synthetic predictions: three architectures, five folds, one job that failed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.datasets.folds import Folds
from pneumobench.datasets.index import INDEX_COLUMNS, Index
from pneumobench.datasets.patients import group_images
from pneumobench.datasets.splits import make_folds
from pneumobench.files import sha256_of_file, sha256_of_text, write_json, write_text
from pneumobench.leaderboard.lung_attention import outcome_of
from pneumobench.records.job_record import JobCost, JobExplanation, JobRecord, write_record
from pneumobench.records.run_folder import RunFolder, write_attention, write_predictions
from pneumobench.suite.architectures import ArchitectureSpec
from pneumobench.suite.spec import ControlSpec, DataSpec, FoldSpec, Suite
from pneumobench.suite.training import TrainingSpec

IMAGES = 120
OFFICIAL_IMAGES = 30
SEED = 3
SUITE = Suite(
    name="fake",
    seed=SEED,
    data=DataSpec(source="csv", root="data", image_side_px=64),
    folds=FoldSpec(count=5, tune_fraction=0.2),
    architectures=ArchitectureSpec(names=("resnet18", "vit_base_patch16_224", "densenet121")),
    controls=ControlSpec(names=()),
    training=TrainingSpec(early_stopping_patience=1),
)
# how far apart the two classes lie in a synthetic logit: 3.0 gives an AUC of about 0.98
SEPARATION = {"resnet18": 3.0, "vit_base_patch16_224": 1.2, "densenet121": 2.8}
PARAMETERS = {"resnet18": 11_170_753, "vit_base_patch16_224": 85_254_913, "densenet121": 6_948_609}
FAILED_JOB = ("densenet121", 3)
HOSTILE_REASON = "out of memory, batch 32 <script>alert('x')</script>"


def make_index() -> Index:
    """Return 120 cross-validated and 30 official images, two or three of each patient."""
    rng = np.random.default_rng(SEED)
    count = IMAGES + OFFICIAL_IMAGES
    label = (np.arange(count) // 3 % 3 != 0).astype(int)  # two thirds pneumonia, three images a patient
    split = np.where(np.arange(count) < IMAGES, "train", "test")
    patient = [f"p{number // 3:03d}" for number in range(count)]
    name = [
        f"{s}/{'PNEUMONIA' if y else 'NORMAL'}/{i:04d}.png" for i, (s, y) in enumerate(zip(split, label, strict=True))
    ]
    sha256 = [sha256_of_text(str(value)) for value in rng.random(count)]
    table = pd.DataFrame(
        {
            "image_id": name,
            "split": split,
            "label": label,
            "subtype": np.where(label == 1, "bacteria", "normal"),
            "patient": patient,
            "sha256": sha256,
            "width": 224,
            "height": 224,
            "lung_mask": "",
        }
    )
    table = table.sort_values("image_id", ignore_index=True)
    table["group"] = group_images(table["patient"].tolist(), table["sha256"].tolist())
    return Index(root=Path("data"), table=table[INDEX_COLUMNS])


def make_fake_run(path: Path, *, overlays: bool = False) -> RunFolder:
    """Write the run folder and return it."""
    folder = RunFolder(path)
    index = make_index()
    index.write(folder.index_csv)
    folds = make_folds(index, SUITE.folds, SEED)
    folds.write(folder.folds_json)
    write_text(folder.suite_yaml, SUITE.to_yaml())
    write_json(folder.audit_json, {"images": len(index.table)})
    write_json(folder.environment_json, {"command": "pneumobench run fake.yaml --data data"})
    for architecture in SUITE.architectures.names:
        for fold in range(SUITE.folds.count):
            write_job(folder, index, folds, architecture, fold)
            if overlays and (architecture, fold) != FAILED_JOB:
                write_overlays(folder, architecture, fold)
    return folder


def write_job(folder: RunFolder, index: Index, folds: Folds, architecture: str, fold: int) -> None:
    """Write one job: predictions, attention and the record, or the record of a failure."""
    shared = {"suite": SUITE.training_hash(), "index": index.hash(), "folds": folds.hash()}
    software = {
        "pneumobench": "0.1.0",
        "commit": "0" * 40,
        "dirty": "no",
        "torch": "2.15.0",
        "python": "3.11.9",
    }
    hardware: dict[str, str | int | float] = {
        "device": "cpu", "accelerator": "AMD EPYC", "devices": 1, "threads": 2, "precision": "bf16-mixed"
    }  # fmt: skip
    if (architecture, fold) == FAILED_JOB:
        record = JobRecord(
            status="failed", reason=HOSTILE_REASON, suite="fake", architecture=architecture, fold=fold,
            seed=SEED, weights_origin="random", hashes=shared, software=software, hardware=hardware,
            created="2026-01-02T03:04:05+00:00",
        )  # fmt: skip
        write_record(folder.record_path(architecture, fold), record)
        return
    predictions = make_predictions(index, folds, architecture, fold)
    attention = make_attention(predictions, architecture, fold)
    parts = folds.positions(index, fold)
    weights = folder.weights_path(architecture, fold)
    write_text(weights, f"{architecture} {fold}")
    hashes = {
        **shared,
        "weights": sha256_of_file(weights),
        "predictions": write_predictions(folder.predictions_path(architecture, fold), predictions),
        "attention": write_attention(folder.attention_path(architecture, fold), attention),
    }
    record = JobRecord(
        status="completed",
        suite="fake",
        architecture=architecture,
        fold=fold,
        seed=SEED,
        weights_origin="random",
        hashes={**hashes, "initial_weights": "0" * 64},
        software=software,
        hardware=hardware,
        training={
            "epochs_run": 4,
            "best_epoch": 3,
            "seconds": 60.5,
            "train_images": len(parts["train"]),
            "tune_images": len(parts["tune"]),
            "stopped_early": True,
        },
        cost=JobCost(
            parameters=PARAMETERS[architecture],
            trainable_parameters=PARAMETERS[architecture],
            flops_per_image=150_000_000,
            training_seconds=60.5 + fold,
            step_seconds=0.02 if fold else 0.9,  # a machine that was busy in one job
            inference_images_per_second=210.0,
            peak_memory_mib=900.0 + fold,
        ),
        explanation=JobExplanation(
            method="gradcam",
            layer="layer3",
            layout="NCHW",
            grid=(8, 8),
            mask_tier="box",
            images=len(attention),
            degenerate=int(attention["lar"].isna().sum()),
            seconds_per_image=0.03,
        ),
        created=f"2026-01-02T03:04:0{fold}+00:00",
    )
    write_record(folder.record_path(architecture, fold), record)


def make_predictions(index: Index, folds: Folds, architecture: str, fold: int) -> pd.DataFrame:
    """Return predictions whose logit is the class plus noise that depends on architecture, fold and image."""
    parts = folds.positions(index, fold)
    tables = []
    for split in ("tune", "test", "official_test"):
        table = index.table.iloc[parts[split]]
        rng = np.random.default_rng([SEED, fold, len(architecture), len(table)])
        logit = SEPARATION[architecture] * (table["label"] - 0.4) + rng.normal(size=len(table))
        probability = 1 / (1 + np.exp(-logit))
        tables.append(
            pd.DataFrame(
                {
                    "image_id": table["image_id"],
                    "split": split,
                    "fold": fold,
                    "seed": SEED,
                    "label": table["label"],
                    "logit": logit,
                    "probability": probability,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def make_attention(predictions: pd.DataFrame, architecture: str, fold: int) -> pd.DataFrame:
    """Return the lung attention of the test rows; the first map of fold 0 is degenerate."""
    test = predictions[predictions["split"] == "test"].reset_index(drop=True)
    rng = np.random.default_rng([SEED, fold, 9])
    lar = np.clip(0.45 + 0.08 * SEPARATION[architecture] + 0.1 * rng.normal(size=len(test)), 0, 1)
    if fold == 0:
        lar[int(test.index[test["label"] == 1][0])] = np.nan
    return pd.DataFrame(
        {
            "image_id": test["image_id"],
            "fold": fold,
            "label": test["label"],
            "method": "gradcam",
            "mask_tier": "box",
            "lung_area": 0.45,
            "lar": lar,
            "lar_adjusted": (lar - 0.45) / 0.55,
        }
    )


def write_overlays(folder: RunFolder, architecture: str, fold: int) -> None:
    """Draw a heat map over four synthetic images of one job."""
    table = pd.read_csv(folder.predictions_path(architecture, fold))
    test = table[table["split"] == "test"].reset_index(drop=True)
    test["outcome"] = outcome_of(test["probability"], test["label"])
    chosen = test.groupby("outcome").head(2).head(4)
    target = folder.attributions_folder(architecture, fold)
    target.mkdir(parents=True, exist_ok=True)
    listed = []
    for number, row in enumerate(chosen.to_dict("records")):
        file = f"{number:02d}-{row['outcome']}.png"
        cv2.imwrite(str(target / file), _radiograph(number + 10 * fold))
        keys = ("image_id", "outcome", "probability", "label")
        listed.append({"file": file, **{key: row[key] for key in keys}, "lar": None if number == 3 else 0.62})
    write_json(target / "overlays.json", listed)


def _radiograph(seed: int) -> NDArray[np.uint8]:
    """Return a 128 px BGR picture of two dark ellipses under a heat map."""
    rng = np.random.default_rng(seed)
    radiograph = np.full((128, 128), 150, dtype=np.uint8)
    for center in (40, 88):
        cv2.ellipse(radiograph, (center, 64), (18, 42), 0, 0, 360, 60, -1)
    blurred = cv2.GaussianBlur(radiograph, (0, 0), 5)
    heat = np.zeros((128, 128), dtype=np.float32)
    cv2.circle(heat, (int(rng.integers(20, 108)), int(rng.integers(20, 108))), 18, 1.0, -1)
    spread = cv2.GaussianBlur(heat, (0, 0), 12)
    colour = cv2.applyColorMap((255 * spread / spread.max()).astype(np.uint8), cv2.COLORMAP_INFERNO)
    gray = cv2.cvtColor(blurred, cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.addWeighted(gray, 0.65, colour, 0.35, 0), dtype=np.uint8)
