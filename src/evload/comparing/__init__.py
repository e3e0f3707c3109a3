"""Runs against runs: figures, regressions, the history of a baseline."""
