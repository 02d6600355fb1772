"""How many positions the head works on at once; here, where the plan reads it too, without torch."""

CHUNK = 1024
"""Most positions whose logits exist at the same time, number."""
