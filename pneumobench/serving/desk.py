"""The desk where films wait and are asked about, one at a time, so that memory stays that of one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from pneumobench.errors import UnreadableImageError
from pneumobench.prediction.asked import AskedBundle
from pneumobench.radiographs.formats import decode_radiograph
from pneumobench.radiographs.plausibility import implausible
from pneumobench.serving.explanation import Explanation, explain_film
from pneumobench.serving.limits import Limits
from pneumobench.serving.refusals import Gone, Refusal, our_fault
from pneumobench.serving.replies import Answer, answer_of

FILM: Final = Path("film")  # what a message calls the file: its name is not known here
FIRST_GUESS_S: Final = 1.0  # that a film takes, before one was timed
Reply = TypeVar("Reply")


class Desk:
    """Asks the networks of a bundle, in a thread of its own.

    Args:
        predictor: the networks.
        limits: `waiting`.
    """

    def __init__(self, predictor: AskedBundle, limits: Limits) -> None:
        self.predictor, self._limits = predictor, limits
        self.waiting, self.ready = 0, False
        self._seconds = FIRST_GUESS_S
        self._turn = asyncio.Lock()  # in the order in which films came
        # heat maps change a network while they are made: nothing else may ask it meanwhile
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="asking")

    async def load(self) -> None:
        """Load the networks and ask them once about noise, so that the first film does not pay for it.

        Raises:
            PneumobenchError: weights are not those of their network, or a plugin is missing.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, warm_up, self.predictor)
        self.ready = True

    async def answer(self, content: bytes, gone: Callable[[], Awaitable[bool]]) -> Answer:
        """Return what the networks say of the bytes of a film.

        Raises:
            Refusal: it cannot be read (422), or too many wait (503).
            Gone: who asked has gone before its turn came.
        """
        return await self._asked(lambda gray, notes: answer_of(self.predictor, gray, notes), content, gone)

    async def explanation(self, content: bytes, gone: Callable[[], Awaitable[bool]]) -> Explanation:
        """Return where the networks look; errors as `answer`."""
        return await self._asked(lambda gray, _: explain_film(self.predictor, gray), content, gone)

    def close(self) -> None:
        """Take no more; what is being asked ends by itself."""
        self.ready = False
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _asked(
        self,
        ask: Callable[[NDArray[np.uint8], tuple[str, ...]], Reply],
        content: bytes,
        gone: Callable[[], Awaitable[bool]],
    ) -> Reply:
        if self.waiting >= self._limits.waiting:
            wait = self.waiting * self._seconds
            raise Refusal(503, f"{self.waiting} films wait already; send it again later.", retry_s=wait)
        self.waiting += 1
        try:
            async with self._turn:
                if await gone():
                    raise Gone
                begun = time.monotonic()
                reply = await asyncio.get_running_loop().run_in_executor(self._thread, _read_and_ask, ask, content)
                self._seconds = 0.8 * self._seconds + 0.2 * (time.monotonic() - begun)
                return reply
        finally:
            self.waiting -= 1


def warm_up(predictor: AskedBundle) -> None:
    """Load all networks of a bundle and ask them once; errors as `pneumobench.load`."""
    side = predictor.bundle.image_side_px
    predictor.predict(np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8))


def _read_and_ask(ask: Callable[[NDArray[np.uint8], tuple[str, ...]], Reply], content: bytes) -> Reply:
    try:
        radiograph = decode_radiograph(FILM, content)
        notes = (*radiograph.notes, *implausible(FILM, radiograph.gray))
        return ask(radiograph.gray, notes)
    except UnreadableImageError as error:
        raise Refusal(422, str(error)) from error
    except MemoryError as error:
        raise Refusal(503, "there is no memory for a film of this size.", retry_s=60) from error
    except Exception as error:  # noqa: BLE001 # the server goes on
        raise our_fault(error, "the film could not be asked about") from None
