"""What a leaderboard found, in one sentence and a few more, made from its numbers: the answer comes first."""

from __future__ import annotations

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.scores import Scores
from pneumobench.reporting.columns import LUNG_ATTENTION, interval_text, number
from pneumobench.reporting.compared import control_name, control_words
from pneumobench.reporting.words import ranked_folds_words, separate_test
from pneumobench.suite.names import CONTROL_PREFIX
from pneumobench.texts import counted, verb

MOST_NAMES = 3  # written out; more are counted


def finding(board: Leaderboard) -> str:
    """Return the finding as a title: who leads with which area, and what the best shortcut baseline has."""
    leader = _leader(board)
    if leader is None or leader.out_of_fold is None:
        return "No network has completed all folds"
    alone = len(_ranked(board)) == 1
    found = f"{leader.architecture} {'scores' if alone else 'leads with'} AUC {_area(leader.out_of_fold)}"
    found += f" on {shown}" if (shown := ranked_folds_words(board)) else ""
    control = best_control(board)
    if control is None or control.out_of_fold is None:
        return f"{found}; no shortcut baseline stands beside it"
    words = control_words().get(control.architecture, "")
    name = f"{_short(control)}: {words}" if words else _short(control)
    return f"{found}; the best shortcut baseline ({name}) has {number(control.out_of_fold.auc)}"


def finding_details(board: Leaderboard) -> tuple[str, ...]:
    """Return what qualifies the finding, a sentence each: equals, baselines cleared, the separate test, attention."""
    leader = _leader(board)
    if leader is None:
        return ()
    found = (
        _equals(board, leader),
        _cleared(board),
        _separate(board, leader),
        _attention(leader),
        _unfinished(board),
    )
    return tuple(sentence for sentence in found if sentence)


def _leader(board: Leaderboard) -> Row | None:
    return next(iter(_ranked(board)), None)


def _ranked(board: Leaderboard) -> list[Row]:
    return sorted((row for row in board.networks if row.rank), key=lambda row: row.rank or 0)


def best_control(board: Leaderboard) -> Row | None:
    """Return the baseline that networks are compared with; without a comparison, that of the largest area."""
    controls = [row for row in board.rows if row.is_control and row.state == "complete" and row.out_of_fold]
    compared = control_name(board)
    named = [row for row in controls if row.architecture == compared]
    return next(iter(named or sorted(controls, key=_auc, reverse=True)), None)


def _auc(row: Row) -> float:
    return row.out_of_fold.auc if row.out_of_fold else 0.0


def _short(row: Row) -> str:
    return row.architecture.removeprefix(CONTROL_PREFIX)


def _area(scores: Scores) -> str:
    return f"{number(scores.auc)} {interval_text(scores.auc_interval)}".rstrip()


def _equals(board: Leaderboard, leader: Row) -> str:
    if len(_ranked(board)) < 2:
        return ""
    equals = [row.architecture for row in _ranked(board) if row.in_top_group and row is not leader]
    if not equals:
        return f"A paired test by patient tells {leader.architecture} apart from every other network."
    listed = " and ".join(equals) if len(equals) <= MOST_NAMES else counted(len(equals), "network")
    return f"Not told apart from it by a paired test: {listed}."


def _cleared(board: Leaderboard) -> str:
    told = [row for row in _ranked(board) if row.clears_controls is not None]
    control = best_control(board)
    if not told or control is None:
        return ""
    clear = sum(row.clears_controls is True for row in told)
    if len(told) == 1:
        return f"Its AUC is {'' if clear else 'not '}larger than that of {_short(control)} by a paired test."
    larger = f"{verb(clear, 'has')} a larger AUC than {_short(control)} by a paired test"
    return f"{clear} of {counted(len(told), 'network')} {larger}."


def _separate(board: Leaderboard, leader: Row) -> str:
    if leader.official is None:
        return ""
    where = "held-out part" if board.held_out else separate_test(board).lower()
    sentence = f"On the {where} {leader.architecture} scores AUC {_area(leader.official)}"
    control = best_control(board)
    if control is not None and control.official is not None:
        sentence += f", {_short(control)} {number(control.official.auc)}"
    return f"{sentence}."


def _attention(leader: Row) -> str:
    column = LUNG_ATTENTION[0]
    value = column.value(leader)
    if value is None or column.interval is None:
        return ""
    mark = column.mark(leader).strip()
    trust = {"‡": " (the method did not pass its checks here)", "?": " (the method was not checked here)"}.get(mark, "")
    return (
        f"Lung attention of {leader.architecture} against chance: {number(value)} "
        f"{interval_text(column.interval(leader))}, where 0 is chance and 1 all inside the lungs{trust}."
    )


def _unfinished(board: Leaderboard) -> str:
    ranked, asked = len(_ranked(board)), len(board.networks)
    return "" if ranked == asked else f"{asked - ranked} of {counted(asked, 'network')} did not complete all folds."
