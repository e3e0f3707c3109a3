"""What became of it: the tracker of outstanding events, the fold, the ledger file and its way back."""
