"""A perfect model's score, on questions whose tokens are words and whose scores can be worked out by hand."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.evaluation import answers, ceiling, scoring
from qa_tradeoffs.evaluation.answers import Reading
from qa_tradeoffs.evaluation.ceiling import LONG, OFFSETS, QUESTION, WINDOW

CONTEXT = " ".join(f"w{i}" for i in range(30))  # 30 tokens


@pytest.fixture(scope="module")
def words() -> Any:
    """A tokenizer of whole words; [CLS] question [SEP] context [SEP]."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "who", "when", "x", *CONTEXT.split()]
    inner = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]")


def asked(number: int, *references: str, question: str = "who", context: str = CONTEXT) -> Example:
    return Example(f"q{number}", "", context, question, references, tuple(context.index(text) for text in references))


def of(words: Any, *examples: Example, language: str = "en", **limits: Any) -> pd.DataFrame:
    return ceiling.of(examples, words, Reading(**{"max_length": 64, "stride": 8, **limits}), language)


def points(found: pd.DataFrame) -> tuple[float, float]:
    return 100 * found["exact_match"].mean(), 100 * found["f1"].mean()


def causes(found: pd.DataFrame) -> dict[str, str]:
    return {row.id: row.cause for row in found.itertuples() if row.cause}


def test_whole_words_within_the_limits_are_in_reach(words):
    found = of(words, asked(0, "w3 w4"), asked(1, "w29"), asked(2, "w0 w1 w2 w3"), max_answer_tokens=4)
    assert points(found) == (100, 100)
    assert causes(found) == {}
    assert found["best"].tolist() == ["w3 w4", "w29", "w0 w1 w2 w3"]


def test_the_best_part_of_a_longer_answer_is_reachable(words):
    found = of(words, asked(0, "w10 w11 w12 w13 w14 w15 w16 w17 w18 w19"), asked(1, "w1"), max_answer_tokens=4)
    # 4 words of 10, all right: 2 · (1 · 0.4) / 1.4 = 4/7
    assert points(found) == (50, pytest.approx((100 + 400 / 7) / 2))
    assert causes(found) == {"q0": LONG}
    records = {r.conditions.get("cause"): r for r in ceiling.records(found, Reading(max_answer_tokens=4))}
    assert (records[LONG].value, records[LONG].n, records[LONG].conditions["limit"]) == (1, 2, 4)
    assert records[OFFSETS].value == records[WINDOW].value == records[QUESTION].value == 0


def test_the_best_part_of_an_answer_that_no_window_contains_is_reachable(words):
    # 11 - 4 special and question tokens: windows of 7 tokens, one every 5: 0-6, 5-11, 10-16, ...
    found = of(words, asked(0, "w4 w5 w6 w7"), asked(1, "w5 w6"), max_length=11, stride=2)
    # w4 w5 w6 of w4 w5 w6 w7: 2 · (1 · 3/4) / (7/4) = 6/7
    assert found["best"].tolist() == ["w4 w5 w6", "w5 w6"]
    assert points(found) == (50, pytest.approx((100 + 600 / 7) / 2))
    assert causes(found) == {"q0": WINDOW}
    assert points(of(words, asked(0, "w4 w5 w6 w7"), max_length=11, stride=3)) == (100, 100)  # 0-6, 4-10, ...


def test_an_answer_inside_a_token_is_out_of_reach(words):
    context = "She left Poland in 1984-85 (by rail)."
    found = of(words, *(asked(i, text, context=context) for i, text in enumerate(["land", "1984", "rail", "She left"])))
    assert causes(found) == {"q0": OFFSETS, "q1": OFFSETS}  # punctuation does not count: "rail)." is "rail"
    assert points(found) == (50, 50)


def test_one_reference_in_reach_is_enough(words):
    found = of(words, asked(0, "w1 w2 w3 w4 w5", "w2 w3"), max_answer_tokens=2)
    assert (points(found), found["best"][0]) == ((100, 100), "w2 w3")


def test_questions_cut_to_the_same_tokens_are_one_question(words):
    pair = [asked(0, "w1", question="x x when"), asked(1, "w9", question="x x who"), asked(2, "w9", question="x who")]
    found = of(words, *pair, max_question_tokens=2)
    assert points(found)[0] == pytest.approx(200 / 3)
    *_, cut = ceiling.records(found, Reading(max_question_tokens=2))
    assert (cut.value, cut.n, cut.conditions) == (2, 3, {"limit": 2, "longest": 3})
    assert causes(found) == {"q1": QUESTION}
    assert points(of(words, *pair, max_question_tokens=3)) == (100, 100)
    elsewhere = asked(1, "w9", question="x x who", context=CONTEXT + " x")
    assert points(of(words, pair[0], elsewhere, max_question_tokens=2)) == (100, 100)


def test_an_unanswerable_question_is_left_unanswered(words):
    found = of(words, asked(0), asked(1, "w1"), v2=True)
    assert (points(found), found["best"][0]) == ((100, 100), "")


def test_a_part_of_a_chinese_answer_counts_its_characters(words):
    found = of(words, asked(0, "三百户", context="镇上有 三百户人家"), language="zh")
    # 3 of the 5 characters of the only token: 2 · (3/5 · 1) / (8/5) = 3/4
    assert points(found) == (0, pytest.approx(75))


def test_the_table_names_the_first_question_of_each_cause(words):
    examples = [asked(0, "w1 w2 w3"), asked(1, "w3 w4 w5"), asked(2, "w1")]
    table = ceiling.table(of(words, *examples, max_answer_tokens=2))
    assert table["questions"].tolist() == [2]
    assert table.loc[0, ["reference", "best possible answer"]].tolist() == ["w1 w2 w3", "w1 w2"]
    assert ceiling.table(of(words, examples[2])).empty


class Pointing:
    """An engine whose logits are high at both ends of the ``texts`` of the windows' questions, and 0 elsewhere."""

    at_once, batch_tokens = 1, 64

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def side_by_side(self) -> Any:
        return nullcontext(map)

    def logits(self, windows: Any, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        start, end = np.zeros((2, len(rows), int(windows.lengths[rows].max())))
        for i, row in enumerate(rows):
            offsets = windows.offsets[windows.splits[row] : windows.splits[row + 1]].tolist()
            spans = [CONTEXT[begin:stop] if begin >= 0 else "" for begin, stop in offsets]
            first, *_, last = self._texts[windows.example[row]].split() * 2
            if first in spans and last in spans:
                start[i, spans.index(first)] = end[i, spans.index(last)] = 9.0
        return start, end


def test_logits_that_point_at_the_right_tokens_score_the_ceiling(words):
    """Evaluation itself gives such a model the ceiling as its score."""
    reading = Reading(max_length=11, stride=2, max_answer_tokens=3)
    references = ["w4 w5 w6 w7", "w5 w6", "w20 w21 w22 w23 w24", "w0", "w9"]
    examples = [asked(i, text) for i, text in enumerate(references)]
    found = ceiling.of(examples, words, reading)
    engine = Pointing(found["best"].tolist())
    predicted = answers.predict(engine, reading.windows(examples, words), examples, reading)
    scored = scoring.score(predicted, examples, v2=False, threshold=0)
    assert scored["exact_match"].tolist() == found["exact_match"].tolist() == [0, 1, 0, 1, 1]
    assert scored["f1"].tolist() == pytest.approx(found["f1"].tolist())
