"""Tables of time, memory and money from hand-made records: every figure can be worked out on paper."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from qa_tradeoffs.analysis import compute, tables
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.study import published
from tests.conftest import MODELS, results_of

Rows = list[dict[str, Any]]
SQUEEZEBERT = {"label": "SqueezeBERT", "hub": "some/squeezebert-uncased", "revision": "c" * 40}
FINE_TUNED = {"models": MODELS | {"distilbert": MODELS["distilbert"] | {"fine_tuned": True}}}
TWO = ("bert", "distilbert")


def record(metric: str, value: float, n: int = 10, spread: float = 0.1, **conditions: Any) -> dict[str, Any]:
    """A row known to ``spread`` of its value, of the study's own network in fp32 unless said otherwise."""
    at = {"network": "study", "precision": "fp32", "attention": "sdpa", "eager_control": False} | conditions
    interval = {"low": (1 - spread) * value, "high": (1 + spread) * value, "over": "passes"}
    return {"metric": metric, "value": value, "unit": "1", "n": n, "interval": interval, "conditions": at}


def size(parameters: float, **conditions: Any) -> dict[str, Any]:
    return {"metric": "parameters", "value": parameters, "unit": "parameters", "n": 1, "conditions": conditions}


def sized(parameters: float, network: str = "study") -> Rows:
    """What makes a profile: the size of its own network, or of both."""
    own = size(parameters if network == "study" else 9000, network="study")
    return [own] if network == "study" else [own, size(parameters, network=network)]


def forward(seconds: float, batch_size: int = 1, length: int = 128, **conditions: Any) -> dict[str, Any]:
    at = {"batch_size": batch_size, "length": length, "inputs": "random tokens", "flops": 22.4e9, "share_of_peak": 0.25}
    return record("forward_seconds", seconds, **at | conditions)


def scenarios(p50: float, offline: tuple[float, ...] = (1.0,), spread: float = 0.1, **conditions: Any) -> Rows:
    """SingleStream with p90 twice and p99 three times its median, and Offline at batch 8, 16, …"""
    names = zip(("", "_p90", "_p99"), (1, 2, 3), strict=True)
    rows = [record(f"single_stream_seconds{p}", p50 * times, 400, spread, **conditions) for p, times in names]
    found = [("offline_questions_per_second", value, 8 * 2**i) for i, value in enumerate(offline)]
    return rows + [record(metric, value, batch_size=batch, **conditions) for metric, value, batch in found]


def memory(mib: float, batch_size: int, measure: str, length: int = 128, **conditions: Any) -> dict[str, Any]:
    at = {"batch_size": batch_size, "length": length, "measure": measure}
    return record("peak_memory_bytes", mib * 2**20, **at | conditions)


def out_of_memory(work: str, batch_size: int, **conditions: Any) -> dict[str, Any]:
    return record("out_of_memory", 1, work=work, batch_size=batch_size, **conditions)


@pytest.fixture
def profiled(collected_of: Callable[..., tables.Collected]) -> Callable[..., tables.Collected]:
    """A function from the rows of each model's profile to all that the analysis reads; keywords go to the study.

    As in ``collected_of``, BERT takes an hour to train and others half; F1 is 80 of BERT and 76 of others.
    """

    def build(profiles: dict[str, Rows], **keys: Any) -> tables.Collected:
        collected = collected_of({slug: [[0.8 if slug == "bert" else 0.76] * 4] for slug in profiles}, **keys)
        made = {slug: results_of(collected.study, "profile", slug, None, rows) for slug, rows in profiles.items()}
        return replace(collected, profiles=made)

    return build


def two(profiled: Any, bert: Rows, distilbert: Rows, **keys: Any) -> tables.Collected:
    collected: tables.Collected = profiled({"bert": bert, "distilbert": distilbert}, **keys)
    return collected


