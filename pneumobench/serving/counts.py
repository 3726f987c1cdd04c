"""Numbers of a server for whoever watches it, in the text form of Prometheus; none is about a film or a patient.

Source: Prometheus text exposition format 0.0.4.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from pneumobench.prediction.bundle import FOR_RESEARCH

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Counts:
    """Requests by path and status, and how long they took."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._within: Counter[tuple[str, float]] = Counter()
        self._seconds: dict[str, float] = {}

    def add(self, path: str, status: int, seconds: float) -> None:
        """Count a request; `path` is one of the server's own, so that there are few of them."""
        self._requests[path, status] += 1
        self._seconds[path] = self._seconds.get(path, 0.0) + seconds
        for bound in SECONDS:
            self._within[path, bound] += seconds <= bound

    def text(self, gauges: dict[str, tuple[str, float]], *, bundle: str) -> str:
        """Return all of it.

        Args:
            gauges: what is measured now: by name, what it means and its value.
            bundle: SHA-256 of the bundle.
        """
        lines = [f"# {FOR_RESEARCH}"]
        lines += _head("bundle_info", "gauge", "The bundle that answers.")
        lines += [f'pneumobench_bundle_info{{sha256="{bundle}"}} 1']
        for name, (meaning, value) in gauges.items():
            lines += [*_head(name, "gauge", meaning), f"pneumobench_{name} {value:g}"]
        lines += _head("requests_total", "counter", "Requests by path and status.")
        for (path, status), count in sorted(self._requests.items()):
            lines.append(f'pneumobench_requests_total{{path="{path}",status="{status}"}} {count}')
        lines += _head("request_seconds", "histogram", "Seconds from a request to its answer, waiting included.")
        for path in sorted(self._seconds):
            total = sum(count for (one, _), count in self._requests.items() if one == path)
            for bound in SECONDS:
                lines.append(
                    f'pneumobench_request_seconds_bucket{{path="{path}",le="{bound:g}"}} {self._within[path, bound]}'
                )
            lines.append(f'pneumobench_request_seconds_bucket{{path="{path}",le="+Inf"}} {total}')
            lines.append(f'pneumobench_request_seconds_sum{{path="{path}"}} {self._seconds[path]:.6f}')
            lines.append(f'pneumobench_request_seconds_count{{path="{path}"}} {total}')
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP pneumobench_{name} {meaning}", f"# TYPE pneumobench_{name} {kind}"]
