"""A stand-in for video generation: POST a job → it runs for a while → poll its status → download. On one machine.

    python configs/stand-ins/videos --quick -- evload run configs/videos.yaml --profile short

starts it on a free port, runs the command against it, and ends with it. `knobs.py` says what can be changed about it,
`jobs.py` what it remembers of itself.
"""
