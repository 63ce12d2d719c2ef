"""Tables of calibration: by hand for few bins, against the plain arithmetic for several seeds."""

import numpy as np
import pandas as pd
import pytest
from conftest import answers_of, question
from scipy import stats

from qa_tradeoffs.analysis import calibration as analysis
from qa_tradeoffs.analysis.answers import Answers
from qa_tradeoffs.analysis.calibration import calibration_of, confidence_of
from qa_tradeoffs.metrics import calibration


def answered(probability, right, **columns) -> pd.DataFrame:
    n = len(probability)
    frame = pd.DataFrame({"prediction": ["x"] * n, "probability": probability, "no_answer_score": [-9.0] * n})
    return frame.assign(exact_match=np.asarray(right, dtype=float), f1=0.0, **columns)


def of_models(**models) -> Answers:
    n = len(next(iter(models.values()))[0])
    examples = tuple(question(i) for i in range(n))
    return Answers(examples, {label: tuple(frames) for label, frames in models.items()})


def test_confidence_is_the_spans_probability_or_follows_from_the_no_answer_score():
    rows = [("x", 0.25, 5.0), ("", 0.25, np.log(3)), ("", 0.2, np.log(0.5))]
    rows += [("", 0.0, 900.0), ("", 1e-300, 710.0)]  # a probability that vanished leaves all to no answer
    frame = pd.DataFrame(rows, columns=["prediction", "probability", "no_answer_score"])
    np.testing.assert_allclose(confidence_of(frame), [0.25, 0.75, 0.1, 1.0, 1.0])


def test_verdict_and_gain_are_corrected_for_the_number_of_models():
    rng = np.random.default_rng(1)
    confident = rng.random(200)
    model = answered(confident, rng.random(200) < confident)
    (alone, _, coverage), (beside, _, both) = (
        calibration_of(of_models(**dict.fromkeys(names, (model,)))) for names in ("A", "AB")
    )
    # The same resamples: at 97.5 % of one, at 98.75 % of two. What only the chart shows stays at 95 %.
    for one, two, name in ((alone, beside, "gap"), (coverage, both, "gain")):
        narrow, wide = (frame[frame["model"] == "A"].iloc[0][[f"{name}_low", f"{name}_high"]] for frame in (one, two))
        assert wide.iloc[0] < narrow.iloc[0] < narrow.iloc[1] < wide.iloc[1]
    assert coverage["em_low"].tolist() == both[both["model"] == "A"]["em_low"].tolist()


@pytest.mark.parametrize(
    ("confidence", "verdict"),
    [
        (np.full(200, 0.9), "overconfident"),
        (np.full(200, 0.2), "underconfident"),
        (np.full(200, 0.5), "no miscalibration detected"),
        (np.tile([0.1, 0.9], 100), "miscalibrated"),  # half of each are right, though on average it is 50 % sure
    ],
)
def test_verdicts_of_a_model_that_is_half_right(confidence, verdict):
    right = np.repeat([1, 1, 0, 0], 50)
    assert calibration_of(of_models(A=[answered(confidence, right)])).models["verdict"].tolist() == [verdict]


def test_a_model_that_is_always_sure_and_half_right_is_50_points_overconfident():
    found = calibration_of(of_models(A=[answered([1.0] * 100, [1, 0] * 50)]))
    row = found.models.iloc[0]
    assert (row["confidence"], row["accuracy"], row["gap"], row["ece"]) == pytest.approx((100, 50, 50, 50))
    assert row["ece_chance"] == 0  # a calibrated model that is always sure is never wrong by chance
    assert (row["aurc"], row["aurc_random"]) == pytest.approx((50, 50))  # no order among equals
    assert (row["gap_low"], row["gap_high"]) == pytest.approx((40.2, 59.8), abs=2)
    np.testing.assert_allclose(found.bins["bin_accuracy"], 50)
    np.testing.assert_allclose(found.coverage["em"], 50)
    np.testing.assert_allclose(found.coverage["gain"], 0, atol=1e-9)


