"""The report's first screen in words: the answer, and when to choose which model. Says only what is shown."""

import math
from typing import Any

import pandas as pd

from qa_tradeoffs.core.words import counted, listed, plain, points, ratio, seconds, signed, size, usd
from qa_tradeoffs.metrics.choice import SIGNIFICANT, Contest, Gap
from qa_tradeoffs.report.findings import against_baseline
from qa_tradeoffs.study import config

# A training is timed once: a cost that is lower by less than a tenth is not taken for lower.
_CHEAPER = 0.9
_SMALLER = 0.99  # files of equal weights differ by their headers


def answer(
    choices: pd.DataFrame, contest: Contest, study: config.Study, baseline: dict[str, float], n: int
) -> list[str]:
    """Who answers best, who is fastest and what that one gives up, who is behind in both; then what limits this."""
    rows = choices.set_index("model", drop=False)
    limits = _limits(choices, study, baseline)
    if len(rows) == 1:
        return [_only_one(rows.iloc[0], n), *limits]
    said = [_most_accurate(rows, contest, n), _fastest(rows, contest), _dominated(rows, contest)]
    return [*filter(None, said), *limits]


def shown(choices: pd.DataFrame, contest: Contest) -> pd.DataFrame:
    """The table 'Choose this model if …', one row per model."""
    rows = choices.set_index("model", drop=False)
    return pd.DataFrame(
        {
            "model": choices["model"],
            "choose it if …": [condition(model, rows, contest) for model in choices["model"]],
            "F1": [points(*row) for row in choices[["f1", "f1_low", "f1_high"]].to_numpy()],
            "one question": [seconds(value) for value in choices["question"]],
            "a million, USD": [usd(*pair) for pair in choices["question_usd"]],
            "fine-tuning, USD": [usd(*row) for row in choices[["train_usd_low", "train_usd_high"]].to_numpy()],
            "weights": [size(value) for value in choices["bytes"]],
        }
    )


def caption(study: config.Study, n: int) -> str:
    """What the table of choices is about, and what it rests on."""
    about = "the networks of this study, on generated text" if study.data.source == "generated" else "this study's data"
    return (
        f"Choose this model if …: for {about}. F1 in points with 95 % intervals over {counted(n, 'question')}; time is "
        "the median of questions answered one by one on this machine."
    )


def condition(model: str, rows: pd.DataFrame, contest: Contest) -> str:
    """When to choose this model, from what is shown of it and every other one; ``rows`` are named by model."""
    if len(contest.models) == 1:
        return "It is the only one in this study."
    row = rows.loc[model]
    if dominators := contest.dominators(model):
        return _never(row, _preferred(dominators, rows), contest)
    if rivals := contest.rivals(model):
        return _rather(row, _preferred(rivals, rows), contest)
    return _strengths(row, rows, contest)


def chart_caption(choices: pd.DataFrame) -> str:
    """How to read the chart, and how it decides what is on the front."""
    kinds, runs = set(choices["standing"]), ", training runs apart" * bool(choices["seeds"].max() > 1)
    if len(choices) == 1:
        return "F1 against the time of one question, of the network that was scored."
    line = "the grey line joins them" if "front" in kinds else "no model is, so no line is drawn"
    return " ".join(
        [
            "F1 against the time of one question, both of the networks that were scored.",
            "Filled: on the Pareto front; each is shown to beat every other model, in F1 (paired by question, "
            f"corrected p < {SIGNIFICANT}{runs}) or in time (intervals apart); {line}.",
            *["Hollow: may be on it; the differences are too small to tell."] * ("unclear" in kinds),
            *["Cross: not on it; another model is shown to be as accurate and faster."] * ("dominated" in kinds),
        ]
    )


def describe(choices: pd.DataFrame) -> str:
    """The chart of the tradeoff in words."""
    where = {"front": "on the front", "unclear": "not told from the front", "dominated": "behind the front"}
    named = [
        f"{row.model} at {seconds(row.question)} and F1 {row.f1:.1f}, {where[str(row.standing)]}"
        for row in choices.itertuples()
    ]
    return f"Scatter chart of F1 against the time of one question: {'; '.join(named)}."


def _only_one(row: Any, n: int) -> str:
    figure = points(*row[["f1", "f1_low", "f1_high"]])
    return f"{row['model']} is the only model here: F1 {figure} over {counted(n, 'question')}, {_took(row)}."


