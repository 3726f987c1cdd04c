"""What a bare machine without a network needs to run gpu.py, in a folder of at most 60 MB.

python -m benchmark.performance.pack --to FOLDER [--data FOLDER] [--wheels FOLDER]

Into the folder go the wheel and the scripts of the last commit, the wheels that the machine lacks (Linux, x86-64), the
radiographs as gray JPEG with their table and masks, and install.sh, which unpacks all of it:

    sh FOLDER/install.sh PLACE && . PLACE/env.sh && python3 -m benchmark.performance.gpu --budget 840 --to FIGURES

It takes for granted that the machine has PyTorch and what THERE names besides. Weights & Biases is left out: no suite
that is shipped asks for it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from pneumobench.errors import DataError, PneumobenchError, SettingsError
from pneumobench.files import temporary_folder, write_json
from pneumobench.radiographs.formats import read_gray
from pneumobench.records.provenance import software_versions
from pneumobench.texts import counted

REPOSITORY: Final = Path(__file__).resolve().parents[2]
SCRIPTS: Final = "benchmark"
TREE: Final = ("pneumobench", "benchmark", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff")
THERE: Final = (
    "torch", "torchvision", "timm", "lightning", "torchmetrics", "scikit-learn", "scikit-image", "scipy", "pandas",
    "matplotlib", "jinja2", "rich", "safetensors", "opencv-python-headless", "numpy", "pillow", "pyyaml",
)  # fmt: skip
LEFT_OUT: Final = ("wandb",)
MB: Final = 10**6
ALL_MB, FILMS_MB = 60, 35  # films that are JPEG of quality 75 already keep every gray level
SIDE_PX: Final = 224
QUALITIES: Final = (95, 90, 85, 80, 75, 70, 65, 60, 55, 50, 45, 40)  # of JPEG, the best that fits
SAMPLE: Final = 100  # every so many-th film says how large all will be
PLATFORMS: Final = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in (17, 24, 27, 28, 31, 34)))
INSTALL: Final = """#!/bin/sh
# Unpack everything to a folder, without a network: sh install.sh PLACE [PYTHON]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?name the folder to unpack to: sh install.sh PLACE}"
place=$(cd "$1" && pwd)
tar -xzf "$here/scripts.tar.gz" -C "$place"
cp "$here/packed.json" "$place/tree/"
"${2:-python3}" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --upgrade \\
  --target "$place/site" "$here"/wheels/*.whl
echo "export PYTHONPATH='$place/tree:$place/site'" > "$place/env.sh"
if [ -f "$here/films.tar.gz" ]; then
  mkdir -p "$place/data"
  tar -xzf "$here/films.tar.gz" -C "$place/data"
  echo "export PNEUMOBENCH_DATA='$place/data'" >> "$place/env.sh"
fi
echo "cd '$place/tree'" >> "$place/env.sh"
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the pack, print what of it is how large, and refuse one that is too large."""
    options = _options(arguments)
    wanted = missing_packages(options.there.split(","))
    if options.list:
        print("\n".join(f"{name}=={version}" for name, version in wanted.items()))
        return 0
    if options.to.exists() and (not options.to.is_dir() or any(options.to.iterdir())):
        raise SettingsError(f"--to {options.to}: there is something already; name a new folder.")
    with temporary_folder(options.to.parent, options.to.name) as place:
        made = place / "pack"
        (made / "wheels").mkdir(parents=True)
        facts: dict[str, object] = _pack_code(made)
        if options.wheels is None:
            _download(wanted, made / "wheels", options.python)
        else:
            _copy_wheels(wanted, options.wheels, made / "wheels")
        if options.data:
            facts |= _pack_films(Path(options.data), made / "films.tar.gz", options.films_mb * MB)
        write_json(made / "packed.json", facts)
        (made / "install.sh").write_text(INSTALL)
        _check_size(made, options.all_mb * MB)
        if options.to.exists():
            options.to.rmdir()
        made.rename(options.to)
    print(f"sh {options.to}/install.sh PLACE && . PLACE/env.sh && python3 -m benchmark.performance.gpu --help")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pack.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=Path, required=True, help="new folder of the pack")
    parser.add_argument(
        "--data",
        default=os.environ.get("PNEUMOBENCH_DATA", ""),
        help="folder of the images of Kermany et al. (default: PNEUMOBENCH_DATA, else none are packed)",
    )
    parser.add_argument("--wheels", type=Path, help="folder of wheels to take instead of downloading any")
    parser.add_argument("--there", default=",".join(THERE), help="what the machine has, with all that it needs")
    parser.add_argument("--python", default="3.12", help="version of Python there (default: 3.12)")
    parser.add_argument("--list", action="store_true", help="only print the packages that would be downloaded")
    parser.add_argument("--all-mb", type=float, default=ALL_MB, help=f"most for the whole pack (default: {ALL_MB})")
    parser.add_argument("--films-mb", type=float, default=FILMS_MB, help=f"most for radiographs (default: {FILMS_MB})")
    return parser.parse_args(arguments)


def missing_packages(there: Iterable[str]) -> dict[str, str]:
    """Return the version here of every package that pneumobench needs and a machine with these does not have.

    Raises:
        SettingsError: a package that is needed is not installed here.
    """
    lacking = _closure(("pneumobench",)) - _closure(there) - {"pneumobench"}
    return {name: importlib.metadata.version(name) for name in sorted(lacking)}


def _closure(names: Iterable[str]) -> set[str]:
    """Return packages and all that they need, those left out and what only they need excepted."""
    found: set[str] = set()
    waiting = [(canonicalize_name(name), frozenset[str]()) for name in names]
    while waiting:
        name, extras = waiting.pop()
        if name in LEFT_OUT or (name in found and not extras):
            continue
        found.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError as error:
            raise SettingsError(f"{name} is not installed here, so that its needs are not known: uv sync.") from error
        for requirement in map(Requirement, needs):
            asked = [{"extra": extra} for extra in ("", *sorted(extras))]
            if requirement.marker is None or any(requirement.marker.evaluate(one) for one in asked):
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return found


def _pack_code(made: Path) -> dict[str, object]:
    """Write the scripts of the last commit and its wheel, and return which commit it is."""
    versions = software_versions()
    if versions["dirty"] == "yes":
        print("note: changes that are not committed are not packed", file=sys.stderr)
    archive = ["git", "-C", str(REPOSITORY), "archive", "--prefix=tree/"]
    _ran([*archive, f"--output={(made / 'scripts.tar.gz').resolve()}", "HEAD", SCRIPTS])  # the wheel holds the rest
    with temporary_folder(made.parent, "built") as place:
        _ran([*archive, f"--output={(place / 'whole.tar').resolve()}", "HEAD", *TREE])
        with tarfile.open(place / "whole.tar") as packed:
            packed.extractall(place, filter="data")
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str((made / "wheels").resolve())]
        _ran(command, cwd=place / "tree")
    return {"commit": versions["commit"], "dirty": "no"}


def _ran(command: Sequence[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no words"]
        raise SettingsError(f"`{' '.join(command[:6])} ...` ended with {done.returncode}: {last[0]}")


def _download(wanted: dict[str, str], to: Path, python: str) -> None:
    """Fetch wheels for the machine; what is published as source alone is built, which has no compiled parts then."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    target = ["--only-binary=:all:", "--python-version", python, "--implementation", "cp", *platforms]
    for name, version in wanted.items():
        pinned = f"{name}=={version}"
        pip = ["uv", "tool", "run", "pip", "--quiet", "--disable-pip-version-check"]
        try:
            _ran([*pip, "download", "--no-deps", *target, "--dest", str(to), pinned])
        except SettingsError:
            with temporary_folder(to.parent, "built") as place:
                _ran([*pip, "wheel", "--no-deps", "--wheel-dir", str(place), pinned])
                (wheel,) = place.glob("*.whl")
                if not wheel.name.endswith("-none-any.whl"):
                    raise SettingsError(
                        f"{pinned}: no wheel for the machine, and one that is built here is not."
                    ) from None
                shutil.move(wheel, to / wheel.name)


def _copy_wheels(wanted: dict[str, str], folder: Path, to: Path) -> None:
    found = {parse_wheel_filename(path.name)[0]: path for path in sorted(folder.glob("*.whl"))}
    if lacking := [f"{name}=={version}" for name, version in wanted.items() if canonicalize_name(name) not in found]:
        raise SettingsError(
            f"--wheels {folder}: found no wheel of {', '.join(lacking)}; leave --wheels out to fetch it."
        )
    for name in wanted:
        path = found[canonicalize_name(name)]
        shutil.copyfile(path, to / path.name)


def _pack_films(data: Path, to: Path, most: float) -> dict[str, object]:
    """Write radiographs as gray JPEG, their masks and their table, and return how they were written.

    Raises:
        DataError: there are none, or they are too large at the lowest quality.
    """
    films = sorted(path for path in (data / "chest_xray").rglob("*") if path.suffix.lower() in (".jpeg", ".jpg"))
    if not films:
        raise DataError(f"--data {data}: found no JPEG files below chest_xray/; name the folder of Kermany et al.")
    sample = films[:: max(1, len(films) // SAMPLE)]
    sizes = {
        quality: sum(len(_as_jpeg(path, quality)) for path in sample) / len(sample) * len(films)
        for quality in QUALITIES
    }
    fitting = [quality for quality, size in sizes.items() if size < most]
    if not fitting:
        least = sizes[QUALITIES[-1]] / MB
        raise DataError(
            f"--data {data}: {counted(len(films), 'film')} take {least:.0f} MB, --films-mb is {most / MB:g}."
        )
    while fitting:  # a sample may be smaller than all
        with temporary_folder(to.parent, "films") as place:
            total = 0
            for path in films:
                written = place / path.relative_to(data)
                written.parent.mkdir(parents=True, exist_ok=True)
                total += written.write_bytes(_as_jpeg(path, fitting[0]))
            if total > most and fitting[1:]:
                fitting = fitting[1:]
                continue
            for beside in (data / "lung_masks", data / "manifest.csv"):
                if beside.is_dir():
                    shutil.copytree(beside, place / beside.name)
                elif beside.is_file():
                    shutil.copyfile(beside, place / beside.name)
            with tarfile.open(to, "w:gz", format=tarfile.USTAR_FORMAT) as packed:  # what stands between small files
                for path in sorted(place.iterdir()):
                    packed.add(path, path.name)
            break
    decoded = (cv2.imdecode(np.frombuffer(_as_jpeg(path, fitting[0]), np.uint8), 0) for path in sample)
    apart = [np.abs(_square(path).astype(int) - again).mean() for path, again in zip(sample, decoded, strict=True)]
    facts: dict[str, object] = {"films": len(films), "film side px": SIDE_PX, "jpeg quality": fitting[0]}
    facts |= {"film MB": round(total / MB, 1), "mean difference of gray levels": round(float(np.mean(apart)), 2)}
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    return facts


def _as_jpeg(path: Path, quality: int) -> bytes:
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    return cv2.imencode(".jpg", _square(path), settings)[1].tobytes()


def _square(path: Path) -> NDArray[np.uint8]:
    film = read_gray(path)
    if film.shape == (SIDE_PX, SIDE_PX):
        return film
    return np.asarray(cv2.resize(film, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _check_size(made: Path, most: float) -> None:
    files = [path for path in made.rglob("*") if path.is_file()]
    parts = sorted(((path.stat().st_size, path.relative_to(made).as_posix()) for path in files), reverse=True)
    total = sum(size for size, _ in parts)
    for size, name in parts:
        print(f"{size / MB:8.2f} MB  {name}")
    print(f"{total / MB:8.2f} MB  in all, of {most / MB:g}")
    if total > most:
        largest = ", ".join(f"{name} ({size / MB:.1f} MB)" for size, name in parts[:3])
        raise SettingsError(f"the pack has {total / MB:.1f} MB, at most {most / MB:g} fit; the largest are {largest}.")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PneumobenchError as error:
        sys.exit(f"pack.py: {error}")
