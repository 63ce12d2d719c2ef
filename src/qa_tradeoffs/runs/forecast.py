"""What a study will need, before it starts: seconds, disk and memory, from what was measured or counted.

Networks are built from their configs on torch's meta device, where tensors have a shape and no values: nothing is
fetched, and a network of any size takes no memory.
"""

import json
import math
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from qa_tradeoffs.core.documents import Section, one_line, read_yaml
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ANOMALY, OWN_ANOMALY, ROOT
from qa_tradeoffs.data import sources
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.metrics import flops
from qa_tradeoffs.metrics.flops import TERA, TRAINING_OVER_FORWARD
from qa_tradeoffs.runs import inputs, results
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config

_ASSUMPTIONS = ROOT / "studies" / "assumptions.yaml"
_BYTES_PER_WEIGHT = 4  # fp32, also where mixed precision computes in bf16
_WITH_ADAM = 3  # weights and the two moments of each, in a checkpoint to resume from; gradients come on top in memory
_WORD = re.compile(r"\w+|[^\w\s]")  # the units that BERT's tokenizer splits further


class Texts(Section):
    """Questions of a data set of the Hub, and the windows of at most ``max_length`` tokens that they make."""

    train_questions: int = Field(gt=0)
    validation_questions: int = Field(gt=0)
    windows_per_question: float = Field(ge=1)
    tokens_per_window: float = Field(gt=0)
    max_length: int = Field(gt=0)


class Assumptions(Section):
    """What is assumed where nothing was measured yet."""

    datasets: dict[str, Texts]
    checkpoints: dict[str, Literal["bert", "distilbert", "squeezebert"]]
    tokens_per_word: float = Field(gt=0)
    seconds_per_notebook: float = Field(gt=0)


@dataclass(frozen=True)
class Split:
    """The windows of one split and their mean length in tokens."""

    windows: int
    tokens: float


@dataclass(frozen=True)
class Need:
    """What one model needs. ``trainings`` is 0 where the model came fine-tuned; ``rate``: how the seconds are known.

    ``train``, ``evaluate``, ``profile``: seconds of one notebook. ``disk``: bytes that stay, of all seeds, with the
    Hub's download; ``download``: bytes of that which are not there yet. ``resume``: bytes of the two checkpoints that a
    training holds while it replaces one by the next. ``memory``: bytes of weights, gradients, Adam's moments, and the
    activations of one batch of the longest windows.
    """

    slug: str
    parameters: int
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
    """A study's needs; ``copies``: as if each model were there so many times. ``texts``: how windows were counted."""

    needs: tuple[Need, ...]
    copies: int
    train: Split
    validation: Split
    texts: str

    @property
    def seconds(self) -> float:
        """Seconds of one device for all notebooks."""
        return self.copies * sum(need.seconds for need in self.needs)

    @property
    def disk(self) -> int:
        """Bytes at the fullest moment, with one training at a time."""
        return self.copies * sum(need.disk for need in self.needs) + max(need.resume for need in self.needs)

    def left(self, run: RunPaths, seeds: Sequence[int]) -> tuple[int, float, int]:
        """(trainings, seconds, bytes) that the run still lacks."""
        count, seconds, size = 0, 0.0, 0
        for need in self.needs:
            to_train = sum(not run.training(need.slug, seed).is_file() for seed in seeds[: need.trainings])
            to_evaluate = sum(not run.evaluation(need.slug, seed).is_file() for seed in seeds[: need.evaluations])
            count += to_train
            seconds += to_train * need.train + to_evaluate * need.evaluate
            seconds += 0 if run.profile(need.slug).is_file() else need.profile
            size += to_train * _BYTES_PER_WEIGHT * need.parameters + need.download
        return count, seconds, size + (max(need.resume for need in self.needs) if count else 0)


