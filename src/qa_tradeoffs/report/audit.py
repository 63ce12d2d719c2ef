"""The audit of the published figures as a table: what was published, what it implies, the verdict on it.

Every number is computed from the file of published figures.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from qa_tradeoffs.analysis import audit
from qa_tradeoffs.core.words import listed
from qa_tradeoffs.report import display
from qa_tradeoffs.study.published import MACHINES, MODELS, ModelName, Published

_LABELS: dict[ModelName, str] = {"bert": "BERT", "distilbert": "DistilBERT", "squeezebert": "SqueezeBERT"}


@dataclass(frozen=True)
class Finding:
    """One row of the audit."""

    figure: str
    published: str
    implies: str
    verdict: str
    source: str


def table(published: Published) -> display.Html:
    """All findings of the audit."""
    rows = pd.DataFrame([asdict(finding) for finding in findings(published)])
    return display.table(rows, "What the figures published in 2021 imply")


def findings(published: Published) -> list[Finding]:
    """Inference times first, then memory, money, training and scores."""
    return [
        *_peaks(published),
        _layers(published),
        _faster(published),
        _grouped(published),
        _memory(published),
        _price(published),
        _steps(published),
        _scores(published),
    ]


def _peaks(published: Published) -> list[Finding]:
    """The inference times of each model and GPU, against the GPU's peak."""
    rates, found = audit.rates(published), []
    for machine in MACHINES:
        peak = published.machines.of(machine)
        for model in MODELS:
            rows = [rate for rate in rates if (rate.model, rate.machine) == (model, machine)]
            seconds, lengths = [row.seconds for row in rows], [row.length for row in rows]
            found.append(
                Finding(
                    f"{_LABELS[model]}'s times, {machine.upper()}",
                    f"{_span(seconds, 4)} s for {rows[0].batch_size} rows of {_span(lengths, 0)} tokens",
                    f"{_span([row.tflops for row in rows], 1)} TFLOP/s, {_percents([row.peak_share for row in rows])} "
                    f"of the {peak.fp32_tflops:g} of the data sheet",
                    "possible in fp32" if all(row.possible for row in rows) else "impossible in fp32",
                    published.original.inference.source,
                )
            )
    return found


def _layers(published: Published) -> Finding:
    ratios = [rate.bert_over_model for rate in audit.rates(published) if rate.model == "distilbert"]
    left_out = [audit.time_left_out(ratio, audit.LAYERS_RATIO) for ratio in ratios]
    hours = published.original.fine_tuning.by_model
    return Finding(
        "BERT's time over DistilBERT's",
        f"{_span(ratios, 1)} on both GPUs at all lengths",
        f"{audit.LAYERS_RATIO:.1f} by the layers, {hours.bert.hours / hours.distilbert.hours:.1f} by the hours of "
        f"fine-tuning; the published ratio if both times lack {_percents(left_out)} of BERT's",
        "more than the layers explain" if min(ratios) > audit.LAYERS_RATIO else "as the layers say",
        published.original.inference.source,
    )


def _faster(published: Published) -> Finding:
    original, paper = published.original.distilbert_faster, published.papers.distilbert_faster
    saved, gained = audit.times_from_less_time(original.percent), audit.times_from_faster(paper.percent)
    return Finding(
        "DistilBERT faster than BERT",
        f"{original.percent:g} %, set beside {paper.percent:g} %",
        f"{original.percent:g} % less time: {saved:.1f} times as fast; {paper.percent:g} % faster: {gained:.1f} times",
        "different measures, which agree" if round(saved, 1) == round(gained, 1) else "different measures and results",
        f"{original.source}; {paper.source}",
    )


def _grouped(published: Published) -> Finding:
    claim = published.papers.squeezebert_faster
    rates = [rate for rate in audit.rates(published) if rate.model == "squeezebert"]
    ratios = [rate.bert_over_model for rate in rates]
    fewer = [1 / audit.share_of_bert("squeezebert", rate.length) for rate in rates]
    return Finding(
        "SqueezeBERT faster than BERT",
        f"{claim.times:g} times as fast on a {claim.machine}",
        f"{_span(ratios, 1)} times as fast on the two GPUs, with {_span(fewer, 1)} times fewer FLOP",
        "not on these GPUs" if max(ratios) < claim.times else "on these GPUs too",
        f"{claim.source}; {published.original.inference.source}",
    )


def _memory(published: Published) -> Finding:
    offsets = audit.memory_offsets(published)
    fixed = max(offsets) - min(offsets) < 0.01 * min(offsets)
    return Finding(
        "Memory",
        f"{len(offsets)} pairs of figures, the same model and input on both GPUs",
        f"{_span(offsets, 0)} MiB more on the P100 in every pair",
        "part of it is the GPU's, not the model's" if fixed else "no fixed part",
        published.original.memory.source,
    )


def _price(published: Published) -> Finding:
    spent, prices = published.original.fine_tuning.by_model, list(audit.usd_per_hour(published).values())
    return Finding(
        "Cost of fine-tuning",
        listed([f"{spent.of(m).hours:g} h for USD {spent.of(m).usd:.2f} ({_LABELS[m]})" for m in MODELS]),
        f"USD {_span(prices, 3)} an hour",
        "hours times one price" if max(prices) - min(prices) < 0.005 else "several prices",
        published.original.fine_tuning.source,
    )


def _steps(published: Published) -> Finding:
    recipe, steps = published.original.fine_tuning, audit.training_steps(published)
    bert, squeezebert = steps["bert"], steps["squeezebert"]
    work = audit.share_of_bert("squeezebert", recipe.length)
    slower = squeezebert.seconds / bert.seconds
    return Finding(
        "Hours of fine-tuning",
        f"{recipe.by_model.squeezebert.hours:g} h for SqueezeBERT, {recipe.by_model.bert.hours:g} h for BERT",
        f"a training step {slower:.1f} times as long ({squeezebert.seconds:.2f} s, BERT {bert.seconds:.2f} s) with "
        f"{_percents([work])} of the FLOP, at {_percents([squeezebert.peak_share])} of the peak (BERT "
        f"{_percents([bert.peak_share])})",
        "SqueezeBERT used the GPU badly" if slower > work else "as the FLOP say",
        recipe.source,
    )


def _scores(published: Published) -> Finding:
    scores, gap = published.original.scores, audit.exact_match_gap(published, "distilbert", "squeezebert")
    one, two = (scores.by_model.of(model).exact_match for model in ("distilbert", "squeezebert"))
    return Finding(
        "SqueezeBERT's lead in EM",
        f"{two} against {one} of DistilBERT on {scores.questions:,} questions",
        f"{gap.points:.2f} points, standard error {gap.error_of_difference:.2f} if the two are independent",
        "significant" if gap.significant else "not significant",
        scores.source,
    )


def _span(values: Sequence[float], digits: int) -> str:
    """'2.9 to 3.1', or one figure where both ends read the same."""
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _percents(shares: list[float]) -> str:
    return f"{_span([100 * share for share in shares], 0)} %"
