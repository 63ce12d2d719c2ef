"""What a smaller question-answering model costs in accuracy and saves in time, memory and money.

One module per stage; importing the package itself loads none of them, so that commands start fast.
"""

__version__ = "0.1.0"
