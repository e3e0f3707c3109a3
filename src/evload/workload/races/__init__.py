"""Races: requests that are sent at one instant, again and again, and what has to hold whoever wins."""
