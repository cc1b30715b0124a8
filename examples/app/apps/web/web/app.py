"""The web page: `python web/app.py` on port 5000. Renders on the server and talks to the API only.

With `debug: true` and FLASK_DEBUG=1 it runs Flask's own server, which reloads changed code; everywhere else gunicorn,
because Flask's server is not made for production. Flask's interactive debugger stays off: it would run code for whoever
opens it.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from flask import Flask, Response, abort, g, redirect, render_template, request, url_for
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common import http_metrics, logs
from common import settings as configuration

log = logging.getLogger("web")

PORT = 5000
API_SECONDS = 5.0
AGAIN = urllib3.Retry(total=3, backoff_factor=0.1, redirect=0, status=0, allowed_methods=["GET"])
"""What a replica of the API that stops leaves without an answer is asked again, where HTTP allows that."""
LATEST = 20
MAX_TEXT = 100_000
MAX_FORM = 1_000_000
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class Api:
    """The few calls of the API that the page needs. Each raises `requests.RequestException` when it is away."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.session = requests.Session()
        self.session.mount("http://", requests.adapters.HTTPAdapter(max_retries=AGAIN))

    def create(self, text: str) -> requests.Response:
        # Not over a kept-alive connection, which the API may be closing: nobody could tell whether the job was stored.
        return requests.post(f"{self.url}/jobs", json={"text": text}, timeout=API_SECONDS)

    def latest(self) -> list[dict[str, Any]]:
        answer = self.session.get(f"{self.url}/jobs", params={"limit": LATEST}, timeout=API_SECONDS)
        answer.raise_for_status()
        jobs: list[dict[str, Any]] = answer.json()["jobs"]
        return jobs

    def read(self, job_id: str) -> dict[str, Any] | None:
        answer = self.session.get(f"{self.url}/jobs/{job_id}", timeout=API_SECONDS)
        if answer.status_code == requests.codes.not_found:
            return None
        answer.raise_for_status()
        job: dict[str, Any] = answer.json()
        return job


def create_app(api_url: str, dashboard_url: str) -> Flask:
    """The WSGI application."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_FORM
    app.config["MAX_FORM_MEMORY_SIZE"] = MAX_FORM
    app.jinja_env.globals["dashboard_url"] = dashboard_url
    app.jinja_env.filters["short_time"] = lambda value: value[:19].replace("T", " ") if value else ""
    _add_hooks(app)
    _add_pages(app, Api(api_url))
    return app


def _add_hooks(app: Flask) -> None:
    @app.before_request
    def start_clock() -> None:
        g.start = time.perf_counter()
        if request.method == "POST" and not is_same_origin():
            abort(403, "The form must be sent from this site.")

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers.update(HEADERS)
        route = request.url_rule.rule if request.url_rule else None
        http_metrics.observe(request.method, route, response.status_code, time.perf_counter() - g.start)
        return response

    @app.errorhandler(requests.RequestException)
    def api_away(error: requests.RequestException) -> tuple[str, int]:
        log.error("the API does not answer: %s", error)
        return render_template("message.html", title="Please try again", text="The review service is unavailable."), 503

    def show(error: Any) -> tuple[str, int]:
        return render_template("message.html", title=error.name, text=error.description), error.code

    for code in (403, 404, 405, 413):
        app.register_error_handler(code, show)


def _add_pages(app: Flask, api: Api) -> None:
    @app.get("/")
    def index() -> str:
        return render_template("index.html", jobs=api.latest(), text="", problem=None, max_text=MAX_TEXT)

    @app.post("/jobs")
    def submit() -> tuple[str, int] | Any:
        # Browsers send line breaks of a form as CRLF; the reviewer should see what was typed.
        text = request.form.get("text", "").replace("\r\n", "\n")
        answer = api.create(text)
        if answer.status_code == requests.codes.created:
            return redirect(url_for("job", job_id=answer.json()["id"]), code=303)
        if answer.status_code != requests.codes.unprocessable_entity:
            answer.raise_for_status()
        problem = f"Please enter between 1 and {MAX_TEXT:,} characters of plain text."
        return render_template("index.html", jobs=api.latest(), text=text, problem=problem, max_text=MAX_TEXT), 422

    @app.get("/jobs/<uuid:job_id>")
    def job(job_id: Any) -> str:
        found = api.read(str(job_id))
        if found is None:
            abort(404, "There is no such review.")
        return render_template("job.html", job=found)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def is_same_origin() -> bool:
    """Whether a browser sent this request from one of our own pages. Programs send neither header and may pass:
    there is no cookie or login that a foreign page could misuse through them.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site:
        return site in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).hostname == urlsplit(f"//{request.host}").hostname


def serve(app: Flask, settings: configuration.Settings) -> None:
    """Run gunicorn in this process until SIGTERM. One process with threads: its metrics are complete."""
    from gunicorn.app.base import BaseApplication  # noqa: PLC0415  # only where it serves
    from gunicorn.glogging import Logger  # noqa: PLC0415
    from gunicorn.workers.gthread import ThreadWorker  # noqa: PLC0415

    class OurLogs(Logger):  # type: ignore[misc]  # gunicorn has no types
        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            logs.configure("web", settings.log_level)

    class Drained(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
        """Accepts what is queued before it stops, and refuses what comes then: the proxy sends that elsewhere.

        By itself it lets connections queue up until it has ended, which resets them.
        """

        def set_accept_enabled(self, enabled: bool) -> None:
            super().set_accept_enabled(enabled)
            if self.alive:
                return
            for listener in self.sockets:
                accepted = -1
                while accepted != self.nr_conns:
                    accepted = self.nr_conns
                    self.accept(listener)
                listener.close()

    options = {
        "bind": f"0.0.0.0:{PORT}",
        "workers": 1,
        "worker_class": Drained,
        "threads": 8,
        "graceful_timeout": 20,
        "worker_tmp_dir": "/tmp",  # noqa: S108  # the only place that a read-only container can write to
        "control_socket_disable": True,
        "logger_class": OurLogs,
        "accesslog": "-",
        "access_log_format": '%(h)s "%(r)s" %(s)s %(b)s',
    }

    class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
        def load_config(self) -> None:
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Flask:
            return app

    Server().run()


def main() -> None:
    """Start the server that the configuration asks for."""
    try:
        settings = configuration.load()
    except configuration.SettingsError as error:
        configuration.exit_with(error)
        raise
    logs.configure("web", settings.log_level)
    app = create_app(os.environ.get("API_URL", "http://api:8000"), os.environ.get("DASHBOARD_URL", "/dashboard/"))
    if settings.debug and os.environ.get("FLASK_DEBUG") == "1":
        app.run(host="0.0.0.0", port=PORT, debug=True, use_debugger=False, threaded=True)  # noqa: S104
    else:
        serve(app, settings)


if __name__ == "__main__":
    main()
