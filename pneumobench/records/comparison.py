"""comparison.json: which runs are compared with one another, and by what they differ."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal, TypeAlias

from pneumobench.errors import RecordError
from pneumobench.files import write_json
from pneumobench.suite.variants import AXES, Axis

Compared: TypeAlias = Axis | Literal["runs"]  # values of a setting, or runs that were made for themselves
COMPARED: Final[tuple[Compared, ...]] = (*AXES, "runs")
COMPARISON_FILE: Final = "comparison.json"
COMPARISON_FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class ComparisonRecord:
    """Several runs of the same images: of one suite that differ in one setting, or any others.

    Args:
        axis: option of the command line that asked for them; `runs` for runs that were made for themselves.
        setting: dotted key of what differs; empty for `runs`.
        reference: value that the others are compared with, one of `runs`.
        command: literal command that made the runs; may be empty.
        runs: folder of the run of each value, relative to that of the comparison, in the order of tables.
    """

    axis: Compared
    setting: str
    reference: str
    command: str
    runs: dict[str, str]

    def write(self, folder: Path) -> None:
        """Write comparison.json into a folder."""
        plain = dataclasses.asdict(self) | {"runs": [list(pair) for pair in self.runs.items()]}  # keys would be sorted
        write_json(folder / COMPARISON_FILE, {"format": COMPARISON_FORMAT, **plain})


def is_comparison(folder: Path) -> bool:
    """Tell whether a folder is that of a comparison, and not of a run."""
    return (folder / COMPARISON_FILE).is_file()


def read_comparison(folder: Path) -> ComparisonRecord:
    """Read comparison.json of a folder.

    Raises:
        RecordError: it is missing or damaged.
    """
    path = folder / COMPARISON_FILE
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        stated = plain.pop("format")
        record = ComparisonRecord(**{**plain, "runs": dict(plain["runs"])})
        texts = (record.setting, record.reference, record.command, *record.runs, *record.runs.values())
        right = (
            stated == COMPARISON_FORMAT
            and record.axis in COMPARED
            and all(isinstance(text, str) for text in texts)
            and record.reference in record.runs
            # a run lies in the folder, or beside it, unless somebody named it
            and all(record.axis == "runs" or _near(name) for name in record.runs.values())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        right = False
    if not right:
        raise RecordError(
            f"{path}: found no comparison of format {COMPARISON_FORMAT}, expected the one written. Bring it back, or "
            "run the comparison again, which trains nothing that is finished."
        )
    return record


def _near(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts[parts[:1] == ("..",) :]) == 1 and ".." not in parts[parts[:1] == ("..",) :]
