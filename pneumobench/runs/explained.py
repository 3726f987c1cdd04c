"""What further questions to a run's networks found: the leaderboard, and the methods that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType

from pneumobench.reporting.methods_table import methods_table
from pneumobench.runs.results import Leaderboard


@dataclass(frozen=True, repr=False, eq=False)
class Explained(Leaderboard):
    """The leaderboard after further explanations, with the methods that were asked for as a second table.

    Args:
        methods: names of the methods.
        architectures: those that were asked.
        without_maps: a line for each architecture and method that has no maps, with the reason.
    """

    methods: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    without_maps: tuple[str, ...] = ()

    def tables(self) -> Sequence[RenderableType]:
        """Return the ranking, then the methods."""
        asked = [methods_table(self.board, self.methods, self.architectures)] if self.methods else []
        return [*super().tables(), *asked]
