"""The command that makes the published copy of a run."""

from __future__ import annotations

from pathlib import Path

from pneumobench.cli.exit_codes import DONE
from pneumobench.cli.shown import console_for, next_step, path_word, print_json, tell

PUBLISHED = Path("leaderboard")


def publish(run: Path, *, to: Path | None = None, replace: bool = False, json: bool = False) -> int:
    """Copy what of a run is published: records, predictions and tables, no image and no weights.

    Every file is compared with manifest.json first. Tables of images are compressed, the leaderboard is written anew.

    Args:
        run: folder of a run, e.g. runs/quickstart.
        to: folder of the copy (default: leaderboard/ and the name of the run's folder).
        replace: replace a published run that lies there.
        json: print what was written as JSON, for a program.
    """
    from pneumobench.runs.publishing import publish_run

    console = console_for(json=json)
    target = PUBLISHED / run.resolve().name if to is None else to
    made = publish_run(run, target, replace=replace)
    files = [path for path in sorted(target.rglob("*")) if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    console.print(f"{len(files)} files, {size / 2**20:.1f} MiB", highlight=False)
    tell(console, "published", target)
    for note in (*made.board.notes, *(f"missing: {part}" for part in made.board.missing)):
        tell(console, "note", note)
    if json:
        print_json({"run": str(target), "page": str(made.page), "files": len(files), "bytes": size})
    next_step(console, "leaderboard", path_word(target))
    return DONE


COMMANDS = (publish,)
