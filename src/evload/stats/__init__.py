"""The arithmetic of a verdict: histograms, brackets, binomial bounds."""
