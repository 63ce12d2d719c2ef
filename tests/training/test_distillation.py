"""Distillation by hand: the loss, and the places of the teacher's probabilities."""

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from qa_tradeoffs.data import features
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.models import inputs, tokenizers
from qa_tradeoffs.training import collation, distillation, fine_tuning
from qa_tradeoffs.training.distillation import Lesson
from tests.training.test_fine_tuning import comparable, same_weights

# --- the loss


def test_the_divergence_of_three_tokens_by_hand():
    """A uniform student and a teacher with 1/2, 1/4, 1/4; padding has the highest logit."""
    logits, own = torch.tensor([[0.0, 0, 0, 9]]), torch.tensor([[1, 1, 1, 0]])
    taught = torch.tensor([[0.5, 0.25, 0.25, 0]])
    # sum of p ln(p / (1/3)) = ln 3 - 1.5 ln 2, times 2 squared
    expected = 4 * (math.log(3) - 1.5 * math.log(2))
    assert distillation.divergence(logits, own, taught, 2.0).item() == pytest.approx(expected)
    # A token that the teacher rules out counts for nothing: (0.5, 0.5, 0) is ln 3 - ln 2 away.
    ruled_out = torch.tensor([[0.5, 0.5, 0, 0]])
    assert distillation.divergence(logits, own, ruled_out, 1.0).item() == pytest.approx(math.log(3) - math.log(2))


def test_a_student_with_its_teachers_logits_has_no_divergence():
    teacher = torch.tensor([[1.0, -2.0, 0.5], [3.0, 3.0, -1.0]])
    own, taught = torch.ones(2, 3), (teacher / 2).softmax(-1)
    assert distillation.divergence(teacher + 7, own, taught, 2.0).item() == pytest.approx(0, abs=1e-6)


def test_its_gradient_is_that_of_the_soft_labels():
    """d/dz of T² KL is T (q - p), divided by the number of windows (Hinton et al. 2015)."""
    logits = torch.tensor([[1.0, 0, -1], [0, 2, 0]], requires_grad=True)
    taught = torch.tensor([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])
    distillation.divergence(logits, torch.ones(2, 3), taught, 4.0).backward()
    q = (logits.detach() / 4).softmax(-1)
    torch.testing.assert_close(logits.grad, 4 * (q - taught) / 2)


@pytest.fixture
def lesson_of(windows: features.Windows, tmp_path):
    """A function that writes targets (2, n_tokens) and gives their lesson; as default random ones."""

    def write(weight: float, temperature: float = 2.0, targets: Any = None) -> Lesson:
        if targets is None:
            targets = np.random.default_rng(0).random((2, len(windows.input_ids)))
            for begin, stop in zip(windows.splits[:-1], windows.splits[1:], strict=True):
                targets[:, begin:stop] /= targets[:, begin:stop].sum(1, keepdims=True)
        np.save(tmp_path / "targets.npy", targets.astype(np.float32))
        return Lesson("teacher", weight, temperature, tmp_path / "targets.npy")

    return write


def test_the_loss_is_a_weighted_mean_of_labels_and_teacher(network_of, windows, tokenizer, lesson_of):
    network, lesson = network_of().eval(), lesson_of(0.3)
    collator = collation.Collator(windows, tokenizer.pad_token_id, inputs.of(network), 1e9, lesson=lesson)
    (part,), (again,), (for_hand,) = (collator([3, 1])["parts"] for _ in range(3))
    labels_alone = collation.part_loss(network, again).item()
    rows = [windows.tokens_of(np.array([row])) for row in (1, 3)]
    own = torch.ones(1, len(rows[0]))
    output = network(**{name: for_hand[name] for name in inputs.of(network).names & for_hand.keys()})
    order = [
        int(np.flatnonzero(np.isclose(for_hand["start_taught"], lesson.probabilities[0][row]).all(1))[0])
        for row in rows
    ]
    of_teacher = [
        distillation.divergence(logits[[at]], own, torch.from_numpy(lesson.probabilities[[end]][:, row]), 2.0).item()
        for end, logits in enumerate((output.start_logits, output.end_logits))
        for at, row in zip(order, rows, strict=True)
    ]
    expected = 0.7 * labels_alone + 0.3 * np.mean(of_teacher)
    assert collation.part_loss(network, part, lesson=lesson).item() == pytest.approx(expected, rel=1e-5)


