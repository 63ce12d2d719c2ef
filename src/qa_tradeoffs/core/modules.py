"""A wing whose modules are loaded when they are first named: ``from qa_tradeoffs import report``, ``report.charts``."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def loader(wing: str) -> Callable[[str], ModuleType]:
    """The ``__getattr__`` of a wing; ``wing`` is its name, such as ``qa_tradeoffs.report``."""

    def load(name: str) -> ModuleType:
        if name.startswith("__") or find_spec(f"{wing}.{name}") is None:
            raise AttributeError(f"there is no module {wing}.{name}")
        return import_module(f"{wing}.{name}")

    return load
