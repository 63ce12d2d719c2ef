"""What the published figures imply, as tables; every number is computed from the file of published figures."""

from collections.abc import Iterator

import pandas as pd

from qa_tradeoffs.analysis import audit as implied
from qa_tradeoffs.core.words import listed
from qa_tradeoffs.report import display
from qa_tradeoffs.report.display import span
from qa_tradeoffs.study.published import LABELS, MACHINES, MODELS, Published

Finding = tuple[str, str, str, str, str]  # a row of the table


def findings(published: Published) -> display.Table:
    """All findings of the audit: inference times first, then memory, money, training and scores."""
    rows = [*_peaks(published), *_ratios(published), *_costs(published), *_training_and_scores(published)]
    columns = ["figure", "published", "implies", "verdict", "source"]
    return display.table(pd.DataFrame(rows, columns=columns), "What the figures published in 2021 imply")


def corrections(published: Published) -> display.Table:
    """The published inference times, and these corrected for the launch queue, by each way of counting launches."""
    queue, as_published = published.original.queue, implied.rates(published)
    counts = [implied.rates(published, count) for count in range(len(queue.launches.bert))]
    rows = []
    for i, rate in enumerate(as_published):
        corrected = [rates[i] for rates in counts]
        row = {
            "GPU": rate.machine.upper(),
            "model": LABELS[rate.model],
            "batch × tokens": f"{rate.batch_size} × {rate.length}",
            "launches": span(queue.launches.of(rate.model), 0),
            "published": f"{rate.seconds:.4f} s",
            "share of the peak": _percents([rate.peak_share]),
            "verdict": "too short" if rate.possible else "impossible",
            "corrected": f"{span([other.seconds for other in corrected], 3)} s",
            "share of the peak, corrected": _percents([other.peak_share for other in corrected]),
            "times as fast as BERT": f"{rate.bert_over_model:.2f}",
            "times as fast as BERT, corrected": span([other.bert_over_model for other in corrected], 2),
        }
        rows.append(row)
    return display.table(pd.DataFrame(rows), "Published inference times, and corrected for what the clock left out")


def _peaks(published: Published) -> Iterator[Finding]:
    """The inference times of each model and GPU, against the GPU's peak."""
    as_published, corrected = implied.rates(published), implied.corrected(published)
    for machine in MACHINES:
        for model in MODELS:
            rows, longer = (
                [rate for rate in rates if (rate.model, rate.machine) == (model, machine)]
                for rates in (as_published, corrected)
            )
            seconds, lengths = [row.seconds for row in rows], [row.length for row in rows]
            yield (
                f"{LABELS[model]}'s times, {machine.upper()}",
                f"{span(seconds, 4)} s for {rows[0].batch_size} rows of {span(lengths, 0)} tokens",
                f"{span([row.tflops for row in rows], 1)} TFLOP/s, {_percents([row.peak_share for row in rows])} of "
                f"the {published.machines.of(machine).fp32_tflops:g} of the data sheet; corrected: "
                f"{_percents([row.peak_share for row in longer])}",
                "too short" if all(row.possible for row in rows) else "impossible in fp32",
                published.original.inference.source,
            )


