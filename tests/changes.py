"""Valid content with one thing else: what a test of a border starts from."""

import copy
from collections.abc import Sequence
from typing import Any

REMOVED = object()


def replaced(content: Any, path: Sequence[Any], value: Any) -> Any:
    """A copy of the content with another value at a path of keys, or nothing there."""
    content = copy.deepcopy(content)
    *parents, last = path
    place = content
    for key in parents:
        place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
    if value is REMOVED:
        del place[last]
    else:
        place[last] = value
    return content
