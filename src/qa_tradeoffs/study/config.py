"""The study file's types and its loading: no type conversion; unknown keys and contradictory settings are refused."""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
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
    """A check that a whole text matches this pattern; ``expected`` is the pattern in words."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"must be {expected}")
        return text

    return AfterValidator(check)


def _absolute(path: Path, info: ValidationInfo) -> Path:
    """Resolve a path against the study file's folder, which is the context of validation."""
    return (info.context or Path()) / path


_SLUG = _like("[a-z0-9][a-z0-9._-]{0,40}", "at most 41 characters of a-z 0-9 . _ - and begin with a letter or digit")
_LANGUAGE = _like("|".join(LANGUAGES), f"one of {', '.join(LANGUAGES)}")
_REPOSITORY = _like(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", "owner/name, as the Hub writes it")
# Section converts no types, but YAML has no paths: strings become paths here.
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


# Entries of a run's folder that are not folders of models.
_TAKEN = frozenset(
    {"rules.mk", "comparison.json", "calls.parquet"}
    | {f"{state}{name}.ipynb" for state in ("", "partial-") for name in ("4-compare", "5-analysis", "audit", "anomaly")}
)
# SQuAD v2.0: training questions, as whole articles, held out for choosing the no-answer threshold. Excluded from a
# stage's inputs if unused, so that results of studies without it stay valid.
ThresholdQuestions = Annotated[int | None, Field(gt=0, exclude_if=lambda value: value is None)]


class GeneratedData(Section):
    """A generated reading-comprehension set: needs no network and no licence."""

    source: Literal["generated"]
    train_passages: int = Field(gt=0, le=1_000_000)
    validation_passages: int = Field(gt=0, le=1_000_000)
    questions_per_passage: int = Field(default=5, gt=0, le=5, description="a passage states at least five facts")
    unanswerable_share: float = Field(default=0.0, ge=0, lt=1, exclude_if=lambda value: value == 0)
    threshold_questions: ThresholdQuestions = None
    seed: int = Field(default=0, ge=0)

    @property
    def v2(self) -> bool:
        """Whether questions may have no answer."""
        return self.unanswerable_share > 0


class _GivenData(Section):
    """Settings shared by all data that are not generated."""

    validation_share: float = Field(
        default=0.25, gt=0, lt=1, description="share of the articles, if a single set is split"
    )
    split_seed: int = Field(default=0, ge=0, description="for that split, and for drawing questions up to the limits")
    v2: bool = False
    threshold_questions: ThresholdQuestions = None
    misplaced_answers: Literal["repair", "drop", "refuse"] = "repair"
    offsets: Literal["detect", "characters", "utf-16", "bytes"] = Field(
        default="detect", description="unit of answer_start; detect: the unit that fits most answers of a file"
    )
    train_limit: int | None = Field(default=None, gt=0, description="questions, drawn at random with split_seed")
    validation_limit: int | None = Field(default=None, gt=0)


class HubData(_GivenData):
    """A data set on the Hub with SQuAD's columns.

    It names either ``train_split`` and ``validation_split``, or one ``split`` to divide by article.
    """

    source: Literal["hub"]
    name: Annotated[str, _REPOSITORY]
    revision: str = Field(min_length=1, description="commit hash; a branch name works but is not reproducible")
    config: str | None = Field(default=None, min_length=1, description="if the data set has several")
    train_split: str = Field(default="train", min_length=1)
    validation_split: str = Field(default="validation", min_length=1)
    split: str | None = Field(default=None, min_length=1, description="the only split, to be divided by article")

    @model_validator(mode="after")
    def _one_way_to_name_splits(self) -> "HubData":
        if self.split and {"train_split", "validation_split"} & self.model_fields_set:
            raise ValueError("gives both `split` and `train_split`/`validation_split`; give the first or the other two")
        if not self.split and self.train_split == self.validation_split:
            raise ValueError(
                f"trains and validates on '{self.train_split}'; use `split: {self.train_split}` to divide it by article"
            )
        return self


class FileData(_GivenData):
    """Files in SQuAD's nested format or as flat rows; each key names a file, several files or a folder.

    Either ``train`` and ``validation``, or one ``file`` that is split by article so that no passage is on both sides.
    """

    source: Literal["files"]
    train: Files | None = None
    validation: Files | None = None
    file: Files | None = None

    @model_validator(mode="after")
    def _one_way_to_name_files(self) -> "FileData":
        if self.file is not None and (self.train or self.validation):
            raise ValueError("gives both `file` and `train`/`validation`; give one `file` to split, or the other two")
        if self.file is None and self.validation is None:
            raise ValueError("names no data; give `train` and `validation`, or one `file` to split by article")
        return self


Data = Annotated[GeneratedData | HubData | FileData, Field(discriminator="source")]


# Encoders that can be built from a config, under transformers' names; DeBERTa-v3 is a deberta-v2.
Architecture = Literal[
    "bert", "distilbert", "squeezebert", "electra", "albert", "roberta", "xlm-roberta", "camembert", "mobilebert",
    "mpnet", "deberta", "deberta-v2", "modernbert", "convbert", "megatron-bert", "ernie", "roformer", "data2vec-text",
    "big_bird", "longformer", "funnel", "bart", "splinter", "rembert", "fnet", "nystromformer",
]  # fmt: skip


def _option(default: Any, **settings: Any) -> Any:
    """A key that is excluded from a stage's inputs while it has its default, so that older results stay valid."""
    return Field(default=default, exclude_if=lambda value: value == default, **settings)


class Training(Section):
    """The recipe of all models without one of their own; the defaults are those of the original study of 2021."""

    learning_rate: float = Field(default=2e-5, gt=0)
    epochs: float = Field(default=3, gt=0, le=10_000)
    batch_size: int = Field(default=16, gt=0, le=100_000, description="windows per update, over all devices")
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_ratio: float = Field(default=0.0, ge=0, lt=1, description="share of the updates in which the rate rises")
    max_length: int = Field(default=384, ge=16, le=8192, description="tokens per window")
    stride: int = Field(default=128, ge=0, description="tokens that neighbouring windows share")
    max_question_tokens: int = Field(default=64, gt=0, le=8192, description="longer questions are truncated")
    dropout: float | None = Field(default=None, ge=0, lt=1, description="None: what the checkpoint's config says")
    fast_dropout: bool = Field(default=True, description="on a CPU: faster dropout, same probability")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(default="auto", description="fp16: on a GPU only")
    save_minutes: float = Field(default=10, gt=0, description="minutes between checkpoints to resume from")
    # Processes that share every update, each on a GPU or on a share of the cores.
    processes: int = _option(1, gt=0, le=1024)
    schedule: Literal["linear", "cosine", "constant"] = _option("linear", description="of the rate after warm-up")
    max_grad_norm: float = _option(1.0, ge=0, description="gradients are clipped to this norm; 0: no clipping")
    adam_beta1: float = _option(0.9, ge=0, lt=1)
    adam_beta2: float = _option(0.999, ge=0, lt=1)
    adam_epsilon: float = _option(1e-8, gt=0)
    layer_decay: float = _option(1.0, gt=0, le=1, description="learning rate of a layer relative to the layer above")
    freeze_embeddings: bool = _option(False)
    freeze_layers: int = _option(0, ge=0, le=1000, description="number of lowest layers that are not trained")
    label_smoothing: float = _option(0.0, ge=0, lt=1, description="share of a label spread over all tokens of a window")
    gradient_checkpointing: bool = _option(False, description="less memory, but activations are recomputed")
    report_to: Literal["none", "tensorboard"] = _option("none", description="where the loss is also logged")
    early_stopping_questions: int | None = _option(
        None, gt=0, description="training questions held out, as whole articles; the weights of lowest loss are kept"
    )
    early_stopping_patience: int = _option(3, gt=0, description="evaluations without a lower loss before stopping")
    early_stopping_every: float = _option(0.1, gt=0, lt=1, description="share of the updates between evaluations")

    @property
    def too_large(self) -> str:
        """The error message for memory that runs out."""
        size = self.batch_size
        advice = f"try {size // 2}" if size > 1 else "try a lower training.max_length, or a machine with more memory"
        return f"training.batch_size: a batch of {size} does not fit into this machine's memory; {advice}"

    @model_validator(mode="after")
    def _consistent(self) -> "Training":
        if self.stride >= self.max_length:
            raise ValueError(f"`stride` {self.stride} must be smaller than `max_length` {self.max_length}")
        if self.batch_size % self.processes:
            raise ValueError(f"`processes` {self.processes} must divide `batch_size` {self.batch_size}")
        unused = {"early_stopping_patience", "early_stopping_every"} & self.model_fields_set
        if unused and self.early_stopping_questions is None:
            raise ValueError(f"`{min(unused)}` applies to early stopping only; give `early_stopping_questions` too")
        return self


class OwnTraining(Training):
    """One model's changes to the study's recipe; only keys that are given count."""

    @model_validator(mode="after")
    def _consistent(self) -> "OwnTraining":
        return self  # the complete recipe is checked in Study

    @model_serializer
    def _given(self) -> dict[str, Any]:
        return {key: value for key, value in self if key in self.model_fields_set}  # including defaults that are given


class InitFrom(Section):
    """The layers of another model's checkpoint that a shallower network of the same widths starts from."""

    model: str = Field(description="a model of the study with `hub` or `path`")
    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        min_length=1, strict=False, description="counted from 0 at the bottom"
    )

    @field_validator("layers")
    @classmethod
    def _rising(cls, layers: tuple[int, ...]) -> tuple[int, ...]:
        if list(layers) != sorted(set(layers)):
            raise ValueError("must name each layer once, in ascending order, as in [0, 2, 4]")
        return layers


