"""The table of engines, and a chart of points: a colour for each model, a shape for each engine."""

import pandas as pd

from qa_tradeoffs.report import charts, choice, engines
from tests.report.conftest import COLOURS, NAMES, scored

NAN = float("nan")
ROWS = [
    {
        "model": "BERT", "engine": "torch", "reason": "", "exact_match": 50.0, "f1": 60.0, "bytes": 2**22,
        "memory": 2**23,
    },
    {
        "model": "BERT", "engine": "int8", "reason": "", "exact_match": 48.0, "f1": 59.5, "bytes": 2**20, "memory": NAN,
        "answers": 1000, "differing": 113, "f1_difference": -0.5, "low": -1.0, "high": 0.0, "kept": "inconclusive",
        "times": 2.5, "times_low": 2.4, "times_high": 2.6, "times_pace": "faster",
    },
    {"model": "BERT", "engine": "bf16", "reason": "torch-bf16: this device does not multiply bf16 natively"},
]  # fmt: skip
DEVICE = {"name": "Some processor", "software": "avx2 vnni"}


def test_each_engine_is_a_row_with_its_figures_or_its_reason():
    shown = engines.table(pd.DataFrame(ROWS), 0.99, DEVICE)
    assert shown.cells.iloc[1].to_dict() == {
        "model": "BERT", "engine": "int8", "EM": "48.0", "F1": "59.5", "F1 minus torch's": "-0.5 (-1.0 to 0.0)",
        "answers changed": "113 of 1,000", "keeps at least 99 %": "inconclusive",
        "one question, times as fast": "2.50 (2.40 to 2.60)", "on disk": "1.0 MiB", "memory": "", "not used": "",
    }  # fmt: skip
    torch, bf16 = shown.cells.iloc[0], shown.cells.iloc[2]
    assert (torch["memory"], torch["F1 minus torch's"]) == ("8.0 MiB", "")
    assert (bf16["F1"], bf16["not used"]) == ("", ROWS[2]["reason"])
    assert "on Some processor (avx2 vnni)" in shown.markup
    small = engines.table(pd.DataFrame(ROWS).assign(full_size_times=NAN), 0.99, DEVICE).cells
    assert "memory at full size" in small and "memory" not in small


def test_a_study_with_torch_alone_says_so():
    assert "None: the only engine of this study is torch" in engines.table(pd.DataFrame(), 0.99, DEVICE).markup


def points() -> pd.DataFrame:
    """Two models in two engines each: what is dominated, and what is not."""
    drawn = scored([80, 79, 70, 70], [0.4, 0.2, 0.3, 0.1], standing=["dominated", "front", "dominated", "unclear"])
    engine = ["torch", "onnxruntime-int8"] * 2
    names = ["BERT", "BERT (int8)", "DistilBERT", "DistilBERT (int8)"]
    return drawn.assign(model=names, slug=names, of=["BERT", "BERT", "DistilBERT", "DistilBERT"], engine=engine)


def test_a_chart_of_points_has_a_colour_for_each_model_and_a_shape_for_each_engine():
    table = points()
    colours = charts.palette(table)
    assert colours["BERT"] == colours["BERT (int8)"] != colours["DistilBERT"] == colours["DistilBERT (int8)"]
    figure = choice.chart(table).figure
    axes = figure.axes[0]
    lines = [container[0] for container in axes.containers]
    assert [line.get_marker() for line in lines] == ["o", "D", "o", "D"]
    assert [line.get_markersize() > 5 for line in lines] == [False, True, False, True]
    assert lines[3].get_markerfacecolor() == "white"
    assert [text.get_text() for text in axes.texts] == ["BERT", "DistilBERT"]
    assert axes.texts[0].get_color() == charts.legible(colours["BERT"])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["torch", "int8"]


def test_the_alternative_text_names_every_point():
    alt = choice.chart(points()).alt
    assert "BERT (int8) at 200 ms and F1 79.0, on the Pareto front" in alt
    assert "DistilBERT at 300 ms and F1 70.0, dominated" in alt


def test_a_chart_with_one_engine_is_as_it_was():
    table = scored([80, 70], [0.2, 0.1], standing=["front", "dominated"])
    both = [charts.tradeoff(t.assign(x=t["question"], x_low=t["question"], x_high=t["question"]), "x", COLOURS)
            for t in (table, table.assign(engine="torch", of=table["model"]))]  # fmt: skip
    for figure in both:
        assert [c[0].get_marker() for c in figure.axes[0].containers] == ["o", "X"]
        assert {text.get_text() for text in figure.axes[0].texts} == set(NAMES[:2])
        assert not figure.legends
