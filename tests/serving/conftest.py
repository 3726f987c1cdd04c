from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import open_bundle
from pneumobench.prediction.predictor import Predictor
from pneumobench.serving.access import Access
from pneumobench.serving.app import create_app
from pneumobench.serving.limits import Limits
from pneumobench.serving.server import listening_socket, server_of
from tests.prediction.bundles import write_bundle, write_films

# a film of these tests is small; no test may be refused for asking often unless it wants to be
LIMITS = Limits(film_bytes=2**20, held_bytes=2**22, idle_s=1.0, drained_s=0.5, rate=60_000, burst=1_000)


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="session")
def bundle(films: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of two networks that have heat maps."""
    return write_bundle(tmp_path_factory.mktemp("bundles") / "maps", films)


@pytest.fixture(scope="session")
def predictor(bundle: Path) -> Predictor:
    return Predictor(open_bundle(bundle))


@pytest.fixture
def client(predictor: Predictor) -> Iterator[TestClient]:
    """Return what asks a server of this process, without a network."""
    with TestClient(create_app(predictor, access=Access(), limits=LIMITS), base_url="http://127.0.0.1") as asking:
        yield asking


@contextmanager
def served(predictor: AskedBundle, access: Access) -> Iterator[int]:
    """Run a real server in a thread, and give the port that it listens on."""
    with listening_socket("127.0.0.1", 0) as listening:
        server = server_of(create_app(predictor, access=access, limits=LIMITS), LIMITS)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.02)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def port(predictor: Predictor) -> Iterator[int]:
    """Return where a server listens that everybody may ask."""
    with served(predictor, Access()) as number:
        yield number
