"""Charts draw any label, in a font that has its characters or as the model's slug, without a warning."""

import warnings

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from test_charts import check_labels

from qa_tradeoffs.report import charts, choice, lettering, notices
from tests.report.conftest import scored, texts

pytestmark = pytest.mark.usefixtures("bundled")


@pytest.fixture
def bundled(monkeypatch):
    """Only matplotlib's own fonts, whatever is installed."""
    own = [entry for entry in lettering.fontManager.ttflist if entry.fname.startswith(mpl.get_data_path())]
    monkeypatch.setattr(lettering.fontManager, "ttflist", own)
    lettering._family.cache_clear()
    yield
    lettering._family.cache_clear()


def named(**labels: str) -> dict[str, str]:
    return lettering.of(labels)[1]


def test_a_label_is_written_as_it_is_if_the_font_has_its_characters():
    assert lettering.of({"a": "BERT", "b": "Größe é €", "c": "نموذج"}) == (
        ["sans-serif"], {"BERT": "BERT", "Größe é €": "Größe é €", "نموذج": "نموذج"}
    )  # fmt: skip


def test_a_label_without_a_font_is_written_as_its_slug_and_the_reader_is_told():
    assert named(small="小模型", big="BERT") == {"小模型": "small", "BERT": "BERT"}
    (sentence,) = notices.names_in_charts({"small": "小模型", "big": "BERT"})
    assert "small for 小模型" in sentence
    assert "BERT" not in sentence
    assert notices.names_in_charts({"big": "BERT $"}) == []


@pytest.mark.parametrize("label", ["_hidden", "two\nlines", " ", "x" * 41, "\x07bell", "a\u200bb"])
def test_a_label_that_a_chart_cannot_write_is_its_slug_too(label):
    assert named(slug=label)[label] == "slug"


def test_no_two_models_have_one_name():
    assert named(a="小", b="a", c="大") == {"小": "a (model 1)", "a": "a", "大": "c"}


def test_a_dollar_is_no_formula():
    label = r"$\nonsense$5"
    figure, axes = plt.subplots()
    axes.set_title(charts.name(label, {}))
    figure.draw_without_rendering()


@pytest.mark.parametrize("labels", [("小模型", "نموذج"), ("$a$", "_b"), ("🤗", "हिन्दी"), ("BERT", "x" * 200)])
def test_charts_of_any_labels_draw_without_a_warning(labels):
    table = scored([80, 70], [0.1, 0.05]).assign(model=labels, slug=["first", "second"])
    colours = charts.palette(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = choice.chart(table).figure
        check_labels(figure, [charts.name(label, colours) for label in labels])
        lines, axes = plt.subplots()
        for label in labels:
            axes.plot([1, 2], [1, labels.index(label)], label=charts.name(label, colours))
        charts.name_lines([axes])
        lines.draw_without_rendering()
    assert texts(lines) == [charts.name(label, colours) for label in labels]


def test_another_font_is_used_for_characters_that_the_own_one_lacks():
    own = lettering._characters(lettering.findfont(lettering.FontProperties(family=["sans-serif"])))
    other = next(e for e in lettering.fontManager.ttflist if e.name == "STIXGeneral")
    character = chr(min(code for code in lettering._characters(other.fname) - own if chr(code).isprintable()))
    table = pd.DataFrame({"model": [f"B {character}"], "slug": ["b"]})
    assert charts.palette(table).names == {f"B {character}": f"B {character}"}
    assert len(mpl.rcParams["font.family"]) == 2
    figure, axes = plt.subplots()
    axes.set_title(f"B {character}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
