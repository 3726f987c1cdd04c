"""What every request passes first and every answer last: who may ask, how often, and what a browser may do with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pneumobench.serving.access import Access
from pneumobench.serving.counts import Counts
from pneumobench.serving.limits import Limits
from pneumobench.serving.rates import Rates
from pneumobench.serving.refusals import Body, Gone, Refusal, our_fault

PATHS: Final = ("/", "/api/bundle", "/api/predict", "/api/explain", "/health", "/metrics", "/openapi.json")
UNCOUNTED: Final = frozenset({"/health", "/metrics"})  # asked by machines that watch, evenly
CLOSED_REQUEST: Final = 499  # of a request whose sender has gone, as nginx counts it
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Wraps an application.

    Args:
        app: what answers.
        access: who may ask.
        limits: how often, and how long a refused body is read on.
        counts: where requests are counted.
    """

    def __init__(self, app: ASGIApp, *, access: Access, limits: Limits, counts: Counts) -> None:
        self.app, self._access, self._limits, self._counts = app, access, limits, counts
        self._rates = Rates(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        begun, path, status = time.monotonic(), scope["path"], CLOSED_REQUEST
        headers = Headers(scope=scope)
        body = Body(receive, asked_first=headers.get("expect", "").lower() == "100-continue")

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    answered.setdefault(name, value)
            await send(message)

        try:
            self._check(scope, path, headers)
            await self.app(scope, body.receive, sent)
        except Refusal as refusal:
            await body.drained(self._limits.drained_s)
            await refusal.response()(scope, receive, sent)
        except Gone:
            await Refusal(CLOSED_REQUEST, "who asked has gone.").response()(scope, receive, sent)
        except Exception as error:  # noqa: BLE001 # the server goes on
            await our_fault(error, "the request could not be answered").response()(scope, receive, sent)
        finally:
            self._counts.add(path if path in PATHS else "other", status, time.monotonic() - begun)

    def _check(self, scope: Scope, path: str, headers: Headers) -> None:
        if path not in UNCOUNTED:
            address = (scope.get("client") or ("",))[0]
            if wait := self._rates.wait_s(address):
                raise Refusal(429, f"more than {self._limits.rate} requests a minute; wait a little.", retry_s=wait)
        self._access.check(path, headers)
