"""What a run would do: its jobs, and about what they will take. Nothing is trained."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from rich.console import Console, ConsoleOptions, RenderResult

from pneumobench.attributions.lung_attention_maps import rows_with_lungs
from pneumobench.datasets.folds import Part
from pneumobench.errors import PneumobenchError
from pneumobench.lungs.masked_regions import MASKED_REGIONS
from pneumobench.records.job_record import JobRecord
from pneumobench.records.run_folder import RunFolder
from pneumobench.records.run_state import as_begun, jobs_to_run
from pneumobench.reporting.console import Name, console_table
from pneumobench.reporting.progress import duration
from pneumobench.runs.context import Bench, open_data
from pneumobench.runs.execution import AUTO, Execution
from pneumobench.runs.executors.choice import automatic_jobs
from pneumobench.runs.folds_asked import folds_of
from pneumobench.runs.networks import build_network
from pneumobench.runs.suite_checks import check_suite
from pneumobench.suite.forms import plain
from pneumobench.suite.process_state import unchanged_process
from pneumobench.suite.spec import Suite
from pneumobench.suite.weights import SELF_SUPERVISED
from pneumobench.texts import counted
from pneumobench.training.devices import device_of
from pneumobench.training.keeping import quiet_lightning
from pneumobench.training.memory import peak_memory_mib, reset_peak_memory
from pneumobench.training.step_time import step_time

STEPS: Final = 20  # measured of an architecture that has no finished job
LIMIT_S: Final = 10.0
FORWARD: Final = 1 / 3  # of a training step: forward and backward, which is about twice the forward
MAP: Final = 1.5  # heat map of an image against a training step of it: forward, backward, and little besides
VIEWS_PER_IMAGE: Final = 2  # in pretraining
WEIGHTS_HELD: Final = 4  # resume.ckpt: weights, the best so far, and two moments of Adam
MIB: Final = 2**20


@dataclass(frozen=True, kw_only=True)
class PlannedArchitecture:
    """The jobs of one architecture.

    Args:
        name: the architecture.
        finished: folds with a record.
        to_run: folds without.
        seconds_per_job: of training, scoring, masked regions and main heat maps; NaN = not known.
        memory_mib: peak of a job; NaN = not known.
        weights_mib: file of the weights of a job; NaN = not known.
        judged_by: what the seconds rest on, or why there are none.
    """

    name: str
    finished: int
    to_run: int
    seconds_per_job: float
    memory_mib: float
    weights_mib: float
    judged_by: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do.

    Args:
        run: its folder.
        architectures: in the order of the suite.
        images: mean number of images of a part over the folds asked for.
        side_by_side: jobs at the same time.
        seconds: of all jobs that are to be run, as many at the same time as asked; NaN = not known.
        disk_mib: what they leave, and the checkpoints meanwhile.
        disk_free_mib: free where the run lies.
    """

    run: Path
    architectures: tuple[PlannedArchitecture, ...]
    images: dict[Part, float]
    side_by_side: int
    seconds: float
    disk_mib: float
    disk_free_mib: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = console_table(title=f"Plan of {self.run.name}: nothing is trained")
        table.add_column("architecture")
        for heading in ("done", "to run", "a job", "peak MiB"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("judged by")
        for one in self.architectures:
            known = not math.isnan(one.seconds_per_job)
            table.add_row(
                Name(one.name), str(one.finished), str(one.to_run), duration(one.seconds_per_job) if known else "–",
                "–" if math.isnan(one.memory_mib) else f"{one.memory_mib:.0f}", one.judged_by,
            )  # fmt: skip
        yield table
        to_run = sum(one.to_run for one in self.architectures)
        time = "an unknown time" if math.isnan(self.seconds) else f"about {duration(self.seconds)}"
        beside = "" if self.side_by_side == 1 else f", {self.side_by_side} at the same time if none slows another"
        yield f"{counted(to_run, 'job')} to run, {time}{beside}; checks of heat maps by further methods come on top"
        parts = ", ".join(f"{part.replace('_', ' ')} {count:.0f}" for part, count in self.images.items() if count)
        yield "judged by finished jobs of this run, else by a few steps done now on this machine, busy or not"
        yield f"images of a fold: {parts}"
        yield f"disk: about {self.disk_mib:.0f} MiB, of {self.disk_free_mib:.0f} MiB that are free"


def plan(
    suite: Suite,
    *,
    output: str | Path = "runs",
    folds: Sequence[int] | None = None,
    retry_failed: bool = False,
    execution: Execution | None = None,
    rehash: bool = False,
    console: Console | None = None,
) -> Plan:
    """Return what `run` would do with the same arguments. Nothing is written but what is kept of images.

    Seconds are those of finished jobs of the run, else of a few training steps that are done now on random images; then
    scoring and heat maps are estimated from them.

    Raises:
        SettingsError, DataError: as `run` would.
    """
    chosen = folds_of(suite, folds)
    output, console = Path(output), console or Console()
    quiet_lightning()
    check_suite(suite, console)
    side_by_side = _at_the_same_time(execution or Execution(), suite)
    folder = RunFolder(output / suite.name)
    suite = as_begun(suite, folder)
    bench = open_data(suite, folder, cache=output / ".cache", console=console, rehash=rehash)
    todo = jobs_to_run(
        folder, [(name, fold) for fold in chosen for name in suite.architectures.names], retry_failed=retry_failed
    )
    records = folder.records() if folder.suite_yaml.is_file() else []
    architectures = []
    for name in suite.architectures.names:
        to_run = sum(one == name for one, _ in todo)
        mine = [record for record in records if record.architecture == name and record.completed and record.cost]
        planned = PlannedArchitecture(
            name=name, finished=len(chosen) - to_run, to_run=to_run, seconds_per_job=0.0 if not to_run else math.nan,
            memory_mib=math.nan, weights_mib=math.nan, judged_by="",
        )  # fmt: skip
        architectures.append(_by_records(planned, mine) if mine else _by_steps(planned, bench) if to_run else planned)
    known = [one.to_run * one.seconds_per_job for one in architectures]
    weights = [one for one in architectures if not math.isnan(one.weights_mib)]
    left = sum(one.to_run * one.weights_mib for one in weights)
    meanwhile = min(side_by_side, len(todo)) * WEIGHTS_HELD * max((one.weights_mib for one in weights), default=0.0)
    existing = next(path for path in (output, *output.absolute().parents) if path.exists())
    parts: tuple[Part, ...] = ("train", "tune", "test", "official_test")
    return Plan(
        run=folder.path,
        architectures=tuple(architectures),
        images={part: float(np.mean([len(bench.fold_images(k).positions[part]) for k in chosen])) for part in parts},
        side_by_side=side_by_side,
        seconds=sum(known) / max(1, min(side_by_side, len(todo))),
        disk_mib=left + meanwhile,
        disk_free_mib=shutil.disk_usage(existing).free / MIB,
    )


def _at_the_same_time(execution: Execution, suite: Suite) -> int:
    """Return how many jobs are run at the same time; 1 where only a cluster knows."""
    if execution.wanted != AUTO:
        return int(execution.wanted)
    if execution.ray_address is not None or (
        execution.executor == "slurm" and execution.slurm.get("cluster") != "local"
    ):
        return 1
    kind = device_of(suite.training).type
    return automatic_jobs(
        torch.cuda.device_count() if kind == "cuda" else int(kind != "cpu"), execution.jobs_per_device
    )


def _by_records(planned: PlannedArchitecture, records: Sequence[JobRecord]) -> PlannedArchitecture:
    """Return what finished jobs of an architecture took."""
    seconds, memory, parameters = [], [], 0
    for record in records:
        cost = record.cost
        assert cost is not None
        training, maps = cost.training_seconds or 0.0, record.explanation
        seconds.append(training + (maps.images * (maps.seconds_per_image or 0.0) if maps else 0.0))
        memory.append(cost.peak_memory_mib or math.nan)
        parameters = cost.parameters
    return dataclasses.replace(
        planned,
        seconds_per_job=float(np.median(seconds)),
        memory_mib=float(np.median(memory)),
        weights_mib=4 * parameters / MIB,
        judged_by=counted(len(records), "job"),
    )


def _by_steps(planned: PlannedArchitecture, bench: Bench) -> PlannedArchitecture:
    """Return what an architecture will take, from a few steps of its training."""
    suite, images = bench.suite, bench.fold_images(0)
    spec = plain(suite.training)
    generator = np.random.default_rng(0)
    rows = generator.choice(images.positions["train"], spec.batch_size)
    radiographs = torch.from_numpy(np.array(images.radiographs[np.sort(rows)]))[:, None]
    try:
        with unchanged_process(f"architecture {planned.name!r}"):
            network = build_network(suite, planned.name, weights="none")
            reset_peak_memory()
            step = step_time(network, spec, radiographs, steps=STEPS, limit_s=LIMIT_S)
    except PneumobenchError as error:
        return dataclasses.replace(planned, judged_by=f"fails: {error}")
    except Exception as error:  # noqa: BLE001 - foreign code
        return dataclasses.replace(planned, judged_by=f"fails: {type(error).__name__}: {error}"[:120])
    image, every = step.median / spec.batch_size, len(images.label)
    masked = 0
    if suite.masks_at_test_time:
        forms = bench.outlines(0).forms()
        shown = sum(region.outline in forms for region in MASKED_REGIONS.values())
        masked = shown * len(rows_with_lungs(images, bench.masks, None, suite.seed))
    maps = len(rows_with_lungs(images, bench.masks, suite.explanation.images_per_fold, suite.seed))
    tune = len(images.positions["tune"])
    # of frozen networks all images are embedded, for all folds together where these see the same
    embedded = every if bench.regions is not None else every / planned.to_run
    fitting, scored = image * FORWARD * embedded, 0
    if not spec.is_frozen:
        fitting = step.training(bench.steps())
        scored = (spec.epochs + 1) * tune + len(images.positions["test"]) + len(images.positions["official_test"])
    if suite.architectures.weights_source(planned.name) == SELF_SUPERVISED:
        fitting += image * VIEWS_PER_IMAGE * suite.pretraining.epochs * len(images.positions["train"])
    after = FORWARD * (scored + masked) + (MAP * maps if network.heatmap_layers else 0)
    return dataclasses.replace(
        planned,
        seconds_per_job=fitting + image * after,
        memory_mib=peak_memory_mib(device_of(spec).type),
        weights_mib=sum(one.numel() * one.element_size() for one in network.module.state_dict().values()) / MIB,
        judged_by="steps",
    )
