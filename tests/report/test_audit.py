"""The audit's verdicts and numbers, and that they follow the file of published figures."""

from pathlib import Path

import pytest

from qa_tradeoffs.report import audit
from qa_tradeoffs.study import published

PUBLISHED = published.load(Path(__file__).parents[2] / "studies" / "published.yaml")
# figure → its verdict, and the numbers that its implication holds
VERDICTS = {
    "BERT's times, P100": ("possible in fp32", "7.7 to 8.9", "83 to 96 %"),
    "DistilBERT's times, P100": ("impossible in fp32", "11.3 to 13.6", "122 to 146 %"),
    "SqueezeBERT's times, P100": ("possible in fp32", "31 to 50 %"),
    "BERT's times, K80": ("possible in fp32", "42 to 48 %"),
    "DistilBERT's times, K80": ("possible in fp32", "61 to 73 %"),
    "SqueezeBERT's times, K80": ("possible in fp32", "17 to 22 %"),
    "BERT's time over DistilBERT's": ("more than the layers explain", "2.0", "24 to 26 %"),
    "DistilBERT faster than BERT": ("different measures and results", "2.9", "1.6"),
    "SqueezeBERT faster than BERT": ("not on these GPUs", "1.1 to 1.6", "2.6 to 3.2"),
    "Memory": ("part of it is the GPU's, not the model's", "520 to 524 MiB"),
    "Cost of fine-tuning": ("hours times one price", "1.547 to 1.550"),
    "Hours of fine-tuning": ("SqueezeBERT used the GPU badly", "1.8", "1.16 s", "0.65 s", "37 %", "11 %", "56 %"),
    "SqueezeBERT's lead in EM": ("not significant", "0.36 points", "0.58"),
}


def test_every_figure_has_its_verdict_and_the_numbers_behind_it():
    findings = {finding.figure: finding for finding in audit.findings(PUBLISHED)}
    assert {figure: finding.verdict for figure, finding in findings.items()} == {
        figure: verdict for figure, (verdict, *_) in VERDICTS.items()
    }
    for figure, (_, *numbers) in VERDICTS.items():
        assert all(number in findings[figure].implies for number in numbers), findings[figure].implies
    assert {finding.source for finding in findings.values()} >= {"original study, 2021"}


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
    findings = audit.findings(PUBLISHED.model_copy(update={"original": original}))
    assert [finding.verdict for finding in findings if finding.figure == figure] == [verdict]


def test_the_table_has_a_row_for_every_finding():
    markup = audit.table(PUBLISHED).markup
    assert markup.count('<th scope="row"') == len(VERDICTS)
    assert "<td>not significant</td>" in markup
