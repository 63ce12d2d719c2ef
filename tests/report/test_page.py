"""The page's style can be read: contrasts by WCAG 2.2 (relative luminance), in light, dark and print."""

import re

import pytest

from qa_tradeoffs.core.files import ROOT

CSS = (ROOT / "src" / "qa_tradeoffs" / "report" / "templates" / "page.css").read_text()
LIGHT, DARK, PRINT = (
    dict(re.findall(r"--(\w+): (#\w+);", block)) for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
)


def luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
@pytest.mark.parametrize("ground", ["paper", "tint", "notice"])
@pytest.mark.parametrize("text", ["ink", "soft", "accent"])
def test_every_text_can_be_read_on_every_ground(scheme, ground, text):
    assert contrast(scheme[text], scheme[ground]) >= 4.5


@pytest.mark.parametrize("scheme", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
def test_marked_texts_can_be_read_and_their_marks_be_seen(scheme):
    assert contrast(scheme["ink"], scheme["reference"]) >= 4.5
    for line in ("right", "wrong"):  # 3 is what the standard asks of graphics
        assert contrast(scheme[line], scheme["paper"]) >= 3


def test_texts_have_no_other_colours():
    rules = re.sub(r":root \{.*?\}", "", CSS, flags=re.DOTALL)
    named = {"var(--ink)", "var(--soft)", "var(--accent)", "inherit"}
    assert set(re.findall(r"[{;]\s*color: ([^;]+);", rules)) <= named
    assert DARK.keys() == LIGHT.keys() == PRINT.keys()


def test_the_style_refers_to_nothing_outside():
    assert not re.search(r"url\(|@import|@font-face", CSS)
