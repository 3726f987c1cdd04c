"""The saved workspace and report: their panels show what is sent, and saving again changes the same ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import wandb

from pneumobench.cli.main import main
from pneumobench.errors import RecordError, SettingsError
from pneumobench.metrics.table import METRICS
from pneumobench.records.run_folder import RunFolder
from pneumobench.records.search_trials import SearchTrial, write_trials
from pneumobench.reporting.wandb_layout import COSTS, CURVES
from pneumobench.reporting.wandb_publishing import publish_to_wandb
from tests.reporting.offline_runs import offline_runs
from tests.reporting.test_wandb_tracking import FakeService, real_wandb, service

__all__ = ["real_wandb", "service"]
SETTINGS = ("training.learning_rate", "training.loss")


class FakeApi:
    """What W&B's server is asked, and an answer as it gives it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import wandb_workspaces.reports.v2.interface as reports
        import wandb_workspaces.workspaces.interface as pages
        import wandb_workspaces.workspaces.internal as workspaces

        self.asked: list[dict[str, Any]] = []
        self.entity: str | None = "team"
        self.fault: Exception | None = None
        monkeypatch.setattr(wandb, "Api", self.api)
        for module in (reports, workspaces):
            monkeypatch.setattr(module, "execute_graphql", self.execute)
        for module in (reports, pages):
            monkeypatch.setattr(module, "get_app_url", lambda api: "https://wandb.example")

    def api(self) -> Any:
        projects = [SimpleNamespace(name="lungs")]
        return SimpleNamespace(default_entity=self.entity, projects=lambda entity: projects)

    def execute(self, api: Any, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        if self.fault is not None:
            raise self.fault
        if "spec" not in variables:  # which project a report is of
            return {"project": {"internalId": "7"}}
        self.asked.append(dict(variables))
        known = {"id": variables.get("id") or f"id-{len(self.asked)}", "name": variables["name"]}
        more = {"displayName": variables["displayName"], "description": "", "spec": variables["spec"]}
        more |= {
            "project": {"name": "lungs", "entityName": "team"},
            "createdAt": "2026-01-01",
            "updatedAt": "2026-01-01",
        }
        return {"upsertView": {"view": {**known, **more}, "inserted": True}}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, service: FakeService) -> FakeApi:
    return FakeApi(monkeypatch)


def _values(*values: Any) -> dict[str, Any]:
    return dict(zip(SETTINGS, values, strict=True))


@pytest.fixture
def search(tmp_path: Path) -> Path:
    """Return the folder of a search of three trials."""
    folder = tmp_path / "demo-search"
    folder.mkdir()
    trials = [
        SearchTrial(number=0, state="completed", values=_values(1e-3, "bce"), value=0.9, epochs=3),
        SearchTrial(number=1, state="pruned", values=_values(1e-1, "bce"), reason="hopeless"),
        SearchTrial(number=2, state="completed", values=_values(1e-4, "focal"), value=0.8, epochs=3),
    ]
    write_trials(folder / "trials.csv", trials, SETTINGS)
    return folder


def _panels(spec: str) -> list[dict[str, Any]]:
    banks = json.loads(spec)["section"]["panelBankConfig"]["sections"]
    return [panel for bank in banks for panel in bank["panels"]]


def test_panels_show_what_is_sent_and_are_saved_once(run: RunFolder, api: FakeApi) -> None:
    told: list[str] = []
    for _ in range(2):
        publish_to_wandb(run.path, mode="online", project="lungs", layout=True, told=told.append)
    workspace, report, again, report_again = api.asked
    assert (workspace["entityName"], workspace["projectName"]) == ("team", "lungs")
    assert "id" not in workspace
    assert (again["id"], again["name"]) == ("id-1", workspace["name"]), "the same workspace"
    assert report_again["id"] == "id-2", "the same report"
    panels = _panels(workspace["spec"])
    assert [panel["config"] for panel in _panels(again["spec"])] == [panel["config"] for panel in panels]
    shown = {key for panel in panels for key in panel["config"].get("metrics", [])}
    assert shown >= {"train_loss", "tune_auc", "summary_metrics.test_auc", "summary_metrics.test_mcc"}
    sent = {f"summary_metrics.test_{name}" for name in METRICS}
    assert shown <= sent | {f"summary_metrics.{name}" for name in COSTS.values()} | set(CURVES.values())
    curves = [panel["config"] for panel in panels if set(panel["config"].get("metrics", [])) & set(CURVES.values())]
    assert {curve["xAxis"] for curve in curves} == {"epoch"}
    assert {panel["config"].get("groupBy", "job.value.architecture") for panel in panels} == {"job.value.architecture"}
    assert "fake" in workspace["spec"], "only the runs of this suite"
    assert all(key.removeprefix("summary_metrics.") in report["spec"] for key in shown)
    assert sum(address.startswith("https://wandb.example/team/lungs") for address in told) == 4


def test_a_search_is_parallel_coordinates(search: Path, api: FakeApi) -> None:
    publish_to_wandb(search, mode="online", project="lungs", layout=True)
    (panel,) = _panels(api.asked[0]["spec"])
    assert panel["viewType"] == "Parallel Coordinates Plot"
    accessors = [column["accessor"] for column in panel["config"]["columns"]]
    assert [name for name in accessors if "learning_rate" in name]
    assert accessors[-1].endswith("value")


def test_trials_are_sent_once_each(search: Path, tmp_path: Path, real_wandb: None) -> None:
    for _ in range(2):
        assert main(["wandb", str(search), "--offline", "--files", str(tmp_path / "w")]) == 0
    runs = offline_runs(tmp_path / "w" / "wandb")  # refuses two runs of one name
    assert set(runs) == {"trial 0", "trial 1", "trial 2"}
    assert runs["trial 0"].config["training.learning_rate"] == 1e-3
    assert runs["trial 0"].summary["value"] == 0.9
    assert runs["trial 1"].tags == ["pruned"]
    assert "value" not in runs["trial 1"].summary
    assert {one.group for one in runs.values()} == {"demo-search"}


def test_what_cannot_be_saved_is_a_clear_error(
    run: RunFolder, search: Path, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="leave out --offline"):
        publish_to_wandb(run.path, mode="offline", layout=True)
    api.fault = ValueError("permission\ndenied")
    with pytest.raises(SettingsError, match="the layout was not saved: permission denied"):
        publish_to_wandb(run.path, mode="online", layout=True)
    api.entity = None
    with pytest.raises(SettingsError, match="set WANDB_ENTITY"):
        publish_to_wandb(run.path, mode="online", layout=True)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    with pytest.raises(SettingsError, match="uv sync --extra layout"):
        publish_to_wandb(run.path, mode="online", layout=True)


@pytest.mark.parametrize(
    ("text", "words"), [("a,b\n1,2\n", "found no column 'number'"), ("\xff\x00,\n", "found no"), ("", "found no table")]
)
def test_a_table_that_is_none_is_named(text: str, words: str, search: Path, service: FakeService) -> None:
    (search / "trials.csv").write_text(text, encoding="latin-1")
    with pytest.raises(RecordError, match=words):
        publish_to_wandb(search, mode="offline")
    table = pd.DataFrame(columns=["number", "state", "value", "epochs", "seconds", "reason"])
    table.to_csv(search / "trials.csv", index=False)
    with pytest.raises(SettingsError, match="no trial is finished"):
        publish_to_wandb(search, mode="offline")
