"""The page: one file that loads nothing, in the design of the leaderboard's pages, and its security policy."""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pneumobench.attributions.overlays import STRONGEST_TINT, heat_colours
from pneumobench.prediction.bundle import FOR_RESEARCH
from pneumobench.reporting.page import inline, policy_hash

TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class Page:
    """The page and what a browser may do with it."""

    html: str
    policy: str


@functools.cache
def the_page() -> Page:
    """Return the page, which is the same for every bundle: what it shows it asks the server for.

    Its policy allows the one style sheet and the one script inside it, by hash, and requests to this server alone; no
    text can become markup in it (trusted types).
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    style = inline("page.css") + _own("serve.css")
    script = _own("serve.js")
    html = environment.get_template("serve.html.j2").render(
        style=style,
        script=script,
        colours=base64.b64encode(heat_colours().round().astype("uint8").tobytes()).decode("ascii"),
        tint=round(100 * STRONGEST_TINT),
        notice=FOR_RESEARCH,
    )
    policy = "; ".join((
        "default-src 'none'", f"style-src {policy_hash(style)}", f"script-src {policy_hash(script)}", "img-src data:",
        "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
        "require-trusted-types-for 'script'", "trusted-types 'none'",
    ))  # fmt: skip
    return Page(html=html, policy=policy)


def _own(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # our own file: not to be escaped
