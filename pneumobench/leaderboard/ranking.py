"""Run folder -> leaderboard: every displayed number recomputed from records and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pneumobench.datasets.index import unknown_patients
from pneumobench.leaderboard.board import STATE_ORDER, Ensemble, FailedJob, Leaderboard
from pneumobench.leaderboard.checks import ablation_scores
from pneumobench.leaderboard.ensembles import cross_fitted_weights, ensemble_predictions
from pneumobench.leaderboard.lung_attention import attention_with_outcomes, summaries
from pneumobench.leaderboard.map_checks import method_summaries
from pneumobench.leaderboard.provenance import provenance_of
from pneumobench.leaderboard.rows import (
    NO_HEAT_MAPS,
    Entry,
    HeatMaps,
    Place,
    cost_together,
    job_state,
    leaderboard_row,
    scored_entry,
    summed_cost,
)
from pneumobench.leaderboard.scores import fold_model
from pneumobench.leaderboard.shared_folds import of_folds, shared_folds
from pneumobench.metrics.comparison import (
    SIGNIFICANCE,
    AucDifference,
    differences_from,
    paired_auc_differences,
    top_group,
)
from pneumobench.records.job_record import JobRecord
from pneumobench.records.jobs_together import missing_controls
from pneumobench.records.loaded_run import GatheredRun, gather
from pneumobench.suite.names import MEAN_ENSEMBLE, WEIGHTED_ENSEMBLE


def rank_run(path: Path, *, check_weights: bool = False) -> Leaderboard:
    """Compute the leaderboard of a run folder; the same files give the same leaderboard, bit for bit.

    Args:
        path: the run.
        check_weights: compare the SHA-256 of weights too.

    Raises:
        RecordError: the folder is not one whole run (see `gather`).
        LeakError: a patient is on two sides of a fold.
    """
    return rank(gather(path, check_weights=check_weights))


def rank(run: GatheredRun) -> Leaderboard:
    """Compute the leaderboard of a run that was read and checked.

    Where no network has completed all folds, the ranking is made on those that all networks have which have any.
    """
    whole, shared = run, shared_folds(run)
    run = of_folds(whole, shared)
    group = run.index["group"]
    of_jobs = [_job_entry(run, name) for name in run.architectures]
    networks = [entry for entry in of_jobs if entry.is_complete_network]
    differences, top = _compared(networks)
    ensembles = _ensembles(run, networks)
    ordered = sorted([*of_jobs, *(ensemble.entry for ensemble in ensembles)], key=_order)
    against_control = _against_control(ordered)
    places = _places(ordered, top, against_control, all_controls=not missing_controls(run.suite, run.records))
    heat_maps = _heat_maps(run, of_jobs)
    rows = tuple(
        leaderboard_row(entry, places[entry.name], heat_maps.get(entry.name, NO_HEAT_MAPS), group) for entry in ordered
    )
    tested = run.index.loc[[image for image in run.folds.tested() if run.folds.test_fold[image] in shared]]
    official = run.index.loc[list(run.folds.official_test)]
    # of protocol `official` the folder itself is what is tested; else all images of the folds were trained on
    apart = tested if run.folds.protocol == "official" else official
    trained = run.index.loc[[image for image in run.folds.trained_on() if image not in apart.index]]
    return Leaderboard(
        suite=run.records[0].suite,
        task=run.suite.task,
        source=run.suite.data.source,
        patient_rule=run.suite.data.patient_rule,
        seed=run.records[0].seed,
        protocol=run.folds.protocol,
        folds=run.folds.count,
        epochs=0 if run.suite.training.is_frozen else run.suite.training.epochs,
        image_side_px=run.suite.data.image_side_px,
        channels=run.suite.data.channels,
        region=run.suite.data.region,
        images=len(tested),
        pneumonia_images=int(tested["label"].sum()),
        patients=int(tested["patient"].nunique()),
        groups=int(tested["group"].nunique()),
        official_images=len(official),
        official_pneumonia_images=int(official["label"].sum()),
        official_patients=int(official["patient"].nunique()),
        official_patients_trained_on=len(set(apart["patient"]) & set(trained["patient"])),
        held_out=run.suite.folds.held_out_fraction > 0,
        rows=rows,
        ensembles=tuple(ensemble.made_of for ensemble in ensembles),
        differences=differences,
        against_control=tuple(against_control.values()),
        failures=tuple(
            FailedJob(architecture=r.architecture, fold=r.fold, status=r.status, reason=r.reason or "")
            for r in whole.records
            if not r.completed
        ),
        ranked_folds=() if len(shared) == run.folds.count else shared,
        provenance=provenance_of(run.records),
        cost=run.cost,
        patients_unknown=int(unknown_patients(run.index.reset_index()).sum()),
        training_images=run.suite.folds.training_images,
        training_seed=run.suite.training.seed,
        notes=run.notes,
        missing=run.missing,
    )


def _job_entry(run: GatheredRun, architecture: str) -> Entry:
    """Return the entry of a network or a control from its completed jobs."""
    records = run.records_of(architecture)
    done = [record for record in records if record.completed]
    state, status = job_state(records, run.folds.count, len(shared_folds(run)))
    return scored_entry(
        architecture,
        [fold_model(record.fold, run.predictions[architecture, record.fold]) for record in done],
        run.index["group"],
        kind="control" if done and done[0].is_control else "network",
        state=state,
        status=status,
        weights_origin=_origin((done or records)[0]) if records else "",
        plugin=records[0].plugin if records else None,
        cost=summed_cost(done),
    )


def _origin(record: JobRecord) -> str:
    """Return where the weights of a network come from, behind what was fitted on its features where it was frozen."""
    fit = record.training.get("fit")
    return f"{fit}:{record.weights_origin}" if fit else record.weights_origin


def _order(entry: Entry) -> tuple[int, float, str]:
    auc = _auc(entry)
    return STATE_ORDER.index(entry.state), 1.0 if np.isnan(auc) else -auc, entry.name


def _auc(entry: Entry) -> float:
    return float("nan") if entry.area is None else entry.area.value


def _places(
    ordered: list[Entry], top: frozenset[str], against_control: Mapping[str, AucDifference], *, all_controls: bool
) -> dict[str, Place]:
    """Return the place of every entry by name.

    Args:
        ordered: all entries, best first.
        top: names of the networks that cannot be told apart from the best.
        against_control: complete networks and ensembles against the best control, by name.
        all_controls: whether every control of the suite is there; a network can fail to clear some, but not clear all.
    """
    ranked = [entry.name for entry in ordered if entry.is_complete_network]
    return {
        entry.name: Place(
            rank=ranked.index(entry.name) + 1 if entry.name in ranked else None,
            in_top_group=entry.name in top,
            clears_controls=_clears(entry.name, against_control, all_controls=all_controls),
        )
        for entry in ordered
    }


def _against_control(ordered: list[Entry]) -> dict[str, AucDifference]:
    """Compare every complete network and ensemble with the best control, by name; nothing where none was run."""
    complete = [entry for entry in ordered if entry.state == "complete" and not np.isnan(_auc(entry))]
    controls = [entry.name for entry in complete if entry.kind == "control"]
    if not controls:
        return {}
    compared = {
        entry.name: entry.area
        for entry in complete
        if entry.area is not None and (entry.kind != "control" or entry.name == controls[0])
    }
    return differences_from(controls[0], compared)


def _clears(name: str, against_control: Mapping[str, AucDifference], *, all_controls: bool) -> bool | None:
    found = against_control.get(name)
    if found is None:
        return None
    clears = found.better == name and found.p_holm < SIGNIFICANCE
    return None if clears and not all_controls else clears


@dataclass(frozen=True, kw_only=True)
class _EnsembleEntry:
    entry: Entry
    made_of: Ensemble


def _ensembles(run: GatheredRun, networks: list[Entry]) -> list[_EnsembleEntry]:
    """Return the ensembles of all complete networks; none of one network."""
    if len(networks) < 2:
        return []
    names = sorted(entry.name for entry in networks)
    folds = shared_folds(run)
    members = {name: {fold: run.predictions[name, fold] for fold in folds} for name in names}
    best = min(networks, key=_order)
    alike = np.full(len(names), 1 / len(names))
    kinds = {
        MEAN_ENSEMBLE: (f"mean of {len(names)} networks", dict.fromkeys(folds, alike)),
        WEIGHTED_ENSEMBLE: (f"weighted mean of {len(names)} networks", cross_fitted_weights(members)),
    }
    found = []
    for name, (origin, weights) in kinds.items():
        entry = scored_entry(
            name,
            [fold_model(fold, table) for fold, table in ensemble_predictions(members, weights).items()],
            run.index["group"],
            kind="ensemble",
            state="complete",
            status=networks[0].status,
            weights_origin=origin,
            plugin=None,
            cost=cost_together([network.cost for network in networks]),
        )
        mean = np.mean(list(weights.values()), axis=0)
        pairs, _ = _compared([entry, best])
        if not pairs:
            return []
        pair = pairs[0]
        made_of = Ensemble(
            name=name,
            weights={names[i]: float(mean[i]) for i in np.argsort(-mean, kind="stable")},
            against_best=pair,
            gain=pair.difference if pair.better == name else -pair.difference,
        )
        found.append(_EnsembleEntry(entry=entry, made_of=made_of))
    return found


def _heat_maps(run: GatheredRun, entries: list[Entry]) -> dict[str, HeatMaps]:
    """Sum up the heat maps of every entry by name; all networks of a fold were explained on the same images."""
    group = run.index["group"]
    heat_maps = {}
    for entry in entries:
        parts = [part for model in entry.models if len(part := run.attention[entry.name, model.fold])]
        table = attention_with_outcomes(pd.concat(parts), entry.predictions) if parts else None
        done = [record for record in run.records_of(entry.name) if record.completed]
        first = next((record.explanation for record in done if record.explanation is not None), None)
        asked = [found for r in done if (found := run.explanations.get((entry.name, r.fold))) is not None]
        heat_maps[entry.name] = HeatMaps(
            attention=() if table is None else summaries(table, group),
            ablation=ablation_scores(asked, group),
            methods=method_summaries(asked, entry.predictions, group),
            layer=first.layer if first else None,
            grid=first.grid if first else None,
        )
    return heat_maps


def _compared(entries: list[Entry]) -> tuple[tuple[AucDifference, ...], frozenset[str]]:
    """Compare all pairs of complete entries; one alone is its own top group. Nothing where no fold has both classes."""
    areas = {entry.name: entry.area for entry in entries if entry.area is not None and not np.isnan(entry.area.value)}
    if not areas:
        return (), frozenset()
    comparison = paired_auc_differences(areas)
    return comparison.differences, frozenset(top_group(comparison))
