"""Where things are kept: buckets, shards, bundles and the database."""
