import os
import random
import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics import files
from qa_tradeoffs.metrics import squad as metrics

REPOSITORY = Path(__file__).parents[2]
SQUAD = Path(os.environ.get("QA_TRADEOFFS_SQUAD", REPOSITORY.parent / "shared" / "squad" / "dev-v1.1.json"))


# Normalisation


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  CAT,\n sat!", "cat sat"),
        ("a an the A An THE", ""),
        ("theatre an-other", "theatre another"),
        ("(the)", ""),  # punctuation goes first, so that the article is seen
        ("a.b", "ab"),  # and is not replaced by a space
        ("the-cat", "thecat"),
        ("one—the—two", "one— —two"),  # an article leaves a space
        ("1,234.5 % — “x”", "12345 — “x”"),  # only ASCII punctuation
        ("the\u00a0cat\u2003sat", "cat sat"),
        ("ÉCOLE the", "école"),
        ("", ""),
    ],
)
def test_normalisation_follows_the_official_order(text: str, expected: str) -> None:
    assert metrics.normalize(text) == expected


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="aAnNtThHeE  \t\n\u00a0.-_'—ÉΣσİß٣²ǅ\x00\x1f\u0301", max_size=9))
def test_normalisation_is_the_rules_one_after_the_other(text: str) -> None:
    without_punctuation = "".join(c for c in text.lower() if c not in string.punctuation)
    without_articles = re.sub(r"\b(a|an|the)\b", " ", without_punctuation)
    assert metrics.normalize(text) == " ".join(without_articles.split())


# One question


@pytest.mark.parametrize(
    ("prediction", "references", "exact", "f1"),
    [
        ("the Cat.", ["dog", "cat"], 1, 1),  # case, articles and punctuation do not count
        ("cats", ["dog", "cat"], 0, 0),
        # 2 of 3 predicted tokens and 2 of 4 reference tokens: 2 · (2/3 · 1/2) / (2/3 + 1/2) = 4/7
        ("red big cat", ["big red old dog"], 0, 4 / 7),
        ("no no no", ["no no"], 0, 0.8),  # as often as both sides have it: precision 2/3, recall 2/2
        ("red cat", ["dog", "red", "cat"], 0, 2 / 3),  # the best reference, not their union
        ("", ["cat"], 0, 0),
        ("cat", ["the"], 0, 0),
        ("", ["the"], 1, 0),  # of two texts that normalise to nothing
    ],
)
def test_a_prediction_is_scored_by_the_rules_of_v1(
    prediction: str, references: list[str], exact: float, f1: float
) -> None:
    assert metrics.score(prediction, references) == pytest.approx((exact, f1))


@pytest.mark.parametrize(
    ("prediction", "references", "exact", "f1"),
    [
        ("", [], 1.0, 1.0),
        ("the", [], 1.0, 1.0),
        ("cat", [], 0.0, 0.0),
        ("", ["the", "!"], 1.0, 1.0),  # none left after dropping the empty ones
        ("", ["the", "cat"], 0.0, 0.0),  # one left
        ("a cat", ["the", "cat"], 1.0, 1.0),
        ("big cat", ["cat"], 0.0, 2 / 3),
        ("the", ["the", "cat"], 0.0, 0.0),  # equal to a reference, but to one that is dropped
        ("the cat", ["the cat"], 1.0, 1.0),
    ],
)
def test_v2_drops_empty_references_and_expects_no_answer_if_none_is_left(
    prediction: str, references: list[str], exact: float, f1: float
) -> None:
    assert metrics.score(prediction, references, v2=True) == pytest.approx((exact, f1))


# Many questions


def test_scores_have_one_row_per_question_in_the_order_of_the_references() -> None:
    scores = metrics.score_questions(
        {"q3": "red cat", "stray": "x", "q1": "cat"}, {"q1": ["the cat"], "q2": ["dog"], "q3": ["cat"]}
    )
    assert scores.ids == ("q1", "q2", "q3")
    np.testing.assert_array_equal(scores.exact_match, [1.0, 0.0, 0.0])
    np.testing.assert_allclose(scores.f1, [1.0, 0.0, 2 / 3])
    assert scores.exact_match.dtype == scores.f1.dtype == np.float64
    assert metrics.aggregate(scores) == pytest.approx({"exact_match": 100 / 3, "f1": 100 * (1 + 2 / 3) / 3})
    assert scores.missing == ("q2",)
    assert scores.unknown == ("stray",)


def test_v2_summary_has_the_official_keys_in_their_order() -> None:
    references = {"q1": ["cat"], "q2": [], "q3": [], "q4": ["dog"]}
    summary = metrics.aggregate_v2(
        metrics.score_questions({"q1": "big cat", "q2": "", "q3": "x", "q4": "dog"}, references, v2=True)
    )
    expected = {"exact": 50.0, "f1": 200 / 3, "total": 4}
    expected |= {"HasAns_exact": 50.0, "HasAns_f1": 250 / 3, "HasAns_total": 2}
    expected |= {"NoAns_exact": 50.0, "NoAns_f1": 50.0, "NoAns_total": 2}
    assert summary == pytest.approx(expected)
    assert list(summary) == list(expected)


