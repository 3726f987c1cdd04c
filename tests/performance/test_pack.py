"""A pack for a machine without a network: what is in it, that it unpacks, and that it is never too large."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmark.performance import pack
from pneumobench.errors import DataError, SettingsError

NEEDED = "pydicom"  # stands for all that is missing: the machine of these tests has the rest


@pytest.fixture
def there() -> str:
    """What the machine has."""
    return ",".join({*pack.THERE, *pack.missing_packages(pack.THERE)} - {NEEDED})


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with a wheel of the name that is missing."""
    folder, version = tmp_path / "local", importlib.metadata.version(NEEDED)
    folder.mkdir()
    info = f"{NEEDED}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{NEEDED}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{NEEDED}.py", "FROM_THE_PACK = True\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NEEDED}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return folder


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Few images in the folders of the data set, with masks and their table."""
    rng, data = np.random.default_rng(0), tmp_path / "data"
    for number in range(6):
        name = f"{'NORMAL' if number % 2 else 'PNEUMONIA'}/person{number}_bacteria_{number}"
        for folder, suffix, side in (("chest_xray", ".jpeg", (224, 300)[number == 0]), ("lung_masks", ".png", 224)):
            path = data / folder / "train" / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = cv2.resize(rng.integers(0, 255, (16, 16), np.uint8), (side, side))
            assert cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 75] if suffix == ".jpeg" else [])
    (data / "manifest.csv").write_text("image\n")
    return data


def test_a_pack_unpacks_without_a_network_and_its_script_runs(
    there: str, wheels: Path, films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "pack"
    words = ["--there", there, "--wheels", str(wheels), "--data", str(films)]
    assert pack.main(["--to", str(made), *words]) == 0
    told = capsys.readouterr().out
    assert "MB  in all, of 60" in told
    names = {path.name.split("-")[0] for path in (made / "wheels").iterdir()}
    assert names == {NEEDED, "pneumobench"}
    facts = json.loads((made / "packed.json").read_text())
    assert (facts["films"], facts["jpeg quality"]) == (6, 95)
    assert facts["mean difference of gray levels"] < 2
    with tarfile.open(made / "films.tar.gz") as packed:
        inside = {name for name in packed.getnames() if Path(name).suffix}
    assert inside == {path.relative_to(films).as_posix() for path in films.rglob("*") if path.is_file()}
    # pip of the interpreter that the environment of these tests was made from, and its packages for all that is there
    place = tmp_path / "place"
    base = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
    environment = {"PATH": "/usr/bin:/bin", "PIP_CONFIG_FILE": "/dev/null", "HOME": str(tmp_path)}
    if subprocess.run([base, "-m", "pip", "--version"], capture_output=True, env=environment).returncode:
        subprocess.run([base, "-m", "venv", str(tmp_path / "pip")], check=True)
        base = str(tmp_path / "pip/bin/python")
    subprocess.run(["sh", made / "install.sh", place, base], check=True, env=environment)
    script = (
        f". {place}/env.sh && {sys.executable} -c 'import pydicom, pneumobench, benchmark.performance, os; "
        "print(pydicom.FROM_THE_PACK, pneumobench.__file__, benchmark.performance.__file__, os.getcwd(), "
        'os.environ["PNEUMOBENCH_DATA"])\''
    )
    done = subprocess.run(["sh", "-c", script], check=True, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [
        "True", f"{place}/site/pneumobench/__init__.py", f"{place}/tree/benchmark/performance/__init__.py",
        f"{place}/tree", f"{place}/data",
    ]  # fmt: skip
    square = cv2.imread(str(place / "data/chest_xray/train/PNEUMONIA/person0_bacteria_0.jpeg"), cv2.IMREAD_UNCHANGED)
    assert square is not None
    assert square.shape == (224, 224), "one gray channel, at the side that networks see"


def test_a_pack_that_is_too_large_is_refused_with_its_largest_parts(
    there: str, wheels: Path, films: Path, tmp_path: Path
) -> None:
    made = tmp_path / "pack"
    words = ["--to", str(made), "--there", there, "--wheels", str(wheels)]
    with pytest.raises(
        SettingsError, match=r"the pack has .* MB, at most 0\.1 fit; the largest are wheels/pneumobench"
    ):
        pack.main([*words, "--data", "", "--all-mb", "0.1"])
    with pytest.raises(DataError, match=r"6 films take \d+ MB, --films-mb is 0\.001"):
        pack.main([*words, "--data", str(films), "--films-mb", "0.001"])
    with pytest.raises(DataError, match=r"found no JPEG files below chest_xray/"):
        pack.main([*words, "--data", str(films / "lung_masks")])
    assert not made.exists()


def test_films_get_the_best_quality_that_fits(films: Path, tmp_path: Path) -> None:
    whole = pack._pack_films(films, tmp_path / "a.tar.gz", 10**9)
    assert isinstance(whole["film MB"], float)
    total = sum(len(pack._as_jpeg(path, 95)) for path in (films / "chest_xray").rglob("*.jpeg"))
    less = pack._pack_films(films, tmp_path / "b.tar.gz", total - 1)
    assert (whole["jpeg quality"], less["jpeg quality"]) == (95, 90)


def test_wheels_that_are_missing_are_named(there: str, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(SettingsError, match=rf"found no wheel of {NEEDED}=="):
        pack.main(["--to", str(tmp_path / "pack"), "--there", there, "--data", "", "--wheels", str(tmp_path / "none")])


def test_what_would_be_fetched_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack.main(["--to", str(tmp_path / "pack"), "--list"]) == 0
    listed = dict(line.split("==") for line in capsys.readouterr().out.split())
    assert {"albumentations", "captum", "lime", "pydicom", "simplejpeg", "stringzilla", "optuna"} <= listed.keys()
    assert not {"torch", "timm", "lightning", "numpy", "wandb", "pneumobench"} & listed.keys()
    assert listed["pydicom"] == importlib.metadata.version("pydicom")
    assert not (tmp_path / "pack").exists()


def test_a_folder_that_is_taken_is_left_alone(there: str, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(SettingsError, match="there is something already"):
        pack.main(["--to", str(tmp_path), "--there", there, "--data", ""])
    with pytest.raises(SettingsError, match="not-a-package is not installed here"):
        pack.main(["--to", str(tmp_path / "x"), "--there", "not-a-package", "--data", ""])
