"""What came of verifying a run, in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console

from pneumobench.leaderboard.leak_certificate import LeakCertificate
from pneumobench.records.differences import Difference
from pneumobench.texts import counted

SHOWN: Final = 40  # of a file that is another one altogether; `--json` has all


def print_verification(
    differences: Sequence[Difference],
    notes: Sequence[str],
    console: Console,
    *,
    checked: tuple[int, int, int],
    name: str,
) -> None:
    """Print what was checked, a line for each difference, and the verdict.

    Args:
        differences: file, field, what was found and what was expected.
        notes: what could not be checked.
        console: where.
        checked: files hashed, numbers computed again, tables and pages compared.
        name: of the folder.
    """
    files, numbers, texts = checked
    _say(
        console,
        f"{counted(files, 'file')} hashed, {counted(numbers, 'number')} computed again, "
        f"{counted(texts, 'table or page', 'tables and pages')} compared",
    )
    for one in differences[:SHOWN]:
        _say(console, f"  {one}")
    if len(differences) > SHOWN:
        _say(console, f"  and {len(differences) - SHOWN:,} more: --json has all")
    for note in notes:
        _say(console, f"note: {note}")
    if differences:
        where = counted(len({one.file for one in differences}), "file")
        _say(console, f"{name} differs: {counted(len(differences), 'difference')} in {where}", "red")
    else:
        _say(console, f"{name} is what it says", "green")


def certificate_lines(certificate: LeakCertificate) -> list[str]:
    """Say what lies on two sides of a split."""
    by_rule = ", ".join(f"{count:,} by rule {rule}" for rule, count in certificate.patients.items())
    lines = [
        f"split {certificate.protocol}: patients tested and trained on: {by_rule}",
        f"identical pictures tested and trained on: {certificate.contents:,}",
    ]
    if certificate.official_patients is not None:
        names = ", ".join(f"{count:,} by rule {rule}" for rule, count in certificate.official_patients.items())
        lines.append(f"official test folder: patient names trained on: {names}")
        lines.append(f"official test folder: identical pictures trained on: {certificate.official_contents:,}")
    near = certificate.near_duplicates
    return [*lines, f"pairs that look alike: {near.get('pairs', 0):,}, across folds {near.get('across_folds', 0):,}"]


def _say(console: Console, text: str, style: str = "") -> None:
    """Print a line that a program can find whole; a terminal breaks it."""
    console.print(text, style=style, highlight=False, soft_wrap=True, markup=False)
