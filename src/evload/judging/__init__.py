"""Does it hold: objectives against a summary, self-checks, the verdict."""
