"""Published figures beside those of this machine, as tables and a chart, and what they imply, as a table.

Every number of the audit is computed from the file of published figures.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from qa_tradeoffs.analysis import audit as implied
from qa_tradeoffs.core.words import listed, plain, usd
from qa_tradeoffs.report import charts, display
from qa_tradeoffs.report.display import span
from qa_tradeoffs.study.published import MACHINES, MODELS, ModelName, Published

_LABELS: dict[ModelName, str] = {"bert": "BERT", "distilbert": "DistilBERT", "squeezebert": "SqueezeBERT"}
Finding = tuple[str, str, str, str, str]  # a row of the table


def scores(beside: pd.DataFrame) -> display.Table:
    """Each model's F1 beside every published one."""
    columns = {
        "model": beside["model"],
        "F1 here": display.with_interval(beside, "f1"),
        "F1 published": beside["published"].map("{:g}".format),
        "source": beside["source"],
        "verdict": beside["verdict"] + " the interval",
    }
    return display.table(columns, "F1 here and as published; intervals over questions", data=beside)


def table(tradeoff: pd.DataFrame) -> display.Table:
    """The original study's scores and times over BERT's beside this machine's."""
    number = "{:.2f}".format
    columns = {
        "model": tradeoff["model"],
        "F1 published in 2021": tradeoff["f1"].map(number),
        "time over BERT's, P100 2021": display.known(tradeoff["p100"], number, "not there then"),
        "time over BERT's, K80 2021": display.known(tradeoff["k80"], number, "not there then"),
        "time over BERT's, here, measured": display.known(tradeoff["relative"], number, "no BERT measured"),
        "million questions here, USD": map(usd, tradeoff["usd_low"], tradeoff["usd_high"]),
    }
    return display.table(columns, "The original's figures beside this machine's", data=tradeoff)


def chart(tradeoff: pd.DataFrame, colours: dict[str, Any]) -> display.Html:
    """The original study's F1 (points) against our measured cost of a million questions (USD; a bar for a range)."""
    if tradeoff.empty:
        return display.none("no model of this study has published figures")
    x = {f"x{end}": tradeoff[f"usd{end}"] for end in ("", "_low", "_high")}
    figure = charts.tradeoff(
        tradeoff.assign(f1_low=tradeoff["f1"], f1_high=tradeoff["f1"], **x),
        "a million questions, one by one, on this machine (USD)",
        colours,
        "F1 on SQuAD as published in 2021 (points)",
    )
    named = [f"{row.model} at USD {plain(row.usd)} and F1 {row.f1:.2f}" for row in tradeoff.itertuples()]
    caption = "Published F1 (SQuAD, 2021) against measured cost (this machine, random weights)."
    return display.figure(figure, "Scatter chart of published F1 against measured cost", named, caption)


def audit(published: Published) -> display.Table:
    """All findings of the audit: inference times first, then memory, money, training and scores."""
    findings = [*_peaks(published), *_ratios(published), *_costs_and_scores(published)]
    columns = ["figure", "published", "implies", "verdict", "source"]
    return display.table(pd.DataFrame(findings, columns=columns), "What the figures published in 2021 imply")


def _peaks(published: Published) -> Iterator[Finding]:
    """The inference times of each model and GPU, against the GPU's peak."""
    rates = implied.rates(published)
    for machine in MACHINES:
        for model in MODELS:
            rows = [rate for rate in rates if (rate.model, rate.machine) == (model, machine)]
            seconds, lengths = [row.seconds for row in rows], [row.length for row in rows]
            yield (
                f"{_LABELS[model]}'s times, {machine.upper()}",
                f"{span(seconds, 4)} s for {rows[0].batch_size} rows of {span(lengths, 0)} tokens",
                f"{span([row.tflops for row in rows], 1)} TFLOP/s, {_percents([row.peak_share for row in rows])} of "
                f"the {published.machines.of(machine).fp32_tflops:g} of the data sheet",
                "possible in fp32" if all(row.possible for row in rows) else "impossible in fp32",
                published.original.inference.source,
            )


