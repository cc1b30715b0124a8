"""The real NGINX takes the edge's configuration at its limits: the longest host names, and hundreds of them."""

from __future__ import annotations

import io
import tarfile
from ipaddress import IPv4Network

import docker
import pytest

from platforms.certificates import derive
from platforms.docker import nginx
from tests.support.engine import answering, missing
from toolchain.images.__main__ import read_inventory

LONGEST = ".".join(["h" * 63] * 3 + ["h" * 61])
HOSTS = {
    "longest": [LONGEST],
    "hundreds": [f"system-{number}.{LONGEST[13:]}" for number in range(300)],
    "international": ["xn--bcher-kva.example"],
    "alike": ["a-b.example", "a.b.example", "a.b-example"],
}


def packed(files: dict[str, str]) -> bytes:
    """Files as a tar."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o444
            archive.addfile(entry, io.BytesIO(text.encode()))
    return sink.getvalue()


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    """The Docker engine."""
    return answering()


@pytest.mark.parametrize("case", sorted(HOSTS))
def test_nginx_takes_it(case: str, engine: docker.DockerClient) -> None:
    image = read_inventory().get("nginx", {}).get("image")
    if image is None:
        missing("there is no image of NGINX: run `make images`")
    backend = nginx.Backend(
        path="/dashboard/", host="dashboard.system", port=8501, replicas=2, strip_prefix=False, websocket=True,
        sticky=True, timeout=60, max_body=1000, private=("metrics",),
    )  # fmt: skip
    routes = dict.fromkeys(HOSTS[case], [backend])
    certificates = derive(b"s" * 64, "of-a-test", HOSTS[case])
    files = {
        "nginx.conf": nginx.render(routes, https_port=443, scrapers=IPv4Network("10.1.2.0/26")),
        "tls.crt": certificates.certificate,
        "tls.key": certificates.key,
    }
    container = engine.containers.create(
        image, ["-t", "-q", "-c", "/etc/nginx/nginx.conf"], entrypoint="nginx", network_mode="none", mem_limit="128m"
    )
    try:
        container.put_archive("/etc/nginx", packed(files))
        container.start()
        ended = container.wait(timeout=60)
        assert (ended["StatusCode"], container.logs().decode()) == (0, "")
    finally:
        container.remove(force=True)
