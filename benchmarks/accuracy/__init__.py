"""How near evload and a naive client come to planted truth."""
