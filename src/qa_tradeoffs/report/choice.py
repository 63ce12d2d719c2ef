"""The report's first screen: the answer in a few sentences, the chart behind it, and when to choose which model."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from qa_tradeoffs.core.words import counted, listed, plain, points, seconds, signed, size, usd
from qa_tradeoffs.metrics.pareto import SIGNIFICANT, Contest, Gap
from qa_tradeoffs.report import charts, display

# What a model may save over another, besides time: the column, and the share of the other's below which it counts.
_SAVINGS = {
    "smaller weights": ("bytes", 0.9),
    "cheaper training": ("train_usd_low", 0.9),
}
_F1 = {
    "better": "significantly higher",
    "worse": "significantly lower",
    "equal": "equal on every question",
    "not significant": "not significantly different",
}
_OVER_QUESTIONS = {"better": "significantly higher (over questions)", "worse": "significantly lower (over questions)"}
_TIME = {"better": "it is significantly faster", "not significant": "its time is not significantly different"}
_NAMED = 4  # a sentence names at most this many models
_CAPTION = "F1 against the time of one question, for the networks that were scored"
_BY_ENGINE = ": a colour for each model, a shape for each engine"
# How a point is drawn with one engine and with several, and what that means.
_STANDINGS = {
    "front": ("Filled", "Filled and large", "on the Pareto front; the grey line joins these points"),
    "unclear": ("Hollow", "Hollow", "may be on the front; some of its differences are not significant"),
    "dominated": ("Cross", "Small and pale", "dominated"),
    "not learned": ("Triangle", "Triangle", "not significantly above lexical overlap, so not compared"),
}


def answer(choices: pd.DataFrame, contest: Contest, baseline: dict[str, float], n: int) -> list[str]:
    """Three sentences at most: the most accurate model, the fastest and what it gives up, and what else matters most.

    The last is about models that have not learned the task, or else about one that leads in both, or else about
    dominated ones. ``choices`` and ``contest`` are as in the analysis, ``baseline`` is lexical overlap, n the number of
    questions.
    """
    rows = choices.set_index("model", drop=False)
    learned, others = rows[rows["learned"]], rows[~rows["learned"]]
    sentences = _comparison(learned, contest, n)
    if len(others):
        return [*sentences, _not_learned(others, baseline)]
    return [*sentences, *(_both(learned, contest) or _dominated(contest))[:1]]


def limits(choices: pd.DataFrame) -> list[str]:
    """What the answer must not be taken for: a ranking over training runs, if a model was trained only once."""
    trained = choices[choices["train_seconds"].notna()]
    once = trained[trained["seeds"] == 1]
    if len(choices) == 1 or once.empty:
        return []
    models = list(once["of"].unique())
    were = "was" if len(models) == 1 else "were"
    named = f"{listed(models)} {were}" if len(once) < len(trained) else "Each model was"
    return [
        f"{named} trained once, and compared in F1 over questions only: another training run may rank the models "
        "differently."
    ]


def table(choices: pd.DataFrame, contest: Contest, n: int) -> display.Table:
    """When to choose which model: one row per model, the models to choose first, dominated ones last."""
    rows = choices.assign(rank=[_rank(row, contest) for _, row in choices.iterrows()])
    rows = rows.sort_values("rank", kind="stable").set_index("model", drop=False)
    rows = rows.fillna({"train_usd_low": 0.0})  # a model that came fine-tuned cost nothing to train here
    trained = choices.set_index("model").loc[rows.index]
    columns = {
        "model": rows["model"].tolist(),
        "when to choose it": [_condition(row, rows, contest) for _, row in rows.iterrows()],
        "F1": display.with_interval(rows, "f1"),
        "one question": display.timed(rows),
        "a million questions, USD": [usd(*pair) for pair in rows["million_usd"]],
        "training, USD": map(usd, trained["train_usd_low"], trained["train_usd_high"]),
        "on disk": rows["bytes"].map(size).tolist(),
    }
    over = display.covered(counted(n, "question"), choices["seeds"])
    caption = (
        f"When to choose which model, for this study's data. F1 in points, with 95 % intervals over {over}. Time: one "
        "question, answered alone; all models were timed in turn."
    )
    return display.table(columns, caption)


def chart(choices: pd.DataFrame) -> display.Picture:
    """F1 (points) against the time of one question (milliseconds), with the Pareto front as stairs.

    Models on the front are filled points, models that may be on it hollow points, dominated models crosses.
    """
    drawn = choices.assign(**{f"x{end}": 1e3 * choices[f"question{end}"] for end in ("", "_low", "_high")})
    label = "one question (ms, 95 % interval over passes)"
    figure = charts.tradeoff(drawn, label, charts.palette(choices))
    axes = figure.axes[0]
    front = drawn[drawn["standing"] == "front"].sort_values("x")
    if len(drawn) > 1 and not front.empty:
        right, bottom = axes.get_xlim()[1], axes.get_ylim()[0]
        times, scores = [*front["x"], right], [bottom, *front["f1"]]
        axes.step(
            [times[0], *times], [*scores, scores[-1]], where="post", color="0.6", linewidth=1.2, zorder=1,
            label="Pareto front",
        )  # fmt: skip
    where = {"front": "on the Pareto front", "unclear": "perhaps on the Pareto front"}  # others keep their names
    named = [
        f"{row.model} at {seconds(row.question)} and F1 {row.f1:.1f}, {where.get(row.standing, row.standing)}"
        for row in choices.itertuples()
    ]
    several = "engine" in drawn and drawn["engine"].nunique() > 1
    figures = zip(drawn.itertuples(), display.with_interval(drawn, "f1"), strict=True)
    hover = [
        display.Point(axes, row.x, row.f1, f"{row.model}: {seconds(row.question)}, F1 {f1}") for row, f1 in figures
    ]
    what = "Scatter chart of F1 against the time of one question"
    return display.figure(figure, what, named, _caption(set(drawn["standing"]), several=several), hover)


def _caption(standings: set[str], *, several: bool) -> str:
    """What the chart shows, and the meaning of each kind of mark in it."""
    marks = [
        f"{with_engines if several else alone}: {meaning}."
        for name, (alone, with_engines, meaning) in _STANDINGS.items()
        if name in standings
    ]
    significant = f"P values are corrected; below {SIGNIFICANT} is significant."
    return " ".join([f"{_CAPTION}{_BY_ENGINE if several else ''}.", *marks, significant])


def _comparison(rows: pd.DataFrame, contest: Contest, n: int) -> list[str]:
    """The most accurate and the fastest of the models that have learned the task; nothing if there are none."""
    if rows.empty:
        return []
    best = _preferred(contest.models, rows)
    f1 = f"{points(*best[['f1', 'f1_low', 'f1_high']])} over {counted(n, 'question')}"
    if len(rows) == 1:
        return [f"{best['model']} is the only model to choose: F1 {f1}, {seconds(best['question'])} a question."]
    return [_most_accurate(best["model"], f1, contest), _fastest(best, rows, contest)]


def _both(rows: pd.DataFrame, contest: Contest) -> list[str]:
    """The models that none beats in accuracy or time; nothing if there are none, or if one is first in both."""
    leading = [model for model in contest.most_accurate() if model in contest.fastest()]
    if len(rows) < 2 or not leading or rows["f1"].idxmax() == rows["question"].idxmin():
        return []
    good = "good in both accuracy and time: no other model is significantly more accurate or faster"
    if len(leading) > 1:
        return [f"{_some(leading, 'models')} are {good}."]
    model = rows.loc[leading[0]]
    figures = f"F1 {model['f1']:.1f}, {seconds(model['question'])} a question"
    return [f"{model['model']} is {good} ({figures})."]


def _dominated(contest: Contest) -> list[str]:
    """Which models are dominated; nothing if none is."""
    models = [model for model in contest.models if contest.dominators(model)]
    if not models:
        return []
    are = f"{len(models)} of {len(contest.models)} models {'is' if len(models) == 1 else 'are'} dominated"
    named = f" ({listed(models)})" if len(models) <= _NAMED else ""
    why = "another one is significantly faster and has a significantly higher F1, or the same on every question"
    return [f"{are}{named}: {why}."]


def _not_learned(rows: pd.DataFrame, baseline: dict[str, float]) -> str:
    """Which models answer no better than lexical overlap, and what would help."""
    have, are, they = ("has", "is", "it is") if len(rows) == 1 else ("have", "are", "they are")
    named = listed([f"{model} (F1 {f1:.1f})" for model, f1 in rows["f1"].items()])
    helps = []
    if rows["train_seconds"].notna().any():
        helps.append("more updates (`training.epochs`, or more questions) or another `training.learning_rate`")
    if rows["train_seconds"].isna().any():
        helps.append("a checkpoint that was fine-tuned on such questions")
    return (
        f"{named} {have} not learned the task yet and {are} not recommended: {they} not significantly above F1 "
        f"{baseline['f1']:.1f}, which lexical overlap reaches without any training. What would help: "
        f"{'; or '.join(helps)}."
    )


def _most_accurate(best: str, f1: str, contest: Contest) -> str:
    alike = [other for other in contest.others(best) if contest.accuracy(best, other) != "better"]
    parts = _more_accurate(best, contest)
    parts += [f"statistically indistinguishable in F1 from {_some(alike)}"] if alike else []
    return f"{best} has the highest F1, {f1}: it is {', and '.join(parts)}."


def _fastest(best: Any, rows: pd.DataFrame, contest: Contest) -> str:
    """Which model is the fastest, and what it gives up against the one with the highest F1."""
    fastest = rows.loc[rows["question"].idxmin()]
    name, rival = fastest["model"], best["model"]
    time, parts = f"the least time, {seconds(fastest['question'])} a question", list[str]()
    if name != rival and contest.speed(name, rival) == "better":
        times = contest.ratio(rival, name)
        parts.append(f"{plain(times.value)} times as fast as {rival} ({plain(times.low)} to {plain(times.high)})")
    if near := [other for other in contest.others(name) if contest.speed(name, other) == "not significant"]:
        parts.append(f"not significantly faster than {_some(near)}")
    compared = f": it is {', and '.join(parts)}" if parts else ""
    if name == rival:
        return f"{name} also takes {time}{compared}."
    gap = contest.gap(name, rival)
    return (
        f"{name} takes {time}{compared}; compared with {rival}, its F1 is {_f1(gap)}, "
        f"{signed(gap.estimate)} points ({signed(gap.low)} to {signed(gap.high)})."
    )


def _rank(row: Any, contest: Contest) -> int:
    """0: a model to choose, 1: another is preferable, 2: dominated, 3: it has not learned the task."""
    if not row["learned"]:
        return 3
    return 2 if contest.dominators(row["model"]) else 1 if contest.rivals(row["model"]) else 0


def _condition(row: Any, rows: pd.DataFrame, contest: Contest) -> str:
    """When to choose the model of this row; all ``rows`` are named by model."""
    model, others = row["model"], contest.others(row["model"])
    if not row["learned"]:
        return "For nothing yet: it has not learned the task (F1 not significantly above lexical overlap)."
    if not others:
        return "It is the only model to choose."
    for lead, preferable in (("Dominated by", contest.dominators(model)), ("Prefer", contest.rivals(model))):
        if preferable:
            other = _preferred(preferable, rows)
            f1 = _f1(contest.gap(other["model"], model))
            time = _TIME[contest.speed(other["model"], model)]
            rivals = rows.loc[[o for o in others if not _gives_up(o, model, contest)]]
            saved = [
                what
                for what, (column, share) in _SAVINGS.items()
                if row[column] < share * other[column] and not (rivals[column] <= row[column]).any()
            ]
            only = f" Choose this one only for {listed(saved)}." if saved else ""
            return f"{lead} {other['model']}: its F1 is {f1}, and {time}.{only}"
    leading = {"accuracy": contest.most_accurate(), "time": contest.fastest()}
    goals = [what for what, models in leading.items() if model in models]
    faster = [other for other in others if contest.speed(model, other) == "better"]
    reasons = _more_accurate(model, contest)
    reasons += [f"significantly faster than {_some(faster)}"] if faster else []
    why = f"it is {', and '.join(reasons)}" if reasons else "no other model is significantly better in either"
    return f"Choose it for {' or '.join(goals) or 'a compromise between accuracy and time'}: {why}."


def _gives_up(other: str, model: str, contest: Contest) -> bool:
    """Whether the other model is significantly worse in accuracy or in time."""
    return "worse" in (contest.accuracy(other, model), contest.speed(other, model))


def _more_accurate(model: str, contest: Contest) -> list[str]:
    """'significantly more accurate than A and B': the models that it beats in F1, by the words for each."""
    words: dict[str, list[str]] = {}
    for other in contest.others(model):
        if contest.accuracy(model, other) == "better":
            over = " (over questions)" if contest.gap(model, other).over == "questions" else ""
            words.setdefault(f"significantly more accurate{over}", []).append(other)
    return [f"{more} than {_some(others)}" for more, others in words.items()]


def _some(models: Sequence[str], noun: str = "others") -> str:
    """The models by name, or their number if a sentence would be too long; the table names all."""
    return listed(models) if len(models) <= _NAMED else f"{len(models)} {noun}"


def _f1(gap: Gap) -> str:
    """How the F1 of the first model of a gap compares; weaker words if the verdict is over questions only."""
    words = _F1 | _OVER_QUESTIONS if gap.over == "questions" else _F1
    # The interval is of this pair alone, and the p value corrected for all pairs: they can seem to disagree.
    corrected = gap.verdict == "not significant" and not gap.low <= 0 <= gap.high
    return words[gap.verdict] + (" after correction for all pairs" if corrected else "")


def _preferred(names: Sequence[str], rows: pd.DataFrame) -> Any:
    """The model with the highest F1; the fastest wins ties."""
    return rows.loc[list(names)].sort_values(["f1", "question"], ascending=[False, True]).iloc[0]
