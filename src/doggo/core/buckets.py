"""The names of an installation's buckets, as its settings have them."""

BUCKETS = ("raw", "processed", "new_raw", "new_processed", "bundle")
