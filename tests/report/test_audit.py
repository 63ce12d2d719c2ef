"""The audit's verdicts and numbers, which follow the file of published figures."""

import pytest

from qa_tradeoffs.report import audit
from qa_tradeoffs.study.published import load

PUBLISHED = load()
# figure → its verdict, and the numbers that its implication holds
VERDICTS = {
    "BERT's times, P100": ("too short", "7.7 to 8.9", "83 to 96 %", "57 to 66 %"),
    "DistilBERT's times, P100": ("impossible in fp32", "11.3 to 13.6", "122 to 146 %", "50 to 62 %"),
    "SqueezeBERT's times, P100": ("too short", "31 to 50 %", "20 to 33 %"),
    "BERT's times, K80": ("too short", "42 to 48 %"),
    "DistilBERT's times, K80": ("too short", "61 to 73 %"),
    "SqueezeBERT's times, K80": ("too short", "17 to 22 %"),
    "BERT's time relative to DistilBERT's": ("more than the layers explain", "2.0", "1.7 to 1.9", "3.0 to 3.1"),
    "DistilBERT faster than BERT": ("different measures and results", "2.9", "1.6"),
    "SqueezeBERT faster than BERT": ("not on these GPUs", "1.1 to 1.6", "2.6 to 3.2"),
    "Memory": ("part of it is the GPU's, not the model's", "520 to 524 MiB"),
    "Cost of fine-tuning": ("hours times one price", "1.547 to 1.550"),
    "Hours of fine-tuning": ("SqueezeBERT used the GPU poorly", "1.8", "1.16 s", "0.65 s", "37 %", "11 %", "56 %"),
    "A training step minus its forward pass": ("slow in the backward pass", "1.01 s", "6.6", "0.44 s", "2.0"),
    "SqueezeBERT's lead in EM": ("not significant", "0.36 points", "0.58"),
}


def test_every_figure_has_its_verdict_and_the_numbers_behind_it():
    findings = audit.findings(PUBLISHED).cells.set_index("figure")
    assert findings["verdict"].to_dict() == {figure: verdict for figure, (verdict, *_) in VERDICTS.items()}
    for figure, (_, *numbers) in VERDICTS.items():
        assert all(number in findings["implies"][figure] for number in numbers), findings["implies"][figure]
    assert "original study, 2021" in set(findings["source"])


@pytest.mark.parametrize(
    ("key", "changes", "figure", "verdict"),
    [
        ("scores", {"questions": 105_700}, "SqueezeBERT's lead in EM", "significant"),
        ("distilbert_faster", {"percent": 37.5}, "DistilBERT faster than BERT", "different measures, which agree"),
    ],
)
def test_verdicts_follow_the_file(key, changes, figure, verdict):
    changed = getattr(PUBLISHED.original, key).model_copy(update=changes)
    original = PUBLISHED.original.model_copy(update={key: changed})
    findings = audit.findings(PUBLISHED.model_copy(update={"original": original})).cells.set_index("figure")
    assert findings["verdict"][figure] == verdict


def test_every_published_time_has_its_correction_and_its_flag():
    table = audit.corrections(PUBLISHED).cells
    assert len(table) == 2 * 3 * 4
    row = table.set_index(["GPU", "model", "batch × tokens"]).loc[("P100", "DistilBERT", "256 × 128")]
    assert row["published"] == "0.2106 s"
    found = row[["share of the peak", "verdict", "times as fast as BERT"]]
    assert found.tolist() == ["146 %", "impossible", "3.05"]
    assert set(table["verdict"]) == {"impossible", "too short"}
