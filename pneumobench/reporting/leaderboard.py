"""Run folder -> leaderboard folder: every table and the page, each written whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pneumobench.files import write_text
from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.ranking import rank
from pneumobench.records.checksums import renew_checksums
from pneumobench.records.loaded_run import GatheredRun, gather
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.architecture_page import FOLDER, architecture_pages, page_name
from pneumobench.reporting.markdown import leaderboard_markdown
from pneumobench.reporting.overlays import read_overlays
from pneumobench.reporting.page import leaderboard_page
from pneumobench.reporting.pair_page import PAIR_PAGE, pair_page
from pneumobench.reporting.tables import leaderboard_csv, leaderboard_json
from pneumobench.texts import safe_text

TABLE: Final = "leaderboard.csv"
NUMBERS: Final = "leaderboard.json"
README: Final = "README.md"
PAGE: Final = "index.html"


@dataclass(frozen=True, kw_only=True)
class LeaderboardPaths:
    """What was written, and the leaderboard it shows."""

    page: Path
    csv: Path
    json: Path
    readme: Path
    board: Leaderboard


def write_leaderboard(run_folder: Path, *, check_weights: bool = False) -> LeaderboardPaths:
    """Compute the leaderboard of a run and write leaderboard/{index.html, leaderboard.csv, .json, README.md}.

    The same run folder gives the same bytes.

    Args:
        run_folder: the run.
        check_weights: compare the SHA-256 of weights too.

    Raises:
        RecordError: the folder is not one whole run.
        LeakError: a patient is on two sides of a fold.
        SettingsError: the folder cannot be written.
    """
    folder = RunFolder(run_folder)
    # all is computed before the first file is written: an error leaves the old leaderboard as it was
    board, texts = leaderboard_texts(gather(run_folder, check_weights=check_weights))
    # of networks that the run no longer has
    gone = [one for one in (folder.leaderboard / FOLDER).glob("*.html") if f"{FOLDER}/{one.name}" not in texts]
    gone += [one for one in (folder.leaderboard / PAIR_PAGE,) if PAIR_PAGE not in texts and one.is_file()]
    for earlier in gone:
        earlier.unlink()
    for name, text in texts.items():
        write_text(folder.leaderboard / name, text)
    renew_checksums(folder.path, [*gone, *(folder.leaderboard / name for name in texts)])
    return LeaderboardPaths(
        page=folder.leaderboard / PAGE,
        csv=folder.leaderboard / TABLE,
        json=folder.leaderboard / NUMBERS,
        readme=folder.leaderboard / README,
        board=board,
    )


def leaderboard_texts(run: GatheredRun) -> tuple[Leaderboard, dict[str, str]]:
    """Return the leaderboard of a run, and the text of each of its files by name."""
    folder, board = run.folder, rank(run)
    command = command_of_run(folder, board.suite)
    pictures = folder.gallery / "index.html"
    pages = architecture_pages(board, folder)
    pair = pair_page(board, folder)
    page = leaderboard_page(
        board,
        read_overlays(folder, board),
        command=command,
        pictures=f"../{folder.gallery.name}/{pictures.name}" if pictures.is_file() else None,
        pages={
            row.architecture: f"{FOLDER}/{name}"
            for row in board.networks
            if (name := page_name(row.architecture)) in pages
        },
        pair_page=PAIR_PAGE if pair else None,
    )
    return board, {
        TABLE: leaderboard_csv(board),
        NUMBERS: leaderboard_json(board),
        README: leaderboard_markdown(board, command=command),
        **{f"{FOLDER}/{name}": text for name, text in pages.items()},
        **({PAIR_PAGE: pair} if pair else {}),
        PAGE: page,
    }


def command_of_run(folder: RunFolder, suite: str) -> str:
    """Return the command that environment.json keeps, or the plain one for the suite of this name."""
    plain = f"pneumobench run {suite}"
    try:
        command = json.loads(folder.environment_json.read_text(encoding="utf-8")).get("command", plain)
    except (OSError, ValueError, AttributeError):
        return plain
    # another text, of a record that was edited, could end the block of code that it stands in
    told = safe_text(" ".join(command.split())) if isinstance(command, str) else ""
    return told if told.startswith("pneumobench ") and "`" not in told else plain
