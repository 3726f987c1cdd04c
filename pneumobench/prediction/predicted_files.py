"""Files -> one table of answers, in their order: what was done stays when the process ends, and is not done again."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

from pneumobench.datasets.read_files import stamp_of
from pneumobench.errors import SettingsError
from pneumobench.files import canonical_json, sha256_of_text, written_whole
from pneumobench.prediction.answers import Prediction, plain_row
from pneumobench.prediction.bundle import FOR_RESEARCH, Bundle, OpenedBundle

KINDS: Final = (".csv", ".json")


class Predicts(Protocol):
    """What answers: by PyTorch, or by an exported file."""

    @property
    def opened(self) -> OpenedBundle:
        """The bundle."""

    def stream(self, images: Sequence[Path], *, review: bool, workers: int) -> Iterator[Prediction]:
        """Yield the answer about each image, in order."""


@dataclass(frozen=True, kw_only=True)
class PredictedFiles:
    """What came of many files.

    Args:
        table: where the answers are.
        images: how many files there were.
        again: how many of them had been answered before the process was started.
        called: how many are called pneumonia.
        review: how many a person should look at, those without an answer included; None = not looked for.
        problems: what is wrong with each file that has no answer.
    """

    table: Path
    images: int
    again: int
    called: int
    review: int | None
    problems: tuple[str, ...]


def predict_files(
    predictor: Predicts,
    files: Sequence[Path],
    to: Path,
    *,
    review: bool = True,
    workers: int = 2,
    tell: Callable[[Prediction], None] = lambda _: None,
) -> PredictedFiles:
    """Ask about files and write a table, whole at the end; a start that was cut off goes on where it ended.

    Args:
        predictor: what answers.
        files: in the order of the table.
        to: NAME.csv or NAME.json; what was answered so far lies beside it, NAME.csv.part.
        review: look for reasons to have a person look.
        workers: threads that read and decode.
        tell: is told every answer that is new.

    Raises:
        SettingsError: the table has another ending, is there already, or cannot be written.
    """
    if to.suffix.lower() not in KINDS:
        raise SettingsError(f"--to {to}: expected a file name that ends in {' or '.join(KINDS)}.")
    if to.exists():
        raise SettingsError(f"--to {to}: is there already; choose another name, or delete it.")
    bundle = predictor.opened.bundle
    part = to.with_name(f"{to.name}.part")
    stamps = "\n".join(f"{path} {stamp_of(path)}" for path in files)  # a file that was changed is asked about again
    head = {"bundle": predictor.opened.sha256, "files": sha256_of_text(stamps), "review": review}
    done = _begun(part, head)
    try:
        with part.open("a", encoding="utf-8") as lines:
            for one in predictor.stream(files[done:], review=review, workers=workers):
                tell(one)  # first: what it draws or writes is made again after a kill, and never missing
                lines.write(json.dumps(plain_row(bundle, one), ensure_ascii=False) + "\n")
                lines.flush()
    except OSError as error:
        raise SettingsError(f"cannot write {part}: {error.strerror or error}. What was answered is kept.") from error
    _write_table(part, to, predictor.opened)
    counts = {"pneumonia": 0, "review": 0}
    problems = []
    for row in _rows(part):
        counts["pneumonia"] += row["pneumonia"] or 0
        counts["review"] += row["review"] or 0
        problems += [row["problem"]] if row["problem"] else []
    part.unlink()
    return PredictedFiles(
        table=to, images=len(files), again=done, called=counts["pneumonia"],
        review=counts["review"] if review else None, problems=tuple(problems),
    )  # fmt: skip


def _begun(part: Path, head: dict[str, Any]) -> int:
    """Return how many answers of the same question lie in a file, which ends with the last whole one."""
    first = json.dumps(head) + "\n"
    try:
        with part.open("r+b") as lines:
            if lines.readline() == first.encode():
                end, count = lines.tell(), 0
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    end, count = end + len(line), count + 1
                lines.truncate(end)
                return count
    except FileNotFoundError:
        pass
    except OSError as error:
        raise SettingsError(f"cannot write {part}: {error.strerror or error}.") from error
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(first, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"cannot write {part}: {error.strerror or error}.") from error
    return 0


def _rows(part: Path) -> Iterator[dict[str, Any]]:
    with part.open(encoding="utf-8") as lines:
        for line in islice(lines, 1, None):
            yield json.loads(line)


def _write_table(part: Path, to: Path, opened: OpenedBundle) -> None:
    mark = {"bundle": opened.sha256[:12], "notice": FOR_RESEARCH}
    if to.suffix.lower() == ".json":
        with written_whole(to) as place, place.open("w", encoding="utf-8") as out:
            about = {"bundle": described(opened.bundle, opened.sha256), "notice": FOR_RESEARCH}
            out.write(canonical_json(about).rstrip("}\n") + ',\n "rows": [')
            for number, row in enumerate(_rows(part)):
                out.write((",\n  " if number else "\n  ") + json.dumps(row, ensure_ascii=False))
            out.write("\n ]\n}\n")
        return
    with written_whole(to) as place, place.open("w", encoding="utf-8", newline="") as out:
        table: csv.DictWriter[str] | None = None
        for row in _rows(part):
            if table is None:
                table = csv.DictWriter(out, [*row, *mark], lineterminator="\n")
                table.writeheader()
            table.writerow({**row, **mark})


def described(bundle: Bundle, sha256: str) -> dict[str, Any]:
    """Return what names a bundle in an answer for a program."""
    return {
        "name": bundle.name,
        "sha256": sha256,
        "architecture": bundle.architecture,
        "rule": bundle.rule,
        "coverage": bundle.coverage,
        "reasons": {name: {"words": one.words, "limit": one.limit} for name, one in bundle.reasons.items()},
    }
