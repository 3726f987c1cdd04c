from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pneumobench.datasets.archive import ArchiveLimits, Unpacked, require_absent, staged_beside, unpack
from pneumobench.errors import DataError, SettingsError

SMALL = ArchiveLimits(files=6, file_bytes=3000, total_bytes=5000, ratio=10, ratio_from_bytes=500)


def member(name: str, *, mode: int = 0, flags: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = name  # as it is, for `ZipInfo(name)` would tidy it
    info.external_attr = mode << 16
    info.flag_bits |= flags
    return info


def archive_of(folder: Path, *members: tuple[zipfile.ZipInfo | str, bytes], packed: bool = False) -> Path:
    path = folder / "archive.zip"
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for info, content in members:
            archive.writestr(info, content, compress_type=kind)
    return path


def everything_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_good_archive_is_unpacked_with_its_bytes(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, ("a/", b""), ("a/one.jpeg", b"1" * 700), ("a/b/two.jpeg", b"22"))
    assert unpack(archive, tmp_path / "out") == Unpacked(files=2, size_bytes=702, junk=0, copies=0)
    assert everything_in(tmp_path / "out") == ["a", "a/b", "a/b/two.jpeg", "a/one.jpeg"]
    assert (tmp_path / "out/a/one.jpeg").read_bytes() == b"1" * 700
    assert stat.S_IMODE((tmp_path / "out/a/one.jpeg").stat().st_mode) & 0o111 == 0, "nothing becomes executable"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (member("/etc/evil"), "may lead out of the folder"),
        (member("../evil"), "may lead out of the folder"),
        (member("a/../../evil"), "may lead out of the folder"),
        (member("a//evil"), "may lead out of the folder"),
        (member("a\\..\\evil"), "may lead out of the folder"),
        (member("C:evil"), "may lead out of the folder"),
        (member("evil\n.png"), "control characters"),
        (member("x" * 201), "absurd length"),
        (member("é" * 150), "absurd length"),
        (member("link", mode=stat.S_IFLNK | 0o777), "is a link"),
        (member("pipe", mode=stat.S_IFIFO | 0o644), "is neither a file nor a folder"),
        (member("device", mode=stat.S_IFBLK | 0o644), "is neither a file nor a folder"),
    ],
    ids=lambda value: repr(value.filename[:12]) if isinstance(value, zipfile.ZipInfo) else None,
)
def test_a_malicious_member_is_refused_before_anything_is_written(
    bad: zipfile.ZipInfo, reason: str, tmp_path: Path
) -> None:
    place = tmp_path / "deep/place"
    place.mkdir(parents=True)
    archive = archive_of(tmp_path, ("good.jpeg", b"1"), (bad, b"/etc/passwd"))
    before = everything_in(tmp_path)
    with pytest.raises(DataError, match=f"archive refused: member .*{reason}.*nothing was unpacked"):
        unpack(archive, place / "out")
    assert everything_in(tmp_path) == before


