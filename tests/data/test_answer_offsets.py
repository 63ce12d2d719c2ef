"""Offsets that count UTF-16 units or bytes, by hand: an emoji is one character, two units and four bytes."""

import pytest

from qa_tradeoffs.data.answer_offsets import in_characters
from qa_tradeoffs.data.example import Example

CONTEXT = "😀 ü Ada met Bob"  # Ada is at 4 in characters, 5 in UTF-16 units, 8 in bytes; Bob 8 later
ASCII = Example("ascii", "t", "Ada met Bob", "Who?", ("Bob",), (8,))


def at(*starts: int, context: str = CONTEXT) -> Example:
    return Example("q", "t", context, "Who?", ("Ada", "Bob")[: len(starts)], starts)


@pytest.mark.parametrize(("unit", "starts", "named"), [
    ("characters", (4, 12), None),
    ("utf-16", (5, 13), "UTF-16 units"),
    ("bytes", (8, 16), "bytes of UTF-8"),
])  # fmt: skip
def test_the_unit_of_a_file_is_detected_and_a_conversion_is_noted(unit, starts, named):
    found, note = in_characters([ASCII, at(*starts)], "detect")
    assert found == [ASCII, at(4, 12)]
    assert note == (
        f"answer offsets are counted in {named} (2 of 2 answers in contexts beyond ASCII fit, 0 in characters) "
        "and were converted; `data.offsets: characters` prevents this"
        if named
        else ""
    )
    assert in_characters([at(*starts)], unit) == ([at(4, 12)], "")


def test_the_file_as_a_whole_decides():
    # Two fit in UTF-16 units, one in characters: that one is converted with the others and no longer fits.
    found, note = in_characters([at(5), at(5), at(4)], "detect")
    assert [example.answer_starts for example in found] == [(4,), (4,), (3,)]
    assert "(2 of 3 answers in contexts beyond ASCII fit, 1 in characters)" in note
    assert in_characters([at(5), at(4), at(4)], "detect") == ([at(5), at(4), at(4)], "")


def test_a_study_can_forbid_the_conversion():
    assert in_characters([at(5, 13)], "characters") == ([at(5, 13)], "")


def test_offsets_that_fit_two_units_at_different_places_are_noted():
    seven = Example("q7", "t", "😀 7 7 7", "How many?", ("7",), (4,))  # the second in characters, in UTF-16 units none
    assert in_characters([seven], "detect") == ([seven], "")
    # The second in characters, the first in UTF-16 units.
    other = Example("q8", "t", "😀😀 7 7 7", "How many?", ("7",), (5,))
    found, note = in_characters([other], "detect")
    assert found == [other]
    assert note.startswith(
        "answer offsets fit characters and UTF-16 units equally well (1 of 1 in contexts beyond ASCII)"
    )
    assert in_characters([other], "utf-16")[0][0].answer_starts == (3,)


@pytest.mark.parametrize("start", [-1, 10**400, 1, 2, 3])
def test_offsets_in_an_empty_context_are_harmless(start):
    (found,), _ = in_characters([at(start)], "bytes")
    assert found.answer_starts[0] <= len(CONTEXT)
