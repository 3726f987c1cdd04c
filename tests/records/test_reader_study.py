"""The key of a reader study, the orders of its readers, and answers that cannot be theirs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from pneumobench.errors import DataError, RecordError, SettingsError
from pneumobench.records.reader_answers import ANSWER_COLUMNS, read_answers
from pneumobench.records.reader_study import READERS, read_key, write_key
from tests.records.simulated_reader import answers_of, as_csv, small_study

STUDY = small_study()
ROWS = answers_of(STUDY, 1, lambda image, reading: bool(image.label))


def test_every_reader_reads_every_image_once_with_and_once_without_help() -> None:
    every = {(image.code, helped) for image in STUDY.images for helped in (False, True)}
    orders = []
    for reader in range(1, READERS + 1):
        first, second = (STUDY.order(reader, session) for session in (1, 2))
        assert len(first) == len(second) == len(STUDY.images)
        assert {(one.code, one.help) for one in (*first, *second)} == every
        assert sum(one.help for one in first) == len(STUDY.images) // 2
        orders += [first, second]
        blocks = [one.help for one in first]
        assert blocks in (sorted(blocks), sorted(blocks, reverse=True)), "one block with help and one without"
        assert first[0].help != second[0].help
    assert len({tuple(one.code for one in order) for order in orders}) > 40


def test_over_four_readers_halves_and_blocks_are_balanced() -> None:
    begins = [STUDY.order(reader, 1) for reader in (1, 2, 3, 4)]
    half = {image.code: image.half for image in STUDY.images}
    assert sorted((order[0].help, half[order[0].code]) for order in begins) == [
        (False, 0), (False, 1), (True, 0), (True, 1),
    ]  # fmt: skip


def test_the_key_comes_back_and_another_study_does_not_take_its_place(tmp_path: Path) -> None:
    path = write_key(tmp_path, STUDY)
    assert read_key(tmp_path) == STUDY
    before = path.read_bytes()
    write_key(tmp_path, STUDY)
    assert path.read_bytes() == before
    other = dataclasses.replace(STUDY, seed=1)
    with pytest.raises(SettingsError, match=f"found the key of a study {STUDY.id}.*name another folder with --to"):
        write_key(tmp_path, other)
    changed = json.loads(before)
    changed["value"]["images"][0]["label"] = 0
    path.write_text(json.dumps(changed))
    with pytest.raises(RecordError, match="changed or damaged"):
        read_key(tmp_path)
    with pytest.raises(RecordError, match="expected the folder of a reader study"):
        read_key(tmp_path / "nowhere")


def test_answers_come_back_with_their_types_from_one_file_or_two(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text(as_csv(ROWS))
    whole = read_answers(STUDY, [tmp_path / "all.csv"])
    for session in (1, 2):
        rows = [row for row in ROWS if row["session"] == str(session)]
        (tmp_path / f"{session}.csv").write_bytes(b"\xef\xbb\xbf" + as_csv(rows).replace("\n", "\r\n").encode())
    parts = read_answers(STUDY, [tmp_path / "2.csv", tmp_path / "1.csv"])
    assert parts.equals(whole), "a spreadsheet's byte order mark and line ends are no change"
    assert len(whole) == 16
    assert whole["help"].dtype == bool
    assert whole["called"].sum() == 8
    assert whole.loc[~whole["help"], "map_rating"].isna().all()


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (0, "study", "0123", f"line 2: found study '0123'; expected {STUDY.id}"),
        (0, "reader", "0", "reader '0'; expected a whole number from 1 to 24"),
        (
            0,
            "reader",
            "2",
            "in place 1 of session 1 of reader 2; expected image .* the file was changed, or its reader",
        ),
        (1, "session", "3", "line 3: found session '3'; expected a whole number from 1 to 2"),
        (0, "place", "9", "place '9'; expected a whole number from 1 to 8"),
        (0, "image", "99", "image '99'; expected 01 to 08"),
        (0, "help", "with", "with help in place 1 .* expected image .. without help"),
        (0, "help", "yes", "help 'yes'; expected with or without"),
        (0, "decision", "Pneumonia", "decision 'Pneumonia'; expected pneumonia or normal"),
        (0, "confidence", "101", "confidence '101'; expected a whole number from 0 to 100"),
        (0, "confidence", "", "confidence ''; expected"),
        (0, "map_rating", "3", "map_rating '3' without help; expected an empty cell"),
        (7, "map_rating", "", "map_rating ''; expected a whole number from 1 to 5"),
        (0, "seconds", "nan", "seconds 'nan'; expected the seconds"),
        (0, "answered", "yesterday", "answered 'yesterday'; expected a time in UTC"),
    ],
)
def test_an_answer_that_cannot_be_is_refused(tmp_path: Path, row: int, column: str, value: str, message: str) -> None:
    rows = [dict(one) for one in ROWS]
    rows[row][column] = value
    (tmp_path / "a.csv").write_text(as_csv(rows))
    with pytest.raises(DataError, match=message):
        read_answers(STUDY, [tmp_path / "a.csv"])


def test_missing_and_repeated_answers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(as_csv(ROWS[:13]))
    with pytest.raises(
        DataError, match=r"a.csv: found 5 of 8 answers of reader 1 in session 2 \(missing: images .*let the"
    ):
        read_answers(STUDY, [path])
    path.write_text(as_csv(ROWS))
    with pytest.raises(
        DataError, match=r"twice in session 1 of reader 1.*16 repeated answers.*give the last file alone"
    ):
        read_answers(STUDY, [path, path])
    path.write_text(as_csv([]))
    with pytest.raises(DataError, match="found no answer"):
        read_answers(STUDY, [path])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found no table"),
        (b"\xff\xfe\x00", "found no table"),
        (b'a,"b\n', "found no table|found the columns"),
        (b"reader,image\n1,01\n", "found the columns reader, image; expected study, reader"),
        (as_csv(ROWS).replace(",", ";").encode(), "found the columns study;reader.* separated by commas.*spreadsheet"),
        (b'{"study": "0123", "answ', "found the columns"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_answers(STUDY, [tmp_path / "a.csv"])
    with pytest.raises(DataError, match=r"b\.csv: found no file that can be read"):
        read_answers(STUDY, [tmp_path / "b.csv"])


def test_further_cells_in_a_row_are_refused(tmp_path: Path) -> None:
    text = as_csv(ROWS)
    (tmp_path / "a.csv").write_text(text + text.splitlines()[1] + ",more\n")
    with pytest.raises(DataError, match="found no table"):
        read_answers(STUDY, [tmp_path / "a.csv"])
    assert len(ANSWER_COLUMNS) == 11
