"""Sentences of the audit: what was published, what it implies, what follows from that, and what does not.

Every number in them is computed from the file of published figures; the conclusions are about those figures.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from qa_tradeoffs.analysis import audit
from qa_tradeoffs.metrics import flops
from qa_tradeoffs.study.published import MACHINES, MODELS, MachineName, ModelName, Published

LABELS: dict[ModelName, str] = {"bert": "BERT", "distilbert": "DistilBERT", "squeezebert": "SqueezeBERT"}


@dataclass(frozen=True)
class Finding:
    """One point of the audit, each part one or two sentences."""

    topic: str
    published: str
    implies: str
    follows: str
    does_not_follow: str


def as_sections(published: Published) -> list[tuple[str, dict[str, str]]]:
    """All points of the audit as titles and named sentences."""
    return [
        (
            point.topic,
            {
                "Published": point.published,
                "It implies": point.implies,
                "It follows": point.follows,
                "It does not follow": point.does_not_follow,
            },
        )
        for point in findings(published)
    ]


def findings(published: Published) -> list[Finding]:
    """All points of the audit."""
    return [
        _peak(published),
        _ratio(published),
        _faster(published),
        _squeezebert_speed(published),
        _memory(published),
        _price(published),
        _steps(published),
        _scores(published),
    ]


def _peak(published: Published) -> Finding:
    rows = audit.rates(published)
    distilbert = _of(rows, "distilbert", "p100")
    bert, on_k80 = _of(rows, "bert", "p100"), [row.peak_share for row in rows if row.machine == "k80"]
    p100, inference = published.machines.p100, published.original.inference
    return Finding(
        "Faster than the GPU can be",
        f"DistilBERT on a P100: {_series(row.seconds for row in distilbert)} s for {distilbert[0].batch_size} rows of "
        f"{_series(row.length for row in distilbert)} tokens ({inference.source}; {inference.method}).",
        f"{_span([row.tflops for row in distilbert], 1)} TFLOP/s, which is "
        f"{_percents([row.peak_share for row in distilbert])} of the {p100.fp32_tflops:g} of its data sheet for fp32.",
        "These times cannot be those of the whole computation in fp32: part of the work was not timed, or something "
        "else was run.",
        f"That the other times are right: BERT's {_percents([row.peak_share for row in bert])} of the P100's peak and "
        f"the K80's {_percents(on_k80)} are possible, not confirmed. Which mistake it was: half precision, with a peak "
        f"of {p100.fp16_tflops:g}, would allow these times too.",
    )


def _ratio(published: Published) -> Finding:
    rows = audit.rates(published)
    ratios = [row.bert_over_model for machine in MACHINES for row in _of(rows, "distilbert", machine)]
    layers = audit.SHAPES["bert"].layers / audit.SHAPES["distilbert"].layers
    left_out = [audit.time_left_out(ratio, layers) for ratio in ratios]
    hours = published.original.fine_tuning.by_model
    return Finding(
        "Half of the layers, a third of the time",
        f"BERT takes {_span(ratios, 1)} times as long as DistilBERT, on both GPUs and at all lengths "
        f"({published.original.inference.source}).",
        f"DistilBERT has half of BERT's layers, of the same size: {layers:.1f} times. Fine-tuning, by the same study's "
        f"hours, took {hours.bert.hours / hours.distilbert.hours:.1f} times as long.",
        "The ratio is not that of the architectures. It is what comes out if both times lack the same part of the "
        f"work, {_percents(left_out)} of BERT's time, such as calls still queued on a GPU that nobody waited for.",
        "That this is what happened: the figures fit it, they do not prove it. Nor that exactly "
        f"{layers:.1f} would have been measured: only that the layers give no reason for more.",
    )


def _faster(published: Published) -> Finding:
    ours, paper = published.original.distilbert_faster, published.papers.distilbert_faster
    shares = [1 - 1 / row.bert_over_model for row in audit.rates(published) if row.model == "distilbert"]
    return Finding(
        "Two meanings of faster",
        f"DistilBERT is {ours.percent:g} % faster than BERT ({ours.source}), which is set beside {paper.percent:g} % "
        f"faster ({paper.source}).",
        f"The {ours.percent:g} % are time saved ({_percents(shares)} by the study's own times), "
        f"{audit.times_from_less_time(ours.percent):.1f} times as fast; the paper's {paper.percent:g} % are speed "
        f"gained, {audit.times_from_faster(paper.percent):.1f} times as fast.",
        "The two percentages do not measure the same thing, and the two results do not agree.",
        "That the paper's figure is wrong, or that it holds on these GPUs: it is of another machine and batch size.",
    )


def _squeezebert_speed(published: Published) -> Finding:
    claim = published.papers.squeezebert_faster
    rows = [row for row in audit.rates(published) if row.model == "squeezebert"]
    work = [
        flops.encoder_flops(audit.SHAPES["bert"], 1, row.length)
        / flops.encoder_flops(audit.SHAPES["squeezebert"], 1, row.length)
        for row in rows
    ]
    return Finding(
        "Fast on a telephone",
        f"SqueezeBERT is {claim.times:g} times as fast as BERT-base on a {claim.machine} ({claim.source}).",
        f"On the two GPUs it was {_span([row.bert_over_model for row in rows], 1)} times as fast, with "
        f"{_span(work, 1)} times fewer FLOP ({published.original.inference.source}).",
        "The speed-up of grouped convolutions depends on the machine and its libraries; fewer FLOP are not less time.",
        "That the paper's figure is wrong: it is of another machine.",
    )


def _memory(published: Published) -> Finding:
    offsets = audit.memory_offsets(published)
    return Finding(
        "Memory of the machine, not of the model",
        f"{len(offsets)} pairs of memory figures, the same model and input on both GPUs "
        f"({published.original.memory.source}; {published.original.memory.method}).",
        f"The P100 shows {_span(offsets, 0)} MiB more than the K80 in every pair, whatever the model and the input.",
        "The figures hold a fixed part that belongs to the GPU and its libraries, so ratios between models are too "
        "near to 1; differences between figures of one GPU are free of it.",
        "How large that part is on either GPU: only the difference between the two can be seen.",
    )


def _price(published: Published) -> Finding:
    spent, prices = published.original.fine_tuning.by_model, audit.usd_per_hour(published)
    pairs = _listed(f"{spent.of(m).hours:g} h for USD {spent.of(m).usd:.2f} ({LABELS[m]})" for m in MODELS)
    recomputed = spent.squeezebert.hours * prices["bert"]
    return Finding(
        "One hourly price",
        f"Fine-tuning on a P100: {pairs} ({published.original.fine_tuning.source}).",
        f"USD {_span(list(prices.values()), 3)} an hour. At {prices['bert']:.2f}, SqueezeBERT's hours come to USD "
        f"{recomputed:.2f}, {abs(round(recomputed, 2) - spent.squeezebert.usd):.2f} from what was published.",
        "The costs are hours times one price: they say nothing that the hours do not, and can be computed again at any "
        "other price.",
        "That this is what was billed: storage, idle time and failed runs are not in it.",
    )


def _steps(published: Published) -> Finding:
    recipe, steps = published.original.fine_tuning, {step.model: step for step in audit.training_steps(published)}
    bert, squeezebert = steps["bert"], steps["squeezebert"]
    per_step = _listed(f"{steps[model].seconds:.2f} s ({LABELS[model]})" for model in MODELS)
    work = flops.encoder_flops(audit.SHAPES["squeezebert"], 1, recipe.length) / flops.encoder_flops(
        audit.SHAPES["bert"], 1, recipe.length
    )
    return Finding(
        "The smallest model is the slowest to train",
        f"Fine-tuning took {recipe.by_model.squeezebert.hours:g} h for SqueezeBERT and "
        f"{recipe.by_model.bert.hours:g} h for BERT ({recipe.source}).",
        f"At {recipe.epochs} epochs of about {recipe.windows:,} windows of {recipe.length} tokens in batches of "
        f"{recipe.batch_size} (an assumption), a training step took {per_step}: {_percents([bert.peak_share])} of the "
        f"P100's peak for BERT and {_percents([squeezebert.peak_share])} for SqueezeBERT.",
        f"SqueezeBERT needs {_percents([work])} of BERT's FLOP and took {squeezebert.seconds / bert.seconds:.1f} times "
        "as long: what it was run with used the GPU badly.",
        "That its architecture is slow to train: the same weights can be computed in other ways. Nor that the hours "
        "were all training steps, on GPUs that nobody shared.",
    )


def _scores(published: Published) -> Finding:
    scores = published.original.scores
    gap = audit.exact_match_gap(published, "distilbert", "squeezebert")
    one, two = (scores.by_model.of(model).exact_match for model in ("distilbert", "squeezebert"))
    return Finding(
        "A lead within its error",
        f"EM {one} for DistilBERT and {two} for SqueezeBERT on {scores.questions:,} questions ({scores.source}).",
        f"A gap of {gap.points:.2f} points; the standard error of each score is {_span(list(gap.error_of_one), 2)}, "
        f"and of their difference {gap.error_of_difference:.2f} if the two are taken as independent: "
        f"{gap.points / gap.error_of_difference:.1f} standard errors.",
        "The published figures do not show which of the two answers better.",
        "That they are equally good: both answered the same questions, and a comparison question by question, which "
        "needs the answers, usually has a smaller error. Nor what other seeds would have given.",
    )


def _of(rows: list[audit.Rate], model: ModelName, machine: MachineName) -> list[audit.Rate]:
    return [row for row in rows if (row.model, row.machine) == (model, machine)]


def _span(values: list[float], digits: int) -> str:
    """'2.9 to 3.1', or one figure where both ends read the same."""
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _percents(shares: list[float]) -> str:
    return f"{_span([100 * share for share in shares], 0)} %"


def _series(values: Iterable[float]) -> str:
    """'8, 32, 128 and 512'."""
    return _listed(f"{value:g}" for value in values)


def _listed(parts: Iterable[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}"