def test_v2_summary_leaves_out_a_kind_of_question_that_does_not_occur() -> None:
    summary = metrics.aggregate_v2(metrics.score_questions({"q1": "cat"}, {"q1": ["cat"]}, v2=True))
    assert list(summary) == ["exact", "f1", "total", "HasAns_exact", "HasAns_f1", "HasAns_total"]


def test_v1_scoring_names_the_question_without_references() -> None:
    with pytest.raises(StudyError, match="'q2' has no reference answer"):
        metrics.score_questions({"q1": "cat"}, {"q1": ["cat"], "q2": []})


# No-answer thresholds


def test_a_threshold_replaces_answers_above_it_by_nothing() -> None:
    references = {"q1": ["cat"], "q2": [], "q3": [], "q4": []}
    scores = metrics.score_questions({"q1": "cat", "q2": "x", "q3": "y"}, references, v2=True)
    at_half = metrics.apply_threshold(scores, np.array([0.9, 0.5, 0.6, 0.9]), 0.5)
    # q1 loses its right answer, q2 is not above, q3 gains; q4 has no prediction to replace
    np.testing.assert_array_equal(at_half.exact_match, [0.0, 0.0, 1.0, 0.0])
    np.testing.assert_array_equal(at_half.f1, [0.0, 0.0, 1.0, 0.0])


def test_best_threshold_is_zero_when_it_is_best_to_answer_nothing() -> None:
    points, threshold = metrics.best_threshold(np.zeros(2), np.array([0.2, 0.1]), np.array([True, False]))
    assert (points, threshold) == (50.0, 0.0)


@pytest.mark.parametrize("seed", range(20))
def test_best_threshold_is_the_best_of_all_thresholds_and_is_reached(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    references = {str(i): ["cat"] if rng.random() < 0.5 else [] for i in range(n)}
    predictions = {str(i): str(rng.choice(["cat", "big cat", "dog", ""])) for i in range(n)}
    scores = metrics.score_questions(predictions, references, v2=True)
    no_answer = rng.integers(-5, 6, n) / 5  # with ties, and below zero as differences of logits are

    points, threshold = metrics.best_threshold(scores.f1, no_answer, scores.has_answer)

    def mean_at(candidate: float) -> float:
        return metrics.aggregate(metrics.apply_threshold(scores, no_answer, candidate))["f1"]

    assert points == pytest.approx(max(mean_at(candidate) for candidate in [-2.0, *no_answer]))
    assert mean_at(threshold) == pytest.approx(points)


# Agreement with an independent implementation


def perturbed(text: str, rng: random.Random) -> str:
    """``text`` as a model might get it nearly right, or quite wrong."""
    words = text.split()
    kind = rng.randrange(9)
    if kind == 0:
        return text
    if kind == 1:
        return "".join(rng.choice([c.upper(), c.lower()]) for c in text)
    if kind == 2:
        return " ".join(rng.choice(["the", "a", "An", "THE"]) + " " + word for word in words)
    if kind == 3:
        return "".join(c + rng.choice(["", "", rng.choice(string.punctuation)]) for c in text)
    if kind == 4:
        return " ".join(words[: rng.randint(0, len(words))])
    if kind == 5:
        return " ".join([*words, rng.choice(["indeed", "of the war", "in 1973", words[0] if words else "x"])])
    if kind == 6:
        return "  ".join(rng.sample(words, len(words)))
    if kind == 7:
        return rng.choice(["", " ", "the", "...", "\t\n"])
    return "something else\u2014entirely"


def assert_same_score_for_each_question(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]
) -> None:
    squad = pytest.importorskip("torchmetrics.functional.text.squad").squad
    scores = metrics.score_questions(predictions, references)
    for row, (question_id, texts) in enumerate(references.items()):
        prediction = predictions[question_id]
        theirs = squad(
            {"id": question_id, "prediction_text": prediction},
            {"id": question_id, "answers": {"text": list(texts), "answer_start": [0] * len(texts)}},
        )
        assert 100 * scores.exact_match[row] == theirs["exact_match"].item(), (prediction, texts)
        # torchmetrics gives F1 1 to two texts without tokens, as SQuAD v2.0 does and v1.1 does not.
        both_empty = not metrics.normalize(prediction) and any(not metrics.normalize(text) for text in texts)
        assert 100 * scores.f1[row] == pytest.approx(0.0 if both_empty else theirs["f1"].item(), abs=1e-4)


def test_every_generated_question_scores_as_in_torchmetrics() -> None:
    rng = random.Random(0)
    words = ["the", "a", "Oil", "crisis", "of", "1973", "$12", "U.S.", "Égypte", "war", "an", "co-operate", "1,000"]
    references = {
        str(i): [" ".join(rng.choices(words, k=rng.randint(1, 5))) for _ in range(rng.randint(1, 4))]
        for i in range(2000)
    }
    predictions = {i: perturbed(rng.choice(texts), rng) for i, texts in references.items()}
    assert_same_score_for_each_question(predictions, references)


@pytest.mark.skipif(not SQUAD.is_file(), reason=f"no SQuAD v1.1 development set at {SQUAD}")
def test_every_sampled_squad_question_scores_as_in_torchmetrics() -> None:
    rng = random.Random(1)
    everything = files.read_references(SQUAD)
    references = {i: everything[i] for i in rng.sample(sorted(everything), 2000)}
    predictions = {i: perturbed(rng.choice(texts), rng) for i, texts in references.items()}
    assert_same_score_for_each_question(predictions, references)
