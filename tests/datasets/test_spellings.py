"""Every usual spelling of a label, a part and a view has one meaning."""

from __future__ import annotations

import pytest

from pneumobench.datasets.spellings import class_of_folder, read_label, read_part, read_view

SPELLINGS = {
    "normal": "0 0.0 0,0 NORMAL normal Healthy no No N FALSE f negative neg No_Finding no-finding NoFinding absent",
    "pneumonia": "1 1.0 1,0 PNEUMONIA Pneumonia yes YES y TRUE t positive pos present bacterial VIRUS Pnemonia "
    "bronchopneumonia pneumonia. 'pneumonia'",
    "uncertain": "-1 -1.0 uncertain Unknown equivocal ? ???",
    "missing": "nan NaN NA N/A None null - -- #N/A todo",
    "unclear": "2 7 -2 Pnuemonia pneumona nromal abnormal",
    "other": "COVID-19 Tuberculosis Effusion Pneumothorax pneumonitis Lung_Opacity",
}


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, word) for kind, words in SPELLINGS.items() for word in words.split()]
)
def test_a_spelling_of_a_label_has_its_meaning(kind: str, text: str) -> None:
    assert read_label(text).kind == kind
    assert read_label(f"  {text}\t").kind == kind, "blanks around it do not matter"


@pytest.mark.parametrize(
    ("text", "kind", "etiology"),
    [
        ("", "missing", ""),
        ("Pneumonia|Effusion", "pneumonia", ""),
        ("Effusion|Mass", "other", ""),
        ("Effusion | Pneumonia", "pneumonia", ""),
        ("No Finding", "normal", ""),
        ("no\u00a0finding", "normal", ""),
        ("unremarkable.", "normal", ""),
        ("No Finding|Support Devices", "other", ""),
        ("No Finding|Pneumonia", "unclear", ""),
        ("Pneumonia/Viral/COVID-19", "pneumonia", "virus"),
        ("Pneumonia/Bacterial/Streptococcus", "pneumonia", "bacteria"),
        ("Pneumonia/Fungal/Pneumocystis", "pneumonia", ""),
        ("pneumonia; bacterial", "pneumonia", "bacteria"),
        ("bacterial pneumonia", "pneumonia", "bacteria"),
        ("viral and bacterial pneumonia", "pneumonia", ""),
        ("COVID-19, ARDS", "other", ""),
        ("no pneumonia", "normal", ""),
        ("NonPneumonia", "normal", ""),
        ("neg pneumonia", "normal", ""),
        ("negative for pneumonia", "normal", ""),
        ("No evidence of pneumonia", "normal", ""),
        ("pneumonia absent", "normal", ""),
        ("pneumonia ruled out", "unclear", ""),
        ("pneumonia excluded", "unclear", ""),
        ("absence of pneumonia", "unclear", ""),
        ("free of pneumonia", "unclear", ""),
        ("pneumonia_false", "unclear", ""),
        ("pneumonia 0", "unclear", ""),
        ("resolved pneumonia", "unclear", ""),
        ("history of pneumonia", "unclear", ""),
        ("non-COVID pneumonia", "unclear", ""),
        ("not bacterial pneumonia", "unclear", ""),
        ("Pneumonia without effusion", "unclear", ""),
        ("Pneumonia - no effusion", "unclear", ""),
        ("NORMAL and PNEUMONIA", "unclear", ""),
        ("pneumonia vs normal", "unclear", ""),
        ("unlikely pneumonia", "uncertain", ""),
        ("r/o pneumonia", "uncertain", ""),
        ("rule out pneumonia", "uncertain", ""),
        ("cannot exclude pneumonia", "uncertain", ""),
        ("COVID pneumonia", "pneumonia", ""),
        ("lobar pneumonia", "pneumonia", ""),
        ("Non-Pneumonia", "normal", ""),
        ("possible pneumonia", "uncertain", ""),
        ("pneumonia?", "uncertain", ""),
        ("Pnuemonia|Effusion", "unclear", ""),
        ("+/-", "uncertain", ""),
    ],
)
def test_a_label_of_several_words_or_findings(text: str, kind: str, etiology: str) -> None:
    assert (read_label(text).kind, read_label(text).etiology) == (kind, etiology)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NORMAL", "normal"),
        ("Normal", "normal"),
        ("pneumonia", "pneumonia"),
        ("Viral Pneumonia", "pneumonia"),
        ("BACTERIA", "pneumonia"),
        ("1", None),
        ("no", None),
        ("pos", None),
        ("COVID", None),
        ("images", None),
        ("lung_masks", None),
    ],
)
def test_only_words_make_a_class_folder(name: str, kind: str | None) -> None:
    found = class_of_folder(name)
    assert (found.kind if found else None) == kind


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("train", "train Train TRAIN training Training train_set training-data"),
        ("val", "val VAL valid Valid validation dev"),
        ("test", "test TEST testing Test_Set hold-out"),
        (None, "fold1 0 all external images"),
    ],
)
def test_parts_as_people_write_them(part: str | None, words: str) -> None:
    assert {read_part(word) for word in words.split()} == {part}


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("frontal", "PA|AP|pa|AP Supine|AP semi erect|Frontal|Antero-posterior|posteroanterior"),
        ("lateral", "L|LL|Lateral|LATERAL|lat|Left Lateral"),
        ("unknown", "|nan|unknown|-"),
        ("other", "Axial|Coronal|lordotic|oblique"),
    ],
)
def test_views_as_people_write_them(view: str, words: str) -> None:
    assert {read_view(word) for word in words.split("|")} == {view}
