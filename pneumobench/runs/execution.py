"""Who runs the jobs of a run and how many at the same time, as it is asked for.

What contradicts itself is refused before PyTorch is loaded; what depends on the machine is found in
`pneumobench.runs.executors.choice`.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from pneumobench.errors import SettingsError, suggestion

ExecutorName = Literal["serial", "processes", "ray", "slurm"]
Jobs = int | Literal["auto"]
NAMES: Final[tuple[str, ...]] = typing.get_args(ExecutorName)
AUTO: Final = "auto"


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Who runs the jobs of a run, and how many at the same time.

    Args:
        name: None = `serial` for one job at a time, `processes` for several.
        jobs: how many at the same time; `auto` = as the machine or cluster has room for; None = 1, and `auto` where
            an executor is named that can do several.
        jobs_per_device: how many share a GPU; None = as many as `jobs` asks for, and one for `auto`.
        ray_address: a running Ray cluster; None = Ray is started on this machine.
        slurm: settings of a Slurm task, such as {"partition": "gpu", "time": 120}; see submitit.

    Raises:
        SettingsError: a value is out of range, or has no effect with this executor.
    """

    name: ExecutorName | None = None
    jobs: Jobs | None = None
    jobs_per_device: int | None = None
    ray_address: str | None = None
    slurm: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name is not None and self.name not in NAMES:
            hint = suggestion(self.name, NAMES, count=1) or ""
            raise SettingsError(f"--executor {self.name}: expected one of {', '.join(NAMES)}; {hint}".rstrip("; "))
        if self.jobs is not None and self.jobs != AUTO and (not isinstance(self.jobs, int) or self.jobs < 1):
            raise SettingsError(f"--jobs {self.jobs}: expected 1 or more, or auto.")
        if self.jobs_per_device is not None and self.jobs_per_device < 1:
            raise SettingsError(f"--jobs-per-device {self.jobs_per_device}: expected 1 or more.")
        if self.executor == "serial" and self.jobs not in (None, 1):
            raise SettingsError(
                f"--jobs {self.jobs} with --executor serial, which runs one job after the other: leave one of the two "
                "out, or take --executor processes."
            )
        for option, given, needed in (
            ("--jobs-per-device", self.jobs_per_device is not None, ("processes", "ray")),
            ("--ray-address", self.ray_address is not None, ("ray",)),
            ("--slurm", bool(self.slurm), ("slurm",)),
        ):
            if given and self.executor not in needed:
                raise SettingsError(
                    f"{option} has no effect with --executor {self.executor}: leave it out, or take --executor "
                    f"{' or '.join(needed)}."
                )

    @property
    def executor(self) -> ExecutorName:
        """Who runs the jobs."""
        if self.name is not None:
            return self.name
        return "serial" if self.jobs in (None, 1) and self.jobs_per_device is None else "processes"

    @property
    def wanted(self) -> Jobs:
        """How many jobs at the same time."""
        return self.jobs or (1 if self.executor == "serial" else AUTO)
