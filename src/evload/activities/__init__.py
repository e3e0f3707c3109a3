"""Things that are done to a system, or around it."""