def models(parameters: tuple[float, ...] = (100, 50), f1: tuple[float, ...] = (80, 76), **columns: Any) -> pd.DataFrame:
    """What ``money`` needs of the table of models: an hour of training for the first, half an hour for others."""
    seconds = [3600.0] + [1800.0] * (len(f1) - 1)
    names = ["BERT", "DistilBERT", "SqueezeBERT"][: len(f1)]
    return pd.DataFrame({"model": names, "parameters": parameters, "f1": f1, "train_paid_seconds": seconds} | columns)


class TestFullSize:
    def test_a_study_of_published_models_is_itself_full_size(self, profiled):
        collected = profiled({"bert": [*sized(108.9e6), forward(0.2), *scenarios(0.1)]})
        assert compute.full_size(collected) == "study"
        row = compute.speed(collected).iloc[0]
        assert (row["parameters"], row["forward, 1 × 128"]) == ("108.9 M", "200 ms (180 ms–220 ms)")

    def test_a_study_of_small_models_has_full_size_twins(self, profiled):
        twin = {"network": "full size"}
        rows = [*sized(108.9e6, "full size"), forward(0.001), forward(0.2, **twin)]
        collected = profiled({"bert": [*rows, *scenarios(0.003), *scenarios(0.1, **twin)]})
        assert compute.full_size(collected) == "full size"
        row = compute.speed(collected).iloc[0]
        assert (row["parameters"], row["forward, 1 × 128"]) == ("108.9 M", "200 ms (180 ms–220 ms)")
        assert compute.serving(collected, "full size")["p50"].tolist() == [0.1]
        assert compute.serving(collected, "study")["p50"].tolist() == [0.003]

    def test_a_published_model_beside_small_ones_is_its_own_twin(self, profiled):
        twin = {"network": "full size"}
        small = [*sized(66.4e6, "full size"), forward(0.001), forward(0.1, **twin)]
        small += [*scenarios(0.003), *scenarios(0.05, **twin)]
        collected = two(profiled, [*sized(108.9e6), forward(0.2), *scenarios(0.1)], small)
        assert compute.full_size(collected) == "full size"
        assert compute.serving(collected, "full size")["p50"].tolist() == [0.1, 0.05]
        assert compute.speed(collected)["parameters"].tolist() == ["108.9 M", "66.4 M"]


class TestSpeed:
    def test_it_shows_the_smallest_batch_and_the_longest_rows_in_the_recipe_s_precision(self, profiled):
        points = [(32, 1), (128, 1), (128, 8)]
        rows = [
            forward(seconds * batch * length / 128, batch, length, precision=precision)
            for precision, seconds in (("bf16", 0.05), ("fp32", 0.2))
            for length, batch in points
        ]
        row = compute.speed(profiled({"bert": [*sized(108.9e6), *rows]})).iloc[0]
        assert row.to_dict() == {
            "model": "BERT",
            "parameters": "108.9 M",
            "precision": "bf16",
            "forward, 1 × 128": "50.0 ms (45.0 ms–55.0 ms)",
            "GFLOP": "22.4",
            "share of peak": "25 %",
            "with eager attention": "not measured",
        }

    def test_the_eager_control_stands_beside_the_same_point(self, profiled):
        control = {"attention": "eager", "eager_control": True}
        rows = [forward(0.2), forward(0.4, precision="bf16"), forward(0.1, length=32, **control),
                forward(0.5, precision="bf16", **control), forward(0.3, **control)]  # fmt: skip
        bert = [*sized(108.9e6), *rows]
        squeezebert = [*sized(51.1e6), forward(0.15, attention="eager")]
        table = compute.speed(two(profiled, bert, squeezebert))
        assert table["forward, 1 × 128"].tolist() == ["200 ms (180 ms–220 ms)", "150 ms (135 ms–165 ms)"]
        assert table["with eager attention"].tolist() == ["300 ms (270 ms–330 ms)", "is eager"]

    def test_the_parts_of_a_training_step_add_up(self, profiled):
        def step(part: str, seconds: float, batch_size: int) -> dict[str, Any]:
            return record(f"training_{part}_seconds", seconds, batch_size=batch_size, length=128)

        # Medians: of the parts 0.2 + 0.5 + 0.3 = 1, of the whole 0.9; and a larger batch that is not to be shown.
        parts = {"step": 0.9, "forward": 0.2, "backward": 0.5, "optimizer": 0.3}
        rows = [step(part, seconds * batch, batch) for batch in (16, 4) for part, seconds in parts.items()]
        row = compute.speed(profiled({"bert": [*sized(108.9e6), *rows]})).iloc[0]
        assert row["training step, 4 × 128"] == "3.60 s (3.24 s–3.96 s)"
        assert row["of it forward, backward, update"] == "20 % + 50 % + 30 %"

    def test_what_one_model_lacks_is_not_measured(self, profiled):
        table = compute.speed(two(profiled, [*sized(108.9e6), forward(0.2)], sized(66.4e6)))
        assert table["GFLOP"].tolist() == ["22.4", "not measured"]


