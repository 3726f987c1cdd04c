"""A run that was trained and published: every change of a byte or a field in it is found, hashes renewed or not."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from pneumobench.cli.main import main
from pneumobench.datasets.table_files import COMPRESSED, table_bytes
from pneumobench.files import sha256_of_file
from pneumobench.records.checksums import CHECKSUMS, checksum_differences
from pneumobench.runs.publishing import publish_run
from pneumobench.runs.verifying import verify
from tests.records.tampering import changed, contents, forged_number

SEED = 20


@pytest.fixture(scope="module")
def bundle(copied: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published copy of the smoke run."""
    return publish_run(copied / "runs/smoke", tmp_path_factory.mktemp("published") / "smoke").page.parents[1]


def test_a_published_run_is_what_it_says(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(bundle)
    found = verify(bundle)
    assert found.differences == ()
    assert found.files == len(before)
    assert found.numbers > 300
    assert found.texts > 4
    assert main(["verify", str(bundle)]) == 0
    assert capsys.readouterr().out.endswith("is what it says\n")
    assert contents(bundle) == before, "nothing is written"


def test_a_run_that_is_not_published_is_checked_too(copied: Path) -> None:
    found = verify(copied / "runs/smoke")
    assert found.differences == ()
    assert "no published copy" in found.notes[0]


def test_the_checksums_are_those_that_sha256sum_reads(bundle: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", CHECKSUMS], cwd=bundle, check=False)
    assert done.returncode == 0
    assert len((bundle / CHECKSUMS).read_text().splitlines()) == len(contents(bundle)) - 1


@pytest.mark.parametrize("trials", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_every_change_of_one_byte_or_one_field_is_found(trials: int, bundle: Path) -> None:
    """By the comparison with SHA256SUMS alone, which `verify` makes of the same SHA-256 by name."""
    files = contents(bundle)
    texts = {name: table_bytes(bundle / name) if name.endswith(COMPRESSED) else data for name, data in files.items()}
    listed = files[CHECKSUMS]
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != CHECKSUMS}
    assert checksum_differences(listed, hashes) == []
    chance, missed = random.Random(SEED), []
    for _ in range(trials):
        name = chance.choice(sorted(files))
        data = changed(chance, name, files[name], texts[name])
        assert data != files[name]
        if name == CHECKSUMS:
            found = checksum_differences(data, hashes)
            named = bool(found)
        else:
            found = checksum_differences(listed, hashes | {name: hashlib.sha256(data).hexdigest()})
            named = [one.file for one in found] == [name]
        if not named:
            missed.append((name, found))
    assert missed == []


@pytest.mark.parametrize("trials", [5, pytest.param(100, marks=pytest.mark.long)])
def test_a_change_on_disk_is_named_by_the_command(
    trials: int, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(bundle, tmp_path / "run")
    files, chance = contents(bundle), random.Random(SEED)
    for _ in range(trials):
        name = chance.choice(sorted(files))
        text = table_bytes(run / name) if name.endswith(COMPRESSED) else files[name]
        (run / name).write_bytes(changed(chance, name, files[name], text))
        assert main(["verify", str(run)]) == 5, name
        assert f"  {name}" in (told := capsys.readouterr().out) or name == CHECKSUMS, told
        (run / name).write_bytes(files[name])


@pytest.mark.parametrize("trials", [3, pytest.param(50, marks=pytest.mark.long)])
def test_a_number_that_was_forged_with_every_hash_is_computed_again(trials: int, bundle: Path, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    for trial in range(trials):
        run = shutil.copytree(bundle, tmp_path / "run")
        name = forged_number(chance, run)
        found = verify(run).differences
        assert found, f"{trial}: {name}"
        assert name in {one.file for one in found} or name.endswith(f"predictions.csv{COMPRESSED}"), (name, found)
        assert all(one.found and one.expected for one in found), found
        assert sha256_of_file(run / name) in (run / CHECKSUMS).read_text()
        shutil.rmtree(run)
