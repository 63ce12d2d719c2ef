"""Prices of machines per hour: a table that people edit, and the row that a study names."""

import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from qa_tradeoffs.core.documents import Section, read_yaml, validated
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.study.config import Study

Usd = Annotated[float, Field(ge=0)]


class Price(Section):
    """The price of a machine per hour, as published on some day."""

    provider: str
    machine: str
    range_usd_per_hour: tuple[Usd, Usd] = Field(
        alias="usd_per_hour", strict=False, description="lowest and highest; equal for a single figure"
    )
    date: datetime.date = Field(description="day on which the source gave this price")
    source: str
    note: str = ""

    @field_validator("range_usd_per_hour", mode="before")
    @classmethod
    def _one_figure_is_a_range(cls, given: Any) -> Any:
        return given if isinstance(given, (list, tuple)) else [given, given]

    @field_validator("range_usd_per_hour")
    @classmethod
    def _lowest_first(cls, given: tuple[float, float]) -> tuple[float, float]:
        if given[0] > given[1]:
            raise ValueError(f"must be one figure, or [lowest, highest], not {list(given)}")
        return given

    def age_warning(self, today: datetime.date) -> str:
        """A warning if the price is more than a year old, else ''."""
        days = (today - self.date).days
        if days <= 365:
            return ""
        return f"The price of {self.machine} is {days / 365.25:.1f} years old: update it in studies/prices.yaml."


def load(path: Path | str) -> dict[str, Price]:
    """The price table, slug → Price. Raises StudyError."""
    return validated(dict[str, Price], read_yaml(Path(path)), path)


def of(study: Study, prices: dict[str, Price]) -> Price:
    """The study's price. Raises StudyError if the table has no such row."""
    if study.price not in prices:
        raise StudyError(
            f"{study._file}: price: unknown price '{study.price}'; the price table has {', '.join(prices)}"
        )
    return prices[study.price]
