"""What the verbs beside `run` do."""
