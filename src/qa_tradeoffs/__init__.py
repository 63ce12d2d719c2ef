"""What a smaller question-answering model costs in accuracy and saves in time, memory and money.

One module per stage; importing the package itself loads none of them, so that commands start fast.
"""

import sys
import warnings

__version__ = "0.1.0"

# tqdm, which the libraries use, complains in every notebook that it cannot draw its widgets; none are wanted.
warnings.filterwarnings("ignore", message="IProgress not found")

# Most of the time that nbformat takes to load goes into a grammar of addresses, which jsonschema builds where it finds
# one, for values that a schema calls addresses; a notebook's schema calls none so. Whoever asks is told: not there.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
