"""Answers that print themselves: as text in a terminal, as a table in a notebook, and as pandas."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
from rich.console import Console, RenderableType

from pneumobench.leaderboard.board import Leaderboard as Ranking
from pneumobench.reporting.external_table import external_table
from pneumobench.reporting.external_variants_table import variants_console
from pneumobench.reporting.image_answers import ImageExplanation, image_table, image_warnings
from pneumobench.reporting.leaderboard import LeaderboardPaths
from pneumobench.reporting.tables import leaderboard_csv
from pneumobench.reporting.terminal import terminal_table, three_class_table
from pneumobench.runs.evaluate import ExternalEvaluation

TEXT_WIDTH: Final = 100  # characters of a line where nobody knows how wide the screen is
IN_NOTEBOOK: Final = (
    "rank", "architecture", "kind", "status", "auc", "auc_low", "auc_high", "recall", "specificity", "mcc",
    "lar_adjusted",
)  # fmt: skip


class Shown(ABC):
    """Something with tables that a terminal, a notebook and pandas can show."""

    @abstractmethod
    def tables(self) -> Sequence[RenderableType]:
        """Return what a rich console prints."""

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """Return the numbers."""

    def __rich_console__(self, console: Console, options: object) -> Sequence[RenderableType]:
        return self.tables()

    def __repr__(self) -> str:
        console = Console(file=io.StringIO(), width=TEXT_WIDTH, color_system=None)
        for table in self.tables():
            console.print(table)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue().rstrip()

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        return str(frame.to_html(index=False, na_rep="", float_format="{:.3f}".format))


@dataclass(frozen=True, repr=False, eq=False)
class Leaderboard(Shown):
    """The ranking of a run: networks, ensembles and controls, best first.

    Args:
        board: every number, with intervals, comparisons and provenance.
        page: the page of the same, to be opened in a browser.

    Example:
        >>> from pneumobench.runs.results import Leaderboard
        >>> callable(Leaderboard.to_frame)
        True
    """

    board: Ranking
    page: Path

    @classmethod
    def written(cls, paths: LeaderboardPaths) -> Leaderboard:
        """Return what was just computed and written."""
        return cls(paths.board, paths.page)

    def tables(self) -> Sequence[RenderableType]:
        """Return the ranking, and for three classes their scores."""
        return [table for table in (terminal_table(self.board), three_class_table(self.board)) if table is not None]

    def to_frame(self) -> pd.DataFrame:
        """Return one row an architecture, best first, with the columns of leaderboard.csv; fractions in [0, 1]."""
        return pd.read_csv(io.StringIO(leaderboard_csv(self.board)))

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        some = frame[[column for column in IN_NOTEBOOK if column in frame]]
        return str(some.to_html(index=False, na_rep="", float_format="{:.3f}".format))


@dataclass(frozen=True, repr=False, eq=False)
class Evaluation(Shown):
    """Scores of a run's networks on images of another source.

    Args:
        found: scores and images.
        page: the table as a file.
    """

    found: ExternalEvaluation
    page: Path

    def tables(self) -> Sequence[RenderableType]:
        """Return a row for each architecture, best first."""
        variants = [] if self.found.variants is None else [variants_console(self.found.variants)]
        return [external_table(self.found.name, self.found.scores), *variants]

    def to_frame(self) -> pd.DataFrame:
        """Return the table scores.csv, one row an architecture, best first; areas under the curve in [0, 1]."""
        return pd.read_csv(self.found.folder / "scores.csv")


@dataclass(frozen=True, repr=False, eq=False)
class ImageAnswers(Shown):
    """What the networks of a run say of one image.

    Args:
        found: answers of all architectures, and the picture of image and maps.
    """

    found: ImageExplanation

    @property
    def picture(self) -> Path:
        """The image and its heat maps."""
        return self.found.picture

    def tables(self) -> Sequence[RenderableType]:
        """Return warnings of the image, then a row for each architecture."""
        return [*image_warnings(self.found), image_table(self.found)]

    def to_frame(self) -> pd.DataFrame:
        """Return one row an architecture: mean, lowest and highest probability of pneumonia in [0, 1], warnings."""
        columns = ("architecture", "probability", "lowest", "highest")
        table = pd.DataFrame([{name: getattr(answer, name) for name in columns} for answer in self.found.answers])
        return table.assign(warning="; ".join(self.found.warnings))
