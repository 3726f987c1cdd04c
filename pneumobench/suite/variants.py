"""One suite under several values of a setting: splits, regions, seeds, numbers of training images, or any other."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pneumobench.errors import SettingsError
from pneumobench.suite.names import DEFAULT_CONTROLS
from pneumobench.suite.reader import with_overrides
from pneumobench.suite.regions import Region
from pneumobench.suite.rules import SINGLE_TEST
from pneumobench.suite.spec import Protocol, Suite
from pneumobench.suite.weights import public_source

Axis = Literal["protocols", "regions", "seeds", "subsets", "vary"]
AXES: Final[tuple[Axis, ...]] = typing.get_args(Axis)
PATIENT: Final = "patient"  # the protocol that the others are compared with
WHOLE: Final = "whole"  # the region that the others are compared with
ALL: Final = "all"  # images of the training parts
# of the shipped controls those that read what a region shows; the others see the same whatever it is
CONTROLS_OF_REGIONS: Final = ("gray_facts", "thumbnail")
# settings that a variant cannot have: they change nothing, or are what runs are told apart by
NOT_VARIED: Final = ("name", "data.root", "logging.", "search.", "training.loader_workers", "architectures.names")


@dataclass(frozen=True, kw_only=True)
class Variants:
    """A suite under several values of one setting, otherwise equal.

    Args:
        axis: option of the command line that asks for them.
        setting: dotted key of what differs.
        asked: values as they were asked for.
        reference: value that the others are compared with, one of `suites`.
        suites: suite of each value, in the order of tables, named NAME-VALUE; for the value that the suite has anyway
            the suite itself, so that its run serves every comparison.
        name: name of their comparison and its folder.
    """

    axis: Axis
    setting: str
    asked: str
    reference: str
    suites: Mapping[str, Suite]
    name: str

    @property
    def words(self) -> tuple[str, str]:
        """The option and its values, as on a command line."""
        return f"--{self.axis}", self.asked


def variants_of(
    suite: Suite,
    *,
    protocols: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    subsets: Sequence[str] | None = None,
    vary: str | None = None,
) -> Variants:
    """Return the variants of a suite that are asked for.

    Args:
        suite: what they are variants of.
        protocols: values of `folds.protocol`, `patient` among them.
        regions: values of `data.region`, `whole` among them. All variants use images with a lung mask alone.
        seeds: values of `training.seed`; the others are compared with the first. Images and folds are the same.
        subsets: values of `folds.training_images`, and `all` among them. The tested images are the same.
        vary: KEY=VALUE,VALUE: values of any other setting; the others are compared with the first.

    Raises:
        SettingsError: no comparison is asked for, or two, a value is not known, named twice or does not fit the suite's
            other settings, or there is nothing to compare.

    Example:
        >>> found = variants_of(Suite(name="mine"), seeds=[0, 1])
        >>> found.reference, {value: one.name for value, one in found.suites.items()}
        ('0', {'0': 'mine', '1': 'mine-seed-1'})
    """
    given = {
        "protocols": protocols, "regions": regions, "seeds": None if seeds is None else [str(one) for one in seeds],
        "subsets": subsets, "vary": vary,
    }  # fmt: skip
    asked = [axis for axis in AXES if given[axis] is not None]
    if not asked:
        raise SettingsError(f"nothing to compare: name one of {', '.join(AXES)}.")
    if len(asked) > 1:
        raise SettingsError(f"{' and '.join(f'--{one}' for one in asked)} are several comparisons: leave one out.")
    axis = asked[0]
    if axis == "vary":
        return _varied(suite, str(vary))
    values = typing.cast("Sequence[str]", given[axis])
    make = {"protocols": _protocols, "regions": _regions, "seeds": _seeds, "subsets": _subsets}[axis]
    option = f"--{axis} {','.join(values)}"
    if len(set(values)) < len(values):
        raise SettingsError(f"{option}: expected each value once.")
    made = make(suite, list(values))
    if len(made.suites) == 1:
        raise SettingsError(f"{option}: expected a further value, to be compared with {made.reference}.")
    return made


def _one(suite: Suite, axis: Axis, value: str, slug: str, **groups: Mapping[str, Any]) -> Suite:
    """Return a suite under one value: with fields of its groups changed and a name of its own, or itself if equal.

    Raises:
        SettingsError: the suite's other settings do not fit the value.
    """
    try:
        changed = {key: dataclasses.replace(getattr(suite, key), **fields) for key, fields in groups.items()}
        one = dataclasses.replace(suite, **changed)
        return one if one == suite else dataclasses.replace(one, name=f"{suite.name}-{slug}")
    except SettingsError as error:
        raise SettingsError(f"--{axis} {value}: {error}") from None


def _protocols(suite: Suite, values: list[str]) -> Variants:
    _require_known("protocols", values, typing.get_args(Protocol), reference=PATIENT)
    return Variants(
        axis="protocols", setting="folds.protocol", asked=",".join(values), reference=PATIENT,
        name=f"{suite.name}-protocols",
        suites={
            value: _one(
                suite, "protocols", value, value,
                folds={"protocol": value, "count": 1 if value in SINGLE_TEST else max(suite.folds.count, 2)},
            )
            for value in values
        },
    )  # fmt: skip


def _regions(suite: Suite, values: list[str]) -> Variants:
    _require_known("regions", values, typing.get_args(Region), reference=WHOLE)
    reading = [name for name in suite.controls.names if name in CONTROLS_OF_REGIONS or name not in DEFAULT_CONTROLS]
    return Variants(
        axis="regions", setting="data.region", asked=",".join(values), reference=WHOLE, name=f"{suite.name}-regions",
        suites={
            value: _one(
                suite, "regions", value, value, data={"region": value, "require_lung_mask": True},
                controls={"names": suite.controls.names if value == WHOLE else tuple(reading)},
            )
            for value in sorted(values, key=lambda value: value != WHOLE)
        },
    )  # fmt: skip


def _require_known(axis: Axis, values: Sequence[str], known: Sequence[str], *, reference: str) -> None:
    if unknown := [value for value in values if value not in known]:
        raise SettingsError(f"--{axis} {unknown[0]}: expected some of {', '.join(known)}.")
    if reference not in values:
        raise SettingsError(f"--{axis} {','.join(values)}: expected {reference} among them, to compare with.")


def _seeds(suite: Suite, values: list[str]) -> Variants:
    return Variants(
        axis="seeds", setting="training.seed", asked=",".join(values), reference=values[0] if values else "",
        name=f"{suite.name}-seeds",
        suites={
            value: _one(
                suite, "seeds", value, f"seed-{value}",
                training={} if int(value) == suite.training_seed else {"seed": int(value)},
            )
            for value in values
        },
    )  # fmt: skip


def _subsets(suite: Suite, values: list[str]) -> Variants:
    if wrong := [value for value in values if value != ALL and not value.isdecimal()]:
        raise SettingsError(f"--subsets {wrong[0]}: expected numbers of training images, and {ALL}.")
    if ALL not in values:
        raise SettingsError(f"--subsets {','.join(values)}: expected {ALL} among them, to compare with.")
    ordered = [*sorted((value for value in values if value != ALL), key=int), ALL]
    return Variants(
        axis="subsets", setting="folds.training_images", asked=",".join(values), reference=ALL,
        name=f"{suite.name}-subsets",
        suites={
            value: _one(
                suite, "subsets", value, f"subset-{value}",
                folds={"training_images": None if value == ALL else int(value)},
            )
            for value in ordered
        },
    )  # fmt: skip


def _varied(suite: Suite, text: str) -> Variants:
    """Return the variants of KEY=VALUE,VALUE; a value with a comma of its own stands in [] or {}."""
    key, equals, listed = (part.strip() for part in text.partition("="))
    values = [value.strip() for value in re.split(r",(?![^\[{]*[\]}])", listed)]
    if not (key and equals) or len(values) < 2 or not all(values):
        raise SettingsError(f"--vary {text}: expected KEY=VALUE,VALUE, e.g. training.monitor=tune_loss,tune_auc.")
    if key.startswith(NOT_VARIED):
        raise SettingsError(f"--vary {text}: {key} does not change what a network is; leave it out.")
    suites: dict[str, Suite] = {}
    slugs: list[str] = []
    for value in values:
        try:
            one = with_overrides(suite, [f"--{key}", value])
        except SettingsError as error:
            raise SettingsError(f"--vary {text}: {error}") from None
        shown = public_source(value) if key == "architectures.weights" else value
        slug = re.sub(r"[^a-z0-9]+", "-", shown.lower()).strip("-")
        if shown in suites or slug in slugs or (one == suite and suite in suites.values()):
            raise SettingsError(f"--vary {text}: {shown} cannot be told from another value by a folder's name.")
        slugs.append(slug)
        suites[shown] = one if one == suite else dataclasses.replace(one, name=f"{suite.name}-{slug}")
    last = key.rsplit(".", 1)[-1]
    return Variants(
        axis="vary", setting=key, asked=f"{key}={','.join(suites)}", reference=next(iter(suites)), suites=suites,
        name=f"{suite.name}-{last}",
    )  # fmt: skip
