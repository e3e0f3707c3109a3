"""Searches by many runs: the highest rate that a system sustains."""
