"""Records of measured numbers: value, unit, n, interval and conditions; every result file consists of these."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from qa_tradeoffs.core.documents import Strict
from qa_tradeoffs.metrics import estimates, timing

Condition = str | int | float | bool | None
Over = Literal[estimates.Over, "passes"]


class Interval(Strict):
    """The bounds of an interval, and which uncertainty it covers."""

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
    """One number, measured from ``n`` observations under ``conditions``."""

    metric: str
    value: float
    unit: str
    n: int = Field(ge=1)
    interval: Interval | None = None
    conditions: dict[str, Condition] = Field(default_factory=dict)

    @classmethod
    def of(cls, metric: str, value: float, unit: str, n: int = 1, **settings: Any) -> "Record":
        """A count, or a number computed elsewhere from ``n`` observations; ``settings`` are other fields."""
        return cls(metric=metric, value=float(value), unit=unit, n=n, **settings)

    @classmethod
    def score(cls, metric: str, values: npt.NDArray[np.float64], clusters: estimates.Clusters) -> "Record":
        """The mean of one score per question (n,), in points, with its clustered interval over questions."""
        estimate = estimates.mean(values, clusters)
        low, high = np.clip(estimate.interval(), 0, 100)
        interval, drawn = Interval(low=low, high=high, over="questions"), {"drawn": clusters.unit}
        return cls.of(metric, estimate.value, "points", len(values), interval=interval, conditions=drawn)

    @classmethod
    def median(cls, metric: str, values: npt.NDArray[np.float64], unit: str, **settings: Any) -> "Record":
        """The geometric mean of the passes' medians, from (n_passes, n_repeats) or (n_passes,) positive values."""
        estimate = timing.typical(np.median(values.reshape(len(values), -1), axis=1))
        interval = Interval(low=estimate.low, high=estimate.high, over="passes")
        return cls.of(metric, estimate.value, unit, values.size, interval=interval, **settings)

    def under(self, conditions: Mapping[str, Condition]) -> "Record":
        """The same number with additional conditions; its own take precedence."""
        return self.model_copy(update={"conditions": {**conditions, **self.conditions}})

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval's low and high; the value twice if there is no interval."""
        return (self.interval.low, self.interval.high) if self.interval else (self.value, self.value)
