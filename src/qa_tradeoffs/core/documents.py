"""Reading YAML by the safe loader and JSON without duplicate keys, and validating both as pydantic types."""

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from qa_tradeoffs.core.errors import StudyError, scrubbed
from qa_tradeoffs.core.files import read_bytes

T = TypeVar("T")


class Strict(BaseModel):
    """Frozen, and unknown keys are an error: a misspelt key must not silently mean the default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Section(Strict, strict=True):
    """A section of a file that people write; nothing is converted: neither `yes` nor `"8"` is a number."""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, content: Any) -> Any:
        """Refuse unknown keys, naming the known ones."""
        keys = [field.alias or name for name, field in cls.model_fields.items()]
        if not isinstance(content, (dict, cls)):
            raise ValueError(f"must be a mapping with the keys {', '.join(keys)}")
        if isinstance(content, dict) and (unknown := [key for key in content if key not in keys]):
            problem = PydanticCustomError("unknown_key", f"unknown key; the keys here are {', '.join(keys)}")
            location = (str(unknown[0]),)
            raise ValidationError.from_exception_data("", [{"type": problem, "loc": location, "input": None}])
        return content


def validated(kind: type[T], content: Any, place: object, context: Any = None) -> T:
    """The content as this type. Raises StudyError naming the place and the first key that is wrong."""
    try:
        return TypeAdapter(kind).validate_python(content, context=context)
    except ValidationError as error:
        raise StudyError(f"{place}: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """The first problem that pydantic names, as 'key: what is wrong; what would be right'."""
    # A misspelt key causes two problems, an unknown key and a missing one: the first says more.
    problem = min(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
    location = [part for part in problem["loc"] if part != "[key]"]
    match location:
        case ["data", str(), *_]:
            del location[1]  # which member of a union it is
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    own_words = problem["msg"].removeprefix("Value error, ").replace("Input should", "must")
    given = None if problem["type"] == "extra_forbidden" else problem["input"]
    quote = f" (it is {quoted(given)})" if isinstance(given, (str, int, float)) else ""
    return (f"{one_line(path)}: " if path else "") + _MESSAGES.get(problem["type"], own_words) + quote


# Replacements for messages in which pydantic names its own types.
_MAPPING, _EMPTY = "must be a mapping of keys", "must not be empty"
_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "unknown key",
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "list_type": "must be a list",
    "tuple_type": "must be a list, as in [0, 1]",
    "too_short": _EMPTY,
    "too_long": "has too many values",
    "string_too_short": _EMPTY,
    "string_type": "must be text, in quotes if it looks like a number",
    "string_unicode": "must be valid Unicode, without unpaired surrogates",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "path_type": "must be the path of a file",
    "union_tag_not_found": "needs `source`, one of generated, hub, files",
    "union_tag_invalid": "`source` must be one of generated, hub, files",
}


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, by the safe loader. Raises StudyError."""
    content = read_bytes(path)
    if len(content) > _MOST_BYTES:
        raise StudyError(f"{path}: has {len(content):,} bytes; a file that people write has at most {_MOST_BYTES:,}")
    try:
        return parse_yaml(content)
    except ValueError as error:
        raise StudyError(f"{path}: is not valid YAML ({error})") from None


def parse_yaml(content: bytes | str) -> Any:
    """The content of a YAML text, by the safe loader. Raises ValueError with a message of one line."""
    try:
        return yaml.load(content, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{one_line(error.problem)}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(one_line(error)) from None


def read_json(path: Path, missing: str = "no such file") -> Any:
    """The content of a JSON file, in UTF-8, -16 or -32. Raises StudyError, also for duplicate keys."""
    return parse_json(read_bytes(path, missing), path)


def parse_json(content: bytes | str, place: object) -> Any:
    """``read_json`` for content that has been read already; messages name ``place``."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            repeated = Counter(key for key, _ in pairs).most_common(1)[0][0]
            raise StudyError(f"{place}: has the key {quoted(repeated)} twice in one object; keys must be unique")
        return content

    try:
        return json.loads(content, object_pairs_hook=once, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{place}: is not JSON ({one_line(error)})") from None


def _finite(text: str) -> float:
    """The number. ValueError for NaN and Infinity, which JSON does not have, and for numbers that overflow a float."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{one_line(text, 20)} is not a finite number")
    return number


def one_line(error: object, limit: int = 200) -> str:
    """Any error's text as one line of at most ``limit`` characters, without secrets."""
    text = re.sub(r"\s+", " ", scrubbed(str(error))).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def quoted(value: object) -> str:
    """A value as quoted in messages."""
    try:
        return one_line(repr(value), 60)
    except ValueError:  # Python does not print integers of thousands of digits
        return "a number of thousands of digits"


_MOST_BYTES = 1_000_000
_MOST_NODES = 100_000
_DEEPEST = 100  # parsing time grows faster than the depth: a thousand levels take seconds


class _Loader(yaml.SafeLoader):
    """Safe loader with more checks.

    It refuses duplicate keys, of which YAML keeps the last, deep nesting, aliases that expand beyond memory, and
    escaped characters that a file must not contain.
    """

    def fetch_flow_collection_start(self, kind: Any) -> None:
        super().fetch_flow_collection_start(kind)
        if self.flow_level > _DEEPEST:
            raise yaml.YAMLError(f"is nested more than {_DEEPEST} levels deep")

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None and _unfolded(node, {}) > _MOST_NODES:
            raise yaml.YAMLError(f"its aliases expand to more than {_MOST_NODES:,} values")
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, ArithmeticError):  # what date, int and the like may raise
            problem = f"{quoted(node.value)} is not a valid {node.tag.rpartition(':')[2]}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        if match := yaml.reader.Reader.NON_PRINTABLE.search(str(value)):
            problem = f"the character {match.group()!a} is not allowed"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in seen:
                problem = f"the key '{key.value}' appears twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add((key.tag, str(key.value)))
        return super().construct_mapping(node, deep)


def _unfolded(node: yaml.Node, known: dict[int, float]) -> float:
    """Number of values in the node with all aliases expanded; infinite if it contains itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        children = [] if isinstance(node, yaml.ScalarNode) else node.value
        parts = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
        known[id(node)] = 1 + sum(_unfolded(part, known) for part in parts)
    return known[id(node)]


# Numbers as people write them: YAML 1.1 reads 2e-5 as text, 010 as eight and 1:20 as eighty.
_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INT, _FLOAT)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_DIGITS = list("-+.0123456789")
_Loader.add_implicit_resolver(_INT, re.compile(r"^[-+]?(0|[1-9][0-9]*)$"), _DIGITS)
_Loader.add_implicit_resolver(_FLOAT, re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"), _DIGITS)
_Loader.add_implicit_resolver(_FLOAT, re.compile(r"^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"), _DIGITS)
