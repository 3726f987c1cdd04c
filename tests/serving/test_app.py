"""The server's answers are those of the bundle, and it says what is wrong with what it does not answer."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

from pneumobench.architectures.registry import build_architecture
from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import FOR_RESEARCH
from pneumobench.prediction.loading import load
from pneumobench.prediction.predictor import Predictor
from pneumobench.prediction.reference import NEIGHBOUR, nearest_distance, nearest_distances
from pneumobench.serving.access import Access
from pneumobench.serving.app import create_app
from pneumobench.serving.desk import Desk
from tests.radiographs.dicom_files import CANARY, radiograph, written
from tests.radiographs.test_formats import declared_png
from tests.serving.conftest import LIMITS


def jpeg(film: Path) -> bytes:
    encoded: bytes = cv2.imencode(".jpg", np.asarray(cv2.imread(str(film))))[1].tobytes()
    return encoded


def dicom(folder: Path, film: Path) -> Path:
    levels = np.asarray(cv2.imread(str(film), cv2.IMREAD_GRAYSCALE)).astype(np.uint16) * 16
    return written(folder, radiograph(levels, stored_bits=12))


@pytest.mark.parametrize("kind", ["png", "jpeg", "dicom"])
def test_a_film_is_answered_as_by_the_bundle(
    kind: str, client: TestClient, predictor: AskedBundle, films: list[Path], tmp_path: Path
) -> None:
    path = films[0]
    if kind == "jpeg":
        path = tmp_path / "film.jpg"
        path.write_bytes(jpeg(films[0]))
    elif kind == "dicom":
        path = dicom(tmp_path, films[0])
    (expected,) = predictor.predict(path)
    said = client.post("/api/predict", content=path.read_bytes()).json()
    assert said["probability"] == pytest.approx(expected.probability, abs=1e-6)
    assert [fold["probability"] for fold in said["folds"]] == pytest.approx(expected.folds, abs=1e-6)
    assert (said["lowest"], said["highest"]) == pytest.approx((min(expected.folds), max(expected.folds)))
    assert said["threshold"] == pytest.approx(expected.threshold)
    assert said["decision"] == ("pneumonia" if expected.pneumonia else "normal")
    assert {one["name"]: one["words"] for one in said["reasons"]} == expected.reasons
    assert said["review"]
    assert {one["name"]: one["value"] for one in said["measures"]} == {
        name: pytest.approx(expected.measures[name]) for name in predictor.bundle.reasons
    }
    assert [one["name"] for one in said["measures"] if one["given"]] == list(expected.reasons)
    assert (said["lungs"], said["rule"]) == (expected.lungs, "youden")
    assert CANARY not in json.dumps(said)


def test_a_form_is_the_same_as_a_body_and_nothing_is_put_on_disk(
    client: TestClient, films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TemporaryFile", "SpooledTemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, lambda *_, **__: pytest.fail("a file was made"))
    content = films[1].read_bytes()
    plain = client.post("/api/predict", content=content).json()
    form = client.post("/api/predict", data={"note": "x"}, files={"film": ("Doe^Jane.png", content)})
    assert form.json() == plain
    assert "Doe" not in form.text


def test_the_explanation_holds_image_heat_lungs_and_nearest(
    client: TestClient, predictor: AskedBundle, films: list[Path]
) -> None:
    said = client.post("/api/explain", content=films[0].read_bytes()).json()
    side = said["side_px"]

    def square(name: str) -> Any:
        return np.frombuffer(base64.b64decode(said[name]), dtype=np.uint8).reshape(side, side)

    (seen,), (heat,) = predictor.prepare(films[0]), predictor.explain(films[0])
    np.testing.assert_array_equal(square("image"), seen.radiograph)
    np.testing.assert_allclose(square("heat") / 255, heat / heat.max(), atol=0.5 / 255 + 1e-6)
    assert seen.lungs is not None
    drawn = np.zeros((side, side), dtype=np.uint8)
    cv2.fillPoly(drawn, [np.array(one) for one in said["lungs"]], 1)
    assert (drawn.astype(bool) != seen.lungs).mean() < 0.01
    assert said["heat_in_lungs"] == pytest.approx(heat[seen.lungs].sum() / heat.sum(), abs=1e-5)
    assert said["lung_area"] == pytest.approx(seen.lungs.mean())
    assert len(said["nearest"]) == 2
    for one, (file, features) in zip(said["nearest"], predictor.reference.features.items(), strict=True):
        asked = predictor.say(seen.radiograph[None]).features[file]
        assert one["distances"] == sorted(one["distances"])
        assert one["distances"][-1] == pytest.approx(nearest_distance(asked, features.astype(np.float32))[0], abs=1e-6)
        assert (one["limit"], one["images"]) == (0.4, len(films))


def test_heat_maps_are_there_after_a_prediction(bundle: Path, films: list[Path]) -> None:
    fresh = load(bundle)
    fresh.predict(films[0])
    fresh.check_maps()
    assert fresh.explain(films[0]).max() > 0


def test_nearest_distances_end_where_there_are_no_more() -> None:
    both = np.eye(2, dtype=np.float32)
    assert nearest_distances(both[:1], both, NEIGHBOUR).shape == (1, 2)


def test_an_explanation_can_be_a_picture(client: TestClient, films: list[Path]) -> None:
    answer = client.post("/api/explain", content=films[0].read_bytes(), headers={"Accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    picture = cv2.imdecode(np.frombuffer(answer.content, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape[1] > 2 * 256


@pytest.fixture
def mapless(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    bare = {name: dataclasses.replace(one, heatmap_layers=()) for name, one in predictor.networks.items()}
    monkeypatch.setattr(predictor, "networks", bare)
    with TestClient(create_app(predictor, access=Access(), limits=LIMITS), base_url="http://127.0.0.1") as asking:
        yield asking


def test_a_bundle_without_heat_maps_says_so(mapless: TestClient, films: list[Path]) -> None:
    assert mapless.get("/api/bundle").json()["heat_maps"] is False
    content = films[0].read_bytes()
    said = mapless.post("/api/explain", content=content).json()
    assert said["heat"] is said["heat_in_lungs"] is None
    assert said["no_heat"].startswith("No heat map: a network of the bundle has no layer")
    assert said["lungs"]
    picture = mapless.post("/api/explain", content=content, headers={"Accept": "image/png"})
    assert picture.content.startswith(b"\x89PNG")


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("film", bytes(2**20))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (b"", {}, 422, "the film is empty (0 bytes); send one JPEG, PNG or DICOM file"),
        (b"hello", {}, 422, "film: neither JPEG, PNG nor DICOM: it starts with the bytes 68 65 6c 6c; export"),
        (zipped(), {}, 422, "film: a zip archive; export"),
        (declared_png(30_000, 30_000), {}, 422, "the header declares 30000 x 30000 pixels, at most 80,000,000"),
        (bytes(LIMITS.film_bytes + LIMITS.form_bytes + 1), {}, 413, "the film is larger than 1 MiB"),
        (bytes(LIMITS.film_bytes + 1), {}, 413, "the film is larger than 1 MiB"),
        (gzip.compress(bytes(99), mtime=0), {"Content-Encoding": "gzip"}, 415, "found a body encoded as 'gzip'"),
        (b"x", {"Content-Type": "multipart/form-data"}, 400, "found a form without a boundary"),
        (b"x", {"Content-Type": "multipart/form-data; boundary=a"}, 400, "damaged or breaks off"),
        (b"--a\r\nX: y\r\n\r\nz\r\n" * 9, {"Content-Type": "multipart/form-data; boundary=a"}, 400, "than 8 parts"),
    ],
    ids=lambda value: "body" if isinstance(value, bytes) else None,
)  # fmt: skip
def test_what_is_no_film_is_refused_in_one_line(
    content: bytes, headers: dict[str, str], status: int, words: str, client: TestClient
) -> None:
    answer = client.post("/api/predict", content=content, headers=headers)
    assert answer.status_code == status
    assert words in answer.json()["problem"]
    assert answer.json()["notice"] == FOR_RESEARCH
    assert "pneumobench_held_bytes 0\n" in client.get("/metrics").text


def test_a_body_without_a_length_is_measured_as_it_comes(client: TestClient) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(40):
            yield bytes(2**16)

    assert client.post("/api/predict", content=parts()).status_code == 413


def test_an_error_of_our_own_says_where_but_nothing_of_the_film(
    client: TestClient, films: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quoted = "".join(("Doe", "^Jane"))

    def fail(*_: object, **__: object) -> None:
        raise ValueError(quoted)

    monkeypatch.setattr(AskedBundle, "predict", fail)
    answer = client.post("/api/predict", content=films[0].read_bytes())
    assert (answer.status_code, answer.json()["problem"][:35]) == (500, "the film could not be asked about; ")
    told = capsys.readouterr().err
    assert "ValueError" in told
    assert "in fail" in told
    assert "Doe" not in told + answer.text


def test_an_error_outside_the_networks_is_told_too(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Predictor, "check_maps", lambda _: 1 / 0)
    answer = client.get("/api/bundle")
    assert (answer.status_code, answer.json()["notice"]) == (500, FOR_RESEARCH)
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_nothing_of_a_film_is_logged(
    client: TestClient, films: list[Path], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    client.post("/api/predict", files={"film": ("Doe^Jane.png", films[0].read_bytes())})
    client.post("/api/predict", content=b"Doe^Jane")
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")
    assert "Doe" not in caplog.text


def test_every_answer_says_what_it_is_for(client: TestClient, films: list[Path]) -> None:
    content = films[0].read_bytes()
    answers = [client.get(path) for path in ("/", "/api/bundle", "/health", "/metrics", "/openapi.json", "/nowhere")]
    answers += [client.post(f"/api/{name}", content=content) for name in ("predict", "explain")]
    answers += [client.put("/api/predict", content=content)]
    for answer in answers:
        assert FOR_RESEARCH in answer.text, answer.url
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers
    assert [answer.status_code for answer in answers] == [200] * 5 + [404, 200, 200, 405]


def test_the_description_of_the_interface_is_whole(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/api/bundle", "/api/predict", "/api/explain", "/health", "/metrics"}
    for name in ("predict", "explain"):
        asked = described["paths"][f"/api/{name}"]["post"]
        assert {"image/png", "application/dicom", "multipart/form-data"} <= set(asked["requestBody"]["content"])
        assert {"200", "401", "408", "413", "422", "429", "503"} <= set(asked["responses"])
    assert "probability" in described["components"]["schemas"]["Answer"]["properties"]


def test_the_bundle_is_described(client: TestClient, predictor: AskedBundle) -> None:
    said = client.get("/api/bundle").json()
    assert (said["bundle"], said["folds"], said["heat_maps"]) == (predictor.opened.sha256, 2, True)
    assert said["thresholds"][0]["rule"] == said["rule"] == "youden"
    assert said["threshold"] == said["thresholds"][0]["threshold"] != said["thresholds"][1]["threshold"]


def test_health_waits_for_the_networks(predictor: AskedBundle, films: list[Path]) -> None:
    asking = TestClient(create_app(predictor, access=Access(), limits=LIMITS), base_url="http://127.0.0.1")
    assert (asking.get("/health").status_code, asking.get("/health").json()["status"]) == (503, "loading")
    assert asking.post("/api/predict", content=films[0].read_bytes()).headers["retry-after"] == "5"
    with asking:
        assert (asking.get("/health").status_code, asking.get("/health").json()["status"]) == (200, "ready")


def test_metrics_count_requests_and_time(client: TestClient, films: list[Path]) -> None:
    client.post("/api/predict", content=films[0].read_bytes())
    client.post("/api/predict", content=b"no film")
    client.get("/somewhere/Doe^Jane")
    text = client.get("/metrics").text
    for line in (
        'pneumobench_requests_total{path="/api/predict",status="200"} 1',
        'pneumobench_requests_total{path="/api/predict",status="422"} 1',
        'pneumobench_requests_total{path="other",status="404"} 1',
        'pneumobench_request_seconds_bucket{path="/api/predict",le="+Inf"} 2',
        'pneumobench_request_seconds_count{path="/api/predict"} 2',
        "pneumobench_waiting 0",
    ):
        assert line in text.splitlines()
    assert "Doe" not in text


def test_too_many_that_wait_are_sent_away(
    client: TestClient, films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Desk._asked

    async def crowded(self: Desk, *arguments: Any) -> Any:
        self.waiting += LIMITS.waiting
        try:
            return await before(self, *arguments)
        finally:
            self.waiting -= LIMITS.waiting

    monkeypatch.setattr(Desk, "_asked", crowded)
    answer = client.post("/api/predict", content=films[0].read_bytes())
    assert answer.status_code == 503
    assert answer.json()["problem"] == "16 films wait already; send it again later."
    assert int(answer.headers["retry-after"]) >= 1


def test_the_random_networks_have_layers_for_maps() -> None:
    assert build_architecture("test_resnet", in_channels=1, image_side_px=64, outputs=1).heatmap_layers
