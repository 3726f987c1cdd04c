"""Jobs as an array of Slurm, submitted by submitit: one task a job, which goes on where it was preempted."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from rich.console import Console

from pneumobench.errors import TERMINATED, PneumobenchError, SettingsError, install_words, suggestion
from pneumobench.files import temporary_folder
from pneumobench.runs.context import Bench
from pneumobench.runs.executors import Told
from pneumobench.runs.executors.one_job import Job, has_ended, write_dead
from pneumobench.runs.executors.worker import ATTEMPTS, POLL_S, Elsewhere, News, asked_to_end, send_mapped_files_by_name

CLUSTERS: Final = ("slurm", "local")
MINUTES: Final = 240  # of a task; one that needs more is queued again and goes on
REQUEUED: Final = 20  # times that a task may reach its limit
LOG_LINES: Final = 5  # shown of a task that was lost
CANCEL_S: Final = 10.0
GENERIC: Final = {"time": "timeout_min", "gpus_per_node": "gpus_per_node", "cpus_per_task": "cpus_per_task"}
HERE: Final = ("time", "gpus_per_node")  # settings that submitit's local executor uses
NUMBERS: Final = ("time", "gpus_per_node", "cpus_per_task", "cpus_per_gpu", "gpus_per_task", "signal_delay_s")
# what this module decides, or what is no single word
OWN: Final = (
    "additional_parameters", "array_parallelism", "job_name", "nodes", "ntasks_per_node", "num_gpus", "srun_args",
    "stderr_to_stdout", "teardown", "use_srun", "wckey",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SlurmExecutor:
    """Runs jobs as tasks of Slurm.

    Args:
        settings: of a task, in submitit's words; `cluster=local` runs tasks on this machine, without Slurm.
        jobs: how many tasks at the same time; None = as many as Slurm has room for.
        threads: threads of a task on this machine.
        runs_folder: folder of runs, where a tracker writes.
        console: where the log of a task that was lost is shown.
    """

    settings: Mapping[str, str]
    jobs: int | None
    threads: int
    runs_folder: Path
    console: Console

    @property
    def is_here(self) -> bool:
        """Whether tasks run on this machine, without Slurm."""
        return self.settings.get("cluster") == "local"

    def check(self) -> None:
        """Check what is asked for, without submitting anything.

        Raises:
            SettingsError: submitit or Slurm is not there, or a setting is not known.
        """
        submitit = _imported()
        cluster = self.settings.get("cluster", CLUSTERS[0])
        if cluster not in CLUSTERS:
            raise SettingsError(f"--slurm cluster={cluster}: expected slurm or local.")
        known = sorted({*submitit.SlurmExecutor._valid_parameters(), "cluster"} - set(OWN))
        for key, value in self.settings.items():
            if key not in known:
                hint = suggestion(key, known, count=1) or f"there are {', '.join(known)}."
                raise SettingsError(f"--slurm {key}={value}: {key} is not a setting of a task; {hint}")
            if key in NUMBERS and not (value.isascii() and value.isdigit() and int(value) > 0):
                unit = " of minutes" if key == "time" else ""
                raise SettingsError(f"--slurm {key}={value}: expected a whole number{unit}.")
            if self.is_here and key not in (*HERE, "cluster"):
                raise SettingsError(f"--slurm {key}={value} has no effect with cluster=local: leave one of them out.")
        if not self.is_here and submitit.SlurmExecutor.affinity() < 0:
            raise SettingsError(
                "--executor slurm: there is no Slurm here (srun is not found); start the command on a machine of the "
                "cluster, or take --slurm cluster=local to try it on this one."
            )

    def run_jobs(
        self, bench: Bench, jobs: Sequence[Job], *, started: Callable[[Job], None], told: Told
    ) -> Iterator[Job]:
        """Run jobs as an array; see `Executor`. One whose task is lost twice has failed."""
        send_mapped_files_by_name()
        with asked_to_end(), temporary_folder(bench.folder.path, "jobs") as folder:
            (folder / "bench.pkl").write_bytes(pickle.dumps(bench))
            place = Elsewhere(
                home=Path.cwd(),
                news=folder.absolute(),
                runs_folder=self.runs_folder,
                threads=self.threads if self.is_here else None,
            )
            submitter, task = self._submitter(folder), ArrayTask(bench=folder.absolute() / "bench.pkl", place=place)
            news, lost = News(folder), dict.fromkeys(jobs, 0)
            waiting, running = list(jobs), dict[Job, Any]()
            try:
                while waiting or running:
                    room = (self.jobs or len(jobs)) - len(running) if self.is_here else len(waiting)
                    if batch := waiting[:room]:
                        waiting = waiting[room:]
                        with _mute() if self.is_here else nullcontext():
                            running |= zip(batch, submitter.map_array(task, batch), strict=True)
                    time.sleep(POLL_S)
                    news.pass_on(started, told)
                    for job in [job for job, one in running.items() if one.done()]:
                        one = running.pop(job)
                        words = self._why_lost(one) if not has_ended(bench, job) else ""
                        if words:
                            lost[job] += 1
                            self._show_log(job, one)
                            if lost[job] < ATTEMPTS:
                                waiting.append(job)
                                continue
                            write_dead(bench, job, words)
                        yield job
            finally:
                self._cancel(list(running.values()))

    def _submitter(self, folder: Path) -> Any:
        submitit = _imported()
        cluster = "local" if self.is_here else "slurm"
        given = {key: int(value) if key in NUMBERS else value for key, value in self.settings.items()}
        given.pop("cluster", None)
        settings: dict[str, Any] = {"timeout_min": MINUTES, "name": "pneumobench"}
        for key, value in given.items():
            settings[GENERIC.get(key, f"slurm_{key}")] = [value] if key == "setup" else value
        if not self.is_here and self.jobs:
            settings["slurm_array_parallelism"] = self.jobs
        submitter = submitit.AutoExecutor(folder, cluster=cluster, **{f"{cluster}_max_num_timeout": REQUEUED})
        submitter.update_parameters(**settings)
        return submitter

    def _why_lost(self, one: Any) -> str:
        """Say why a task left neither a record nor a result, empty where it left the job to another process.

        Raises:
            SettingsError: the job could not begin, which is no fault of its own.
        """
        if self.is_here and not one.paths.result_pickle.exists():  # no network may hold it back
            return f"its task was lost {ATTEMPTS} times"
        if one.exception() is not None:
            return f"its task was lost {ATTEMPTS} times ({one.state.lower()})"
        if words := one.result():
            raise SettingsError(words)
        return ""

    def _show_log(self, job: Job, one: Any) -> None:
        lines = [line for line in (one.stderr() or "").splitlines() if line.strip()][-LOG_LINES:]
        self.console.print("\n".join([f"{job[0]} fold {job[1]}: its task was lost", *lines]), markup=False, style="red")

    def _cancel(self, tasks: Sequence[Any]) -> None:
        """Take tasks that are not done out of the queue or end them, and wait for the end of those of this machine."""
        if not tasks:
            return
        if not self.is_here:
            subprocess.run(["scancel", *sorted({one.job_id.split("_")[0] for one in tasks})], check=False)
            return
        for one in tasks:
            one.cancel()
        until = time.monotonic() + CANCEL_S
        while not all(one.done() for one in tasks) and time.monotonic() < until:
            time.sleep(POLL_S)


@dataclass(frozen=True, kw_only=True)
class ArrayTask:
    """The work of a task.

    Args:
        bench: file with data and settings of the run.
        place: what else it has to know.
    """

    bench: Path
    place: Elsewhere

    def __call__(self, job: Job) -> str:
        """Do one job; return what kept it from beginning, or nothing."""
        codes = _end_as_asked()
        try:
            self.place.work(pickle.loads(self.bench.read_bytes()), job)
        except PneumobenchError as error:
            return str(error)
        except SystemExit:
            if codes:  # by which submitit knows that it is queued again
                raise SystemExit(codes[-1]) from None
            raise
        return ""

    def checkpoint(self, job: Job) -> Any:
        """Return what is queued when the task is preempted or out of time: the same, from the job's last checkpoint."""
        return _imported().helpers.DelayedSubmission(self, job)


@contextmanager
def _mute() -> Iterator[None]:
    """Have processes that are started now print nothing on stderr: submitit's own, which Ctrl-C ends by a traceback."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _end_as_asked() -> list[Any]:
    """Let submitit's signal end a training like SIGTERM: what is queued again is neither finished nor failed.

    Returns:
        The exit code that submitit wanted, once it has queued the task again.
    """
    codes: list[Any] = []
    number = signal.Signals[f"SIG{_imported().JobEnvironment.USR_SIG}"]
    requeue = signal.getsignal(number)
    assert callable(requeue)

    def end(signal_number: int, frame: Any) -> None:
        try:
            requeue(signal_number, frame)
        except SystemExit as error:
            codes.append(error.code)
            raise SystemExit(TERMINATED) from None

    signal.signal(number, end)
    # Slurm signals every process of a task; those that load images would queue it again too
    os.register_at_fork(after_in_child=lambda: signal.signal(number, signal.SIG_IGN))
    return codes


def _imported() -> ModuleType:
    try:
        import submitit
    except ImportError:
        raise SettingsError(f"--executor slurm: submitit is not installed: {install_words('slurm')}.") from None
    return submitit
