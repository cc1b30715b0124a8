"""What the API talks to: PostgreSQL through a pool, Redis as cache, Redis as Celery's broker."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

import redis
from psycopg import AsyncConnection, Error
from psycopg_pool import ConnectionPool

from common import database, queue
from common import settings as configuration

log = logging.getLogger("api.services")

POOL_CONNECTIONS = 10
ANSWER_SECONDS = 2.0
"""How long a database or a cache may take before the API answers without it."""
RECONNECT_SECONDS = ANSWER_SECONDS
"""How long the pool tries for one connection. It doubles its pauses from one second on: with more time, a pause would
outlast `ANSWER_SECONDS`, and a request be refused although the database is back."""
CACHE_SECONDS = 300
_PUBLISH_POLICY = {"max_retries": 1, "interval_start": 0.1, "interval_max": 0.1}


class Services:
    """Connections of one process. Nothing is opened before `open`."""

    def __init__(self, settings: configuration.Settings) -> None:
        """Read the credentials. Raises `SettingsError`."""
        timeouts = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
        self.celery = queue.celery_app(settings)
        self.celery.conf.broker_transport_options.update(timeouts)
        self.celery.conf.broker_connection_timeout = ANSWER_SECONDS
        self.pool: ConnectionPool[database.Connection] = ConnectionPool(
            configuration.database_url(settings),
            min_size=1,
            max_size=POOL_CONNECTIONS,
            timeout=ANSWER_SECONDS,
            check=self._check,
            reconnect_timeout=RECONNECT_SECONDS,
            connection_class=database.Connection,
            kwargs=database.arguments(settings, "api"),
            open=False,
        )
        self.cache = redis.Redis.from_url(configuration.redis_url("REDIS_URL"), **timeouts)

    def _check(self, connection: database.Connection) -> None:
        """Try a connection before its use. After a restart of the database all are dead: the first one tells.

        The pool by itself would try them one by one, with pauses in which a request is refused.
        """
        try:
            ConnectionPool.check_connection(connection)
        except Error:
            self.pool.drain()
            raise

    def open(self) -> None:
        """Start connecting in the background."""
        self.pool.open(wait=False)

    def close(self) -> None:
        """Give every connection back."""
        self.pool.close()
        self.cache.close()
        self.celery.close()

    async def database_answers(self) -> bool:
        """Whether the database is reachable and has the tables. A connection of its own can be given up in time."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS), await AsyncConnection.connect(self.pool.conninfo) as connection:
                await connection.execute("SELECT 1 FROM jobs LIMIT 1")
        except (Error, TimeoutError) as error:
            log.warning("database check failed: %s", error or "no answer")
            return False
        return True

    async def cache_answers(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(await asyncio.to_thread(self.cache.ping))
        except redis.RedisError as error:
            log.warning("cache check failed: %s", error)
            return False

    def send_review(self, job_id: UUID) -> None:
        """Queue the review of a stored job. Raises kombu's `OperationalError` when the broker is away."""
        self.celery.send_task(
            queue.REVIEW,
            args=[str(job_id)],
            task_id=str(job_id),
            # The result is read from PostgreSQL; Celery would subscribe to its result backend at every send.
            ignore_result=True,
            retry=True,
            retry_policy=_PUBLISH_POLICY,
        )

    def cached(self, job_id: UUID) -> bytes | None:
        """The finished job as JSON, or `None`; a cache that is away is only slower."""
        try:
            value = self.cache.get(f"job:{job_id}")
        except redis.RedisError:
            return None
        return value.encode() if isinstance(value, str) else value

    def keep(self, job_id: UUID, body: bytes) -> None:
        """Cache a finished job, which never changes again."""
        try:
            self.cache.set(f"job:{job_id}", body, ex=CACHE_SECONDS)
        except redis.RedisError as error:
            log.warning("job %s is not cached: %s", job_id, error)