def _ratios(published: Published) -> Iterator[Finding]:
    """How many times as fast the small models were."""
    original, papers, rates = published.original, published.papers, implied.rates(published)
    distilbert, squeezebert = (
        [rate.bert_over_model for rate in rates if rate.model == model] for model in ("distilbert", "squeezebert")
    )
    left_out = [implied.time_left_out(ratio, implied.LAYERS_RATIO) for ratio in distilbert]
    hours = original.fine_tuning.by_model
    yield (
        "BERT's time over DistilBERT's",
        f"{span(distilbert, 1)} on both GPUs at all lengths",
        f"{implied.LAYERS_RATIO:.1f} by the layers, {hours.bert.hours / hours.distilbert.hours:.1f} by the hours of "
        f"fine-tuning; the published ratio if both times lack {_percents(left_out)} of BERT's",
        "more than the layers explain" if min(distilbert) > implied.LAYERS_RATIO else "as the layers say",
        original.inference.source,
    )
    less, more = original.distilbert_faster, papers.distilbert_faster
    saved, gained = implied.times_from_less_time(less.percent), implied.times_from_faster(more.percent)
    yield (
        "DistilBERT faster than BERT",
        f"{less.percent:g} %, set beside {more.percent:g} %",
        f"{less.percent:g} % less time: {saved:.1f} times as fast; {more.percent:g} % faster: {gained:.1f} times",
        "different measures, which agree" if round(saved, 1) == round(gained, 1) else "different measures and results",
        f"{less.source}; {more.source}",
    )
    claim = papers.squeezebert_faster
    fewer = [1 / implied.share_of_bert("squeezebert", rate.length) for rate in rates if rate.model == "squeezebert"]
    yield (
        "SqueezeBERT faster than BERT",
        f"{claim.times:g} times as fast on a {claim.machine}",
        f"{span(squeezebert, 1)} times as fast on the two GPUs, with {span(fewer, 1)} times fewer FLOP",
        "not on these GPUs" if max(squeezebert) < claim.times else "on these GPUs too",
        f"{claim.source}; {original.inference.source}",
    )


def _costs_and_scores(published: Published) -> Iterator[Finding]:
    """Memory, money, and SqueezeBERT's hours of fine-tuning with what they led to."""
    original = published.original
    offsets, prices = implied.memory_offsets(published), list(implied.usd_per_hour(published).values())
    fixed = max(offsets) - min(offsets) < 0.01 * min(offsets)
    yield (
        "Memory",
        f"{len(offsets)} pairs of figures, the same model and input on both GPUs",
        f"{span(offsets, 0)} MiB more on the P100 in every pair",
        "part of it is the GPU's, not the model's" if fixed else "no fixed part",
        original.memory.source,
    )
    recipe, spent = original.fine_tuning, original.fine_tuning.by_model
    yield (
        "Cost of fine-tuning",
        listed([f"{spent.of(m).hours:g} h for USD {spent.of(m).usd:.2f} ({_LABELS[m]})" for m in MODELS]),
        f"USD {span(prices, 3)} an hour",
        "hours times one price" if max(prices) - min(prices) < 0.005 else "several prices",
        recipe.source,
    )
    steps, work = implied.training_steps(published), implied.share_of_bert("squeezebert", recipe.length)
    ours, berts = steps["squeezebert"], steps["bert"]
    slower = ours.seconds / berts.seconds
    yield (
        "Hours of fine-tuning",
        f"{spent.squeezebert.hours:g} h for SqueezeBERT, {spent.bert.hours:g} h for BERT",
        f"a training step {slower:.1f} times as long ({ours.seconds:.2f} s, BERT {berts.seconds:.2f} s) with "
        f"{_percents([work])} of the FLOP, at {_percents([ours.peak_share])} of the peak (BERT "
        f"{_percents([berts.peak_share])})",
        "SqueezeBERT used the GPU badly" if slower > work else "as the FLOP say",
        recipe.source,
    )
    scores, gap = original.scores, implied.exact_match_gap(published, "distilbert", "squeezebert")
    yield (
        "SqueezeBERT's lead in EM",
        f"{scores.by_model.squeezebert.exact_match} against {scores.by_model.distilbert.exact_match} of DistilBERT on "
        f"{scores.questions:,} questions",
        f"{gap.points:.2f} points, standard error {gap.error_of_difference:.2f} if the two are independent",
        "significant" if gap.significant else "not significant",
        scores.source,
    )


def _percents(shares: list[float]) -> str:
    return f"{span([100 * share for share in shares], 0)} %"
