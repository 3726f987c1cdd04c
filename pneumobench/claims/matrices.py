"""All confusion matrices of a test set, and which of them give the metrics that were reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from pneumobench.errors import SettingsError
from pneumobench.metrics.confusion import Confusion
from pneumobench.metrics.table import PRINTED_METRICS
from pneumobench.metrics.validation import Floats

Relation = Literal["=", ">", ">=", "<", "<="]
ROUNDING_NOISE: Final = 1e-9  # half a unit of the last digit is rounded up by some and down by others
SIZE_MAX: Final = 20_000  # images; and of an unknown prevalence, whose matrices grow with the cube:
SIZE_MAX_OF_ANY_PREVALENCE: Final = 1_000
MATRICES_MAX: Final = 10_000  # more say no more
COUNTED_TOGETHER: Final = 1_000_000  # matrices at a time; bounds memory


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A metric as it was printed.

    Args:
        name: one of PRINTED_METRICS.
        text: what was printed, e.g. `.797`, `79.7 %` or `> .99`.
        relation: `=` for a rounded value.
        value: the number, in the range of the metric.
        unit: one of its last digit.
    """

    name: str
    text: str
    relation: Relation
    value: float
    unit: float

    def fits(self, metric: Floats, *, slack_units: float = 0.5) -> NDArray[np.bool_]:
        """Tell for each metric (N,) whether it could have been printed like this; NaN never."""
        if self.relation == "=":
            return np.asarray(np.abs(metric - self.value) <= slack_units * self.unit + ROUNDING_NOISE)
        over = metric - self.value
        compared = {">": over > 0, ">=": over >= 0, "<": over < 0, "<=": over <= 0}[self.relation]
        return np.asarray(compared)


def read_reported(name: str, text: str) -> Reported:
    """Read a printed metric: `.797`, `0.970` (the last digit counts), `79.7 %`, `> .99`.

    Raises:
        SettingsError: the metric is not known, or the text is no such number.

    >>> read_reported("accuracy", "79.7 %")
    Reported(name='accuracy', text='79.7 %', relation='=', value=0.797, unit=0.001)
    """
    if name not in PRINTED_METRICS:
        raise SettingsError(f"metric {name!r} is not known; known are {', '.join(PRINTED_METRICS)}.")
    rest = text.strip()
    relation: Relation = "="
    signs: tuple[Relation, ...] = (">=", "<=", ">", "<")
    for sign in signs:
        if rest.startswith(sign):
            rest, relation = rest.removeprefix(sign).strip(), sign
            break
    percent = rest.endswith("%")
    try:
        number = Decimal(rest.removesuffix("%").strip())
        if not number.is_finite():
            raise InvalidOperation
    except InvalidOperation as error:
        raise SettingsError(f"{name}: {text!r} is not a number; write it as printed, e.g. .797 or 79.7 %.") from error
    scale = 100 if percent else 1
    value, exponent = float(number / scale), number.as_tuple().exponent
    low, high = PRINTED_METRICS[name].low, PRINTED_METRICS[name].high
    if not isinstance(exponent, int) or not low <= value <= high:  # an exponent that is no number: NaN, infinity
        raise SettingsError(
            f"{name}: {text!r} lies outside {low:g} to {high:g}; percentages need their sign, e.g. 79.7 %."
        )
    unit = float(Decimal(1).scaleb(exponent) / scale)
    return Reported(name=name, text=text.strip(), relation=relation, value=value, unit=unit)


def _counts(images: int, pneumonia: int) -> Iterator[tuple[Floats, Floats, Floats, Floats]]:
    """Yield the counts (TP, FN, FP, TN) of every matrix of a test set, (N,) each, a bounded number at a time."""
    false_positives = np.arange(images - pneumonia + 1, dtype=np.float64)
    rows = max(1, COUNTED_TOGETHER // len(false_positives))
    for start in range(0, pneumonia + 1, rows):
        some = np.arange(start, min(start + rows, pneumonia + 1), dtype=np.float64)
        tp, fp = (grid.ravel() for grid in np.meshgrid(some, false_positives, indexing="ij"))
        yield tp, pneumonia - tp, fp, images - pneumonia - fp


def matching(
    images: int, pneumonia: int | None, reported: Iterable[Reported], *, slack_units: Mapping[str, float] | None = None
) -> list[Confusion]:
    """Return the matrices that give the reported metrics after rounding: all, or the first 10,000.

    Args:
        images: size of the test set.
        pneumonia: how many of them show pneumonia; None = unknown, all are tried.
        reported: metrics.
        slack_units: units of the last digit that a metric may be off by, by its name; not named = 0.5, rounding.

    Raises:
        SettingsError: sizes cannot be, or are too large to try all matrices.
    """
    largest = SIZE_MAX_OF_ANY_PREVALENCE if pneumonia is None else SIZE_MAX
    if not 1 <= images <= largest or (pneumonia is not None and not 0 <= pneumonia <= images):
        raise SettingsError(
            f"{images} images, {'any' if pneumonia is None else pneumonia} with pneumonia: expected 1 to {largest:,} "
            "images, and as many with pneumonia at most. Give `pneumonia` for larger test sets."
        )
    asked = list(reported)
    found: list[Confusion] = []
    for positives in range(images + 1) if pneumonia is None else (pneumonia,):
        for counts in _counts(images, positives):
            kept = np.ones(len(counts[0]), dtype=bool)
            for value in asked:
                values = PRINTED_METRICS[value.name].function(*counts)
                kept &= value.fits(values, slack_units=(slack_units or {}).get(value.name, 0.5))
            places = np.flatnonzero(kept)[: MATRICES_MAX - len(found)]
            for tp, fn, fp, tn in zip(*(count[places].astype(int).tolist() for count in counts), strict=True):
                found.append(Confusion(tp=tp, fn=fn, fp=fp, tn=tn))
            if len(found) == MATRICES_MAX:
                return found
    return found
