"""What every file that is read must keep to, and YAML by the safe loader."""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from qa_tradeoffs.errors import StudyError
from qa_tradeoffs.paths import read_bytes


class Strict(BaseModel):
    """Frozen, and unknown keys are an error: a misspelt key must not silently mean the default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Section(Strict, strict=True):
    """A part of a file that people write: `yes` is no number, and `"8"` neither."""


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, by the safe loader. Raises StudyError."""
    content = read_bytes(path)
    try:
        return yaml.load(content, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise StudyError(f"{path}: is not valid YAML ({line}{one_line(error.problem)})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise StudyError(f"{path}: is not valid YAML ({one_line(error)})") from None


def one_line(error: object, limit: int = 200) -> str:
    """Any error's text as one line of at most ``limit`` characters."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses a key given twice, of which YAML would keep the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' is there twice", key.start_mark
                )
            seen.add((key.tag, str(key.value)))
        return super().construct_mapping(node, deep)


# PyYAML takes 2e-5 for a text, because YAML 1.1 wanted a point in it.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
