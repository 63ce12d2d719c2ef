"""The audit's sentences hold the computed numbers, and follow the file when it changes."""

from pathlib import Path

import pytest

from qa_tradeoffs.report import audit_findings
from qa_tradeoffs.study import published

PUBLISHED = published.load(Path(__file__).parents[2] / "studies" / "published.yaml")


@pytest.fixture(scope="module")
def findings() -> dict[str, audit_findings.Finding]:
    return {finding.topic: finding for finding in audit_findings.findings(PUBLISHED)}


@pytest.mark.parametrize(
    ("topic", "number"),
    [
        ("Faster than the GPU can be", "11.3 to 13.6 TFLOP/s, which is 122 to 146 % of the 9.3"),
        (
            "Half of the layers, a third of the time",
            "2.0 times. Fine-tuning, by the same study's hours, took 2.0 times",
        ),
        ("Two meanings of faster", "2.9 times as fast; the paper's 60 % are speed gained, 1.6 times as fast"),
        ("Fast on a telephone", "1.1 to 1.6 times as fast, with 2.6 to 3.2 times fewer FLOP"),
        ("Memory of the machine, not of the model", "520 to 524 MiB more"),
        ("One hourly price", "USD 1.547 to 1.550 an hour. At 1.55, SqueezeBERT's hours come to USD 8.29, 0.01 from"),
        ("The smallest model is the slowest to train", "0.65 s (BERT), 0.33 s (DistilBERT) and 1.16 s (SqueezeBERT)"),
        (
            "A lead within its error",
            "0.36 points; the standard error of each score is 0.41, and of their difference 0.58",
        ),
    ],
)
def test_what_a_finding_implies_is_in_numbers(findings, topic, number):
    assert number in findings[topic].implies


def test_every_finding_names_its_source_and_ends_each_part_as_a_sentence(findings):
    for finding in findings.values():
        assert "original study, 2021" in finding.published or "arXiv" in finding.published
        for part in (finding.published, finding.implies, finding.follows, finding.does_not_follow):
            assert part.endswith(".")


def test_sentences_follow_the_file():
    scores = PUBLISHED.original.scores.model_copy(update={"questions": 42_280})
    fourfold = PUBLISHED.model_copy(update={"original": PUBLISHED.original.model_copy(update={"scores": scores})})
    finding = audit_findings.findings(fourfold)[-1]
    assert "on 42,280 questions" in finding.published
    assert "of their difference 0.29" in finding.implies  # four times the questions, half the error
