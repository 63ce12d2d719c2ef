"""Published figures as data, read and checked from a file that gives the source of each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field, model_validator

from qa_tradeoffs.core.documents import Section, read_yaml, validated
from qa_tradeoffs.core.files import ROOT

T = TypeVar("T")
Positive = Annotated[float, Field(gt=0)]
Points = Annotated[float, Field(ge=0, le=100)]
Source = Annotated[str, Field(min_length=1)]
Point = Annotated[tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]], Field(strict=False)]
ModelName = Literal["bert", "distilbert", "squeezebert"]
MachineName = Literal["p100", "k80"]
MODELS: tuple[ModelName, ...] = ("bert", "distilbert", "squeezebert")
MACHINES: tuple[MachineName, ...] = ("p100", "k80")
LABELS: dict[ModelName, str] = {"bert": "BERT", "distilbert": "DistilBERT", "squeezebert": "SqueezeBERT"}


class OfEach(Section, Generic[T]):
    """One value for each of the three models."""

    bert: T
    distilbert: T
    squeezebert: T

    def of(self, model: ModelName) -> T:
        """The value for one model."""
        value: T = getattr(self, model)
        return value


class OnEach(Section, Generic[T]):
    """One value for each of the original study's GPUs."""

    p100: T
    k80: T

    def of(self, machine: MachineName) -> T:
        """The value for one machine."""
        return self.p100 if machine == "p100" else self.k80


class Score(Section):
    """EM and F1, 0 to 100."""

    exact_match: Points
    f1: Points


class Scores(Section):
    """The original study's scores, and over how many questions."""

    source: Source
    questions: int = Field(gt=0)
    by_model: OfEach[Score]


class Spent(Section):
    """Time and cost of one fine-tuning."""

    hours: Positive
    usd: Positive


class FineTuning(Section):
    """Cost and recipe of the original study's fine-tuning; an update is a batch of rows of ``length`` tokens."""

    source: Source
    by_model: OfEach[Spent]
    batch_size: int = Field(gt=0)
    length: int = Field(gt=0)
    epochs: int = Field(gt=0)
    updates_per_epoch: int = Field(gt=0)
    updates_source: Source


class Queue(Section):
    """What unsynchronised timing misses: ``calls`` are timed together while ``capacity`` launches may still be queued.

    ``launches``: kernel launches of one forward pass, one number for each way of counting.
    """

    source: Source
    calls: int = Field(gt=0)
    capacity: int = Field(gt=0)
    launches: OfEach[Annotated[tuple[int, ...], Field(strict=False, min_length=1)]]
    launches_source: Source

    @model_validator(mode="after")
    def _more_launches_than_wait(self) -> "Queue":
        if len({len(self.launches.of(model)) for model in MODELS}) > 1:
            raise ValueError("launches: each model needs one number for each way of counting")
        for model in MODELS:
            if self.calls * min(self.launches.of(model)) <= self.capacity:
                raise ValueError(
                    f"launches.{model}: {self.calls} calls of {min(self.launches.of(model))} launches all fit into a "
                    f"queue of {self.capacity}; give more than {self.capacity // self.calls}"
                )
        return self


class Grid(OnEach[OfEach[Annotated[tuple[T, ...], Field(strict=False)]]], Generic[T]):
    """One value per point (batch size, tokens per row), model and machine, and how it was measured."""

    source: Source
    method: Source
    points: tuple[Point, ...] = Field(min_length=1, strict=False)

    @model_validator(mode="after")
    def _a_value_for_every_point(self) -> "Grid[T]":
        for machine in MACHINES:
            for model in MODELS:
                n = len(self.of(machine).of(model))
                if n != (points := len(self.points)):
                    raise ValueError(f"{machine}.{model} has {n} values; give one for each of {points} points")
        return self

    def rows(self) -> Iterator[tuple[MachineName, ModelName, int, int, T]]:
        """(machine, model, batch size, length, value), machine by machine, model by model."""
        for machine in MACHINES:
            for model in MODELS:
                for (batch_size, length), value in zip(self.points, self.of(machine).of(model), strict=True):
                    yield machine, model, batch_size, length, value


class PercentFaster(Section):
    """A claim of the form '60 % faster'."""

    percent: Positive
    source: Source


class TimesFaster(Section):
    """A claim of the form '4.3 times faster' on a machine."""

    times: Positive
    machine: str
    source: Source


class Original(Section):
    """The 2021 study that this project reproduces. ``inference`` in seconds, ``memory`` in MiB, None if it ran out."""

    scores: Scores
    fine_tuning: FineTuning
    inference: Grid[Positive]
    queue: Queue
    memory: Grid[Positive | None]
    distilbert_faster: PercentFaster


class PaperScore(Section):
    """Scores on SQuAD v1.1's development set from a paper, a model card or an example; EM is not always given.

    ``model``: the architecture, if it is unchanged; None for other architectures and for compressed versions.
    ``read``: whether the source itself was read rather than a text that cites it.
    """

    model: ModelName | None = None
    name: str = Field(min_length=1)
    exact_match: Points | None = None
    f1: Points
    source: Source
    read: bool
    note: str = ""


class Papers(Section):
    """Claims of the models' authors; speed is relative to BERT-base."""

    scores: tuple[PaperScore, ...] = Field(strict=False)
    distilbert_faster: PercentFaster
    squeezebert_faster: TimesFaster


class Machine(Section):
    """A GPU's peak by its data sheet, 10¹² FLOP/s, in single and in half precision."""

    name: str = Field(min_length=1)
    fp32_tflops: Positive
    fp16_tflops: Positive
    source: Source
    note: str = ""


class Published(Section):
    """The whole file."""

    original: Original
    papers: Papers
    machines: OnEach[Machine]


def load(path: Path | str = ROOT / "studies" / "published.yaml") -> Published:
    """Read and check the file of published figures. Raises StudyError naming the file and the first wrong key."""
    return validated(Published, read_yaml(Path(path)), path)
