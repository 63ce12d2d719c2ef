"""Tables and verdicts from result files; needs neither matplotlib nor torch."""

from typing import TYPE_CHECKING

from qa_tradeoffs.core.modules import loader

if not TYPE_CHECKING:  # to a type checker, only what is imported is there
    __getattr__ = loader(__name__)
