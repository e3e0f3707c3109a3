"""What several gauges share."""