def test_packed_windows_have_the_loss_of_padded_ones(network_of, windows, tokenizer, lesson_of):
    network, lesson = network_of().eval(), lesson_of(0.5)
    padded = collation.Collator(windows, tokenizer.pad_token_id, inputs.of(network), 1e9, lesson=lesson)
    (whole,) = padded([0, 1, 2])["parts"]
    rows = np.array([0, 1, 2])
    row = padded._packed(rows)
    packed = row | padded._labels(rows) | padded._taught(row["own_tokens"], rows) | {"share": 1.0}
    one, other = (collation.part_loss(network, part, lesson=lesson).item() for part in (whole, packed))
    assert one == pytest.approx(other, abs=1e-5)


def test_a_teacher_of_weight_0_changes_nothing(network_of, setup_of, lesson_of):
    alone, taught = network_of(), network_of()
    one = fine_tuning.fit(alone, setup_of(workspace="alone"))
    other = fine_tuning.fit(taught, dataclasses.replace(setup_of(workspace="taught"), lesson=lesson_of(0.0)))
    assert same_weights(alone, taught)
    assert comparable(one.history) == comparable(other.history)


def test_a_teacher_who_is_sure_teaches_as_labels_do(network_of, setup_of, windows, lesson_of):
    """With weight 1 and temperature 1, the divergence from a single place is the cross-entropy of that label."""
    starts, ends = np.roll(windows.start_labels, 1), np.roll(windows.end_labels, 1)  # other answers than the labels
    sure = np.zeros((2, len(windows.input_ids)))
    sure[0, windows.splits[:-1] + starts] = sure[1, windows.splits[:-1] + ends] = 1
    labelled, taught = network_of(), network_of()
    others = dataclasses.replace(windows, start_labels=starts, end_labels=ends)
    one = fine_tuning.fit(labelled, dataclasses.replace(setup_of(workspace="labelled"), windows=others))
    lesson = lesson_of(1.0, 1.0, sure)
    other = fine_tuning.fit(taught, dataclasses.replace(setup_of(workspace="taught"), lesson=lesson))
    np.testing.assert_allclose(comparable(one.history), comparable(other.history), rtol=1e-4)


def test_a_uniform_guess_with_a_sure_teacher_does_not_count_as_divergence(setup_of, windows, lesson_of):
    """At temperature 4 and weight 0.5, a uniform student is up to 16 ln n from the teacher, and ln n from a label."""
    setup, n = setup_of(), windows.lengths.max()
    assert setup.guess == pytest.approx(math.log(n))
    taught = dataclasses.replace(setup, lesson=lesson_of(0.5, 4.0))
    assert taught.guess == pytest.approx((math.log(n) + 16 * math.log(n)) / 2)


# --- where the probabilities go


def windows_of(*rows: tuple[int, list[tuple[int, int]]]) -> Any:
    """Windows with offsets only: each is given as the row of its example and the offsets of its tokens."""
    offsets = [pair for _, of in rows for pair in of]
    splits = np.cumsum([0, *(len(of) for _, of in rows)])
    made = features.Windows(
        np.zeros(len(offsets), np.int32), np.zeros(len(offsets), np.int8), np.array(offsets, np.int32), splits,
        np.array([row for row, _ in rows], np.int32), np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64),
    )  # fmt: skip
    return made


NONE = (-1, -1)
# [CLS] who [SEP] unbelievable cats [SEP], in whole words and in pieces: un believ able cat s
WORDS = [NONE, NONE, NONE, (0, 12), (13, 17), NONE]
PIECES = [NONE, NONE, NONE, (0, 2), (2, 8), (8, 12), (13, 16), (16, 17), NONE]


def test_a_words_probability_goes_to_its_first_part_as_a_start_and_to_its_last_as_an_end():
    first, last = distillation.places(np.array(WORDS), np.array(PIECES))
    assert first.tolist() == [0, -1, -1, 3, 6, -1]
    assert last.tolist() == [0, -1, -1, 5, 7, -1]


def test_the_parts_of_a_word_add_up_on_the_word():
    first, last = distillation.places(np.array(PIECES), np.array(WORDS))
    assert first.tolist() == last.tolist() == [0, -1, -1, 3, 3, 3, 4, 4, -1]
    shares = np.array([0.1, 0.05, 0.05, 0.2, 0.1, 0.1, 0.2, 0.1, 0.1])
    found, dropped = distillation.moved(shares, first, 6)
    # 0.8 has a place: 0.1 on [CLS], 0.4 on the first word, 0.3 on the second.
    assert dropped == pytest.approx(0.2)
    assert found.tolist() == pytest.approx([0.125, 0, 0, 0.5, 0.375, 0])


def test_what_lies_outside_of_the_students_window_says_that_the_answer_is_not_in_it():
    later = [NONE, NONE, (13, 17), NONE]
    first, last = distillation.places(np.array(WORDS), np.array(later))
    assert first.tolist() == last.tolist() == [0, -1, -1, 0, 2, -1]