def _most_accurate(rows: pd.DataFrame, contest: Contest, n: int) -> str:
    best = _best(rows)
    name, figure = best["model"], f"{points(*best[['f1', 'f1_low', 'f1_high']])} over {counted(n, 'question')}"
    same = [other for other in contest.others(name) if contest.accuracy(name, other) == "equal"]
    near = [other for other in contest.others(name) if contest.accuracy(name, other) == "unclear"]
    told = [other for other in contest.others(name) if contest.accuracy(name, other) == "better"]
    who = f"{listed([name, *same])}{', which score alike on every question,' if same else ''}"
    if near:
        have = "have" if same else "has"
        lead = f"{'their' if same else 'its'} lead over {listed(near)} is not shown{_why(contest, name, near)}"
        return f"{who} {have} the highest F1, {figure}; {lead}{f', that over {listed(told)} is' if told else ''}."
    ahead = f", shown to be ahead of {listed(told)}" if told else ""
    return f"{who} answer{'' if same else 's'} best: F1 {figure}{ahead}."


def _why(contest: Contest, name: str, near: list[str]) -> str:
    """Why a lead is not shown, where it is not for the number of questions."""
    runs = [other for other in near if contest.gap(name, other).told_over_questions]
    return f" (training runs of {listed([name, *runs])} overlap)" if runs else ""


def _fastest(rows: pd.DataFrame, contest: Contest) -> str:
    """Who is fastest, and what that one gives up against the model with the highest F1."""
    best, quick = _best(rows), rows.loc[rows["question"].idxmin()]
    name, rival = quick["model"], best["model"]
    near = [other for other in contest.others(name) if contest.speed(name, other) == "unclear"]
    also = "also " * (name == rival)
    said = f"{name} is {also}the fastest, {_took(quick)}"
    if near:
        said = f"{name} {also}took the least time, {_took(quick)}, but {listed(near)} may be as fast"
    if name == rival:
        return f"{said}."
    if rival not in near:
        times = ratio(best["question"] / quick["question"])
        said += f" against {seconds(best['question'])} of {rival} ({times} times as fast)"
    return f"{said}; {_given_up(contest.gap(rival, name), rival)}."


def _given_up(gap: Gap, rival: str) -> str:
    """What the fastest model gives up against ``rival``, which is ahead by ``gap``."""
    if gap.verdict == "equal":
        return f"it scores as {rival} on every question"
    if gap.verdict == "better":
        said = f"it is {gap.estimate:.1f} points of F1 behind {rival} (95 % interval {_bounds(gap)}"
    else:
        said = f"no loss of F1 against {rival} is shown ({_shown(gap.turned())}"
        if _for_chance(gap) in said:
            return f"{said})"
    return f"{said}, corrected p = {gap.p_value:.2g})"


def _dominated(rows: pd.DataFrame, contest: Contest) -> str:
    """'C is less accurate and slower than A.', for every model that is."""
    said = []
    for model in contest.models:
        if dominators := contest.dominators(model):
            other = _preferred(dominators, rows)["model"]
            alike = contest.accuracy(model, other) == "equal"
            said.append(f"{model} {'answers alike, but is' if alike else 'is less accurate and'} slower than {other}")
    return f"{'; '.join(said)}." if said else ""


def _limits(choices: pd.DataFrame, study: config.Study, baseline: dict[str, float]) -> list[str]:
    """What a reader could take the answer for, and must not."""
    said = []
    if (choices["f1_low"] <= baseline["f1_high"]).any():
        said.append(against_baseline(choices, baseline))
    if len(choices) > 1:
        said += _few_runs(choices[choices["train_seconds"].notna()]["seeds"].tolist())
    if isinstance(study.data, config.GeneratedData):
        built = any(model.architecture for model in study.models.values())
        said.append(
            f"These are {'small networks trained from scratch' if built else 'models'} on generated text: they show "
            "how the question is answered, not which model to take for real text."
        )
    return [" ".join(said)] if said else []


def _few_runs(runs: list[int]) -> list[str]:
    """What so many training runs of each model that was trained leave open; nothing where they are enough."""
    fewest = min(runs, default=0)
    if fewest == 1:
        return ["Each model was trained once: another training run may rank them otherwise."]
    # Of the orders of two models' runs, two have all of one before all of the other.
    one_in = math.comb(2 * fewest, fewest) / 2
    if fewest == 0 or 1 / one_in < SIGNIFICANT:
        return []
    return [
        f"Each model was trained {fewest} times: by chance alone, the runs of two models lie apart in one of "
        f"{one_in:.0f} such studies."
    ]


def _never(row: Any, other: Any, contest: Contest) -> str:
    """The condition of a model that is dominated by ``other``."""
    gap = contest.gap(other["model"], row["model"])
    accurate = "scores alike on every question" if gap.verdict == "equal" else f"is more accurate ({_shown(gap)})"
    why = f"{other['model']} {accurate} and is faster ({_both(other, row)})"
    reasons = _saved(row, other)
    return f"Only for {listed(reasons)}: {why}." if reasons else f"Never: {why}."


