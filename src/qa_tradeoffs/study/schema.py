"""The study file as types: frozen, nothing converted, unknown keys refused, what does not go together refused."""

import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from qa_tradeoffs.core.documents import Section, shown
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.languages import LANGUAGES

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,40}$")]
# Section does not convert between types; YAML has no paths, so texts are converted to these.
File = Annotated[Path, Field(strict=False)]


# What else lies in a run's folder, beside the folders of models.
TAKEN = frozenset({"rules.mk", "4-analysis.ipynb", "partial-4-analysis.ipynb"})
# Left out of what a stage depends on where it is not used, so that results of studies without it stay valid.
ThresholdQuestions = Annotated[
    int | None,
    Field(
        gt=0,
        exclude_if=lambda value: value is None,
        description="v2.0: training questions, of whole articles, to choose the no-answer threshold on instead",
    ),
]


class GeneratedData(Section):
    """A generated reading-comprehension set: needs no network and no licence."""

    source: Literal["generated"]
    train_passages: int = Field(gt=0, le=1_000_000)
    validation_passages: int = Field(gt=0, le=1_000_000)
    questions_per_passage: int = Field(default=5, gt=0, le=100)
    unanswerable_share: float = Field(default=0.0, ge=0, lt=1, exclude_if=lambda value: value == 0)
    threshold_questions: ThresholdQuestions = None
    seed: int = Field(default=0, ge=0)

    @property
    def v2(self) -> bool:
        """Whether questions may have no answer."""
        return self.unanswerable_share > 0


class HubData(Section):
    """A data set on the Hub in SQuAD's columns, with splits named train and validation."""

    source: Literal["hub"]
    name: str
    revision: str = Field(min_length=1, description="commit hash; a branch name works but is not reproducible")
    v2: bool = False
    threshold_questions: ThresholdQuestions = None
    train_limit: int | None = Field(default=None, gt=0, description="questions, drawn at random with seed 0")
    validation_limit: int | None = Field(default=None, gt=0)

    @field_validator("name")
    @classmethod
    def _no_folder_and_no_loader(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name, re.ASCII):
            raise ValueError("must be owner/name, as the Hub writes it")
        return name


class FileData(Section):
    """Files in the official SQuAD JSON nesting.

    Either ``train`` and ``validation``, or one ``file`` that is split by article, so that no passage is on both sides.
    """

    source: Literal["files"]
    train: File | None = None
    validation: File | None = None
    file: File | None = None
    validation_share: float = Field(default=0.25, gt=0, lt=1, description="share of the articles of `file`")
    split_seed: int = Field(default=0, ge=0)
    v2: bool = False
    threshold_questions: ThresholdQuestions = None
    misplaced_answers: Literal["repair", "refuse"] = "repair"
    train_limit: int | None = Field(default=None, gt=0, description="questions, drawn at random with split_seed")
    validation_limit: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_way_to_name_files(self) -> "FileData":
        if self.file is not None and (self.train or self.validation):
            raise ValueError(
                "gives both `file` and `train`/`validation`; give one `file` to split, or both of the others"
            )
        if self.file is None and self.validation is None:
            raise ValueError("names no data; give `train` and `validation`, or one `file` to split by article")
        return self


Data = Annotated[GeneratedData | HubData | FileData, Field(discriminator="source")]


