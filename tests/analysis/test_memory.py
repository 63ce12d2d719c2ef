"""Peaks of memory from hand-made records."""

import math
from typing import Any

import pytest

from qa_tradeoffs.analysis import memory
from qa_tradeoffs.metrics.records import Record
from tests.analysis.conftest import BERT, DISTILBERT, out_of_memory, record, sized


def peak(mib: float, batch_size: int, measure: str, **conditions: Any) -> Record:
    at = {"batch_size": batch_size, "length": 128, "measure": measure}
    return record("peak_memory_bytes", mib * 2**20, **at | conditions)


def test_every_measure_has_a_row_and_running_out_of_memory_a_row_for_each_measure(profiled):
    def peaks(allocated: float, batch_size: int) -> list[Record]:
        return [peak(allocated, batch_size, "allocated"), peak(2 * allocated, batch_size, "reserved")]

    bert = [*sized(BERT), *peaks(1000, 32), out_of_memory("forward", 64, length=128)]
    found = memory.peaks(profiled({"bert": bert, "distilbert": [*sized(DISTILBERT), *peaks(600, 32), *peaks(900, 64)]}))
    nan = pytest.approx(math.nan, nan_ok=True)
    assert found[["model", "batch_size", "measure", "mib"]].to_numpy().tolist() == [
        ["BERT", 32, "allocated", 1000], ["BERT", 32, "reserved", 2000],
        ["BERT", 64, "allocated", nan], ["BERT", 64, "reserved", nan],
        ["DistilBERT", 32, "allocated", 600], ["DistilBERT", 32, "reserved", 1200],
        ["DistilBERT", 64, "allocated", 900], ["DistilBERT", 64, "reserved", 1800],
    ]  # fmt: skip
    assert memory.of_full_size(found)["mib"].tolist() == [1000, nan, 600, 900]


def test_a_chart_has_one_network_the_first_measure_and_the_first_precision(profiled):
    rows = [
        peak(value, 1, measure, network=network, precision=precision)
        for network, value in (("study", 1), ("full size", 100))
        for precision in ("bf16", "fp32")
        for measure in ("resident_above_baseline", "resident_above_network")
    ]
    found = memory.peaks(profiled({"bert": [*sized(BERT, "full size"), *rows]}))
    assert len(found) == 8
    (row,) = memory.of_full_size(found).to_dict("records")
    assert (row["mib"], row["precision"], row["measure"]) == (100, "bf16", "resident above baseline")


def test_a_checkpoint_has_its_own_peaks_beside_the_twin_of_a_small_network(profiled):
    small = [*sized(DISTILBERT, "full size"), peak(1, 1, "allocated"), peak(600, 1, "allocated", network="full size")]
    found = memory.peaks(profiled({"bert": [*sized(BERT), peak(1000, 1, "allocated")], "distilbert": small}))
    assert memory.of_full_size(found)[["model", "mib"]].to_numpy().tolist() == [["BERT", 1000], ["DistilBERT", 600]]


def test_a_timing_that_ran_out_of_memory_is_no_measurement_of_memory(profiled):
    rows = [out_of_memory("forward", 64, length=128, inputs="random tokens"),
            out_of_memory("offline", 512, inputs="validation questions")]  # fmt: skip
    found = memory.peaks(profiled({"bert": [*sized(BERT), *rows]}))
    assert found.empty
    assert memory.of_full_size(found).empty


def test_if_every_point_ran_out_of_memory_there_is_still_a_row(profiled):
    found = memory.peaks(profiled({"bert": [*sized(BERT), out_of_memory("forward", 64, length=128)]}))
    assert found["mib"].isna().tolist() == [True]
    assert len(memory.of_full_size(found)) == 1
