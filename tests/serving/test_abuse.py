"""Bodies without end, files that unfold, clients that dawdle, very many at once: no crash, and memory stays flat."""

from __future__ import annotations

import asyncio
import http.client
import io
import re
import signal
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.commands import Command, start
from tests.serving.attacks import (
    CLOSED,
    at_once,
    dawdle,
    dicom_that_unfolds,
    head,
    png_that_unfolds,
    resident_mb,
    send,
    send_without_end,
    several,
)
from tests.serving.conftest import LIMITS

ANSWERED = {200, 429, 503}


def health(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/health")
    return connection.getresponse().status


def test_a_body_that_is_too_large_is_refused_before_and_while_it_comes(port: int) -> None:
    assert asyncio.run(send(port, bytes(4 * LIMITS.film_bytes))) == 413
    assert asyncio.run(send_without_end(port, 4 * LIMITS.film_bytes)) == 413
    assert health(port) == 200


def test_who_asks_first_is_told_not_to_send(port: int) -> None:
    first = head("/api/predict", 10**9, more="Expect: 100-continue\r\n")
    status, seconds = asyncio.run(dawdle(port, first))
    assert status == 413
    assert seconds < LIMITS.drained_s


@pytest.mark.parametrize("first", [b"", b"POST /api/pre", b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
def test_a_head_that_does_not_come_to_an_end_is_cut_off(port: int, first: bytes) -> None:
    status, seconds = asyncio.run(dawdle(port, first, b"x"))
    assert status == CLOSED
    assert LIMITS.idle_s * 0.5 < seconds < LIMITS.idle_s * 6


def test_a_film_that_drips_is_refused(port: int) -> None:
    status, seconds = asyncio.run(dawdle(port, head("/api/predict", 900_000), b"x"))
    assert status == 408
    assert LIMITS.idle_s * 0.5 < seconds < LIMITS.idle_s * 6


def test_bombs_are_refused_and_films_are_answered_after_them(port: int, films: list[Path], tmp_path: Path) -> None:
    for bomb in (
        png_that_unfolds(2_000, 2_000),
        png_that_unfolds(20_000, 9_000, depth=1),
        dicom_that_unfolds(tmp_path),
    ):
        assert len(bomb) < LIMITS.film_bytes
        assert asyncio.run(send(port, bomb)) == 422
    assert asyncio.run(send(port, films[0].read_bytes())) == 200


def test_very_many_at_once_are_answered_or_sent_away(port: int, films: list[Path]) -> None:
    found = asyncio.run(at_once(port, films[0].read_bytes(), 80))
    assert set(found) <= ANSWERED
    assert found[200] >= LIMITS.waiting
    assert health(port) == 200


def test_who_leaves_is_no_trouble(port: int, films: list[Path]) -> None:
    async def leave() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/api/predict", 500_000) + bytes(1_000))
        await writer.drain()
        writer.transport.abort()

    for _ in range(5):
        asyncio.run(leave())
    assert asyncio.run(send(port, films[0].read_bytes())) == 200


@pytest.fixture
def command(bundle: Path, tmp_path: Path) -> Iterator[tuple[Command, int]]:
    """Return the command as it runs by itself, and its port."""
    command = start("serve", bundle, "--port", "0", "--rate", "60000", cwd=tmp_path)
    try:
        yield command, port_of(command)
    finally:
        command.kill()


def port_of(command: Command) -> int:
    """Wait until a command tells its page, and return the port."""
    told = command._output / "stdout"
    for _ in range(1200):
        if found := re.search(r"page: http://127\.0\.0\.1:(\d+)/", told.read_text() if told.exists() else ""):
            return int(found[1])
        assert command.poll() is None, (command._output / "stderr").read_text()
        time.sleep(0.1)
    raise AssertionError("it told no page")


@pytest.mark.long
def test_the_command_keeps_its_memory_and_ends_by_itself(
    command: tuple[Command, int], films: list[Path], tmp_path: Path
) -> None:
    running, port = command
    process = running._process.pid
    assert process is not None
    film = films[0].read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("film", bytes(50 * 2**20))
    bombs = {
        "bomb: png, 160 MB": png_that_unfolds(8_000, 10_000),
        "bomb: png, declared": png_that_unfolds(90_000, 1_000, depth=8),
        "bomb: zip": archive.getvalue(),
        "bomb: dicom": dicom_that_unfolds(tmp_path),
    }

    async def one_round() -> dict[str, Any]:
        large = 100 * 10**6
        told: dict[str, Any] = {"bodies of 100 MB": await several(4, lambda: send(port, bytes(large)))}
        told["bodies of 100 MB without a length"] = await several(4, lambda: send_without_end(port, large))
        for name, bomb in bombs.items():
            told[f"{name}, {len(bomb):,} bytes"] = await several(3, lambda bomb=bomb: send(port, bomb))  # type: ignore[misc]
        slow = [dawdle(port, b"POST /api/pre", b"x") for _ in range(100)]
        slow += [dawdle(port, head("/api/predict", 60_000_000), b"x") for _ in range(100)]
        meanwhile = asyncio.gather(*slow)
        told["a film beside 200 slow clients"] = await several(1, lambda: send(port, film))
        found = await meanwhile
        told["200 slow clients"] = Counter(status for status, _ in found)
        told["seconds until the last of them is out"] = round(max(seconds for _, seconds in found))
        told["1,000 at once"] = await at_once(port, film, 1_000)
        return told

    memory = [resident_mb(process)]
    print(f"before: {memory[0]} MB")
    for number in range(3):
        told = asyncio.run(one_round())
        memory.append(resident_mb(process))
        print(f"round {number}", *told.items(), f"now, highest: {memory[-1]} MB", sep="\n  ")
        assert health(port) == 200
        assert asyncio.run(send(port, film)) == 200
        for name in ("bodies of 100 MB", "bodies of 100 MB without a length"):
            assert told[name].keys() <= {413, CLOSED}, "who still sends when it is no longer read hears nothing"
        assert [told[name] for name in told if name.startswith("bomb")] == [{422: 3}] * len(bombs)
        assert told["a film beside 200 slow clients"] == {200: 1}
        assert told["200 slow clients"] == {CLOSED: 100, 408: 100}
        assert told["seconds until the last of them is out"] < 60
        assert told["1,000 at once"].keys() <= ANSWERED
        assert told["1,000 at once"].total() == 1_000
    (_, first), (now, last) = memory[1], memory[-1]
    assert last < 1.1 * first, "its highest is that of the first round"
    assert now < memory[1][0] + 100
    running.send_signal(signal.SIGTERM)
    output, errors = running.communicate(timeout=20)
    assert running.returncode == 0
    assert "ended; nothing was kept" in output
    assert errors == ""
