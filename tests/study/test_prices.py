"""The table of prices, and the row that a study names."""

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.study import prices

PRICE = {"provider": "me", "machine": "laptop", "usd_per_hour": 0.5, "date": datetime.date(2025, 3, 1), "source": "x"}


def table(folder: Path, **row: Any) -> dict[str, prices.Price]:
    path = folder / "prices.yaml"
    path.write_text(yaml.safe_dump({"laptop": PRICE | row}))
    return prices.load(path)


def test_a_price_is_one_figure_or_a_range(tmp_path):
    assert table(tmp_path)["laptop"].range_usd_per_hour == (0.5, 0.5)
    assert table(tmp_path, usd_per_hour=[1, 2.5])["laptop"].range_usd_per_hour == (1.0, 2.5)


def test_a_price_is_old_after_a_year(tmp_path):
    price = table(tmp_path)["laptop"]
    assert price.age_warning(datetime.date(2026, 3, 1)) == ""
    assert price.age_warning(datetime.date(2026, 3, 2)).startswith("The price of laptop is 1.0 years old: ")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"usd_per_hour": [2.0, 1.0]}, r"usd_per_hour: must be one figure, or \[lowest, highest\], not \[2.0, 1.0\]"),
        ({"usd_per_hour": "cheap"}, r"usd_per_hour\[0\]: must be a number \(it is 'cheap'\)"),
        ({"usd_per_hour": [1.0]}, r"usd_per_hour\[1\]: is missing"),
        ({"date": "soon"}, r"date: must be a valid date \(it is 'soon'\)"),
        ({"euro": 1}, r"euro: unknown key; the keys here are provider, machine, usd_per_hour, date, source, note$"),
    ],
)
def test_a_wrong_row_of_prices_is_one_sentence(tmp_path, row, message):
    with pytest.raises(StudyError, match=rf"prices\.yaml: laptop\.{message}"):
        table(tmp_path, **row)


def test_a_list_is_not_a_table_of_prices(tmp_path):
    (tmp_path / "prices.yaml").write_text("[]")
    with pytest.raises(StudyError, match=r"prices\.yaml: must be a mapping of keys$"):
        prices.load(tmp_path / "prices.yaml")


def test_a_price_that_the_table_lacks_is_refused_with_those_it_has(tmp_path, study_of):
    study = study_of(price="cloud")
    with pytest.raises(StudyError, match=r"study: price: unknown price 'cloud'; the price table has "):
        prices.of(study, table(tmp_path))
