"""Whose and which an image is: what joins images, what a run refuses, and what the audit says of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pneumobench.cli.main import main
from pneumobench.datasets.admission import refusals, refuse_unfit
from pneumobench.datasets.audit import audit, audit_text, read_radiographs
from pneumobench.datasets.fold_advice import most_folds
from pneumobench.datasets.folds import check_folds
from pneumobench.datasets.index import Index
from pneumobench.datasets.splits import make_folds
from pneumobench.errors import DataError, LeakError
from pneumobench.suite.spec import DataSpec, FoldSpec, Suite
from tests.datasets.tiny_sets import index_of, write_image, write_kermany


def smooth_image(path: Path, *, seed: int) -> Path:
    """Write a colour JPEG of gray blobs, as a radiograph is published: no two channels are quite equal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(20, 235, (6, 6), dtype=np.uint8)
    gray = cv2.resize(coarse, (96, 80), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(np.stack([gray, gray, np.clip(gray.astype(int) + 2, 0, 255).astype(np.uint8)], 2)).save(
        path, quality=92
    )
    return path


def table_suite(root: Path, rows: list[str], columns: str = "image,label,patient", **folds: object) -> Suite:
    (root / "index.csv").write_text("\n".join([columns, *rows]) + "\n")
    return Suite(data=DataSpec(source="csv", root=str(root)), folds=FoldSpec(**folds))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["png", "gray png", "jpeg again", "turned", "turned jpeg", "16 bit"])
def test_the_same_picture_in_another_file_is_one_group(kind: str, tmp_path: Path) -> None:
    original = smooth_image(tmp_path / "a.jpeg", seed=1)
    smooth_image(tmp_path / "b.jpeg", seed=2)
    with Image.open(original) as opened:
        if kind == "png":
            opened.save(tmp_path / "copy.png")
        elif kind == "gray png":
            opened.convert("L").save(tmp_path / "copy.png")
        elif kind == "jpeg again":
            opened.save(tmp_path / "copy.png", format="JPEG", quality=70)
        elif kind == "16 bit":
            gray = np.asarray(opened.convert("L"), dtype=np.uint16) * 257
            assert cv2.imwrite(str(tmp_path / "copy.png"), gray)
        else:
            exif = Image.Exif()
            exif[0x0112] = 6  # the viewer turns it clockwise
            turned = opened.transpose(Image.Transpose.ROTATE_90)
            turned.save(tmp_path / "copy.png", format="JPEG" if kind == "turned jpeg" else "PNG", exif=exif)
    suite = table_suite(tmp_path, ["a.jpeg,0,p1", "b.jpeg,1,p2", "copy.png,0,p3"])
    index, problems = read_radiographs(suite)
    assert problems == ()
    metadata = audit(index, suite=suite)
    if kind == "16 bit":  # its gray levels are stretched: it looks alike, and is listed
        assert [pair["images"] for pair in metadata["near_duplicates"]] == [["a.jpeg", "copy.png"]]
        assert metadata["near_duplicates"][0]["across_patients"]
        return
    assert index.table["group"].tolist() == [0, 1, 0]
    assert index.table["picture"].nunique() == 2
    assert index.table["sha256"].nunique() == 3
    assert metadata["identical_image_groups"] == [["a.jpeg", "copy.png"]]
    assert metadata["identical_in_other_files"] == 1
    assert metadata["identical_across_patients"] == [["p1", "p3"]]
    assert "groups of identical images: 1 (of files that differ: 1), across patients: 1" in audit_text(metadata)


