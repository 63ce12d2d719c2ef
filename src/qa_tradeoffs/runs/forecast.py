"""What a study will need, before it starts: seconds, disk and memory, from what was measured or by formula."""

from collections.abc import Sequence
from dataclasses import dataclass

from qa_tradeoffs.metrics import flops
from qa_tradeoffs.metrics.flops import TERA, TRAINING_OVER_FORWARD
from qa_tradeoffs.runs import rates, sizes
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config, prices

_BYTES_PER_WEIGHT = 4  # fp32, also where mixed precision computes in bf16
_WITH_ADAM = 3  # weights and the two moments of each, in a checkpoint to resume from; gradients come on top in memory


@dataclass(frozen=True)
class Need:
    """What one model needs. Seconds are of one notebook each; ``trainings`` is 0 where the model came fine-tuned.

    ``train``, ``evaluate``, ``profile``: seconds. ``disk``: bytes that stay, of all seeds, with the Hub's download, and
    ``download`` what of that is not there yet. ``resume``: bytes of the two checkpoints that a training holds while it
    replaces one by the next.
    ``memory``: bytes of weights, gradients, Adam's moments, and the activations of one batch of the longest windows.
    """

    slug: str
    network: sizes.Network
    trainings: int
    evaluations: int
    train: float
    evaluate: float
    profile: float
    disk: int
    download: int
    resume: int
    memory: int
    rate: str

    @property
    def seconds(self) -> float:
        """Seconds of all the model's notebooks, one after the other."""
        return self.trainings * self.train + self.evaluations * self.evaluate + self.profile

    @property
    def longest(self) -> float:
        """Seconds of the longest chain of notebooks of which each needs the one before."""
        return max((self.train if self.trainings else 0) + self.evaluate, self.profile)


@dataclass(frozen=True)
class Forecast:
    """A study's needs; ``copies``: as if each model were there so many times.

    ``data`` says how texts are counted, ``given`` whether the rate was not measured but given.
    """

    needs: tuple[Need, ...]
    copies: int
    train: sizes.Split
    validation: sizes.Split
    data: str
    price: prices.Price
    given: bool

    @property
    def seconds(self) -> float:
        """Seconds of one device for all notebooks."""
        return self.copies * sum(need.seconds for need in self.needs)

    @property
    def disk(self) -> int:
        """Bytes at the fullest moment, with one training at a time."""
        return self.copies * sum(need.disk for need in self.needs) + max(need.resume for need in self.needs)


def forecast(
    study: config.Study, run: RunPaths, price: prices.Price, known: sizes.Assumptions, *,
    slugs: Sequence[str], seeds: Sequence[int], copies: int = 1, tflops: float | None = None,
) -> Forecast:  # fmt: skip
    """The needs of these models with these seeds. ``tflops``: achieved 10¹² FLOP/s, in place of what was measured.

    Raises StudyError where a size is not known.
    """
    train, validation, counted = sizes.splits(study.data, study.training, known)
    needs = tuple(_need(study, run, known, slug, seeds, train, validation, tflops) for slug in slugs)
    return Forecast(needs, copies, train, validation, counted, price, given=tflops is not None)


def left(found: Forecast, run: RunPaths, seeds: Sequence[int]) -> tuple[int, float, float]:
    """(trainings, seconds, bytes) that the run still lacks."""
    count, seconds, size = 0, 0.0, 0.0
    for need in found.needs:
        to_train = sum(not run.training(need.slug, seed).is_file() for seed in seeds[: need.trainings])
        to_evaluate = sum(not run.evaluation(need.slug, seed).is_file() for seed in seeds[: need.evaluations])
        count += to_train
        seconds += to_train * need.train + to_evaluate * need.evaluate
        seconds += 0 if run.profile(need.slug).is_file() else need.profile
        size += to_train * _BYTES_PER_WEIGHT * need.network.parameters + need.download
    return count, seconds, size + (max(need.resume for need in found.needs) if count else 0)


def training_flops(network: sizes.Network, split: sizes.Split, epochs: float) -> float:
    """FLOP of all updates: three times those of the forward passes, the backward products counting twice."""
    return TRAINING_OVER_FORWARD * epochs * forward_flops(network, split)


def forward_flops(network: sizes.Network, split: sizes.Split) -> float:
    """FLOP of one pass over all windows, padding left out, since batches hold windows of like length."""
    return flops.encoder_flops(network.shape, split.windows, round(split.tokens))


def training_memory(network: sizes.Network, batch_size: int, length: int) -> int:
    """Bytes while training: weights, gradients, two moments, and the activations that the backward pass needs.

    Activations of a layer: batch · length · (34·h + 5·heads·length) bytes in 16 bits, twice that in fp32, where
    attention is not fused (Korthikanti et al. 2022, arXiv 2205.05198, equation 1). So this is an upper bound.
    """
    shape = network.shape
    states = (_WITH_ADAM + 1) * _BYTES_PER_WEIGHT * network.parameters
    layer = batch_size * length * (34 * shape.hidden + 5 * network.heads * length)
    return states + shape.layers * 2 * layer


def _need(
    study: config.Study, run: RunPaths, known: sizes.Assumptions, slug: str, seeds: Sequence[int],
    train: sizes.Split, validation: sizes.Split, tflops: float | None,
) -> Need:  # fmt: skip
    spec = study.model(slug)
    network = sizes.network(spec, known)
    rate, said = (tflops * TERA, f"{tflops:g} TFLOP/s as given") if tflops else rates.reached(study, run, slug, network)
    start = known.seconds_per_notebook.value
    seconds = {
        "train": start + training_flops(network, train, study.training.epochs) / rate,
        "evaluate": start + forward_flops(network, validation) / rate,
        "profile": start + _profile_seconds(study.profile, network, rate),
    }
    before = {} if tflops else rates.notebooks(study, run, slug)
    if before:
        said = f"this study's earlier {', '.join(before)}; else {said}"
    seconds |= before
    trainings = 0 if spec.fine_tuned else len(seeds)
    weights = _BYTES_PER_WEIGHT * network.parameters
    length = min(study.training.max_length, round(2 * train.tokens)) if train.windows else 0
    return Need(
        slug, network, trainings, max(1, trainings), **seconds,
        disk=(trainings + (1 if spec.hub else 0)) * weights,
        download=0 if sizes.is_here(spec) else weights,
        resume=2 * _WITH_ADAM * weights if trainings else 0,
        memory=training_memory(network, study.training.batch_size, length) if trainings else weights,
        rate=said,
    )  # fmt: skip


def _profile_seconds(plan: config.Profile, network: sizes.Network, rate: float) -> float:
    """Seconds of the grids of the study's own network, at least ``min_seconds`` a point, and of its scenarios."""
    total = 0.0
    for grid, times in ((plan.forward, 1), (plan.training_step, TRAINING_OVER_FORWARD)):
        for batch_size in grid.batch_sizes:
            for length in grid.lengths:
                call = times * flops.encoder_flops(network.shape, batch_size, length) / rate
                total += max(plan.min_seconds, plan.min_repeats * call) + plan.passes * plan.warmup * call
    return total * (1 + len(plan.precisions))
