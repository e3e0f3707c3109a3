"""A stand-in for lease and payment orchestration: leases, payments, and the ledger of their events, on one machine.

    python configs/stand-ins/leases -- evload run configs/leases.yaml --profile short

starts it on free ports, runs the command against it, and ends with it. `knobs.py` says what can be changed about it,
`ledgers.py` what it remembers of itself.
"""
