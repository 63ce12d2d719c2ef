"""What a study will need, before it starts: seconds, disk and memory, from what was measured or counted.

Networks are built from their configs on torch's meta device, where tensors have a shape and no values: nothing is
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
from typing import Any, Literal, NamedTuple

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
from qa_tradeoffs.training.setup import check_recipe

_WITH_ADAM = 3  # weights and the two moments of each, in a checkpoint to resume from; gradients come on top in memory
_WORD = re.compile(r"\w+|[^\w\s]")  # the units that BERT's tokenizer splits further

Earlier = Sequence[tuple[graph.Step, results.Results]]  # a model's finished stages


class UnknownSizeError(StudyError):
    """What would have to be fetched first to be forecast; nothing is wrong with it."""


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


class Split(NamedTuple):
    """The windows of one split and their mean length in tokens."""

    windows: int
    tokens: float


def forecast(chosen: Selection, tflops: float = 0) -> tuple[pd.DataFrame, str]:
    """What each model needs, a row each, and how many windows there are, in words.

    ``tflops``: achieved 10¹² FLOP/s of hardware where nothing was measured; 0: what was measured. Raises StudyError
    where a size is not known, and where a network cannot be trained by its recipe.

    Columns: ``parameters``; ``trainings``, ``evaluations``: how many notebooks; ``train``, ``evaluate``, ``profile``:
    seconds of one, ``compare``: the model's share of the comparison, and ``rate``: how they are known; ``seconds``: of
    all, one after the other; each with the most that it may be in ``*_high``, and NaN where it is not known. In bytes:
    ``weights`` of one checkpoint; ``disk``: what stays, of all seeds, with the Hub's download and what pickles are
    converted into; ``download``, ``conversion``: what of these two is not there yet; ``resume``: the two checkpoints
    that a training holds while it replaces one by the next; ``memory``: weights, gradients, Adam's moments, and the
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
    """How many notebooks a model has, and what it takes of disk and memory, in bytes."""
    recipe, spec = chosen.study.recipe(slug), chosen.study.model(slug)
    parameters, trainings = rates.parameters(network), 0 if spec.fine_tuned else len(chosen.seeds)
    weights, length = rates.BYTES_PER_WEIGHT * parameters, min(recipe.max_length, round(2 * train.tokens))
    fetched, converted = _fetched(spec), _pickles(spec)
    # A file for each engine, in fp32 as large as these.
    exported = len(chosen.seeds_of(slug)) * len(chosen.study.of(slug).other_engines)
    waiting = sum(size for path, size in converted.items() if not is_converted(inputs.sha256(path)))
    return {
        "parameters": parameters,
        "trainings": trainings,
        "evaluations": len(chosen.seeds_of(slug)),
        "weights": weights,
        "disk": (trainings + (1 if spec.hub else 0) + exported) * weights + sum(converted.values()),
        "download": 0 if fetched else weights,
        "conversion": waiting if fetched else weights,  # it may turn out to have nothing but pickles
        "resume": 2 * _WITH_ADAM * weights if trainings else 0,
        "memory": training_memory(network, recipe.batch_size, length) if trainings else weights,
    }


def _times(
    study: config.Study, slug: str, windows: tuple[Split, Split], network: Any, rate: rates.Rate
) -> dict[str, float]:
    """Seconds of the computation in one notebook of each stage, at this rate, as if all engines took torch's time."""
    train, validation = (split.windows * rates.row_flops(network, round(split.tokens)) for split in windows)
    return {
        "train": TRAINING_OVER_FORWARD * study.recipe(slug).epochs * train / rate.flops_per_second,
        "evaluate": len(study.of(slug).engines) * validation / rate.flops_per_second,
        "profile": _profile_seconds(study.profile, network, rate.flops_per_second),
        "compare": _compare_seconds(study, slug, network, rate.flops_per_second, round(windows[0].tokens or 1)),
    }


def _known(times: dict[str, float], rate: rates.Rate, earlier: Earlier, known: Assumptions) -> dict[str, Any]:
    """Seconds of a notebook of each stage, the most that they may be, and how they are known."""
    took, start = _seconds(earlier), known.seconds_per_notebook
    source = f"this study's earlier {', '.join(took)}; else {rate.source}" if took else rate.source
    low = {stage: start + seconds for stage, seconds in times.items()} | took
    high = {stage: start + rate.factor * seconds for stage, seconds in times.items()} | took
    return {"rate": source, **low, **{f"{stage}_high": seconds for stage, seconds in high.items()}}


def assumptions(path: Path) -> Assumptions:
    """The table of assumptions. Raises StudyError."""
    return validated(Assumptions, read_yaml(path), path)


