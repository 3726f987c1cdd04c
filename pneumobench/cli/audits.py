"""Commands that ask what the scores of a finished run are worth: confounds by acquisition, doubtful labels."""

from __future__ import annotations

from pathlib import Path

from pneumobench.cli.exit_codes import DONE
from pneumobench.cli.shown import console_for, fields_of, next_step, path_word, print_json, tell


def confounds(run: Path, *, data: str | None = None, caliper: float = 0.1, json: bool = False) -> int:
    """Score a run among images that are alike in size and mean gray level, and by strata of these.

    The run may be a published one: its predictions are read, and its images for their facts. No network is needed.

    Args:
        run: folder of a run, e.g. runs/quickstart.
        data: data folder (default: the variable PNEUMOBENCH_DATA).
        caliper: largest difference of each fact within a matched pair, in standard deviations.
        json: print the tables as JSON, for a program; what is told meanwhile goes to stderr.
    """
    from pneumobench.reporting.confound_table import confound_table
    from pneumobench.runs.confounds import confounds_of_run

    console = console_for(json=json)
    found = confounds_of_run(run, data=data, caliper_sd=caliper)
    console.print(confound_table(found.out_of_fold))
    tell(console, "tables", found.page)
    if json:
        print_json(
            {
                "page": str(found.page),
                "out_of_fold": fields_of(found.out_of_fold),
                "official": None if found.official is None else fields_of(found.official),
            }
        )
    next_step(console, "leaderboard", path_word(run))
    return DONE


def labels(run: Path, *, gallery: bool = False, data: str | None = None, json: bool = False) -> int:
    """List images whose label the out-of-fold predictions of a run doubt, by confident learning.

    They are candidates to look at, not errors. The run may be a published one: its predictions are read, no image.
    cleanlab is used (the extra `labels`).

    Args:
        run: folder of a run, e.g. runs/quickstart.
        gallery: draw the first candidates into the gallery of a run that is not published.
        data: data folder, for the gallery (default: the variable PNEUMOBENCH_DATA).
        json: print the tables as JSON, for a program; what is told meanwhile goes to stderr.
    """
    from pneumobench.reporting.label_table import label_table
    from pneumobench.runs.labels import labels_of_run

    console = console_for(json=json)
    found = labels_of_run(run, gallery=gallery, data=data)
    console.print(label_table(found.parts["out_of_fold"]))
    tell(console, "tables", found.page)
    for picture in found.pictures:
        tell(console, "pictures", picture)
    if json:
        rows = {part: doubts.table.to_dict("records") for part, doubts in found.parts.items()}
        print_json({"page": str(found.page), "pictures": list(map(str, found.pictures)), "rows": rows})
    next_step(console, "leaderboard", path_word(run))
    return DONE


COMMANDS = (confounds, labels)
