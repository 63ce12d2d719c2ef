"""``python -m qa_tradeoffs.answer``: ask a fine-tuned checkpoint (engines/asking.py)."""

from qa_tradeoffs.core.errors import exit_cleanly
from qa_tradeoffs.engines.asking import main

if __name__ == "__main__":
    exit_cleanly(main)