def splits(source: config.Data, recipe: config.Training, known: Assumptions) -> tuple[Split, Split, str]:
    """Windows of training and validation, and how they were counted. Raises StudyError for an unknown data set."""
    if not isinstance(source, config.HubData):
        per_word = 1.0 if isinstance(source, config.GeneratedData) else known.tokens_per_word
        loaded = sources.load(source)
        train, validation = (windows(part, recipe, per_word) for part in (loaded.train, loaded.validation))
        return train, validation, f"the study's texts, at {per_word:g} tokens a word"
    if source.name not in known.datasets:
        raise UnknownSizeError(
            f"data.name: the size of {source.name} is not known before it is fetched; add it to `datasets` of "
            "studies/assumptions.yaml"
        )
    texts = known.datasets[source.name]
    questions: tuple[float, float] = (texts.train_questions, texts.validation_questions)
    if source.split:  # whole articles go to each side, so this is about right
        whole = questions[source.split != "train"]
        questions = whole * (1 - source.validation_share), whole * source.validation_share
    tokens, longest = texts.tokens_per_window, recipe.max_length
    # Shorter windows are full ones, and as many as it takes to move over the text by all but the stride.
    more = (tokens - recipe.stride) / (longest - recipe.stride) if longest < texts.max_length else 1
    train, validation = (
        Split(math.ceil(min(count, limit or count) * texts.windows_per_question * max(1, more)), min(tokens, longest))
        for count, limit in (
            (questions[0], source.train_limit), (questions[1], source.validation_limit)
        )
    )  # fmt: skip
    return train, validation, f"{source.name} as in studies/assumptions.yaml"


def windows(examples: Sequence[Example], recipe: config.Training, tokens_per_word: float) -> Split:
    """The windows that ``features.build`` would make, from counts of words instead of tokens."""
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
    """The network of one of the study's models, as ``build``. Raises StudyError for layers that are not there."""
    spec = study.model(slug)
    if spec.init_from is None:
        return build(spec, known)
    with torch.device("meta"):
        source = build(study.origin(slug), known)
        network = networks.from_config(shallower.configure(spec, source.config))
        shallower.fill(network, source, spec)
        return network.eval().requires_grad_(False)


def build(spec: config.Model, known: Assumptions) -> Any:
    """The model's network on the meta device. Raises StudyError where only fetching the checkpoint would give its size.

    ``grouped_matmul`` is left out: as matrix products a SqueezeBERT has the same parameters and operations.
    """
    if spec.architecture:
        settings = networks.configure(spec)
    elif spec.hub in known.checkpoints:
        settings = AutoConfig.for_model(known.checkpoints[spec.hub])
    else:
        folder = spec.path or _cached(spec, "config.json")
        if folder is None:
            raise UnknownSizeError(
                f"models: the size of {spec.hub} is not known before it is fetched; add it to `checkpoints` of "
                "studies/assumptions.yaml, or fetch it with `hf download`"
            )
        # Of the Hub's files some may still be missing.
        (checkpoints.check if spec.path else checkpoints.check_settings)(folder)
        try:
            settings = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        except Exception as error:  # from_pretrained raises many types for a broken config
            raise StudyError(f"{folder / 'config.json'}: is not a checkpoint's config ({one_line(error)})") from None
    with torch.device("meta"):
        return networks.from_config(settings).eval().requires_grad_(False)


def training_memory(network: Any, batch_size: int, length: int) -> int:
    """Bytes while training: weights, gradients, two moments, and the activations that the backward pass needs.

    An upper bound, since the activations are those of attention that is not fused.
    """
    weights = rates.BYTES_PER_WEIGHT * rates.parameters(network)
    return (_WITH_ADAM + 1) * weights + rates.activation_bytes(network, batch_size, length)


def _profile_seconds(plan: config.Profile, network: Any, rate: float) -> float:
    """Seconds of the grids of the study's own network, at least ``min_seconds`` a point, and of its scenarios."""
    total = 0.0
    for grid, times in ((plan.forward, 1), (plan.training_step, TRAINING_OVER_FORWARD)):
        for batch_size in grid.batch_sizes:
            for length in grid.lengths:
                call = times * batch_size * rates.row_flops(network, length) / rate
                total += max(plan.min_seconds, plan.min_repeats * call) + plan.passes * plan.warmup * call
    return total * (1 + len(plan.precisions))


def _compare_seconds(study: config.Study, slug: str, network: Any, rate: float, tokens: int) -> float:
    """Seconds of one model's passes, without repeats, its full-size twin's included where a small one has one."""
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
    """The published network of its kind, on the meta device, where this one is smaller."""
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
    """Whether nothing of the model has to come from the Hub any more."""
    return not spec.hub or _cached(spec, "model.safetensors") is not None or bool(_pickles(spec))


def _pickles(spec: config.Model) -> dict[Path, int]:
    """The pickles that are here as its weights, with their bytes, which are those of their conversions too."""
    folder = spec.path or (_cached(spec, "config.json") if spec.hub else None)
    return {path: path.stat().st_size for path in pickles(folder)} if folder else {}


def _cached(spec: config.Model, name: str) -> Path | None:
    """The folder of the Hub's cache that has this file of the model; None where it is not there."""
    path = huggingface_hub.try_to_load_from_cache(str(spec.hub), name, revision=spec.revision)
    return Path(path).parent if isinstance(path, str) else None


def _seconds(earlier: Earlier) -> dict[str, float]:
    """Median seconds of one device by stage, as papermill noted them, but for trainings that were resumed half-way."""
    found: dict[str, list[float]] = {}
    for stage, result in earlier:
        try:
            took = float(json.loads(stage.notebook.read_bytes())["metadata"]["papermill"]["duration"] or 0)
        except (ValueError, LookupError, TypeError):
            continue  # run by hand
        trainings = result.all("train_seconds")
        devices = max([float(record.conditions.get("devices") or 1) for record in trainings], default=1.0)
        if sum(record.value for record in trainings) < took < math.inf:
            found.setdefault(stage.name, []).append(devices * took)
    return {name: statistics.median(seconds) for name, seconds in found.items()}
