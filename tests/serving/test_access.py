"""Who may ask, how often, and what a command says where others could and must not."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from pneumobench.cli import main as cli
from pneumobench.errors import SettingsError
from pneumobench.prediction.asked import AskedBundle
from pneumobench.serving.access import TOKEN_VARIABLE, Access, access_of
from pneumobench.serving.app import create_app
from pneumobench.serving.limits import Limits
from pneumobench.serving.rates import Rates
from pneumobench.serving.server import address_of, listening_socket
from tests.serving.conftest import LIMITS

TOKEN = "a-token-of-a-test-01"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8765", "localhost:8765", "[::1]:8765", "192.168.1.7"])
def test_addresses_and_localhost_are_known(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["films.example.org", "127.0.0.1.example.org", "", "[::1", "1", "a b", "@127.0.0.1@x"])
def test_another_name_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 421
    assert "--name NAME" in answer.json()["problem"]


def test_a_name_can_be_given(predictor: AskedBundle) -> None:
    access = Access(names=frozenset({"films.example.org"}))
    asking = TestClient(create_app(predictor, access=access, limits=LIMITS), base_url="http://films.example.org")
    assert asking.get("/").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
def test_a_page_of_somebody_else_cannot_ask(
    client: TestClient, films: list[Path], headers: dict[str, str], status: int
) -> None:
    assert client.post("/api/predict", content=films[0].read_bytes(), headers=headers).status_code == status


def test_a_link_to_the_page_may_stand_anywhere(client: TestClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=headers).status_code == 200
    assert client.get("/api/bundle", headers=headers).status_code == 403


@pytest.mark.parametrize("given", ["", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", "ü"])
def test_without_the_token_nothing_is_answered(predictor: AskedBundle, given: str) -> None:
    asking = TestClient(
        create_app(predictor, access=Access(token=TOKEN), limits=LIMITS), base_url="http://127.0.0.1"
    )  # fmt: skip
    headers = {b"authorization": given.encode()}
    for path in ("/api/bundle", "/metrics", "/api/predict", "/nowhere"):
        answer = asking.get(path, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert asking.post("/api/predict", content=b"x", headers=headers).status_code == 401
    assert [asking.get(path).status_code for path in ("/", "/openapi.json")] == [200, 200]
    assert asking.get("/api/bundle", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_who_asks_too_often_waits(predictor: AskedBundle) -> None:
    limits = Limits(rate=6, burst=3)
    asking = TestClient(create_app(predictor, access=Access(), limits=limits), base_url="http://127.0.0.1")
    answers = [asking.get("/api/bundle") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 8 <= int(answers[-1].headers["retry-after"]) <= 10
    assert asking.get("/metrics").status_code == 200


def test_not_all_addresses_are_remembered() -> None:
    rates = Rates(Limits(rate=60, burst=1, addresses=100), clock=lambda: 0.0)
    assert {rates.wait_s(str(number)) for number in range(1_000)} == {0.0}
    assert len(rates._left) == 100


@pytest.mark.parametrize(
    ("host", "token", "message"),
    [
        ("0.0.0.0", None, "--host 0.0.0.0: others can reach it, and there is no token; name a file"),
        ("example.org", None, "--host example.org: expected an address of this machine"),
        ("127.0.0.1", "short", "found 5 characters; expected a token of at least 16"),
        ("127.0.0.1", "", "found 0 characters"),
        ("0.0.0.0", "sixteen characters", "without spaces"),
    ],
)
def test_wrong_settings_are_refused(host: str, token: str | None, message: str, tmp_path: Path) -> None:
    file = None
    if token is not None:
        file = tmp_path / "token"
        file.write_text(token)
    with pytest.raises(SettingsError) as error:
        access_of(host, token_file=file, names=[])
    assert message in str(error.value)


def test_the_token_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert access_of("0.0.0.0", token_file=tmp_path / "token", names=["A.org"]) == Access(
        token=TOKEN, names=frozenset({"a.org"})
    )
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert access_of("::", token_file=None, names=[]).token == TOKEN
    with pytest.raises(SettingsError, match="token-file nowhere: cannot be read"):
        access_of("::", token_file=Path("nowhere"), names=[])


def test_a_port_that_is_taken_is_said_before_anything_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        assert address_of(taken) == f"http://127.0.0.1:{port}/"
        assert cli.main(["serve", "nowhere", "--port", str(port)]) == 2
    assert f"--host 127.0.0.1 --port {port}: cannot listen there (Address already in use)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: no such file or folder; expected a bundle"),
        (["nowhere", "--host", "0.0.0.0"], "there is no token"),
        (["nowhere", "--port", "70000"], "--port 70000: expected 0 to 65535"),
        (["nowhere", "--rate", "0"], "--rate 0: expected 1 or more"),
    ],
)
def test_the_command_says_what_is_wrong(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    port = [] if "--port" in words else ["--port", "0"]
    assert cli.main(["serve", *words, *port]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert cli.main(["serve", "nowhere"]) == 2
    message = 'a server needs the package uvicorn, which is not installed: pip install "pneumobench[serve]"'
    assert message in capsys.readouterr().err


def test_an_address_of_the_new_kind_is_written_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with listening_socket("::1", 0) as one:
        assert address_of(one).startswith("http://[::1]:")
