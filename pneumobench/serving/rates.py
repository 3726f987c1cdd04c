"""How often one address may ask: a bucket each that fills evenly, with an end to how many are remembered."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from pneumobench.serving.limits import Limits


class Rates:
    """Counts requests by address.

    Args:
        limits: `rate`, `burst` and `addresses`.
        clock: seconds that only rise.
    """

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock = limits, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address -> requests left, and when

    def wait_s(self, address: str) -> float:
        """Count a request, and return 0; or return the seconds until the address may make another, and count none.

        >>> at = [0.0]
        >>> rates = Rates(Limits(rate=60, burst=2), clock=lambda: at[0])
        >>> [rates.wait_s("a"), rates.wait_s("a"), rates.wait_s("a"), rates.wait_s("b")]
        [0.0, 0.0, 1.0, 0.0]
        """
        now, a_second = self._clock(), self._limits.rate / 60
        left, then = self._left.pop(address, (float(self._limits.burst), now))
        left = min(left + (now - then) * a_second, self._limits.burst)
        allowed = left >= 1
        self._left[address] = (left - allowed, now)
        while len(self._left) > self._limits.addresses:
            self._left.popitem(last=False)  # the one that was quiet for longest
        return 0.0 if allowed else (1 - left) / a_second
