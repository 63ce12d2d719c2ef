"""The study file as types, and its loading: nothing converted, unknown keys and what does not go together refused."""

import hashlib
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from qa_tradeoffs.core.documents import Section, first_problem, one_line, quoted, read_yaml, validated
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.languages import LANGUAGES
from qa_tradeoffs.study.engines import EXPORTED, LABELS, REFERENCE


def _like(pattern: str, expected: str) -> AfterValidator:
    """A check that all of a text is of this pattern; ``expected`` is the same in words."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"must be {expected}")
        return text

    return AfterValidator(check)


def _absolute(path: Path, info: ValidationInfo) -> Path:
    """Paths in a study file are relative to its folder, the context of validation."""
    return (info.context or Path()) / path


_SLUG = _like("[a-z0-9][a-z0-9._-]{0,40}", "at most 41 of a-z 0-9 . _ - and begin with a letter or digit")
_LANGUAGE = _like("|".join(LANGUAGES), f"one of {', '.join(LANGUAGES)}")
_REPOSITORY = _like(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", "owner/name, as the Hub writes it")
# Section does not convert between types; YAML has no paths, so texts are converted to these.
File = Annotated[Path, Field(strict=False), AfterValidator(_absolute)]
Files = Annotated[
    tuple[File, ...],
    Field(min_length=1, strict=False),
    BeforeValidator(lambda named: named if isinstance(named, (list, tuple)) else [named]),
]


def _engine(name: str) -> str:
    if name not in LABELS:
        raise ValueError(f"must be one of {', '.join(LABELS)}")
    return name


# What else lies in a run's folder, beside the folders of models.
_TAKEN = frozenset(
    {"rules.mk", "comparison.json", "calls.parquet"}
    | {f"{state}{name}.ipynb" for state in ("", "partial-") for name in ("4-compare", "5-analysis", "audit", "anomaly")}
)
# v2.0: training questions, of whole articles, to choose the no-answer threshold on instead. Left out of what a stage
# depends on where it is not used, so that results of studies without it stay valid.
ThresholdQuestions = Annotated[int | None, Field(gt=0, exclude_if=lambda value: value is None)]


class GeneratedData(Section):
    """A generated reading-comprehension set: needs no network and no licence."""

    source: Literal["generated"]
    train_passages: int = Field(gt=0, le=1_000_000)
    validation_passages: int = Field(gt=0, le=1_000_000)
    questions_per_passage: int = Field(default=5, gt=0, le=5, description="a passage states five facts or more")
    unanswerable_share: float = Field(default=0.0, ge=0, lt=1, exclude_if=lambda value: value == 0)
    threshold_questions: ThresholdQuestions = None
    seed: int = Field(default=0, ge=0)

    @property
    def v2(self) -> bool:
        """Whether questions may have no answer."""
        return self.unanswerable_share > 0


class _GivenData(Section):
    """What may be said of data that are not generated, wherever they come from."""

    validation_share: float = Field(
        default=0.25, gt=0, lt=1, description="where one set is split: share of its articles"
    )
    split_seed: int = Field(default=0, ge=0, description="of that split, and of the limits' draws")
    v2: bool = False
    threshold_questions: ThresholdQuestions = None
    misplaced_answers: Literal["repair", "drop", "refuse"] = "repair"
    offsets: Literal["detect", "characters", "utf-16", "bytes"] = Field(
        default="detect", description="in what answer_start is counted; detect: what fits most answers of a file"
    )
    train_limit: int | None = Field(default=None, gt=0, description="questions, drawn at random with split_seed")
    validation_limit: int | None = Field(default=None, gt=0)


class HubData(_GivenData):
    """A data set on the Hub in SQuAD's columns.

    Either the splits ``train_split`` and ``validation_split``, or one ``split`` that is split by article.
    """

    source: Literal["hub"]
    name: Annotated[str, _REPOSITORY]
    revision: str = Field(min_length=1, description="commit hash; a branch name works but is not reproducible")
    config: str | None = Field(default=None, min_length=1, description="where the data set has several")
    train_split: str = Field(default="train", min_length=1)
    validation_split: str = Field(default="validation", min_length=1)
    split: str | None = Field(default=None, min_length=1, description="the only one, to be split by article")

    @model_validator(mode="after")
    def _one_way_to_name_splits(self) -> "HubData":
        if self.split and {"train_split", "validation_split"} & self.model_fields_set:
            raise ValueError("gives both `split` and `train_split`/`validation_split`; give one to split, or two")
        if not self.split and self.train_split == self.validation_split:
            raise ValueError(
                f"trains and validates on '{self.train_split}'; `split: {self.train_split}` parts it by article"
            )
        return self


class FileData(_GivenData):
    """Files in SQuAD's nesting or as flat rows; ``train``, ``validation``, ``file``: a file, several, or their folder.

    Either ``train`` and ``validation``, or one ``file`` that is split by article, so that no passage is on both sides.
    """

    source: Literal["files"]
    train: Files | None = None
    validation: Files | None = None
    file: Files | None = None

    @model_validator(mode="after")
    def _one_way_to_name_files(self) -> "FileData":
        if self.file is not None and (self.train or self.validation):
            raise ValueError("gives both `file` and `train`/`validation`; give one `file` to split, or both others")
        if self.file is None and self.validation is None:
            raise ValueError("names no data; give `train` and `validation`, or one `file` to split by article")
        return self


Data = Annotated[GeneratedData | HubData | FileData, Field(discriminator="source")]


# Encoders that can be built from a config, by transformers' names; DeBERTa-v3 is a deberta-v2.
Architecture = Literal[
    "bert", "distilbert", "squeezebert", "electra", "albert", "roberta", "xlm-roberta", "camembert", "mobilebert",
    "mpnet", "deberta", "deberta-v2", "modernbert", "convbert", "megatron-bert", "ernie", "roformer", "data2vec-text",
    "big_bird", "longformer", "funnel", "bart", "splinter", "rembert", "fnet", "nystromformer",
]  # fmt: skip


def _option(default: Any, **settings: Any) -> Any:
    """A key that is left out of what a stage depends on while it has its default: results from before it stay valid."""
    return Field(default=default, exclude_if=lambda value: value == default, **settings)


class Training(Section):
    """The recipe of all models that do not give their own; the defaults are those of the original study of 2021."""

    learning_rate: float = Field(default=2e-5, gt=0)
    epochs: float = Field(default=3, gt=0, le=10_000)
    batch_size: int = Field(default=16, gt=0, le=100_000, description="questions' windows per update, over all devices")
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_ratio: float = Field(default=0.0, ge=0, lt=1, description="share of the updates with rising rate")
    max_length: int = Field(default=384, ge=16, le=8192, description="tokens per window")
    stride: int = Field(default=128, ge=0, description="tokens that neighbouring windows share")
    max_question_tokens: int = Field(default=64, gt=0, le=8192, description="longer questions are cut to their first")
    dropout: float | None = Field(default=None, ge=0, lt=1, description="None: what the checkpoint's config says")
    fast_dropout: bool = Field(default=True, description="on a CPU: drop in fewer steps than torch, as often")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(default="auto", description="fp16: on a GPU only")
    save_minutes: float = Field(default=10, gt=0, description="minutes between checkpoints to resume from")
    # That share every update, each on a GPU or on a share of the cores.
    processes: int = _option(1, gt=0, le=1024)
    schedule: Literal["linear", "cosine", "constant"] = _option("linear", description="of the rate after its warm-up")
    max_grad_norm: float = _option(1.0, ge=0, description="longer gradients are cut to it; 0: none are")
    adam_beta1: float = _option(0.9, ge=0, lt=1)
    adam_beta2: float = _option(0.999, ge=0, lt=1)
    adam_epsilon: float = _option(1e-8, gt=0)
    layer_decay: float = _option(1.0, gt=0, le=1, description="rate of a layer as a share of that of the one above it")
    freeze_embeddings: bool = _option(False)
    freeze_layers: int = _option(0, ge=0, le=1000, description="so many of the lowest are not trained")
    label_smoothing: float = _option(0.0, ge=0, lt=1, description="share of a label that all of a window's tokens have")
    gradient_checkpointing: bool = _option(False, description="less memory, and activations computed twice")
    report_to: Literal["none", "tensorboard"] = _option("none", description="where the loss is logged as well")
    early_stopping_questions: int | None = _option(
        None, gt=0, description="training questions, of whole articles, held out; the weights of their lowest loss stay"
    )
    early_stopping_patience: int = _option(3, gt=0, description="evaluations without a lower loss, then training stops")
    early_stopping_every: float = _option(0.1, gt=0, lt=1, description="share of the updates between evaluations")

    @property
    def too_large(self) -> str:
        """What to say where memory runs out."""
        size = self.batch_size
        advice = f"try {size // 2}" if size > 1 else "try a lower training.max_length, or a machine with more memory"
        return f"training.batch_size: a batch of {size} is too much for this machine's memory; {advice}"

    @model_validator(mode="after")
    def _consistent(self) -> "Training":
        if self.stride >= self.max_length:
            raise ValueError(f"`stride` {self.stride} must be smaller than `max_length` {self.max_length}")
        if self.batch_size % self.processes:
            raise ValueError(f"`processes` {self.processes} must divide `batch_size` {self.batch_size}")
        unused = {"early_stopping_patience", "early_stopping_every"} & self.model_fields_set
        if unused and self.early_stopping_questions is None:
            raise ValueError(f"`{min(unused)}` is for early stopping; needs `early_stopping_questions`")
        return self


class OwnTraining(Training):
    """What of the recipe is another for one model; only what is given counts."""

    @model_validator(mode="after")
    def _consistent(self) -> "OwnTraining":
        return self  # what goes together is a matter of the whole recipe

    @model_serializer
    def _given(self) -> dict[str, Any]:
        return {key: value for key, value in self if key in self.model_fields_set}  # defaults, too, if they are given


class InitFrom(Section):
    """Layers of another model's checkpoint, which a shallower network of the same widths begins with."""

    model: str = Field(description="of the study, one with `hub` or `path`")
    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        min_length=1, strict=False, description="from below, from 0"
    )

    @field_validator("layers")
    @classmethod
    def _rising(cls, layers: tuple[int, ...]) -> tuple[int, ...]:
        if list(layers) != sorted(set(layers)):
            raise ValueError("must name each layer once, from below, as in [0, 2, 4]")
        return layers


