"""The trial of a release: it becomes healthy where nobody reaches it before a replica of it gets the service's name.

Docker's DNS does not know of health: from its start on, a replica is handed requests under that name, even one that
will never be healthy. So the service's process first runs as a job, which has the same image, command, environment and
networks, but no name.
"""

from __future__ import annotations

from platforms.specs import HttpProbe, JobSpec, ServiceSpec

TRY = """\
check=$1 seconds=$2; shift 2
"$@" &
tried=$! end=$(($(date +%s) + seconds))
until said=$(timeout 5 sh -c "$check" 2>&1); do
  if ! kill -0 $tried 2>/dev/null; then
    wait $tried; code=$?
    echo "ended with exit code $code before it was healthy"
    exit 1
  fi
  if [ $(date +%s) -ge $end ]; then
    echo "not healthy within $seconds s; the last health check said: ${said:-nothing}"
    exit 1
  fi
  sleep 1
done
echo healthy
"""
"""A shell script: health check, seconds, command. The process that was tried ends with the container."""


def trial_of(spec: ServiceSpec) -> JobSpec | None:
    """The job that tries `spec`; None for what needs no trial, because no requests reach it while it rolls out.

    The application's own tiers do: engines and exporters are not released by their users. It takes as long as the
    replicas' own health check would: `start_period` and then `retries` failures (seconds).
    """
    health = spec.health
    tried = spec.role == "app" and spec.rollout == "overlap" and spec.command and not spec.entrypoint
    if not tried or health is None or not isinstance(health.probe, HttpProbe):
        return None
    seconds = health.start_period + health.interval * health.retries
    return JobSpec(
        service=f"{spec.service}-trial",
        image=spec.image,
        # The image's own entry point stays in front.
        command=("sh", "-c", TRY, "trial", http_check(health.probe), str(seconds), *spec.command),
        resources=spec.resources,
        user=spec.user,
        working_dir=spec.working_dir,
        env=spec.env,
        secrets=spec.secrets,
        files=spec.files,
        secret_files=spec.secret_files,
        volumes=spec.volumes,
        scratch=spec.scratch,
        uses=spec.uses,
        after=spec.after,
    )


def http_check(probe: HttpProbe, host: str = "127.0.0.1") -> str:
    """A shell command that exits with 0 if the probe is answered with a status below 400."""
    url = f"http://{host}:{probe.port}{probe.path}"
    # Images differ in what they carry; each of these exits with 0 for a status below 400 only.
    return (
        f"if command -v curl >/dev/null; then curl -fsS -o /dev/null {url};"
        f" elif command -v wget >/dev/null; then wget -q -O /dev/null {url};"
        f" else python3 -c \"import urllib.request as r; r.urlopen('{url}', timeout=5)\"; fi"
    )
