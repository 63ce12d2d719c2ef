"""An untrained baseline: the answer is the phrase whose surroundings share most words with the question.

The sliding window of Richardson et al. (2013, MCTest), as Rajpurkar et al. (2016, arXiv 1606.05250, section 5.1)
use it for SQuAD: keep the candidates in the sentence that shares most with the question, then take the one whose
window has most question words. A shared word counts log(1 + 1 / its count in the passage), so that rare words count
most. Rajpurkar et al. take candidates from a parser. Here candidates are runs of up to ``MAX_TOKENS`` words without
function words, punctuation and words of the question.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.metrics import languages

MAX_TOKENS = 5

# In scripts without spaces between words each character is a token, as in F1.
_WORD = rf"[^\W{languages.CHARACTERS}]+"
_TOKEN = re.compile(rf"[{languages.CHARACTERS}]|{_WORD}(?:[.,'’–-]{_WORD})*|[^\w\s]")
_FUNCTION_WORDS = frozenset(
    _TOKEN.findall(
        """a about after all also an and any are as at be because been before being between both but by can could did
        do does during each for from had has have he her his how i if in into is it its many may more most much no
        not of on or other our over she should so some such than that the their them then there these they this
        those through to under until was we were what when where which while who whom whose why will with would
        you"""
    )
)


@dataclass(frozen=True)
class _Passage:
    """A context in n tokens; ``offsets`` are (start, end) in the context, ``words`` in lower case, the rest (n,)."""

    offsets: list[tuple[int, int]]
    words: list[str]
    weights: npt.NDArray[np.float64]
    sentences: npt.NDArray[np.int64]
    is_content: npt.NDArray[np.bool_]
    is_first_in_sentence: npt.NDArray[np.bool_]


def answer(example: Example) -> str:
    """The chosen span of ``example.context``; '' if every word there is a function word or in the question."""
    passage = _passage(example.context)
    question = {token.lower() for token in _TOKEN.findall(example.question) if token[0].isalnum()}
    asked = np.array([word in question for word in passage.words], dtype=bool)
    shared = np.where(asked & passage.is_content, passage.weights, 0.0)

    candidates = _runs(passage.is_content & ~asked)
    if not candidates:
        return ""
    of_sentences = np.bincount(passage.sentences, weights=shared * passage.is_first_in_sentence)
    of_sentence = of_sentences[passage.sentences]  # for each token
    best = max(of_sentence[start] for start, _ in candidates)
    before = np.concatenate(([0.0], np.cumsum(shared)))

    def window_then_length(span: tuple[int, int]) -> tuple[float, int]:
        # Neighbouring spans often share their best window; the longer one wins, then the earlier one.
        return _window_score(before, *span, len(question)), span[1] - span[0]

    start, end = max((span for span in candidates if of_sentence[span[0]] == best), key=window_then_length)
    return example.context[passage.offsets[start][0] : passage.offsets[end - 1][1]]


@lru_cache(maxsize=256)  # the questions about one passage follow each other
def _passage(context: str) -> _Passage:
    matches = list(_TOKEN.finditer(context))
    words = [match.group().lower() for match in matches]
    counts = Counter(words)
    ends_sentence = np.array([word in ".!?。！？" for word in words], dtype=np.int64)
    sentences = np.cumsum(ends_sentence) - ends_sentence
    in_sentence = [f"{sentence} {word}" for sentence, word in zip(sentences, words, strict=True)]
    is_first = np.zeros(len(words), dtype=bool)
    is_first[np.unique(in_sentence, return_index=True)[1]] = True
    return _Passage(
        offsets=[match.span() for match in matches],
        words=words,
        weights=np.array([np.log1p(1 / counts[word]) for word in words]),
        sentences=sentences,
        is_content=np.array([word not in _FUNCTION_WORDS and word[0].isalnum() for word in words], dtype=bool),
        is_first_in_sentence=is_first,
    )


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First token and token after the last of each run of true values, cut to ``MAX_TOKENS``."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False)).tolist()
    return [(start, min(end, start + MAX_TOKENS)) for start, end in zip(edges[0::2], edges[1::2], strict=True)]


def _window_score(before: npt.NDArray[np.float64], start: int, end: int, n_question: int) -> float:
    """The highest shared weight of any window that holds tokens start to end and ``n_question`` more tokens."""
    firsts = np.arange(max(0, start - n_question), start + 1)
    lasts = np.minimum(firsts + n_question + end - start, len(before) - 1)
    return round(float((before[lasts] - before[firsts]).max()), 9)  # ties must not depend on rounding
