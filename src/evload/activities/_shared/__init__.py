"""What several activities share."""
