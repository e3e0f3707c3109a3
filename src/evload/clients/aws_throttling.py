"""With which codes AWS services say that they are asked too much."""

from __future__ import annotations

from typing import Final

THROTTLED: Final = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
    }
)
