"""The fingerprint of questions."""

import hashlib
import json
from dataclasses import replace

import pytest

from qa_tradeoffs.data.example import Example, fingerprint

ADA = Example("q1", "People", "Ada met Bob.", "Who?", ("Ada",), (0,))


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x"},
        {"title": "Persons"},
        {"context": "Ada met Bob. "},
        {"question": "Whom?"},
        {"answers": ("Ad",)},
        {"answer_starts": (1,)},
        {"answers": ("Ada", "Ada"), "answer_starts": (0, 0)},
    ],
)
def test_any_change_of_a_question_changes_the_fingerprint(change):
    assert fingerprint([replace(ADA, **change)]) != fingerprint([ADA])


def test_the_fingerprint_is_a_hash_over_the_questions_in_their_order():
    listed = json.dumps(["q1", "People", "Ada met Bob.", "Who?", ["Ada"], [0]])
    assert fingerprint([ADA]) == hashlib.sha256(listed.encode()).hexdigest()
    other = replace(ADA, id="q2")
    assert fingerprint([ADA, other]) != fingerprint([other, ADA])
