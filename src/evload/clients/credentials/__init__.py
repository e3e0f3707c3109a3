"""Secrets that change while a run goes on: files that are read again, tokens that are fetched and renewed."""