def _ratios(published: Published) -> Iterator[Finding]:
    """How much faster the small models were than BERT."""
    original, papers, rates = published.original, published.papers, implied.rates(published)
    distilbert, squeezebert = (
        [rate.bert_over_model for rate in rates if rate.model == model] for model in ("distilbert", "squeezebert")
    )
    corrected = {m: [r.bert_over_model for r in implied.corrected(published) if r.model == m] for m in MODELS}
    queue, hours = original.queue, original.fine_tuning.by_model
    equal = [implied.equal_launches_ratio(queue, count) for count in range(len(queue.launches.bert))]
    yield (
        "BERT's time relative to DistilBERT's",
        f"{span(distilbert, 1)} on both GPUs at all lengths",
        f"{implied.LAYERS_RATIO:.1f} by the layers, {hours.bert.hours / hours.distilbert.hours:.1f} by the hours of "
        f"fine-tuning; corrected: {span(corrected['distilbert'], 1)}. If all launches took equally long, this clock "
        f"would show {span(equal, 1)}",
        "more than the layers explain" if min(distilbert) > implied.LAYERS_RATIO else "as the layers suggest",
        original.inference.source,
    )
    less, more = original.distilbert_faster, papers.distilbert_faster
    saved, gained = implied.times_from_less_time(less.percent), implied.times_from_faster(more.percent)
    yield (
        "DistilBERT faster than BERT",
        f"{less.percent:g} % in 2021, compared with {more.percent:g} % in the paper",
        f"{less.percent:g} % less time: {saved:.1f} times as fast; {more.percent:g} % faster: {gained:.1f} times",
        "different measures, which agree" if round(saved, 1) == round(gained, 1) else "different measures and results",
        f"{less.source}; {more.source}",
    )
    claim = papers.squeezebert_faster
    fewer = [1 / implied.share_of_bert("squeezebert", rate.length) for rate in rates if rate.model == "squeezebert"]
    yield (
        "SqueezeBERT faster than BERT",
        f"{claim.times:g} times as fast on a {claim.machine}",
        f"{span(squeezebert, 1)} times as fast on the two GPUs; corrected: {span(corrected['squeezebert'], 1)}. BERT "
        f"needs {span(fewer, 1)} times as many FLOP",
        "not on these GPUs" if max(squeezebert) < claim.times else "on these GPUs too",
        f"{claim.source}; {original.inference.source}",
    )


def _costs(published: Published) -> Iterator[Finding]:
    """Memory and money."""
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
    spent = original.fine_tuning.by_model
    yield (
        "Cost of fine-tuning",
        listed([f"{spent.of(m).hours:g} h for USD {spent.of(m).usd:.2f} ({LABELS[m]})" for m in MODELS]),
        f"USD {span(prices, 3)} an hour",
        "hours times one price" if max(prices) - min(prices) < 0.005 else "several prices",
        original.fine_tuning.source,
    )


def _training_and_scores(published: Published) -> Iterator[Finding]:
    """SqueezeBERT's hours of fine-tuning, the part of a step that takes them, and its lead in EM."""
    original = published.original
    recipe, spent = original.fine_tuning, original.fine_tuning.by_model
    steps, work = implied.training_steps(published), implied.share_of_bert("squeezebert", recipe.length)
    ours, berts = steps["squeezebert"], steps["bert"]
    slower = ours.seconds / berts.seconds
    yield (
        "Hours of fine-tuning",
        f"{spent.squeezebert.hours:g} h for SqueezeBERT, {spent.bert.hours:g} h for BERT",
        f"a training step {slower:.1f} times as long ({ours.seconds:.2f} s, BERT {berts.seconds:.2f} s) with "
        f"{_percents([work])} of the FLOP, at {_percents([ours.peak_share])} of the peak (BERT "
        f"{_percents([berts.peak_share])})",
        "SqueezeBERT used the GPU poorly" if slower > work else "as the FLOP suggest",
        f"{recipe.source}; updates: {recipe.updates_source}",
    )
    yield (
        "A training step minus its forward pass",
        f"{recipe.batch_size} rows of {recipe.length} tokens; forward pass by the corrected times: SqueezeBERT "
        f"{span(ours.forward, 2)} s, BERT {span(berts.forward, 2)} s",
        f"backward pass and update take {span(ours.rest, 2)} s, {span(ours.rest_over_forward, 1)} times the forward "
        f"pass; BERT's {span(berts.rest, 2)} s, {span(berts.rest_over_forward, 1)} times; by FLOP, it would be 2 times",
        "slow in the backward pass"
        if max(ours.forward) < min(berts.forward) and min(ours.rest) > max(berts.rest)
        else "slow in the forward pass too",
        f"{recipe.source}; {original.queue.source}",
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
