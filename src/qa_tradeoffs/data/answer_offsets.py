"""The unit of answer offsets: characters, as in SQuAD, or UTF-16 units or bytes, as other languages count."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from qa_tradeoffs.data.example import Example

Unit = Literal["characters", "utf-16", "bytes"]
Offsets = Unit | Literal["detect"]
_UNITS: tuple[Unit, ...] = ("characters", "utf-16", "bytes")  # if several fit equally well, the first is used
_NAMES = {"characters": "characters", "utf-16": "UTF-16 units", "bytes": "bytes of UTF-8"}


def in_characters(examples: Sequence[Example], unit: Offsets) -> tuple[list[Example], str]:
    """The examples with all offsets in characters, and a note on what was converted, or ''.

    'detect' chooses the unit in which most answers of all examples are at their offset.
    """
    if unit != "detect":
        return [_converted(example, unit) for example in examples], ""
    telling = [example for example in examples if not example.context.isascii()]
    read = {unit: [_converted(example, unit) for example in telling] for unit in _UNITS}
    fits = {unit: sum(map(_fitting, found)) for unit, found in read.items()}
    best = max(_UNITS, key=fits.__getitem__)
    answers = sum(len(example.answers) for example in telling)
    if best != "characters":
        return [_converted(example, best) for example in examples], (
            f"answer offsets are counted in {_NAMES[best]} ({fits[best]} of {answers} answers in contexts beyond ASCII "
            f"fit, {fits['characters']} in characters) and were converted; `data.offsets: characters` prevents this"
        )
    for other in _UNITS[1:]:
        if fits[other] == fits["characters"] > 0 and (
            unlike := [a.id for a, b in zip(telling, read[other], strict=True) if a != b and _fitting(b)]
        ):
            return list(examples), (
                f"answer offsets fit characters and {_NAMES[other]} equally well ({fits[other]} of {answers} in "
                f"contexts beyond ASCII), but at different places, first '{unlike[0]}': they are read as characters; "
                f"set `data.offsets: {other}` if that is wrong"
            )
    return list(examples), ""


def _fitting(example: Example) -> int:
    """How many answers are at their offset."""
    answers = zip(example.answers, example.answer_starts, strict=True)
    return sum(start >= 0 and example.context.startswith(text, start) for text, start in answers)


def _converted(example: Example, unit: Unit) -> Example:
    """The example with its offsets converted from ``unit`` to characters; one inside a character becomes its start."""
    if unit == "characters" or example.context.isascii():
        return example
    encoding, width = ("utf-16-le", 2) if unit == "utf-16" else ("utf-8", 1)
    encoded = example.context.encode(encoding)

    def convert(start: int) -> int:
        return start if start < 0 else len(encoded[: width * start].decode(encoding, errors="ignore"))

    return replace(example, answer_starts=tuple(map(convert, example.answer_starts)))
