"""Whole articles on one side or the other, by seed alone."""

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import splitting
from qa_tradeoffs.data.example import Example

CONTEXT = "Ada met Bob. Bob left."


def articles(count: int, questions: int) -> list[Example]:
    return [
        Example(f"{a}-{q}", f"title {a}", f"{CONTEXT} {a}", "Who?", ("Ada",), (0,))
        for a in range(count)
        for q in range(questions)
    ]


@pytest.mark.parametrize(("share", "held_out"), [(0.25, 2), (0.5, 4), (0.01, 1), (0.99, 7)])
def test_a_split_by_article_holds_out_the_share_of_articles_but_at_least_one_on_each_side(share, held_out):
    examples = articles(8, 3)
    train, validation = splitting.by_article(examples, share, seed=0)
    assert len({example.title for example in validation}) == held_out
    assert not {example.title for example in train} & {example.title for example in validation}
    assert sorted(train + validation, key=lambda example: example.id) == examples


def test_articles_with_a_context_in_common_are_on_one_side():
    # Of eight articles, 0 and 1 share a context, 1 and 2 another but for its white space: five sides to choose.
    pairs = [(0, "a"), (1, "a"), (1, "b\n b"), (2, " b b"), *((n, f"c{n}") for n in range(3, 8))]
    examples = [Example(f"{i}", f"title {n}", text, "?", (), ()) for i, (n, text) in enumerate(pairs)]
    for seed in range(20):
        train, validation = splitting.by_article(examples, 0.5, seed)
        together = [{example.id for example in side} & {"0", "1", "2", "3"} for side in (train, validation)]
        assert sorted(map(len, together)) == [0, 4]
        assert splitting.on_both_sides(train, validation) == ""


def test_passages_on_both_sides_are_counted_and_named():
    train, validation = articles(6, 2), articles(5, 3)
    note = splitting.on_both_sides(train, validation)
    assert note.startswith("data: 5 of 5 validation passages ")
    assert all(f"'Ada met Bob. Bob left. {n}' (title {n})" in note for n in range(3))
    assert "(title 3)" not in note
    assert splitting.on_both_sides(train, articles(9, 1)[6:]) == splitting.on_both_sides([], validation) == ""


def test_a_split_depends_on_its_seed_only():
    examples = articles(20, 1)
    held_out = [splitting.by_article(examples, 0.5, seed)[1] for seed in (0, 0, 1)]
    assert held_out[0] == held_out[1] != held_out[2]


def test_one_article_cannot_be_split():
    with pytest.raises(StudyError, match=r"^data: has 1 article .*needs at least 2"):
        splitting.by_article(articles(1, 5), 0.5, 0)


def article(title: str, *answered: bool) -> list[Example]:
    return [
        Example(f"{title}{i}", title, f"{title}.", "What?", *(((title,), (0,)) if has else ((), ())))
        for i, has in enumerate(answered)
    ]


MIXED = [question for title in "abcdef" for question in article(title, True, False, True)]


@pytest.mark.parametrize(("wanted", "held_out"), [(1, 3), (3, 3), (4, 6), (15, 15)])
def test_questions_for_the_threshold_are_whole_articles_and_at_least_as_many_as_wanted(wanted, held_out):
    train, threshold = splitting.for_threshold(MIXED, wanted)
    assert len(threshold) == held_out
    assert {e.title for e in train}.isdisjoint(e.title for e in threshold)
    assert sorted(train + threshold, key=MIXED.index) == MIXED


def test_which_articles_are_held_out_depends_on_the_seed_only():
    assert splitting.for_threshold(MIXED, 3, seed=1) == splitting.for_threshold(MIXED, 3, seed=1)
    assert len({splitting.for_threshold(MIXED, 3, seed=seed)[1][0].title for seed in range(20)}) > 1


def test_holding_out_every_article_is_refused():
    with pytest.raises(StudyError, match="is 16, but the training split has 18 questions of 6 articles; "):
        splitting.for_threshold(MIXED, 16)


def test_a_threshold_needs_questions_of_both_kinds():
    answerable = article("a", True) + article("b", True)
    with pytest.raises(StudyError, match=r"data\.threshold_questions: the 1 held-out questions"):
        splitting.for_threshold(answerable, 1)


def test_a_sample_is_seeded_and_keeps_the_order():
    examples = articles(1, 100)
    drawn = splitting.sample(examples, 10, seed=0)
    places = [examples.index(example) for example in drawn]
    assert places == sorted(set(places))
    assert len(places) == 10
    assert drawn == splitting.sample(examples, 10, seed=0) != splitting.sample(examples, 10, seed=1)


def test_a_limit_above_the_number_of_questions_takes_all():
    examples = articles(1, 3)
    assert splitting.sample(examples, 5, seed=0) == splitting.sample(examples, None, seed=0) == examples
