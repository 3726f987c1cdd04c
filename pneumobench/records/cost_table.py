"""cost.json: what each architecture of a suite takes, measured in one pass over all of them; read strictly."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pneumobench.errors import RecordError
from pneumobench.files import write_json
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.names import is_name
from pneumobench.suite.spec import Suite

COST_FORMAT: Final = 1
COST_FILES: Final = ("cost.json", "cost.csv", "README.md")
MEASURED: Final = ("step_seconds", "single_seconds", "batch_seconds", "peak_memory_mib")  # a number for each round
SPREAD_BOUND: Final = 0.10  # of a step's time over rounds: highest less lowest, by the median; more is told
LOAD_BOUND: Final = 0.25  # processes that ran or waited, for each core, before the first measurement; more is told
# what a step's time depends on, of a suite
SHAPES_A_STEP: Final = ("precision", "memory_format", "compile", "optimizer", "batch_size", "head", "accelerator")


@dataclass(frozen=True, kw_only=True)
class ArchitectureCost:
    """What one architecture takes. Tuples have one number for each round; seconds are medians within the round.

    Args:
        name: the architecture.
        parameters: their number.
        flops_per_image: floating-point operations of one forward pass.
        step_seconds: a training step of one batch that lies ready: forward, loss, backward, optimiser.
        single_seconds: scoring one image, from main memory to its logit.
        batch_seconds: the same of `CostTable.scored_batch` images together.
        peak_memory_mib: what building the network and training it adds to a process of its own, on CUDA that of the
            device: weights, gradients, the optimiser's state and one batch; not what PyTorch loads at first use.
        reason: why it was not measured; empty where it was.
    """

    name: str
    parameters: int = 0
    flops_per_image: int = 0
    step_seconds: tuple[float, ...] = ()
    single_seconds: tuple[float, ...] = ()
    batch_seconds: tuple[float, ...] = ()
    peak_memory_mib: tuple[float, ...] = ()
    reason: str = ""

    def spread(self) -> float:
        """Return by how much the step differs between rounds: highest less lowest, divided by the median."""
        return (max(self.step_seconds) - min(self.step_seconds)) / statistics.median(self.step_seconds)

    def drift(self) -> float:
        """Return the step of the last round divided by that of the first, less 1."""
        return self.step_seconds[-1] / self.step_seconds[0] - 1


@dataclass(frozen=True, kw_only=True)
class CostTable:
    """One pass over the architectures of a suite.

    Args:
        suite: its name.
        command: the literal command that made it.
        rounds: how often each architecture was asked, in turn.
        scored_batch: images of `ArchitectureCost.batch_seconds`.
        setting: what a step's time depends on, of the suite, see `step_setting`.
        hardware: device, threads and the like.
        software: versions.
        load_average: processes that ran or waited in the minute before the first measurement; None = not known.
        architectures: in the order of the suite.
    """

    suite: str
    command: str
    rounds: int
    scored_batch: int
    setting: Mapping[str, Any]
    hardware: Mapping[str, str | int | float]
    software: Mapping[str, str]
    load_average: float | None
    architectures: tuple[ArchitectureCost, ...]

    @property
    def measured(self) -> tuple[ArchitectureCost, ...]:
        """Those that were measured."""
        return tuple(one for one in self.architectures if not one.reason)

    def drift(self) -> float:
        """Return the median of the architectures' drifts: what the machine did, not one of them. NaN without any."""
        return statistics.median(one.drift() for one in self.measured) if self.measured else math.nan

    def warnings(self) -> tuple[str, ...]:
        """Say why the machine does not look quiet; nothing where it does."""
        found = []
        cores = int(self.hardware["cores"])
        if self.load_average is not None and self.load_average > LOAD_BOUND * cores:
            found.append(
                f"{self.load_average:.1f} processes ran or waited on {cores} cores in the minute before the first "
                f"measurement (a quiet machine: at most {LOAD_BOUND * cores:.1f})"
            )
        unsteady = [one for one in self.measured if one.spread() > SPREAD_BOUND]
        if unsteady:
            worst = max(unsteady, key=ArchitectureCost.spread)
            found.append(
                f"the step differs between rounds by more than {SPREAD_BOUND:.0%} for {len(unsteady)} of "
                f"{len(self.measured)} architectures (most for {worst.name}, {worst.spread():.0%})"
            )
        return tuple(found)


def step_setting(suite: Suite) -> dict[str, Any]:
    """Return what a step's time depends on, of a suite, as JSON has it."""
    form = {name: getattr(suite.training, name) for name in SHAPES_A_STEP}
    return {
        "image_side_px": suite.data.image_side_px,
        "channels": suite.data.channels,
        "task": suite.task,
        **form,
        "head": list(suite.training.head),
    }


def write_cost(folder: RunFolder, table: CostTable) -> None:
    """Write cost.json."""
    write_json(folder.cost / COST_FILES[0], {"format": COST_FORMAT, **dataclasses.asdict(table)})


def read_cost(folder: RunFolder) -> CostTable | None:
    """Read cost.json of a run; None where there is none.

    Raises:
        RecordError: it is none that was written here.
    """
    path = folder.cost / COST_FILES[0]
    if not path.is_file():
        return None
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain.pop("format") != COST_FORMAT:
            raise ValueError(f"another format than {COST_FORMAT}")
        found = tuple(_architecture(one, plain["rounds"]) for one in plain.pop("architectures"))
        table = CostTable(**plain, architectures=found)
        _require(isinstance(table.setting, dict) and isinstance(table.software, dict), "no setting or software")
        _require(type(table.hardware["cores"]) is int and table.rounds > 1 and table.scored_batch > 0, "counts")
        _require(table.load_average is None or float(table.load_average) >= 0, "load_average")
        _require(all(isinstance(text, str) for text in (table.suite, table.command)), "texts")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            f"{path}: found no table of costs ({error}); bring it back, or delete {folder.cost} and measure again with "
            f"`pneumobench cost {folder.path}`."
        ) from error
    return table


def cost_of(folder: RunFolder, suite: Suite) -> tuple[CostTable | None, tuple[str, ...]]:
    """Return the table of costs that lies beside a run, and what a reader should know: why one is not shown.

    Raises:
        RecordError: it is none that was written here.
    """
    table = read_cost(folder)
    if table is None:
        return None, ()
    here = step_setting(suite)
    other = [f"{key} {table.setting.get(key)}, here {value}" for key, value in here.items()
             if table.setting.get(key) != value]  # fmt: skip
    if not other:
        return table, ()
    return None, (f"cost/{COST_FILES[0]} was measured with other settings ({'; '.join(other)}) and is not shown",)


def _architecture(plain: dict[str, Any], rounds: int) -> ArchitectureCost:
    one = ArchitectureCost(**{**plain, **{name: tuple(map(float, plain[name])) for name in MEASURED}})
    _require(is_name(one.name) and isinstance(one.reason, str), "a name or a reason that is none")
    _require(all(type(count) is int and count >= 0 for count in (one.parameters, one.flops_per_image)), "counts")
    for name in MEASURED:
        values = getattr(one, name)
        _require(len(values) == (0 if one.reason else rounds), f"{name} of {one.name}: other rounds than {rounds}")
        least = 0.0 if name == "peak_memory_mib" else math.ulp(0.0)
        _require(all(math.isfinite(value) and value >= least for value in values), f"{name} of {one.name}")
    return one


def _require(right: bool, found: str) -> None:
    if not right:
        raise ValueError(found)