def forecast(
    study: config.Study, run: RunPaths, slugs: Sequence[str], seeds: Sequence[int], copies: int = 1,
    tflops: float | None = None,
) -> Forecast:  # fmt: skip
    """The needs of these models with these seeds. ``tflops``: achieved 10¹² FLOP/s, in place of what was measured.

    Raises StudyError where a size is not known.
    """
    known = assumptions(_ASSUMPTIONS)
    train, validation, texts = splits(study.data, study.training, known)
    needs = []
    for slug in slugs:
        spec, network = study.model(slug), build(study.model(slug), known)
        rate, source = (tflops * TERA, f"{tflops:g} TFLOP/s as given") if tflops else _rate(study, run, slug, network)
        work = {
            "train": TRAINING_OVER_FORWARD * study.training.epochs * _forward_flops(network, train),
            "evaluate": _forward_flops(network, validation),
        }
        seconds = {stage: known.seconds_per_notebook + flop / rate for stage, flop in work.items()}
        seconds["profile"] = known.seconds_per_notebook + _profile_seconds(study.profile, network, rate)
        if earlier := {} if tflops else _earlier_seconds(study, run, slug):
            source = f"this study's earlier {', '.join(earlier)}; else {source}"
        parameters = sum(parameter.numel() for parameter in network.parameters())
        weights, trainings = _BYTES_PER_WEIGHT * parameters, 0 if spec.fine_tuned else len(seeds)
        length = min(study.training.max_length, round(2 * train.tokens))
        needs.append(Need(
            slug, parameters, trainings, max(1, trainings), **seconds | earlier,
            disk=(trainings + (1 if spec.hub else 0)) * weights,
            download=0 if spec.hub is None or _cached(spec, "model.safetensors") else weights,
            resume=2 * _WITH_ADAM * weights if trainings else 0,
            memory=training_memory(network, study.training.batch_size, length) if trainings else weights,
            rate=source,
        ))  # fmt: skip
    return Forecast(tuple(needs), copies, train, validation, texts)


def assumptions(path: Path) -> Assumptions:
    """The table of assumptions. Raises StudyError."""
    try:
        return Assumptions.model_validate(read_yaml(path))
    except ValidationError as error:
        raise StudyError(f"{path}: {config.first_problem(error, Assumptions)}") from None


def splits(source: config.Data, recipe: config.Training, known: Assumptions) -> tuple[Split, Split, str]:
    """Windows of training and validation, and how they were counted. Raises StudyError for an unknown data set."""
    if not isinstance(source, config.HubData):
        per_word = 1.0 if isinstance(source, config.GeneratedData) else known.tokens_per_word
        loaded = sources.load(source)
        train, validation = (windows(part, recipe, per_word) for part in (loaded.train, loaded.validation))
        return train, validation, f"the study's texts, at {per_word:g} tokens a word"
    if source.name not in known.datasets:
        raise StudyError(
            f"data.name: the size of {source.name} is not known before it is fetched; add it to `datasets` of "
            "studies/assumptions.yaml"
        )
    texts = known.datasets[source.name]
    tokens, longest = texts.tokens_per_window, recipe.max_length
    # Shorter windows are full ones, and as many as it takes to move over the text by all but the stride.
    more = (tokens - recipe.stride) / (longest - recipe.stride) if longest < texts.max_length else 1
    per_question = texts.windows_per_question * max(1, more)
    train, validation = (
        Split(math.ceil(min(count, limit or count) * per_question), min(tokens, longest))
        for count, limit in (
            (texts.train_questions, source.train_limit),
            (texts.validation_questions, source.validation_limit),
        )
    )
    return train, validation, f"{source.name} as in studies/assumptions.yaml"


def windows(examples: Sequence[Example], recipe: config.Training, tokens_per_word: float) -> Split:
    """The windows that ``features.build`` would make, from counts of words instead of tokens."""
    if not examples:
        return Split(0, 0.0)
    words = {text: len(_WORD.findall(text)) for e in examples for text in (e.context, e.question)}
    context, question = (
        tokens_per_word * np.array([words[text] for text in texts])
        for texts in ([e.context for e in examples], [e.question for e in examples])
    )
    beside = np.minimum(question, recipe.max_question_tokens) + 3  # [CLS] question [SEP] context [SEP]
    room = recipe.max_length - beside
    count = 1 + np.maximum(0, np.ceil((context - room) / np.maximum(room - recipe.stride, 1)))
    tokens = context + count * beside + (count - 1) * recipe.stride
    return Split(int(count.sum()), float(tokens.sum() / count.sum()))


