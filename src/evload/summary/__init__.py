"""The fold: settled events into counts, histograms and threshold counts."""
