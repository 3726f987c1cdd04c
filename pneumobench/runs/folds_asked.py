"""Which folds of a suite are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from pneumobench.errors import SettingsError
from pneumobench.suite.spec import Suite


def folds_of(suite: Suite, folds: Sequence[int] | None) -> list[int]:
    """Return the folds asked for, sorted, or all for None.

    >>> folds_of(Suite(), [2, 0])
    [0, 2]

    Raises:
        SettingsError: the suite has no such fold, or is no suite.
    """
    if not isinstance(suite, Suite):
        raise SettingsError(f"{suite!r} is no Suite; make one with load_suite(NAME_OR_PATH).")
    known = range(suite.folds.count)
    if wrong := [fold for fold in folds or () if fold not in known]:
        raise SettingsError(f"--folds {wrong[0]}: suite {suite.name!r} has the folds 0 to {suite.folds.count - 1}.")
    return sorted(set(folds)) if folds else list(known)
