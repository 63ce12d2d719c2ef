"""Forecast of a study's time, disk and memory, from earlier measurements and counted operations.

Networks are built from their configs on torch's meta device, where tensors have a shape but no values: nothing is
fetched, and a network of any size takes no memory.
"""

import json
import math
import re
import statistics
from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub
import numpy as np
import pandas as pd
import torch
from pydantic import Field
from transformers import AutoConfig

from qa_tradeoffs.core.documents import Section, one_line, read_yaml, validated
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.data import sources
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.metrics.flops import TRAINING_OVER_FORWARD
from qa_tradeoffs.models import checkpoints, networks, shallower
from qa_tradeoffs.models.networks import PUBLISHED
from qa_tradeoffs.models.weights import is_converted, pickles
from qa_tradeoffs.runs import graph, inputs, rates, results
from qa_tradeoffs.runs.selection import Selection
from qa_tradeoffs.study import config
from qa_tradeoffs.study.engines import EXPORTED
from qa_tradeoffs.training.setup import check_recipe

_WITH_ADAM = 3  # weights and their two moments in a checkpoint to resume from; in memory, gradients are added
_WORD = re.compile(r"\w+|[^\w\s]")  # the units that BERT's tokenizer splits further

Earlier = Sequence[tuple[graph.Step, results.Results]]  # a model's finished stages


class UnknownSizeError(StudyError):
    """The forecast needs something that has not been fetched yet; the study may still be valid."""


class Texts(Section):
    """Questions of a data set on the Hub, and their windows of at most ``max_length`` tokens."""

    train_questions: int = Field(gt=0)
    validation_questions: int = Field(gt=0)
    windows_per_question: float = Field(ge=1)
    tokens_per_window: float = Field(gt=0)
    max_length: int = Field(gt=0)


class Checkpoint(Section):
    """A network on the Hub: its architecture, and the values of its config that are not the architecture's defaults."""

    architecture: config.Architecture
    config: dict[str, int | float | str | bool] = Field(default_factory=dict)


class Assumptions(Section):
    """Assumptions for what has not been measured yet."""

    datasets: dict[str, Texts]
    checkpoints: dict[str, Checkpoint]
    tokens_per_word: float = Field(gt=0)
    seconds_per_notebook: float = Field(gt=0)


class Split(NamedTuple):
    """The number of windows of one split and their mean length in tokens."""

    windows: int
    tokens: float


def forecast(chosen: Selection, tflops: float = 0) -> tuple[pd.DataFrame, str]:
    """What each model needs, one row each, and the number of windows, in words.

    ``tflops``: achieved 10¹² FLOP/s of other hardware; 0: use measurements. Raises StudyError if a size is unknown or a
    network cannot be trained by its recipe.

    Columns: ``parameters``; ``trainings``, ``evaluations``: number of notebooks; ``train``, ``evaluate``, ``profile``:
    seconds of one; ``compare``: of the model's share of the comparison; ``rate``: the source of these; ``seconds``: of
    all, one after the other. Each has an upper bound in ``*_high``, and NaN if unknown. In bytes: ``weights`` of one
    checkpoint; ``exported``: files of one run for other engines; ``disk``: what stays for all seeds, including the
    Hub's download and converted pickles; ``download``, ``conversion``: what is still missing of these two; ``resume``:
    two checkpoints, while a training replaces one by the next; ``memory``: weights, gradients, Adam's moments, and the
    activations of one batch of the longest windows.
    """
    known = assumptions(ROOT / "studies" / "assumptions.yaml")
    recipes = {slug: chosen.study.recipe(slug) for slug in chosen.models}
    cuts = {slug: (recipe.max_length, recipe.stride) for slug, recipe in recipes.items()}
    counted = {cut: splits(chosen.study.data, recipes[slug], known) for slug, cut in cuts.items()}
    finished = [] if tflops else [stage for stage in graph.stages(chosen) if stage.slug and not stage.stale]
    earlier = {s: [(g, results.read(g.targets[0])) for g in finished if g.slug == s] for s in chosen.models}
    timed = {
        slug: rates.steps(build_of(chosen.study, slug, known), [r for _, found in done for r in found.records])
        for slug, done in earlier.items()
    }
    for slug, recipe in recipes.items():
        if not chosen.study.model(slug).fine_tuned:
            check_recipe(timed[slug].network, recipe)
    rows = {}
    for slug, recipe in recipes.items():
        spec, network, (train, validation, _) = chosen.study.model(slug), timed[slug].network, counted[cuts[slug]]
        at = recipe.batch_size, round(train.tokens)
        rate = rates.given(tflops, network) if tflops else rates.measured(slug, spec, *at, timed)
        times = _times(chosen.study, slug, (train, validation), network, rate)
        rows[slug] = _sizes(chosen, slug, train, network) | _known(times, rate, earlier[slug], known)
        rows[slug] |= {"train": 0.0, "train_high": 0.0} if spec.fine_tuned else {}
    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="model")
    for end in ("", "_high"):
        train, evaluate, profile, compare = (
            found[f"{name}{end}"] for name in ("train", "evaluate", "profile", "compare")
        )
        found[f"seconds{end}"] = found["trainings"] * train + found["evaluations"] * evaluate + profile + compare
    return found, "; or ".join(
        f"{train.windows:,} windows to train on, {train.tokens:.0f} tokens each on average; "
        f"{validation.windows:,} to evaluate on ({source})"
        for train, validation, source in counted.values()
    )