def build(spec: config.Model, known: Assumptions) -> Any:
    """The model's network on the meta device. Raises StudyError where only fetching the checkpoint would give its size.

    ``grouped_matmul`` is left out: as matrix products a SqueezeBERT has the same parameters and operations.
    """
    import torch  # takes seconds to load, so only where there is something to forecast
    from transformers import AutoConfig

    from qa_tradeoffs.models import checkpoints, networks

    if spec.architecture:
        settings = networks.configure(spec)
    elif spec.hub in known.checkpoints:
        settings = AutoConfig.for_model(known.checkpoints[spec.hub])
    else:
        folder = spec.path or _cached(spec, "config.json")
        if folder is None:
            raise StudyError(
                f"models: the size of {spec.hub} is not known before it is fetched; add it to `checkpoints` of "
                "studies/assumptions.yaml, or fetch it with `hf download`"
            )
        checkpoints.check(folder)
        try:
            settings = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        except Exception as error:  # from_pretrained raises many types for a broken config
            raise StudyError(f"{folder / 'config.json'}: is not a checkpoint's config ({one_line(error)})") from None
    with torch.device("meta"):
        return networks.from_config(settings).eval().requires_grad_(False)


@cache
def row_flops(network: Any, length: int) -> int:
    """FLOP of a forward pass of one row of ``length`` tokens, counted while the network runs on the meta device.

    A few networks look at values, which that device does not have (Longformer searches for separators). They are
    counted as 2 FLOP per token and weight of a linear layer, without attention's own products.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # With four dimensions: into a mask of two, transformers looks to see whether it hides anything.
    mask = torch.ones(1, 1, 1, length, device="meta")
    try:
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, length, dtype=torch.long, device="meta"), attention_mask=mask)
        return int(counter.get_total_flops())
    except Exception:  # each network has its own way to fail
        linear = (module for module in network.modules() if isinstance(module, (torch.nn.Linear, torch.nn.Conv1d)))
        return 2 * length * sum(module.weight.numel() for module in linear)


def training_memory(network: Any, batch_size: int, length: int) -> int:
    """Bytes while training: weights, gradients, two moments, and the activations that the backward pass needs.

    Activations of a layer: batch · length · (34·h + 5·heads·length) bytes in 16 bits, twice that in fp32, where
    attention is not fused (Korthikanti et al. 2022, arXiv 2205.05198, equation 1). So this is an upper bound.
    """
    layers, hidden, heads = (
        getattr(network.config, key, 0) for key in ("num_hidden_layers", "hidden_size", "num_attention_heads")
    )
    states = (_WITH_ADAM + 1) * _BYTES_PER_WEIGHT * sum(parameter.numel() for parameter in network.parameters())
    return int(states + layers * 2 * batch_size * length * (34 * hidden + 5 * heads * length))


def _forward_flops(network: Any, split: Split) -> int:
    """FLOP of one pass over all windows, padding left out, since batches hold windows of like length."""
    return split.windows * row_flops(network, round(split.tokens)) if split.windows else 0


def _profile_seconds(plan: config.Profile, network: Any, rate: float) -> float:
    """Seconds of the grids of the study's own network, at least ``min_seconds`` a point, and of its scenarios."""
    total = 0.0
    for grid, times in ((plan.forward, 1), (plan.training_step, TRAINING_OVER_FORWARD)):
        for batch_size in grid.batch_sizes:
            for length in grid.lengths:
                call = times * batch_size * row_flops(network, length) / rate
                total += max(plan.min_seconds, plan.min_repeats * call) + plan.passes * plan.warmup * call
    return total * (1 + len(plan.precisions))


