"""The one value that the loss and the sequences on disk share. It has a module of its own because the loss needs no Arrow."""

IGNORE = -100
"""The label of a token that has none (torch's and transformers' own value)."""
