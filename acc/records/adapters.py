"""What a checkpoint of adapters says of the model under them."""

BASE = "base"
"""Folder, within the checkpoint, of the model's config.json with its RoPE scaling. Beside the adapters themselves, transformers
would take it for a whole model."""
