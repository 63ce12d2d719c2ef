"""Valid content with a single change, the starting point of tests of invalid input."""

import copy
from collections.abc import Sequence
from typing import Any

REMOVED = object()


def replaced(content: Any, path: Sequence[Any], value: Any) -> Any:
    """A copy of the content with another value at a path of keys, or without that key."""
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
