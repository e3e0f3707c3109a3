"""Checks that hold an adapter against what the engine relies on, also with a peer that is at fault."""
