"""What comparisons say: within folds, top group, shortcut baselines, ensembles."""

from __future__ import annotations

from typing import Final

from pneumobench.leaderboard.board import Ensemble, Leaderboard
from pneumobench.metrics.comparison import AucDifference
from pneumobench.suite.names import CONTROL_PREFIX
from pneumobench.training.controls import CONTROLS

AGAINST_CONTROL_WORDS: Final = (
    "Within folds, on the same images, with the 95 % interval of the difference over patients; p of a two-sided paired "
    "test by patient, Holm over these rows. A row whose difference is not positive, or with p of 0.05 or more, is "
    "marked †."
)
TOP_GROUP_WORDS: Final = "not told apart from the first in AUC (paired test by patient, Holm over all pairs)."


def control_name(board: Leaderboard) -> str:
    """Return the best control that all others were compared with; empty without any."""
    names = {row.architecture for row in board.rows if row.is_control}
    return next((name for pair in board.against_control for name in (pair.better, pair.worse) if name in names), "")


def control_differences(board: Leaderboard) -> list[tuple[str, AucDifference, float, float, float]]:
    """Return each compared row with its difference from the best control: network minus control, and its ends."""
    control = control_name(board)
    found = []
    for pair in board.against_control:
        name, sign = (pair.better, 1) if pair.worse == control else (pair.worse, -1)
        ends = sorted((sign * pair.low, sign * pair.high))
        found.append((name, pair, sign * pair.difference, ends[0], ends[1]))
    return found


def ensemble_words(board: Leaderboard) -> str:
    """Say what the ensembles are and what their weights were fitted on."""
    fitted = "the fold's validation part" if board.models == 1 else "the out-of-fold predictions of the other folds"
    return (
        "All networks together: the mean of their probabilities, and a weighted mean whose weights are fitted on "
        f"{fitted}. The gain is over the best single network, chosen after the fact, on the same patients. "
        "Ensembles are not ranked; their cost is that of all networks."
    )


def ensemble_weights(ensemble: Ensemble) -> str:
    """Return the weights of an ensemble that are not 0, the largest first, or that they are equal.

    >>> from pneumobench.metrics.comparison import AucDifference
    >>> none = AucDifference(better="a", worse="b", difference=0, low=0, high=0, p_value=1, p_holm=1)
    >>> ensemble_weights(Ensemble(name="e", weights={"a": 0.75, "b": 0.25, "c": 0.0}, against_best=none, gain=0))
    'a 0.75, b 0.25'
    """
    if max(ensemble.weights.values()) - min(ensemble.weights.values()) < 1e-9:
        return f"1 / {len(ensemble.weights)} each"
    return ", ".join(f"{name} {weight:.2f}" for name, weight in ensemble.weights.items() if weight >= 0.005)


def ensemble_gain(ensemble: Ensemble) -> tuple[float, float, float]:
    """Return the gain in AUC over the best network and the ends of its 95 % interval; negative = a loss."""
    pair = ensemble.against_best
    if pair.better == ensemble.name:
        return ensemble.gain, pair.low, pair.high
    return ensemble.gain, -pair.high, -pair.low


def control_words() -> dict[str, str]:
    """Return what each shortcut baseline looks at, by the name of its row."""
    return {control.record_name: control.words for control in CONTROLS.loaded().values()}


def controls_words(board: Leaderboard) -> str:
    """Say what the shortcut baselines are and what a network has to show against them; nothing where none was run."""
    names = {row.architecture for row in board.rows if row.kind == "control"}
    if not names:
        return ""
    words = control_words()
    seen = [words.get(name, name.removeprefix(CONTROL_PREFIX)) for name in sorted(names)]
    listed = seen[0] if len(seen) == 1 else f"{', '.join(seen[:-1])} and {seen[-1]}"
    model = " (gradient boosting)" if names - {f"{CONTROL_PREFIX}majority"} else ""
    return (
        "† does not clear the best shortcut baseline (control): its AUC is not larger by a paired test by patient (p < "
        "0.05, Holm over all networks and ensembles). Shortcut baselines are what reading a radiograph has to beat: "
        f"{listed}{model}."
    )


def folds_words(board: Leaderboard) -> str:
    """Say that several models are compared within folds; nothing where one model scored all."""
    if board.models == 1:
        return ""
    return (
        "AUC and AP are computed within each fold and averaged, weighted by images: the models of several folds have "
        "several scales."
    )
