"""A finished run -> one file for somebody else's leaderboard; such a file -> what of it holds, computed again."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pneumobench.errors import PneumobenchError, RecordError, SettingsError
from pneumobench.files import canonical_json, temporary_folder
from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.leak_certificate import LeakCertificate, leak_certificate
from pneumobench.leaderboard.ranking import rank
from pneumobench.records.differences import Difference, difference_of, text_differences
from pneumobench.records.loaded_run import gather
from pneumobench.records.submissions import SUBMISSION_END, unpack_submission, write_submission
from pneumobench.runs.publishing import publish_run
from pneumobench.runs.verifying import Verification, verify

SUBMISSION: Final = "submission.json"
SUBMISSION_FORMAT: Final = 1
Level = Literal["self-reported", "recomputed"]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A run as one file: its file, what it says, and of what."""

    file: Path
    certificate: LeakCertificate
    board: Leaderboard


def submit(run: Path, to: Path) -> Submission:
    """Write a run as one file: its published copy, and what it says of itself in submission.json.

    Args:
        run: folder of a finished run, or of a published one.
        to: the file, NAME.zip.

    Raises:
        SettingsError: the file has another ending, it would be too large, or no network is complete.
        RecordError: the run is not whole, its own files disagree, or it has no audit.
        LeakError: a patient is on two sides of a fold.
    """
    if to.suffix != SUBMISSION_END:
        raise SettingsError(f"--to {to}: expected a file name that ends in {SUBMISSION_END}.")
    found = gather(run, check_weights=True)
    board = rank(found)
    if board.ranked_folds or not any(row.state == "complete" for row in board.networks):
        raise SettingsError(f"{run}: no network has completed all folds, so there is no row to submit.")
    certificate = leak_certificate(found)
    with temporary_folder(None, "submission") as place:
        copy = place / run.resolve().name
        publish_run(run, copy)
        if (checked := verify(copy)).differences:
            raise RecordError(f"{run}: its published copy is not what it says: {checked.differences[0]}.")
        write_submission(copy, {SUBMISSION: submission_text(board, certificate)}, to)
    return Submission(file=to, certificate=certificate, board=board)


def submission_text(board: Leaderboard, certificate: LeakCertificate) -> str:
    """Return submission.json: what the file says of itself, all of which can be computed from its other files."""
    rows = [
        {
            "architecture": row.architecture,
            "plugin": row.plugin,
            "weights_origin": row.weights_origin,
            "auc": None if row.out_of_fold is None else round(row.out_of_fold.auc, 6),
            "official_auc": None if row.official is None else round(row.official.auc, 6),
        }
        for row in board.networks
        if row.state == "complete"
    ]
    return canonical_json(
        {
            "format": SUBMISSION_FORMAT,
            "level": "self-reported",
            "suite": board.suite,
            "protocol": board.protocol,
            "rows": rows,
            "leaks": dataclasses.asdict(certificate),
            "hashes": board.provenance.hashes,
        }
    )


@contextmanager
def checked_submission(path: Path) -> Iterator[tuple[Verification, Path, Level]]:
    """Unpack a submitted file into a folder that is gone afterwards, and compute again all that it says.

    No code of it is executed: suites, records and tables are read, and nothing else is in it.

    Yields:
        What was checked, the folder of the run while it is there, and the level it has reached: `recomputed`
        where nothing differs, else what anybody can write, `self-reported`.

    Raises:
        RecordError: it is no such file.
    """
    with temporary_folder(None, "submitted") as place:
        folder = unpack_submission(path, place)
        found = verify(folder)
        differences = [*found.differences, *_submission_differences(place / SUBMISSION, folder)]
        others = sorted(one.name for one in place.iterdir() if one.name not in (SUBMISSION, folder.name))
        differences += [Difference(file=name, found="a file", expected="none beside the run") for name in others]
        found = dataclasses.replace(found, folder=path, differences=tuple(differences), texts=found.texts + 1)
        yield found, folder, "self-reported" if differences else "recomputed"


def accept(folder: Path, to: Path) -> None:
    """Copy the run of a submitted file in which nothing differs to a folder that is not there yet.

    Raises:
        SettingsError: something is there.
    """
    if to.exists():
        raise SettingsError(f"--to {to}: is there already; choose another folder.")
    shutil.copytree(folder, to)


def _submission_differences(path: Path, folder: Path) -> list[Difference]:
    if not path.is_file():
        return [Difference(file=SUBMISSION, found="no file", expected="one in every submitted file")]
    try:
        run = gather(folder)
        expected = submission_text(rank(run), leak_certificate(run))
    except PneumobenchError as error:
        return [difference_of(error, folder)]
    return list(text_differences(SUBMISSION, path.read_bytes(), expected))
