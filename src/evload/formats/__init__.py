"""How a finished report is written down."""
