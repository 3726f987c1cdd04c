"""A run as one file: what goes in, what is computed again, and what a hostile file cannot do."""

from __future__ import annotations

import json
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pneumobench.cli.main import main
from pneumobench.errors import RecordError, SettingsError
from pneumobench.records import submissions
from pneumobench.records.submissions import unpack_submission
from pneumobench.runs.publishing import publish_run
from pneumobench.runs.submitting import SUBMISSION, submit
from tests.records.tampering import contents

Members = dict[str, bytes]


@pytest.fixture(scope="module")
def submitted(copied: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke run as one file."""
    return submit(copied / "runs/smoke", tmp_path_factory.mktemp("submitted") / "smoke.zip").file


def _members(submitted: Path) -> Members:
    with zipfile.ZipFile(submitted) as file:
        return {name: file.read(name) for name in file.namelist()}


def _written(path: Path, members: Members) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def test_the_same_run_gives_the_same_file_of_its_published_copy(submitted: Path, copied: Path, tmp_path: Path) -> None:
    again = submit(copied / "runs/smoke", tmp_path / "again.zip").file
    assert again.read_bytes() == submitted.read_bytes()
    publish_run(copied / "runs/smoke", tmp_path / "smoke")
    members = _members(submitted)
    said = json.loads(members.pop(SUBMISSION))
    assert {name.removeprefix("smoke/"): data for name, data in members.items()} == contents(tmp_path / "smoke")
    assert {row["architecture"] for row in said["rows"]} == {"test_resnet", "test_vit", "ten_lines"}
    assert said["level"] == "self-reported"
    assert said["leaks"]["patients"] == {"number": 0}
    assert str(copied).encode() not in b"".join(members.values())


def test_what_is_in_it_is_computed_again_and_nothing_of_it_is_executed(
    submitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ten.py", "broken.py"):  # the plugins that its suite names, as a stranger may have placed them here
        (tmp_path / name).write_text("from pathlib import Path\nPath('executed').touch()\n")
    monkeypatch.chdir(tmp_path)
    assert main(["verify", str(submitted), "--to", "accepted", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["level"] == "recomputed"
    assert answer["differences"] == []
    assert not Path("executed").exists()
    assert {f"smoke/{name}": data for name, data in contents(Path("accepted")).items()} == {
        name: data for name, data in _members(submitted).items() if name != SUBMISSION
    }
    assert main(["verify", "accepted"]) == 0
    assert main(["verify", str(submitted), "--to", "accepted"]) == 2
    assert "is there already" in " ".join(capsys.readouterr().err.split())


def _replaced(old: bytes, new: bytes, name: str = SUBMISSION) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        assert old in members[name]
        members[name] = members[name].replace(old, new, 1)

    return change


FORGED: dict[str, tuple[Callable[[Members], object], str]] = {
    "a row": (_replaced(b'"auc": 0.', b'"auc": 0.9'), SUBMISSION),
    "the certificate": (_replaced(b'"contents": 0', b'"contents": 1'), SUBMISSION),
    "no submission": (lambda members: members.pop(SUBMISSION), "submission.json: found no file"),
    "a file beside it": (lambda members: members.update({"more.json": b"{}"}), "more.json: found a file"),
    "a table": (_replaced(b"0.", b"1.", "smoke/leaderboard/leaderboard.csv"), "leaderboard/leaderboard.csv"),
    "a file in it": (lambda members: members.update({"smoke/more.csv": b""}), "more.csv: found a file"),
    "a record": (lambda members: members.update({"smoke/suite.yaml": b"["}), "suite.yaml"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_file_is_found_and_not_accepted(
    name: str, submitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, said = FORGED[name]
    members = _members(submitted)
    change(members)
    forged = _written(tmp_path / "forged.zip", members)
    assert main(["verify", str(forged), "--to", str(tmp_path / "to")]) == 5
    told = capsys.readouterr().out
    assert said in told
    assert "level: self-reported" in told
    assert not (tmp_path / "to").exists()


def _with(name: str, data: bytes = b"{}", mode: int = stat.S_IFREG | 0o644) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        about = zipfile.ZipInfo(name)
        about.external_attr = mode << 16
        with zipfile.ZipFile(path, "w") as file:
            file.writestr(about, data)

    return write


def _twice(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in ("1", "2"):
            file.writestr("run/suite.yaml", data)


def _bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("run/index.csv", bytes(submissions.UNPACKED_MAX + 1))


def _lying_bomb(path: Path) -> None:
    """Say that the file is small: the size that counts is that of what comes out."""
    _bomb(path)
    size = (submissions.UNPACKED_MAX + 1).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (10).to_bytes(4, "little")))


def _many(path: Path) -> None:
    _written(path, {f"run/{number}.json": b"" for number in range(submissions.MEMBERS_MAX + 1)})


def _cut(path: Path) -> None:
    _written(path, {"run/suite.yaml": bytes(5000)})
    path.write_bytes(path.read_bytes()[:-30])


def _damaged(path: Path) -> None:
    _written(path, {"run/suite.yaml": b"abcdefgh" * 99})
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(bytes(data))


def _encrypted(path: Path) -> None:
    _written(path, {"run/suite.yaml": b"x"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "above": (_with("../x.json"), "a member '../x.json'"),
    "far above": (_with("run/../../../x.json"), "a member"),
    "absolute": (_with("/tmp/x.json"), "a member '/tmp/x.json'"),
    "a drive": (_with("C:\\x.json"), "a member"),
    "a backslash": (_with("run\\..\\x.json"), "a member"),
    "a link": (_with("run/x.json", b"/etc/passwd", stat.S_IFLNK | 0o777), "a member 'run/x.json'"),
    "a device": (_with("run/x.json", b"", stat.S_IFCHR | 0o600), "a member 'run/x.json'"),
    "a folder": (_with("run/", b""), "a member 'run/'"),
    "code": (_with("run/x.py"), "a file 'run/x.py'"),
    "a picture": (_with("run/x.png"), "a file 'run/x.png'"),
    "weights": (_with("run/x.safetensors"), "a file 'run/x.safetensors'"),
    "a hidden file": (_with("run/.x.json"), "a member 'run/.x.json'"),
    "an escape": (_with("run/\x1b[2J.json"), "a member 'run/\\x1b[2J.json'"),
    "a long name": (_with("run/" + "x" * 200 + ".json"), "a member"),
    "deep": (_with("/".join("abcdefghij") + ".json"), "a member"),
    "twice": (_twice, "two files of one name"),
    "a file and a folder": (
        lambda path: _written(path, {"run/a.json": b"", "run/a.json/b.json": b""}), "files that cannot lie"
    ),
    "a bomb": (_bomb, "more than 200,000,000 bytes in it"),
    "a bomb that lies": (_lying_bomb, "found "),
    "many": (_many, "5,001 files"),
    "cut": (_cut, "no whole ZIP file"),
    "damaged": (_damaged, "no whole ZIP file"),
    "encrypted": (_encrypted, "a member 'run/suite.yaml'"),
    "no ZIP": (lambda path: path.write_bytes(b"<html>"), "no whole ZIP file"),
    "empty": (lambda path: path.write_bytes(b""), "no whole ZIP file"),
    "nothing in it": (lambda path: _written(path, {}), "0 folders"),
    "two runs": (lambda path: _written(path, {"a/x.json": b"", "b/x.json": b""}), "2 folders"),
    "large": (lambda path: path.write_bytes(bytes(submissions.BYTES_MAX + 1)), "5,000,001 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_and_writes_nothing_elsewhere(name: str, tmp_path: Path) -> None:
    make, said = HOSTILE[name]
    make(tmp_path / "hostile.zip")
    to = tmp_path / "deep" / "to"
    to.mkdir(parents=True)
    with pytest.raises(RecordError) as refused:
        unpack_submission(tmp_path / "hostile.zip", to)
    assert said in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert {path.name for path in tmp_path.iterdir()} == {"hostile.zip", "deep"}
    assert {path.name for path in to.parent.iterdir()} == {"to"}


def test_a_folder_without_a_run_is_refused_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _written(tmp_path / "x.zip", {"run/x.json": b"{}"})
    assert main(["verify", str(tmp_path / "x.zip")]) != 0
    assert "found no run" in capsys.readouterr().err
    assert main(["verify", str(tmp_path), "--to", "x"]) == 2
    assert "is for a file that `pneumobench submit` wrote" in " ".join(capsys.readouterr().err.split())


def test_what_cannot_be_submitted_is_refused_and_leaves_nothing(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied / "runs/smoke"
    with pytest.raises(SettingsError, match=r"ends in \.zip"):
        submit(run, tmp_path / "x.tar")
    monkeypatch.setattr(submissions, "BYTES_MAX", 1000)
    with pytest.raises(SettingsError, match="expected at most 1,000"):
        submit(run, tmp_path / "x.zip")
    assert list(tmp_path.iterdir()) == []
