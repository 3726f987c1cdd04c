"""SHA256SUMS: the bytes that the files give and no others, renewed by who writes, read by sha256sum."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumobench.errors import RecordError
from pneumobench.records.checksums import (
    CHECKSUMS,
    checksum_differences,
    checksums_text,
    files_below,
    renew_checksums,
    write_checksums,
)

FILES = {"README.md": "a" * 64, "resnet18/fold-0/record.json": "b" * 64, "suite.yaml": "c" * 64}
LISTED = checksums_text(FILES).encode()


@given(st.binary(max_size=300))
def test_other_bytes_are_always_a_difference(listed: bytes) -> None:
    assert (checksum_differences(listed, FILES) == []) == (listed == LISTED)


@given(st.integers(0, len(LISTED) - 1), st.integers(1, 255))
def test_a_changed_byte_is_named(place: int, more: int) -> None:
    changed = LISTED[:place] + bytes([(LISTED[place] + more) % 256]) + LISTED[place + 1 :]
    assert checksum_differences(changed, FILES)


@pytest.mark.parametrize(
    ("listed", "files", "said"),
    [
        (LISTED, FILES | {"suite.yaml": "d" * 64},
         ["suite.yaml, SHA-256: found dddddddddddd, expected cccccccccccc (SHA256SUMS)"]),
        (LISTED, {**FILES, "note.txt": "e" * 64},
         ["note.txt: found a file, expected none (SHA256SUMS does not name it)"]),
        (LISTED, {"README.md": "a" * 64, "suite.yaml": "c" * 64},
         ["resnet18/fold-0/record.json: found no file, expected one (SHA256SUMS names it)"]),
        (LISTED + b"\n", FILES, ["SHA256SUMS, line 4: found \\n, expected nothing"]),
        (LISTED.replace(b"\n", b"\r\n"), FILES, ["SHA256SUMS, line 1: found aaaa"]),
        (b"".join(reversed(LISTED.splitlines(keepends=True))), FILES, ["SHA256SUMS, line 1"]),
        (LISTED[:-1], FILES, ["SHA256SUMS, line 3"]),
        (b"", FILES, ["SHA256SUMS, line 1: found nothing, expected aaaa"]),
        (LISTED.upper(), FILES, ["SHA256SUMS, line 1: found AAAA"]),
    ],
)  # fmt: skip
def test_each_difference_is_named(listed: bytes, files: dict[str, str], said: list[str]) -> None:
    found = "\n".join(map(str, checksum_differences(listed, files)))
    assert all(words in found for words in said), found


def _folder(path: Path) -> Path:
    for name in ("README.md", "a b/é.csv", "run/suite.yaml", "run/deep/SHA256SUMS"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    return path


def test_every_file_is_named_and_sha256sum_reads_it(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "published")
    write_checksums(folder)
    names = [line.split("  ")[1] for line in (folder / CHECKSUMS).read_text().splitlines()]
    assert names == ["README.md", "a b/é.csv", "run/deep/SHA256SUMS", "run/suite.yaml"]
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", CHECKSUMS], cwd=folder, check=True)


def test_a_comparison_names_the_checksums_of_its_runs(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "published")
    write_checksums(folder / "run")
    write_checksums(folder, runs=["run"])
    names = [path.relative_to(folder).as_posix() for path in files_below(folder, but=[folder / "run"])]
    assert sorted(names) == ["README.md", "a b/é.csv", "run/SHA256SUMS"]
    (folder / "run/suite.yaml").write_text("other")
    renew_checksums(folder / "run", [folder / "run/suite.yaml"])
    subprocess.run(["sha256sum", "--check", "--quiet", CHECKSUMS], cwd=folder, check=True)
    subprocess.run(["sha256sum", "--check", "--quiet", CHECKSUMS], cwd=folder / "run", check=True)


def test_only_what_was_written_is_renewed(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "published")
    renew_checksums(folder, [folder / "README.md"])
    assert not (folder / CHECKSUMS).exists(), "a folder that is not published gets none"
    write_checksums(folder)
    (folder / "run/suite.yaml").write_text("forged")
    (folder / "README.md").write_text("written anew")
    renew_checksums(folder, [folder / "README.md"])
    done = subprocess.run(["sha256sum", "--check", CHECKSUMS], cwd=folder, capture_output=True, text=True, check=False)
    assert [line for line in done.stdout.splitlines() if "OK" not in line] == ["run/suite.yaml: FAILED"]
    damaged = (folder / CHECKSUMS).read_bytes()[:-1]
    (folder / CHECKSUMS).write_bytes(damaged)
    renew_checksums(folder, [folder / "README.md"])
    assert (folder / CHECKSUMS).read_bytes() == damaged, "damage stays to be seen"


def test_a_name_that_cannot_stand_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "two\nlines").write_text("x")
    with pytest.raises(RecordError, match="expected no line break and no backslash"):
        write_checksums(tmp_path)
