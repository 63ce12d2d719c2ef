"""Jupyter's libraries for notebooks, loaded without a grammar that takes most of their start and checks nothing here.

jsonschema builds that grammar, of internet addresses, for values that a schema calls addresses, where it finds the
module ``rfc3987_syntax``; a notebook's schema calls none so. It is hidden from jsonschema only while that is loaded.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Within the block, importing this module fails, unless it is loaded already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


with _hidden("rfc3987_syntax"):
    import nbclient.exceptions
    import nbformat
    import papermill

__all__ = ["nbclient", "nbformat", "papermill"]
