"""The ledger file: a row for each event, and what is worked out from it."""