def test_a_zero_byte_in_a_name_is_refused(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, ("evilX.png", b"1"))
    archive.write_bytes(archive.read_bytes().replace(b"evilX.png", b"evil\0.png"))
    with pytest.raises(DataError, match="control characters"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("second", ["../../escaped.txt", "/escaped.txt", "other.png"])
def test_a_second_name_of_a_member_is_refused(second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 3.12 on, zipfile takes `filename` from the Unicode path of an extra field, and checks it against nothing."""
    archive = archive_of(tmp_path, ("film.png", b"1"))
    plain = zipfile.ZipFile.infolist

    def renamed(self: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
        infos = plain(self)
        infos[0].filename = second
        return infos

    monkeypatch.setattr(zipfile.ZipFile, "infolist", renamed)
    with pytest.raises(DataError, match=r"member 'film\.png' is called .* as well; nothing was unpacked"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_unusual_packing_is_refused(kind: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive.zip", "w", kind) as archive:
        archive.writestr("film.png", b"1" * 100)
    with pytest.raises(DataError, match="is packed in an unusual way"):
        unpack(tmp_path / "archive.zip", tmp_path / "out")


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, ("film.jpeg", b"1"))
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 0x1  # the flag bits of the central directory
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"member 'film\.jpeg' is encrypted"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize(
    ("members", "packed", "reason"),
    [
        ([(f"{number}.png", b"1") for number in range(7)], False, "7 members, at most 6 are unpacked"),
        ([("large.png", b"1" * 3001)], False, "has 3,001 bytes unpacked, at most 3,000"),
        ([("a.png", b"1" * 2900), ("b.png", b"1" * 2900)], False, "more than .* GiB unpacked"),
        ([("bomb.png", b"0" * 2900)], True, "shrank more than 10 times, as no image does"),
        ([("a.png", b"1"), ("A.PNG", b"2")], False, r"'A\.PNG' is named twice"),
        ([("a", b"1"), ("a/b.png", b"2")], False, r"'a/b\.png' lies below a file"),
    ],
)
def test_limits_hold_before_anything_is_written(
    members: list[tuple[str, bytes]], packed: bool, reason: str, tmp_path: Path
) -> None:
    archive = archive_of(tmp_path, *members, packed=packed)
    with pytest.raises(DataError, match=f"archive refused: .*{reason}"):
        unpack(archive, tmp_path / "out", limits=SMALL)
    assert not (tmp_path / "out").exists()


def test_a_member_that_lies_about_its_size_is_stopped_there(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, ("film.png", b"0" * 100_000), packed=True)
    content = bytearray(archive.read_bytes())
    place = content.index(b"PK\x01\x02") + 24  # unpacked size in the central directory
    content[place : place + 4] = (1000).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(DataError, match="damaged or no zip archive"):
        unpack(archive, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) <= 1000


@pytest.mark.parametrize(
    "damage",
    [lambda content: b"<html>not found</html>", lambda content: content[:-30], lambda content: b""],
    ids=["a web page", "truncated", "empty"],
)
def test_what_is_no_whole_archive_is_refused(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    archive = archive_of(tmp_path, ("film.jpeg", b"12345" * 50))
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(DataError, match=r"archive\.zip: damaged or no zip archive .* download it again"):
        unpack(archive, tmp_path / "out")


def test_changed_bytes_are_found_by_their_checksum(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, ("film.jpeg", b"12345" * 50))
    archive.write_bytes(archive.read_bytes().replace(b"12345", b"12346", 1))
    with pytest.raises(DataError, match="damaged"):
        unpack(archive, tmp_path / "out")


def test_junk_and_second_copies_are_left_out_and_counted(tmp_path: Path) -> None:
    archive = archive_of(
        tmp_path,
        ("set/train/a.jpeg", b"a"),
        ("set/.DS_Store", b"x"),
        ("set/train/._a.jpeg", b"x"),
        ("set/__MACOSX/train/a.jpeg", b"x"),
        ("set/set/train/a.jpeg", b"a"),
        ("set/set/train/b.jpeg", b"only here"),
        ("set/set/.DS_Store", b"x"),
    )
    assert unpack(archive, tmp_path / "out") == Unpacked(files=2, size_bytes=10, junk=4, copies=1)
    files = [path for path in everything_in(tmp_path / "out") if path.endswith("jpeg")]
    assert files == ["set/set/train/b.jpeg", "set/train/a.jpeg"], "what is not a copy is kept"


def test_a_file_that_differs_from_its_namesake_is_no_copy(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, ("set/a.jpeg", b"a"), ("set/set/a.jpeg", b"b"))
    assert unpack(archive, tmp_path / "out").copies == 0


def test_a_full_disk_is_known_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archive_of(tmp_path, ("film.jpeg", b"1" * 2000))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1999))
    with pytest.raises(SettingsError, match=r"0 MiB are free, the unpacked data set takes 0 MiB; free some space"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_stage_goes_away_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), staged_beside(tmp_path / "sets/one") as stage:  # noqa: PT012
        assert stage.parent == tmp_path / "sets", "on the same disk as the target, so that a rename is enough"
        (stage / "half").write_text("x")
        raise KeyboardInterrupt
    assert everything_in(tmp_path) == ["sets"]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    require_absent(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    require_absent(tmp_path / "empty")
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    for taken in (tmp_path, tmp_path / "link", tmp_path / "file"):
        with pytest.raises(SettingsError, match="is there already and is not overwritten; remove it or choose another"):
            require_absent(taken)
