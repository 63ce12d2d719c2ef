"""What the published figures imply, in numbers: FLOP/s, ratios, prices, seconds per step, standard errors."""

import math
from typing import NamedTuple

from qa_tradeoffs.metrics import flops
from qa_tradeoffs.metrics.flops import TERA
from qa_tradeoffs.study.published import MODELS, MachineName, ModelName, Published

_Z = 1.96  # two-sided 95 % of the normal distribution
_SHAPES: dict[ModelName, flops.Shape] = {
    "bert": flops.BERT_BASE,
    "distilbert": flops.DISTILBERT_BASE,
    "squeezebert": flops.SQUEEZEBERT,
}
# What the number of layers says of BERT's time over DistilBERT's.
LAYERS_RATIO = flops.BERT_BASE.layers / flops.DISTILBERT_BASE.layers


class Rate(NamedTuple):
    """What one published inference time implies: FLOP/s, over the peak of the data sheet in fp32, and BERT's time."""

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
    """What the published hours imply for one training step of a full batch, all rows padded to the length."""

    seconds: float
    tflops: float
    peak_share: float


class Gap(NamedTuple):
    """Two models' difference in EM, in points, with its standard error as if each had answered questions of its own."""

    points: float
    error_of_difference: float

    @property
    def significant(self) -> bool:
        """Whether its 95 % interval excludes zero."""
        return abs(self.points) > _Z * self.error_of_difference


def rates(published: Published) -> list[Rate]:
    """The FLOP/s of every published inference time, and how many times BERT's time is the model's."""
    times = {row[:4]: row[4] for row in published.original.inference.rows()}
    rows = []
    for (machine, model, batch_size, length), seconds in times.items():
        tflops = flops.encoder_flops(_SHAPES[model], batch_size, length) / seconds / TERA
        share = tflops / published.machines.of(machine).fp32_tflops
        bert = times[machine, "bert", batch_size, length]
        rows.append(Rate(machine, model, batch_size, length, seconds, tflops, share, bert / seconds))
    return rows


def share_of_bert(model: ModelName, length: int) -> float:
    """FLOP of a forward pass over rows of this length, over BERT's."""
    return flops.encoder_flops(_SHAPES[model], 1, length) / flops.encoder_flops(_SHAPES["bert"], 1, length)


def usd_per_hour(published: Published) -> dict[ModelName, float]:
    """The hourly price that each model's hours and USD imply."""
    spent = published.original.fine_tuning.by_model
    return {model: spent.of(model).usd / spent.of(model).hours for model in MODELS}


def training_steps(published: Published) -> dict[ModelName, Step]:
    """What the hours imply for one step of each model, if all of them were training steps."""
    recipe, peak = published.original.fine_tuning, published.machines.p100.fp32_tflops
    n_steps = recipe.epochs * math.ceil(recipe.windows / recipe.batch_size)
    steps: dict[ModelName, Step] = {}
    for model in MODELS:
        seconds = recipe.by_model.of(model).hours * 3600 / n_steps
        forward = flops.encoder_flops(_SHAPES[model], recipe.batch_size, recipe.length)
        tflops = flops.TRAINING_OVER_FORWARD * forward / seconds / TERA
        steps[model] = Step(seconds, tflops, tflops / peak)
    return steps


def exact_match_gap(published: Published, model: ModelName, other: ModelName) -> Gap:
    """``other`` minus ``model``. The standard error of a share p of n questions is √(p·(1−p)/n)."""
    scores = published.original.scores
    one, two = (scores.by_model.of(name).exact_match for name in (model, other))
    return Gap(
        two - one, math.hypot(*(100 * math.sqrt(em / 100 * (1 - em / 100) / scores.questions) for em in (one, two)))
    )


def memory_offsets(published: Published) -> list[float]:
    """MiB of the P100 less those of the K80, for every model and point where neither ran out of memory."""
    memory = published.original.memory
    pairs = [pair for m in MODELS for pair in zip(memory.p100.of(m), memory.k80.of(m), strict=True)]
    return [p100 - k80 for p100, k80 in pairs if p100 is not None and k80 is not None]


def time_left_out(ratio: float, true_ratio: float) -> float:
    """Share of the slower time T missing from both times, if that alone makes ``true_ratio`` r look like ``ratio`` q.

    From (T − c) / (T / r − c) = q follows c / T = (q − r) / (r·(q − 1)).
    """
    return (ratio - true_ratio) / (true_ratio * (ratio - 1))


def times_from_faster(percent: float) -> float:
    """'60 % faster' as a ratio of times, 1.6."""
    return 1 + percent / 100


def times_from_less_time(percent: float) -> float:
    """'65 % less time' as a ratio of times, 2.9."""
    return 1 / (1 - percent / 100)
