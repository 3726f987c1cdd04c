"""The body of a request -> the bytes of one film, in memory alone, with an end to its size and to its time.

The parser of forms that web frameworks bring puts files on disk; here its lower half is used, and only memory.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from pneumobench.serving.limits import MIB, Limits
from pneumobench.serving.refusals import Body, Refusal

FORM: Final = b"multipart/form-data"
LONGEST_BOUNDARY: Final = 70  # characters, by RFC 2046
SEND_ONE: Final = "send one JPEG, PNG or DICOM file, as the body or as the part `film` of a form"


class Held:
    """Bytes of films that are in memory.

    Args:
        limits: `held_bytes`.
    """

    def __init__(self, limits: Limits) -> None:
        self.bytes, self._limit = 0, limits.held_bytes

    def take(self, count: int) -> None:
        """Count bytes that came.

        Raises:
            Refusal: all together would be too many.
        """
        if self.bytes + count > self._limit:
            raise Refusal(503, "the server holds as many films as it may; send it again later.", retry_s=2)
        self.bytes += count


@asynccontextmanager
async def received(body: Body, headers: Mapping[str, str], limits: Limits, held: Held) -> AsyncIterator[bytes]:
    """Receive a film and hold it while the context lasts.

    Args:
        body: as it comes.
        headers: of the request, names in lower case.
        limits: of size and time.
        held: where its bytes are counted.

    Raises:
        Refusal: it is too large (413), too slow (408), encoded (415), a damaged form (400), empty (422), or all films
            together are too many (503).
        Gone: the sender has gone.
    """
    taken = 0
    try:
        _check_head(headers, limits)
        film = _Form(headers["content-type"], limits) if _is_form(headers) else _Whole()
        allowed = limits.film_bytes + (limits.form_bytes if isinstance(film, _Form) else 0)
        begun = time.monotonic()
        while not body.ended:
            # what came so far buys time: who drips is out after `idle_s`, who sends steadily is not
            patience = min(limits.idle_s + taken / limits.least_rate, limits.body_s)
            try:
                async with asyncio.timeout(max(begun + patience - time.monotonic(), 0)):
                    part = await body.part()
            except TimeoutError:
                raise Refusal(
                    408, f"{taken:,} bytes came within {time.monotonic() - begun:.0f} s, which is too slow."
                ) from None
            held.take(len(part))
            taken += len(part)
            if taken > allowed:
                raise _too_large(limits)
            film.add(part)
        content = film.content()
        if len(content) > limits.film_bytes:
            raise _too_large(limits)
        if not content:
            raise Refusal(422, f"the film is empty (0 bytes); {SEND_ONE}.")
        yield content
    finally:
        held.bytes -= taken


def _check_head(headers: Mapping[str, str], limits: Limits) -> None:
    """Refuse what its headers alone give away, before any of it is received."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Refusal(415, f"found a body encoded as {encoding[:20]!r}; expected the file as it is.")
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limits.film_bytes + limits.form_bytes:
        raise _too_large(limits)


def _too_large(limits: Limits) -> Refusal:
    return Refusal(413, f"the film is larger than {limits.film_bytes // MIB} MiB; {SEND_ONE}.")


def _is_form(headers: Mapping[str, str]) -> bool:
    return parse_options_header(headers.get("content-type", ""))[0] == FORM


class _Whole:
    """A body that is the film."""

    def __init__(self) -> None:
        self._content = io.BytesIO()

    def add(self, part: bytes) -> None:
        self._content.write(part)

    def content(self) -> bytes:
        return self._content.getvalue()


class _Form:
    """A form whose part `film`, or whose first file, is the film; what a file is called is not kept."""

    def __init__(self, content_type: str, limits: Limits) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not boundary or len(boundary) > LONGEST_BOUNDARY:
            raise Refusal(400, f"found a form without a boundary; {SEND_ONE}.")
        self._limits, self._parts, self._whole = limits, 0, False
        self._header, self._value = b"", b""
        self._content, self._is_film = io.BytesIO(), False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._field,
                "on_header_value": self._text,
                "on_header_end": self._header_end,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )

    def add(self, part: bytes) -> None:
        try:
            self._parser.write(part)
        except MultipartParseError as error:
            raise self._damaged() from error

    def content(self) -> bytes:
        if not self._whole:
            raise self._damaged()
        return self._content.getvalue()

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > self._limits.form_parts:
            raise Refusal(400, f"found a form of more than {self._limits.form_parts} parts; {SEND_ONE}.")
        self._is_film = False

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _text(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition" and not self._content.tell():
            _, words = parse_options_header(self._value)
            self._is_film = b"filename" in words or words.get(b"name") == b"film"
        self._header, self._value = b"", b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_film:
            self._content.write(memoryview(data)[start:end])

    def _end(self) -> None:
        self._whole = True

    def _damaged(self) -> Refusal:
        return Refusal(400, f"found a form that is damaged or breaks off; {SEND_ONE}.")
