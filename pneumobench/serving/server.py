"""The server itself: where it listens, how it ends, and connections that do not get on."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from pneumobench.errors import SettingsError
from pneumobench.serving.limits import Limits

BACKLOG: Final = 2048  # connections that wait to be accepted
FILES_BESIDE: Final = 256  # that are open beside connections
HEADER_BYTES: Final = 16 * 1024
SHUTDOWN_S: Final = 2  # for answers that are being made


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket at an address, taken before networks are loaded, which takes longer.

    Raises:
        SettingsError: the port is taken or must not be used, or the address is none of this machine.
    """
    if not 0 <= port <= 65535:
        raise SettingsError(f"--port {port}: expected 0 to 65535; 0 = any that is free.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise SettingsError(
            f"--host {host} --port {port}: cannot listen there ({error.strerror or error}); choose another with "
            "--port, or end the server that has it."
        ) from error
    return made


def address_of(listening: socket.socket) -> str:
    """Return the address of the page of a server that listens."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/"


class Impatient(H11Protocol):
    """A connection that is closed where no request comes, or breaks off in its head, or nobody reads an answer.

    What is slow behind the head, in a film, is the application's to see.
    """

    limits: Limits  # of the server, see `serve`
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; refuse to where too many are open."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.abort()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Take what came; a request ends waiting."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the answer to be read."""
        self._wait()
        super().on_response_complete()

    def _wait(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(self.limits.idle_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """A server that ends as a command does when it is asked to: by itself, with exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear Ctrl-C and SIGTERM while it runs."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        try:
            before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        except ValueError:  # it runs in a thread, as in a test
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def server_of(app: ASGIApp, limits: Limits) -> Server:
    """Return a server of an application; nothing of a request is logged, and no header says whose it is but its own."""
    protocol = type("Impatient", (Impatient,), {"limits": limits})
    return Server(
        uvicorn.Config(
            cast(Callable[..., Any], app), http=protocol, ws="none", lifespan="on", access_log=False, log_config=None,
            proxy_headers=False, server_header=False, backlog=BACKLOG, h11_max_incomplete_event_size=HEADER_BYTES,
            timeout_keep_alive=round(limits.idle_s), timeout_graceful_shutdown=SHUTDOWN_S,
        )
    )  # fmt: skip


def serve(app: ASGIApp, listening: socket.socket, limits: Limits) -> None:
    """Answer until the process is asked to end.

    Args:
        app: what answers.
        listening: where.
        limits: of connections.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections + FILES_BESIDE
    if soft < wanted:  # else connections would be refused long before there are too many
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    server_of(app, limits).run(sockets=[listening])