def _sizes(chosen: Selection, slug: str, train: Split, network: Any) -> dict[str, int]:
    """The number of a model's notebooks, and its disk and memory in bytes."""
    recipe, spec = chosen.study.recipe(slug), chosen.study.model(slug)
    parameters, trainings = rates.parameters(network), 0 if spec.fine_tuned else len(chosen.seeds_of(slug))
    weights, length = rates.BYTES_PER_WEIGHT * parameters, min(recipe.max_length, round(2 * train.tokens))
    fetched, converted = _fetched(spec), _pickles(spec)
    # One file for each engine that runs an exported network, in fp32 as large as the weights.
    exported = weights * len(EXPORTED.intersection(chosen.study.of(slug).engines))
    waiting = sum(size for path, size in converted.items() if not is_converted(inputs.sha256(path)))
    return {
        "parameters": parameters,
        "trainings": trainings,
        "evaluations": len(chosen.seeds_of(slug)),
        "weights": weights,
        "exported": exported,
        "disk": (trainings + (1 if spec.hub else 0)) * weights
        + len(chosen.seeds_of(slug)) * exported
        + sum(converted.values()),
        "download": 0 if fetched else weights,
        "conversion": waiting if fetched else weights,  # it may have pickles only
        "resume": 2 * _WITH_ADAM * weights if trainings else 0,
        "memory": training_memory(network, recipe.batch_size, length) if trainings else weights,
    }


def _times(
    study: config.Study, slug: str, windows: tuple[Split, Split], network: Any, rate: rates.Rate
) -> dict[str, float]:
    """Seconds of computation in one notebook of each stage at this rate, as if all engines were as fast as torch."""
    train, validation = (split.windows * rates.row_flops(network, round(split.tokens)) for split in windows)
    return {
        "train": TRAINING_OVER_FORWARD * study.recipe(slug).epochs * train / rate.flops_per_second,
        "evaluate": len(study.of(slug).engines) * validation / rate.flops_per_second,
        "profile": _profile_seconds(study.profile, network, rate.flops_per_second),
        "compare": _compare_seconds(study, slug, network, rate.flops_per_second, round(windows[0].tokens or 1)),
    }


def _known(times: dict[str, float], rate: rates.Rate, earlier: Earlier, known: Assumptions) -> dict[str, Any]:
    """Seconds of a notebook of each stage, their upper bounds, and their source."""
    took, start = _seconds(earlier), known.seconds_per_notebook
    source = f"this study's earlier {', '.join(took)}; otherwise {rate.source}" if took else rate.source
    low = {stage: start + seconds for stage, seconds in times.items()} | took
    high = {stage: start + rate.factor * seconds for stage, seconds in times.items()} | took
    return {"rate": source, **low, **{f"{stage}_high": seconds for stage, seconds in high.items()}}


