"""Self-checks: what a measurement has to pass before its verdict may be believed."""
