"""Models' labels as charts write them: in fonts that have their characters, or else the model's slug."""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.ft2font import FaceFlags

OWN = "sans-serif"  # what charts are written in
_LONGEST = 40  # characters that have room beside a point or in a legend


class Lettering(NamedTuple):
    """``families`` of fonts, the charts' own first; ``names``: label → what charts write for it."""

    families: list[str]
    names: dict[str, str]

    @property
    def replaced(self) -> dict[str, str]:
        """The labels that charts do not write, and what they write instead."""
        return {label: name for label, name in self.names.items() if name.replace(r"\$", "$") != label}


def of(labels: Mapping[str, str]) -> Lettering:
    """How charts write the ``labels`` of models, given by slug; no two names are equal."""
    families: list[str] = [OWN]
    names: dict[str, str] = {}
    for slug, label in labels.items():
        missing = _missing(label)
        family = _family(missing) if missing else OWN
        if family is None or not _fits(label):
            taken = {*labels.values(), *names.values()} - {label}
            names[label] = slug if slug not in taken else f"{slug} (model {len(names) + 1})"
            continue
        families += [family] if family not in families else []
        names[label] = label.replace("$", r"\$")  # between two of them matplotlib would read a formula
    return Lettering(families, names)


def _fits(label: str) -> bool:
    """Whether a label can stand in a chart, whatever its characters: matplotlib leaves out what begins with '_'."""
    return label.isprintable() and bool(label.strip()) and len(label) <= _LONGEST and not label.startswith("_")


def _missing(label: str) -> frozenset[str]:
    """The characters of a label that the charts' own font has not."""
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
        # Those of last resort have a box for every character; pictures of characters cannot be drawn as outlines.
        if not entry.name.startswith("Last Resort") and wanted <= _characters(entry.fname):
            return entry.name
    return None


@cache
def _characters(path: str) -> frozenset[int]:
    """The code points that a font file has outlines for; none where it cannot be read."""
    try:
        font = get_font(path)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.face_flags & FaceFlags.SCALABLE else frozenset()
