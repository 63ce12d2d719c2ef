"""How EM and F1 split words in languages other than English.

The rules are those that were published with MLQA (Lewis et al., 2019, arXiv 1910.07475) for Arabic, Chinese, German,
Hindi, Spanish and Vietnamese, extended here to more languages: lower-case the text, remove punctuation of any script,
then the language's articles, then split at white space. In scripts without spaces between words each character counts
as a word, and text between such characters is split at white space. English keeps the official rules of SQuAD, which
remove ASCII punctuation only.

Everything follows from the normalised text: EM compares it, and F1 splits it at spaces.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache

from qa_tradeoffs.core.languages import LANGUAGES
from qa_tradeoffs.metrics import squad

OFFICIAL = "en"  # the language of the official rules, and the default if the script implies no other
_MLQA = frozenset({"ar", "de", "es", "hi", "vi", "zh"})

_ARTICLES = {
    "ca": "el la els les un una uns unes",
    "da": "en et",
    "de": "ein eine einen einem eines einer der die das den dem des",
    "es": "un una unos unas el la los las",
    "fr": "le la les un une des",
    "hu": "a az egy",
    "it": "il lo la i gli le un uno una",
    "nb": "en ei et",
    "nl": "de het een",
    "pt": "o a os as um uma uns umas",
    "sv": "en ett",
    "vi": "của là cái chiếc những",
}
# Articles that end in an apostrophe: they must be removed before the punctuation is.
_ELIDED = {"ca": "l", "fr": "l", "it": "l un"}
_ARABIC_ARTICLE = "ال"  # MLQA removes it anywhere, even inside a word, which it splits in two

# Characters that count as words. The range of Chinese is MLQA's.
_CHARACTERS = {
    "zh": "一-龥",
    "ja": "一-鿿〇々〆ぁ-ゖァ-ヺーｦ-ﾟ",
    "th": "\u0e00-\u0e7f",
    "lo": "\u0e80-\u0eff",
    "my": "\u1000-\u109f",
    "km": "\u1780-\u17ff",
}
CHARACTERS = "".join(_CHARACTERS.values())  # of all these scripts, for a character class

# What identifies a script. Japanese also has Chinese characters, Persian and Urdu also have Arabic letters.
_SCRIPTS = {
    "zh": re.compile("[㐀-鿿ぁ-ゖァ-ヺｦ-ﾟ]"),
    **{language: re.compile(f"[{_CHARACTERS[language]}]") for language in ("th", "lo", "my", "km")},
    "ar": re.compile("[\u0620-\u064a\u0671-\u06d3]"),
}
_KANA = re.compile("[ぁ-ゖァ-ヺｦ-ﾟ]")
_NOT_ARABIC = re.compile("[پچژگکیٹڈڑںےہھ]")
_TELLING = 0.1  # if this share of a script's texts has letters of only one language, that is the language
_LETTER = re.compile(r"[^\W\d_]")
_NEVER = "(?!)"  # a pattern that matches nothing


@cache
def normalizer(language: str) -> squad.Normalize:
    """The function that normalises a text before comparison; ``language`` is one of LANGUAGES."""
    if language == OFFICIAL:
        return squad.normalize
    elided = re.compile(rf"\b{_any_of(_ELIDED.get(language, ''))}['’]")
    article = re.compile(_ARABIC_ARTICLE if language == "ar" else rf"\b{_any_of(_ARTICLES.get(language, ''))}\b")
    character = re.compile(f"[{_CHARACTERS[language]}]" if language in _CHARACTERS else _NEVER)

    def normalize(text: str) -> str:
        text = elided.sub(" ", text.lower())
        text = article.sub(" ", "".join(c for c in text if not _is_punctuation(c)))
        return " ".join(character.sub(r" \g<0> ", text).split())

    return normalize


def detect(texts: Iterable[str]) -> str:
    """The language of reference answers if their script identifies it; else OFFICIAL.

    Every text votes for the script of most of its letters. Scripts without spaces between words identify Chinese,
    Japanese, Thai, Lao, Burmese and Khmer; Arabic script means Arabic unless it has letters of Persian or Urdu.
    """
    texts = list(texts)
    votes = Counter(filter(None, map(_script, texts)))
    script = max(votes, key=lambda key: votes[key], default=OFFICIAL)
    if script == "zh" and _have(_KANA, texts) >= _TELLING * votes["zh"]:
        return "ja"
    if script == "ar" and _have(_NOT_ARABIC, texts) >= _TELLING * votes["ar"]:
        return OFFICIAL
    return script


def in_words(language: str) -> str:
    """The rules of a language in words, such as 'MLQA's rules for Chinese (each character counts as a word)'."""
    name = LANGUAGES[language]
    if language == OFFICIAL:
        return "the official rules of SQuAD for English (articles ignored: a, an, the)"
    origin = f"MLQA's rules for {name}" if language in _MLQA else f"MLQA's rules, extended to {name}"
    articles = [f"{article}'" for article in _ELIDED.get(language, "").split()]
    articles += [_ARABIC_ARTICLE] if language == "ar" else _ARTICLES.get(language, "").split()
    rules = ["each character counts as a word"] if language in _CHARACTERS else []
    rules += [f"articles ignored: {', '.join(articles)}"] if articles else []
    return f"{origin} ({'; '.join(rules)})" if rules else origin


def _any_of(words: str) -> str:
    """A pattern that matches any of these words, which are separated by spaces."""
    return f"(?:{'|'.join(words.split()) or _NEVER})"


@cache
def _is_punctuation(character: str) -> bool:
    """Whether it is punctuation in any script, or an ASCII symbol that SQuAD's rules remove."""
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def _script(text: str) -> str:
    """The key of _SCRIPTS for most of the letters; OFFICIAL for other scripts, '' without letters."""
    letters = len(_LETTER.findall(text))
    if text.isascii() or not letters:
        return OFFICIAL if letters else ""
    return next((key for key, of in _SCRIPTS.items() if 2 * len(of.findall(text)) > letters), OFFICIAL)


def _have(letters: re.Pattern[str], texts: list[str]) -> int:
    """How many of the texts have at least one of these letters."""
    return sum(letters.search(text) is not None for text in texts)
