"""What is asked of a run: objectives, how they are written, and by what else it is judged."""
