"""Everything worth knowing about a CUDA device, in order, within a budget of seconds.

python -m benchmark.performance.gpu --budget 840 --to FOLDER [--data FOLDER] [--items 1,2]

1. one job, and its predictions against the processor's; 2. a training step against bare PyTorch; 3. the full
comparison for as many epochs as fit; 4. the same bytes again, and after a kill; 5. heat maps; 6. further networks.

Each item runs in a process of its own and is ended with its share of the budget; what an earlier one left over goes to
those that follow. Figures are written with every row, so that whatever ends an item, or all, loses none. `--toy` does
the same at a tiny size on any device.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmark.performance.gpu_jobs import comparison, first_job, further, keep_unfinished, same_bytes
from benchmark.performance.gpu_maps import heat_maps
from benchmark.performance.gpu_setting import Clock, Figures, Setting
from benchmark.performance.gpu_steps import training_steps
from benchmark.performance.measuring import best_device, device_name, markdown_table
from pneumobench.cli.main import quiet_libraries
from pneumobench.errors import PneumobenchError, SettingsError
from pneumobench.files import write_text
from pneumobench.records.provenance import machine, software_versions
from pneumobench.runs.train_job import reason_of
from pneumobench.suite.reader import load_suite
from pneumobench.training.keeping import quiet_lightning

Item = Callable[[Setting, Clock, Figures], None]
# number: what it is called, its share of the budget, what does it
ITEMS: Final[dict[int, tuple[str, int, Item]]] = {
    1: ("one job, agreement", 80, first_job),
    2: ("training steps", 150, training_steps),
    3: ("full comparison", 300, comparison),
    4: ("the same bytes again", 120, same_bytes),
    5: ("heat maps and masked regions", 90, heat_maps),
    6: ("further networks and seeds", 120, further),
}
FURTHER: Final = (
    "convnext_tiny", "swin_tiny_patch4_window7_224", "regnety_016", "resnetrs50", "tf_efficientnetv2_s",
)  # fmt: skip
PACKED: Final = Path(__file__).resolve().parents[2] / "packed.json"  # where a pack says what it is made of
WRITING_S: Final = 8.0  # kept of the budget
_FORKED = multiprocessing.get_context("fork")  # imports are paid for once; the device is touched by children alone


def main(arguments: Sequence[str] | None = None, *, spent_s: float = 0.0) -> int:
    """Measure what is asked for, print a short table, and return 0 if every item was done.

    Args:
        arguments: the command line; None = that of this process.
        spent_s: seconds of the budget that are gone already.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _options(words)
    started = time.monotonic() - spent_s
    options.to.mkdir(parents=True, exist_ok=True)
    quiet_libraries()
    quiet_lightning()
    with tempfile.TemporaryDirectory(prefix="pneumobench-gpu-") as work:
        setting = _setting(options, Path(work))
        found = _facts(words, options)
        left = {number: ITEMS[number][1] for number in options.items}
        for number in options.items:
            seconds = options.budget - WRITING_S - (time.monotonic() - started)
            share = seconds * left[number] / sum(left.values())
            del left[number]
            found["items"].append(_measured(number, setting, share))
            _write(found, options.to)
        keep_unfinished(setting)
    print("\n".join(_short(found)))
    return 0 if all(item["status"] == "done" for item in found["items"]) else 4


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--budget", type=float, required=True, help="seconds after which all is over")
    parser.add_argument("--to", type=Path, required=True, help="folder of the figures")
    parser.add_argument(
        "--data",
        default=os.environ.get("PNEUMOBENCH_DATA", ""),
        help="folder of the images of Kermany et al. (default: PNEUMOBENCH_DATA, else phantoms)",
    )
    parser.add_argument("--items", default=",".join(map(str, ITEMS)), help="numbers with commas (default: all)")
    parser.add_argument("--jobs", type=int, default=0, help="jobs at the same time (default: half the cores, up to 7)")
    parser.add_argument("--toy", action="store_true", help="everything tiny, to see that it runs; figures mean nothing")
    options = parser.parse_args(words)
    try:
        options.items = sorted({int(word) for word in options.items.split(",")})
    except ValueError:
        raise SettingsError(f"--items {options.items}: expected numbers with commas, e.g. 1,2.") from None
    if unknown := [number for number in options.items if number not in ITEMS]:
        raise SettingsError(f"--items {unknown[0]}: there are the items 1 to {len(ITEMS)}.")
    if not options.budget > WRITING_S:
        raise SettingsError(f"--budget {options.budget:g}: expected more than {WRITING_S:g} seconds.")
    if options.data and not Path(options.data).is_dir():
        raise SettingsError(f"--data {options.data}: no such folder.")
    return options


