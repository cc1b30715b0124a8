"""Stops uvicorn without losing a request: `UVICORN_LOOP=common.drain:Loop` and `UVICORN_HTTP=common.drain:Protocol`.

Docker's DNS names a container until its process has ended, so a proxy keeps opening connections to one that stops. A
connection that is refused goes to another replica, whatever the request. One that was accepted must be answered: by
itself uvicorn resets those that still wait in the listening socket's queue, and closes those whose request has not been
read yet; a POST is lost then, for nobody may repeat it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

LINGER_SECONDS = 1.0
"""How long a connection without a request is kept for one that is on its way."""


class Protocol(H11Protocol):
    """Closes a connection that has nothing to do only after a moment."""

    def shutdown(self) -> None:
        """Called when the server stops. `Server.shutdown` waits for every connection to end."""
        self.loop.call_later(LINGER_SECONDS, self._close)

    def _close(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()


class Listener:
    """An asyncio server that accepts what is queued before it refuses what comes."""

    def __init__(self, server: asyncio.Server, protocol_factory: Callable[[], asyncio.BaseProtocol]) -> None:
        self._server = server
        self._protocol_factory = protocol_factory
        self._accepted: set[asyncio.Task[Any]] = set()

    @property
    def sockets(self) -> tuple[Any, ...]:
        """The listening sockets; none after `close`."""
        return self._server.sockets

    def close(self) -> None:
        """Stop listening."""
        loop = self._server.get_loop()
        for listening in self._server.sockets:
            loop.remove_reader(listening.fileno())
            with socket.socket(fileno=os.dup(listening.fileno())) as queue:
                queue.setblocking(False)
                self._accept(queue, loop)
        self._server.close()

    async def wait_closed(self) -> None:
        """Return when the connections have ended, too."""
        await self._server.wait_closed()

    def _accept(self, queue: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                connection, _ = queue.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            task = loop.create_task(loop.connect_accepted_socket(self._protocol_factory, connection))
            self._accepted.add(task)
            task.add_done_callback(self._accepted.discard)


class Loop(asyncio.SelectorEventLoop):
    """The event loop, whose servers drain."""

    async def create_server(
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], *args: Any, **options: Any
    ) -> Any:
        """As asyncio's."""
        return Listener(await super().create_server(protocol_factory, *args, **options), protocol_factory)
