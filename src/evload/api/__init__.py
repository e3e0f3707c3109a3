"""evload from Python and from pytest. Nothing is loaded before it is asked for."""