class TestServing:
    def test_percentiles_the_best_batch_and_the_price_range(self, profiled):
        rows = [*sized(108.9e6), *scenarios(0.36, offline=(5.0, 10.0, 4.0))]
        served = compute.serving(profiled({"bert": rows}, usd_per_hour=(1.0, 3.0)), "study")
        row = served.iloc[0]
        assert (row["p50"], row["p90"], row["p99"], row["repeats"]) == (0.36, 0.72, pytest.approx(1.08), 400)
        assert (row["questions_per_second"], row["offline_batch"]) == (10, 16)
        assert row["single_usd"] == pytest.approx((100, 300))  # 0.36 s is a ten-thousandth of an hour
        assert row["offline_usd"] == pytest.approx((1e5 / 3600, 3e5 / 3600))  # 100,000 s
        assert compute.shown_serving(served).iloc[0].to_dict() == {
            "model": "BERT",
            "SingleStream p50": "360 ms (324 ms–396 ms)",
            "SingleStream p90": "720 ms",
            "SingleStream p99": "1.08 s",
            "answers timed": 400,
            "Offline": "10.0 questions/s at batch 16",
            "million, SingleStream, USD": "100 to 300",
            "million, Offline, USD": "27.8 to 83.3",
        }

    def test_the_recipe_s_precision_is_the_first_and_others_are_left_out(self, profiled):
        first, other = scenarios(0.2, (5.0,), precision="bf16"), scenarios(0.1, (50.0,), precision="fp32")
        row = compute.serving(profiled({"bert": [*sized(108.9e6), *first, *other]}), "study").iloc[0]
        assert (row["p50"], row["p90"], row["questions_per_second"]) == (0.2, 0.4, 5)

    def test_energy_is_shown_where_it_was_metered(self, profiled):
        metered = [*scenarios(0.1), record("single_stream_joules", 2.5), record("offline_joules", 100, batch_size=8)]
        collected = two(profiled, [*sized(108.9e6), *metered], [*sized(66.4e6), *scenarios(0.05)])
        shown = compute.shown_serving(compute.serving(collected, "study"))
        assert shown["J per question, SingleStream"].tolist() == ["2.50", "not metered"]

    def test_offline_without_memory_for_any_batch_is_a_result(self, profiled):
        rows = [*sized(108.9e6), *scenarios(0.36, offline=()), out_of_memory("offline", 512, inputs="questions")]
        collected = profiled({"bert": rows})
        shown = compute.shown_serving(compute.serving(collected, "study")).iloc[0]
        assert shown["Offline"] == shown["million, Offline, USD"] == "out of memory"
        costs = compute.shown_money(compute.money(collected, models((100,), (80,)))).iloc[0]
        assert (costs["million, SingleStream, USD"], costs["million, Offline, USD"]) == ("155", "out of memory")

    def test_a_profile_without_single_stream_is_named(self, profiled):
        with pytest.raises(StudyError, match="profile of bert: has no SingleStream time of the study network"):
            compute.serving(profiled({"bert": sized(108.9e6)}), "study")

    def test_phases_are_milliseconds_per_question(self, profiled):
        parts = [record("phase_seconds", s, phase=p) for p, s in (("tokenise", 0.001), ("forward", 0.02))]
        table = compute.phases(profiled({"bert": [*sized(108.9e6), *parts]}))
        assert table.iloc[0].to_dict() == {"model": "BERT", "tokenise (ms)": 1.0, "forward (ms)": 20.0}
        shown = compute.shown_phases(table.assign(small=0.013264)).iloc[0]
        assert (shown["model"], shown["small"]) == ("BERT", "0.0133")


