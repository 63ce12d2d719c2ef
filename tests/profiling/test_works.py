"""Interleaved work on five questions about one passage."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.sources import Splits
from qa_tradeoffs.engines import pytorch, registry
from qa_tradeoffs.models import counting, networks
from qa_tradeoffs.profiling import memory, outcomes, side_by_side, workloads, works
from qa_tradeoffs.profiling.works import FULL_SIZE, STUDY
from qa_tradeoffs.study import config
from tests.profiling.conftest import SETTING

COMPARE = {
    "passes": 3, "questions": 4, "offline_batch_sizes": [64, 2, 3], "full_size_passes": 3, "full_size_questions": 2,
    "full_size_update": 1, "forward": {"batch_sizes": [1], "lengths": [8, 65]},
}  # fmt: skip
SPEC = config.Model(label="tiny", architecture="bert")


@pytest.fixture
def planned(study_of, network_of, tokenizer, examples, monkeypatch) -> Callable[..., Any]:
    """A function from networks by slug, and twins by slug, to the models and their works."""

    def build(own: dict[str, Any], twins: dict[str, Any] | None = None, train: bool = True) -> Any:
        study = study_of(compare=COMPARE, training={"max_length": 48, "stride": 8, "batch_size": 3})
        twin_of = {id(own[slug]): twin for slug, twin in (twins or {}).items()}
        monkeypatch.setattr(workloads, "full_size", lambda network, seed: twin_of.get(id(network)))
        models = {slug: works.of(study, SPEC, tokenizer, network, SETTING) for slug, network in own.items()}
        return works.works(models, Splits(examples if train else [], examples), SETTING)

    return build


def described(found: list[side_by_side.Work]) -> list[tuple[str, str, Any, list[str]]]:
    return [(w.work, w.network, w.conditions.get("batch_size"), list(w.contestants)) for w in found]


def test_all_models_do_everything_and_a_control_runs_without_fused_attention(planned, network_of):
    found = planned({"bert": network_of(), "squeezebert": network_of("squeezebert")})
    both = ["bert", "squeezebert"]
    assert described(found) == [
        ("single_stream", STUDY, None, both),
        ("offline", STUDY, 2, both),
        ("offline", STUDY, 3, both),  # which four windows or more fill
        ("training_step", STUDY, None, both),
        ("forward", STUDY, 1, ["bert", "bert eager", "squeezebert"]),  # and none of 65 tokens, which neither takes
    ]
    assert [found[0].calls("bert", number) == found[0].calls("bert", 0) for number in range(3)] == [True] * 3
    assert len(found[0].calls("bert", 0)) == 4  # questions
    step = found[3]
    assert [len(step.calls("bert", number)) for number in range(3)] == [1] * 3
    assert step.calls("bert", 0) != step.calls("bert", 1)


def test_small_networks_are_timed_with_full_size_twins_and_others_are_their_own(planned, network_of):
    own = {"bert": network_of(), "distilbert": network_of("distilbert")}
    found = planned(own, {"bert": network_of(max_position_embeddings=128)})
    assert [(w.work, w.network) for w in found] == [
        ("single_stream", STUDY), ("offline", STUDY), ("offline", STUDY), ("training_step", STUDY),
        ("single_stream", FULL_SIZE), ("offline", FULL_SIZE), ("training_step", FULL_SIZE),
        ("forward", FULL_SIZE), ("forward", FULL_SIZE),
    ]  # fmt: skip
    single = found[4]
    assert {name: one.conditions["weights"] for name, one in single.contestants.items()} == {
        "bert": "random", "distilbert": "trained"
    }  # fmt: skip
    assert len(single.calls("bert", 0)) == 2
    assert found[6].contestants["bert"].conditions["windows"] == 1
    assert list(found[8].contestants) == ["bert", "bert eager"]  # 65 tokens, which only the twin takes


def test_a_study_with_nothing_to_train_on_has_no_training_step(planned, network_of):
    assert "training_step" not in [work.work for work in planned({"bert": network_of()}, train=False)]


def test_the_network_is_in_the_mode_and_attention_of_its_turn(planned, network_of):
    network = network_of()
    single, _, _, step, forward = planned({"bert": network})

    def products(contestant: side_by_side.Contestant) -> int:
        """Matrix products of a batch in attention, of rows of 8 tokens: two, or none where it is fused."""
        contestant.before()
        with FlopCounterMode(display=False) as counter:
            contestant.calls[0]()
        # Two heads of width 8: scores and mixtures are each 2 · 2 · 8 · 8 · 8 operations.
        return counter.get_flop_counts()["Global"].get(torch.ops.aten.bmm, 0) // (2 * 2 * 8 * 8 * 8)

    assert products(forward.contestants["bert eager"]) == 2
    assert products(forward.contestants["bert"]) == 0
    step.contestants["bert"].before()
    assert network.training and networks.attention(network) == "sdpa"
    single.contestants["bert"].before()
    assert not network.training


def test_questions_are_asked_singly_and_all_at_once(planned, network_of):
    network, shapes = network_of(), []
    single, offline, *_ = planned({"bert": network})
    network.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    for call in single.calls("bert", 0):
        call()
    alone, shapes[:] = list(shapes), []
    offline.calls("bert", 0)[0]()
    windows = single.contestants["bert"].conditions["windows"]
    assert sum(rows for rows, _ in alone) == sum(rows for rows, _ in shapes) == windows
    assert max(rows for rows, _ in shapes) == 2
    assert len(alone) == 4
    assert [tokens for _, tokens in shapes] == sorted((tokens for _, tokens in shapes), reverse=True)


def test_operations_of_full_rows_are_counted(planned, network_of):
    network = network_of()
    at = planned({"bert": network})[-1].contestants["bert"].conditions
    assert at["flops"] == counting.flops(network, 1, 8)[0] > 0


def test_measurements_are_recorded_and_tabulated(planned, network_of, tmp_path):
    import pandas as pd

    found = side_by_side.measure(planned({"bert": network_of(), "other": network_of(seed=1)}), SETTING, repeats=0)
    kept = [outcomes.side_by_side(one) for one in found]
    assert [(one.work, len(one.passes), one.calls) for one in kept] == [
        ("single_stream", 3, 4), ("offline", 3, 1), ("offline", 3, 1), ("training_step", 3, 1), ("forward", 3, 1)
    ]  # fmt: skip
    outcomes.write_calls(found, tmp_path / "calls.parquet")
    raw = pd.read_parquet(tmp_path / "calls.parquet")
    single = raw[(raw["work"] == "single_stream") & (raw["model"] == "bert") & raw["counts"]]
    assert single.groupby("pass")["seconds"].median().tolist() == pytest.approx(kept[0].seconds("bert").tolist())
    table = outcomes.table(found, STUDY)
    assert table["model"].tolist()[:2] == ["bert", "other"]
    assert outcomes.table(found, FULL_SIZE).empty
    assert outcomes.surroundings(found)["passes"].tolist() == [3] * 5
    assert works.table([one.work for one in found])["calls in a pass"].tolist() == [4, 1, 1, 1, 1]
    assert outcomes.records(found[0]) == []  # no percentile of four questions


@pytest.fixture
def in_engines(study_of, network_of, tokenizer, examples, monkeypatch, tmp_path) -> tuple[Any, Any]:
    """A small network and its twin in a study of three engines: one is torch under another name, one cannot be used."""

    def refused(trained: Any) -> Any:
        raise StudyError("computes on another device only")

    monkeypatch.setitem(registry.PREPARE, "onnxruntime", pytorch.prepare)
    monkeypatch.setitem(registry.PREPARE, "onnxruntime-int8", refused)
    monkeypatch.setattr(workloads, "full_size", lambda network, seed: network_of(max_position_embeddings=128))
    study = study_of(
        compare=COMPARE, training={"max_length": 48, "stride": 8, "batch_size": 3},
        engines=["torch", "onnxruntime", "onnxruntime-int8"],
    )  # fmt: skip
    monkeypatch.setattr(memory, "in_own_process", lambda measure: {"resident_above_baseline": 7})
    folders = {STUDY: tmp_path / "study", FULL_SIZE: tmp_path / "full"}
    models = {"bert": works.of(study, SPEC, tokenizer, network_of(), SETTING, folders)}
    return models, works.works(models, Splits(examples, examples), SETTING)


def test_questions_are_asked_in_every_engine_that_can_be_used_and_only_torch_trains(in_engines):
    _, found = in_engines
    both = ["bert", "bert onnxruntime"]
    assert {(w.work, tuple(w.contestants)) for w in found} == {
        ("single_stream", tuple(both)), ("offline", tuple(both)), ("training_step", ("bert",)),
        ("forward", ("bert", "bert eager")),
    }  # fmt: skip
    for work in (w for w in found if w.work == "single_stream"):
        at = {name: one.conditions["engine"] for name, one in work.contestants.items()}
        assert at == {"bert": "torch", "bert onnxruntime": "onnxruntime"}
        one, other = (work.calls(name, 0)[0]() for name in both)
        torch.testing.assert_close(one, other)


def test_sizes_of_engines_and_reasons_for_missing_ones_are_recorded_for_each_network(in_engines):
    models, _ = in_engines
    found = {(r.metric, r.conditions["network"], r.conditions["engine"]): r for r in works.records(models)}
    assert set(found) == {
        ("engine_missing", STUDY, "onnxruntime-int8"), ("engine_missing", FULL_SIZE, "onnxruntime-int8"),
        ("engine_memory_bytes", FULL_SIZE, "torch"), ("engine_memory_bytes", FULL_SIZE, "onnxruntime"),
    }  # fmt: skip
    missing = found["engine_missing", STUDY, "onnxruntime-int8"].conditions
    assert missing["reason"] == "onnxruntime-int8: computes on another device only"
    assert found["engine_memory_bytes", FULL_SIZE, "torch"].conditions["length"] == 48
    assert all(record.conditions["model"] == "bert" for record in found.values())