def test_withholding_answers_pays_if_confidence_tells_right_from_wrong():
    # Of 100 questions the surer 60 are right.
    found = calibration_of(of_models(A=[answered(np.linspace(0.01, 1, 100), [0] * 40 + [1] * 60)]))
    row, coverage = found.models.iloc[0], found.coverage.set_index(found.coverage["coverage"].round())
    assert row["aurc"] == row["aurc_best"]
    assert coverage.loc[100, ["em", "gain", "gain_low", "gain_high"]].tolist() == pytest.approx([60, 0, 0, 0])
    assert coverage.loc[80, ["em", "gain"]].tolist() == pytest.approx([75, 15])
    assert coverage.loc[50, "em"] == 100
    assert 5 < coverage.loc[80, "gain_low"] < 15 < coverage.loc[80, "gain_high"]
    assert found.bins["bin_accuracy"].tolist() == [0] * 4 + [100] * 6
    assert found.bins["bin_confidence"].tolist() == pytest.approx([5.5 + 10 * i for i in range(10)])


def test_several_seeds_give_the_mean_of_their_own_figures():
    rng = np.random.default_rng(1)
    seeds = [answered(rng.random(80), rng.random(80) < 0.6) for _ in range(2)]
    row = calibration_of(of_models(A=seeds)).models.iloc[0]
    each = [
        calibration.area_under_risk_coverage(
            frame["probability"].to_numpy(), frame["exact_match"].to_numpy(), np.ones((1, 80))
        )[0]
        for frame in seeds
    ]
    assert row["seeds"] == 2
    assert row["aurc"] == pytest.approx(100 * np.mean(each))
    assert row["aurc_low"] < row["aurc"] < row["aurc_high"]


def test_models_share_their_resamples_so_that_equal_ones_have_equal_intervals():
    frame = answered(np.linspace(0, 1, 60), [0, 1] * 30)
    found = calibration_of(of_models(A=[frame], B=[frame]))
    a, b = (
        rows.drop(columns=["model", "ece_chance", "verdict"]).to_numpy() for _, rows in found.models.groupby("model")
    )
    np.testing.assert_array_equal(a, b)


def test_all_wrong_is_no_error():
    found = calibration_of(of_models(A=[answered(np.linspace(0, 1, 60), [0] * 60)]))
    row = found.models.iloc[0]
    assert (row["accuracy"], row["aurc"], row["aurc_best"], row["aurc_random"]) == pytest.approx((0, 100, 100, 100))


def calibrated(rng: np.random.Generator) -> Answers:
    """400 answers of a perfectly calibrated model that is sure to any degree as often, to questions of 40 passages.

    Whether answers are right is correlated with 0.05 within a passage (Gaussian copula).
    """
    passage = np.repeat(np.arange(40), 10)
    latent = np.sqrt(0.05) * rng.normal(size=40)[passage] + np.sqrt(0.95) * rng.normal(size=400)
    confidence = rng.random(400)
    frame = answered(confidence, stats.norm.cdf(latent) < confidence)
    return Answers(tuple(question(i, context=f"passage {i // 10}") for i in range(400)), {"A": (frame,)})


def test_intervals_cover_what_they_estimate_and_a_calibrated_model_is_seldom_called_miscalibrated(monkeypatch):
    monkeypatch.setattr(analysis, "_RESAMPLES", 100)
    monkeypatch.setattr(analysis, "_DRAWS", 200)
    rng = np.random.default_rng(0)
    rows, at_80 = [], []
    for _ in range(300):
        models, _, coverage = calibration_of(calibrated(rng))
        rows.append(models.iloc[0])
        at_80.append(coverage.iloc[7])
    found, at_80 = pd.DataFrame(rows), pd.DataFrame(at_80)
    # Of the questions above 20 % 60 are right; risk at coverage c is c / 2, in the mean a quarter.
    expected = (found, "gap", 0, 0.975), (found, "aurc", 25, 0.95), (at_80, "em", 60, 0.95), (at_80, "gain", 10, 0.975)
    for table, name, truth, level in expected:
        inside = (table[f"{name}_low"] <= truth) & (truth <= table[f"{name}_high"])
        assert inside.mean() == pytest.approx(level, abs=0.03), name  # 2.4 standard errors
    assert (found["verdict"] != "no miscalibration detected").mean() <= 0.08  # 5 % and 2.4 standard errors


def test_too_few_questions_have_no_tables():
    found = calibration_of(answers_of([question(i) for i in range(24)], {"A": [[1.0] * 24]}))
    assert found.models.empty and found.bins.empty and found.coverage.empty
