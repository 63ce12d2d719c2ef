"""What the published figures imply, in numbers: FLOP/s, ratios, prices, seconds per step, standard errors."""

import math
from typing import NamedTuple

import numpy as np

from qa_tradeoffs.metrics import flops
from qa_tradeoffs.metrics.flops import TERA
from qa_tradeoffs.study.published import MODELS, MachineName, ModelName, Published, Queue

_Z = 1.96  # two-sided 95 % of the normal distribution
_SHAPES: dict[ModelName, flops.Shape] = {
    "bert": flops.BERT_BASE,
    "distilbert": flops.DISTILBERT_BASE,
    "squeezebert": flops.SQUEEZEBERT,
}
# BERT's time over DistilBERT's by the number of layers.
LAYERS_RATIO = flops.BERT_BASE.layers / flops.DISTILBERT_BASE.layers


class Rate(NamedTuple):
    """What one inference time implies: FLOP/s, its share of the data sheet's fp32 peak, and BERT's time over it."""

    machine: MachineName
    model: ModelName
    batch_size: int
    length: int
    seconds: float
    tflops: float
    peak_share: float
    bert_over_model: float

    @property
    def possible(self) -> bool:
        """Whether the GPU can be that fast in fp32."""
        return self.peak_share <= 1


class Step(NamedTuple):
    """What the published hours imply for one training step of a full batch, all rows padded to the length.

    ``forward``: seconds of its forward pass from the corrected inference times, one per way of counting launches.
    """

    seconds: float
    tflops: float
    peak_share: float
    forward: tuple[float, ...]

    @property
    def rest(self) -> tuple[float, ...]:
        """Seconds of the step minus its forward pass: backward pass, update, and everything else in the hours."""
        return tuple(self.seconds - forward for forward in self.forward)

    @property
    def rest_over_forward(self) -> tuple[float, ...]:
        """``rest`` over the forward pass; a backward pass alone has twice its operations."""
        return tuple(rest / forward for rest, forward in zip(self.rest, self.forward, strict=True))


class Gap(NamedTuple):
    """Two models' difference in EM, in points, with its standard error for independent questions."""

    points: float
    error_of_difference: float

    @property
    def significant(self) -> bool:
        """Whether its 95 % interval excludes zero."""
        return abs(self.points) > _Z * self.error_of_difference


def shown_share(queue: Queue, launches: int) -> float:
    """Share of the true time measured without synchronising the GPU: 1 − capacity / (calls · launches).

    The calls return when all but the last ``capacity`` launches are done; all launches are assumed equally long.
    """
    return 1 - queue.capacity / (queue.calls * launches)


def rates(published: Published, count: int | None = None) -> list[Rate]:
    """The FLOP/s of every published inference time.

    With ``count``, a way of counting launches, the times are first corrected for what the launch queue hid.
    """
    queue = published.original.queue
    shown = {m: 1.0 if count is None else shown_share(queue, queue.launches.of(m)[count]) for m in MODELS}
    times = {row[:4]: row[4] / shown[row[1]] for row in published.original.inference.rows()}
    rows = []
    for (machine, model, batch_size, length), seconds in times.items():
        tflops = flops.encoder_flops(_SHAPES[model], batch_size, length) / seconds / TERA
        share = tflops / published.machines.of(machine).fp32_tflops
        bert = times[machine, "bert", batch_size, length]
        rows.append(Rate(machine, model, batch_size, length, seconds, tflops, share, bert / seconds))
    return rows


def corrected(published: Published) -> list[Rate]:
    """The rates of corrected times, for every way of counting launches."""
    counts = range(len(published.original.queue.launches.bert))
    return [rate for count in counts for rate in rates(published, count)]


def equal_launches_ratio(queue: Queue, count: int) -> float:
    """BERT's time over DistilBERT's, measured without synchronising the GPU, if all launches took equally long."""
    bert, distilbert = (queue.launches.of(m)[count] for m in ("bert", "distilbert"))
    return bert * shown_share(queue, bert) / (distilbert * shown_share(queue, distilbert))


def impossible(published: Published, machine: MachineName, model: ModelName) -> bool:
    """Whether any of a model's published times on a GPU requires more FLOP/s than the GPU's fp32 peak."""
    return not all(rate.possible for rate in rates(published) if (rate.machine, rate.model) == (machine, model))


def share_of_bert(model: ModelName, length: int) -> float:
    """FLOP of a forward pass over rows of this length, divided by BERT's."""
    return flops.encoder_flops(_SHAPES[model], 1, length) / flops.encoder_flops(_SHAPES["bert"], 1, length)


def usd_per_hour(published: Published) -> dict[ModelName, float]:
    """The hourly price that each model's hours and USD imply."""
    spent = published.original.fine_tuning.by_model
    return {model: spent.of(model).usd / spent.of(model).hours for model in MODELS}


def training_steps(published: Published) -> dict[ModelName, Step]:
    """What the hours imply for one step of each model, if all of them were training steps."""
    recipe, peak = published.original.fine_tuning, published.machines.p100.fp32_tflops
    n_steps = recipe.epochs * recipe.updates_per_epoch
    steps: dict[ModelName, Step] = {}
    for model in MODELS:
        seconds = recipe.by_model.of(model).hours * 3600 / n_steps
        forward = flops.encoder_flops(_SHAPES[model], recipe.batch_size, recipe.length)
        tflops = flops.TRAINING_OVER_FORWARD * forward / seconds / TERA
        steps[model] = Step(seconds, tflops, tflops / peak, _forward_seconds(published, model))
    return steps


def _forward_seconds(published: Published, model: ModelName) -> tuple[float, ...]:
    """Seconds of a forward pass of a training batch on the P100, one per way of counting launches.

    Seconds per row are interpolated linearly between the two lengths around the recipe's.
    """
    recipe, seconds = published.original.fine_tuning, list[float]()
    for count in range(len(published.original.queue.launches.of(model))):
        rows = [rate for rate in rates(published, count) if (rate.machine, rate.model) == ("p100", model)]
        per_row = [rate.seconds / rate.batch_size for rate in rows]
        seconds.append(recipe.batch_size * float(np.interp(recipe.length, [rate.length for rate in rows], per_row)))
    return tuple(seconds)


def exact_match_gap(published: Published, model: ModelName, other: ModelName) -> Gap:
    """``other`` minus ``model``. The standard error of a share p of n questions is √(p·(1−p)/n)."""
    scores = published.original.scores
    one, two = (scores.by_model.of(name).exact_match for name in (model, other))
    return Gap(
        two - one, math.hypot(*(100 * math.sqrt(em / 100 * (1 - em / 100) / scores.questions) for em in (one, two)))
    )


def memory_offsets(published: Published) -> list[float]:
    """MiB on the P100 minus MiB on the K80, for every model and point where neither ran out of memory."""
    memory = published.original.memory
    pairs = [pair for m in MODELS for pair in zip(memory.p100.of(m), memory.k80.of(m), strict=True)]
    return [p100 - k80 for p100, k80 in pairs if p100 is not None and k80 is not None]


def times_from_faster(percent: float) -> float:
    """'60 % faster' as a ratio of times, 1.6."""
    return 1 + percent / 100


def times_from_less_time(percent: float) -> float:
    """'65 % less time' as a ratio of times, 2.9."""
    return 1 / (1 - percent / 100)
