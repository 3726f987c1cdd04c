"""Words that would act if a page took them for markup, and a leaderboard in which every field is made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from pneumobench.leaderboard.board import Leaderboard, Row

INJECTIONS: Final = (
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//example.org/x.js></SCRIPT>",
    "</script><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "<!--<script>alert(1)//-->",
    "--><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "'><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)' autofocus='",
    '" style="background:url(//example.org/x)',
    '" data-value="9" onclick="alert(1)',
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href=javascript:alert(1)><text>x</text></a></svg>",
    "</svg><script>alert(1)</script>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=javascript:alert(1)></object>",
    "<embed src=//example.org/x.swf>",
    "<a href=javascript:alert(1)>x</a>",
    "[x](javascript:alert(1))",
    '![x](x" onerror="alert(1))',
    "<base href=//example.org/>",
    "<meta http-equiv=refresh content='0;url=//example.org'>",
    "<link rel=stylesheet href=//example.org/x.css>",
    "<form action=//example.org><button>x</button></form>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<body onload=alert(1)>",
    "<math><mtext><script>alert(1)</script></mtext></math>",
    "<template><script>alert(1)</script></template>",
    "<style>@import '//example.org/x.css';</style>",
    "{{ 7 * 7 }}{% for x in [1] %}{{ x }}{% endfor %}",
    "${alert(1)}`${alert(1)}`",
    "\u2028</script\u2028><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;&#x3c;script&#x3e;",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "| x | y |\n| --- | --- |\n<script>alert(1)</script>",
)


def board_of(words: str, board: Leaderboard) -> Leaderboard:
    """Return the leaderboard with every text that can come from a file, a plugin or a suite made of these words.

    What the code itself chooses from a fixed list (kinds, states, rules, methods, hashes) stays.
    """
    names = {row.architecture: f"{row.architecture}{words}" for row in board.rows}

    def named(part: Any) -> Any:
        fields = {"architecture", "better", "worse", "name", "first", "second"}
        changed = {
            item.name: names[value]
            for item in dataclasses.fields(part)
            if item.name in fields and (value := getattr(part, item.name)) in names
        }
        return dataclasses.replace(part, **changed)

    ensembles = [
        dataclasses.replace(
            named(one),
            weights={names[name]: weight for name, weight in one.weights.items()},
            against_best=named(one.against_best),
        )
        for one in board.ensembles
    ]
    found = board.provenance
    return dataclasses.replace(
        board,
        suite=words,
        rows=tuple(_row(row, words, names[row.architecture]) for row in board.rows),
        ensembles=tuple(ensembles),
        differences=tuple(named(pair) for pair in board.differences),
        against_control=tuple(named(pair) for pair in board.against_control),
        failures=tuple(
            dataclasses.replace(job, architecture=names.get(job.architecture, words), status=words, reason=words)
            for job in board.failures
        ),
        provenance=dataclasses.replace(
            found,
            software=_keyed(found.software, words, (words, f"timm:{words}")),
            hardware=_keyed(found.hardware, words, (words,)),
            first_record=words,
            last_record=words,
        ),
        notes=(words,),
        missing=(words,),
    )


def _row(row: Row, words: str, name: str) -> Row:
    def of_images(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(image_id=[image_of(words, image) for image in table["image_id"]])

    return dataclasses.replace(
        row,
        architecture=name,
        plugin=words,
        weights_origin=f"file:{words}",
        status=words,
        layer=words,
        predictions=of_images(row.predictions),
        official_predictions=of_images(row.official_predictions),
    )


def image_of(words: str, image: str) -> str:
    """Return the name of an image made of these words."""
    return f"{image}{words}"


def _keyed(table: Mapping[str, Any], words: str, value: Any) -> dict[str, Any]:
    return {f"{key}{words}": value for key in table}