def assumptions(path: Path) -> Assumptions:
    """The table of assumptions. Raises StudyError."""
    return validated(Assumptions, read_yaml(path), path)


def splits(source: config.Data, recipe: config.Training, known: Assumptions) -> tuple[Split, Split, str]:
    """Windows of training and validation, and their source. Raises StudyError for an unknown data set."""
    if not isinstance(source, config.HubData):
        per_word = 1.0 if isinstance(source, config.GeneratedData) else known.tokens_per_word
        loaded = sources.load(source)
        train, validation = (windows(part, recipe, per_word) for part in (loaded.train, loaded.validation))
        return train, validation, f"the study's texts, at {per_word:g} tokens per word"
    if source.name not in known.datasets:
        raise UnknownSizeError(
            f"data.name: the size of {source.name} is unknown until it is fetched; add it to `datasets` of "
            "studies/assumptions.yaml"
        )
    texts = known.datasets[source.name]
    questions: tuple[float, float] = (texts.train_questions, texts.validation_questions)
    if source.split:  # whole articles go to each side, so this is approximate
        whole = questions[source.split != "train"]
        questions = whole * (1 - source.validation_share), whole * source.validation_share
    tokens, longest = texts.tokens_per_window, recipe.max_length
    # With a smaller max_length all windows are full, and each advances by its length minus the stride.
    more = (tokens - recipe.stride) / (longest - recipe.stride) if longest < texts.max_length else 1
    train, validation = (
        Split(math.ceil(min(count, limit or count) * texts.windows_per_question * max(1, more)), min(tokens, longest))
        for count, limit in (
            (questions[0], source.train_limit), (questions[1], source.validation_limit)
        )
    )  # fmt: skip
    return train, validation, f"{source.name} as in studies/assumptions.yaml"


def windows(examples: Sequence[Example], recipe: config.Training, tokens_per_word: float) -> Split:
    """The windows that ``features.build`` would make, estimated from words instead of tokens."""
    if not examples:
        return Split(0, 0.0)
    words = cache(lambda text: len(_WORD.findall(text)))  # many questions share a context
    context = tokens_per_word * np.array([words(example.context) for example in examples])
    question = tokens_per_word * np.array([words(example.question) for example in examples])
    beside = np.minimum(question, recipe.max_question_tokens) + 3  # [CLS] question [SEP] context [SEP]
    room = recipe.max_length - beside
    count = 1 + np.maximum(0, np.ceil((context - room) / np.maximum(room - recipe.stride, 1)))
    tokens = context + count * beside + (count - 1) * recipe.stride
    return Split(int(count.sum()), float(tokens.sum() / count.sum()))


def build_of(study: config.Study, slug: str, known: Assumptions) -> Any:
    """As ``build``, for one of the study's models. Raises StudyError for layers that do not exist."""
    spec = study.model(slug)
    if spec.init_from is None:
        return build(spec, known)
    with torch.device("meta"):
        source = build(study.origin(slug), known)
        network = networks.from_config(shallower.configure(spec, source.config))
        shallower.fill(network, source, spec)
        return network.eval().requires_grad_(False)


def build(spec: config.Model, known: Assumptions) -> Any:
    """The model's network on the meta device. Raises StudyError if its size is unknown until the checkpoint is fetched.

    ``grouped_matmul`` is ignored: it changes neither parameters nor operations.
    """
    if spec.architecture:
        settings = networks.configure(spec)
    elif spec.hub in known.checkpoints:
        checkpoint = known.checkpoints[spec.hub]
        settings = AutoConfig.for_model(checkpoint.architecture, **checkpoint.config)
    else:
        folder = spec.path or _cached(spec, "config.json")
        if folder is None:
            raise UnknownSizeError(
                f"models: the size of {spec.hub} is unknown until it is fetched; run `hf download {spec.hub}`, or name "
                "its architecture and config in `checkpoints` of studies/assumptions.yaml"
            )
        # Some of the Hub's files may still be missing.
        (checkpoints.check if spec.path else checkpoints.check_settings)(folder)
        try:
            settings = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        except Exception as error:  # from_pretrained raises many types for a broken config
            raise StudyError(f"{folder / 'config.json'}: is not a checkpoint's config ({one_line(error)})") from None
    with torch.device("meta"):
        return networks.from_config(settings).eval().requires_grad_(False)