def test_near_duplicates_are_listed_those_across_the_parts_first(tmp_path: Path) -> None:
    for number in range(4):
        path = smooth_image(tmp_path / f"{number}.jpeg", seed=number)
        with Image.open(path) as opened:
            opened.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / f"m{number}.png")
    rows = ["0.jpeg,0,a,train", "m0.png,0,a,train", "1.jpeg,1,b,train", "m1.png,1,c,train"]
    rows += ["2.jpeg,0,d,train", "m2.png,0,e,test", "3.jpeg,1,f,train"]
    suite = table_suite(tmp_path, rows, "image,label,patient,split")
    metadata = audit(read_radiographs(suite)[0], suite=suite)
    assert [pair["images"] for pair in metadata["near_duplicates"]] == [
        ["2.jpeg", "m2.png"], ["1.jpeg", "m1.png"], ["0.jpeg", "m0.png"]
    ]  # fmt: skip
    assert all(pair["change"] == "mirrored" for pair in metadata["near_duplicates"])
    text = audit_text(metadata)
    assert "near duplicates: 3 pairs, across patients: 2, with two labels: 0, across train and test: 1" in text
    assert "    2.jpeg = m2.png (correlation " in text
    assert ", mirrored, two patients, train and test)" in text
    assert metadata["near_duplicate_counts"] == {
        "pairs": 3, "across_patients": 2, "with_two_labels": 0, "across_train_and_test": 1
    }  # fmt: skip
    assert metadata["refusals"] == [], "they are for people to look at"


