"""The history of runs, and a mirror of the registry for people to look at."""