def training_memory(network: Any, batch_size: int, length: int) -> int:
    """Bytes during training: weights, gradients, two moments, and the activations for the backward pass.

    An upper bound, since the activations are those of eager attention.
    """
    weights = rates.BYTES_PER_WEIGHT * rates.parameters(network)
    return (_WITH_ADAM + 1) * weights + rates.activation_bytes(network, batch_size, length)


def _profile_seconds(plan: config.Profile, network: Any, rate: float) -> float:
    """Seconds for the grids of the study's own network, at least ``min_seconds`` per point."""
    total = 0.0
    for grid, times in ((plan.forward, 1), (plan.training_step, TRAINING_OVER_FORWARD)):
        for batch_size in grid.batch_sizes:
            for length in grid.lengths:
                call = times * batch_size * rates.row_flops(network, length) / rate
                total += max(plan.min_seconds, plan.min_repeats * call) + plan.passes * plan.warmup * call
    return total * (1 + len(plan.precisions))


def _compare_seconds(study: config.Study, slug: str, network: Any, rate: float, tokens: int) -> float:
    """Seconds for one model's passes without repeats, including those of its full-size twin, if any."""
    plan, recipe, row = study.compare, study.recipe(slug), rates.row_flops(network, tokens)
    engines = len(study.of(slug).engines)
    asked = engines * plan.questions * (1 + len(plan.offline_batch_sizes))
    total = plan.passes * (asked + TRAINING_OVER_FORWARD * recipe.batch_size) * row
    large, passes = network, plan.passes
    if (twin := _twin(network)) is not None:
        large, passes = twin, plan.full_size_passes
        asked = engines * plan.full_size_questions * (1 + len(plan.offline_batch_sizes))
        total += passes * (asked + TRAINING_OVER_FORWARD * plan.full_size_update) * rates.row_flops(twin, tokens)
    for batch_size, length in product(plan.forward.batch_sizes, plan.forward.lengths):
        total += passes * batch_size * rates.row_flops(large, length)
    return total / rate


def _twin(network: Any) -> Any | None:
    """The published network of the same kind on the meta device, if this one is smaller."""
    kind = network.config.model_type
    published = build_published(kind) if kind in PUBLISHED else None
    smaller = published is not None and network.num_parameters() < published.num_parameters()
    return published if smaller else None


@cache
def build_published(kind: str) -> Any:
    """A published base model on the meta device."""
    with torch.device("meta"):
        return networks.from_config(AutoConfig.for_model(kind)).eval().requires_grad_(False)


def _fetched(spec: config.Model) -> bool:
    """Whether nothing has to be fetched from the Hub for the model."""
    return not spec.hub or _cached(spec, "model.safetensors") is not None or bool(_pickles(spec))


def _pickles(spec: config.Model) -> dict[Path, int]:
    """The local pickles of its weights with their sizes in bytes; their conversions have the same sizes."""
    folder = spec.path or (_cached(spec, "config.json") if spec.hub else None)
    return {path: path.stat().st_size for path in pickles(folder)} if folder else {}


def _cached(spec: config.Model, name: str) -> Path | None:
    """The folder of the Hub's cache with this file of the model; None if it is not cached."""
    path = huggingface_hub.try_to_load_from_cache(str(spec.hub), name, revision=spec.revision)
    return Path(path).parent if isinstance(path, str) else None


def _seconds(earlier: Earlier) -> dict[str, float]:
    """Median seconds by stage on one device, as recorded by papermill, without resumed trainings."""
    found: dict[str, list[float]] = {}
    for stage, result in earlier:
        try:
            took = float(json.loads(stage.notebook.read_bytes())["metadata"]["papermill"]["duration"] or 0)
        except (ValueError, LookupError, TypeError):
            continue  # executed by hand
        trainings = result.all("train_seconds")
        devices = max([float(record.conditions.get("devices") or 1) for record in trainings], default=1.0)
        if sum(record.value for record in trainings) < took < math.inf:
            found.setdefault(stage.name, []).append(devices * took)
    return {name: statistics.median(seconds) for name, seconds in found.items()}
