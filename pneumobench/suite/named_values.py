"""Values that are given together with their names: NAME=VALUE."""

from __future__ import annotations

from collections.abc import Sequence

from pneumobench.errors import SettingsError


def named_values(entries: Sequence[str], *, where: str, example: str) -> dict[str, str]:
    """Return the values that entries NAME=VALUE give, by name.

    >>> named_values(["partition=gpu", "time = 120"], where="--slurm", example="time=120")
    {'partition': 'gpu', 'time': '120'}

    Args:
        entries: texts.
        where: option or key that they stand under, for messages.
        example: an entry, for messages.

    Raises:
        SettingsError: an entry is not NAME=VALUE, or gives a name again.
    """
    found: dict[str, str] = {}
    for entry in entries:
        name, equals, value = (part.strip() for part in entry.partition("="))
        if not (name and equals and value):
            raise SettingsError(f"{where} {entry}: expected NAME=VALUE, e.g. {example}.")
        if name in found:
            raise SettingsError(f"{where} {entry}: {name} was given before, as {found[name]}.")
        found[name] = value
    return found
