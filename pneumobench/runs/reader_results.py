"""The answers of readers -> tables: checked against the key of their study, scored, and written beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pneumobench.leaderboard.reader_results import ReaderResults, reader_results
from pneumobench.records.reader_answers import read_answers
from pneumobench.records.reader_study import read_key
from pneumobench.reporting.reader_tables import write_reader_tables


@dataclass(frozen=True, kw_only=True)
class WrittenResults:
    """What the answers came to, and where it is written."""

    results: ReaderResults
    page: Path


def results_of_readers(folder: Path, answers: Sequence[Path]) -> WrittenResults:
    """Score the answers of readers and write `reader-study.csv` and `reader-study.md` beside the key of their study.

    Args:
        folder: of the study, with its key.
        answers: CSV files as the page gives them.

    Raises:
        RecordError: there is no key, or it was changed.
        DataError: a file of answers is missing, of another study, changed, or not whole.
    """
    study = read_key(folder)
    results = reader_results(study, read_answers(study, answers))
    return WrittenResults(results=results, page=write_reader_tables(folder, results))
