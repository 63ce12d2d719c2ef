"""The untrained baseline on passages whose answer follows from its rules."""

import pytest

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.evaluation.baseline import MAX_TOKENS, answer

CASES = {
    "the sentence that shares most words with the question": (
        "Berlin lies on the Spree. The capital of France is Paris. Oslo is small.",
        "What is the capital of France?",
        "Paris",
    ),
    # "river" is there four times and "blue" once: log(1 + 1/4) < log(1 + 1/1)
    "a rare shared word counts more than a frequent one": (
        "One river north. One river south. One river east. Another river west. Blue lakes glitter.",
        "Which blue river?",
        "lakes glitter",
    ),
    # "green" twice would be 2 · log(1 + 1/2) = 0.81, above log(1 + 1/1) = 0.69 for "tower"
    "a word repeated in a sentence counts once there": (
        "Green lawns, green hills. Tower bells.", "Which green tower?", "bells",
    ),
    "within the sentence the window with most shared words": (
        "Bears, who slept all winter in the cold northern woods, and foxes ate red berries.",
        "Who ate red berries?",
        "foxes",
    ),
    # log(2) + log(4/3) around "swan" and log(4/3) + log(2) around "mill", which floats add up differently
    "the first of windows with equal weight": (
        "In red swan of the blue mill of the green oak barn of the end. Blue. Blue.", "Which red blue green?", "swan",
    ),
    "no word of the question and no function word": (
        "The queen of the old Castle slept.", "Who slept in the castle?", "queen",
    ),
    "cut to the longest length allowed": (
        "Eggs: one two three four five six seven eight.",
        "Which eggs?",
        " ".join("one two three four five".split()[:MAX_TOKENS]),
    ),
    "the spelling and spacing of the context": (
        "Zoë paid  US$1,250.50   Dollars-cash.", "Who really paid?", "1,250.50   Dollars-cash",
    ),
    "none where the context has only words of the question": ("The cat, the cat!", "Which cat?", ""),
    "none in an empty context": ("", "Which cat?", ""),
    "a phrase of the context where nothing is shared": ("Cats sleep. Dogs bark loudly.", "Why?", "Dogs bark loudly"),
    "characters where a script has no blanks": ("李木匠住在山谷。王阿姨卖绿茶。", "谁卖绿茶？", "王阿姨"),
}  # fmt: skip


@pytest.mark.parametrize(("context", "question", "expected"), CASES.values(), ids=CASES)
def test_the_answer_is(context, question, expected):
    assert answer(Example("q", "t", context, question, (), ())) == expected


def test_an_answer_does_not_depend_on_what_came_before():
    asked = [Example("q", "t", context, question, (), ()) for context, question, _ in CASES.values()]
    assert [answer(example) for example in reversed(asked)] == [expected for *_, expected in reversed(CASES.values())]