# names that say nothing of a patient


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A Kermany folder with two names of no scheme and one copied file."""
    root = write_kermany(tmp_path / "kermany")
    write_image(root / "train/NORMAL/scan 7.jpeg", seed=70)
    write_image(root / "train/PNEUMONIA/00000012_000.png", seed=71)
    shutil.copy(root / "train/NORMAL/IM-0001-0001.jpeg", root / "train/NORMAL/IM-0001-0001 (1).jpeg")
    return root


def kermany(root: Path, rule: str = "number") -> Suite:
    return Suite(data=DataSpec(source="kermany", root=str(root), patient_rule=rule))  # type: ignore[arg-type]


def test_names_of_no_scheme_are_refused_until_it_is_written_down(foreign: Path) -> None:
    index, problems = read_radiographs(kermany(foreign))
    assert problems == ()
    with pytest.raises(DataError, match=r"2 of 13 file names do not say whose image it is: .*scan 7\.jpeg") as caught:
        refuse_unfit(index, kermany(foreign))
    assert "set data.patient_rule to image" in str(caught.value)
    assert "BACTERIA-1008087-0001" in str(caught.value)
    written = kermany(foreign, "image")
    index, _ = read_radiographs(written)
    refuse_unfit(index, written)
    assert (index.table["patient"] == index.table["image_id"]).all(), "each image is a patient of its own"
    assert "patients not known: 13 images, each counts as a patient of its own" in audit_text(
        audit(index, suite=written)
    )


def test_the_audit_counts_and_shows_them(foreign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "audit.json"
    assert main(["audit", str(foreign), "--output", str(report)]) == 3
    output = capsys.readouterr().out
    assert "patients not known: 2 images, each counts as a patient of its own" in output
    assert "naming schemes: 5 person, 6 IM; names of copied files: 1" in output
    assert "file names of no known scheme: 2 (train/NORMAL/scan 7.jpeg, train/PNEUMONIA/00000012_000.png)" in output
    assert "a run refuses this set: 1 reason" in output
    found = json.loads(report.read_text())
    assert found["file_names"]["unexplained"] == ["train/NORMAL/scan 7.jpeg", "train/PNEUMONIA/00000012_000.png"]
    assert found["patients_unknown"] == 2
    assert main(["audit", str(foreign), "--data.patient_rule", "image", "--output", str(report)]) == 0
    assert json.loads(report.read_text())["patients_unknown"] == 13


def test_a_copied_file_is_the_patient_of_its_original(foreign: Path) -> None:
    table = read_radiographs(kermany(foreign))[0].table.set_index("image_id")
    original, copy = (table.loc[f"train/NORMAL/IM-0001-0001{mark}.jpeg"] for mark in ("", " (1)"))
    assert (copy["patient"], copy["group"], copy["picture"]) == (
        original["patient"], original["group"], original["picture"]
    )  # fmt: skip


def test_the_second_published_naming_scheme_groups_patients(tmp_path: Path) -> None:
    names = [
        "train/NORMAL/NORMAL-11-0001", "train/NORMAL/NORMAL-11-0002", "train/NORMAL/NORMAL-12-0001",
        "train/PNEUMONIA/BACTERIA-21-0001", "train/PNEUMONIA/BACTERIA-21-0002", "train/PNEUMONIA/VIRUS-21-0003",
    ]  # fmt: skip
    for seed, name in enumerate(names):
        write_image(tmp_path / f"{name}.jpeg", seed=seed)
    index, _ = read_radiographs(kermany(tmp_path))
    assert refusals(index, kermany(tmp_path)) == ()
    assert index.table["patient"].tolist() == ["11", "11", "12", "21", "21", "21"]
    assert index.table["subtype"].tolist() == ["normal"] * 3 + ["bacteria", "bacteria", "virus"]


# tables


def test_spellings_and_missing_patients_are_counted_and_said(tmp_path: Path) -> None:
    patients = ["12", "00012", "12.0", "nan", "", "P1"]
    for number in range(len(patients)):
        write_image(tmp_path / f"{number}.png", seed=number)
    suite = table_suite(tmp_path, [f"{n}.png,{n % 2},{patient}" for n, patient in enumerate(patients)])
    metadata = audit(read_radiographs(suite)[0], suite=suite)
    assert (metadata["patients"], metadata["patients_unknown"]) == (4, 2)
    assert metadata["spellings_of_one_patient"] == [["00012", "12", "12.0"]]
    text = audit_text(metadata)
    assert "patients not known: 2 images, each counts as a patient of its own" in text
    assert "patients spelled in several ways: 1 (e.g. '00012' = '12' = '12.0'), taken for one each" in text
    assert metadata["refusals"] == []


CROSSING = ["a.png,0,p,train", "b.png,1,q,train", "c.png,1,p,test", "d.png,0,r,test"]


def test_what_a_run_refuses_the_audit_lists_with_the_same_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate("abcd"):
        write_image(tmp_path / f"{name}.png", seed=seed)
    for columns, rows, error, words in [
        (
            "image,label,patient,split",
            CROSSING,
            LeakError,
            "patient p is in train and in test of the data (a.png and c.png",
        ),
        ("image,label", ["a.png,1", "b.png,1"], DataError, "no image is labelled NORMAL; both classes are needed"),
        ("image,label", ["a.png,0", "b.png,0"], DataError, "no image is labelled PNEUMONIA; both classes are needed"),
    ]:
        suite = table_suite(tmp_path, rows, columns)
        with pytest.raises(error) as caught:
            refuse_unfit(read_radiographs(suite)[0], suite)
        assert words in str(caught.value)
        assert main(["audit", str(tmp_path / "index.csv"), "--output", str(tmp_path / "audit.json")]) == 3
        assert words in capsys.readouterr().out
        assert words in json.loads((tmp_path / "audit.json").read_text())["refusals"][0]


def test_a_patient_on_both_sides_is_no_matter_where_the_test_images_are_merged(tmp_path: Path) -> None:
    for seed, name in enumerate("abcd"):
        write_image(tmp_path / f"{name}.png", seed=seed)
    suite = table_suite(tmp_path, CROSSING, "image,label,patient,split", merge_official_test=True)
    assert refusals(read_radiographs(suite)[0], suite) == ()


@pytest.mark.parametrize("suffix", [".jpeg", ".png"])
def test_one_picture_with_two_labels_is_refused(suffix: str, tmp_path: Path) -> None:
    original = smooth_image(tmp_path / "a.jpeg", seed=1)
    with Image.open(original) as opened:
        opened.save(tmp_path / f"copy{suffix}")
    suite = table_suite(tmp_path, ["a.jpeg,0,p", f"copy{suffix},1,p"])
    words = rf"1 picture in files of two labels, e\.g\. a\.jpeg \(NORMAL\) and copy{suffix} \(PNEUMONIA\)"
    with pytest.raises(DataError, match=words):
        refuse_unfit(read_radiographs(suite)[0], suite)


def test_a_picture_in_both_official_folders_is_refused(tmp_path: Path) -> None:
    root = write_kermany(tmp_path)
    shutil.copy(root / "train/NORMAL/IM-0001-0001.jpeg", root / "test/NORMAL/IM-0050-0001.jpeg")
    with pytest.raises(LeakError, match=r"image content \w+ is in train and in test of the data \(test/NORMAL/IM-0050"):
        refuse_unfit(read_radiographs(kermany(root))[0], kermany(root))


def test_the_report_is_written_also_where_no_image_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.csv").write_text("image,label\ngone.png,0\nlost.png,1\n")
    assert main(["audit", str(tmp_path / "index.csv"), "--output", str(tmp_path / "report.json")]) == 3
    captured = capsys.readouterr()
    assert "pneumobench audit" not in captured.out + captured.err
    found = json.loads((tmp_path / "report.json").read_text())
    assert [problem.split(":")[0] for problem in found["problems"]] == ["gone.png", "lost.png"]
    assert str(tmp_path) not in (tmp_path / "report.json").read_text(), "no report names a folder of this machine"
    assert found["images"] == 0


def test_a_report_names_no_folder(tmp_path: Path) -> None:
    root = write_kermany(tmp_path)
    (root / "train/NORMAL/IM-0003-0001.jpeg").write_bytes(b"<html>")
    (root / "train/NORMAL/IM-0004-0001.jpeg").write_bytes(b"")
    main(["audit", str(root), "--output", str(tmp_path / "report.json")])
    text = (tmp_path / "report.json").read_text()
    assert "IM-0003-0001.jpeg: a web page" in text
    assert str(tmp_path) not in text


# advice that works


def spread(positives: int, negatives: int = 12) -> Index:
    """Return an index of so many patients of each class, one image each."""
    return index_of(
        [(f"n{n}", f"a{n}", 0) for n in range(negatives)] + [(f"p{n}", f"b{n}", 1) for n in range(positives)]
    )


@pytest.mark.parametrize(
    ("positives", "advice"),
    [
        (1, r"at least 6 are needed\. No other setting of folds helps: add patients with PNEUMONIA images"),
        (3, r"at least 6 are needed\. No other setting of folds helps: add patients with PNEUMONIA images"),
        (5, r"Set folds\.count to 4 or less, or add patients with PNEUMONIA images"),
    ],
)
def test_the_advice_for_too_few_patients_works(positives: int, advice: str) -> None:
    index = spread(positives)
    with pytest.raises(DataError, match=advice):
        make_folds(index, FoldSpec(count=5), seed=0)
    most = most_folds(index.table)
    assert most == (4 if positives == 5 else 0)
    for count in range(2, most + 1):
        check_folds(index, make_folds(index, FoldSpec(count=count), seed=0))
    for spec in (FoldSpec(count=max(2, most + 1)), FoldSpec(count=5, tune_fraction=0.02), FoldSpec(tune_fraction=0.4)):
        with pytest.raises(DataError):
            make_folds(index, spec, seed=0)


@pytest.mark.parametrize("positives", [4, 6])
def test_the_advice_for_a_test_part_works(positives: int) -> None:
    index = spread(positives, 40)
    with pytest.raises(DataError, match=r"Set folds\.test_fraction to 0\.\d+ or more, or add patients") as caught:
        make_folds(index, FoldSpec(protocol="holdout", count=1, test_fraction=0.1), seed=0)
    advised = float(str(caught.value).split("test_fraction to ")[1].split()[0])
    works = FoldSpec(protocol="holdout", count=1, test_fraction=advised)
    check_folds(index, make_folds(index, works, seed=0))


@pytest.mark.parametrize(
    ("sizes", "normal", "count", "works"),
    [
        ([11, 2, 5, 2], 4, 3, "folds.count 2"),
        ([5, 5, 11, 1, 3, 3], 5, 2, "seed 3"),
        ([1, 2, 13, 3], 5, 2, None),
    ],
)
def test_what_is_advised_for_uneven_patients_was_tried(
    sizes: list[int], normal: int, count: int, works: str | None
) -> None:
    rows = [
        (f"p{patient}", f"c{patient}-{image}", int(image > 0 or patient % 2 == 0))
        for patient, images in enumerate(sizes)
        for image in range(images)
    ]
    index = index_of([*rows, *((f"n{patient}", f"d{patient}", 0) for patient in range(normal))])
    advice = f"{works} works; or add patients" if works else "none labelled PNEUMONIA; add patients"
    with pytest.raises(DataError, match=rf"the training part of fold \d would have 2 images .*{advice}"):
        make_folds(index, FoldSpec(count=count), seed=0)
    if works:
        key, _, value = works.partition(" ")
        spec = FoldSpec(count=int(value) if key == "folds.count" else count)
        check_folds(index, make_folds(index, spec, seed=int(value) if key == "seed" else 0))


def test_images_of_one_patient_may_be_split_by_image(tmp_path: Path) -> None:
    rows = [f"{n}.png,{n % 2},one" for n in range(24)]
    for n in range(24):
        write_image(tmp_path / f"{n}.png", seed=n)
    index, _ = read_radiographs(table_suite(tmp_path, rows))
    check_folds(index, make_folds(index, FoldSpec(protocol="image_random", count=3), seed=0))
    with pytest.raises(DataError, match="1 patient groups have NORMAL images, too few for 3 folds"):
        make_folds(index, FoldSpec(count=3), seed=0)
    few = table_suite(tmp_path, rows[:6])
    with pytest.raises(DataError, match="3 images are NORMAL, too few for 5 folds"):
        make_folds(read_radiographs(few)[0], FoldSpec(protocol="image_random", count=5), seed=0)


def test_pairs_of_two_labels_and_of_two_folds_are_counted_and_listed_before_others(tmp_path: Path) -> None:
    rows = []
    for number in range(12):
        path = smooth_image(tmp_path / f"{number}.jpeg", seed=number)
        rows.append(f"{number}.jpeg,{number % 2},p{number}")
        if number < 3:
            with Image.open(path) as opened:
                opened.transpose(Image.Transpose.ROTATE_180).save(tmp_path / f"t{number}.png")
    # of one patient; of two patients; of two patients and two labels
    rows += ["t0.png,0,p0", "t1.png,1,q1", "t2.png,1,q2"]
    suite = table_suite(tmp_path, rows, count=3, tune_fraction=0.3)
    index = read_radiographs(suite)[0]
    folds = make_folds(index, suite.folds, seed=0)
    fold_of = folds.test_fold
    pairs = audit(index, suite=suite, folds=folds)["near_duplicates"]
    assert len(pairs) == 3
    for pair in pairs:
        one, other = pair["images"]
        assert pair["across_folds"] == (fold_of[one] != fold_of[other]), "each is learnt from where the other is tested"
        assert pair["with_two_labels"] == (one == "2.jpeg")
        assert pair["across_patients"] == (one != "0.jpeg")
    assert not pairs[-1]["across_folds"], "the one patient's come last"
    counts = audit(index, suite=suite, folds=folds)["near_duplicate_counts"]
    assert counts["with_two_labels"] == 1
    assert counts["across_folds"] == sum(pair["across_folds"] for pair in pairs)
    assert "across_folds" not in audit(index, suite=suite)["near_duplicate_counts"]
    assert ", two patients, two labels" in audit_text(audit(index, suite=suite, folds=folds))


def test_the_audit_writes_all_pairs_as_a_table_without_patients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    for number in range(3):
        smooth_image(data / f"{number}.jpeg", seed=number)
    shutil.copy(data / "0.jpeg", data / "copy.jpeg")
    with Image.open(data / "1.jpeg") as opened:
        opened.save(data / "again.png")
    with Image.open(data / "2.jpeg") as opened:
        opened.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(data / "mirror.png")
    rows = ["0.jpeg,0,secret-a", "copy.jpeg,1,secret-b", "1.jpeg,1,secret-c", "again.png,1,secret-c"]
    rows += ["2.jpeg,0,secret-d", "mirror.png,0,secret-e"]
    table_suite(data, rows)
    monkeypatch.chdir(tmp_path)
    assert main(["audit", "data/index.csv", "--output", "mine.json"]) in (0, 3)
    assert "pairs of duplicates: mine_duplicates.csv" in capsys.readouterr().out
    text = (tmp_path / "mine_duplicates.csv").read_text()
    assert "secret" not in text
    assert text.splitlines()[0].startswith("image_1,image_2,kind,correlation,hash_distance,change,across_patients")
    found = {line.split(",")[0]: line.split(",") for line in text.splitlines()[1:]}
    assert found["0.jpeg"][1:3] == ["copy.jpeg", "same bytes"]
    assert found["0.jpeg"][-3:] == ["1", "1", "0"]
    assert found["1.jpeg"][1:3] == ["again.png", "same picture"]
    assert found["1.jpeg"][-3:] == ["0", "0", "0"]
    assert found["2.jpeg"][1:3] == ["mirror.png", "looks alike"]
    assert found["2.jpeg"][5] == "mirrored"
