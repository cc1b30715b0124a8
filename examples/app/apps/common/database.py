"""Connections to PostgreSQL that give up in time.

libpq has a limit for connecting only. A server that is frozen still acknowledges packets, so that neither keepalives
nor `tcp_user_timeout` notice it: without a limit of its own a client would wait for the answer for ever.
"""

from __future__ import annotations

from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from common.settings import Settings

SERVER_FIRST_SECONDS = 1.0
"""A server that works ends a long statement itself, and the connection stays usable: it is given this much longer."""
_NETWORK = {"tcp_user_timeout": 5000, "keepalives_idle": 10}
"""libpq's limits (ms, s) after which a connection to a host that went away silently is given up."""


class Connection(psycopg.Connection[Any]):
    """A connection on which no statement takes longer than its limit, whatever the server does."""

    limit_seconds: float | None = None

    @classmethod
    def connect(cls, conninfo: str = "", *, statement_seconds: float, **arguments: Any) -> Self:
        """Connect. Raises `psycopg.OperationalError` when there is no answer in time."""
        given = conninfo_to_dict(conninfo).get("options") or ""
        options = f"{given} -c statement_timeout={round(statement_seconds * 1000)}".strip()
        connection = super().connect(conninfo, options=options, **_NETWORK, **arguments)
        connection.limit_seconds = statement_seconds + SERVER_FIRST_SECONDS
        return connection

    def wait(self, gen: Any, *arguments: Any, timeout: float | None = None, **more: Any) -> Any:
        """Wait for the server. Raises `psycopg.OperationalError`, and closes, when it does not answer in time."""
        try:
            return super().wait(gen, *arguments, timeout=self.limit_seconds if timeout is None else timeout, **more)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # The answer may still come, to nobody's question.
                self.pgconn.finish()
            raise


def arguments(settings: Settings, name: str) -> dict[str, Any]:
    """Arguments of `Connection.connect`; `name` is shown in `pg_stat_activity`."""
    return {
        "connect_timeout": settings.database_connect_seconds,
        "statement_seconds": settings.database_statement_seconds,
        "application_name": name,
    }
