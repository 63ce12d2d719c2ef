"""Silence the progress bars and reports of transformers, which flood notebooks."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import logging


@contextmanager
def quiet() -> Iterator[None]:
    """Within the block transformers draws no bars and reports errors only; its settings are restored afterwards.

    This also silences its reports of missing weights, which ``checkpoints.load`` checks itself.
    """
    verbosity = logging.get_verbosity()
    hook = logging.set_tqdm_hook(lambda bar, positional, named: bar(*positional, **named | {"disable": True}))
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        logging.set_tqdm_hook(hook)
