"""How a training is computed: precision, memory format, compiler; `auto` is settled by measuring."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from pneumobench.suite.training import TrainingSpec

# the plain form of each setting comes first: it is what `auto` means where nothing was measured
FORMS: Final[dict[str, tuple[str, ...]]] = {
    "precision": ("32-true", "bf16-mixed"),
    "memory_format": ("contiguous", "channels_last"),
    "compile": ("none", "inductor"),
}


def unsettled(spec: TrainingSpec) -> tuple[str, ...]:
    """Return the settings that are to be measured.

    >>> unsettled(TrainingSpec(precision="auto", memory_format="contiguous"))
    ('precision',)
    """
    return tuple(name for name in FORMS if getattr(spec, name) == "auto")


def with_forms(spec: TrainingSpec, forms: Mapping[str, str]) -> TrainingSpec:
    """Return a spec with other forms of some settings of `FORMS`."""
    changes: dict[str, Any] = dict(forms)
    return dataclasses.replace(spec, **changes)


def plain(spec: TrainingSpec) -> TrainingSpec:
    """Return a spec whose `auto` settings have their plain form.

    >>> plain(TrainingSpec(precision="auto")).precision
    '32-true'
    """
    return with_forms(spec, {name: FORMS[name][0] for name in unsettled(spec)})


def alternatives(spec: TrainingSpec, name: str) -> list[TrainingSpec]:
    """Return a spec with each form of one setting, the plain one first."""
    return [with_forms(spec, {name: form}) for form in FORMS[name]]
