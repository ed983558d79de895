"""Models: tensors and their cards. Knows ``stream`` and third parties; no feed, no table, no queue."""
