"""A node on loopback: images come, results go, duplicates and what is no image are told by their status."""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import (
    ComprehensiveSRStorage,
    ImplicitVRLittleEndian,
    ParametricMapStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from pneumobench.errors import SettingsError
from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.dicom import delivery, reception
from pneumobench.prediction.dicom.delivery import Destination, UnreachableError, checked_title, send
from pneumobench.prediction.dicom.results import results_about
from pneumobench.prediction.dicom.spool import Entry, Spool
from tests.prediction.dicom.conftest import film
from tests.prediction.dicom.nodes import Archive, read, running, store, until
from tests.radiographs.dicom_files import CANARY, written

STORESCU, ECHOSCU = shutil.which("storescu"), shutil.which("echoscu")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_WAIT_S", 0.1)
    monkeypatch.setattr(delivery, "LONGEST_WAIT_S", 0.2)


def expected_results(predictor: AskedBundle, path: Path) -> dict[str, pydicom.Dataset]:
    """Return what `predict --dicom` gives for an image, by UID."""
    (said,) = predictor.predict(path)
    found = [
        pydicom.dcmread(io.BytesIO(one)) for one in results_about(predictor, path, path.read_bytes(), said).values()
    ]
    return {str(one.SOPInstanceUID): one for one in found}


def test_images_come_and_their_results_go(predictor: AskedBundle, films: list[Path], tmp_path: Path) -> None:
    expected = expected_results(predictor, films[0])
    with Archive().open() as archive, running(predictor, tmp_path / "queue", archive.port) as node:
        assert store(read(films[0]), node.port).Status == 0
        until(lambda: archive.uids == set(expected), "all results")
        until(lambda: node.says("delivered"), "it is told")
        assert store(read(films[0]), node.port).Status == 0, "a duplicate is answered with success"
        until(lambda: node.says("again: it is not asked about a second time"), "it is told")
    assert len(archive.came) == len(expected) == 3
    for uid, content in archive.came:
        assert pydicom.dcmread(io.BytesIO(content)) == expected[uid], "what predict writes"
    assert not [line for line in node.told if CANARY in line]
    assert (tmp_path / "queue/done.txt").read_text().count("\n") == 1


def broken(dataset: pydicom.FileDataset, **tags: Any) -> pydicom.FileDataset:
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def test_what_is_no_image_is_refused_with_its_status(
    predictor: AskedBundle, grays: list[NDArray[Any]], films: list[Path], tmp_path: Path
) -> None:
    cases = [
        (broken(film(grays[0], 50), PixelData=b"\0" * 100), 0xC000, "truncated"),
        (broken(film(grays[0], 51), PhotometricInterpretation="RGB", SamplesPerPixel=3), 0xC000, "colour"),
        (broken(film(grays[0], 52), StudyInstanceUID=None), 0xA900, "no valid StudyInstanceUID"),
        (broken(film(grays[0], 53), ManufacturerModelName="pneumobench"), 0xC000, "is no radiograph"),
        (film(grays[0] * 0, 54), 0xC000, ""),
        (broken(film(grays[0], 55), NumberOfFrames=2), 0xC000, "2 frames"),
        (film(grays[0], 56, Modality="CT", SOPClassUID=SecondaryCaptureImageStorage), 0xC002, "none of radiography"),
        (film(grays[0], 57, BodyPartExamined="FOOT"), 0xC002, "BodyPartExamined is not the chest"),
    ]
    with Archive().open() as archive, running(predictor, tmp_path / "queue", archive.port) as node:
        for dataset, status, words in cases:
            answer = store(dataset, node.port)
            assert answer.Status == status, words
            assert words in answer.ErrorComment
        assert store(film(grays[0], 60), node.port).Status == 0
        answer = store(film(grays[0], 60, WindowWidth=100), node.port)
        assert (answer.Status, "same SOP instance UID" in answer.ErrorComment) == (0xC001, True)
        with pytest.raises(ValueError, match="No presentation context"):
            store(broken(read(films[0]), SOPClassUID=ComprehensiveSRStorage), node.port)
    assert not [line for line in node.told if CANARY in line]


def test_a_radiograph_is_the_same_however_it_is_encoded(
    predictor: AskedBundle, grays: list[NDArray[Any]], tmp_path: Path
) -> None:
    """Archives compress without loss what they pass on: that is no other image under a UID that is taken."""
    packed = film(grays[0], 70)
    packed.compress(RLELossless, generate_instance_uid=False)
    plain = film(grays[0], 70, InstitutionName="moved")
    plain.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    with Archive().open() as archive, running(predictor, tmp_path / "queue", archive.port, kinds=("report",)) as node:
        assert store(read(written(tmp_path, packed)), node.port).Status == 0
        until(lambda: len(archive.uids) == 1, "a report")
        assert store(read(written(tmp_path, plain)), node.port).Status == 0
        assert node.says("again: it is not asked about a second time")
        assert store(film(grays[1], 70), node.port).Status == 0xC001
        assert store(film(grays[0], 70, PatientID=f"{CANARY}-OTHER"), node.port).Status == 0xC001
    assert len(archive.came) == 1


def test_a_full_disk_is_answered_with_out_of_resources(
    predictor: AskedBundle, films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pneumobench.errors import NoRoomError

    def full(*_: object) -> None:
        raise NoRoomError("no room") from OSError(28, "No space left on device")

    with running(predictor, tmp_path / "queue", 1, kinds=("report",)) as node:
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "keep", full)
            answer = store(read(films[0]), node.port)
        assert answer.Status == 0xA700
        assert "No space left on device" in answer.ErrorComment
        assert store(read(films[0]), node.port).Status == 0, "later it is taken"


def test_results_that_find_no_room_are_made_again(
    predictor: AskedBundle, films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pneumobench.errors import NoRoomError
    from pneumobench.prediction.dicom import node as module

    plain, turns = Spool.answered, iter([True])

    def full_once(*arguments: Any) -> None:
        if next(turns, False):
            raise NoRoomError("no room") from OSError(28, "No space left on device")
        plain(*arguments)

    monkeypatch.setattr(module, "AGAIN_AFTER_S", 0.1)
    monkeypatch.setattr(Spool, "answered", full_once)
    with Archive().open() as archive, running(predictor, tmp_path / "queue", archive.port, kinds=("report",)) as node:
        assert store(read(films[0]), node.port).Status == 0
        until(lambda: len(archive.uids) == 1, "a report")
    assert node.says("cannot be kept: No space left on device; the image is, and is asked about again")


def test_who_may_send_is_held(predictor: AskedBundle, films: list[Path], tmp_path: Path) -> None:
    with running(predictor, tmp_path / "queue", 1, callers=("MODALITY",)) as node:
        with pytest.raises(ConnectionRefusedError):
            store(read(films[0]), node.port, calling="SOMEBODY")
        assert store(read(films[0]), node.port, calling="MODALITY").Status == 0


def test_a_message_longer_than_an_image_ends_the_connection(
    predictor: AskedBundle, films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "MAX_FILE_BYTES", 50_000)
    with running(predictor, tmp_path / "queue", 1) as node:
        assert "Status" not in store(read(films[0]), node.port)
        monkeypatch.undo()
        with socket.create_connection(("127.0.0.1", node.port)) as line:
            line.sendall(b"\x01\x00\xff\xff\xff\xff" + b"\0" * 1000)  # a piece that says it has 4 GiB
            line.settimeout(20)
            assert line.recv(1) == b"", "it is not waited for"
        assert store(read(films[0]), node.port).Status == 0


def test_results_wait_for_a_node_that_is_away_refuses_or_takes_not_all(
    predictor: AskedBundle, films: list[Path], tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    archive = Archive()
    archive.refuses = 0xA700
    with running(predictor, tmp_path / "queue", port) as node:
        assert store(read(films[0]), node.port).Status == 0
        until(lambda: node.says("does not answer; next try"), "nobody is there")
        with archive.open(port):
            until(lambda: node.says("with status 0xA700"), "it is full")
        archive.refuses = 0
        with archive.open(port, without=(ParametricMapStorage,)):
            until(lambda: node.says("takes no heat-map; leave it out with --results"), "it takes no map")
            assert len(archive.uids) == 2
        with archive.open(port):
            until(lambda: len(archive.uids) == 3, "the rest")
            until(lambda: node.says("delivered the results"), "all")
    assert len(archive.came) == 3, "each once"


@pytest.mark.parametrize("status", [0xB000, 0x0111])
def test_results_that_the_other_side_has_are_not_sent_for_ever(
    status: int, predictor: AskedBundle, films: list[Path], tmp_path: Path
) -> None:
    """Stored with a remark, or a duplicate: a kill came between its answer and our note of it."""
    archive = Archive()
    archive.refuses = status
    with archive.open(), running(predictor, tmp_path / "queue", archive.port, kinds=("report",)) as node:
        assert store(read(films[0]), node.port).Status == 0
        until(lambda: node.says("delivered the results"), "the end of it")


def test_results_that_cannot_be_sent_hold_no_others_up(
    predictor: AskedBundle, films: list[Path], tmp_path: Path
) -> None:
    queue = tmp_path / "queue"
    damaged = Entry.of("1.2.3", "a" * 64)
    Spool(queue).answered(damaged, {"report": f"{CANARY} is no DICOM".encode()})
    with Archive().open() as archive, running(predictor, queue, archive.port, kinds=("report",)) as node:
        until(
            lambda: node.says(f"results of {damaged.short} cannot be sent (InvalidDicomError); next try"), "it is told"
        )
        assert store(read(films[0]), node.port).Status == 0
        until(lambda: len(archive.uids) == 1, "the others")
    assert Spool(queue).outgoing() == [damaged], "it is kept"
    assert not [line for line in node.told if CANARY in line]


def test_a_name_that_is_no_machine_is_waited_for(films: list[Path]) -> None:
    with pytest.raises(UnreachableError, match=r"PACS at pacs\.invalid:104: "):
        send([films[0]], Destination.of("pacs.invalid:104", "PACS"), "HERE", lambda _: None)


def test_an_image_that_fails_is_kept_and_holds_nothing_up(
    predictor: AskedBundle, films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pneumobench.prediction.dicom import node as module

    plain, turns = results_about, iter([True, False])

    def fails_once(*arguments: Any) -> Any:
        if next(turns, False):
            raise RuntimeError(CANARY)
        return plain(*arguments)

    monkeypatch.setattr(module, "results_about", fails_once)
    with Archive().open() as archive, running(predictor, tmp_path / "queue", archive.port, kinds=("report",)) as node:
        assert store(read(films[0]), node.port).Status == 0
        until(lambda: node.says("cannot be asked about (RuntimeError)"), "it is told")
        assert store(read(films[1]), node.port).Status == 0
        until(lambda: len(archive.uids) == 1, "the other's results")
        assert len(list((tmp_path / "queue/failed").iterdir())) == 1
        assert store(read(films[0]), node.port).Status == 0, "sent again, it is tried again"
        until(lambda: len(archive.uids) == 2, "its results")
    assert not [line for line in node.told if CANARY in line]


@pytest.mark.skipif(STORESCU is None or ECHOSCU is None, reason="dcmtk is not installed")
def test_dcmtk_sends(predictor: AskedBundle, films: list[Path], tmp_path: Path) -> None:
    assert STORESCU is not None
    assert ECHOSCU is not None
    with Archive().open() as archive, running(predictor, tmp_path / "queue", archive.port, kinds=("report",)) as node:
        address = ["127.0.0.1", str(node.port)]
        subprocess.run([ECHOSCU, "-aec", "PNEUMOBENCH", *address], check=True, timeout=60)
        subprocess.run([STORESCU, "-aec", "PNEUMOBENCH", *address, *map(str, films[:2])], check=True, timeout=60)
        until(lambda: len(archive.uids) == 2, "all results")


def test_an_address_in_use_is_told(predictor: AskedBundle, tmp_path: Path) -> None:
    from pneumobench.prediction.dicom.node import Listening, run_node

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        here = Listening(host="127.0.0.1", port=taken.getsockname()[1], title="A")
        with pytest.raises(SettingsError, match=r"cannot listen on 127\.0\.0\.1:\d+: .*Choose another --port"):
            run_node(
                predictor, Spool(tmp_path), here, Destination.of("localhost:104", "B"), stop=threading.Event(),
                tell=lambda _: None,
            )  # fmt: skip


@pytest.mark.parametrize("text", ["pacs", "pacs:", ":104", "pacs:0", "pacs:99999", "pacs:x"])
def test_a_wrong_address_is_told(text: str) -> None:
    with pytest.raises(SettingsError, match=f"--to {text}: expected HOST:PORT"):
        Destination.of(text, "PACS")


@pytest.mark.parametrize("title", ["", "  ", "LONGER THAN SIXTEEN", "a\\b", "ä", "a\n"])
def test_a_wrong_title_is_told(title: str) -> None:
    with pytest.raises(SettingsError, match=r"--called .*: expected an AE title"):
        checked_title(title, "--called")
    assert checked_title("PACS", "--called") == "PACS"