def _rather(row: Any, other: Any, contest: Contest) -> str:
    """The condition of a model that ``other`` beats in one, where the other one tells neither of them."""
    ours, theirs = contest.gap(row["model"], other["model"]), contest.gap(other["model"], row["model"])
    why = (
        f"it is more accurate ({_shown(theirs)}), and no difference in time is shown ({_both(other, row)})"
        if theirs.verdict == "better"
        else f"it is faster ({_both(other, row)}), and no difference in F1 is shown ({_shown(ours)})"
    )
    reasons = _saved(row, other)
    return f"Rather {other['model']}: {why}.{f' What speaks for this one: {listed(reasons)}.' if reasons else ''}"


def _strengths(row: Any, rows: pd.DataFrame, contest: Contest) -> str:
    """The conditions of a model that no other one is to be preferred to."""
    model, pays = row["model"], f"{seconds(row['question'])} a question and USD {usd(*row['question_usd'])} a million"
    accurate, fast = model in contest.most_accurate(), model in contest.fastest()
    ahead = [other for other in contest.others(model) if contest.accuracy(other, model) == "better"]
    if accurate and fast:
        said = ["Accuracy or time matters: no other model is shown to be better in either."]
    elif accurate:
        said = [f"Accuracy matters most, and you can pay {pays}."]
    elif fast:
        said = [f"Time matters most: {pays}. {_behind(model, _preferred(ahead, rows), contest)}"]
    else:
        quicker = rows.loc[[o for o in contest.others(model) if contest.speed(o, model) == "better"]]
        nearest = quicker.loc[quicker["f1"].idxmax()]
        gap = contest.gap(model, nearest["model"])
        said = [
            f"{_preferred(ahead, rows)['model']} takes too long and {nearest['model']} is not accurate enough: "
            f"{_shown(gap)} over {nearest['model']}, for {pays}."
        ]
    if alike := [o for o in contest.others(model) if _alike(contest, model, o)]:
        said.append(f"Neither F1 nor time tells it from {listed(alike)}.")
    if _is_small(row, rows):
        said.append("Memory is scarce: no other model has smaller weights.")
    return " ".join(said)


def _behind(model: str, other: Any, contest: Contest) -> str:
    """How far a model is behind a more accurate one."""
    gap = contest.gap(other["model"], model)
    return f"It gives up {gap.estimate:.1f} points ({_bounds(gap)}) against {other['model']}."


def _preferred(names: list[str], rows: pd.DataFrame) -> Any:
    """Of these models the one with the highest F1; of equals the fastest."""
    return rows.loc[names].sort_values(["f1", "question"], ascending=[False, True]).iloc[0]


def _alike(contest: Contest, model: str, other: str) -> bool:
    return contest.accuracy(model, other) in ("equal", "unclear") and contest.speed(model, other) == "unclear"


def _saved(row: Any, other: Any) -> list[str]:
    """What a model needs less of than another one, beside time."""
    paid, others_paid = (0.0 if pd.isna(r["train_usd_low"]) else r["train_usd_low"] for r in (row, other))
    smaller = [f"weights of {size(row['bytes'])} instead of {size(other['bytes'])}"]
    cheaper = [f"fine-tuning for USD {plain(paid)} instead of {plain(others_paid)}"]
    return smaller * bool(row["bytes"] < _SMALLER * other["bytes"]) + cheaper * bool(paid < _CHEAPER * others_paid)


def _is_small(row: Any, rows: pd.DataFrame) -> bool:
    """Whether no model has smaller weights, and some has larger ones."""
    return bool(row["bytes"] <= rows["bytes"].min() / _SMALLER and row["bytes"] < _SMALLER * rows["bytes"].max())


def _best(rows: pd.DataFrame) -> Any:
    """The model with the highest F1; of equals the fastest."""
    return _preferred(list(rows.index), rows)


def _took(row: Any) -> str:
    return f"{seconds(row['question'])} a question"


def _shown(gap: Gap) -> str:
    """'+2.1 points, 95 % interval 1.0 to 3.2', and why such an interval shows nothing where it is away from zero."""
    overlap = ", but training runs overlap" * (gap.told_over_questions and gap.runs_overlap)
    away = (gap.low > 0 or gap.high < 0) and not gap.told_over_questions
    return f"{signed(gap.estimate)} points, 95 % interval {_bounds(gap)}{overlap}{_for_chance(gap) if away else ''}"


def _for_chance(gap: Gap) -> str:
    return f", but p = {gap.p_value:.2g} once corrected for all comparisons"


def _bounds(gap: Gap) -> str:
    """The interval, with signs where it holds both."""
    return f"{gap.low:.1f} to {gap.high:.1f}" if gap.low > 0 else f"{signed(gap.low)} to {signed(gap.high)}"


def _both(one: Any, other: Any) -> str:
    return f"{seconds(one['question'])} against {seconds(other['question'])}"