class TestUtilisation:
    def test_idle_time_is_paid_with_the_questions(self, profiled):
        rows = [*sized(108.9e6), *scenarios(0.36)]
        found = compute.utilisation(profiled({"bert": rows}, usd_per_hour=(1.0, 3.0)), "study")
        assert found["utilisation"].tolist() == [1, 0.5, 0.1]
        assert found["usd_low"].tolist() == pytest.approx([100, 200, 1000])
        assert found["usd_high"].tolist() == pytest.approx([300, 600, 3000])

    def test_it_is_shown_with_a_column_each(self, profiled):
        collected = two(profiled, [*sized(1), *scenarios(0.36)], [*sized(1), *scenarios(0.18)], usd_per_hour=1.0)
        shown = compute.shown_utilisation(compute.utilisation(collected, "study"))
        assert shown.columns.tolist() == ["model", *(f"{p} % of the time, USD" for p in (100, 50, 10))]
        assert shown.to_numpy().tolist() == [["BERT", "100", "200", "1,000"], ["DistilBERT", "50.0", "100", "500"]]


class TestMemory:
    def test_every_measure_has_a_row_and_running_out_is_a_cell_of_each(self, profiled):
        def peaks(allocated: float, batch_size: int) -> Rows:
            return [memory(allocated, batch_size, "allocated"), memory(2 * allocated, batch_size, "reserved")]

        bert = [*sized(108.9e6), *peaks(1000, 32), out_of_memory("forward", 64, length=128)]
        collected = two(profiled, bert, [*sized(66.4e6), *peaks(600, 32), *peaks(900, 64)])
        found = compute.memory(collected)
        shown = compute.shown_memory(found)
        assert shown.columns.tolist() == [
            "network", "precision", "batch", "tokens per row", "measure", "BERT", "DistilBERT",
        ]  # fmt: skip
        assert shown.drop(columns=["network", "precision", "tokens per row"]).to_numpy().tolist() == [
            [32, "allocated", "1,000 MiB", "600 MiB"],
            [32, "reserved", "2,000 MiB", "1,200 MiB"],
            [64, "allocated", "out of memory", "900 MiB"],
            [64, "reserved", "out of memory", "1,800 MiB"],
        ]
        chart = compute.memory_of(found, "study")
        assert chart["measure"].unique().tolist() == ["allocated"]
        assert chart["mib"].tolist() == [1000, pytest.approx(math.nan, nan_ok=True), 600, 900]

    def test_a_chart_shows_one_network_the_first_measure_and_the_first_precision(self, profiled):
        rows = [
            memory(value, 1, measure, network=network, precision=precision)
            for network, value in (("study", 1), ("full size", 100))
            for precision in ("bf16", "fp32")
            for measure in ("resident_above_baseline", "resident_above_network")
        ]
        found = compute.memory(profiled({"bert": [*sized(108.9e6, "full size"), *rows]}))
        assert len(found) == 8
        (row,) = compute.memory_of(found, "full size").to_dict("records")
        assert (row["mib"], row["precision"], row["measure"]) == (100, "bf16", "resident above baseline")

    def test_a_timing_that_ran_out_of_memory_is_no_measurement_of_memory(self, profiled):
        rows = [out_of_memory("forward", 64, length=128, inputs="random tokens"),
                out_of_memory("offline", 512, inputs="validation questions")]  # fmt: skip
        assert compute.memory(profiled({"bert": [*sized(108.9e6), *rows]})).empty

    def test_where_every_point_ran_out_there_is_still_a_row(self, profiled):
        found = compute.memory(profiled({"bert": [*sized(108.9e6), out_of_memory("forward", 64, length=128)]}))
        assert compute.shown_memory(found)["BERT"].tolist() == ["out of memory"]
        assert len(compute.memory_of(found, "study")) == 1

    def test_without_any_measurement_the_tables_are_empty(self, profiled):
        found = compute.memory(profiled({"bert": sized(108.9e6)}))
        assert compute.shown_memory(found).empty
        assert compute.memory_of(found, "study").empty


