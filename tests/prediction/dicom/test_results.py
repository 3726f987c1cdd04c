"""Results as DICOM: they say what the answer says, lie in the study of the image, and obey the standard."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from pneumobench.errors import SettingsError, UnreadableImageError
from pneumobench.prediction.answers import Prediction
from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import FOR_RESEARCH, open_bundle
from pneumobench.prediction.dicom import extra
from pneumobench.prediction.dicom.identity import KINDS, Kind
from pneumobench.prediction.dicom.results import asked_kinds, results_about, write_results
from pneumobench.prediction.loading import asked_bundle
from pneumobench.radiographs.geometry import cropped, square_to_image
from tests.prediction.bundles import write_bundle
from tests.prediction.dicom.conftest import COLUMNS, ROWS, film
from tests.radiographs.dicom_files import CANARY, written

Made = tuple[Prediction, dict[Kind, bytes]]
DCIODVFY = shutil.which("dciodvfy")
VARIANTS: dict[str, dict[str, Any]] = {
    "usual": {},
    "computed": {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1", "Modality": "CR", "PhotometricInterpretation": "MONOCHROME1",
    },
    "bare": {
        "PixelSpacing": None, "PatientOrientation": None, "StudyDate": None, "StudyTime": None, "PatientSex": None,
        "InstanceNumber": None, "PatientName": None, "PatientBirthDate": None, "SpecificCharacterSet": None,
        "StudyID": None, "AccessionNumber": None,
    },
    "japanese": {
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう", "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
    },
    "odd": {
        "PatientName": "Ærø^Zoë", "SpecificCharacterSet": "ISO_IR 100", "PatientSex": "W", "StudyTime": "3 h",
        "StudyDate": "2026.01.02", "PixelSpacing": [1 / 3, 0.143], "PatientAge": "3", "InstanceNumber": -5,
    },
}  # fmt: skip


def made(predictor: AskedBundle, path: Path) -> Made:
    (said,) = predictor.predict(path)
    return said, results_about(predictor, path, path.read_bytes(), said)


def parsed(content: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(content))


@pytest.fixture(scope="module")
def usual(predictor: AskedBundle, films: list[Path]) -> Made:
    """Return an answer and its results."""
    return made(predictor, films[0])


def test_the_report_says_what_the_answer_says(usual: Made, predictor: AskedBundle) -> None:
    said, results = usual
    report = highdicom.sr.ComprehensiveSR.from_dataset(parsed(results["report"]))
    (group,) = report.content.get_image_measurement_groups()
    found = [(one.name.meaning, float(one.value)) for one in group.get_measurements()]
    expected = [said.probability, said.lowest, said.highest, said.threshold]
    assert [name for name, _ in found] == ["Probability"] * 3 + ["Decision threshold of the probability"]
    assert np.abs(np.array([value for _, value in found]) - expected).max() < 1e-6
    asked = ("Probability reaches the threshold", "A person should look")
    decided = [one.value.meaning for one in group.get_qualitative_evaluations() if one.name.meaning in asked]
    assert decided[:2] == ["Yes" if said.pneumonia else "No", "Yes" if said.review else "No"]
    assert len(decided) == 2 + len(said.reasons)
    text = "\n".join(str(element.value) for element in report.iterall() if element.keyword == "TextValue")
    assert FOR_RESEARCH in text
    assert predictor.opened.sha256 in text
    assert all(words in text for words in said.reasons.values())
    assert report.VerificationFlag == "UNVERIFIED"
    assert report.PreliminaryFlag == "PRELIMINARY"


def test_the_heat_map_lies_on_the_image(usual: Made, predictor: AskedBundle, films: list[Path]) -> None:
    _, results = usual
    found = highdicom.pm.ParametricMap.from_dataset(parsed(results["heat-map"]))
    (shares,) = found.get_frames(apply_real_world_transform=True)
    assert shares.shape == (ROWS, COLUMNS)
    (square,) = predictor.explain(films[0])
    expected = square_to_image(square, (0.15, 0.9, 0.2, 0.8), (ROWS, COLUMNS))
    assert np.abs(shares - expected / expected.max()).max() < 1e-4
    assert (shares[: int(0.15 * ROWS)] == 0).all()
    (spacing,) = found.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert list(spacing.PixelSpacing) == [0.2, 0.2]
    assert FOR_RESEARCH in found.ContentDescription


def test_the_picture_shows_image_map_and_words(usual: Made) -> None:
    picture = parsed(usual[1]["picture"])
    pixels = picture.pixel_array
    assert pixels.shape[1] == 512
    assert picture.BurnedInAnnotation == "YES"
    assert picture.PixelSpacing[0] == pytest.approx(0.2 * COLUMNS / 512, abs=1e-3)
    words = pixels[: pixels.shape[0] - round(512 * ROWS / COLUMNS)]
    assert (words == (255, 170, 60)).all(axis=-1).sum() > 100, "the notice stands above the image in its colour"
    assert (pixels.max(axis=-1).astype(int) - pixels.min(axis=-1) > 60).sum() > 1000, "the map is in colour"


def test_results_lie_in_the_study_and_refer_to_the_image(usual: Made, films: list[Path]) -> None:
    image = pydicom.dcmread(films[0])
    for kind, content in usual[1].items():
        result = parsed(content)
        for name in ("StudyInstanceUID", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber"):
            assert result[name].value == image[name].value, name
        assert str(result.PatientName) == str(image.PatientName)
        assert result.SeriesInstanceUID != image.SeriesInstanceUID
        assert str(image.SOPInstanceUID) in str(result)
        assert "for research, not for diagnosis" in result.SeriesDescription
        assert kind.replace("-", " ") in result.SeriesDescription
        assert "InstitutionName" not in result
        assert f"{CANARY} private".encode() not in content
        assert f"{CANARY} hospital".encode() not in content


def test_the_same_question_gives_the_same_bytes(
    usual: Made, predictor: AskedBundle, bundle: Path, films: list[Path], phantoms: list[Path], tmp_path: Path
) -> None:
    assert made(asked_bundle(open_bundle(bundle)), films[0])[1] == usual[1]
    other = made(predictor, films[1])[1]
    for kind in KINDS:
        assert parsed(other[kind]).SOPInstanceUID != parsed(usual[1][kind]).SOPInstanceUID
    named = write_bundle(tmp_path / "other", phantoms, crop="fixed", results={})
    again = made(asked_bundle(open_bundle(named)), films[0])[1]
    uids = {parsed(content).SOPInstanceUID for results in (usual[1], again) for content in results.values()}
    assert len(uids) == 2 * len(KINDS)
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)


def complaints(path: Path) -> list[str]:
    """Return the errors that dciodvfy finds."""
    assert DCIODVFY is not None
    done = subprocess.run([DCIODVFY, str(path)], capture_output=True, text=True, check=False, timeout=60)
    return [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line]


@pytest.mark.skipif(DCIODVFY is None, reason="dicom3tools are not installed")
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_validator_finds_no_error(
    variant: str, predictor: AskedBundle, grays: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    path = written(tmp_path, film(grays[0], 1, **VARIANTS[variant]))
    for kind, content in made(predictor, path)[1].items():
        place = tmp_path / f"{kind}.dcm"
        place.write_bytes(content)
        assert complaints(place) == [], kind


@pytest.mark.skipif(DCIODVFY is None, reason="dicom3tools are not installed")
def test_the_validator_would_find_one(usual: Made, tmp_path: Path) -> None:
    broken = parsed(usual[1]["picture"])
    del broken.ConversionType
    assert complaints(written(tmp_path, broken))


@pytest.mark.parametrize("variant", ["odd", "japanese"])
def test_letters_of_any_alphabet_arrive(
    variant: str, predictor: AskedBundle, grays: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    path = written(tmp_path, film(grays[0], 1, **VARIANTS[variant]))
    (said,) = predictor.predict(path)
    report = parsed(results_about(predictor, path, path.read_bytes(), said, ("report",))["report"])
    assert str(report.PatientName) == VARIANTS[variant]["PatientName"]
    assert report.SpecificCharacterSet == "ISO_IR 192"
    if variant == "odd":
        assert not report.PatientSex, "a sex that DICOM does not know is left out"


def test_what_was_not_looked_for_is_not_told_as_no(predictor: AskedBundle, films: list[Path]) -> None:
    (said,) = predictor.predict(films[0], review=False)
    for one, words, looked in ((said, True, []), (replace(said, review=False), False, ["No"])):
        results = results_about(predictor, films[0], films[0].read_bytes(), one, ("picture", "report"))
        report = parsed(results["report"])
        texts = [str(element.value) for element in report.iterall() if element.keyword == "TextValue"]
        assert ("Reasons to have a person look were not looked for." in texts) == words
        (group,) = highdicom.sr.ComprehensiveSR.from_dataset(report).content.get_image_measurement_groups()
        found = [(item.name.meaning, item.value.meaning) for item in group.get_qualitative_evaluations()]
        assert [value for name, value in found if name == "A person should look"] == looked


def test_what_is_odd_about_the_file_is_told(
    predictor: AskedBundle, grays: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    """Nobody reads the audit of a file that a node was sent."""
    plain = written(tmp_path, film(grays[0], 1), "plain.dcm")
    odd = written(tmp_path, film(grays[0], 1, ViewPosition="LL", PresentationIntentType="FOR PROCESSING"), "odd.dcm")
    told = {}
    for path in (plain, odd):
        results = made(predictor, path)[1]
        report = parsed(results["report"])
        words = [str(element.value) for element in report.iterall() if element.keyword == "TextValue"]
        told[path.stem] = " ".join(words), parsed(results["picture"]).Rows
    assert "neither AP nor PA" not in told["plain"][0]
    assert "ViewPosition is neither AP nor PA" in told["odd"][0]
    assert "FOR PROCESSING: raw levels" in told["odd"][0]
    assert told["odd"][1] > told["plain"][1], "it stands above the picture too"


@pytest.mark.parametrize("name", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_an_image_that_nothing_can_be_filed_with_is_refused(
    name: str, predictor: AskedBundle, grays: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    dataset = film(grays[0], 1)
    delattr(dataset, name)
    path = written(tmp_path, dataset)
    (said,) = predictor.predict(path)
    with pytest.raises(UnreadableImageError, match=rf"film\.dcm: its header has no valid {name}, .*; export the image"):
        results_about(predictor, path, path.read_bytes(), said)


def test_files_are_named_by_their_uids(predictor: AskedBundle, films: list[Path], tmp_path: Path) -> None:
    (said,) = predictor.predict(films[0])
    files = write_results(predictor, films[0], said, tmp_path / "results")
    assert [pydicom.dcmread(path).SOPInstanceUID for path in files] == [path.name.rsplit("-", 1)[0] if "heat" not in
        path.name else path.name.removesuffix("-heat-map.dcm") for path in files]  # fmt: skip
    image = tmp_path / "film.png"
    image.write_bytes(b"\x89PNG")
    assert write_results(predictor, image, said, tmp_path / "results") == []


def test_which_results_are_made_is_asked() -> None:
    assert asked_kinds(None, "--results") == KINDS
    assert asked_kinds(["heat-map", "report"], "--results") == ("report", "heat-map")
    with pytest.raises(SettingsError, match=r"--results heatmap: no such result; did you mean heat-map\?"):
        asked_kinds(["heatmap"], "--results")


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("no_such_package",))
    with pytest.raises(
        SettingsError,
        match=r'--dicom needs the package no_such_package, which is not installed: pip install "pneumobench\[pacs\]',
    ):
        extra.required("--dicom")


def test_a_map_comes_back_to_the_pixels_it_was_made_of() -> None:
    square = np.zeros((10, 10), dtype=np.float32)
    square[2:4, 6:8] = 1
    box = (0.1, 0.6, 0.2, 0.7)
    back = square_to_image(square, box, (200, 400))
    assert back.shape == (200, 400)
    inside = cropped(back, box)
    assert inside.sum() == back.sum() > 0
    rows, columns = np.nonzero(inside > 0.5)
    assert (rows.mean() / inside.shape[0], columns.mean() / inside.shape[1]) == pytest.approx((0.3, 0.7), abs=0.01)
    assert np.array_equal(square_to_image(square, None, (10, 10)), square)
