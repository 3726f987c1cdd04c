"""The page on which readers read the images of a study: one folder that works offline and says nothing of the truth."""

from __future__ import annotations

import base64

from pneumobench.leaderboard.reader_results import WASHOUT_DAYS
from pneumobench.records.reader_study import READERS, SESSIONS, ReaderStudy
from pneumobench.reporting.page import inline, own_script, page_environment, policy_hash

IMAGES, HELP = "images", "help"  # folders beside the page; a picture has the code of its image


def reader_page(study: ReaderStudy, *, synthetic: bool = False) -> str:
    """Return the page of a reader study.

    It holds the codes of the images, the order of each reader, and, packed so that nobody reads them by the way, the
    probabilities that are shown as help. No label, no name of an image or a run, and no fold is in it.

    Args:
        study: the images.
        synthetic: whether they are phantoms.
    """
    number = {image.code: place for place, image in enumerate(study.images, start=1)}
    orders = [
        [[number[one.code] * (1 if one.help else -1) for one in study.order(reader, session)] for session in SESSIONS]
        for reader in range(1, READERS + 1)
    ]
    shown = bytes(round(100 * image.probability) for image in study.images)
    style = inline("page.css") + inline("reader_study.css")
    return (
        page_environment()
        .get_template("reader_study.html.j2")
        .render(
            **own_script("reader_study.js"),
            style=style,
            style_hash=policy_hash(style),
            images=len(study.images),
            weeks=WASHOUT_DAYS // 7,
            synthetic=synthetic,
            facts={
                "study": study.id,
                "codes": list(number),
                "orders": orders,
                "shown": base64.b64encode(shown).decode("ascii"),
                "washout": WASHOUT_DAYS,
            },
        )
    )
