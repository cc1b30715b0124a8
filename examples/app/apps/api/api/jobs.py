"""The routes of jobs and of the scheduler's ticks."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException, Query, Request, Response
from kombu.exceptions import OperationalError as BrokerError
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from common import store

from api.services import Services

MAX_TEXT = 100_000
MAX_LIST = 500

log = logging.getLogger("api.jobs")
router = APIRouter()
State = Literal["queued", "running", "done", "failed"]


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode") from None
    if not text.strip():
        raise ValueError("must not be blank")
    return text


class NewJob(BaseModel):
    """A text to review, at most 100,000 characters."""

    model_config = ConfigDict(extra="forbid")
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT), AfterValidator(_storable)]


class Created(BaseModel):
    """The answer to a new job."""

    id: UUID
    state: State
    created_at: datetime


class Summary(Created):
    """One line of the list."""

    score: int | None
    excerpt: str
    finished_at: datetime | None


class Job(Created):
    """Everything about one job."""

    text: str
    score: int | None
    statistics: dict[str, int] | None
    findings: list[dict[str, Any]] | None
    error: str | None
    attempts: int
    worker: str | None
    started_at: datetime | None
    finished_at: datetime | None


class Jobs(BaseModel):
    """The newest jobs first."""

    jobs: list[Summary]


class Heartbeat(BaseModel):
    """One tick of the scheduler; `times` above 1 means that two schedulers ran."""

    tick: int
    times: int
    schedulers: list[str]
    published_at: datetime


class Heartbeats(BaseModel):
    """The newest ticks first."""

    heartbeats: list[Heartbeat]


@router.post("/jobs", status_code=201)
def create(new: NewJob, request: Request, response: Response) -> Created:
    """Store a job, then queue it. While the queue is away the job waits in the database for housekeeping to send it."""
    services: Services = request.state.services
    with services.pool.connection() as connection:
        row = store.create_job(connection, uuid4(), new.text)
    try:
        services.send_review(row["id"])
    except BrokerError as error:
        log.warning("job %s waits for the queue: %s", row["id"], error)
        with services.pool.connection() as connection:
            store.mark_unsent(connection, row["id"])
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/jobs/{row['id']}"
    return Created(**row)


@router.get("/jobs")
def latest(request: Request, limit: Annotated[int, Query(ge=1, le=MAX_LIST)] = 20) -> Jobs:
    """The newest jobs."""
    services: Services = request.state.services
    with services.pool.connection() as connection:
        rows = store.latest_jobs(connection, limit)
    return Jobs(jobs=[Summary(**row) for row in rows])


@router.get("/jobs/{job_id}", response_model=Job)
def read(job_id: UUID, request: Request) -> Response:
    """One job. Reviewed jobs never change, so they come from the cache after the first time."""
    services: Services = request.state.services
    body = services.cached(job_id)
    if body is None:
        with services.pool.connection() as connection:
            row = store.get_job(connection, job_id)
        if row is None:
            raise HTTPException(404, "no such job")
        job = Job.model_validate(row)
        body = job.model_dump_json().encode()
        if job.state == "done":
            services.keep(job_id, body)
    return Response(body, media_type="application/json")


@router.get("/heartbeats")
def heartbeats(request: Request, limit: Annotated[int, Query(ge=1, le=MAX_LIST)] = 20) -> Heartbeats:
    """The newest ticks of the scheduler."""
    services: Services = request.state.services
    with services.pool.connection() as connection:
        rows = store.latest_heartbeats(connection, limit)
    return Heartbeats(heartbeats=[Heartbeat(**row) for row in rows])
