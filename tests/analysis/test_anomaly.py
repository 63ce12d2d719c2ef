"""Tables of variants, from records whose times can be added up by hand."""

import json
from typing import Any

import pandas as pd
import pytest

from qa_tradeoffs.analysis import anomaly
from qa_tradeoffs.core.files import ANOMALY
from qa_tradeoffs.metrics.records import Interval, Record
from qa_tradeoffs.profiling import variants

AT = {"work": "training_step", "precision": "fp32", "batch_size": 8, "length": 384, "dropout": 0.1}
# Variant, position, step, alone, seconds
MEASURED = [
    ("as published", 0, "as published", False, 16.0),
    ("matrix products", 1, "convolutions as matrix products", True, 12.0),
    ("rewritten", 2, "attention fused", False, 10.0),
    ("BERT", 3, "BERT", False, 20.0),
    ("no dropout", None, None, True, 8.0),
]


def record(metric: str, value: float, at: dict[str, Any], **conditions: Any) -> Record:
    interval = Interval(low=value - 0.01, high=value + 0.01, over="passes")
    return Record.of(metric, value, "", 5, interval=interval, conditions=at | conditions)


def records(scale: float = 1.0, **changes: Any) -> list[Record]:
    """Times, and ratios to the published network and to the previous step; BERT's step is faster than its times say."""
    at = AT | changes
    times = [
        record(f"variant_{at['work']}_seconds", scale * seconds, at, variant=name, position=i, step=step, alone=alone)
        for name, i, step, alone, seconds in MEASURED
    ]
    pairs = [("matrix products", "as published", 0.75), ("rewritten", "matrix products", 0.83),
             ("rewritten", "as published", 0.625), ("BERT", "rewritten", 1.9), ("BERT", "as published", 1.25),
             ("no dropout", "as published", 0.5), ("rewritten", "BERT", 0.56)]  # fmt: skip
    return times + [record("variant_ratio", ratio, at, variant=name, over=over) for name, over, ratio in pairs]


def test_the_waterfalls_changes_add_up_to_the_difference_of_its_ends():
    found = anomaly.waterfall(records())
    assert found["step"].tolist() == ["as published", "convolutions as matrix products", "attention fused", "BERT"]
    assert found["seconds"].tolist() == [16, 12, 10, 20]
    assert found["change"].tolist()[1:] == [-4, -2, 10]
    assert found["change"].sum() == 20 - 16
    assert found["ratio"].tolist()[1:] == [0.75, 0.83, 1.9]  # each to the step before, as measured within rounds
    assert found["low"].tolist()[1:] == pytest.approx([0.74, 0.82, 1.89])
    assert found.loc[0, ["change", "ratio"]].isna().all()


def test_each_point_has_a_waterfall_of_its_own_and_those_without_all_variants_have_none():
    few = [
        r.model_copy(update={"conditions": r.conditions | {"position": None}})
        for r in records(dropout=0.0)
        if r.conditions["variant"] in ("as published", "rewritten", "BERT")
    ]
    others = [*few, *records(0.5, length=128), *records(0.1, work="forward", dropout=0.0)]
    found = anomaly.waterfall([*records(), *others])
    ends = found.groupby(["work", "length", "dropout"])["seconds"].agg(["first", "last", "size"])
    assert ends.reset_index().to_numpy().tolist() == [
        ["forward", 384, 0.0, pytest.approx(1.6), 2, 4],
        ["training_step", 128, 0.1, 8, 10, 4],
        ["training_step", 384, 0.1, 16, 20, 4],
    ]
    changes = found.groupby(["work", "length"])["change"].sum()
    assert changes.tolist() == pytest.approx([0.4, 2, 4])


def test_the_summary_has_each_time_beside_the_ratio_to_the_published_network():
    found = anomaly.summary(records()).set_index("variant")
    assert found["seconds"].to_dict() == {name: seconds for name, *_, seconds in MEASURED}
    assert found["ratio"].dropna().to_dict() == {
        "matrix products": 0.75, "rewritten": 0.625, "BERT": 1.25, "no dropout": 0.5
    }  # fmt: skip


def test_aims_are_compared_with_the_ratios_of_their_work_and_dropout():
    found = anomaly.aims([*records(), *records(dropout=0.0), *records(dropout=0.3)])
    columns = ["dropout", "over", "ratio", "at most", "reached"]
    assert found[columns].to_numpy().tolist() == [
        [0.1, "as published", 0.625, 0.7, True],
        [0.1, "BERT", 0.56, 0.55, False],
        [0.0, "as published", 0.625, 0.6, False],
        [0.0, "BERT", 0.56, 0.55, False],
    ]
    forward = anomaly.aims(records(work="forward", dropout=0.0))
    assert forward[columns].to_numpy().tolist() == [[0.0, "as published", 0.625, 0.6, False]]


def test_records_of_other_measurements_are_ignored():
    other = Record.of("forward_seconds", 1.0, "s per call")
    pd.testing.assert_frame_equal(anomaly.summary([other, *records()]), anomaly.summary(records()))


def test_an_operators_share_is_of_the_call_without_the_profiler():
    at = AT | {"model": "BERT", "operators": "matrix product", "flops": 3_000_000_000, "unprofiled_seconds": 4.0}
    (row,) = anomaly.operators([record("operator_seconds", 1.0, at), *records()]).to_dict("records")
    expected = {"model": "BERT", "operations": "matrix product", "seconds": 1.0, "share": 0.25, "gflop": 3.0}
    assert row == AT | expected | {"low": 0.99 / 4, "high": 1.01 / 4}


def test_rounds_are_listed_with_why_they_are_contended():
    at = AT | {"round": 2, "rate": 1e9, "contended": "other programs"}
    (row,) = anomaly.rounds([Record.of("round_taken", 0.2, "1", conditions=at), *records()]).to_dict("records")
    assert row == at | {"taken": 0.2}


def test_stored_seconds_of_classes_add_up_to_the_time_of_the_same_call_in_turn():
    found = json.loads(ANOMALY.read_text())["records"]
    at = [("work", "training_step"), ("length", 384), ("dropout", 0.1), ("precision", "fp32")]
    names = {"as published": "SqueezeBERT as published", "rewritten": "SqueezeBERT rewritten", "BERT": "BERT"}
    for variant, model in names.items():
        same = [one for one in found if {*at} <= {*one["conditions"].items()}]
        (timed,) = (
            one["value"] for one in same
            if one["metric"] == "variant_training_step_seconds" and one["conditions"]["variant"] == variant
        )  # fmt: skip
        classes = (one["value"] for one in same if one["conditions"].get("model") == model)
        assert sum(classes) == pytest.approx(timed)


def test_tables_and_variants_use_the_same_names():
    names = [variant.name for variant in (variants.PUBLISHED, variants.CONTROL, variants.REWRITTEN, variants.BERT)]
    assert names == [anomaly.PUBLISHED, anomaly.CONTROL, anomaly.REWRITTEN, anomaly.BERT]


def test_the_command_prints_every_table_of_a_result_file(capsys):
    anomaly.main([str(ANOMALY)])
    _, *tables = capsys.readouterr().out.split("\n\n")
    assert len(tables) == 6
    assert "convolutions as matrix products" in tables[0] and "at most" in tables[3] and "gflop" in tables[4]
