"""The smallest network of each of timm's families: is it built, trained, explained and saved by this package?

python benchmark/architectures/timm_families.py [--write] [--only NAME ...]

A family is a module of timm, such as `resnet` or `vision_transformer`. Its smallest
network is taken, with random weights, if it has at most 130 million parameters. The contract (`pneumobench check`) is
examined on gray images at 64 px, or at the side and with the three channels that it was made for where it takes no
others; then one Grad-CAM map is made. Each network is tried in a process of its own.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import io
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import timm
import torch

from pneumobench.architectures import build_architecture
from pneumobench.architectures.contract import check_contract, random_radiographs
from pneumobench.attributions.grad_cam import choose_layer
from pneumobench.attributions.methods import attribution_method
from pneumobench.errors import NotAvailableError, PneumobenchError
from pneumobench.files import write_text

SIDE_PX: Final = 64
PARAMETERS_MAX: Final = 130_000_000
TABLE: Final = Path(__file__).with_suffix(".csv")
SECONDS_MAX: Final = 600
KEPT: Final = "kept"


@dataclass(frozen=True, kw_only=True)
class FamilyResult:
    """What was seen of a family's smallest network.

    Args:
        family: module of timm.
        network: timm name; empty where every network of the family is too large.
        parameters: millions.
        side_px: side of the images.
        contract: `kept`, the rules that are broken, or why it was not tried.
        heat_map: layer and grid of its Grad-CAM map, or why there is none.
        seconds: for all of it.
    """

    family: str
    network: str
    parameters: str
    side_px: str
    contract: str
    heat_map: str
    seconds: str


def families() -> dict[str, list[str]]:
    """Return the names of timm by family."""
    found: dict[str, list[str]] = {}
    for name in timm.list_models():
        module = str(timm.model_entrypoint(name).__module__).rpartition(".")[2]
        found.setdefault(module, []).append(name)
    return dict(sorted(found.items()))


def parameters_of(name: str) -> int:
    """Return the parameters of a network, without memory for them where it can be built so."""
    try:
        with torch.device("meta"):
            module = timm.create_model(name, num_classes=1, in_chans=1)
    except Exception:  # noqa: BLE001 - a few compute with values while they are built
        module = timm.create_model(name, num_classes=1, in_chans=1)
    return sum(parameter.numel() for parameter in module.parameters())


def examine(family: str, name: str, parameters: int) -> FamilyResult:
    """Try a network on gray images of 64 px, and as it was made for where it takes no others."""
    started, own = time.perf_counter(), timm.get_pretrained_cfg(name)
    own_side_px = own.input_size[1] if own is not None else SIDE_PX
    contract, heat_map, side_px = "", "", SIDE_PX
    for side_px, channels in dict.fromkeys(((SIDE_PX, 1), (own_side_px, 1), (own_side_px, 3))):
        try:
            findings = check_contract(name, image_side_px=side_px, in_channels=channels)
            broken = [f"{finding.rule}: {finding.detail}" for finding in findings if not finding.kept]
            kept = KEPT if channels == 1 else f"{KEPT}, with 3 channels"
            contract, heat_map = "; ".join(broken) or kept, _heat_map(name, side_px, channels)
        except PneumobenchError as error:
            contract, heat_map = f"{error}", "-"
        if contract.startswith(KEPT):
            break
    return FamilyResult(
        family=family,
        network=name,
        parameters=f"{parameters / 1e6:.1f}",
        side_px=str(side_px),
        contract=_line(contract),
        heat_map=_line(heat_map),
        seconds=f"{time.perf_counter() - started:.0f}",
    )


def _heat_map(name: str, side_px: int, channels: int) -> str:
    architecture = build_architecture(name, in_channels=channels, image_side_px=side_px)
    try:
        attribution_method("gradcam").attribute(architecture, random_radiographs(1, side_px))
    except NotAvailableError:
        return "none: no layer gives one map of rows and columns that the output depends on"
    chosen = choose_layer(architecture, side_px)
    return f"{chosen.layer.name} {chosen.grid[0]} x {chosen.grid[1]}"


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


def in_own_process(family: str, names: list[str]) -> FamilyResult:
    """Try the smallest network of a family in a process that may take its time and memory with it."""
    sizes = {name: parameters_of(name) for name in names}
    name = min(sizes, key=lambda one: (sizes[one], one))
    million = f"{sizes[name] / 1e6:.1f}"
    words = {"family": family, "network": name, "parameters": million, "side_px": "-", "heat_map": "-"}
    if sizes[name] > PARAMETERS_MAX:
        return FamilyResult(**words, contract="not tried: more than 130 million parameters", seconds="-")
    code = (
        "import sys; from timm_families import as_csv, examine; "
        "print(as_csv([examine(sys.argv[1], sys.argv[2], int(sys.argv[3]))]).splitlines()[1])"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, family, name, str(sizes[name])],
            cwd=Path(__file__).parent, capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return FamilyResult(**words, contract=f"not ready after {SECONDS_MAX} s", seconds=str(SECONDS_MAX))
    if done.returncode != 0 or not done.stdout.strip():
        return FamilyResult(**words, contract=f"process ended: {_line(done.stderr[-200:])}", seconds="-")
    return from_csv(done.stdout.strip().splitlines()[-1:])[0]


def as_csv(rows: list[FamilyResult]) -> str:
    """Return the table with its heading."""
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, [field.name for field in fields(FamilyResult)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    return buffer.getvalue()


def from_csv(lines: list[str]) -> list[FamilyResult]:
    """Return the rows of lines without a heading."""
    names = [field.name for field in fields(FamilyResult)]
    return [FamilyResult(**dict(zip(names, cells, strict=True))) for cells in csv.reader(lines)]


def read_table() -> list[FamilyResult]:
    """Return the committed table."""
    return from_csv(TABLE.read_text(encoding="utf-8").splitlines()[1:])


def as_markdown(rows: list[FamilyResult]) -> str:
    """Return the table in words for people."""
    kept, maps = (sum(test(row) for row in rows) for test in (_is_kept, _has_map))
    lines = [
        "# timm's families, the smallest network of each",
        "",
        f"{len(rows)} families of timm {importlib.metadata.version('timm')}: {kept} keep the contract (built, forward, "
        f"backward, same seed same output, saved and loaded), {maps} of them with heat maps. Random weights, gray "
        f"images, torch {torch.__version__.partition('+')[0]}. Made by "
        "`python benchmark/architectures/timm_families.py --write`.",
        "",
        "| family | network | million parameters | side, px | contract | heat map | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    cells = ([value.replace("|", "\\|") for value in asdict(row).values()] for row in rows)
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in cells)]) + "\n"


def _is_kept(row: FamilyResult) -> bool:
    return row.contract.startswith(KEPT)


def _has_map(row: FamilyResult) -> bool:
    return _is_kept(row) and not row.heat_map.startswith(("none", "-"))


def main() -> None:
    """Try every family, print a line for each, and write the table if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write timm_families.csv and .md")
    parser.add_argument("--only", nargs="+", default=[], help="only these families")
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = {row.family: row for row in read_table()} if options.only and TABLE.is_file() else {}
    for family, names in families().items():
        if not options.only or family in options.only:
            known[family] = in_own_process(family, names)
            print(as_csv([known[family]]).splitlines()[1], flush=True)
            if options.write:
                rows = [known[one] for one in sorted(known)]
                write_text(TABLE, as_csv(rows))
                write_text(TABLE.with_suffix(".md"), as_markdown(rows))


if __name__ == "__main__":
    main()
