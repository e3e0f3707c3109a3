"""Journeys: steps that depend on one another, done again and again by users or at a rate."""
