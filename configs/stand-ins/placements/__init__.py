"""A stand-in for placements: API → EventBridge → SQS → workers → database, small and on one machine.

    python configs/stand-ins/placements -- evload run configs/placements.yaml --profile short

starts it on a free port of this machine, runs the command against it, and ends with it. `knobs.py` says what can be
changed about it while it runs, `record.py` what it remembers of itself, whatever others measure.
"""
