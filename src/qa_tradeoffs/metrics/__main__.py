"""``python -m qa_tradeoffs.metrics``: score a file of predictions (squad.py)."""

from qa_tradeoffs.core.errors import exit_cleanly
from qa_tradeoffs.metrics.squad import main

if __name__ == "__main__":
    exit_cleanly(main)
