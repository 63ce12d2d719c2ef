"""The README is short, names every wing, and has the published figures."""

import re
import tomllib
from pathlib import Path

import pytest

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
