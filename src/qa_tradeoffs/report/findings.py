"""Sentences that read the tables: they say what the numbers show, and never more than their intervals do."""

import datetime
from collections.abc import Sequence
from typing import Any

import pandas as pd

from qa_tradeoffs.analysis import compute, tables
from qa_tradeoffs.core.words import counted, listed, percent, plain, points, ratio, seconds, signed
from qa_tradeoffs.metrics.pareto import Gap
from qa_tradeoffs.study import config
from qa_tradeoffs.study.published import ModelName, Published


def kind_of_study(study: config.Study, slugs: Sequence[str]) -> str:
    """What was studied of these models, so that nobody takes a demonstration for a result."""
    generated = isinstance(study.data, config.GeneratedData)
    source = f" ({study.data.name})" if isinstance(study.data, config.HubData) else ""
    texts = "generated text" if generated else f"real text{source}"
    texts += ", some questions without an answer" * bool(study.data.v2)
    warning = "It shows the method; it says nothing about these models' accuracy on SQuAD. " if generated else ""
    return (
        f"This study: {texts}, {_weights([study.models[slug] for slug in slugs])}. {warning}Speed and memory were "
        "measured on untrained weights, which cost the same to compute as trained ones."
    )


def left_out(study: config.Study, slugs: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """Which models and seeds of the study a report is not about; nothing where it is about all."""
    models = [model.label for slug, model in study.models.items() if slug not in slugs]
    runs = [f"seed {seed}" for seed in study.seeds if seed not in seeds]
    parts = [*models, *runs]
    return [f"Part of the study: {listed(parts)} {_is(parts)} left out of this report."] if parts else []


def accuracy(models: pd.DataFrame, differences: pd.DataFrame, baseline: dict[str, float], n: int) -> list[str]:
    """Who answers best, whether that is more than chance, and how far all are from what needs no training."""
    return [
        f"{_best(models, n)} {_lead(models, differences)}{against_baseline(models, baseline)}",
        *_differences(list(differences.itertuples())),
    ]


def over_runs(runs: pd.DataFrame) -> list[str]:
    """How far apart training runs lie in F1, and that this is another uncertainty than that over questions."""
    several = runs[(runs["metric"] == "f1") & (runs["runs"] > 1)]
    if several.empty:
        return ["There is one training run of each model: how far another would lie from it is not known."]
    n = int(several["runs"].min())
    spread = [
        f"{row.model} {row.mean:.1f}, standard deviation {row.sd:.2f}, 95 % t interval {row.low:.1f} to {row.high:.1f}"
        for row in several.itertuples()
    ]
    wide = f" From {n} runs the t interval is wide: it allows for a spread that so few show badly." if n < 10 else ""
    return [
        f"F1 over {counted(n, 'training run')} of each model that was trained, which differ in the seed alone: "
        f"{'; '.join(spread)}.{wide} This spread is not in the intervals over questions, and theirs is not in it."
    ]


def against_published(collected: tables.Collected, models: pd.DataFrame, figures: Published) -> list[str]:
    """Each model's F1 beside what others published of it, where both are of SQuAD v1.1; else why it is not compared."""
    data, scores = collected.study.data, figures.original.scores
    squad = isinstance(data, config.HubData) and data.name.split("/")[-1] == "squad" and not data.v2
    trained = {
        slug: compute.architecture(collected, slug) for slug in models["slug"] if _is_checkpoint(collected, slug)
    }
    said = [
        _beside_published(row, figures, name)
        for _, row in models.iterrows()
        if (name := trained.get(row["slug"])) and squad and tables.questions(collected) == scores.questions
    ]
    if not said:
        return [
            "No score here compares with a published one: those are of published checkpoints, fine-tuned and scored on "
            f"all {scores.questions:,} questions of SQuAD v1.1's development set."
        ]
    return [
        *said,
        "The intervals are over questions. Published figures are of other training runs, which vary as well.",
    ]


def against_baseline(models: pd.DataFrame, baseline: dict[str, float]) -> str:
    """What needs no training, and which models are not shown to answer better."""
    below = models[models["f1_low"] <= baseline["f1_high"]]["model"].tolist()
    reached = f"Lexical overlap without any training reaches {baseline['f1']:.1f}"
    if below:
        return f"{reached}, and {listed(below)} {_is(below)} not shown to do better than that."
    above = models["model"].tolist()
    return f"{reached}, which {'all models' if len(above) > 1 else above[0]} clearly exceed{'s' * (len(above) == 1)}."


def savings(models: pd.DataFrame) -> list[str]:
    """What each other model saves or costs against the model with the most parameters: both figures, and the ratio."""
    large = models.loc[models["parameters"].idxmax()]
    if len(models) == 1:
        return [f"{large['model']} is the only model here, so there is none to compare it with."]
    return [_saving(row, large) for _, row in models[models["slug"] != large["slug"]].iterrows()]


def price(collected: tables.Collected) -> list[str]:
    """Which price the costs are computed with, where it comes from, and whether it is out of date."""
    row = collected.price
    low, high = row.range_usd_per_hour
    rate = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    said = f"Costs are at USD {rate} an hour: {row.machine}, {row.provider}, {row.date} ({row.source}"
    return [
        f"{said}{'; ' + row.note if row.note else ''}).",
        "They are this machine's seconds at that price: what the priced machine would cost only if it is as fast.",
        *filter(None, [row.age_warning(datetime.date.today())]),
    ]


def table_caption(collected: tables.Collected, n: int) -> str:
    """What the table of models shows."""
    return (
        f"Models of the study '{collected.study.title}'. EM and F1 in points with 95 % intervals over "
        f"{counted(n, 'question')}; forward pass and fine-tuning as measured on this machine, "
        f"at the price of {collected.price.machine}."
    )


def describe_training_cost(models: pd.DataFrame) -> str:
    """The chart of F1 against the cost of fine-tuning in words, for those who cannot see it."""
    shown = models[models["train_seconds"].notna()]
    if shown.empty:
        return "Empty chart of F1 against the cost of fine-tuning: no model was fine-tuned in this study."
    named = [f"{row.model} at USD {plain(row.train_usd_low)} and F1 {row.f1:.1f}" for row in shown.itertuples()]
    return f"Scatter chart of F1 against the cost of fine-tuning: {'; '.join(named)}."


def describe_losses(losses: pd.DataFrame) -> str:
    """The chart of losses in words: where each model's loss begins and ends, mean over seeds."""
    if losses.empty:
        return "Empty chart of training losses: no model was fine-tuned in this study."
    ends = losses.groupby(["model", "seed"], sort=False)["loss"].agg(["first", "last"])
    means = ends.groupby("model", sort=False).mean()
    named = [f"{model} from {row['first']:.2f} to {row['last']:.2f}" for model, row in means.iterrows()]
    return f"Line chart of training losses: {'; '.join(named)}."


def describe_timings(timings: pd.DataFrame, work: str) -> str:
    """A chart of timings in words."""
    chosen = timings[timings["work"] == work]
    longest = chosen[chosen["length"] == chosen["length"].max()]
    named = [f"{row.model} {seconds(row.seconds)} at batch {row.batch_size}" for row in longest.itertuples()]
    what = {"forward": "forward pass", "training_step": "training step"}[work]
    return (
        f"Line chart of the time of a {what} against tokens per row; at {chosen['length'].max()} tokens: "
        f"{'; '.join(named)}."
    )


def describe_memory(peaks: pd.DataFrame) -> str:
    """The chart of memory in words."""
    if peaks.empty:
        return "Empty chart of peak memory against batch size: none was measured."
    largest = peaks[peaks["batch_size"] == peaks["batch_size"].max()]
    named = [
        f"{row.model} {'out of memory' if pd.isna(row.mib) else f'{row.mib:,.0f} MiB'} at {row.length} tokens"
        for row in largest.itertuples()
    ]
    batch = f"at batch {peaks['batch_size'].max()}"
    return f"Line chart of peak memory against batch size; {batch}: {'; '.join(named)}."


def describe_published(tradeoff: pd.DataFrame) -> str:
    """The chart of published F1 against measured cost in words."""
    if tradeoff.empty:
        return "Empty chart of published F1 against measured cost: no model of this study has published figures."
    named = [f"{row.model} at USD {plain(row.usd)} and F1 {row.f1:.2f}" for row in tradeoff.itertuples()]
    return f"Scatter chart of published F1 against measured cost: {'; '.join(named)}."


def describe_break_even(money: pd.DataFrame) -> str:
    """The chart of costs against questions in words."""
    named = [
        f"{row.model} starts at USD {plain(row.training_usd)} and rises by USD {plain(row.single_usd)} a million"
        for row in money.fillna({"training_usd": 0}).itertuples()
    ]
    return f"Line chart of USD in all against questions answered: {'; '.join(named)}."


def _weights(models: list[config.Model]) -> str:
    """'published checkpoints fine-tuned here', with the models' names where there are several kinds."""
    kinds: dict[str, list[str]] = {}
    for model in models:
        kinds.setdefault(_start(model), []).append(model.label)
    return ", ".join(f"{kind} ({listed(labels)})" if len(kinds) > 1 else kind for kind, labels in kinds.items())


def _start(model: config.Model) -> str:
    """What the weights that were scored began as."""
    if model.architecture:
        return "models trained from scratch"
    where = "checkpoints from disk" if model.path else "published checkpoints"
    return f"{where} {'as they came' if model.fine_tuned else 'fine-tuned here'}"


def _is_checkpoint(collected: tables.Collected, slug: str) -> bool:
    """Whether a model was a checkpoint of the Hub that this study fine-tuned."""
    model = collected.study.models[slug]
    return model.hub is not None and not model.fine_tuned


def _beside_published(row: Any, figures: Published, name: ModelName) -> str:
    """'BERT reaches F1 88.4 (87.9–88.9) here; published: 88.13 (original study, 2021), within the interval; …'"""
    original = figures.original.scores
    known = [(original.by_model.of(name).f1, original.source)]
    known += [(score.f1, ", ".join(filter(None, [score.name, score.source, score.note])))
              for score in figures.papers.scores if score.model == name]  # fmt: skip
    beside = [
        f"{f1:g} ({source}), {'below' if f1 < row['f1_low'] else 'above' if f1 > row['f1_high'] else 'within'} "
        "the interval"
        for f1, source in known
    ]
    return (
        f"{row['model']} reaches F1 {points(row['f1'], row['f1_low'], row['f1_high'])}; published: {'; '.join(beside)}."
    )


def _best(models: pd.DataFrame, n: int) -> str:
    """'BERT has the highest F1, 81.2 (80.4–82.0) points over 900 questions.'"""
    top = models[models["f1"] == models["f1"].max()]
    best = top.iloc[0]
    has = "reaches an F1 of" if len(models) == 1 else "has the highest F1," if len(top) == 1 else "have the highest F1,"
    means = f" (mean over {best['seeds']} seeds)" if best["seeds"] > 1 else ""
    figure = points(best["f1"], best["f1_low"], best["f1_high"])
    return f"{listed(list(top['model']))} {has} {figure} points over {counted(n, 'question')}{means}."


def _lead(models: pd.DataFrame, differences: pd.DataFrame) -> str:
    """From which models the best one's lead cannot be told from chance; empty where it can from all, or all tie."""
    best = models.loc[models["f1"].idxmax(), "model"]
    pairs = [row for row in differences.itertuples() if best in (row.model, row.other) and row.f1_difference != 0]
    near = [row.other if row.model == best else row.model for row in pairs if not _is_told(row)]
    return f"Its lead over {listed(near)} cannot be told from chance. " if near else ""


def _saving(row: Any, large: Any) -> str:
    """One model's size and times against the largest one's."""
    parts = [f"{_pass(row)} {_compared(row, large)}"]
    if row["train_seconds"] > 0 and large["train_seconds"] > 0:
        ours, theirs = row["train_seconds"], large["train_seconds"]
        parts.append(f"fine-tuning it{', timed once,' * (row['seeds'] == 1)} {_times(ours, theirs)}")
    share = f"{percent(row['parameters'] / large['parameters'])} of the parameters of {large['model']}"
    return f"{row['model']} has {share}; {', and '.join(parts)}."


def _pass(row: Any) -> str:
    return f"its forward pass of {row['latency_batch']} × {row['latency_at']} tokens"


def _compared(row: Any, large: Any) -> str:
    """The times of a forward pass; no ratio where their intervals overlap."""
    if row["latency_low"] <= large["latency_high"] and large["latency_low"] <= row["latency_high"]:
        both = f"({seconds(row['latency'])} against {seconds(large['latency'])})"
        return f"took a time that cannot be told from the other's {both}"
    return _times(row["latency"], large["latency"])


def _times(ours: float, theirs: float) -> str:
    """'was 2.0 times as fast (100 ms against 200 ms)', or 'took 1.3 times as long (…)'."""
    both = f"({seconds(ours)} against {seconds(theirs)})"
    faster, slower = ratio(theirs / ours), ratio(ours / theirs)
    if "1.0" in (faster, slower):
        return f"took about as long {both}"
    return f"was {faster} times as fast {both}" if ours < theirs else f"took {slower} times as long {both}"


def _is_told(row: Any) -> bool:
    """Whether a difference is shown: by the corrected p value and by an interval that leaves out zero."""
    return Gap(row.f1_difference, row.low, row.high, row.p_holm).significant_over_questions


def _differences(rows: list[Any]) -> list[str]:
    """A sentence for each difference that is told; the others, if there are several, in one."""
    untold = [row for row in rows if not _is_told(row)]
    if len(untold) < 2:
        return [_difference(row) for row in rows]
    pairs = "; ".join(f"{row.model} and {row.other}" for row in untold)
    said = f"In {len(untold)} of {counted(len(rows), 'pair')} no difference in F1 can be told from chance: {pairs}."
    return [*(_difference(row) for row in rows if row not in untold), said]


def _difference(row: Any) -> str:
    """One paired comparison in words."""
    model, other = row.model, row.other
    gap, low, high, p = row.f1_difference, row.low, row.high, row.p_holm
    if not _is_told(row):
        return (
            f"No difference in F1 between {model} and {other} can be told from chance (difference {signed(gap)} "
            f"points, 95 % interval {signed(low)} to {signed(high)}, corrected p = {p:.2g})."
        )
    ahead, behind, gap, low, high = (model, other, gap, low, high) if gap > 0 else (other, model, -gap, -high, -low)
    interval = f"95 % interval {low:.1f} to {high:.1f}, corrected p = {p:.2g}"
    return f"{ahead} is {gap:.1f} points of F1 ahead of {behind} ({interval})."


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
