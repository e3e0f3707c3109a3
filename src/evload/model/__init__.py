"""What travels through evload, and what a run amounts to: plain data without a clock and without I/O."""
