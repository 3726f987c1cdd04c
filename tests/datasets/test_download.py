"""Downloads through kagglehub from a server on this machine; nothing leaves it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from kagglesdk import kaggle_env

from pneumobench.cli.main import main
from pneumobench.datasets import download as downloading
from pneumobench.datasets.cards import DatasetCard, ImageCounts, card_path, read_card
from pneumobench.errors import DataError, SettingsError

PARTS = {"train": (5, 7), "val": (1, 1), "test": (2, 3)}  # images of NORMAL and PNEUMONIA


def archive_content(*, drop: str = "", more: tuple[tuple[str, bytes], ...] = ()) -> bytes:
    """A small archive in the layout of the published one, its junk and its second copy included."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for part, counts in PARTS.items():
            for class_name, count in zip(("NORMAL", "PNEUMONIA"), counts, strict=True):
                for number in range(count):
                    name = f"chest_xray/{part}/{class_name}/film-{number}.jpeg"
                    if name != drop:
                        archive.writestr(name, name)
                        archive.writestr(f"chest_xray/{name}", name)
        archive.writestr("chest_xray/__MACOSX/chest_xray/train/._NORMAL", "x")
        archive.writestr("chest_xray/chest_xray/.DS_Store", "x")
        for name, content in more:
            archive.writestr(name, content)
    return stream.getvalue()


@dataclass
class Kaggle:
    """What the server gives out, and what it was asked for."""

    content: bytes = field(default_factory=archive_content)
    status: int = 200
    broken_after: int | None = None
    md5: str = ""
    announced: int = -1  # bytes that the server says will come; -1 = the truth, 0 = it says nothing
    asked: list[tuple[str, object]] = field(default_factory=list)


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    """Serve the archive where kagglehub looks for it, without credentials."""
    state = Kaggle()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.asked.append((self.path, body))
            self.send_response(state.status)
            self.send_header("Content-Type", "application/zip")
            if state.announced:
                self.send_header("Content-Length", str(state.announced if state.announced > 0 else len(state.content)))
            if state.md5:
                self.send_header("X-Goog-Hash", f"md5={state.md5}")
            self.end_headers()
            self.wfile.write(state.content[: state.broken_after])

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, endpoint)
    for name in ("KAGGLE_API_ENVIRONMENT", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # where kagglehub would look for credentials
    monkeypatch.setattr("kagglehub.config.DEFAULT_KAGGLE_CREDENTIALS_FOLDER", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def small_card() -> DatasetCard:
    counts = {part: ImageCounts(images=sum(both), normal=both[0], pneumonia=both[1]) for part, both in PARTS.items()}
    card = read_card(card_path("kermany"))
    return DatasetCard(**{**card.__dict__, "counts": counts})


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_download_becomes_a_folder_as_published(kaggle: Kaggle, tmp_path: Path) -> None:
    done = downloading.download(small_card(), tmp_path / "sets/kermany")
    assert done.differences == ()
    assert (done.unpacked.files, done.unpacked.junk, done.unpacked.copies) == (19, 2, 19)
    assert left_in(tmp_path / "sets") == ["kermany"]
    assert left_in(tmp_path / "sets/kermany/chest_xray") == ["test", "train", "val"]
    ((path, body),) = kaggle.asked
    assert path == "/v1/datasets.DatasetApiService/DownloadDataset"
    assert body == {
        "ownerSlug": "paultimothymooney", "datasetSlug": "chest-xray-pneumonia", "datasetVersionNumber": 2,
    }  # fmt: skip


def test_an_image_that_is_missing_is_told(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.content = archive_content(drop="chest_xray/train/NORMAL/film-3.jpeg")
    done = downloading.download(small_card(), tmp_path / "kermany")
    assert done.differences == ("train normal: 4 images, 5 are published",)
    assert (tmp_path / "kermany").is_dir(), "what is there is kept, for the user to judge"


def test_the_command_compares_with_the_card_and_fails(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["download", "kermany"]) == 4
    shown = capsys.readouterr().out
    assert "19 files, 0 MiB in data/kermany" in shown
    assert "left out: 2 files of an operating system, 19 second copies" in shown
    assert "not as published: train normal: 5 images, 1341 are published" in shown
    assert "not as published: test pneumonia: 3 images, 390 are published" in shown
    assert main(["download", "kermany"]) == 2
    assert "data/kermany: is there already and is not overwritten" in capsys.readouterr().err


def test_the_command_says_so_where_all_is_as_published(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pneumobench.datasets.cards.read_card", lambda path: small_card())
    assert main(["download", "kermany", "--to", str(tmp_path / "set")]) == 0
    shown = capsys.readouterr().out
    assert "images by part and class: as published" in shown
    assert f"next: pneumobench audit {tmp_path / 'set'}" in shown


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("status", 403, "403 Client Error"),
        ("status", 404, "404 Client Error"),
        ("status", 500, "500 Server Error"),
        ("broken_after", 900, "could not be downloaded from Kaggle"),
        ("announced", 0, "the server announces 0 bytes"),
        ("announced", 2**40, "the server announces 1,099,511,627,776 bytes"),
        ("broken_after", 0, "could not be downloaded from Kaggle"),
        ("content", b"<html>sign in</html>", "damaged or no zip archive"),
        ("md5", base64.b64encode(hashlib.md5(b"other").digest()).decode(), "MD5 checksum"),
        ("content", archive_content(more=(("../evil", b"x"),)), "may lead out of the folder"),
    ],
)
def test_a_download_that_fails_leaves_nothing(
    name: str, value: object, words: str, kaggle: Kaggle, tmp_path: Path
) -> None:
    setattr(kaggle, name, value)
    with pytest.raises(DataError, match=words):
        downloading.download(small_card(), tmp_path / "sets/kermany")
    assert left_in(tmp_path / "sets") == []
    assert not (tmp_path / "evil").exists()


def test_a_server_that_is_not_there_is_told(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, "http://127.0.0.1:1")
    assert main(["download", "kermany", "--to", str(tmp_path / "set")]) == 3
    message = capsys.readouterr().err
    assert "could not be downloaded from Kaggle" in message
    assert "get it by hand as the card says" in message
    assert not (tmp_path / "set").exists()


def test_an_interrupted_download_leaves_nothing(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(handle: str, archive: Path) -> None:
        archive.write_bytes(kaggle.content[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(downloading, "fetch_archive", interrupted)
    assert main(["download", "kermany", "--to", str(tmp_path / "sets/one")]) == 130
    assert left_in(tmp_path / "sets") == []


def test_a_disk_that_is_too_small_is_told_before_the_download(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(SettingsError, match=r"0 MiB are free, the archive takes 64 MiB"):
        downloading.download(small_card(), tmp_path / "sets/kermany")
    assert left_in(tmp_path / "sets") == []


def test_without_kagglehub_the_command_to_install_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub.clients", None)
    assert main(["download", "kermany", "--to", str(tmp_path / "sets/one")]) == 2
    assert 'pip install "pneumobench[data]"' in capsys.readouterr().err
    assert left_in(tmp_path / "sets") == []


def test_a_set_without_an_archive_says_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "rsna"]) == 3
    assert "cannot be downloaded from here; how to get it: accept the rules on Kaggle" in capsys.readouterr().err


def test_an_unreadable_credentials_file_is_no_traceback(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kaggle.json").write_text("{")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    assert main(["download", "kermany", "--to", str(tmp_path / "set")]) == 3
    assert "Invalid Kaggle credentials file" in capsys.readouterr().err
