from __future__ import annotations

from pathlib import Path

import pytest

from pneumobench.cli.main import main
from pneumobench.datasets.cards import ImageCounts, card_names, card_path, count_differences, read_card
from pneumobench.datasets.layouts import LAYOUTS
from pneumobench.errors import DataError, SettingsError
from pneumobench.suite.names import LAYOUT_GROUP, SHIPPED_LAYOUTS
from pneumobench.suite.registry import known_without_import


def test_the_known_sets_have_a_card() -> None:
    assert card_names() == ["chexpert", "covid-chestxray", "kermany", "nih", "rsna", "vindr-pcxr"]


@pytest.mark.parametrize("name", card_names())
def test_a_shipped_card_is_complete(name: str) -> None:
    card = read_card(card_path(name))
    assert card.defects
    assert card.url.startswith("https://")
    for part, counts in card.counts.items():
        if counts.normal is not None and counts.pneumonia is not None:
            assert counts.normal + counts.pneumonia == counts.images, part
    assert f"# {card.pretty_name}".split(",")[0] in card_path(name).read_text()
    layout = LAYOUTS.get(card.source)
    if not layout.reads_table:  # the tree of the card is the one that an error shows
        card_tree, shown_tree = ([line.split() for line in tree.splitlines()] for tree in (card.layout, layout.tree))
        assert card_tree == shown_tree


def test_every_published_layout_has_a_card() -> None:
    shipped = (LAYOUTS.get(name) for name in known_without_import(LAYOUT_GROUP, SHIPPED_LAYOUTS))
    published = {layout.name for layout in shipped if layout.made is None and not layout.reads_table}
    assert published <= {read_card(card_path(name)).source for name in card_names()}


def test_the_counts_of_kermany_are_those_of_the_publication() -> None:
    counts = read_card(card_path("kermany")).counts
    assert sum(part.images or 0 for part in counts.values()) == 5856
    assert counts["train"] == ImageCounts(images=5216, normal=1341, pneumonia=3875)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("population:", "populaton:", "unknown key 'populaton'; did you mean population?"),
        ("modality: frontal chest X-ray, JPEG\n", "", "key 'modality' is missing"),
        ("source: kermany", "source: dicom", "source is 'dicom'; expected one of chexpert, "),
        ("images: 5216", "images: many", "counts.train: images is 'many'; expected a number of images, or null."),
        ("normal: 1341", "normal: -1", "normal is -1; expected a number of images, or null"),
        ("normal: 1341", "healthy: 1341", "counts.train: unknown key 'healthy'"),
        ("images: 5216, ", "", "counts.train: key 'images' is missing"),
        ("name: kermany", "name: kerman", "name is 'kerman'; expected the name of the file, 'kermany'"),
        ("doi: 10.17632/rscbjbr9sj", "doi: 10.1", "doi is 10.1; expected text"),
        ("doi: ", "doi: [", "its front matter is not YAML"),
        ("---\nname", "name", "no front matter"),
    ],
)
def test_a_card_is_read_strictly(old: str, new: str, words: str, tmp_path: Path) -> None:
    text = card_path("kermany").read_text()
    path = tmp_path / "kermany.md"
    path.write_text(text.replace(old, new, 1))
    assert old in text
    with pytest.raises(DataError) as caught:
        read_card(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_differences_are_told_line_by_line() -> None:
    counts = {
        "train": ImageCounts(images=12, normal=5, pneumonia=7),
        "val": ImageCounts(images=2, normal=1, pneumonia=1),
        "test": ImageCounts(images=9, normal=4, pneumonia=None),
    }
    same = {"train": {"normal": 5, "pneumonia": 7}, "val": {"normal": 1, "pneumonia": 1}, "test": {"normal": 4}}
    assert count_differences(counts, same) == []
    other = {"train": {"normal": 6, "pneumonia": 7}, "test": {"normal": 4, "pneumonia": 9}, "extra": {"normal": 3}}
    assert count_differences(counts, other) == [
        "train normal: 6 images, 5 are published",
        "val normal: 0 images, 1 are published",
        "val pneumonia: 0 images, 1 are published",
        "extra: 3 images, none are published",
    ]


def test_the_command_lists_cards_and_prints_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in card_names())
    assert "5,856" in shown
    assert main(["datasets", "rsna"]) == 0
    assert capsys.readouterr().out == card_path("rsna").read_text()
    assert main(["datasets", "kermani"]) == SettingsError.exit_code
    assert "data set 'kermani' has no card; did you mean kermany?" in capsys.readouterr().err