class TestMoney:
    @pytest.fixture
    def collected(self, profiled):
        """At USD 2 an hour: BERT answers in 0.36 s, DistilBERT in 0.18 s; Offline 10 and 20 questions a second."""
        profiles = [*sized(1), *scenarios(0.36, (10.0,))], [*sized(1), *scenarios(0.18, (20.0,))]
        return two(profiled, *profiles, usd_per_hour=(1.0, 3.0))

    def test_costs_are_at_the_middle_of_the_price(self, collected):
        row = compute.money(collected, models()).iloc[0]
        assert (row["training_usd"], row["single_usd"]) == (2, pytest.approx(200))
        assert row["question_usd"] == pytest.approx(2e-4)
        assert (row["question_low"], row["question_high"]) == pytest.approx((1.8e-4, 2.2e-4))
        assert row["offline_usd"] == pytest.approx(2e5 / 3600)
        assert row["usd_per_point"] == pytest.approx(0.25)  # USD 1 more for 4 points

    def test_a_reader_sees_a_price_range_as_a_range(self, collected):
        shown = compute.shown_money(compute.money(collected, models()))
        assert shown.iloc[0].to_dict() == {
            "model": "BERT",
            "F1": "80.0",
            "fine-tuning, USD": "1.00 to 3.00",
            "million, SingleStream, USD": "100 to 300",
            "million, Offline, USD": "27.8 to 83.3",
            "USD per point of F1 over the smallest": "0.125 to 0.375",
        }
        assert shown.iloc[1, -1] == "none over it"

    def test_a_model_that_is_better_and_cheaper_than_the_smallest_saves_with_each_point(self, collected):
        table = compute.money(collected, models(parameters=(50, 100), f1=(76, 78)))
        assert table["usd_per_point"].tolist() == [pytest.approx(math.nan, nan_ok=True), -0.5]
        assert compute.shown_money(table).iloc[1, -1] == "costs less"

    def test_a_model_that_came_fine_tuned_has_no_training_cost_and_nothing_to_pay_back(self, collected):
        table = compute.money(collected, models(train_paid_seconds=[3600, math.nan]))
        assert compute.shown_money(table)["fine-tuning, USD"].tolist() == ["1.00 to 3.00", "not trained"]
        assert table["usd_per_point"].iloc[0] == 0.5  # all of BERT's USD 2 for 4 points
        assert compute.break_even(table)["questions"].tolist() == [0]

    def test_a_machine_of_one_s_own_costs_nothing(self, collected, price_at):
        table = compute.money(replace(collected, price=price_at(0)), models())
        assert compute.shown_money(table).iloc[0, 2:].tolist() == ["0", "0", "0", "0"]
        assert compute.break_even(table).empty

    def test_the_cheaper_to_serve_pays_back_what_it_cost_more_to_train(self, collected):
        # DistilBERT took an hour and BERT half: USD 1 more to train, USD 0.0001 less a question.
        found = compute.break_even(compute.money(collected, models(train_paid_seconds=[1800, 3600])))
        assert found.to_numpy().tolist() == [["DistilBERT", "BERT", pytest.approx(10_000)]]
        assert compute.shown_break_even(found)["questions"].tolist() == ["10,000"]

    def test_break_even_is_the_same_at_every_price(self, collected, price_at):
        table = models(train_paid_seconds=[1800, 3600])
        dear = compute.money(replace(collected, price=price_at(7.0)), table)
        assert compute.break_even(dear)["questions"].tolist() == [pytest.approx(10_000)]

    def test_a_model_whose_time_cannot_be_told_from_the_other_s_is_not_said_to_pay_back(self, profiled):
        near = two(profiled, [*sized(1), *scenarios(0.20)], [*sized(1), *scenarios(0.18)])  # 0.180 to … 0.198
        found = compute.break_even(compute.money(near, models()))
        assert compute.shown_break_even(found)["questions"].tolist() == ["not told: their times overlap"]

    def test_one_model_has_nothing_to_break_even_with(self, collected):
        assert compute.break_even(compute.money(collected, models()).head(1)).empty

    @pytest.mark.parametrize(
        ("questions", "words"),
        [(0, "at once: costs no more to train"), (math.inf, "never"), (1234.6, "1,235")],
    )
    def test_break_even_in_words(self, questions, words):
        found = pd.DataFrame({"cheaper to serve": ["A"], "than": ["B"], "questions": [questions]})
        assert compute.shown_break_even(found)["questions"].tolist() == [words]


