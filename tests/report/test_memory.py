"""Table and chart of memory as a reader sees them."""

import math

import pandas as pd
import pytest

from qa_tradeoffs.report import memory
from tests.report.conftest import COLOURS


def peaks(*rows: tuple[str, int, int, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["model", "batch_size", "length", "mib"])
    return frame.assign(network="study", precision="fp32", measure="allocated")


def test_running_out_of_memory_is_a_cell_of_the_table():
    table = memory.table(
        peaks(("BERT", 32, 128, 1000), ("BERT", 64, 128, math.nan), ("DistilBERT", 64, 128, 900))
    ).cells
    columns = ["network", "precision", "batch", "tokens per row", "measure", "BERT", "DistilBERT"]
    assert table.columns.tolist() == columns
    assert table[["batch", "BERT", "DistilBERT"]].to_numpy().tolist() == [
        [32, "1,000 MiB", "not measured"], [64, "out of memory", "900 MiB"],
    ]  # fmt: skip


def test_memory_has_a_panel_per_length_and_a_cross_where_it_ran_out():
    rows = [("BERT", 8, 128, 900.0), ("BERT", 1, 128, 500.0), ("BERT", 8, 512, math.nan), ("DistilBERT", 8, 512, 700.0)]
    chart = memory.chart(peaks(*rows), COLOURS)
    figure = chart.figure
    assert [axes.get_title() for axes in figure.axes] == ["128 tokens per row", "512 tokens per row"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["batch size", "batch size (×: out of memory)"]
    assert [list(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "o"] == [[1, 8]]
    ((cross,),) = [
        line.get_xydata() for line in figure.axes[1].lines if line.get_marker() == "x" and len(line.get_xdata())
    ]
    assert cross.tolist() == [8, 0]
    assert all(axes.get_ylim()[0] == 0 for axes in figure.axes)
    assert chart.alt.endswith(
        "at batch 8: BERT 900 MiB at 128 tokens; BERT out of memory at 512 tokens; DistilBERT 700 MiB at 512 tokens."
    )


@pytest.mark.parametrize("mib", [(500.0, 9000.0), (9000.0, 5.0)])
def test_panels_share_a_scale_that_holds_the_highest_point_of_each(mib):
    figure = memory.chart(peaks(("BERT", 1, 128, mib[0]), ("BERT", 1, 512, mib[1])), COLOURS).figure
    assert all(axes.get_ylim()[1] > 9000 for axes in figure.axes)


def test_without_any_measurement_table_and_chart_are_empty():
    assert memory.table(peaks()).cells.empty
    assert memory.chart(peaks(), {}).markup == "<p>None: no memory was measured.</p>"
