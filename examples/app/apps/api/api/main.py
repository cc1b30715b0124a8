"""The API: takes texts for review, hands them to the workers through Redis and tells the result.

`GET /health` says that the process answers, `GET /ready` that database and cache do. Both databases may be away at
the start: the process comes up, is not ready, and connects as soon as it can.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common import http_metrics, logs
from common import settings as configuration

from api.jobs import router
from api.services import Services

log = logging.getLogger("api")


class Measure:
    """Counts and times every request under the template of its route (`/jobs/{job_id}`, never the path itself)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        start = time.perf_counter()

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, note_status)
        finally:
            route = getattr(scope.get("route"), "path", None)
            http_metrics.observe(scope["method"], route, status, time.perf_counter() - start)


def create_app() -> FastAPI:
    """The ASGI application. Ends the process with one line when the configuration cannot be used."""
    try:
        settings = configuration.load()
        services = Services(settings)
    except configuration.SettingsError as error:
        configuration.exit_with(error)
        raise
    logs.configure("api", settings.log_level)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Services]]:
        services.open()
        log.info("started, environment %s", settings.environment)
        yield {"services": services}
        services.close()
        log.info("stopped")

    # The interactive documentation loads scripts from a CDN; /openapi.json has everything that it shows.
    app = FastAPI(title="AI Review Engine", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(Measure)
    app.include_router(router)
    app.add_exception_handler(RequestValidationError, _refused)  # type: ignore[arg-type]  # Starlette wants Exception
    app.add_exception_handler(DatabaseError, _unavailable("database"))
    app.add_exception_handler(PoolTimeout, _unavailable("database"))
    _add_probes(app)
    return app


def _add_probes(app: FastAPI) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready")
    async def ready(request: Request) -> JSONResponse:
        services: Services = request.state.services
        database, cache = await asyncio.gather(services.database_answers(), services.cache_answers())
        checks = {"database": database, "cache": cache}
        every = all(checks.values())
        content = {
            "status": "ok" if every else "unavailable",
            "checks": {name: "ok" if answers else "failed" for name, answers in checks.items()},
        }
        return JSONResponse(content, status_code=200 if every else 503)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _refused(_: Request, error: RequestValidationError) -> JSONResponse:
    """Says what is wrong without repeating the input, which may be long, secret or not even encodable."""
    detail = [{key: problem[key] for key in ("type", "loc", "msg")} for problem in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)


def _unavailable(what: str):  # type: ignore[no-untyped-def]  # the handler type of Starlette is a union of callables
    async def handler(request: Request, error: Exception) -> JSONResponse:
        # The driver's message may hold host names and users: it belongs into the log, not into the answer.
        log.error("%s %s: %s unavailable: %s", request.method, request.url.path, what, error)
        return JSONResponse({"detail": f"{what} unavailable"}, status_code=503, headers={"Retry-After": "5"})

    return handler


app = create_app()
