"""What is said instead of an answer, as plain JSON, and how a body that nobody wants is got rid of."""

from __future__ import annotations

import asyncio
import json
import traceback
from contextlib import suppress
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Message, Receive

from pneumobench.errors import warn
from pneumobench.prediction.bundle import FOR_RESEARCH

DISCONNECTED: Final = "http.disconnect"


class Refusal(Exception):  # noqa: N818 # it is an answer, not an error of the server
    """A request that is not answered.

    Args:
        status: of HTTP.
        problem: what was found, what was expected and what to do.
        retry_s: seconds after which it may be sent again; None = it would be refused again.
    """

    def __init__(self, status: int, problem: str, *, retry_s: float | None = None) -> None:
        super().__init__(problem)
        self.status, self.problem, self.retry_s = status, problem, retry_s

    def response(self) -> Response:
        """Return it as JSON; the connection ends with it, since a body may still be on its way."""
        headers = {"Connection": "close"}
        if self.retry_s is not None:
            headers["Retry-After"] = str(max(1, round(self.retry_s)))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        content = json.dumps({"problem": self.problem, "notice": FOR_RESEARCH}, ensure_ascii=False)
        return Response(content, status_code=self.status, headers=headers, media_type="application/json")


def our_fault(error: Exception, what: str) -> Refusal:
    """Tell the log where an error of ours came from, but not what it says, which may quote a film; return a refusal."""
    warn(f"{what} ({type(error).__name__}):\n{''.join(traceback.format_tb(error.__traceback__))}")
    return Refusal(500, f"{what}; the server's log says where.")


class Gone(Exception):  # noqa: N818
    """Who asked has gone: nobody hears an answer."""


class Body:
    """The body of a request as it comes, with a memory of whether it has ended.

    Args:
        receive: what gives its parts.
        asked_first: whether the sender waits to be told that it may send.
    """

    def __init__(self, receive: Receive, *, asked_first: bool = False) -> None:
        self._receive, self._held_back, self.ended = receive, asked_first, False

    async def receive(self) -> Message:
        """Return the next message, as an application asks for it."""
        self._held_back = False
        message = await self._receive()
        self.ended = message["type"] == DISCONNECTED or not message.get("more_body", False)
        return message

    async def part(self) -> bytes:
        """Return the next part.

        Raises:
            Gone: the sender has gone.
        """
        message = await self.receive()
        if message["type"] == DISCONNECTED:
            raise Gone
        part: bytes = message.get("body", b"")
        return part

    async def drained(self, seconds: float) -> None:
        """Read on for a while and keep nothing, since an answer does not reach most who are still sending."""
        if self._held_back:
            return
        with suppress(Gone, TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.ended:
                    await self.part()


def problem_schema(words: str) -> dict[str, Any]:
    """Return how OpenAPI describes a refusal."""
    text = {"type": "string"}
    schema = {"type": "object", "properties": {"problem": text, "notice": text}, "required": ["problem", "notice"]}
    return {"description": words, "content": {"application/json": {"schema": schema}}}
