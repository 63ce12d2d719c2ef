"""One measured number as it is kept: value, unit, n, interval and conditions; every result file is made of these."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from qa_tradeoffs.core.documents import Strict
from qa_tradeoffs.metrics import intervals

Condition = str | int | float | bool | None
Over = Literal["questions", "seeds", "passes"]


class Interval(Strict):
    """Bounds of an uncertainty, and which uncertainty it is."""

    low: float
    high: float
    level: float = Field(default=0.95, gt=0, lt=1)
    over: Over

    @model_validator(mode="after")
    def _lowest_first(self) -> "Interval":
        if self.low > self.high:
            raise ValueError(f"its low {self.low} is above its high {self.high}")
        return self


class Record(Strict):
    """One measured number. ``n`` observations are behind ``value``; ``conditions`` are those it was taken under."""

    metric: str
    value: float
    unit: str
    n: int = Field(ge=1)
    interval: Interval | None = None
    conditions: dict[str, Condition] = Field(default_factory=dict)

    @classmethod
    def of(cls, metric: str, value: float, unit: str, n: int = 1, **settings: Any) -> "Record":
        """A number that was counted, or computed elsewhere from ``n`` observations; ``settings`` are other fields."""
        return cls(metric=metric, value=float(value), unit=unit, n=n, **settings)

    @classmethod
    def mean(cls, metric: str, values: npt.ArrayLike, unit: str, rng: np.random.Generator, **settings: Any) -> "Record":
        """The mean of one value per question (n,), with its bootstrap interval over questions."""
        found = np.asarray(values, dtype=float)
        low, high = intervals.bootstrap_mean(found, rng)
        interval = Interval(low=low, high=high, over="questions")
        return cls.of(metric, found.mean(), unit, found.size, interval=interval, **settings)

    @classmethod
    def median(
        cls, metric: str, values: npt.ArrayLike, unit: str, rng: np.random.Generator, **settings: Any
    ) -> "Record":
        """The median of (n_passes, n_repeats) or (n_passes,) values, with its bootstrap interval over passes."""
        found = np.asarray(values, dtype=float)
        low, high = intervals.bootstrap_median(found, rng)
        interval = Interval(low=low, high=high, over="passes")
        return cls.of(metric, np.median(found), unit, found.size, interval=interval, **settings)

    def under(self, conditions: Mapping[str, Condition]) -> "Record":
        """The same number, taken under these conditions as well; its own come on top."""
        return self.model_copy(update={"conditions": {**conditions, **self.conditions}})

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval's low and high; the value itself twice where there is none."""
        return (self.interval.low, self.interval.high) if self.interval else (self.value, self.value)
