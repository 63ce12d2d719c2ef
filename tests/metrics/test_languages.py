"""MLQA's published rules on cases worked out by hand, and detection of the language from the script."""

import re
import string
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_tradeoffs.core.languages import LANGUAGES
from qa_tradeoffs.metrics import languages, squad


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        # Each character of Chinese is a word, Latin words and numbers stay whole, punctuation of any script goes.
        ("zh", "三百户人家。", "三 百 户 人 家"),
        ("zh", "《红楼梦》（1791年）", "红 楼 梦 1791 年"),
        ("zh", "在GPU 上run，快3.5倍！", "在 gpu 上 run 快 35 倍"),
        # Articles only as whole words, after case and punctuation.
        ("de", "Der Bär, die Bären!", "bär bären"),
        ("de", "dem Kaiser-Wilhelm-Ufer", "kaiserwilhelmufer"),
        ("de", "Dermatologie eines Arztes", "dermatologie arztes"),
        ("es", "¿La Alhambra? ¡Sí, unos días!", "alhambra sí días"),
        ("es", "un lápiz «las Meninas»", "lápiz meninas"),
        # MLQA removes the Arabic article anywhere, even inside a word.
        ("ar", "الكتاب", "كتاب"),
        ("ar", "في المدينة، الكبيرة؟", "في مدينة كبيرة"),
        ("ar", "بالكتاب", "ب كتاب"),
        ("vi", "những con mèo của tôi", "con mèo tôi"),
        ("hi", "दिल्ली में।", "दिल्ली में"),
        # Extended: articles of the language, including elided ones; none for languages without articles.
        ("fr", "l'eau et L’air de la Seine", "eau et air de seine"),
        ("it", "l'acqua, un'ora, lo zaino", "acqua ora zaino"),
        ("hu", "Az alma és egy körte a fa", "alma és körte fa"),
        ("nl", "de kat van het huis", "kat van huis"),
        ("ru", "в «Москве»", "в москве"),
        # Scripts without blanks between words.
        ("ja", "東京タワー（333m）です", "東 京 タ ワ ー 333m で す"),
        ("th", "กรุงเทพ 10", "ก ร ุ ง เ ท พ 10"),
    ],
)
def test_texts_are_split_into_words_by_the_rules_of_their_language(language, text, words):
    assert languages.normalizer(language)(text) == words


def score(language: str, prediction: str, reference: str) -> tuple[float, float]:
    return squad.score(prediction, [reference], rules=languages.normalizer(language))


def test_a_character_too_many_costs_chinese_a_part_of_f1_not_all():
    # 3 of 4 predicted characters, 3 of 3 of the reference: 2 · (3/4 · 1) / (3/4 + 1) = 6/7
    assert score("zh", "三百户人", "三百户") == (0.0, pytest.approx(6 / 7))
    assert score("zh", "李木匠。", "李木匠") == (1.0, 1.0)
    assert score("en", "三百户人", "三百户") == (0.0, 0.0)


def test_articles_do_not_count():
    assert score("de", "die Mauer", "der Mauer") == (1.0, 1.0)
    assert score("en", "die Mauer", "der Mauer") == (0.0, 0.5)
    # berlin mauer against mauer: precision 1/2, recall 1
    assert score("de", "die Berliner Mauer", "Mauer") == (0.0, pytest.approx(2 / 3))
    assert score("es", "el Prado", "Prado") == (1.0, 1.0)
    assert score("ar", "المدينة", "مدينة") == (1.0, 1.0)


def test_two_texts_of_articles_only_have_em_1_and_f1_0_as_in_the_official_script():
    assert score("de", "die", "die") == (1.0, 0.0)


PUNCTUATION = {c for c in map(chr, range(0x11000)) if unicodedata.category(c).startswith("P")} | set(string.punctuation)
PUBLISHED = {"ar": "ال", "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
             "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
             "vi": r"\b(của|là|cái|chiếc|những)\b"}  # fmt: skip


def published(text: str, language: str) -> list[str]:
    """The rules as the paper's script states them, one character after the other."""
    left = "".join(c for c in text.lower() if c not in PUNCTUATION)
    left = re.sub(PUBLISHED.get(language, "(?!)"), " ", left)
    if language != "zh":
        return left.split()
    words = [""]
    for c in left:
        words += [c, ""] if "\u4e00" <= c <= "\u9fa5" else []
        if not "\u4e00" <= c <= "\u9fa5":
            words[-1] += c
    return " ".join(words).split()


@pytest.mark.parametrize("language", ["ar", "de", "es", "hi", "vi", "zh"])
@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="dDeErR iInNaslLoó،।。「」¿'’-.$+ \u3000\u00a0الكتب中国龥㐀〇は1९là", max_size=16))
def test_the_rules_are_those_of_mlqa_one_after_the_other(language, text):
    assert languages.normalizer(language)(text).split() == published(text, language)


def test_english_keeps_the_official_rules():
    assert languages.normalizer("en") is squad.normalize


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (["三百户", "1982年", "李木匠", "NBA"], "zh"),
        (["東京", "大阪", "さくら", "タワー", "京都"], "ja"),
        (["กรุงเทพ", "1932"], "th"),
        (["الكتاب", "القاهرة"], "ar"),
        (["تهران", "کتاب", "شیراز"], "en"),  # Persian: no Arabic article
        (["Москва", "Волга"], "en"),
        (["Bär", "Mauer"], "en"),  # Latin letters do not tell the language
        (["1982", "3.5 %"], "en"),
        (["Paris", "London", "北京"], "en"),
        ([], "en"),
    ],
)
def test_the_language_is_detected_from_the_script_if_possible(texts, language):
    assert languages.detect(texts) == language


def test_every_language_has_rules_and_words_for_them():
    for language, name in LANGUAGES.items():
        assert languages.normalizer(language)("  ") == ""
        assert name in languages.in_words(language)