class TestPublished:
    @pytest.fixture
    def original(self):
        return published.load()

    def test_published_f1_stands_beside_our_cost_and_both_times_over_bert_s(self, profiled, original):
        profiles = [*sized(108.9e6), *scenarios(0.36)], [*sized(66.4e6), *scenarios(0.18)]
        tradeoff = compute.published_tradeoff(two(profiled, *profiles, usd_per_hour=(1.0, 3.0)), original)
        assert tradeoff["f1"].tolist() == [88.13, 85.31]
        assert tradeoff[["usd_low", "usd", "usd_high"]].to_numpy().tolist() == [
            pytest.approx([100, 200, 300]), pytest.approx([50, 100, 150]),
        ]  # fmt: skip
        assert tradeoff["relative"].tolist() == [1, 0.5]
        p100 = (0.0145 / 0.0446 + 0.0551 / 0.1640 + 0.2106 / 0.6424 + 1.0900 / 3.1927) / 4
        assert tradeoff["p100"].tolist() == [1, pytest.approx(p100)]
        assert compute.shown_published(tradeoff).iloc[1].tolist() == [
            "DistilBERT", "85.31", "0.33", "0.34", "0.50", "50.0 to 150",
        ]  # fmt: skip

    def test_without_bert_nothing_is_over_bert_s(self, profiled, original):
        collected = profiled({"distilbert": [*sized(66.4e6), *scenarios(0.18)]})
        shown = compute.shown_published(compute.published_tradeoff(collected, original)).iloc[0]
        assert shown["time over BERT's, here, measured"] == "no BERT measured"
        assert shown["time over BERT's, P100 2021"] == "0.33"

    def test_an_architecture_as_published_and_rewritten_are_two_rows(self, profiled, original):
        entries = MODELS | {
            "squeezebert": SQUEEZEBERT,
            "rewritten": SQUEEZEBERT | {"label": "rewritten", "grouped_matmul": True},
        }
        profiles = {
            slug: [*sized(parameters), *scenarios(p50)]
            for slug, parameters, p50 in (("bert", 108.9e6, 0.4), ("squeezebert", 51.1e6, 0.6),
                                          ("rewritten", 51.1e6, 0.3))
        }  # fmt: skip
        tradeoff = compute.published_tradeoff(profiled(profiles, models=entries), original)
        assert tradeoff["model"].tolist() == ["BERT", "SqueezeBERT", "rewritten"]
        assert tradeoff["f1"].tolist() == [88.13, 85.57, 85.57]
        assert tradeoff["relative"].tolist() == pytest.approx([1, 1.5, 0.75])
        shown = compute.shown_published(tradeoff)["time over BERT's, P100 2021"]
        assert shown.tolist()[2] == "not there then" != shown.tolist()[1]

    def test_a_small_model_is_known_by_its_full_size_twin(self, profiled):
        built = {"bert": {"label": "small", "architecture": "bert"}}
        collected = profiled({"bert": [*sized(108.9e6, "full size")]}, models=built)
        assert compute.architecture(collected, "bert") == "bert"

    @pytest.mark.parametrize(
        ("hub", "parameters"),
        [("some/roberta-base", 124.1e6), ("some/electra-base", 108.9e6), ("some/bert-large-uncased", 334.1e6)],
    )
    def test_another_model_has_no_published_figures(self, profiled, original, hub, parameters):
        entry = {"bert": MODELS["bert"] | {"hub": hub}}
        collected = profiled({"bert": [*sized(parameters), *scenarios(0.1)]}, models=entry)
        assert compute.architecture(collected, "bert") is None
        assert compute.published_tradeoff(collected, original).empty
        assert compute.shown_published(compute.published_tradeoff(collected, original)).empty


