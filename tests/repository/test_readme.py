"""The README is short, names every wing, and has the published figures."""

import re
import tomllib
from pathlib import Path

import pytest

from benchmarks import readme
from qa_tradeoffs.metrics.records import Interval, Record
from qa_tradeoffs.publish import snapshot
from tests.documentation import links

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def rows(header: str) -> list[str]:
    """The first column of the table with this header, without backticks."""
    table = README[README.index(f"| {header} |") :].split("\n\n")[0]
    return re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)


def test_it_is_at_most_150_lines_long():
    assert len(README.splitlines()) <= 150


def test_its_table_has_the_wings_from_the_lowest_to_the_highest():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    lowest_first = [set(layer.split(" | ")) for layer in reversed(contracts[0]["layers"])]
    wings = rows("wing")
    assert set(wings) == {path.parent.name for path in (ROOT / "src" / "qa_tradeoffs").glob("*/__init__.py")}
    level = {wing: number for number, layer in enumerate(lowest_first) for wing in layer}
    assert wings == sorted(wings, key=level.__getitem__)


def test_its_folders_are_there():
    folders = rows("folder")
    assert len(folders) >= 6
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_its_main_figures_are_those_of_the_published_reports():
    summaries = sorted((ROOT / "reports" / "published").glob("*/summary.json"))
    if not summaries:
        pytest.skip("no report is published yet: make publish")
    for path in summaries:
        assert f"](reports/published/{path.parent.name}/index.html)" in README
        for model in snapshot.read(path).models:
            (f1,) = model.find("f1")
            name = model.label.partition(" (")[0]  # without the engine, which is a column
            row = next(line for line in README.splitlines() if line.startswith(f"| {name} |"))
            assert f" {f1.value:.1f} ({f1.interval.low:.1f}–{f1.interval.high:.1f})<br>" in row


def test_its_pictures_have_alternative_texts():
    pictures = [text for is_picture, text, _ in links(ROOT / "README.md") if is_picture]
    assert all(len(text) > 20 for text in pictures)


def test_engines_are_columns_of_the_readme_and_costs_a_range_over_them():
    def model(label: str, f1: float, seconds: float, usd: float) -> snapshot.Model:
        interval = Interval(low=f1 - 1, high=f1 + 1, over="questions")
        records = (
            Record.of("parameters", 2e6, "parameters"),
            Record.of("f1", f1, "points", 40, interval=interval),
            Record.of("question_seconds", seconds, "s per question"),
            Record.of("million_usd", usd, "USD"),
        )
        return snapshot.Model(label=label, records=records)

    models = [model("A", 50, 0.2, 3), model("A (int8)", 49, 0.1, 2), model("B", 40, 0.05, 1)]
    assert readme._models(models).to_dict("records") == [
        {"model": "A", "parameters": "2.0 M", "torch": "50.0 (49.0–51.0)<br>200 ms",
         "int8": "49.0 (48.0–50.0)<br>100 ms", "a million questions, USD": "2.00 to 3.00"},
        {"model": "B", "parameters": "2.0 M", "torch": "40.0 (39.0–41.0)<br>50.0 ms",
         "int8": "", "a million questions, USD": "1.00"},
    ]  # fmt: skip
