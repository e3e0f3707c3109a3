"""One run, from a config to its exit code."""
