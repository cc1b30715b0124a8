"""The dashboard: a Streamlit page over the API. `streamlit run dashboard.py`; it never talks to the database."""

from __future__ import annotations

import logging
import os
from typing import Any

import pandas as pd
import requests
import streamlit as st

from common import logs

log = logging.getLogger("dashboard")

API_URL = os.environ.get("API_URL", "http://api:8000").rstrip("/")
API_SECONDS = 5.0
LATEST = 500
REFRESH = "5s"
STATES = ("queued", "running", "done", "failed")
# Up to this age of the oldest job, in minutes, there is one bar per minute; above it one per hour.
# (A comment, for Streamlit would show a bare text on the page.)
MINUTES_WITH_BARS = 180


@st.cache_resource(show_spinner=False)
def start_logs() -> None:
    """Once per process, from the first visit on: Streamlit's own loggers write in the format of the other tiers."""
    logs.configure("dashboard", os.environ.get("LOG_LEVEL", "info"))
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("streamlit") and isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True


def fetch(path: str) -> Any:
    """The JSON at `path` of the API. Raises `requests.RequestException`."""
    answer = requests.get(f"{API_URL}{path}", timeout=API_SECONDS)
    answer.raise_for_status()
    return answer.json()


def show_totals(jobs: pd.DataFrame) -> None:
    """Counts by state and the mean score."""
    counts = jobs["state"].value_counts()
    columns = st.columns(len(STATES) + 1)
    for column, state in zip(columns, STATES, strict=False):
        column.metric(state.capitalize(), int(counts.get(state, 0)), border=True)
    mean = jobs["score"].mean()
    columns[-1].metric("Mean score", f"{mean:.0f}" if jobs["score"].notna().any() else "–", border=True)


def show_charts(jobs: pd.DataFrame) -> None:
    """Jobs over time by state, and how the scores are spread."""
    age = (jobs["created_at"].max() - jobs["created_at"].min()).total_seconds() / 60
    step = "min" if age <= MINUTES_WITH_BARS else "h"
    over_time = jobs.groupby([jobs["created_at"].dt.floor(step), "state"]).size().unstack(fill_value=0)
    left, right = st.columns(2)
    with left:
        st.subheader("Jobs over time (UTC)")
        st.bar_chart(over_time, x_label="", y_label="jobs")
    with right:
        st.subheader("Scores")
        bands = pd.cut(jobs["score"].dropna(), range(0, 101, 10), include_lowest=True)
        spread = bands.value_counts(sort=False)
        spread.index = [f"{int(max(band.left, 0))}–{int(band.right)}" for band in spread.index]
        st.bar_chart(spread.rename("jobs"), x_label="score", y_label="jobs")


def show_scheduler() -> None:
    """The last tick of the scheduler, and a warning when a tick was sent twice."""
    ticks = fetch("/heartbeats?limit=100")["heartbeats"]
    if not ticks:
        st.info("The scheduler has not sent a tick yet.")
        return
    doubles = sum(tick["times"] > 1 for tick in ticks)
    if doubles:
        st.warning(f"{doubles} of the last {len(ticks)} ticks were sent twice: more than one scheduler runs.")
    st.caption(f"Last tick of the scheduler: {ticks[0]['published_at'][:19].replace('T', ' ')} UTC")


@st.fragment(run_every=REFRESH)
def show() -> None:
    """Everything below the title; runs again every few seconds."""
    try:
        rows = fetch(f"/jobs?limit={LATEST}")["jobs"]
        if rows:
            jobs = pd.DataFrame(rows)
            jobs["created_at"] = pd.to_datetime(jobs["created_at"], format="ISO8601")
            jobs["score"] = pd.to_numeric(jobs["score"])
            show_totals(jobs)
            show_charts(jobs)
            st.subheader("Latest jobs")
            latest = jobs.head(20)[["created_at", "state", "score", "excerpt"]]
            st.dataframe(latest.rename(columns={"created_at": "created (UTC)", "excerpt": "text"}), hide_index=True)
        else:
            st.info("Nothing was reviewed yet.")
        show_scheduler()
    except requests.RequestException as error:
        log.error("the API does not answer: %s", error)
        st.error("The API does not answer. The page tries again by itself.")


st.set_page_config(page_title="AI Review Engine", page_icon=":material/fact_check:", layout="wide")
start_logs()
st.title("AI Review Engine")
show()
