"""The command that sends a finished run to Weights & Biases."""

from __future__ import annotations

from pathlib import Path

from pneumobench.cli.exit_codes import DONE
from pneumobench.cli.shown import console_for, tell


def wandb(
    run: Path,
    *,
    offline: bool = False,
    project: str | None = None,
    files: Path | None = None,
    layout: bool = False,
) -> int:
    """Send a finished run to Weights & Biases from its records: curves, scores, charts, predictions, weights.

    For a run that was made without W&B, or while it could not be reached. The W&B runs are those that tracking would
    have made, and the same ones each time: nothing is doubled.

    Args:
        run: folder of a run, e.g. runs/quickstart, or of a search, whose trials are sent.
        offline: write files only, for `wandb sync`.
        project: W&B project (default: that of the suite).
        files: folder in whose `wandb` the files go (default: the folder that holds the run).
        layout: save a workspace and a report there too, the same ones each time (needs the extra `layout`).
    """
    from pneumobench.reporting.wandb_publishing import publish_to_wandb

    console = console_for()
    sent = publish_to_wandb(
        run, mode="offline" if offline else "online", project=project, files=files, layout=layout,
        told=lambda name: console.print(f"sent: {name}", markup=False, highlight=False),
    )  # fmt: skip
    if offline:
        tell(console, "files", sent.files)
        console.print("next: wandb sync --sync-all, in the folder that holds them", highlight=False)
    return DONE


COMMANDS = (wandb,)
