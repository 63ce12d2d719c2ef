"""The pages that people read (README, CONTRIBUTING and docs/) and the commands, YAML and links in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@dataclass(frozen=True)
class Example:
    """A command or a block of YAML, and its page, with which its name in the tests begins."""

    page: Path
    content: Any

    def __str__(self) -> str:
        return f"{self.page.stem}: {str(self.content)[:60]}"


def blocks(page: Path, kind: str) -> list[str]:
    """The fenced blocks of this language."""
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def code(page: Path) -> list[str]:
    """The texts between single backticks in the prose."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`]+)`", prose)


def commands(begin: str) -> list[Example]:
    """The command lines in shell blocks and prose that begin with ``begin``, each once per page."""
    found = []
    for page in PAGES:
        lines = [shlex.join(shlex.split(line, comments=True)) for b in blocks(page, "sh") for line in b.splitlines()]
        lines += [text for text in code(page) if "…" not in text]
        found += [Example(page, line) for line in dict.fromkeys(lines) if re.match(rf"(\S+/)?{begin} ", line)]
    return found


def yaml_blocks() -> list[Example]:
    """The blocks of YAML, parsed."""
    return [Example(page, yaml.safe_load(block)) for page in PAGES for block in blocks(page, "yaml")]


def links(page: Path) -> list[tuple[bool, str, str]]:
    """Whether it is a picture, the text, and the address of every link."""
    return [(bool(mark), text, to) for mark, text, to in re.findall(r"(!?)\[([^]]*)\]\(([^)]+)\)", page.read_text())]


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as forges and the site make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