class Distillation(Section):
    """How a model learns from its teacher: the loss is (1 - weight) · that of the labels + weight · the divergence."""

    weight: float = Field(default=0.5, ge=0, le=1, description="of the teacher's part; 0: as without a teacher")
    temperature: float = Field(default=2.0, gt=0, le=100, description="logits of both are divided by it")


_EXECUTION = {"label", "grouped_matmul"}  # keys of a model that change how it is computed, and not what it answers


class Model(Section):
    """One row of the study: exactly one of ``hub``, ``path``, ``architecture`` says where its weights come from."""

    label: str = Field(min_length=1, description="name in tables and charts")
    hub: str | None = Field(default=None, min_length=1)
    revision: str | None = Field(default=None, min_length=1)
    path: File | None = None
    architecture: Architecture | None = None
    config: dict[str, Any] = Field(default_factory=dict, description="values, with transformers' names")
    init_from: InitFrom | None = _option(None)
    teacher: str | None = _option(None, description="another model of the study, whose answers it learns from as well")
    distillation: Distillation | None = _option(None, description="where its weight or temperature are others")
    fine_tuned: bool = False
    grouped_matmul: bool = Field(default=False, description="SqueezeBERT: convolutions as batched matrix products")
    training: OwnTraining | None = Field(
        default=None, exclude_if=lambda value: value is None, description="where its recipe is not the study's"
    )

    @property
    def lesson(self) -> Distillation:
        """How it learns from its teacher."""
        return self.distillation or Distillation()

    @property
    def from_scratch(self) -> bool:
        """Whether its weights are random as training begins."""
        return self.architecture is not None and self.init_from is None

    @property
    def identity(self) -> str:
        """What two entries have in common that are one model, computed in two ways: all but ``_EXECUTION``."""
        return digest(self.model_dump(mode="json", exclude=_EXECUTION))

    @property
    def untaught(self) -> str:
        """What it has in common with the same model without a teacher."""
        return digest(self.model_dump(mode="json", exclude=_EXECUTION | {"teacher", "distillation"}))

    @model_validator(mode="after")
    def _one_source(self) -> "Model":
        sources = [name for name in ("hub", "path", "architecture") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise ValueError(f"must name exactly one of `hub`, `path`, `architecture`, not {len(sources)}")
        if (self.hub is None) != (self.revision is None):
            raise ValueError("`hub` and `revision` go together: name the commit hash of the checkpoint")
        if self.config and self.architecture is None:
            raise ValueError("`config` only goes with `architecture`; a checkpoint brings its own")
        if self.distillation and self.teacher is None:
            raise ValueError("`distillation` says how to learn from a `teacher`, which is not given")
        if self.fine_tuned and self.teacher:
            raise ValueError("is `fine_tuned` already and learns nothing from a `teacher`; leave one of them out")
        if self.init_from and self.architecture is None:
            raise ValueError("`init_from` goes with `architecture`, which says what the layers become")
        if self.fine_tuned and self.architecture:
            raise ValueError("an `architecture` has random weights and cannot be `fine_tuned` already")
        if self.grouped_matmul and self.architecture not in (None, "squeezebert"):
            raise ValueError(f"`grouped_matmul` rewrites SqueezeBERT's convolutions; a {self.architecture} has none")
        return self

    @field_validator("config")
    @classmethod
    def _plain_values_and_no_code(cls, config: dict[str, Any]) -> dict[str, Any]:
        for key, value in config.items():
            if key in ("auto_map", "trust_remote_code"):
                raise ValueError(f"`{key}` is not allowed: code from checkpoints is never run")
            if isinstance(value, list) and value and all(type(part) is int for part in value):
                continue  # such as Funnel's block_sizes
            if not isinstance(value, (int, float, str)) or (isinstance(value, float) and not math.isfinite(value)):
                raise ValueError(
                    f"`{key}` must be one finite number, text, true or false, or a list of whole numbers, "
                    f"not {quoted(value)}"
                )
        return config


class Evaluation(Section):
    """How answers are read off the logits."""

    max_answer_tokens: int = Field(default=30, gt=0, le=8192)
    batch_tokens: int | None = Field(
        default=None, gt=0, le=2**31, description="rows × longest row of a batch; None: as suits the machine"
    )
    no_answer_threshold: float = Field(default=0.0, description="v2.0: no answer where its lead in logits exceeds this")
    language: Annotated[str, _LANGUAGE] | None = Field(
        default=None, description="of the answers, such as zh: how EM and F1 count words; None: what their script tells"
    )


BatchSizes = Annotated[tuple[Annotated[int, Field(gt=0, le=100_000)], ...], Field(min_length=1, strict=False)]


class Grid(Section):
    """Every batch size with every length, in tokens."""

    batch_sizes: BatchSizes
    lengths: tuple[Annotated[int, Field(ge=8, le=8192)], ...] = Field(min_length=1, strict=False)

    def __str__(self) -> str:
        """'1 or 8 × 32 or 128', batch sizes by lengths."""
        return " × ".join(" or ".join(map(str, numbers)) for numbers in (self.batch_sizes, self.lengths))


class Profile(Section):
    """What is measured of each model by itself, and for how long.

    Grids that are not given are cut to the lengths that a network takes.
    """

    forward: Grid = Grid(batch_sizes=(1, 8), lengths=(32, 128))
    training_step: Grid = Grid(batch_sizes=(8,), lengths=(128,))
    passes: int = Field(default=5, ge=3, le=1000, description="over all points, each timed a little in each of them")
    warmup: int = Field(default=2, ge=1, le=1000, description="calls in each pass before the clock starts")
    min_repeats: int = Field(default=10, ge=3, le=100_000, description="of a point, in all passes together")
    min_seconds: float = Field(default=1.0, gt=0, le=3600, description="for a point, in all passes together")
    memory: tuple[Grid, ...] = Field(default=(), strict=False, description="forward passes, a process for each")
    full_size_memory: tuple[Grid, ...] = Field(default=(), strict=False)
    questions: int = Field(default=200, gt=0, description="validation questions of the phases")
    precisions: tuple[Literal["fp32", "tf32", "bf16"], ...] = Field(
        default=(), strict=False, description="besides the recipe's; tf32 and bf16 only on a GPU that has them"
    )


class Analysis(Section):
    """What the report asks of its models."""

    keeps: float = Field(default=0.99, gt=0, le=1, description="share of the best F1 that a model must keep")


class Compare(Section):
    """What all models do in turn, and how often; full-size networks are those of published sizes."""

    passes: int = Field(default=10, ge=3, le=1000, description="over all models, in each kind of work")
    questions: int = Field(default=100, gt=0, description="validation questions in a pass")
    offline_batch_sizes: BatchSizes = (32,)
    full_size_passes: int = Field(default=8, ge=3, le=1000)
    full_size_questions: int = Field(default=4, gt=0)
    full_size_update: int = Field(default=2, gt=0, description="windows of a training step of the full-size networks")
    forward: Grid = Field(
        default=Grid(batch_sizes=(1,), lengths=(128,)), description="full rows of random tokens, of the full-size ones"
    )
    repeats: float = Field(
        default=0.5, ge=0, le=10, description="time for contended passes, as a share of what all passes take"
    )


class Traffic(Section):
    """The load that a service has to carry, for which the report counts machines."""

    questions_per_second: float = Field(gt=0, le=1e9, description="on average; they arrive at random")
    p99_ms: float = Field(ge=0.01, le=1e9, description="99 % of them are answered within this, waiting included")


class Study(Section):
    """One study: data, models, recipe, seeds, what is measured, what is asked of it, and the price it is costed at."""

    title: str = Field(default="", min_length=1, description="by default the study file's name")
    about: str = Field(default="", min_length=1, description="one or two sentences for the top of the report")
    data: Data
    models: dict[Annotated[str, _SLUG], Model] = Field(min_length=1)
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    analysis: Analysis = Analysis()
    # Of each model, beside torch. Left out of what a stage depends on where there is no other, as if it were no key.
    engines: tuple[Annotated[str, AfterValidator(_engine)], ...] = Field(
        default=(REFERENCE,), min_length=1, strict=False, exclude_if=lambda value: value == (REFERENCE,)
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(default=(0,), min_length=1, strict=False)
    profile: Profile = Profile()
    compare: Compare = Compare()
    price: str = "gcp-n1-standard-2"
    traffic: Traffic | None = Field(default=None, exclude_if=lambda value: value is None)
    publish_texts: bool = Field(
        default=False, description="whether make publish shows questions, contexts and answers of the data"
    )

    _file: Path = PrivateAttr(default=Path("study"))  # for messages
    _shared: Training | None = PrivateAttr(default=None)  # the recipe of all models, where `training` is that of one

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        for key in ("seeds", "engines"):
            repeated, times = Counter(getattr(self, key)).most_common(1)[0]
            if times > 1:
                raise ValueError(f"`{key}` has {repeated} twice; name each {key[:-1]} once")
        if REFERENCE not in self.engines:
            raise ValueError(f"`engines` must name {REFERENCE}, which the others are compared with")
        label, times = Counter(model.label for model in self.models.values()).most_common(1)[0]
        if times > 1:
            raise ValueError(f"two `models` have the label '{label}'; charts could not tell them apart")
        if taken := [slug for slug in self.models if slug in _TAKEN]:
            raise ValueError(f"no model can be named '{taken[0]}': a run keeps something else under it; rename it")
        for slug in self.models:
            try:
                self.recipe(slug)
            except ValidationError as error:
                raise ValueError(
                    f"`models.{slug}.training`: with the study's `training`, {first_problem(error)}"
                ) from None
            if (init_from := self.models[slug].init_from) is not None:
                self._check_source(slug, init_from.model)
            self._check_teachers(slug)
        data, untrained = self.data, [slug for slug, model in self.models.items() if not model.fine_tuned]
        nothing_to_train_on = isinstance(data, FileData) and not (data.train or data.file)
        if nothing_to_train_on and untrained:
            raise ValueError(f"`data` has no `train`, but models.{untrained[0]} has to be trained")
        if data.threshold_questions is None:
            return self
        if not data.v2:
            needed = "unanswerable_share" if isinstance(data, GeneratedData) else "v2: true"
            raise ValueError(f"`data.threshold_questions` is for questions that may have no answer; needs `{needed}`")
        if nothing_to_train_on:
            raise ValueError("`data.threshold_questions` are training questions, but `data` has no `train`")
        if "no_answer_threshold" in self.evaluation.model_fields_set:
            raise ValueError(
                "gives both `evaluation.no_answer_threshold` and `data.threshold_questions`; give the threshold, or "
                "the number of questions to choose it on"
            )
        return self

    def defaults(self) -> str:
        """What stands for the keys that the file leaves out and that its figures depend on; '' where it gives them."""
        recipe, times = self.training, self.profile
        meanings = {
            "training": f"{recipe.epochs:g} epochs in batches of {recipe.batch_size} at a learning rate of "
            f"{recipe.learning_rate:g}",
            "profile": f"forward passes of {times.forward} tokens and training steps of {times.training_step}",
            "price": f"{self.price}, whatever this machine costs",
        }
        if all(model.fine_tuned for model in self.models.values()):
            del meanings["training"]
        return "; ".join(f"{key}: {what}" for key, what in meanings.items() if key not in self.model_fields_set)

    @property
    def other_engines(self) -> tuple[str, ...]:
        """The engines beside torch."""
        return tuple(name for name in self.engines if name != REFERENCE)

    def origin(self, slug: str) -> Model:
        """The model whose checkpoint this one begins with: itself, or that which ``init_from`` names."""
        model = self.model(slug)
        return self.models[model.init_from.model] if model.init_from else model

    def _check_source(self, slug: str, source: str) -> None:
        """Refuse another model to begin with that is not there, or has no checkpoint."""
        where = f"`models.{slug}.init_from.model`"
        if source not in self.models:
            raise ValueError(f"{where}: there is no model '{source}'; it has {', '.join(self.models)}")
        if self.models[source].architecture:
            raise ValueError(f"{where}: '{source}' has no checkpoint to begin with, only a config; name one with `hub`")

    def teachers(self, slug: str) -> list[str]:
        """The model's teacher, the teacher's own, and so on."""
        teacher = self.model(slug).teacher
        return [teacher, *self.teachers(teacher)] if teacher else []

    def _check_teachers(self, slug: str) -> None:
        """Refuse a teacher that is not there, and one that is or learns from its own student."""
        chain = [slug]
        while (teacher := self.models[chain[-1]].teacher) is not None:
            where = f"`models.{chain[-1]}.teacher`"
            if teacher not in self.models:
                raise ValueError(f"{where}: there is no model '{teacher}'; it has {', '.join(self.models)}")
            if teacher in chain:
                ring = " learns from ".join([*chain, teacher])
                raise ValueError(f"{where}: {ring}; but a teacher is trained before its students")
            chain.append(teacher)

    def recipe(self, slug: str) -> Training:
        """How this model is trained: the study's recipe, but for what the model gives itself."""
        own, shared = self.models[slug].training, self._shared or self.training
        return Training.model_validate(shared.model_dump() | own.model_dump()) if own else shared

    def of(self, slug: str) -> "Study":
        """The study as it is for this model: ``training`` is its recipe, ``engines`` those that run it.

        Of entries that differ only in how torch computes them, the first one's files stand for all. Raises StudyError.
        """
        identity = self.model(slug).identity
        first = next(other for other, model in self.models.items() if model.identity == identity)
        own = tuple(name for name in self.engines if slug == first or name not in EXPORTED)
        found = self.model_copy(update={"training": self.recipe(slug), "engines": own})
        found._shared = self._shared or self.training
        return found

    def model(self, slug: str) -> Model:
        """The model with this slug; a StudyError names the known ones."""
        if slug not in self.models:
            raise StudyError(f"{self._file}: models: there is no model '{slug}'; it has {', '.join(self.models)}")
        return self.models[slug]


def load(path: Path | str) -> Study:
    """Read and check a study file. Relative paths in it are relative to its folder. Raises StudyError."""
    path = Path(path)
    return check(read_yaml(path), path)


def check(content: Any, path: Path) -> Study:
    """The Study that a YAML file's content describes. Raises StudyError naming the file and the first wrong key."""
    study = validated(Study, content, path, context=path.resolve().parent)
    if not study.title:
        study = study.model_copy(update={"title": path.stem})
    study._file = path
    return study


def stage_inputs(study: Study, stage: str, slug: str) -> dict[str, Any]:
    """What of the study a stage's result depends on, as plain JSON: if this is unchanged, so is the result."""
    content = study.of(slug).model_dump(mode="json")
    keys = {
        "train": ("data", "training"),
        "evaluate": ("data", "training", "evaluation"),
        "profile": ("data", "training", "evaluation", "profile"),
        "compare": ("data", "training", "compare"),
    }[stage]
    model = {key: value for key, value in content["models"][slug].items() if key not in ("label", "training")}
    if study.model(slug).init_from:
        origin = study.origin(slug).model_dump(mode="json", include={"hub", "revision", "path"})
        model["init_from"] |= {"checkpoint": origin}
    if stage == "profile":  # of the network, whoever teaches it
        model = {key: value for key, value in model.items() if key not in ("teacher", "distillation")}
    if stage in ("evaluate", "compare"):
        keys += ("engines",)
    return {"stage": stage, "model": {slug: model}} | {key: content[key] for key in keys if key in content}


def seed(text: str) -> int:
    """A seed as people write it on a command line. Raises StudyError."""
    if not re.fullmatch("0|[1-9][0-9]{0,9}", text):
        raise StudyError(f"SEEDS: '{one_line(text)}' is no seed; give whole numbers from 0, separated by blanks")
    return int(text)


def digest(content: Any) -> str:
    """SHA-256 of plain JSON content, independent of key order and layout."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
