"""A generated reading-comprehension set in SQuAD's format: seeded, offline, and hard enough to get wrong.

A passage states facts about one person. A third of the facts share their passage with another fact of the same kind
(born in one town, living in another): picking at random among values of the right kind would answer about five of six
questions, so a higher score requires a model that reads which of the two is asked for.

A question is an attribute put into a frame. Validation asks only pairs of frame and attribute that never occur in
training, so a model has to generalise from either part.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from qa_tradeoffs.data.example import Example

Split = Literal["train", "validation"]

FIRST_NAMES = """Ada Alice Anton Bruno Carla Clara Daniel Edith Emil Felix Greta Hanna Henry Ida Ivan Jonas Julia Karin
Laura Leo Lucas Maria Martin Nina Nora Oscar Paula Peter Rosa Ruth Simon Sofia Thomas Vera Victor Walter""".split()
NAME_STEMS = "Ash Berg Brand Fair Hal Hart Holm Kell Lind Mar Nor Oster Pres Rom Sand Stan Thorn Wald West Win".split()
NAME_ENDINGS = "berg bury dahl er ford gren ley man mark sen son stad ton wick".split()
MONTHS = "January February March April May June July August September October November December".split()
VALUES = {
    "town": """Bergen Bristol Cork Dresden Florence Geneva Ghent Graz Hamburg Krakow Leeds Lisbon Lyon Madrid Malmo
    Milan Munich Naples Oslo Oxford Paris Porto Prague Riga Rome Seville Turin Utrecht Vienna York Zurich""".split(),
    "job": [
        "baker", "bank clerk", "bus driver", "carpenter", "chemist", "civil engineer", "dentist", "ferry pilot",
        "gardener", "glass blower", "judge", "lawyer", "librarian", "marine biologist", "mathematician", "nurse",
        "painter", "piano tuner", "police officer", "postman", "tailor", "violin maker", "waiter", "weaver",
    ],
    "colour": [
        "black", "blue", "brown", "gold", "green", "grey", "pink", "purple", "red", "silver", "white", "yellow",
        "dark blue", "dark green", "light blue", "light grey",
    ],
    "number": "two three four five six seven eight nine ten eleven twelve fifteen twenty".split(),
    "instrument": [
        "accordion", "bass guitar", "cello", "clarinet", "drums", "flute", "grand piano", "harp", "oboe", "organ",
        "trumpet", "viola",
    ],
    "language": "Arabic Czech Danish Dutch Finnish French German Greek Hindi Italian Polish Swedish Welsh".split(),
    "dish": [
        "apple pie", "bean soup", "curry", "dumplings", "fish stew", "lasagne", "lentils", "onion soup", "pancakes",
        "potato salad", "rice pudding", "roast lamb",
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Attribute:
    """One thing to state and ask: the kind of its value, sentences that state it, and words for the frames."""

    kind: str
    sentences: tuple[str, ...]
    words: dict[str, str]


def _act(kind: str, aux: str, base: str, past: str, *sentences: str) -> Attribute:
    """Something a person does or did: 'where does … live', '… lives where'."""
    return Attribute(kind, sentences, {"aux": aux, "base": base, "past": past})


def _thing(kind: str, thing: str, *sentences: str) -> Attribute:
    """Something a person has: 'the car', 'cats'."""
    return Attribute(kind, sentences, {"thing": thing})


ATTRIBUTES = (
    _act("town", "was", "born", "was born",
         "{name} was born in {value}.", "{name} was born in the old part of {value}."),
    _act("town", "does", "live", "lives",
         "{name} lives in {value}.", "{name} lives in a small house in {value}."),
    _act("date", "did", "marry", "married",
         "{name} married on {value}.", "In spite of the rain, {name} married on {value}."),
    _act("date", "did", "retire", "retired",
         "{name} retired on {value}.", "To the surprise of all, {name} retired on {value}."),
    _act("job", "does", "work", "works",
         "{name} works as a {value}.", "These days, {name} works as a {value}."),
    _act("job", "did", "train", "trained",
         "{name} trained as a {value}.", "After school, {name} trained as a {value}."),
    _thing("colour", "car", "{name} drives a {value} car.", "The car of {name} is {value}."),
    _thing("colour", "boat", "{name} sails a {value} boat.", "The boat of {name} is {value}."),
    _thing("number", "children", "{name} has {value} children.", "There are {value} children in the family of {name}."),
    _thing("number", "cats", "{name} keeps {value} cats.", "There are {value} cats in the house of {name}."),
    _act("instrument", "does", "play", "plays",
         "{name} plays the {value}.", "On Sundays, {name} plays the {value}."),
    _act("language", "does", "speak", "speaks",
         "{name} speaks {value}.", "With friends, {name} speaks {value}."),
    _act("dish", "does", "cook", "cooks",
         "{name} cooks {value}.", "For guests, {name} often cooks {value}."),
)  # fmt: skip
FRAMES = {
    "town": (
        "Where {aux} {name} {base}?", "In which town {aux} {name} {base}?", "Which town {aux} {name} {base} in?",
        "In what town {aux} {name} {base}?", "{name} {past} in which town?", "{name} {past} where?",
    ),
    "date": (
        "When {aux} {name} {base}?", "On which date {aux} {name} {base}?", "What was the date on which {name} {past}?",
        "On what day {aux} {name} {base}?", "{name} {past} on which date?", "{name} {past} when?",
    ),
    "job": (
        "What {aux} {name} {base} as?", "As what {aux} {name} {base}?", "Which job {aux} {name} {base} in?",
        "In what job {aux} {name} {base}?", "{name} {past} as what?", "{name} {past} in which job?",
    ),
    **dict.fromkeys(("instrument", "language", "dish"), (
        "What {aux} {name} {base}?", "Which {kind} {aux} {name} {base}?", "{name} {past} which {kind}?",
        "What {kind} {aux} {name} {base}?", "What is the {kind} that {name} {past}?", "{name} {past} what {kind}?",
    )),
    "colour": (
        "What colour is the {thing} of {name}?", "Which colour is {name}'s {thing}?",
        "What is the colour of {name}'s {thing}?", "What colour does the {thing} of {name} have?",
        "The {thing} of {name} has which colour?", "{name}'s {thing} is what colour?",
    ),
    "number": (
        "How many {thing} does {name} have?", "What is the number of {name}'s {thing}?",
        "How many are the {thing} of {name}?", "What number of {thing} does {name} have?",
        "{name} has how many {thing}?", "The {thing} of {name} are how many?",
    ),
}  # fmt: skip
FEWEST_FACTS, MOST_FACTS = 5, 7


@dataclass(frozen=True)
class Fact:
    """One sentence of a passage."""

    attribute: int
    value: str
    sentence: str
    start: int  # of the value in the sentence


def generate(
    passages: int, questions_per_passage: int, split: Split, seed: int, unanswerable_share: float = 0.0
) -> list[Example]:
    """``passages × questions_per_passage`` examples with one answer each; an id reads ``train-000012-3``.

    Every fact of a passage is asked about at most once, so ``questions_per_passage`` is at most ``FEWEST_FACTS``.
    The two splits draw from independent random streams of the same ``seed``. With ``unanswerable_share`` in (0, 1),
    each question has that probability of asking about something that the passage does not state.
    """
    rng = np.random.default_rng([seed, 0 if split == "train" else 1])
    examples = []
    for passage in range(passages):
        name = f"{rng.choice(FIRST_NAMES)} {rng.choice(NAME_STEMS)}{rng.choice(NAME_ENDINGS)}"
        facts = _facts(name, rng)
        context = " ".join(fact.sentence for fact in facts)
        stated = {fact.attribute for fact in facts}
        unstated = [attribute for attribute in range(len(ATTRIBUTES)) if attribute not in stated]
        for number, i in enumerate(rng.choice(len(facts), questions_per_passage, replace=False)):
            attribute = facts[i].attribute
            answers: tuple[str, ...] = (facts[i].value,)
            starts: tuple[int, ...] = (sum(len(earlier.sentence) + 1 for earlier in facts[:i]) + facts[i].start,)
            # With a share of 0 nothing is drawn here, so that such sets stay unchanged.
            if unanswerable_share > 0 and rng.random() < unanswerable_share:
                attribute, answers, starts = unstated.pop(int(rng.integers(len(unstated)))), (), ()
            question = str(rng.choice(questions(attribute, split))).format(name=name)
            key = f"{split}-{passage:06d}-{number}"
            examples.append(Example(key, name, context, question, answers, starts))
    return examples


def questions(attribute: int, split: Split) -> list[str]:
    """The questions, with a slot for the name, that ``split`` may ask about ``ATTRIBUTES[attribute]``.

    Two frames of each attribute are held out for validation; they differ between attributes of the same kind.
    """
    asked = ATTRIBUTES[attribute]
    frames = FRAMES[asked.kind]
    held_out = {attribute % 6, (attribute + 3) % 6}  # each kind has six frames
    chosen = [frame for i, frame in enumerate(frames) if (i in held_out) == (split == "validation")]
    return [frame.format(name="{name}", kind=asked.kind, **asked.words) for frame in chosen]


def _facts(name: str, rng: np.random.Generator) -> list[Fact]:
    """Facts in random order; no value contains another. The full name appears once, then the family name."""
    facts: list[Fact] = []
    for attribute in rng.choice(len(ATTRIBUTES), rng.integers(FEWEST_FACTS, MOST_FACTS + 1), replace=False):
        value = _value(ATTRIBUTES[attribute].kind, rng)
        while any(value in fact.value or fact.value in value for fact in facts):
            value = _value(ATTRIBUTES[attribute].kind, rng)
        short = name.split()[1] if facts else name
        before, after = str(rng.choice(ATTRIBUTES[attribute].sentences)).format(name=short, value="|").split("|")
        facts.append(Fact(int(attribute), value, before + value + after, len(before)))
    return facts


def _value(kind: str, rng: np.random.Generator) -> str:
    if kind == "date":
        return f"{rng.integers(1, 29)} {rng.choice(MONTHS)} {rng.integers(1950, 2010)}"
    return str(rng.choice(VALUES[kind]))
