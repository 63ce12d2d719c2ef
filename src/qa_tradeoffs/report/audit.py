"""The audit of the published figures as a table: what was published, what it implies, the verdict on it.

Every number is computed from the file of published figures.
"""

from collections.abc import Iterator

import pandas as pd

from qa_tradeoffs.analysis import audit
from qa_tradeoffs.core.words import listed
from qa_tradeoffs.report import display
from qa_tradeoffs.report.display import span
from qa_tradeoffs.study.published import MACHINES, MODELS, ModelName, Published

_LABELS: dict[ModelName, str] = {"bert": "BERT", "distilbert": "DistilBERT", "squeezebert": "SqueezeBERT"}
Finding = tuple[str, str, str, str, str]  # a row of the table


def table(published: Published) -> display.Table:
    """All findings of the audit: inference times first, then memory, money, training and scores."""
    findings = [*_peaks(published), *_ratios(published), *_memory_and_money(published), *_training(published)]
    columns = ["figure", "published", "implies", "verdict", "source"]
    return display.table(pd.DataFrame(findings, columns=columns), "What the figures published in 2021 imply")


def _peaks(published: Published) -> Iterator[Finding]:
    """The inference times of each model and GPU, against the GPU's peak."""
    rates = audit.rates(published)
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
    original, papers, rates = published.original, published.papers, audit.rates(published)
    distilbert, squeezebert = (
        [rate.bert_over_model for rate in rates if rate.model == model] for model in ("distilbert", "squeezebert")
    )
    left_out = [audit.time_left_out(ratio, audit.LAYERS_RATIO) for ratio in distilbert]
    hours = original.fine_tuning.by_model
    yield (
        "BERT's time over DistilBERT's",
        f"{span(distilbert, 1)} on both GPUs at all lengths",
        f"{audit.LAYERS_RATIO:.1f} by the layers, {hours.bert.hours / hours.distilbert.hours:.1f} by the hours of "
        f"fine-tuning; the published ratio if both times lack {_percents(left_out)} of BERT's",
        "more than the layers explain" if min(distilbert) > audit.LAYERS_RATIO else "as the layers say",
        original.inference.source,
    )
    less, more = original.distilbert_faster, papers.distilbert_faster
    saved, gained = audit.times_from_less_time(less.percent), audit.times_from_faster(more.percent)
    yield (
        "DistilBERT faster than BERT",
        f"{less.percent:g} %, set beside {more.percent:g} %",
        f"{less.percent:g} % less time: {saved:.1f} times as fast; {more.percent:g} % faster: {gained:.1f} times",
        "different measures, which agree" if round(saved, 1) == round(gained, 1) else "different measures and results",
        f"{less.source}; {more.source}",
    )
    claim = papers.squeezebert_faster
    fewer = [1 / audit.share_of_bert("squeezebert", rate.length) for rate in rates if rate.model == "squeezebert"]
    yield (
        "SqueezeBERT faster than BERT",
        f"{claim.times:g} times as fast on a {claim.machine}",
        f"{span(squeezebert, 1)} times as fast on the two GPUs, with {span(fewer, 1)} times fewer FLOP",
        "not on these GPUs" if max(squeezebert) < claim.times else "on these GPUs too",
        f"{claim.source}; {original.inference.source}",
    )


def _memory_and_money(published: Published) -> Iterator[Finding]:
    offsets, prices = audit.memory_offsets(published), list(audit.usd_per_hour(published).values())
    fixed = max(offsets) - min(offsets) < 0.01 * min(offsets)
    yield (
        "Memory",
        f"{len(offsets)} pairs of figures, the same model and input on both GPUs",
        f"{span(offsets, 0)} MiB more on the P100 in every pair",
        "part of it is the GPU's, not the model's" if fixed else "no fixed part",
        published.original.memory.source,
    )
    spent = published.original.fine_tuning.by_model
    yield (
        "Cost of fine-tuning",
        listed([f"{spent.of(m).hours:g} h for USD {spent.of(m).usd:.2f} ({_LABELS[m]})" for m in MODELS]),
        f"USD {span(prices, 3)} an hour",
        "hours times one price" if max(prices) - min(prices) < 0.005 else "several prices",
        published.original.fine_tuning.source,
    )


def _training(published: Published) -> Iterator[Finding]:
    """SqueezeBERT's hours of fine-tuning, and what they led to."""
    recipe, steps = published.original.fine_tuning, audit.training_steps(published)
    bert, squeezebert = steps["bert"], steps["squeezebert"]
    work, slower = audit.share_of_bert("squeezebert", recipe.length), squeezebert.seconds / bert.seconds
    yield (
        "Hours of fine-tuning",
        f"{recipe.by_model.squeezebert.hours:g} h for SqueezeBERT, {recipe.by_model.bert.hours:g} h for BERT",
        f"a training step {slower:.1f} times as long ({squeezebert.seconds:.2f} s, BERT {bert.seconds:.2f} s) with "
        f"{_percents([work])} of the FLOP, at {_percents([squeezebert.peak_share])} of the peak (BERT "
        f"{_percents([bert.peak_share])})",
        "SqueezeBERT used the GPU badly" if slower > work else "as the FLOP say",
        recipe.source,
    )
    scores, gap = published.original.scores, audit.exact_match_gap(published, "distilbert", "squeezebert")
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
