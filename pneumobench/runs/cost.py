"""What each architecture of a suite takes: one pass over all of them in turn, nothing else running."""

from __future__ import annotations

import dataclasses
import os
import shlex
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import torch
from rich.console import Console
from torch import Tensor, nn

from pneumobench.architectures import Architecture
from pneumobench.architectures.architecture import flops_per_image
from pneumobench.architectures.contract import random_radiographs
from pneumobench.errors import SettingsError, suggestion
from pneumobench.records.checksums import renew_checksums
from pneumobench.records.cost_table import ArchitectureCost, CostTable, step_setting, write_cost
from pneumobench.records.loaded_run import open_suite
from pneumobench.records.manifest import seal
from pneumobench.records.provenance import machine, software_versions
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.cost_table import write_cost_page
from pneumobench.runs.executors.processes import JOB_PROCESSES
from pneumobench.runs.networks import build_network
from pneumobench.runs.train_job import reason_of
from pneumobench.suite.commands import run_command
from pneumobench.suite.forms import plain
from pneumobench.suite.plugin_trust import plugins_to_run
from pneumobench.suite.registry import load_plugin_file
from pneumobench.suite.spec import Suite
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.cost import check_device, hardware
from pneumobench.training.devices import device_of
from pneumobench.training.keeping import quiet_lightning
from pneumobench.training.memory import peak_memory_mib, reset_peak_memory
from pneumobench.training.step_time import scoring_seconds, step_time

ROUNDS: Final = 5
COUNTED: Final = 20  # steps or batches of a round, at most
LIMIT_S: Final = 4.0  # for each of the three measurements of an architecture in a round
SCORED_BATCH: Final = 32  # images together, beside one alone


@dataclass(frozen=True, kw_only=True)
class _Round:
    """One round of an architecture; the fields are those of `ArchitectureCost`."""

    parameters: int
    flops_per_image: int
    step_seconds: float
    single_seconds: float
    batch_seconds: float
    peak_memory_mib: float


def cost_of_suite(
    base: str, suite: Suite, *, output: str | Path = "runs", rounds: int = ROUNDS, console: Console | None = None
) -> tuple[CostTable, Path]:
    """Measure the architectures of a suite, see `measure_costs`, and return the table and the page of it.

    Args:
        base: name or file of the suite that `suite` came from.
        suite: with all that options changed; its plugins are loaded.
        output: folder of runs; the table lies in the folder that a run of this suite has.
        rounds: 2 or more.
        console: where progress is shown; None = the terminal or notebook.
    """
    _, *options = shlex.split(run_command(base, suite))[1:]
    if "--data" in options:  # no image is read
        place = options.index("--data")
        del options[place : place + 2]
    return measure_costs(
        suite, RunFolder(Path(output) / suite.name), words=options, plugins=suite.architectures.plugins, rounds=rounds,
        console=console,
    )  # fmt: skip


def cost_of_run(
    path: Path,
    *,
    architectures: Sequence[str] | None = None,
    rounds: int = ROUNDS,
    plugins: Sequence[Path] = (),
    trust_plugins: bool = False,
    console: Console | None = None,
) -> tuple[CostTable, Path]:
    """Measure the architectures of a run, see `measure_costs`, and return the table and the page of it.

    Args:
        path: folder of the run, published or not.
        architectures: only these; None = all of its suite.
        rounds: 2 or more.
        plugins: files that register architectures; one stands for a file of its name in the suite.
        trust_plugins: execute the plugin files that the suite lists, whatever they are.
        console: where progress is shown; None = the terminal or notebook.

    Raises:
        SettingsError: the suite has no such architecture, or a plugin may not be executed.
    """
    folder, suite = open_suite(path)
    listed = plugins_to_run(suite.architectures.plugins, path, named=plugins, trusted=trust_plugins)
    for file in (*plugins, *listed):
        load_plugin_file(file)
    known = suite.architectures.names
    for name in architectures or ():
        if name not in known:
            raise SettingsError(f"{path} has no architecture {name!r}. {suggestion(name, known)}".strip())
    words = [str(Path(*path.parts[-2:]))]
    if architectures:
        words += ["--architectures", ",".join(architectures)]
    chosen = dataclasses.replace(suite.architectures, names=tuple(architectures or known))
    return measure_costs(
        dataclasses.replace(suite, architectures=chosen), folder, words=words, plugins=(*plugins, *listed),
        rounds=rounds, console=console,
    )  # fmt: skip


