"""What a smaller question-answering model costs in accuracy and saves in time, memory and money.

One wing per concern; importing the package loads none of them, so that commands start fast.
"""

import warnings

__version__ = "0.2.0"

# tqdm warns in every notebook that it cannot draw its widgets; none are wanted.
warnings.filterwarnings("ignore", message="IProgress not found")
