"""The leaderboard as one HTML file that works offline and loads nothing."""

from __future__ import annotations

import base64
import functools
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.lung_attention import OUTCOMES
from pneumobench.metrics.thresholds import THRESHOLD_RULES
from pneumobench.reporting import (
    class_columns,
    columns,
    compared,
    cost_figure,
    cost_table,
    figures,
    finding,
    forest,
    map_words,
    masked_regions,
    uncertainty_columns,
    words,
)
from pneumobench.reporting.overlays import OverlayRow
from pneumobench.suite.spec import CLASSES

TEMPLATES: Final = Path(__file__).parent / "templates"


@functools.cache
def page_environment() -> Environment:
    """Return the environment of all pages: what comes from a file is escaped, style and script stand in the page.

    One for all, so that a template is compiled once. A page with a script of its own hands it over as it is rendered,
    see `own_script`.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["raw"] = _sortable
    style, script = inline("page.css"), inline("page.js")
    environment.globals.update(
        columns=columns,
        style=style,
        script=script,
        style_hash=policy_hash(style),
        script_hash=policy_hash(script),
    )
    return environment


def leaderboard_page(
    board: Leaderboard,
    overlays: tuple[OverlayRow, ...],
    *,
    command: str,
    pictures: str | None = None,
    pages: Mapping[str, str] | None = None,
    pair_page: str | None = None,
) -> str:
    """Return the page: rankings, curves, spread, lung attention, overlays, cost, failures and provenance.

    The content security policy allows the one style sheet and the one script inside the page, by hash, and images
    inside the page.

    Args:
        board: the leaderboard.
        overlays: heat maps over images; empty where none may be shown.
        command: the literal command that made the run.
        pictures: address of the gallery's pages, relative to the page; None = there are none.
        pages: address of the page of an architecture, relative to this one, by its name.
        pair_page: address of the page that sets two rows side by side, relative to this one; None = there is none.
    """
    return (
        page_environment()
        .get_template("page.html.j2")
        .render(
            board=board,
            overlays=overlays,
            command=command,
            pictures=pictures,
            pages=pages or {},
            pair_page=pair_page,
            words=words,
            found=finding,
            forest=forest.forest_plot(board),
            masked=masked_regions,
            map_words=map_words,
            compared=compared,
            cost=cost_table,
            cost_words=cost_figure.COST_FIGURE_WORDS,
            cost_plots=cost_figure.cost_plots(board),
            rules=THRESHOLD_RULES,
            three=class_columns,
            unsure=uncertainty_columns,
            classes=CLASSES,
            three_classes=any(row.three_classes for row in board.rows),
            official_three_classes=any(row.official_three_classes for row in board.rows),
            asked=any(row.ablation for row in board.rows),
            checked=any(row.methods for row in board.rows),
            outcomes=OUTCOMES,
            roc=figures.roc_panels(board.networks, official=False),
            roc_official=figures.roc_panels(board.networks, official=True),
            folds=figures.fold_plot(board),
            attention=figures.attention_plot(board),
            lane_width=figures.LANE_WIDTH,
        )
    )


def own_script(name: str) -> dict[str, Markup]:
    """Return what a page is rendered with that has another script than the leaderboard's."""
    script = inline(name)
    return {"script": script, "script_hash": policy_hash(script)}


def inline(name: str) -> Markup:
    """Return a file of this package as it stands between its tags."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # our own file: not to be escaped


def policy_hash(text: str) -> Markup:
    """Return the hash by which the content security policy of a page allows its style or its script."""
    digest = hashlib.sha256(text.encode()).digest()
    return Markup(f"'sha256-{base64.b64encode(digest).decode('ascii')}'")


def _sortable(value: float | None) -> str:
    """Return the whole number behind a rounded cell; empty where there is none (sorted last)."""
    return "" if value is None or math.isnan(value) else f"{value:.6g}"