class Distillation(Section):
    """How a model learns from its teacher: the loss is (1 - weight) · label loss + weight · divergence."""

    weight: float = Field(default=0.5, ge=0, le=1, description="of the teacher's part of the loss; 0: no effect")
    temperature: float = Field(default=2.0, gt=0, le=100, description="divides the logits of teacher and student")


Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1, strict=False)]
_EXECUTION = {"label", "grouped_matmul"}  # keys that change how a model is computed, not what it answers


class Model(Section):
    """One model of the study: exactly one of ``hub``, ``path``, ``architecture`` says where its weights come from."""

    label: str = Field(min_length=1, description="name in tables and charts")
    hub: str | None = Field(default=None, min_length=1)
    revision: str | None = Field(default=None, min_length=1)
    path: File | None = None
    architecture: Architecture | None = None
    config: dict[str, Any] = Field(default_factory=dict, description="values under transformers' names")
    init_from: InitFrom | None = _option(None)
    teacher: str | None = _option(None, description="another model of the study, from which it is distilled")
    distillation: Distillation | None = _option(None, description="if weight or temperature differ from the defaults")
    fine_tuned: bool = False
    grouped_matmul: bool = Field(default=False, description="SqueezeBERT: convolutions as batched matrix products")
    training: OwnTraining | None = Field(
        default=None, exclude_if=lambda value: value is None, description="if its recipe differs from the study's"
    )
    seeds: Seeds | None = _option(None, description="the first of the study's seeds, if it is not trained with all")

    @property
    def lesson(self) -> Distillation:
        """The settings of its distillation, defaults included."""
        return self.distillation or Distillation()

    @property
    def from_scratch(self) -> bool:
        """Whether training starts from random weights."""
        return self.architecture is not None and self.init_from is None

    @property
    def identity(self) -> str:
        """A digest of all keys but ``_EXECUTION``: equal for entries that are one model computed in different ways."""
        return digest(self.model_dump(mode="json", exclude=_EXECUTION))

    @property
    def untaught(self) -> str:
        """``identity`` as it would be without a teacher: equal for a student and the same model without one."""
        return digest(self.model_dump(mode="json", exclude=_EXECUTION | {"teacher", "distillation", "seeds"}))

    @model_validator(mode="after")
    def _one_source(self) -> "Model":
        sources = [name for name in ("hub", "path", "architecture") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise ValueError(f"must name exactly one of `hub`, `path`, `architecture`, not {len(sources)}")
        if (self.hub is None) != (self.revision is None):
            raise ValueError("`hub` and `revision` go together; `revision` is a commit hash, or a branch such as main")
        if self.config and self.architecture is None:
            raise ValueError("`config` requires `architecture`; a checkpoint brings its own config")
        if self.distillation and self.teacher is None:
            raise ValueError("`distillation` requires a `teacher`; name one, or remove the key")
        if self.fine_tuned and self.teacher:
            raise ValueError("is `fine_tuned` already and cannot learn from a `teacher`; remove one of the two")
        if self.init_from and self.architecture is None:
            raise ValueError("`init_from` requires `architecture`, the kind of network to build")
        if self.fine_tuned and self.architecture:
            raise ValueError("an `architecture` starts from random weights and cannot be `fine_tuned`")
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
        default=None, gt=0, le=2**31, description="tokens of a batch, padding included; None: chosen for the machine"
    )
    no_answer_threshold: float = Field(
        default=0.0, description="v2.0: no answer if its score exceeds the best span's by more than this, in logits"
    )
    language: Annotated[str, _LANGUAGE] | None = Field(
        default=None, description="of the answers, such as zh: how EM and F1 split words; None: detected by script"
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
    """What is measured of each model alone, and for how long.

    Default grids are limited to the lengths that a network accepts.
    """

    forward: Grid = Grid(batch_sizes=(1, 8), lengths=(32, 128))
    training_step: Grid = Grid(batch_sizes=(8,), lengths=(128,))
    passes: int = Field(default=5, ge=3, le=1000, description="over all points; each pass times every point")
    warmup: int = Field(default=2, ge=1, le=1000, description="calls in each pass before the clock starts")
    min_repeats: int = Field(default=10, ge=3, le=100_000, description="calls per point, over all passes")
    min_seconds: float = Field(default=1.0, gt=0, le=3600, description="per point, over all passes")
    memory: tuple[Grid, ...] = Field(default=(), strict=False, description="forward passes, each in a separate process")
    full_size_memory: tuple[Grid, ...] = Field(default=(), strict=False)
    questions: int = Field(default=200, gt=0, description="validation questions for timing the phases")
    precisions: tuple[Literal["fp32", "tf32", "bf16"], ...] = Field(
        default=(), strict=False, description="besides the recipe's, if the device multiplies in them natively"
    )


class Analysis(Section):
    """What the report requires of the models."""

    keeps: float = Field(default=0.99, gt=0, le=1, description="share of the best F1 that a model must keep")


class Compare(Section):
    """The interleaved comparison of all models; full-size networks are those of published sizes."""

    passes: int = Field(default=10, ge=3, le=1000, description="over all models, for each kind of work")
    questions: int = Field(default=100, gt=0, description="validation questions per pass")
    offline_batch_sizes: BatchSizes = (32,)
    full_size_passes: int = Field(default=8, ge=3, le=1000)
    full_size_questions: int = Field(default=4, gt=0)
    full_size_update: int = Field(default=2, gt=0, description="windows per training step of the full-size networks")
    forward: Grid = Field(
        default=Grid(batch_sizes=(1,), lengths=(128,)), description="rows of random tokens, for the full-size networks"
    )
    repeats: float = Field(
        default=0.5, ge=0, le=10, description="time limit for repeating contended passes, as a share of all passes"
    )


class Traffic(Section):
    """The load of a service; the report computes how many machines it needs."""

    questions_per_second: float = Field(gt=0, le=1e9, description="on average; they arrive at random")
    p99_ms: float = Field(ge=0.01, le=1e9, description="99 % of questions are answered within this, waiting included")


class Study(Section):
    """One study: data, models, recipe, seeds, measurements, requirements and the price that costs are based on."""

    title: str = Field(default="", min_length=1, description="by default the study file's name")
    about: str = Field(default="", min_length=1, description="one or two sentences for the top of the report")
    data: Data
    models: dict[Annotated[str, _SLUG], Model] = Field(min_length=1)
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    analysis: Analysis = Analysis()
    # The engines that run each model. Excluded from a stage's inputs if torch is the only one.
    engines: tuple[Annotated[str, AfterValidator(_engine)], ...] = Field(
        default=(REFERENCE,), min_length=1, strict=False, exclude_if=lambda value: value == (REFERENCE,)
    )
    seeds: Seeds = (0,)
    profile: Profile = Profile()
    compare: Compare = Compare()
    price: str = "gcp-n1-standard-2"
    traffic: Traffic | None = Field(default=None, exclude_if=lambda value: value is None)
    publish_texts: bool = Field(
        default=False, description="whether make publish shows questions, contexts and answers of the data"
    )

    _file: Path = PrivateAttr(default=Path("study"))  # for messages
    _shared: Training | None = PrivateAttr(default=None)  # the study's recipe, if `training` is one model's

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        self._check_names()
        for slug in self.models:
            self._check_model(slug)
        self._check_data()
        return self

    def _check_names(self) -> None:
        """Refuse what is named twice, and names that mean something else."""
        for key in ("seeds", "engines"):
            repeated, times = Counter(getattr(self, key)).most_common(1)[0]
            if times > 1:
                raise ValueError(f"`{key}` has {repeated} twice; name each {key[:-1]} once")
        if REFERENCE not in self.engines:
            raise ValueError(f"`engines` must include {REFERENCE}, which the others are compared with")
        label, times = Counter(model.label for model in self.models.values()).most_common(1)[0]
        if times > 1:
            raise ValueError(f"two `models` have the label '{label}'; charts could not tell them apart")
        if taken := [slug for slug in self.models if slug in _TAKEN]:
            raise ValueError(f"a model cannot be named '{taken[0]}', another entry of a run's folder; rename it")

    def _check_model(self, slug: str) -> None:
        """Refuse seeds, a recipe, layers or a teacher that contradict the rest of the study."""
        model = self.models[slug]
        if model.seeds and model.seeds != self.seeds[: len(model.seeds)]:
            first = ", ".join(map(str, self.seeds))
            raise ValueError(f"`models.{slug}.seeds` must be the first of the study's `seeds`, {first}")
        try:
            self.recipe(slug)
        except ValidationError as error:
            problem = first_problem(error)
            raise ValueError(f"`models.{slug}.training`: with the study's `training`, {problem}") from None
        if model.init_from is not None:
            self._check_source(slug, model.init_from.model)
        self._check_teachers(slug)

    def _check_data(self) -> None:
        """Refuse data without training questions for what needs them, and a threshold without a use."""
        data, untrained = self.data, [slug for slug, model in self.models.items() if not model.fine_tuned]
        nothing_to_train_on = isinstance(data, FileData) and not (data.train or data.file)
        if nothing_to_train_on and untrained:
            raise ValueError(f"`data` has no `train`, but models.{untrained[0]} has to be trained")
        if data.threshold_questions is None:
            return
        if not data.v2:
            needed = "unanswerable_share" if isinstance(data, GeneratedData) else "v2: true"
            raise ValueError(f"`data.threshold_questions` applies to questions that may have no answer; set `{needed}`")
        if nothing_to_train_on:
            raise ValueError("`data.threshold_questions` are training questions, but `data` has no `train`")
        if "no_answer_threshold" in self.evaluation.model_fields_set:
            raise ValueError(
                "gives both `evaluation.no_answer_threshold` and `data.threshold_questions`; give the threshold or "
                "the number of questions for choosing it, not both"
            )

    def defaults(self) -> str:
        """The defaults of those omitted keys that the figures depend on; '' if none is omitted."""
        recipe, times = self.training, self.profile
        meanings = {
            "training": f"{recipe.epochs:g} epochs in batches of {recipe.batch_size} at a learning rate of "
            f"{recipe.learning_rate:g}",
            "profile": f"forward passes of {times.forward} tokens and training steps of {times.training_step}",
            "price": f"{self.price}, not the price of this machine",
        }
        if all(model.fine_tuned for model in self.models.values()):
            del meanings["training"]
        return "; ".join(f"{key}: {what}" for key, what in meanings.items() if key not in self.model_fields_set)

    @property
    def other_engines(self) -> tuple[str, ...]:
        """The engines other than torch."""
        return tuple(name for name in self.engines if name != REFERENCE)

    def origin(self, slug: str) -> Model:
        """The model whose checkpoint this one starts from: itself, or the one that ``init_from`` names."""
        model = self.model(slug)
        return self.models[model.init_from.model] if model.init_from else model

    def _check_source(self, slug: str, source: str) -> None:
        """Refuse a source of layers that does not exist or has no checkpoint."""
        where = f"`models.{slug}.init_from.model`"
        if source not in self.models:
            raise ValueError(f"{where}: unknown model '{source}'; the study has {', '.join(self.models)}")
        if self.models[source].architecture:
            raise ValueError(f"{where}: '{source}' has only a config; name a model with `hub` or `path`")

    def seeds_of(self, slug: str, chosen: Sequence[int]) -> tuple[int, ...]:
        """Those of the ``chosen`` seeds that the model is trained with; a fine-tuned checkpoint is evaluated once."""
        model = self.model(slug)
        if model.fine_tuned:
            return tuple(chosen[:1])
        return tuple(seed for seed in chosen if model.seeds is None or seed in model.seeds)

    def teacher_seed(self, slug: str, seed: int) -> int:
        """The seed of the teacher's run that this run learns from: the same, or else one of the teacher's in turn."""
        own = self.models[self.model(slug).teacher or ""].seeds
        return seed if own is None or seed in own else own[seed % len(own)]

    def teacher_seeds(self, slug: str, seed: int) -> list[int]:
        """The seeds of the runs of the model's ``teachers`` that this run depends on."""
        if not (teacher := self.model(slug).teacher):
            return []
        theirs = self.teacher_seed(slug, seed)
        return [theirs, *self.teacher_seeds(teacher, theirs)]

    def teachers(self, slug: str) -> list[str]:
        """The model's teacher, that teacher's teacher, and so on."""
        teacher = self.model(slug).teacher
        return [teacher, *self.teachers(teacher)] if teacher else []

    def _check_teachers(self, slug: str) -> None:
        """Refuse a teacher that does not exist, and one that learns from its own student."""
        chain = [slug]
        while (teacher := self.models[chain[-1]].teacher) is not None:
            where = f"`models.{chain[-1]}.teacher`"
            if teacher not in self.models:
                raise ValueError(f"{where}: unknown model '{teacher}'; the study has {', '.join(self.models)}")
            if teacher in chain:
                ring = ", ".join(f"{one} learns from {other}" for one, other in pairwise([*chain, teacher]))
                raise ValueError(f"{where}: {ring}; a teacher must be trained before its students")
            chain.append(teacher)

    def recipe(self, slug: str) -> Training:
        """This model's recipe: the study's, overridden by the model's own keys."""
        own, shared = self.models[slug].training, self._shared or self.training
        return Training.model_validate(shared.model_dump() | own.model_dump()) if own else shared

    def of(self, slug: str) -> "Study":
        """The study as it applies to this model: ``training`` is its recipe, ``engines`` are those that run it.

        Of entries that differ only in how torch computes them, only the first is exported. Raises StudyError.
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
            raise StudyError(f"{self._file}: models: unknown model '{slug}'; the study has {', '.join(self.models)}")
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
    """The parts of the study that a stage's result depends on, as plain JSON."""
    content = study.of(slug).model_dump(mode="json")
    keys = {
        "train": ("data", "training"),
        "evaluate": ("data", "training", "evaluation"),
        "profile": ("data", "training", "evaluation", "profile"),
        "compare": ("data", "training", "compare"),
    }[stage]
    model = {key: value for key, value in content["models"][slug].items() if key not in ("label", "training", "seeds")}
    if study.model(slug).init_from:
        origin = study.origin(slug).model_dump(mode="json", include={"hub", "revision", "path"})
        model["init_from"] |= {"checkpoint": origin}
    if stage == "profile":  # the teacher does not change a network's speed
        model = {key: value for key, value in model.items() if key not in ("teacher", "distillation")}
    if stage in ("evaluate", "compare"):
        keys += ("engines",)
    return {"stage": stage, "model": {slug: model}} | {key: content[key] for key in keys if key in content}


def seed(text: str) -> int:
    """A seed given on the command line. Raises StudyError."""
    if not re.fullmatch("0|[1-9][0-9]{0,9}", text):
        raise StudyError(f"SEEDS: '{one_line(text)}' is not a seed; give whole numbers from 0, separated by spaces")
    return int(text)


def digest(content: Any) -> str:
    """SHA-256 of plain JSON content, independent of key order and layout."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
