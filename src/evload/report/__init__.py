"""The whole report of a run: judged, worked out, and put into sentences."""
