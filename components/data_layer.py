"""The data engines of a system: where to write, where to read, where to scrape.

High availability, pooling and failover come from the engines of the platform; this component only asks for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pulumi import ComponentResource, ResourceOptions

from platforms.protocols import Scope
from platforms.specs import Database, PostgresSpec, RedisSpec, Started


@dataclass(frozen=True, kw_only=True)
class DataLayerArgs:
    """Arguments of `DataLayer`; an engine that is None is not there."""

    postgres: PostgresSpec | None = None
    """PostgreSQL, with one database and its owner."""
    redis: RedisSpec | None = None
    """Redis, as cache and broker."""


class DataLayer(ComponentResource):
    """The data engines of a system."""

    def __init__(self, name: str, args: DataLayerArgs, scope: Scope, opts: ResourceOptions | None = None) -> None:
        super().__init__("ai-platform:components:DataLayer", name, None, opts)
        engines: list[Database] = []
        self._postgres = self._redis = None
        if args.postgres is not None:
            self._postgres = scope.data.postgres(f"{name}-postgres", args.postgres, parent=self)
            engines.append(self._postgres)
        if args.redis is not None:
            # Engines start one after the other, the database first (ARE-048).
            redis = replace(args.redis, after=[*args.redis.after, *engines])
            self._redis = scope.data.redis(f"{name}-redis", redis, parent=self)
            engines.append(self._redis)
        self.started: Started = Started(ready=[ready for one in engines for ready in one.ready])
        self.register_outputs({engine: one.primary.url for engine, one in self._named().items()})

    @property
    def postgres(self) -> Database:
        """PostgreSQL's endpoints. Raises LookupError when the layer was made without."""
        return self._required("postgres")

    @property
    def redis(self) -> Database:
        """Redis' endpoints. Raises LookupError when the layer was made without."""
        return self._required("redis")

    def _named(self) -> dict[str, Database]:
        named = {"postgres": self._postgres, "redis": self._redis}
        return {engine: one for engine, one in named.items() if one is not None}

    def _required(self, engine: str) -> Database:
        try:
            return self._named()[engine]
        except KeyError:
            raise LookupError(f"this data layer has no {engine}: ask for it in DataLayerArgs") from None