def measure_costs(
    suite: Suite,
    folder: RunFolder,
    *,
    words: Sequence[str],
    plugins: Sequence[str | Path] = (),
    rounds: int = ROUNDS,
    console: Console | None = None,
) -> tuple[CostTable, Path]:
    """Measure every architecture of a suite once in each round, in a process of its own, and write the table.

    Random images and random weights are enough: neither changes what is computed. Images of the suite are not needed.

    Args:
        suite: the settings; forms that say `auto` are measured as plain ones.
        folder: of the run, where `cost/` is written.
        words: what the literal command says besides its name and the rounds.
        plugins: files that register architectures of the suite, loaded here already.
        rounds: 2 or more.
        console: where progress is shown; None = the terminal or notebook.

    Raises:
        SettingsError: there are fewer than two rounds, or the device is not to be had.
    """
    if rounds < 2:
        raise SettingsError(f"--rounds {rounds}: expected 2 or more, to see whether the machine was quiet.")
    suite = dataclasses.replace(suite, training=plain(suite.training))
    more = [] if rounds == ROUNDS else ["--rounds", str(rounds)]
    console = console or Console()
    quiet_lightning()
    check_device(suite.training)
    load = None
    with suppress(OSError):  # a system that does not tell
        load = round(os.getloadavg()[0], 2)
    found: dict[str, list[_Round]] = {name: [] for name in suite.architectures.names}
    failed: dict[str, str] = {}
    for number in range(rounds):
        for name, done in found.items():
            if name in failed:
                continue
            one = _in_its_process(suite, name, plugins)
            if isinstance(one, str):
                failed[name] = one
                console.print(f"{name}: {one}", markup=False, highlight=False)
                continue
            done.append(one)
            told = f"round {number + 1} of {rounds}: {name} {1000 * one.step_seconds:.1f} ms a step"
            console.print(told, markup=False, highlight=False)
    table = CostTable(
        suite=suite.name,
        command=shlex.join(["pneumobench", "cost", *words, *more]),
        rounds=rounds,
        scored_batch=SCORED_BATCH,
        setting=step_setting(suite),
        hardware={**hardware(suite.training, machine()), "devices": 1},
        software=software_versions(),
        load_average=load,
        architectures=tuple(_joined(name, done, failed.get(name, "")) for name, done in found.items()),
    )
    write_cost(folder, table)
    page = write_cost_page(folder.cost, table)
    if folder.manifest_json.is_file():
        seal(folder, files := sorted(page.parent.iterdir()))
        renew_checksums(folder.path, [*files, folder.manifest_json])
    return table, page


def _in_its_process(suite: Suite, name: str, plugins: Sequence[str | Path]) -> _Round | str:
    """Measure an architecture in a process that ran nothing before; or say why that failed."""
    here, there = JOB_PROCESSES.Pipe(duplex=False)
    process = JOB_PROCESSES.Process(target=_work, args=(there, suite, name, tuple(plugins), torch.get_num_threads()))
    process.start()
    there.close()
    try:
        found: _Round | str = here.recv()
        return found
    except EOFError:
        return "its process ended; the system does this when memory runs out"
    finally:
        process.terminate()  # also where this one was interrupted
        process.join()
        here.close()


def _work(there: Connection, suite: Suite, name: str, plugins: tuple[str | Path, ...], threads: int) -> None:
    """Send what was measured; the only work of its process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends this process
    there.send(_measured(suite, name, plugins, threads))


def _measured(suite: Suite, name: str, plugins: tuple[str | Path, ...], threads: int) -> _Round | str:
    """Measure one round of an architecture."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # as jobs do
    quiet_lightning()
    spec, side = suite.training, suite.data.image_side_px
    try:
        for plugin in plugins:
            load_plugin_file(Path(plugin))
        batch, scored = (random_radiographs(count, side) for count in (spec.batch_size, SCORED_BATCH))
        _load_libraries(spec, batch)
        reset_peak_memory()
        network = build_network(suite, name, weights="none")
        step = step_time(network, spec, batch, steps=COUNTED, limit_s=LIMIT_S).median
        peak = peak_memory_mib(device_of(spec).type)
        single, together = (
            scoring_seconds(network, spec, images, batches=COUNTED, limit_s=LIMIT_S) for images in (scored[:1], scored)
        )
        return _Round(
            parameters=network.parameter_count(),
            flops_per_image=flops_per_image(network, side),
            step_seconds=step,
            single_seconds=single,
            batch_seconds=together,
            peak_memory_mib=peak,
        )
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever one architecture does must cost only itself
        return reason_of(error, spec.batch_size)


def _load_libraries(spec: TrainingSpec, batch: Tensor) -> None:
    """Train a network of a few weights for a step: what PyTorch loads at first use is no memory of an architecture."""
    layers = nn.Sequential(
        nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 1)
    )
    step_time(Architecture(module=layers), dataclasses.replace(spec, compile="none"), batch[:2], steps=1, limit_s=0.0)


def _joined(name: str, rounds: Sequence[_Round], reason: str) -> ArchitectureCost:
    if reason:
        return ArchitectureCost(name=name, reason=reason)
    return ArchitectureCost(
        name=name,
        parameters=rounds[0].parameters,
        flops_per_image=rounds[0].flops_per_image,
        step_seconds=tuple(round(one.step_seconds, 7) for one in rounds),
        single_seconds=tuple(round(one.single_seconds, 7) for one in rounds),
        batch_seconds=tuple(round(one.batch_seconds, 7) for one in rounds),
        peak_memory_mib=tuple(round(one.peak_memory_mib, 1) for one in rounds),
    )
