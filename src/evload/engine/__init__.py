"""Runs one plan: paces the load, drives the probes, and sees to it that every event is settled."""
