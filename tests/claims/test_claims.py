"""The verdicts on the five published systems, and on claims made up for a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef

from pneumobench.claims.checker import Claim, Verdict, check_claim
from pneumobench.claims.matrices import matching, read_reported
from pneumobench.claims.reader import read_claims
from pneumobench.cli.main import main
from pneumobench.errors import SettingsError
from pneumobench.metrics.confusion import Confusion
from pneumobench.metrics.table import PRINTED_METRICS

PAPERS = Path(__file__).resolve().parents[2] / "benchmark" / "papers"


def verdicts(name: str) -> dict[str, Verdict]:
    (path,) = PAPERS.glob(f"{name}-*.yaml")
    return {claim.system: check_claim(claim) for claim in read_claims(path)}


def test_paper_a_has_one_matrix_each_and_one_rounding_slip() -> None:
    found = verdicts("a")
    assert found["EfficientNet-B0"].kind == "consistent"
    assert found["EfficientNet-B0"].matrices == (Confusion(tp=388, fn=2, fp=94, tn=140),)
    densenet = found["DenseNet121"]
    assert densenet.kind == "slip"
    assert densenet.matrices == (Confusion(tp=389, fn=1, fp=126, tn=108),)
    assert densenet.words[0] == "Accuracy 0.79647 was printed as .797: a rounding slip."
    assert "specificity .4615" in densenet.words[1]


def test_a_slip_of_an_abbreviation_keeps_its_capitals() -> None:
    truth = Confusion(tp=40, fn=5, fp=7, tn=38)  # MCC .73401
    claim = Claim(system="x", images=90, pneumonia=45, metrics=(read_reported("mcc", ".735"),), matrix=truth)
    assert check_claim(claim).words[0].startswith("MCC 0.73")


def test_paper_b_is_told_that_its_accuracies_are_no_steps_of_200_images() -> None:
    found = verdicts("b")
    for system, printed in (("RegNetY-064", ".924"), ("ResNetRS-50", ".919")):
        assert found[system].kind == "contradiction"
        assert f"Accuracy {printed} cannot come from 200 images" in found[system].words[0]
    assert "As a mean over 4, 5, 6, 7, 8, 9 or 10 test sets" in found["RegNetY-064"].words[0]
    assert found["EfficientNetV2-S"].kind == "consistent"


def test_paper_c_is_told_that_its_matrix_is_of_another_test_set() -> None:
    verdict = verdicts("c")["ResNet50, after cropping"]
    assert verdict.kind == "contradiction"
    assert verdict.words[0] == "The printed matrix adds up to 916 images, not the 624 that are stated."
    assert any("recall is .9691; .81 is printed" in words for words in verdict.words)


@pytest.mark.parametrize("paper", ["d", "e"])
def test_papers_with_sound_numbers_are_accepted(paper: str) -> None:
    assert {verdict.kind for verdict in verdicts(paper).values()} == {"consistent"}


def test_the_command_prints_verdicts_and_fails_on_a_contradiction(capsys: pytest.CaptureFixture[str]) -> None:
    (sound,), (broken,) = PAPERS.glob("e-*.yaml"), PAPERS.glob("c-*.yaml")
    assert main(["claims", str(sound)]) == 0
    assert "ResNet50, tuned: consistent" in capsys.readouterr().out
    assert main(["claims", str(broken)]) == 4
    assert "916 images, not the 624" in capsys.readouterr().out


def test_metrics_agree_with_scikit_learn() -> None:
    label, call = np.repeat([1, 1, 0, 0], [41, 9, 7, 23]), np.repeat([1, 0, 1, 0], [41, 9, 7, 23])
    matrix = Confusion(tp=41, fn=9, fp=7, tn=23)
    assert matrix.value("mcc") == pytest.approx(matthews_corrcoef(label, call))
    assert matrix.value("f1") == pytest.approx(f1_score(label, call))
    assert matrix.value("macro_f1") == pytest.approx(f1_score(label, call, average="macro"))
    assert matrix.value("f1_normal") == pytest.approx(f1_score(label, call, pos_label=0))


@given(
    tp=st.integers(0, 30), fn=st.integers(0, 30), fp=st.integers(0, 30), tn=st.integers(0, 30), digits=st.integers(2, 4)
)
def test_the_true_matrix_is_always_found(tp: int, fn: int, fp: int, tn: int, digits: int) -> None:
    truth = Confusion(tp=tp, fn=fn, fp=fp, tn=tn)
    if truth.images == 0:
        return
    values = {name: truth.value(name) for name in PRINTED_METRICS}
    printed = [read_reported(n, f"{v:.{digits}f}") for n, v in values.items() if not np.isnan(v)]
    assert truth in matching(truth.images, truth.pneumonia, printed)
    assert (
        check_claim(Claim(system="true", images=truth.images, pneumonia=truth.pneumonia, metrics=tuple(printed))).kind
        == "consistent"
    )


def test_an_unknown_prevalence_is_tried_out() -> None:
    printed = [read_reported("recall", ".9091"), read_reported("specificity", ".7692"), read_reported("f1", ".9302")]
    found = matching(46, None, printed)
    assert Confusion(tp=30, fn=3, fp=3, tn=10) not in found, "its F1 is .9091"
    assert all(matrix.images == 46 for matrix in found)
    assert Confusion(tp=30, fn=3, fp=3, tn=10) in matching(46, None, printed[:2])


def test_a_contradiction_names_the_metric_that_does_not_fit() -> None:
    metrics = (read_reported("recall", ".950"), read_reported("specificity", ".900"), read_reported("accuracy", ".970"))
    verdict = check_claim(Claim(system="x", images=200, pneumonia=100, metrics=metrics))
    assert verdict.kind == "contradiction"
    assert verdict.words[0].startswith("No confusion matrix fits. Without ")


def test_a_cut_off_digit_is_a_slip_with_and_without_a_matrix() -> None:
    truth, cut = Confusion(tp=40, fn=5, fp=7, tn=38), (read_reported("accuracy", ".866"),)  # .8667
    for claim in (
        Claim(system="x", images=90, pneumonia=45, metrics=cut),
        Claim(system="x", images=90, pneumonia=45, metrics=cut, matrix=truth),
    ):
        assert check_claim(claim).kind == "slip"
    assert check_claim(Claim(system="x", images=90, pneumonia=45, metrics=(), matrix=truth)).words == (
        "The printed matrix adds up.",
    )


def test_means_that_are_no_steps_are_slips_and_other_means_say_nothing() -> None:
    def mean(name: str, text: str) -> Claim:
        return Claim(system="x", images=7, pneumonia=None, metrics=(read_reported(name, text),), averaged_over=3)

    assert check_claim(mean("accuracy", ".904")).kind == "slip"  # 19/21 = .9048
    assert check_claim(mean("accuracy", ".905")).kind == "consistent"
    assert "nothing can be checked" in check_claim(mean("recall", ".5")).words[0]


def test_numbers_that_say_little_do_not_fill_the_memory() -> None:
    claim = Claim(system="x", images=600, pneumonia=None, metrics=(read_reported("recall", "> .9"),))
    verdict = check_claim(claim)
    assert len(verdict.matrices) == 10_000
    assert "or more" in verdict.words[0]


def test_means_over_folds_have_finer_steps_and_no_matrix() -> None:
    accuracy = read_reported("accuracy", ".924")
    assert check_claim(Claim(system="x", images=200, pneumonia=None, metrics=(accuracy,))).kind == "contradiction"
    mean = check_claim(Claim(system="x", images=200, pneumonia=None, metrics=(accuracy,), averaged_over=5))
    assert (mean.kind, mean.matrices) == ("consistent", ())


@pytest.mark.parametrize(
    ("text", "value", "unit", "relation"),
    [(".930", 0.93, 0.001, "="), ("79.7 %", 0.797, 0.001, "="), ("> .99", 0.99, 0.01, ">"), ("1", 1.0, 1.0, "=")],
)
def test_printed_numbers_keep_their_last_digit(text: str, value: float, unit: float, relation: str) -> None:
    reported = read_reported("accuracy", text)
    assert [reported.value, reported.unit] == pytest.approx([value, unit])
    assert reported.relation == relation


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("auc", ".9"),
        ("accuracy", "92.4"),
        ("accuracy", "high"),
        ("accuracy", "sNaN"),
        ("accuracy", "inf"),
        ("recall", "-.1"),
    ],
)
def test_what_is_no_printed_metric_is_refused(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_reported(name, text)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: 1", "no list `reported`"),
        ("reported: [3]", r"reported\[0\]: expected the keys"),
        ("reported: [{system: x, images: 10, metrics: {acuracy: .9}}]", "acuracy"),
        ("reported: [{system: x, images: 10}]", "expected `metrics`"),
        ("reported: [{system: x, images: ten, metrics: {accuracy: .9}}]", "images is 'ten'; expected a whole number"),
        ("reported: [{system: x, images: 10, matrix: {tp: 1}}]", "expected a `matrix` with tp, fn, fp, tn"),
        ("reported: [{system: x, images: 10, metric: {}}]", "'metric' is not known"),
        ("reported: [", "is no YAML"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=words) as error:
        read_claims(path)
    assert str(path) in str(error.value)


def test_test_sets_that_are_too_large_are_refused() -> None:
    printed = [read_reported("accuracy", ".9")]
    with pytest.raises(SettingsError, match="Give `pneumonia`"):
        matching(5_000, None, printed)
    with pytest.raises(SettingsError, match="11 with pneumonia"):
        matching(10, 11, printed)
