"""What stand-ins of systems have in common: a command that starts one, knobs, a record, a clock, HTTP on loopback."""