def _setting(options: argparse.Namespace, work: Path) -> Setting:
    shared: dict[str, Any] = {"work": work, "to": options.to, "toy": options.toy}
    if options.toy:
        return Setting(
            **shared, data="", side_by_side=options.jobs or 1, architectures=("test_resnet",), further=("test_vit",),
            batches=(4,), steps=2, repeats=1, explained=4, most_epochs=2, seeds=(),
        )  # fmt: skip
    return Setting(
        **shared, data=options.data, side_by_side=options.jobs or max(1, min(7, int(machine()["cores"]) // 2)),
        architectures=load_suite("kermany").architectures.names, further=FURTHER,
        batches=(32, 128), steps=10, repeats=2, explained=64, most_epochs=20, seeds=(43, 44),
    )  # fmt: skip


def _facts(words: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    packed: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):  # of an unpacked pack, which has no repository
        packed = json.loads(PACKED.read_text(encoding="utf-8"))
    return {
        "command": shlex.join(["python", "-m", "benchmark.performance.gpu", *words]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": "phantoms" if options.toy or not options.data else "radiographs",
        "machine": machine(),
        "versions": {**software_versions(), **packed},
        "device": _asked_in_child(),
        "items": [],
    }


def _asked_in_child() -> str:
    """Return the name of the device, asked by a process of its own: forks of one that has touched it cannot use it."""
    answers: Any = _FORKED.SimpleQueue()
    process = _FORKED.Process(target=lambda: answers.put(device_name(best_device())))
    process.start()
    process.join()
    return "not known" if answers.empty() else str(answers.get())


def _measured(number: int, setting: Setting, seconds: float) -> dict[str, Any]:
    """Run one item in a process group of its own, and return what it found and how it ended."""
    title, _, item = ITEMS[number]
    path = setting.to / f"item-{number}.json"
    path.unlink(missing_ok=True)
    started = time.monotonic()
    print(f"{number}. {title}: at most {seconds:.0f} s", file=sys.stderr, flush=True)
    process = _FORKED.Process(target=_work, args=(item, setting, Clock(started + seconds), path))
    process.start()
    process.join(max(0.0, seconds))
    status = "done" if process.exitcode == 0 else "failed"
    if process.exitcode is None:
        status = "ended with its share of the time"
    with contextlib.suppress(ProcessLookupError):  # jobs of its own that may go on
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.kill()
    process.join()
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"reason": "", "tables": {}}
    reason = found["reason"] or (f"exit code {process.exitcode}" if status == "failed" else "")
    path.unlink(missing_ok=True)
    took = round(time.monotonic() - started, 1)
    ended = {"item": number, "title": title, "status": status, "reason": reason, "seconds": took}
    return {**ended, "tables": found["tables"]}


def _work(item: Item, setting: Setting, clock: Clock, path: Path) -> None:
    os.setsid()
    figures = Figures(path)
    try:
        item(setting, clock, figures)
    except Exception as error:  # noqa: BLE001 - whatever ends one item, the next goes on
        figures.fail(reason_of(error, 0))
        os._exit(1)
    os._exit(0)


def _write(found: dict[str, Any], to: Path) -> None:
    write_text(to / "gpu.json", json.dumps(found, indent=1) + "\n")
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if name != "code")
    lines = [f"## {found['date'][:10]}: {found['device']}", "", f"`{found['command']}`", ""]
    lines += [f"{found['data']}; {found['machine']['processor']}, {found['machine']['cores']} cores; {versions}.", ""]
    for item in found["items"]:
        lines += [f"### {item['item']}. {item['title']}", ""]
        why = f": {item['reason']}" if item["reason"] else ""
        lines += [f"{item['status']}{why}, {item['seconds']} s.", ""]
        for title, rows in item["tables"].items():
            lines += [f"{title.capitalize()}:", "", *markdown_table(rows), ""]
    write_text(to / "gpu.md", "\n".join(lines))


def _short(found: dict[str, Any]) -> list[str]:
    """Return the lines that are printed last: one an item, and where the figures are."""
    rows = []
    for item in found["items"]:
        count = sum(map(len, item["tables"].values()))
        row = {"item": f"{item['item']}. {item['title']}", "status": item["status"], "s": item["seconds"]}
        rows.append({**row, "rows": count, "why": item["reason"]})
    return [f"{found['device']}, {found['data']}", *markdown_table(rows)]


def _imports_s() -> float:
    """Return the age of this process: imports take their part of the budget; 0 where the system does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        # some containers say that every process began with the system
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK") if ticks > 0 else 0.0
    except (OSError, ValueError, AttributeError):
        return 0.0


if __name__ == "__main__":
    try:
        sys.exit(main(spent_s=_imports_s()))
    except PneumobenchError as error:
        sys.exit(f"gpu.py: {error}")
