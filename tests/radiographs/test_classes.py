from __future__ import annotations

import pandas as pd
import pytest

from pneumobench.errors import DataError
from pneumobench.radiographs.classes import three_classes


def table(*rows: tuple[int, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"image_id": f"{i}.png", "label": label, "subtype": subtype} for i, (label, subtype) in enumerate(rows)]
    )


def test_subtypes_become_class_numbers() -> None:
    films = table((0, "normal"), (1, "bacteria"), (1, "Virus"), (0, ""), (1, "viral"), (1, "bacterial"))
    assert three_classes(films).tolist() == [0, 1, 2, 0, 2, 1]


def test_a_pneumonia_without_its_kind_is_refused_by_name() -> None:
    films = table((0, "normal"), (1, "bacteria"), (1, "virus"), (1, "fungus"), (1, "normal"))
    with pytest.raises(DataError, match=r"2 pneumonia films are neither .* 3\.png \('fungus'\), 4\.png \('normal'\)"):
        three_classes(films)


def test_an_empty_class_is_refused() -> None:
    with pytest.raises(DataError, match="no film is viral"):
        three_classes(table((0, "normal"), (1, "bacteria")))
