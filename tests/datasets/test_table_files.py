"""Tables of images, plain or compressed: the same bytes, one of the two, and nothing that unfolds without end."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumobench.datasets import table_files
from pneumobench.datasets.table_files import (
    TABLE_BYTES_MAX,
    compressed_bytes,
    table_bytes,
    table_path,
    write_table_text,
)
from pneumobench.errors import RecordError
from pneumobench.files import sha256_of_text

MIB = 2**20
TEXT = "image_id,label\n" + "".join(f"train/{number}.png,{number % 2}\n" for number in range(500))


def test_the_same_text_gives_the_same_bytes_without_time_and_name(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv.gz", tmp_path / "b.csv.gz"
    assert write_table_text(first, TEXT) == write_table_text(second, TEXT) == sha256_of_text(TEXT)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[:10] == bytes.fromhex("1f8b08000000000002ff"), "flags 0: no name; time 0"
    assert first.stat().st_size < len(TEXT) / 3


@given(st.binary(max_size=5000))
def test_every_reader_of_gzip_reads_it(text: bytes) -> None:
    assert gzip.decompress(compressed_bytes(text)) == text


@given(st.binary(max_size=5000), st.integers(1, 4000))
def test_it_is_read_as_it_was_written_whatever_is_unfolded_at_a_time(text: bytes, step: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_files, "UNFOLDED_BYTES", step)
        patch.setattr(Path, "read_bytes", lambda _: compressed_bytes(text))
        assert table_bytes(Path("predictions.csv.gz")) == text


def test_a_table_is_found_plain_or_compressed_and_written_as_it_lies(tmp_path: Path) -> None:
    plain, compressed = tmp_path / "predictions.csv", tmp_path / "predictions.csv.gz"
    assert table_path(plain) == plain, "where none is yet"
    write_table_text(compressed, TEXT)
    assert table_path(plain) == compressed
    write_table_text(table_path(plain), "other\n")
    assert not plain.exists()
    assert table_bytes(compressed) == b"other\n"
    plain.write_text(TEXT)
    with pytest.raises(RecordError, match=r"found predictions\.csv\.gz beside it, expected one of the two"):
        table_path(plain)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"image_id,label\n", "found no compressed file"),
        (b"", "found a file that breaks off"),
        (compressed_bytes(TEXT.encode())[:-1], "found a file that breaks off"),
        (compressed_bytes(TEXT.encode())[:200], "found a file that breaks off"),
        (compressed_bytes(TEXT.encode())[:-8] + bytes(8), "found no compressed file .*incorrect data check"),
        (compressed_bytes(TEXT.encode()) + b"\n", "found 1 bytes behind its end"),
        (2 * compressed_bytes(TEXT.encode()), r"found [\d,]+ bytes behind its end"),
    ],
)
def test_what_is_no_whole_compressed_file_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "reliance.csv.gz"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=rf"reliance\.csv\.gz: {words}"):
        table_bytes(path)


def test_a_file_that_unfolds_to_gigabytes_is_refused_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 GiB of zeros in 4 MB; its own words on its size are wrong and not believed."""
    folding, zeros = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS), bytes(MIB)
    part = b"".join((folding.compress(zeros), folding.flush(zlib.Z_FULL_FLUSH)))
    again = b"".join((folding.compress(zeros), folding.flush(zlib.Z_FULL_FLUSH)))
    path = tmp_path / "predictions.csv.gz"
    path.write_bytes(part + 4096 * again + b"\x03\x00" + bytes(8))
    assert path.stat().st_size < 5 * MIB
    monkeypatch.setattr(table_files, "TABLE_BYTES_MAX", 8 * MIB)
    tracemalloc.start()
    with pytest.raises(RecordError, match=r"predictions\.csv\.gz: found more than 8,388,608 bytes in it"):
        table_bytes(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * MIB
    assert TABLE_BYTES_MAX == 256 * MIB
