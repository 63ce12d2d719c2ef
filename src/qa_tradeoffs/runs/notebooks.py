"""Jupyter's notebook libraries, loaded without a grammar that dominates their start-up and is not needed here.

If jsonschema finds the module ``rfc3987_syntax``, it builds a grammar of internet addresses for address values, which a
notebook's schema does not have. The module is hidden only while jsonschema is loaded.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

import papermill  # noqa: E402
from nbclient.exceptions import DeadKernelError  # noqa: E402

if sys.modules["rfc3987_syntax"] is None:
    del sys.modules["rfc3987_syntax"]

__all__ = ["DeadKernelError", "papermill"]
