"""Peak memory of a job: what it adds to the process that runs it, whatever ran there before."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

MIB = 2**20
_resident_before = 0.0  # MiB of this process when the peak was forgotten


def reset_peak_memory() -> None:
    """Give back what earlier jobs left, and forget the peak: `peak_memory_mib` is of what comes now."""
    global _resident_before
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError, AttributeError):  # glibc alone has it; elsewhere freed memory may stay with the process
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: resets the peak resident size
    _resident_before = _status_mib("VmRSS") or 0.0


def peak_memory_mib(device_type: str) -> float:
    """Return the peak since `reset_peak_memory` in MiB.

    On CUDA it is the peak of allocated device memory. Else it is the peak resident memory of this process less what was
    resident at the reset, so that libraries and earlier jobs do not count; where the system does not tell it, the peak
    of the whole process.
    """
    if device_type == "cuda":
        return torch.cuda.max_memory_allocated() / MIB
    if (peak := _status_mib("VmHWM")) is not None:
        return max(0.0, peak - _resident_before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024


def _status_mib(key: str) -> float | None:
    """Return a size from /proc/self/status; None where there is none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1]) / 1024
    except (OSError, StopIteration):
        return None
