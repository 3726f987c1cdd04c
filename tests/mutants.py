"""Mistakes that the tests have to catch: each is made in a copy of the repository, and its tests must fail there.

`uv run python -m tests.mutants` makes all of them (ten minutes), with words behind it only those whose name has one.
A row whose old text is not found exactly once has been overtaken by the code: write it anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
NOT_TAKEN = {"runs", "site", "dist", "uv.lock"}  # of the repository's own folder
PYTEST = ("-q", "-x", "--no-header", "--tb=line", "--numprocesses=0", "-p", "no:cacheprovider")
TESTS_FAILED = 1  # exit code of pytest; others say that nothing was tested


@dataclass(frozen=True)
class Mutant:
    """A mistake: in `file` of the package, `old` becomes `new`; `tests` (arguments of pytest) catch it."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


RESUMED = "tests/training/test_fit.py::test_a_resumed_training_equals_an_uninterrupted_one"
INTERRUPTED = "tests/end_to_end/test_run.py::test_a_run_that_is_broken_off_goes_on_with_what_is_missing"

QUEUE = "tests/prediction/dicom/test_spool.py"

MUTANTS = (
    Mutant(
        "queue: an image leaves it before its results are on disk",
        "prediction/dicom/spool.py",
        "        try:\n            if not place.is_dir():",
        "        self.image(entry).unlink()\n        try:\n            if not place.is_dir():",
        (f"{QUEUE}::test_a_kill_at_any_step_loses_nothing",),
    ),
    Mutant(
        "queue: another image under the same UID passes for the same",
        "prediction/dicom/spool.py",
        'return "same" if known == entry.sha256 else "other"',
        'return "same"',
        (f"{QUEUE}::test_duplicates_are_told_apart_in_every_place_and_after_a_restart",),
    ),
    Mutant(
        "DICOM report: what was not looked for is told as no",
        "prediction/dicom/report.py",
        "return () if said.review is None else (said.review,)",
        "return (bool(said.review),)",
        ("tests/prediction/dicom/test_results.py::test_what_was_not_looked_for_is_not_told_as_no",),
    ),
    Mutant(
        "DICOM node: a radiograph of another part of the body is answered",
        "prediction/dicom/reception.py",
        "if note in (NO_RADIOGRAPHY, NO_CHEST):",
        "if note == NO_RADIOGRAPHY:",
        ("tests/prediction/dicom/test_node.py::test_what_is_no_image_is_refused_with_its_status",),
    ),
    Mutant(
        "sign: uniform attention is added",
        "metrics/lung_attention.py",
        "np.divide(ratio - lung_area,",
        "np.divide(ratio + lung_area,",
        ("tests/metrics/test_lung_attention.py",),
    ),
    Mutant(
        "threshold: more than so sensitive, not at least",
        "metrics/thresholds.py",
        "enough = tp / int(labels.sum()) >= at_least",
        "enough = tp / int(labels.sum()) > at_least",
        ("tests/metrics",),
    ),
    Mutant(
        "fold: the validation part is trained on",
        "datasets/folds.py",
        '"train": tested.notna().to_numpy() & ~test & ~tune,',
        '"train": tested.notna().to_numpy() & ~test,',
        ("tests/datasets/test_folds.py",),
    ),
    Mutant(
        "patients: groups are ignored",
        "datasets/folds.py",
        'group = np.arange(len(table)) if by_image else table["group"].to_numpy()',
        "group = np.arange(len(table))",
        ("tests/datasets/test_folds.py",),
    ),
    Mutant(
        "hash: a changed table is read",
        "records/tables.py",
        "    if (found := hashlib.sha256(text).hexdigest()) != sha256:\n",
        "    if (found := hashlib.sha256(text).hexdigest()) and sha256 is None:\n",
        ("tests/records/test_run_folder.py",),
    ),
    Mutant(
        "mask: only_lungs takes the lungs away",
        "lungs/masked_regions.py",
        "return masked(radiographs, ~lungs)",
        "return masked(radiographs, lungs)",
        ("tests/lungs/test_masked_regions.py",),
    ),
    Mutant(
        "order: images are cached a row further",
        "datasets/pixel_cache.py",
        "squares[row] = square",
        "squares[(row + 1) % count] = square",
        ("tests/datasets/test_pixel_cache.py",),
    ),
    Mutant(
        "out of fold: the area is that of other probabilities",
        "leaderboard/scores.py",
        "of_probability=metrics_of(probability, has_pneumonia, folds)",
        "of_probability=metrics_of(tempered, has_pneumonia, folds)",
        ("tests/leaderboard/test_ranking.py",),
    ),
    Mutant(
        "thresholds: chosen on the test part",
        "leaderboard/scores.py",
        'tune = predictions[predictions["split"] == "tune"]',
        'tune = predictions[predictions["split"] == "test"]',
        ("tests/leaderboard/test_ranking.py",),
    ),
    Mutant(
        "clamp: evidence against counts as heat",
        "attributions/grad_cam.py",
        "maps.clamp(min=0)[:, None]",
        "maps[:, None]",
        ("tests/attributions/test_grad_cam.py",),
    ),
    Mutant(
        "layer: registers are taken for patches",
        "architectures/timm_backbone.py",
        "prefix_tokens=int(module.num_prefix_tokens)",
        "prefix_tokens=1",
        ("tests/attributions/test_conformance.py::test_every_method_shows_the_patch[vit_registers]",),
    ),
    Mutant(
        "resume: the history of epochs before is lost",
        "training/keeping.py",
        'self.rows, self.seconds, self.best = state_dict["rows"],',
        "self.rows, self.seconds, self.best = [],",
        (RESUMED,),
    ),
    Mutant(
        "resume: the next epoch's order of images is taken",
        "datasets/datamodule.py",
        "self.order.epoch = self.trainer.global_step // len(batches)",
        "self.order.epoch = self.trainer.global_step // len(batches) + bool(self.trainer.ckpt_path)",
        (RESUMED,),
    ),
    Mutant(
        "lock: two runs in one folder",
        "records/run_state.py",
        "fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        ("tests/records/test_run_state.py",),
    ),
    Mutant(
        "kill: a job that was begun counts as finished",
        "records/run_state.py",
        "return [job for job in jobs if not folder.record_path(*job).is_file()]",
        "return [job for job in jobs if not folder.record_path(*job).parent.is_dir()]",
        (f"{INTERRUPTED}[9]",),
    ),
    Mutant(
        "SIGTERM: taken for a finished training",
        "training/fit.py",
        "raise SystemExit(TERMINATED) from None",
        "return",
        ("tests/training/test_asked_to_end.py",),
    ),
    Mutant(
        "a full disk: a fault of the network",
        "runs/train_job.py",
        "    except NoRoomError:  # no fault of the architecture: the run stops, and goes on here when there is room\n"
        "        raise\n",
        "",
        ("tests/reliability/test_full_disk.py::test_a_limit_of_the_system_on_the_size_of_files_is_a_full_disk",),
    ),
    Mutant(
        "several devices: a run that is asked to end leaves their processes",
        "training/fit.py",
        "        end_processes(trainer)\n",
        "",
        ("tests/reliability/test_ending.py::test_a_run_with_several_devices_ends_in_time",),
    ),
    Mutant(
        "search: an interrupted trial is not run again",
        "search/study.py",
        "            _run_again(study, trial)\n",
        "",
        (
            "tests/search/test_study.py",
            "tests/end_to_end/test_tune.py::test_a_killed_search_goes_on_and_ends_as_if_it_had_not_been_killed",
        ),
    ),
)


