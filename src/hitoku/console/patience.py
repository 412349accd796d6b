# SPDX-License-Identifier: Apache-2.0
"""A browser's connection that ends where it says nothing.

uvicorn waits without end for the head of a request. Somebody who opens as many connections as the console
takes, and says nothing, would keep everybody else out.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from hitoku import limits

__all__ = ["PatientConnection"]


class PatientConnection(H11Protocol):
    """Each head has ``CONSOLE_HEAD_SECONDS`` in all; bodies are looked after in `bodies`."""

    late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The time for the first head begins."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        super().connection_lost(exc)
        self._no_wait()

    def data_received(self, data: bytes) -> None:
        """Read; the time for a head does not begin anew with each piece of it."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._no_wait()
        elif self.late is None:
            self._wait()

    def on_response_complete(self) -> None:
        """The next head has its own time; it may have come already."""
        super().on_response_complete()
        self._no_wait()
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self._wait()

    def _wait(self) -> None:
        self._no_wait()
        self.late = self.loop.call_later(limits.CONSOLE_HEAD_SECONDS, self.transport.abort)

    def _no_wait(self) -> None:
        if self.late is not None:
            self.late.cancel()
            self.late = None
