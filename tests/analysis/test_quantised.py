"""The benchmark's figures on SqueezeBERT's quantisation, from records that can be checked by hand."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from qa_tradeoffs.analysis.quantised import quantised
from qa_tradeoffs.metrics.records import Interval, Record
from qa_tradeoffs.report import anomaly

ORIGIN: dict[str, Any] = {
    "seed": 0, "python": "3.11", "versions": {}, "git_commit": "a" * 40, "git_dirty": False,
    "device": {"type": "cpu", "name": "A processor", "software": "vnni", "threads": 2},
}  # fmt: skip


def of(model: str, engine: str, seconds: float, torch: float = 0, bert: float = 0, **at: Any) -> list[Record]:
    conditions = {"work": "forward", "threads": 2, "batch_size": 8, "length": 176, "limited_to": "", "model": model,
                  "engine": engine} | at  # fmt: skip
    found = [Record.of("bench_engine_seconds", seconds, "s", 5, conditions=conditions)]
    for against, value in (("torch", torch), ("BERT", bert)):
        if value:
            interval = Interval(low=value / 2, high=value * 2, over="passes")
            found.append(Record.of("bench_engine_times_as_fast", value, "1", 5, interval=interval,
                                   conditions=conditions | {"against": against}))  # fmt: skip
    return found


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    records = [
        *of("BERT", "torch", 1.0),
        *of("SqueezeBERT", "torch", 0.8, bert=1.25),
        *of("SqueezeBERT", "onnxruntime-int8", 1.0, torch=0.8, bert=1.0),
        *of("BERT", "torch", 9.0, threads=1),
        *of("BERT", "torch", 9.0, length=128),
        *of("BERT", "torch", 9.0, limited_to="AVX2"),
        *of("BERT", "torch", 9.0, work="training_step"),
    ]
    file = tmp_path / "engines.json"
    file.write_text(json.dumps({"origin": ORIGIN, "records": [r.model_dump(mode="json") for r in records]}))
    return file


def test_the_rows_are_the_forward_passes_at_the_largest_point_without_limited_instructions(stored):
    found = quantised(stored)
    assert found is not None
    assert found.point == "8 × 176 tokens, 2 threads"
    rows = found.times
    assert list(zip(rows["model"], rows["engine"], rows["seconds"], strict=True)) == [
        ("BERT", "torch", 1.0), ("SqueezeBERT", "torch", 0.8), ("SqueezeBERT", "int8", 1.0),
    ]  # fmt: skip
    assert rows["torch"].tolist()[2] == 0.8
    assert pd.isna(rows["torch"]).tolist() == [True, True, False]
    assert rows["bert"].tolist()[1:] == [1.25, 1.0]
    assert rows["bert_high"].tolist()[1:] == [2.5, 2.0]


def test_the_table_names_the_processor_and_has_no_ratio_of_a_network_to_itself(stored):
    table = anomaly.quantised_table(quantised(stored))
    assert "on A processor (vnni)" in table.markup
    over_bert = table.cells["times as fast as BERT in torch"].tolist()
    assert over_bert == ["", "1.25 (0.625 to 2.50)", "1.00 (0.500 to 2.00)"]


def test_without_a_benchmark_there_is_a_sentence_in_place_of_the_table(tmp_path):
    assert quantised(tmp_path / "engines.json") is None
    assert "no benchmark of engines is committed" in anomaly.quantised_table(None).markup