def _beside_the_sources(folder: str, names: list[str]) -> set[str]:
    left_out = {name for name in names if name == "__pycache__"}
    if Path(folder) == REPOSITORY:
        left_out |= {name for name in names if name.startswith(".") or name in NOT_TAKEN}
    return left_out


def failures(tests: Iterable[str], copy: Path) -> str:
    """Run tests in a copy of the repository; return what pytest said when one failed, nothing when all passed.

    Raises:
        SystemExit: they could not be run.
    """
    done = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", *PYTEST, *tests],
        cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in (0, TESTS_FAILED):
        raise SystemExit(f"pytest {' '.join(tests)} ended with:\n{done.stdout}{done.stderr}")
    return done.stdout if done.returncode else ""


def caught(mutant: Mutant, copy: Path) -> bool:
    """Tell whether the mutant's tests fail in a copy of the repository, which is as it was afterwards.

    Raises:
        SystemExit: the old text is not there, or the tests could not be run.
    """
    path = copy / "pneumobench" / mutant.file
    text = path.read_text()
    if (count := text.count(mutant.old)) != 1:
        raise SystemExit(
            f"{mutant.name}: found {count} times in pneumobench/{mutant.file}, expected once:\n{mutant.old}\n"
            "Write this row of tests/mutants.py anew."
        )
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        return bool(failures(mutant.tests, copy))
    finally:
        path.write_text(text)


def main(words: list[str]) -> int:
    """Make the mutants whose name has one of the words, or all; 1 when one of them lives."""
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(REPOSITORY, Path(folder) / "copy", ignore=_beside_the_sources))
        if said := failures(dict.fromkeys(test for mutant in chosen for test in mutant.tests), copy):
            raise SystemExit(f"the tests fail without any mutant; mend that first:\n{said}")
        for mutant in chosen:
            found = caught(mutant, copy)
            alive += not found
            print("caught" if found else "ALIVE ", mutant.name, flush=True)
    return int(alive > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
