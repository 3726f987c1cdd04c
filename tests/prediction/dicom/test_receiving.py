"""`pneumobench receive` as a process: killed at any moment it loses nothing, and no name of a patient leaves DICOM."""

from __future__ import annotations

import ctypes
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from pneumobench.cli.main import main
from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import FOR_RESEARCH
from pneumobench.prediction.dicom.identity import KINDS, Kind, result_uid
from pneumobench.records import locks
from pneumobench.records.locks import claim_folder
from tests.end_to_end.commands import Command, pneumobench, start
from tests.prediction.dicom.conftest import film
from tests.prediction.dicom.nodes import Archive, read, running, store, until
from tests.radiographs.dicom_files import CANARY, written

ORTHANC = shutil.which("Orthanc")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def receiving(bundle: Path, folder: Path, port: int, to: int, *more: str) -> Command:
    """Start the command, and return when it listens."""
    words: tuple[str | Path, ...] = (
        "receive",
        bundle,
        "--to",
        f"127.0.0.1:{to}",
        "--port",
        str(port),
        "--queue",
        "queue",
        *more,
    )
    node = start(*words, cwd=folder)
    until(lambda: answers(port) or node.poll() is not None, "a node")
    assert node.poll() is None, node.communicate()
    return node


def answers(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def expected_uids(predictor: AskedBundle, images: list[Path], kinds: tuple[Kind, ...] = KINDS) -> set[str]:
    return {result_uid(predictor.opened, kind, str(read(path).SOPInstanceUID)) for path in images for kind in kinds}


def canaries(folder: Path) -> list[str]:
    """Return the files whose bytes or names hold a canary."""
    found = []
    for path in folder.rglob("*"):
        if CANARY in str(path.relative_to(folder)) or (path.is_file() and CANARY.encode() in path.read_bytes()):
            found.append(str(path.relative_to(folder)))
    return found


def test_killed_between_answer_and_results_it_loses_nothing(
    predictor: AskedBundle, bundle: Path, films: list[Path], tmp_path: Path
) -> None:
    port, to, archive = free_port(), free_port(), Archive()
    first = receiving(bundle, tmp_path, port, to, "--results", "report")
    for path in films[:2]:
        assert store(read(path), port).Status == 0
    first.kill()  # the answer was given; no result is out
    printed = "".join(first.communicate())
    assert first.returncode == -signal.SIGKILL
    with archive.open(to):
        second = receiving(bundle, tmp_path, port, to, "--results", "report")
        until(lambda: archive.uids == expected_uids(predictor, films[:2], ("report",)), "all results")
        until(lambda: (tmp_path / "queue/done.txt").read_text().count("\n") == 2, "the end of the queue")
        assert store(read(films[0]), port).Status == 0, "still known"
        second.send_signal(signal.SIGTERM)
        output, errors = second.communicate()
    assert second.returncode == 143
    assert "asked to end" in errors
    assert FOR_RESEARCH in output
    assert len(archive.came) == len(archive.uids) == 2, "each once"
    assert CANARY not in printed + output + errors
    assert canaries(tmp_path) == []


def test_a_node_that_others_can_reach_is_warned_of(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "MOMENT_S", 0.1)
    words = ["receive", str(bundle), "--to", "127.0.0.1:1", "--queue", str(tmp_path / "queue"), "--host", "192.0.2.7"]
    words += ["--results", "report"]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert "warning: --host 192.0.2.7: other machines can reach this node, and DICOM knows no password: anybody" in told
    assert "cannot listen on 192.0.2.7:11112" in told
    assert main([*words, "--caller", "CT1"]) == 2
    assert "CT1 may call, by a name that anybody can give" in capsys.readouterr().err
    with claim_folder(tmp_path / "queue"):
        assert main(words) == 2
    assert "queue: another process holds it" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments_it_loses_nothing(
    seed: int, predictor: AskedBundle, bundle: Path, grays: list[NDArray[Any]], tmp_path: Path
) -> None:
    """Twenty kills, and an archive that is full half of the time.

    Every image that was answered with success has all its results at the end, each the same.
    """
    chance = random.Random(seed)
    port, to, archive = free_port(), free_port(), Archive()
    images = [written(tmp_path, film(grays[n % 6], 100 + n), f"{n}.dcm") for n in range(20)]
    safe: list[Path] = []
    with archive.open(to):
        for path in images:
            archive.refuses = chance.choice((0, 0xA700))
            node = receiving(bundle, tmp_path, port, to)
            try:
                if store(read(path), port).get("Status") == 0:
                    safe.append(path)
            except ConnectionRefusedError:
                pass
            time.sleep(chance.uniform(0, 3))
            node.kill()
            node.communicate()
        assert len(safe) >= 18
        archive.refuses = 0
        last = receiving(bundle, tmp_path, port, to)
        until(lambda: expected_uids(predictor, safe) <= archive.uids, "all results", 120)
        until(lambda: (tmp_path / "queue/done.txt").read_text().count("\n") >= len(safe), "the end of the queue")
        last.send_signal(signal.SIGTERM)
        last.communicate()
    assert archive.uids <= expected_uids(predictor, images), "no result under another UID"
    assert len(set(archive.came)) == len(archive.uids), "under one UID the same bytes"


def test_no_name_of_a_patient_leaves_dicom(bundle: Path, grays: list[NDArray[Any]], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = film(grays[1], 2, PatientBirthDate=f"{CANARY}", StudyTime=f"{CANARY}", PatientName=f"{CANARY}" * 20)
        images = tmp_path / "images"
        images.mkdir()
        written(images, film(grays[0], 1), "one.dcm")
        written(images, wrong, "two.dcm")
        written(images, film(grays[0], 3, StudyInstanceUID=None), "three.dcm")
    (images / "four.png").write_bytes(_png(grays[2]))
    work = tmp_path / "work"
    work.mkdir()
    words = ("predict", bundle, images, "--to", "answers.csv", "--heat-maps", "maps", "--dicom", "results")
    done = pneumobench(*words, cwd=work)
    assert done.returncode == 0, done.stderr
    assert "four.png: is no DICOM file." in done.stdout
    assert "three.dcm: its header has no valid StudyInstanceUID" in done.stdout
    results = list((work / "results").iterdir())
    assert len(results) == 6
    assert sum(CANARY.encode() in path.read_bytes() for path in results) == 6, "results name whom they are about"
    assert sorted({path.split("/")[0] for path in canaries(work)}) == ["results"], "and nothing else does"
    assert CANARY not in done.stdout + done.stderr
    assert not [path for path in results if CANARY in path.name]


def _png(gray: NDArray[Any]) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", gray)[1])


def alone(do: Callable[[], None]) -> None:
    """Do something in a thread whose loopback nobody else can reach: Orthanc listens on every address there is."""
    new_network = 0x40000000  # CLONE_NEWNET of Linux

    def act() -> None:
        if ctypes.CDLL(None, use_errno=True).unshare(new_network) != 0:
            pytest.skip("needs the right to a network of its own")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        do()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(act).result()


@contextmanager
def orthanc(folder: Path) -> Iterator[tuple[str, int]]:
    """Run an Orthanc; give the address of its REST API and its DICOM port."""
    assert ORTHANC is not None
    http, dicom = free_port(), free_port()
    settings = {
        "Name": "tests", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
        "HttpPort": http, "DicomPort": dicom, "DicomAet": "ORTHANC", "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "DicomAlwaysAllowStore": True, "Plugins": [], "DicomServerEnabled": True,
    }  # fmt: skip
    place = folder / "orthanc.json"
    place.write_text(json.dumps(settings))
    process = subprocess.Popen([ORTHANC, str(place)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(http) and answers(dicom), "an Orthanc")
        yield f"http://127.0.0.1:{http}", dicom
    finally:
        process.terminate()
        process.wait(30)


def asked(address: str, body: bytes | None = None, method: str | None = None) -> Any:
    request = urllib.request.Request(address, data=body, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"null")


@pytest.mark.skipif(ORTHANC is None or sys.platform != "linux", reason="Orthanc is not installed")
def test_an_orthanc_sends_images_and_shows_their_results(
    predictor: AskedBundle, films: list[Path], tmp_path: Path
) -> None:
    alone(lambda: _an_orthanc_sends_images(predictor, films, tmp_path))


def _an_orthanc_sends_images(predictor: AskedBundle, films: list[Path], tmp_path: Path) -> None:
    with orthanc(tmp_path) as (rest, dicom), running(predictor, tmp_path / "queue", dicom) as node:
        image = asked(f"{rest}/instances", films[0].read_bytes())["ID"]
        modality = json.dumps(["PNEUMOBENCH", "127.0.0.1", node.port]).encode()
        urllib.request.urlopen(
            urllib.request.Request(f"{rest}/modalities/pneumobench", data=modality, method="PUT"), timeout=60
        ).close()
        asked(f"{rest}/modalities/pneumobench/store", image.encode())
        until(lambda: len(asked(f"{rest}/instances")) == 4, "the image and its results")
        until(lambda: node.says("delivered"), "it is told")
        (study,) = asked(f"{rest}/studies")
        series = [asked(f"{rest}/series/{one}") for one in asked(f"{rest}/studies/{study}")["Series"]]
    assert sorted(one["MainDicomTags"]["Modality"] for one in series) == ["DX", "OT", "OT", "SR"]
    assert sum("not for diagnosis" in one["MainDicomTags"].get("SeriesDescription", "") for one in series) == 3
