"""Measures evload against its peers on this machine, each benchmark one command, all on loopback."""
