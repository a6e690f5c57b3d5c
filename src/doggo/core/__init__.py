"""Pure data and rules: no I/O, no torch, no web."""
