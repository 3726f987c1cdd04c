from __future__ import annotations

from tests.leaderboard.conftest import fake_run_template, run

__all__ = ["fake_run_template", "run"]
