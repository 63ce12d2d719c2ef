"""The generated set: seeded, in SQuAD's format, with held-out questions, and hard enough to get wrong."""

import re

import numpy as np
import pytest

from qa_tradeoffs.data import generated
from qa_tradeoffs.data.example import fingerprint

TRAIN = generated.generate(200, 4, "train", 0)
VALIDATION = generated.generate(200, 4, "validation", 0)


@pytest.mark.parametrize("examples", [TRAIN, VALIDATION])
def test_every_answer_is_at_its_offset_and_occurs_once(examples):
    for example in examples:
        (text,), (start,) = example.answers, example.answer_starts
        assert example.context[start : start + len(text)] == text
        assert len(re.findall(rf"(?<![\w-]){re.escape(text)}(?![\w-])", example.context)) == 1


def test_the_same_seed_gives_the_same_set_and_another_seed_another():
    assert fingerprint(TRAIN[:8]).startswith("9ca6d1b09d49df58")
    assert generated.generate(200, 4, "train", 0) == TRAIN
    assert generated.generate(200, 4, "train", 1) != TRAIN


def test_ids_are_unique_over_both_splits_and_passages_are_not_shared():
    assert len({example.id for example in TRAIN + VALIDATION}) == 1600
    assert not {example.context for example in TRAIN} & {example.context for example in VALIDATION}


def test_validation_asks_only_in_forms_that_training_never_uses():
    def forms(examples):
        return {example.question.replace(example.title, "{name}") for example in examples}

    assert not forms(TRAIN) & forms(VALIDATION)
    for number in range(len(generated.ATTRIBUTES)):
        asked, held_out = generated.questions(number, "train"), generated.questions(number, "validation")
        assert (len(asked), len(held_out)) == (4, 2)
        assert not set(asked) & set(held_out)


def test_words_of_validation_questions_occur_in_training_questions():
    def words(split):
        forms = [form for n in range(len(generated.ATTRIBUTES)) for form in generated.questions(n, split)]
        return {word for form in forms for word in form.lower().strip("?").split()}

    assert words("validation") <= words("train")


def test_picking_any_value_of_the_right_kind_answers_five_of_six_questions():
    passages = 2000
    rng = np.random.default_rng(0)
    chances = []
    for _ in range(passages):
        kinds = [generated.ATTRIBUTES[fact.attribute].kind for fact in generated._facts("Ada Lindberg", rng)]
        chances += [1 / kinds.count(kind) for kind in kinds]
    assert np.mean(chances) == pytest.approx(5 / 6, abs=0.02)
    assert np.mean(np.array(chances) < 1) == pytest.approx(1 / 3, abs=0.03)


def test_passages_differ_in_length_and_some_answers_have_several_words():
    lengths = [len(example.context.split()) for example in TRAIN]
    assert max(lengths) > 1.5 * min(lengths)
    assert any(" " in example.answers[0] for example in TRAIN)


MIXED = generated.generate(400, 4, "validation", 0, unanswerable_share=0.3)


def test_the_share_of_unanswerable_questions_is_as_requested():
    unanswerable = np.mean([not example.answers for example in MIXED])
    assert unanswerable == pytest.approx(0.3, abs=3 * (0.3 * 0.7 / 1600) ** 0.5)  # three standard errors
    assert all(len(example.answers) == len(example.answer_starts) for example in MIXED)


def test_a_question_without_an_answer_asks_what_its_passage_does_not_state():
    def stated(context: str, attribute: generated.Attribute) -> bool:
        return any(
            all(part in context for part in sentence.replace("{name}", "").split("{value}"))
            for sentence in attribute.sentences
        )

    def asked(question: str) -> list[int]:
        return [n for n in range(len(generated.ATTRIBUTES)) if question in generated.questions(n, "validation")]

    for example in MIXED:
        (attribute,) = asked(example.question.replace(example.title, "{name}"))
        if not example.answers:
            assert not stated(example.context, generated.ATTRIBUTES[attribute])


def test_no_question_is_asked_twice_about_a_passage():
    asked = [(example.context, example.question) for example in MIXED]
    assert len(asked) == len(set(asked))