def _cached(spec: config.Model, name: str) -> Path | None:
    """The folder of the Hub's cache that has this file of the model; None where it is not there."""
    import huggingface_hub

    path = huggingface_hub.try_to_load_from_cache(str(spec.hub), name, revision=spec.revision)
    return Path(path).parent if isinstance(path, str) else None


def _rate(study: config.Study, run: RunPaths, slug: str, network: Any) -> tuple[float, str]:
    """FLOP/s of a training step of this model, and where they were measured."""
    profile = _earlier(study, run.profile(slug), "profile")
    steps = profile.all("training_step_seconds") if profile else []
    own = [record for record in steps if record.conditions.get("network") == "study" and record.value]
    if not own:
        return _published_rate(study.model(slug), network)
    batch = study.training.batch_size
    nearest = min(own, key=lambda record: abs(int(record.conditions["batch_size"] or 0) - batch))
    per_second = float(nearest.conditions["flops"] or 0) / nearest.value
    return per_second, f"{per_second / TERA:.3g} TFLOP/s, this study's profile on {nearest.conditions['device']}"


def _published_rate(spec: config.Model, network: Any) -> tuple[float, str]:
    """FLOP/s of the most similar full-size network of the experiment with variants, own or stored."""
    variant, name, shape = "BERT", "BERT", flops.BERT_BASE
    if network.config.model_type == "squeezebert":
        variant, shape = "rewritten" if spec.grouped_matmul else "as published", flops.SQUEEZEBERT
        name = f"SqueezeBERT {variant}"
    experiment = results.read_experiment(OWN_ANOMALY if OWN_ANOMALY.is_file() else ANOMALY)
    measured = [r for r in experiment.all("variant_training_step_seconds") if r.conditions["variant"] == variant]
    longest = max(measured, key=lambda r: (int(r.conditions["length"] or 0), float(r.conditions["dropout"] or 0)))
    at = longest.conditions
    batch_size, length = int(at["batch_size"] or 0), int(at["length"] or 0)
    per_second = TRAINING_OVER_FORWARD * flops.encoder_flops(shape, batch_size, length) / longest.value
    what = f"{name} at full size, {batch_size} × {length} tokens"
    return per_second, f"{per_second / TERA:.3g} TFLOP/s, {what} on {at['device']}, {at['threads']} threads"


def _earlier_seconds(study: config.Study, run: RunPaths, slug: str) -> dict[str, float]:
    """Median seconds of the notebooks that this run already has of this model, by stage; of equal inputs only."""
    stages: dict[inputs.Stage, str] = {
        "train": "seed-*/training.json", "evaluate": "seed-*/evaluation.json", "profile": "profile.json",
    }  # fmt: skip
    seconds = {
        stage: [*_notebook_seconds(study, stage, (run.folder / slug).glob(pattern))]
        for stage, pattern in stages.items()
    }
    return {stage: statistics.median(took) for stage, took in seconds.items() if took}


def _notebook_seconds(study: config.Study, stage: inputs.Stage, paths: Iterator[Path]) -> Iterator[float]:
    """Seconds of one device that papermill noted for each result's notebook, but of none that was resumed half-way."""
    for path in paths:
        if (found := _earlier(study, path, stage)) is None:
            continue
        try:
            notebook = json.loads(path.with_name(inputs.NOTEBOOKS[stage].name).read_bytes())
            took = float(notebook["metadata"]["papermill"]["duration"] or 0)
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            continue
        trainings = found.all("train_seconds")
        devices = max([float(record.conditions.get("devices") or 1) for record in trainings], default=1.0)
        if sum(record.value for record in trainings) < took < math.inf:
            yield devices * took


def _earlier(study: config.Study, path: Path, stage: inputs.Stage) -> results.Results | None:
    """An earlier result of the study as it now is; None where there is none, or one that is of something else."""
    try:
        found = results.read(path)
        return results.read_fresh(path, inputs.digest(study, stage, found.model, found.provenance.seed))
    except StudyError:
        return None
