"""Jupyter's libraries for notebooks, loaded without a grammar that takes most of their start and checks nothing here.

jsonschema builds that grammar, of internet addresses, for values that a schema calls addresses, where it finds the
module ``rfc3987_syntax``; a notebook's schema calls none so. It is hidden from jsonschema only while that is loaded.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

import papermill  # noqa: E402
from nbclient.exceptions import DeadKernelError  # noqa: E402

if sys.modules["rfc3987_syntax"] is None:
    del sys.modules["rfc3987_syntax"]

__all__ = ["DeadKernelError", "papermill"]
