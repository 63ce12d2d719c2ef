"""Models' labels as charts write them: in fonts that have their characters, or else the model's slug."""

from collections.abc import Mapping
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.ft2font import FaceFlags

OWN = "sans-serif"  # what charts are written in
_LONGEST = 40  # characters that have room beside a point or in a legend


def of(labels: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The font families that models' ``labels``, by slug, need, and what charts write for each label."""
    families: dict[str, None] = {OWN: None}
    names = {}
    for i, (slug, label) in enumerate(labels.items(), 1):
        missing = _missing(label)
        family = _family(missing) if missing else OWN
        # matplotlib's legends leave out labels that begin with '_'.
        fits = label.isprintable() and label.strip() and len(label) <= _LONGEST and not label.startswith("_")
        if family is not None and fits:
            families[family] = None
            names[label] = label
        else:
            names[label] = f"{slug} (model {i})" if slug in labels.values() else slug
    return list(families), names


def _missing(label: str) -> frozenset[str]:
    """The characters of a label that the charts' own font lacks."""
    has = _characters(findfont(FontProperties(family=[OWN])))
    return frozenset(character for character in label if ord(character) not in has and not character.isspace())


@cache
def _family(characters: frozenset[str]) -> str | None:
    """The first installed family, by name, that has all these characters."""
    wanted = set(map(ord, characters))
    upright_first = sorted(
        fontManager.ttflist, key=lambda font: (font.name, font.style != "normal", font.weight != 400)
    )
    for entry in upright_first:
        # Fonts of last resort have a box for every character.
        if not entry.name.startswith("Last Resort") and wanted <= _characters(entry.fname):
            return entry.name
    return None


@cache
def _characters(path: str) -> frozenset[int]:
    """The code points for which a font file has outlines; none if it has only bitmaps or cannot be read."""
    try:
        font = get_font(path)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.face_flags & FaceFlags.SCALABLE else frozenset()
