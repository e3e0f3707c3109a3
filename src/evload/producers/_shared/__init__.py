"""What several producers share."""
