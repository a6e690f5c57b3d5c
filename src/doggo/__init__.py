"""doggo: from labelled dog photos to a trusted answer. Importing it does nothing else."""

__version__ = "0.1.0"
