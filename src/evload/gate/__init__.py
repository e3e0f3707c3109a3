"""What it is worth: objectives, self-checks, the verdict."""
