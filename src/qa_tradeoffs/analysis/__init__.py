"""Tables and verdicts from result files; needs neither matplotlib nor torch."""

from typing import TYPE_CHECKING

from qa_tradeoffs.core.modules import loader

if not TYPE_CHECKING:  # hidden from type checkers, which would accept any name
    __getattr__ = loader(__name__)
