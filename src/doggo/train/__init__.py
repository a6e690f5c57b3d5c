"""From a dataset manifest to a candidate: bootstrap, probe training, experiments."""
