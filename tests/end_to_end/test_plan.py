"""What a run would do, without doing it."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

from tests.end_to_end.commands import pneumobench


def test_a_plan_judges_by_finished_jobs_and_by_steps_and_trains_nothing(
    smoke: tuple[Path, CompletedProcess[str]],
) -> None:
    folder = smoke[0]
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs/smoke").rglob("*")}
    names = "test_resnet,test_nfnet,crashes"
    words = ("run", "smoke", "--plugin", "ten.py", "--plugin", "broken.py", "--architectures", names, "--plan")
    done = pneumobench(*words, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    finished, new, broken = plan["architectures"]
    assert (finished["name"], finished["finished"], finished["to_run"]) == ("test_resnet", 2, 0)
    assert finished["judged_by"] == "2 jobs"
    assert (new["name"], new["finished"], new["to_run"], new["judged_by"]) == ("test_nfnet", 0, 2, "steps")
    assert (broken["to_run"], broken["seconds_per_job"]) == (0, 0)  # it has failed, and is not asked again
    assert plan["seconds"] == 2 * new["seconds_per_job"] > 0
    assert plan["disk_mib"] > 2 * new["weights_mib"] > 0
    assert plan["images"]["train"] > plan["images"]["tune"] > 0
    again = pneumobench(*words, "--jobs", "2", "--retry-failed", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert "shape mismatch" in " ".join(again.stdout.split())
    assert "4 jobs to run, an unknown time, 2 at the same time" in " ".join(again.stdout.split())
    last = again.stdout.rstrip().splitlines()[-1]
    assert last.startswith("next: pneumobench run smoke")
    assert "--plan" not in last
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs/smoke").rglob("*")} == before


def test_a_plan_refuses_what_the_run_would_refuse_and_makes_no_run(tmp_path: Path) -> None:
    done = pneumobench("run", "smoke", "--plan", "--architectures", "resnet81", cwd=tmp_path)
    assert done.returncode != 0
    assert "resnet81" in done.stderr
    together = pneumobench("run", "smoke", "--plan", "--protocols", "patient,image", cwd=tmp_path)
    assert "--protocols image: expected some of patient," in together.stderr
    assert not (tmp_path / "runs/smoke").exists()
