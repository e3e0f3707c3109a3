"""The connections of Redis's SDK, with an end to what they read."""

from __future__ import annotations

from typing import Any

from .bounded import Allowance, Bounded


def bounded(connection_class: type[Any], allowance: Allowance) -> type[Any]:
    """The same class; its connections are cut off where the allowance ends."""

    class BoundedConnection(connection_class):  # type: ignore[misc]
        bounded: Bounded | None = None

        async def _connect(self) -> None:
            self.bounded = None
            await super()._connect()
            self._bound()

        def _bound(self) -> Bounded:
            # Over a socket of the file system the SDK logs in before it has connected.
            if self.bounded is None:
                self.bounded = Bounded(self._writer.transport, allowance)
            return self.bounded

        async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
            try:
                await super().send_packed_command(*args, **kwargs)
            except RuntimeError as error:
                # What uvloop makes of a connection that was lost a moment ago.
                raise ConnectionResetError("connection closed") from error

        async def read_response(self, *args: Any, **kwargs: Any) -> Any:
            with self._bound().reading():
                return await super().read_response(*args, **kwargs)

    return BoundedConnection