def test_characters_that_became_no_token_have_no_place():
    gap = [NONE, (0, 4), (13, 17), NONE]  # the student has no token for characters 4 to 12
    first, last = distillation.places(np.array([NONE, (0, 4), (5, 12), (13, 17)]), np.array(gap))
    assert first.tolist() == last.tolist() == [0, 1, -1, 2]


def test_a_window_without_context_takes_all_on_its_leading_token():
    first, _ = distillation.places(np.array(WORDS), np.array([NONE, NONE, NONE]))
    assert first.tolist() == [0, -1, -1, 0, 0, -1]


def test_without_any_place_the_leading_token_gets_all_probability():
    found, dropped = distillation.moved(np.array([0.0, 1.0]), np.array([0, -1]), 2)
    assert (found.tolist(), dropped) == ([1.0, 0.0], 1.0)


def test_the_window_with_most_of_the_students_characters_counts():
    teacher = windows_of(
        (0, [NONE, (0, 5), NONE]), (1, [NONE, (0, 40), NONE]), (1, [NONE, (30, 70), NONE]), (1, [NONE, (60, 90), NONE])
    )
    student = windows_of((0, [NONE, (0, 55), NONE]), (0, [NONE, (45, 90), NONE]), (0, [NONE, NONE]))
    # The student's only question is the teacher's second; 0 to 55 is 40 of the first window's, 25 of the next one's.
    assert list(distillation.covering(student, teacher, np.array([1]))) == [1, 3, 1]


def test_the_targets_of_a_student_with_other_tokens(tmp_path):
    teacher, student = windows_of((0, WORDS)), windows_of((0, PIECES))
    shares = np.array([0.1, 0.1, 0.0, 0.6, 0.1, 0.1])
    logits = 2 * np.log(np.stack([shares, shares]) + 1e-30)
    dropped = distillation.write_targets(tmp_path / "targets.npy", student, teacher, logits, np.array([0]), 2.0)
    found = Lesson("teacher", 0.5, 2.0, tmp_path / "targets.npy").probabilities
    assert dropped == pytest.approx(0.2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], [0.125, 0, 0, 0.75, 0, 0, 0.125, 0, 0], atol=1e-7)
    np.testing.assert_allclose(found[1], [0.125, 0, 0, 0, 0, 0.75, 0, 0.125, 0], atol=1e-7)


def test_two_tokenizers_of_one_text_agree_on_the_characters(examples: list[Example]):
    """A vocabulary with room for whole words and one with little more than letters, on real windows."""
    texts = [text for e in examples for text in (e.context, e.question)]
    words, letters = (tokenizers.train_wordpiece(texts, size) for size in (200, 50))
    student, teacher = (features.build(examples, t, 200, 16) for t in (letters, words))
    assert len(student.input_ids) > 1.5 * len(teacher.input_ids)
    for row in range(len(examples)):
        theirs, own = (w.offsets[w.splits[row] : w.splits[row + 1]] for w in (teacher, student))
        first, last = distillation.places(theirs, own)
        context = theirs[:, 0] >= 0
        assert (own[first[context], 0] == theirs[context, 0]).all()
        assert (own[last[context], 1] == theirs[context, 1]).all()
        # The label that the teacher would be given goes to the label that the student is given.
        assert first[teacher.start_labels[row]] == student.start_labels[row]
        assert last[teacher.end_labels[row]] == student.end_labels[row]


def test_with_the_same_tokens_everything_but_the_question_stays_in_its_place(windows, tmp_path):
    logits = np.random.default_rng(1).normal(size=(2, len(windows.input_ids)))
    every = np.arange(len(windows.lengths))
    distillation.write_targets(tmp_path / "targets.npy", windows, windows, logits, every, 1.0)
    found = np.load(tmp_path / "targets.npy")
    for begin, stop in zip(windows.splits[:-1], windows.splits[1:], strict=True):
        kept = (windows.offsets[begin:stop, 0] >= 0) | (np.arange(stop - begin) == 0)
        expected = np.where(kept, np.exp(logits[:, begin:stop]), 0)
        np.testing.assert_allclose(found[:, begin:stop], expected / expected.sum(1, keepdims=True), rtol=1e-5)


def test_a_part_has_no_teacher_probabilities_without_a_teacher(windows, tokenizer):
    collator = collation.Collator(windows, tokenizer.pad_token_id, inputs.Inputs(frozenset({"input_ids"})), 1e9)
    (part,) = collator([0])["parts"]
    assert not part.keys() & set(collation.TAUGHT)
    assert SimpleNamespace(**part).share == 1
