"""Published figures beside those of hand-made records."""

import math

import pytest

from qa_tradeoffs.analysis import accuracy, published
from qa_tradeoffs.study.published import OfEach, load
from tests.analysis.conftest import BERT, DISTILBERT, FINE_TUNED, compared, sized
from tests.conftest import MODELS, in_turn

SQUEEZEBERT = {"label": "SqueezeBERT", "hub": "some/squeezebert-uncased", "revision": "c" * 40}
SQUAD = {"source": "hub", "name": "some/squad", "revision": "c" * 40}
NAN = pytest.approx(math.nan, nan_ok=True)


@pytest.fixture
def original():
    return load()


def test_published_f1_stands_beside_our_cost_and_both_times_relative_to_bert_s(profiled, original):
    collected = profiled({"bert": sized(BERT), "distilbert": sized(DISTILBERT)}, usd_per_hour=(1.0, 3.0))
    collected = compared(collected, in_turn("single_stream", {"bert": 0.36, "distilbert": 0.18}))
    tradeoff = published.tradeoff(collected, original)
    assert tradeoff["f1"].tolist() == [88.13, 85.31]
    assert tradeoff[["usd_low", "usd", "usd_high"]].to_numpy().tolist() == [
        pytest.approx([100, 200, 300]), pytest.approx([50, 100, 150]),
    ]  # fmt: skip
    assert tradeoff["relative"].tolist() == pytest.approx([1, 0.5])
    p100 = (0.0145 / 0.0446 + 0.0551 / 0.1640 + 0.2106 / 0.6424 + 1.0900 / 3.1927) / 4
    assert tradeoff["p100"].tolist() == [1, pytest.approx(p100)]
    assert tradeoff[["p100_impossible", "k80_impossible"]].to_numpy().tolist() == [[False, False], [True, False]]


def test_corrected_times_over_bert_s_are_those_of_both_gpus_and_both_counts(profiled, original):
    profiles = {"bert": sized(BERT), "distilbert": sized(DISTILBERT)}
    halves = {"bert": (1024, 512), "distilbert": (512, 256), "squeezebert": (1024, 1024)}
    queue = original.original.queue.model_copy(update={"launches": OfEach(**halves)})
    changed = original.model_copy(update={"original": original.original.model_copy(update={"queue": queue})})
    row = published.tradeoff(profiled(profiles), changed).iloc[1]
    # A clock shows 0.9 and 0.8 of the true times by one count, 0.8 and 0.6 by the other.
    assert row["corrected_low"] == pytest.approx(0.0145 / 0.0446 * 0.9 / 0.8)
    assert row["corrected_high"] == pytest.approx(4.6346 / 13.4257 * 0.8 / 0.6)


def test_without_bert_there_are_no_times_relative_to_it(profiled, original):
    collected = profiled({"distilbert": sized(DISTILBERT)})
    row = published.tradeoff(collected, original).iloc[0]
    assert math.isnan(row["relative"])
    assert row["p100"] == pytest.approx(0.33, abs=0.005)


def test_a_rewritten_and_a_taught_model_have_no_counterpart_in_2021(profiled, original):
    others = {
        "squeezebert": SQUEEZEBERT,
        "rewritten": SQUEEZEBERT | {"label": "rewritten", "grouped_matmul": True},
        "taught": MODELS["distilbert"] | {"label": "taught", "teacher": "bert"},
    }
    sizes = {"bert": BERT, "squeezebert": 51.1e6, "rewritten": 51.1e6, "taught": DISTILBERT}
    collected = profiled({slug: sized(size) for slug, size in sizes.items()}, models=MODELS | others)
    times = {"bert": 0.4, "squeezebert": 0.6, "rewritten": 0.3, "taught": 0.2}
    tradeoff = published.tradeoff(compared(collected, in_turn("single_stream", times)), original)
    assert tradeoff["model"].tolist() == ["BERT", "SqueezeBERT"]
    assert tradeoff["f1"].tolist() == [88.13, 85.57]
    assert tradeoff["relative"].tolist() == pytest.approx([1, 1.5])
    assert tradeoff[["p100", "k80"]].notna().all(axis=None)


def test_a_small_model_is_known_by_its_full_size_twin(profiled):
    built = {"bert": {"label": "small", "architecture": "bert"}}
    assert published.architecture(profiled({"bert": sized(BERT, "full size")}, models=built), "bert") == "bert"


@pytest.mark.parametrize(
    ("hub", "parameters"),
    [("some/roberta-base", 124.1e6), ("some/electra-base", BERT), ("some/bert-large-uncased", 334.1e6)],
)
def test_another_model_has_no_published_figures(profiled, original, hub, parameters):
    entry = {"bert": MODELS["bert"] | {"hub": hub}}
    collected = profiled({"bert": sized(parameters)}, models=entry)
    assert published.architecture(collected, "bert") is None
    assert published.tradeoff(collected, original).empty


def test_a_score_is_compared_with_each_published_one(collected_of, monkeypatch, original):
    monkeypatch.setattr(published, "architecture", lambda collected, slug: slug)
    collected = collected_of({"bert": [[1.0] * 10570]}, data=SQUAD)
    table = accuracy.models(collected).assign(f1=88.0, f1_low=88.2, f1_high=88.51)
    beside = published.scores(collected, table, original)
    assert beside[["model", "f1", "published", "verdict"]].to_numpy().tolist() == [
        ["BERT", 88, 88.13, "below"], ["BERT", 88, 88.5, "within"], ["BERT", 88, 88.52, "above"],
        ["BERT", 88, 88.11, "below"], ["BERT", 88, 88.01, "below"],
    ]  # fmt: skip
    assert beside["source"][1] == "BERT-base, arXiv 1810.04805, second-hand"


def test_points_are_ours_with_intervals_and_every_published_one_without(collected_of, original):
    collected = collected_of({"bert": [[1.0] * 10570]}, data=SQUAD)
    points = published.points(collected, accuracy.models(collected).assign(f1=88.0), original)
    assert points[["name", "f1", "ours", "source"]].to_numpy().tolist()[:2] == [
        ["BERT", 88.0, True, "here"], ["BERT, 2021", 88.13, False, "original study, 2021"],
    ]  # fmt: skip
    assert len(points) == 1 + 3 + len(original.papers.scores)
    assert points["f1_low"].notna().tolist() == points["ours"].tolist()
    elsewhere = collected_of({"bert": [[1.0] * 500]}, data=SQUAD | {"validation_limit": 500})
    assert published.points(elsewhere, accuracy.models(elsewhere), original).empty


@pytest.mark.parametrize(
    ("keys", "n"),
    [
        ({"data": SQUAD | {"name": "some/squad_v2", "v2": True}}, 10570),
        ({"data": SQUAD | {"validation_limit": 500}}, 500),
        (FINE_TUNED | {"data": SQUAD}, 10570),
    ],
)
def test_only_scores_of_the_same_kind_are_beside_published_ones(collected_of, monkeypatch, original, keys, n):
    monkeypatch.setattr(published, "architecture", lambda collected, slug: "distilbert")
    collected = collected_of({"distilbert": [[1.0] * n]}, **keys)
    assert published.scores(collected, accuracy.models(collected), original).empty