def test_a_measurement_above_the_peak_is_called_invalid_with_its_point(profiled):
    over = {"share_of_peak": 1.3, "valid": False}
    rows = [forward(0.1, valid=True), forward(0.01, 8, 32, **over),
            record("forward_seconds_p90", 0.02, batch_size=8, length=32, **over)]  # fmt: skip
    assert compute.invalid(profiled({"bert": [*sized(108.9e6), *rows]})) == [
        "Invalid measurement: BERT, study network, forward, 8 × 32 tokens in fp32: would need 1.30 of the machine's "
        "peak."
    ]


def test_choices_have_the_time_and_cost_of_a_question_and_stand_to_the_front(profiled):
    collected = two(profiled, sized(100e6) + scenarios(0.2), sized(50e6) + scenarios(0.1))
    table = models((100e6, 50e6)).assign(seeds=1, f1_seed_low=[80, 76], f1_seed_high=[80, 76])
    gap = {"model": "BERT", "other": "DistilBERT", "f1_difference": 4.0, "low": 3.0, "high": 5.0, "p_holm": 0.01}
    choices, contest = compute.choices(collected, table, pd.DataFrame([gap]))
    assert choices["question"].tolist() == [0.2, 0.1]
    assert choices["question_usd"][1] == pytest.approx((0.1e6 / 3600 * 1.55,) * 2)
    assert choices["standing"].tolist() == ["front", "front"]
    assert (contest.accuracy("DistilBERT", "BERT"), contest.speed("DistilBERT", "BERT")) == ("worse", "better")


@pytest.mark.parametrize(
    ("seeds", "low", "high", "verdict"),
    [
        ([3, 3], [79, 75], [81, 77], "better"),
        ([3, 3], [76, 75], [83, 77], "not significant"),
        ([1, 3], [80, 75], [80, 81], "not significant"),  # one that came fine-tuned is one run
        ([1, 1], [80, 80], [80, 80], "better"),  # one run of each: nothing is known of others
    ],
)
def test_a_lead_needs_training_runs_that_lie_apart_where_there_are_several(profiled, seeds, low, high, verdict):
    collected = two(profiled, sized(100e6) + scenarios(0.2), sized(50e6) + scenarios(0.1))
    table = models((100e6, 50e6)).assign(seeds=seeds, f1_seed_low=low, f1_seed_high=high)
    gap = {"model": "BERT", "other": "DistilBERT", "f1_difference": 4.0, "low": 3.0, "high": 5.0, "p_holm": 0.01}
    assert compute.choices(collected, table, pd.DataFrame([gap]))[1].accuracy("BERT", "DistilBERT") == verdict
