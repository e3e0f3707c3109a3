"""The one way to whoever sits at the terminal, or reads what is printed at the other end of a pipe."""