class Model(Section):
    """One row of the study: exactly one of ``hub``, ``path``, ``architecture`` says where its weights come from."""

    label: str = Field(min_length=1, description="name in tables and charts")
    hub: str | None = Field(default=None, min_length=1)
    revision: str | None = Field(default=None, min_length=1)
    path: File | None = None
    architecture: Literal["bert", "distilbert", "squeezebert"] | None = None
    config: dict[str, Any] = Field(default_factory=dict, description="single values, with transformers' names")
    fine_tuned: bool = False
    grouped_matmul: bool = Field(default=False, description="SqueezeBERT: convolutions as batched matrix products")

    @model_validator(mode="after")
    def _one_source(self) -> "Model":
        sources = [name for name in ("hub", "path", "architecture") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise ValueError(f"must name exactly one of `hub`, `path`, `architecture`, not {len(sources)}")
        if (self.hub is None) != (self.revision is None):
            raise ValueError("`hub` and `revision` go together: name the commit hash of the checkpoint")
        if self.config and self.architecture is None:
            raise ValueError("`config` only goes with `architecture`; a checkpoint brings its own")
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
            if not isinstance(value, (int, float, str)) or (isinstance(value, float) and not math.isfinite(value)):
                raise ValueError(f"`{key}` must be one finite number, text, true or false, not {shown(value)}")
        return config


class Training(Section):
    """The recipe, one for all models of the study; the defaults are those of the original study of 2021."""

    learning_rate: float = Field(default=2e-5, gt=0)
    epochs: float = Field(default=3, gt=0, le=10_000)
    batch_size: int = Field(default=16, gt=0, le=100_000, description="questions' windows per update, over all devices")
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_ratio: float = Field(default=0.0, ge=0, lt=1, description="share of the updates with rising rate")
    max_length: int = Field(default=384, ge=16, le=8192, description="tokens per window")
    stride: int = Field(default=128, ge=0, description="tokens that neighbouring windows share")
    max_question_tokens: int = Field(default=64, gt=0, le=8192, description="longer questions are cut to their first")
    dropout: float | None = Field(default=None, ge=0, lt=1, description="None: what the checkpoint's config says")
    fast_dropout: bool = Field(default=False, description="on a CPU: masks from a faster generator than torch's")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    save_minutes: float = Field(default=10, gt=0, description="minutes between checkpoints to resume from")
    processes: int = Field(
        default=1,
        gt=0,
        le=1024,
        exclude_if=lambda value: value == 1,
        description="that share every update, each on a GPU or on a share of the cores",
    )

    @property
    def too_large(self) -> str:
        """What to say where memory runs out."""
        size = self.batch_size
        advice = f"try {size // 2}" if size > 1 else "try a lower training.max_length, or a machine with more memory"
        return f"training.batch_size: a batch of {size} is too much for this machine's memory; {advice}"

    @model_validator(mode="after")
    def _windows_move_on(self) -> "Training":
        if self.stride >= self.max_length:
            raise ValueError(f"`stride` {self.stride} must be smaller than `max_length` {self.max_length}")
        return self

    @model_validator(mode="after")
    def _even_shares(self) -> "Training":
        if self.batch_size % self.processes:
            raise ValueError(f"`processes` {self.processes} must divide `batch_size` {self.batch_size}")
        return self


class Evaluation(Section):
    """How answers are read off the logits."""

    max_answer_tokens: int = Field(default=30, gt=0, le=8192)
    batch_tokens: int = Field(default=16_384, gt=0, le=2**31, description="rows × longest row of an evaluation batch")
    no_answer_threshold: float = Field(default=0.0, description="v2.0: no answer where its lead in logits exceeds this")
    language: str | None = Field(
        default=None, description="of the answers, such as zh: how EM and F1 count words; None: what their script tells"
    )

    @field_validator("language")
    @classmethod
    def _known_language(cls, language: str | None) -> str | None:
        if language is not None and language not in LANGUAGES:
            raise ValueError(f"must be one of {', '.join(LANGUAGES)}")
        return language


class Grid(Section):
    """Every batch size with every length, in tokens."""

    batch_sizes: tuple[Annotated[int, Field(gt=0, le=100_000)], ...] = Field(min_length=1, strict=False)
    lengths: tuple[Annotated[int, Field(ge=8, le=8192)], ...] = Field(min_length=1, strict=False)


class Profile(Section):
    """What is measured, and for how long: grids of the study's own network, then those of the full-size one."""

    forward: Grid
    training_step: Grid
    passes: int = Field(default=5, ge=3, le=1000, description="over all points, each timed a little in each of them")
    warmup: int = Field(default=2, ge=1, le=1000, description="calls in each pass before the clock starts")
    min_repeats: int = Field(default=10, ge=3, le=100_000, description="of a point, in all passes together")
    min_seconds: float = Field(default=1.0, gt=0, le=3600, description="for a point, in all passes together")
    memory: tuple[Grid, ...] = Field(default=(), strict=False, description="forward passes, a process for each")
    full_size_forward: Grid = Grid(batch_sizes=(1, 4), lengths=(128,))
    full_size_training_step: Grid = Grid(batch_sizes=(4,), lengths=(128,))
    full_size_memory: tuple[Grid, ...] = Field(default=(), strict=False)
    full_size_min_repeats: int = Field(default=5, ge=3, le=100_000)
    questions: int = Field(default=200, gt=0, description="validation questions of the scenarios and phases")
    full_size_questions: int = Field(default=16, gt=0)
    offline_batch_sizes: tuple[Annotated[int, Field(gt=0, le=100_000)], ...] = Field(
        default=(8, 32), min_length=1, strict=False
    )
    precisions: tuple[Literal["fp32", "tf32", "bf16"], ...] = Field(
        default=(), strict=False, description="besides the recipe's; tf32 and bf16 only on a GPU that has them"
    )


class Study(Section):
    """One study: data, models, recipe, seeds, what is measured, and the price it is costed at."""

    title: str = Field(min_length=1)
    about: str = Field(min_length=1, description="one or two sentences for the top of the report")
    data: Data
    models: dict[Slug, Model] = Field(min_length=1)
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(default=(0,), min_length=1, strict=False)
    profile: Profile
    price: str

    _file: Path = PrivateAttr(default=Path("study"))  # for messages

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        if repeated := _repeated(self.seeds):
            raise ValueError(f"`seeds` has {repeated[0]} twice; name each seed once")
        if repeated := _repeated(model.label for model in self.models.values()):
            raise ValueError(f"two `models` have the label '{repeated[0]}'; charts could not tell them apart")
        if taken := [slug for slug in self.models if slug in TAKEN]:
            raise ValueError(f"no model can be named '{taken[0]}': a run keeps something else under it; rename it")
        if isinstance(self.data, FileData) and not (self.data.train or self.data.file):
            untrained = [slug for slug, model in self.models.items() if not model.fine_tuned]
            if untrained:
                raise ValueError(f"`data` has no `train`, but models.{untrained[0]} has to be trained")
        return self

    @model_validator(mode="after")
    def _one_threshold(self) -> "Study":
        if self.data.threshold_questions is None:
            return self
        if not self.data.v2:
            needed = "unanswerable_share" if isinstance(self.data, GeneratedData) else "v2: true"
            raise ValueError(f"`data.threshold_questions` is for questions that may have no answer; needs `{needed}`")
        if isinstance(self.data, FileData) and not (self.data.train or self.data.file):
            raise ValueError("`data.threshold_questions` are training questions, but `data` has no `train`")
        if "no_answer_threshold" in self.evaluation.model_fields_set:
            raise ValueError(
                "gives both `evaluation.no_answer_threshold` and `data.threshold_questions`; give the threshold, or "
                "the number of questions to choose it on"
            )
        return self

    def model(self, slug: str) -> Model:
        """The model with this slug; a StudyError names the known ones."""
        if slug not in self.models:
            raise StudyError(f"{self._file}: models: there is no model '{slug}'; it has {', '.join(self.models)}")
        return self.models[slug]


def _repeated(values: Iterable[Any]) -> list[Any]:
    """The values that are there more than once."""
    return [value for value, count in Counter(values).items() if count > 1]
