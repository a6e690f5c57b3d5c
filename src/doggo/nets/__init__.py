"""Torch networks, shared by train and export: backbones, the two-headed network, candidates."""
