"""The report's first screen: the answer in a few sentences, the chart behind it, and when to choose which model."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from qa_tradeoffs.core.words import counted, listed, points, ratio, seconds, signed, size, usd
from qa_tradeoffs.metrics.pareto import SIGNIFICANT, Contest, Gap
from qa_tradeoffs.report import charts, display
from qa_tradeoffs.study import config

# A training is timed once: a cost that is lower by less than a tenth is not taken for lower.
_CHEAPER = 0.9
_SMALLER = 0.99  # files of equal weights differ by their headers
_F1 = {
    "better": "significantly higher",
    "worse": "significantly lower",
    "equal": "equal on every question",
    "not significant": "not significantly different",
}
_TIME = {"better": "significantly faster", "not significant": "time not significantly different"}


def answer(
    choices: pd.DataFrame, contest: Contest, study: config.Study, baseline: dict[str, float], n: int
) -> list[str]:
    """Which model is the most accurate, which the fastest and what it gives up, which are dominated; then the limits.

    ``choices`` and ``contest`` are those of the analysis, ``baseline`` is lexical overlap, n the number of questions.
    """
    rows = choices.set_index("model", drop=False)
    best = _preferred(contest.models, rows)
    if len(rows) == 1:
        sentences = [f"{best['model']} is the only model here: F1 {_f1(best, n)}, {_question(best)}."]
    else:
        sentences = [_most_accurate(best, contest, n), _fastest(best, rows, contest), _dominated(rows, contest)]
    return [sentence for sentence in (*sentences, _limits(choices, study, baseline)) if sentence]


def table(choices: pd.DataFrame, contest: Contest, study: config.Study, n: int) -> display.Html:
    """When to choose which model, one row per model."""
    about = "the networks of this study, on generated text" if study.data.source == "generated" else "this study's data"
    caption = (
        f"When to choose which model: for {about}. F1 in points with 95 % intervals over {counted(n, 'question')}; "
        "time is the median of questions answered one by one on this machine."
    )
    return display.table(cells(choices, contest), caption)


def cells(choices: pd.DataFrame, contest: Contest) -> pd.DataFrame:
    """The table of choices as a reader sees it."""
    rows = choices.set_index("model", drop=False)
    return pd.DataFrame(
        {
            "model": choices["model"],
            "when to choose it": [condition(model, rows, contest) for model in choices["model"]],
            "F1": [points(*row) for row in choices[["f1", "f1_low", "f1_high"]].to_numpy()],
            "one question": [seconds(value) for value in choices["question"]],
            "a million, USD": [usd(*pair) for pair in choices["question_usd"]],
            "fine-tuning, USD": [usd(*row) for row in choices[["train_usd_low", "train_usd_high"]].to_numpy()],
            "weights": [size(value) for value in choices["bytes"]],
        }
    )


def condition(model: str, rows: pd.DataFrame, contest: Contest) -> str:
    """When to choose this model; ``rows`` of the table of choices are named by model."""
    if len(contest.models) == 1:
        return "It is the only model of this study."
    if dominators := contest.dominators(model):
        return _against(rows.loc[model], _preferred(dominators, rows), contest, "Dominated by")
    if rivals := contest.rivals(model):
        return _against(rows.loc[model], _preferred(rivals, rows), contest, "Rather")
    accurate, fast = model in contest.most_accurate(), model in contest.fastest()
    goal = {
        (True, True): "accuracy or time matters",
        (True, False): "accuracy matters most",
        (False, True): "time matters most",
        (False, False): "both accuracy and time matter",
    }[accurate, fast]
    higher = [other for other in contest.others(model) if contest.accuracy(model, other) == "better"]
    faster = [other for other in contest.others(model) if contest.speed(model, other) == "better"]
    reasons = [f"F1 significantly higher than {listed(higher)}"] if higher else []
    reasons += [f"significantly faster than {listed(faster)}"] if faster else []
    return f"Choose it if {goal}: {' and '.join(reasons) or 'no other model is significantly better in either'}."


def chart(choices: pd.DataFrame) -> display.Html:
    """F1 against the time of one question, with the Pareto front."""
    return display.figure(charts.f1_against_question(choices), alt=chart_text(choices), caption=chart_caption(choices))


def chart_caption(choices: pd.DataFrame) -> str:
    """How to read the chart, and how it decides what is on the Pareto front."""
    if len(choices) == 1:
        return "F1 against the time of one question, of the network that was scored."
    standings, several = set(choices["standing"]), choices["seeds"].max() > 1
    line = "the grey line joins them" if "front" in standings else "no model is, so no line is drawn"
    parts = [
        "F1 against the time of one question, both of the networks that were scored.",
        "Filled: on the Pareto front, significantly better than every other model in F1 (paired by question, corrected "
        f"p < {SIGNIFICANT}{', training runs do not overlap' if several else ''}) or in time (intervals do not "
        f"overlap); {line}.",
    ]
    if "unclear" in standings:
        parts.append("Hollow: may be on it; the differences are not significant.")
    if "dominated" in standings:
        parts.append("Cross: dominated, another model is as accurate and significantly faster.")
    return " ".join(parts)


def chart_text(choices: pd.DataFrame) -> str:
    """The chart in words, for those who cannot see it."""
    where = {"front": "on the Pareto front", "unclear": "perhaps on the Pareto front"}
    named = [
        f"{row.model} at {seconds(row.question)} and F1 {row.f1:.1f}, {where.get(str(row.standing), row.standing)}"
        for row in choices.itertuples()
    ]
    return f"Scatter chart of F1 against the time of one question: {'; '.join(named)}."


def _most_accurate(best: Any, contest: Contest, n: int) -> str:
    name = best["model"]
    lower = [other for other in contest.others(name) if contest.accuracy(name, other) == "better"]
    alike = [other for other in contest.others(name) if other not in lower]
    parts = [f"significantly higher than {listed(lower)}"] if lower else []
    parts += [f"statistically indistinguishable from {listed(alike)}"] if alike else []
    overlap = [other for other in alike if contest.gap(name, other).significant_over_questions]
    why = f" (training runs overlap with {listed(overlap)})" if overlap else ""
    return f"{name} has the highest F1, {_f1(best, n)}: {', '.join(parts)}{why}."


def _fastest(best: Any, rows: pd.DataFrame, contest: Contest) -> str:
    """Which model is the fastest, and what it gives up against the one with the highest F1."""
    fastest = rows.loc[rows["question"].idxmin()]
    name, rival = fastest["model"], best["model"]
    time = _question(fastest)
    if contest.speed(name, rival) == "better":
        times = ratio(best["question"] / fastest["question"])
        time += f" against {seconds(best['question'])} of {rival} ({times} times as fast)"
    if near := [other for other in contest.others(name) if contest.speed(name, other) == "not significant"]:
        time += f", not significantly less than {listed(near)}"
    if name == rival:
        return f"{name} also takes the least time, {time}."
    gap = contest.gap(name, rival)
    return f"{name} takes the least time, {time}; against {rival}, its F1 is {_F1[gap.verdict]} ({_difference(gap)})."


def _dominated(rows: pd.DataFrame, contest: Contest) -> str:
    """'C is dominated by A and D is dominated by B: …'; '' for none."""
    by = {model: contest.dominators(model) for model in contest.models}
    named = [f"{model} is dominated by {_preferred(others, rows)['model']}" for model, others in by.items() if others]
    return f"{listed(named)}: not more accurate, and slower." if named else ""


def _limits(choices: pd.DataFrame, study: config.Study, baseline: dict[str, float]) -> str:
    """What a reader could take the answer for, and must not; '' for nothing."""
    limits = []
    if below := choices[choices["f1_low"] <= baseline["f1_high"]]["model"].tolist():
        verb = "is" if len(below) == 1 else "are"
        limits.append(
            f"Lexical overlap without training reaches F1 {baseline['f1']:.1f}; {listed(below)} {verb} not "
            "significantly better."
        )
    if len(choices) > 1:
        limits.append(_few_runs(choices[choices["train_seconds"].notna()]["seeds"].tolist()))
    if isinstance(study.data, config.GeneratedData):
        built = any(model.architecture for model in study.models.values())
        limits.append(
            f"These are {'small networks trained from scratch' if built else 'models'} on generated text: they show "
            "how the question is answered, not which model to take for real text."
        )
    return " ".join(filter(None, limits))


def _few_runs(runs: list[int]) -> str:
    """What so many training runs of each model that was trained leave open; '' where they are enough."""
    fewest = min(runs, default=0)
    if fewest == 1:
        return "Each model was trained once: another training run may rank them otherwise."
    # Of the orders of two models' runs, two have all of one before all of the other.
    one_in = math.comb(2 * fewest, fewest) / 2
    if fewest == 0 or 1 / one_in < SIGNIFICANT:
        return ""
    return (
        f"Each model was trained {fewest} times: by chance alone, the runs of two models do not overlap in one of "
        f"{one_in:.0f} such studies."
    )


def _against(row: Any, other: Any, contest: Contest, lead: str) -> str:
    """Why ``other`` is to be preferred to a model, and what that one still has for it."""
    name, model = other["model"], row["model"]
    gap, speed = contest.gap(name, model), contest.speed(name, model)
    reasons = _saved(row, other)
    only = f" Choose it only for {listed(reasons)}." if reasons else ""
    times = f"{seconds(other['question'])} against {seconds(row['question'])}"
    return f"{lead} {name}: F1 {_F1[gap.verdict]} ({_difference(gap)}), {_TIME[speed]} ({times}).{only}"


def _saved(row: Any, other: Any) -> list[str]:
    """What a model needs less of than another one, beside time; one that came fine-tuned cost nothing to train here."""
    paid, others_paid = (0.0 if pd.isna(r["train_usd_low"]) else r["train_usd_low"] for r in (row, other))
    reasons = []
    if row["bytes"] < _SMALLER * other["bytes"]:
        reasons.append("smaller weights")
    if paid < _CHEAPER * others_paid:
        reasons.append("cheaper fine-tuning")
    return reasons


def _preferred(names: Sequence[str], rows: pd.DataFrame) -> Any:
    """Of these models the one with the highest F1; of equals the fastest."""
    return rows.loc[list(names)].sort_values(["f1", "question"], ascending=[False, True]).iloc[0]


def _f1(row: Any, n: int) -> str:
    return f"{points(*row[['f1', 'f1_low', 'f1_high']])} over {counted(n, 'question')}"


def _question(row: Any) -> str:
    return f"{seconds(row['question'])} a question"


def _difference(gap: Gap) -> str:
    """'+2.1 points, 95 % interval +1.0 to +3.2, corrected p = 0.001'."""
    overlap = ", training runs overlap" if gap.runs_overlap else ""
    return (
        f"{signed(gap.estimate)} points, 95 % interval {signed(gap.low)} to {signed(gap.high)}, corrected "
        f"p = {gap.p_value:.2g}{overlap}"
    )
