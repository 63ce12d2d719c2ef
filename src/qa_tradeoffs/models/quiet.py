"""transformers without its progress bars and reports: in notebooks they are floods."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import logging


@contextmanager
def quiet() -> Iterator[None]:
    """Within the block transformers draws no bars and reports errors only; afterwards it is as it was.

    Its reports on weights that are missing are among what is silenced: ``checkpoints.load`` checks that itself.
    """
    verbosity = logging.get_verbosity()
    hook = logging.set_tqdm_hook(lambda bar, positional, named: bar(*positional, **named | {"disable": True}))
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        logging.set_tqdm_hook(hook)
