"""What the fault tests share: networks that do harm, the hashes of what is finished, and disks that are full."""

from __future__ import annotations

import ctypes
import os
import resource
from pathlib import Path
from typing import Final

from pneumobench.files import TEMPORARY, sha256_of_file

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNS: Final = 0x00020000
MS_RDONLY: Final = 1
MS_REMOUNT: Final = 32

# tiny and quick: no heat maps, one baseline
SETTINGS = (
    "--plugin", "faulty.py", "--controls.names", "[majority]", "--explanation.images_per_fold", "0",
    "--explanation.overlays_per_fold", "0", "--explanation.checked_images_per_fold", "0",
)  # fmt: skip

# Each network does what its name says while a file `fault` lies in the working folder, in the third step of its
# training: the trial before it and the first steps go well.
FAULTY = """\
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn
from pneumobench import Architecture, register_architecture

FAULTS = ("quick", "memory", "diverges", "raises", "exits", "ends", "loader", "dies", "waits", "deaf")


class Faulty(nn.Module):
    def __init__(self, fault):
        super().__init__()
        self.side = 3 + FAULTS.index(fault)  # no two networks are alike
        self.linear, self.fault, self.steps = nn.Linear(self.side**2, 1), fault, 0

    def forward(self, x):
        out = self.linear(nn.functional.adaptive_avg_pool2d(x[:, :1], self.side).flatten(1))
        self.steps += self.training
        if self.training and self.steps > 2 - (self.fault == "loader") and Path("fault").exists():
            if self.fault != "quick":
                Path("reached").touch()
            if self.fault == "memory":
                raise torch.OutOfMemoryError("CUDA out of memory")
            if self.fault == "diverges":
                return out * float("inf")
            if self.fault == "raises":
                raise ValueError("the shapes do not fit")
            if self.fault == "exits":
                sys.exit(0)
            if self.fault == "ends":
                os._exit(0)
            if self.fault == "loader" and (loaders := multiprocessing.active_children()):
                loaders[0].kill()
            if self.fault == "dies" and multiprocessing.process.current_process().name.startswith("ForkProcess-"):
                os.kill(os.getpid(), signal.SIGKILL)
            while self.fault == "waits" and Path("fault").exists():
                time.sleep(0.02)
            if self.fault == "deaf":  # as in a long step of compiled code: the second lock is never had
                mutex = ctypes.create_string_buffer(64)
                for _ in range(2):
                    ctypes.CDLL(None).pthread_mutex_lock(mutex)
        return out


def make(fault):
    return lambda: Architecture(module=Faulty(fault))


for name in FAULTS:
    register_architecture(name, source="a test")(make(name))
"""


def finished(run: Path) -> dict[str, str]:
    """Return SHA-256 of every file of the jobs that have a record, by name."""
    jobs = [record.parent for record in run.glob("*/fold-*/record.json")]
    files = (file for job in jobs for file in job.rglob("*") if file.is_file() and file.name != ".lock")
    return {str(file.relative_to(run)): sha256_of_file(file) for file in files}


def temporary_files(folder: Path) -> list[Path]:
    """Return what writers have left over below a folder."""
    return [path for path in folder.rglob(f".*{TEMPORARY}*") if path.suffix == TEMPORARY or TEMPORARY in path.suffixes]


def largest_file(size: int) -> None:
    """Let no file of this process grow over `size` bytes, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def mount(target: Path, options: str, flags: int = 0) -> None:
    """Mount a file system in main memory for this process and those that it starts, or change it.

    Raises:
        OSError: the system does not let this user.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if not flags & MS_REMOUNT:
        ids = {"uid_map": os.getuid(), "gid_map": os.getgid()}
        if library.unshare(CLONE_NEWUSER | CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        for name, number in ids.items():
            Path(f"/proc/self/{name}").write_text(f"0 {number} 1")
    if library.mount(b"none", bytes(target), b"tmpfs", flags, options.encode()):
        raise OSError(ctypes.get_errno(), "mount")
