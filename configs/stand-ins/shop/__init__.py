"""A stand-in for a shop of five bounded contexts: HTTP commands, an outbox, Redis streams, projectors, a read model.

    python configs/stand-ins/shop -- evload run configs/shop.yaml --profile short

starts it with a PostgreSQL and a Redis of its own, runs the command against it, and ends all of it. `knobs.py` says
what can be changed about it, `store.py` what it remembers of itself.
"""
