"""What one network does costs only its own job: the run says what it was, goes on, and keeps what is finished."""

from __future__ import annotations

from pathlib import Path

from pneumobench.records.job_record import read_record
from tests.end_to_end.commands import pneumobench
from tests.reliability.faults import SETTINGS, finished, temporary_files

BATCH = 8
# network -> status and reason of its record
FAULTS = {
    "memory": ("failed", f"out of memory, batch {BATCH}"),
    "diverges": ("diverged", "the loss became nan in step 2 (batch 2)"),
    "raises": ("failed", "ValueError: the shapes do not fit"),
    "exits": ("failed", "the architecture's code ended the process: SystemExit(0)"),
    "ends": (
        "failed",
        "SettingsError: architecture 'ends' called os._exit, which would end the run without a word; take the call out "
        "of it.",
    ),
}
LOADER = "a loader process died (training.loader_workers); the system ends processes when memory runs out"


def test_networks_that_fail_cost_only_themselves_and_go_on_when_they_are_mended(folder: Path) -> None:
    run = folder / "runs/smoke"
    before = finished(run)
    assert {"quick/fold-0/record.json", "quick/fold-1/record.json", "control-majority/fold-0/record.json"} <= set(
        before
    )
    command = ("run", "smoke", *SETTINGS, "--architectures", f"{','.join(FAULTS)},quick", "--folds", "0")
    (folder / "fault").touch()
    done = pneumobench(*command, cwd=folder)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    for name, (status, reason) in FAULTS.items():
        record = read_record(run / name / "fold-0/record.json")
        assert (record.status, record.reason) == (status, reason)
        assert f"{name} fold 0 {status}: {reason}" in told
    assert before.items() <= finished(run).items()
    assert pneumobench("leaderboard", "runs/smoke", cwd=folder).returncode == 0, "the manifest holds"

    (folder / "fault").unlink()
    again = pneumobench(*command, "--retry-failed", cwd=folder)
    assert again.returncode == 0, again.stdout
    assert all(read_record(run / name / "fold-0/record.json").completed for name in FAULTS)
    assert before.items() <= finished(run).items()
    assert temporary_files(folder) == []


def test_a_loader_process_that_dies_fails_its_job(folder: Path) -> None:
    before = finished(folder / "runs/smoke")
    (folder / "fault").touch()
    # batches of two: more steps are left than were loaded ahead. Another run, for it is another batch size
    command = ("run", "smoke", *SETTINGS, "--folds", "0", "--name", "loaders", "--training.batch_size", "2")
    done = pneumobench(*command, "--training.loader_workers", "1", "--architectures", "loader,quick", cwd=folder)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert f"loader fold 0 failed: {LOADER}" in " ".join(done.stdout.split())
    assert read_record(folder / "runs/loaders/quick/fold-0/record.json").completed
    assert finished(folder / "runs/smoke") == before


PRINTS = """\
import sys
print("hello from a plugin")
print("and to stderr", file=sys.stderr)
sys.stdout = sys.stderr = None
"""


def test_a_plugin_that_misbehaves_at_import_is_refused_or_put_back(folder: Path) -> None:
    before = finished(folder / "runs/smoke")
    for code, words in (
        ("raise ValueError('no')", "failed while it was imported: ValueError('no')"),
        ("raise SystemExit(0)", "failed while it was imported: SystemExit(0)"),
        ("import os; os._exit(0)", "called os._exit, which would end the run without a word"),
    ):
        (folder / "bad.py").write_text(code)
        done = pneumobench("run", "smoke", *SETTINGS, "--architectures", "quick", "--plugin", "bad.py", cwd=folder)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    (folder / "bad.py").write_text(PRINTS)
    done = pneumobench(
        "run", "smoke", *SETTINGS, "--architectures", "quick", "--plugin", "bad.py", "--json", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{"), "what it prints goes to stderr: the answer stays JSON"
    assert "hello from a plugin" in done.stderr
    assert before.items() <= finished(folder / "runs/smoke").items()
