"""Cases of every resource rule: what passes, what fails and with which advice, what may be missing or unknown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from policies.kubernetes import PODS
from policies.subject import CONTAINER, NETWORK, REMOTE_IMAGE, STACK, VOLUME
from tests.policies.support import MISSING, UNKNOWN, container, labels, merged, pruned, secret, workload


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cases of one rule. Each case is the inputs, or the changes to a container that breaks no rule."""

    passes: list[dict[str, Any]]
    fails: list[tuple[dict[str, Any], str]]
    """Inputs, and a piece of the advice."""
    missing: tuple[str, int]
    """A property to leave out, and the number of findings then; of Kubernetes' objects a path with dots."""
    unknown: tuple[str, ...] = ()
    """Properties that may be unknown in a preview without a finding."""
    kind: str = CONTAINER
    base: dict[str, Any] = field(default_factory=dict)

    @property
    def on_kubernetes(self) -> bool:
        return self.kind.startswith("kubernetes:")

    def at(self, path: str, value: Any) -> dict[str, Any]:
        """The changes that put a value at a path."""
        if not self.on_kubernetes:
            return {path: value}
        for key in reversed(path.split(".")):
            value = {key: value}
        return value  # type: ignore[no-any-return]

    def inputs(self, changes: dict[str, Any]) -> dict[str, Any]:
        if self.kind in PODS:
            return workload(self.kind, **merged(self.base, changes))
        if self.on_kubernetes:
            found: dict[str, Any] = pruned(merged(self.base, changes))
            return found
        both = self.base | changes
        if self.kind == CONTAINER:
            return container(**both)
        return {key: value for key, value in both.items() if value is not MISSING}


PROXY = labels(role="proxy", service="edge")
LOOP = labels(profile="inner-loop")
HTTPS = {"internal": 8443, "external": 443, "ip": "0.0.0.0"}  # noqa: S104 - what the rules are about
LOCAL = {"internal": 8000, "external": 8000, "ip": "127.0.0.1"}
PEM = "-----BEGIN " + "PRIVATE KEY-----\nMIIE\n-----END " + "PRIVATE KEY-----\n"
URL = "postgresql://app:" + "s3cr3t-value" + "@postgres:5432/shop"

TABLES: dict[str, Table] = {
    "resources-container-limit-memory": Table(
        passes=[{"memory": 16}, {"memory": 512}],
        fails=[({"memory": 0}, "set `memory`"), ({"memory": 8}, "at least 16"), ({"memory": -1}, "set `memory`")],
        missing=("memory", 1),
        unknown=("memory",),
    ),
    "resources-container-limit-cpu": Table(
        passes=[{"cpus": "1.5"}, {"cpus": MISSING, "cpuQuota": 50000, "cpuPeriod": 100000}],
        fails=[
            ({"cpus": "0"}, "set `cpus`"),
            ({"cpus": "half"}, "set `cpus`"),
            ({"cpus": MISSING, "cpuShares": 512}, "only weighs"),
        ],
        missing=("cpus", 1),
        unknown=("cpus",),
    ),
    "resources-container-limit-processes": Table(
        passes=[{"ulimits": [{"name": "nofile", "soft": 1, "hard": 2}, {"name": "nproc", "soft": 9, "hard": 9}]}],
        fails=[
            ({"ulimits": []}, "nproc"),
            ({"ulimits": [{"name": "nofile", "soft": 1, "hard": 2}]}, "nproc"),
            ({"ulimits": [{"name": "nproc", "soft": -1, "hard": -1}]}, "nproc"),
        ],
        missing=("ulimits", 1),
        unknown=("ulimits",),
    ),
    "resources-container-rotate-logs": Table(
        passes=[{}, {"logDriver": "local", "logOpts": MISSING}, {"logDriver": "none", "logOpts": MISSING}],
        fails=[
            ({"logOpts": {"max-file": "3"}}, "max-size"),
            ({"logOpts": {"max-size": "10m"}}, "max-file"),
            ({"logDriver": MISSING, "logOpts": {}}, "max-size and max-file"),
        ],
        missing=("logOpts", 1),
        unknown=("logOpts", "logDriver"),
    ),
    "secrets-environment-require-secret": Table(
        passes=[
            {"envs": [secret("DB_PASSWORD=hunter2")]},
            {"envs": secret(["DB_PASSWORD=hunter2"])},
            {"envs": secret(UNKNOWN)},
            {"envs": ["POSTGRES_PASSWORD_FILE=/run/secrets/postgres-password"]},
            {"envs": ["DATABASE_URL=postgresql://postgres:5432/shop", "ALLOW_EMPTY_PASSWORD=no"]},
            {"envs": ["TOKEN_EXPIRE_MINUTES=30", "CACHE_KEY=user", "PWD=/srv", "API_TOKEN="]},
            {"envs": ["AWS_REGION=eu-central-1", "COMMIT=9fceb02d0ae598e95dc970b74767f19372d61af8", UNKNOWN]},
        ],
        fails=[
            ({"envs": ["DB_PASSWORD=hunter2"]}, "DB_PASSWORD"),
            ({"envs": ["API_TOKEN=abc"]}, "Pulumi secret"),
            ({"envs": ["DJANGO_SECRET_KEY=abc"]}, "DJANGO_SECRET_KEY_FILE"),
            ({"envs": ["CLIENT_SECRET=abc"]}, "CLIENT_SECRET"),
            ({"envs": [f"DATABASE_URL={URL}"]}, "a URL with a password"),
            ({"envs": [f"CERT={PEM}"]}, "a private key"),
            ({"envs": ["AWS_ACCESS_KEY_ID=" + "AKIA" + "ABCDEFGHIJKLMNOP"]}, "an AWS access key id"),
            ({"envs": ["AUTH_SALT=9fceb02d0ae598e95dc970b74767f193"]}, "randomness"),
            ({"envs": [secret("A_PASSWORD=x"), "B_PASSWORD=hunter2"]}, "B_PASSWORD"),
        ],
        missing=("envs", 0),
        unknown=("envs",),
    ),
    "secrets-label-forbid": Table(
        passes=[{}, {"labels": [*labels(), {"label": "owner", "value": "team-a"}]}],
        fails=[
            ({"labels": [*labels(), {"label": "db.password", "value": "hunter2"}]}, "label db.password"),
            ({"labels": [*labels(), {"label": "db.password", "value": secret("hunter2")}]}, "docker inspect"),
            ({"labels": [*labels(), {"label": "note", "value": secret(UNKNOWN)}]}, "label note holds a secret"),
            ({"labels": [*labels(), secret({"label": "note", "value": "x"})]}, "label note"),
            ({"labels": [*labels(), {"label": "db", "value": URL}]}, "a URL with a password"),
            ({"labels": secret(labels())}, "docker inspect"),
        ],
        missing=("labels", 0),
        unknown=("labels",),
    ),
    "secrets-command-forbid": Table(
        passes=[
            {},
            {"healthcheck": {"tests": ["CMD", "sh", "-c", 'REDISCLI_AUTH="$(cat /run/secrets/redis)" redis-cli ping']}},
            {"command": ["redis-server", "--requirepass", "$REDIS_PASSWORD"]},
            {"command": ["psql", "postgresql://app:${PGPASSWORD}@postgres/shop"]},
            {"command": ["prometheus", "--web.config.file=/etc/web.yml", "--password-file=/run/secrets/p"]},
            {"entrypoints": [UNKNOWN]},
        ],
        fails=[
            ({"command": ["redis-server", "--requirepass", "hunter2"]}, "--requirepass"),
            ({"command": ["sh", "-c", "PGPASSWORD=hunter2 psql"]}, "PGPASSWORD"),
            ({"command": ["app", "--api-token=abc"]}, "api-token"),
            ({"command": ["psql", URL]}, "a URL with a password"),
            ({"command": ["app", secret("quiet")]}, "`command` holds a secret"),
            ({"command": secret(["app", "quiet"])}, "`command` holds a secret"),
            ({"entrypoints": ["sh", "-c", secret(UNKNOWN)]}, "`entrypoints` holds a secret"),
            ({"healthcheck": {"tests": ["CMD", "redis-cli", "-a", "hunter2", "ping"]}}, "`healthcheck.tests`"),
            ({"healthcheck": {"tests": ["CMD", "check", secret("x")]}}, "`healthcheck.tests` holds a secret"),
            ({"healthcheck": secret({"tests": ["CMD", "check"]})}, "`healthcheck.tests` holds a secret"),
            ({"command": ["psql", "-c", "ALTER USER app PASSWORD 'hunter2'"]}, "a password in SQL"),
        ],
        missing=("command", 0),
        unknown=("command", "entrypoints", "healthcheck"),
    ),
    "secrets-upload-require-secret": Table(
        passes=[
            {"uploads": [{"file": "/etc/edge/tls.key", "content": secret(PEM)}]},
            {"uploads": secret([{"file": "/etc/edge/tls.key", "content": PEM}])},
            {"uploads": [secret({"file": "/etc/edge/tls.key", "content": PEM})]},
            {"uploads": [{"file": "/etc/app.yml", "content": "debug: true\npassword_file: /run/secrets/p\n"}]},
            {"uploads": [{"file": "/run/secrets/ca.pem", "content": "-----BEGIN CERTIFICATE-----\nMIIB\n"}]},
            {"uploads": [{"file": "/etc/app.yml", "content": "password: ${DB_PASSWORD}\n"}, UNKNOWN]},
            {"uploads": [{"file": "/run/secrets/p", "content": UNKNOWN}]},
            {"uploads": [{"file": "/logo.png", "contentBase64": "iVBORw0KGgo="}]},
        ],
        fails=[
            ({"uploads": [{"file": "/etc/edge/tls.key", "content": PEM}]}, "/etc/edge/tls.key"),
            ({"uploads": [{"file": "/etc/app.ini", "content": f"url = {URL}\n"}]}, "a URL with a password"),
            ({"uploads": [{"file": "/etc/app.yml", "content": "db:\n  password: hunter2\n"}]}, "password"),
            ({"uploads": [{"file": "/etc/redis.conf", "content": "requirepass hunter2\n"}]}, "requirepass"),
            ({"uploads": [{"file": "/run/secrets/p", "content": "hunter2"}]}, "Pulumi secret"),
            (
                {"uploads": [{"file": "/x", "contentBase64": "cGFzc3dvcmQ6IGh1bnRlcjIK"}]},
                "password",
            ),
        ],
        missing=("uploads", 0),
        unknown=("uploads",),
    ),
    "secrets-input-require-secret": Table(
        kind="aws:rds/instance:Instance",
        base={"identifier": "shop", "username": "app", "password": secret("hunter2"), "kmsKeyId": "alias/shop"},
        passes=[
            {},
            {"password": secret(UNKNOWN)},
            {"manageMasterUserPassword": True, "passwordSecretArn": "arn:aws:x"},
            {"tags": {"key": "shop"}, "secretName": "shop-db"},
        ],
        fails=[
            ({"password": "hunter2"}, "input password"),
            ({"nested": {"authToken": "abc"}}, "input nested.authToken"),
            ({"driverOpts": {"o": URL}}, "a URL with a password"),
            ({"registryAuth": '[{"address": "registry", "password": "hunter2"}]'}, "registryAuth.0.password"),
            ({"privateKey": PEM}, "a private key"),
        ],
        missing=("password", 0),
        unknown=("password",),
    ),
    "secrets-config-require-secret": Table(kind=STACK, passes=[{}], fails=[], missing=("anything", 0)),
    "lifecycle-container-require-restart": Table(
        passes=[{"restart": "always"}, {"restart": "on-failure"}, {"labels": labels(role="job"), "restart": "no"}],
        fails=[
            ({"restart": "no"}, "set `restart`"),
            ({"labels": labels(role="job"), "restart": "always"}, "never ends"),
        ],
        missing=("restart", 1),
        unknown=("restart",),
    ),
    "lifecycle-container-require-healthcheck": Table(
        passes=[{}, {"labels": labels(role="worker"), "healthcheck": MISSING}, {"healthcheck": {"tests": UNKNOWN}}],
        fails=[
            ({"healthcheck": {"tests": ["NONE"]}}, "set `healthcheck.tests`"),
            ({"healthcheck": {"interval": "5s"}}, "set `healthcheck.tests`"),
            ({"labels": labels(role="data"), "healthcheck": {"tests": []}}, "role data"),
            ({"labels": labels(role="proxy"), "healthcheck": MISSING}, "role proxy"),
        ],
        missing=("healthcheck", 1),
        unknown=("healthcheck",),
    ),
    "lifecycle-container-suggest-healthcheck": Table(
        base={"labels": labels(role="worker")},
        passes=[
            {},
            {"labels": labels(role="job"), "healthcheck": MISSING},
            {"labels": labels(), "healthcheck": MISSING},
        ],
        fails=[({"healthcheck": {"tests": ["NONE"]}}, "hung")],
        missing=("healthcheck", 1),
        unknown=("healthcheck",),
    ),
    "images-reference-forbid-latest": Table(
        passes=[
            {"image": "postgres:15.14"},
            {"image": "registry.example:5000/team/app:1.2"},
            {"image": "app:latest@sha256:" + "ab" * 32},
            {"image": "ab" * 32},
        ],
        fails=[
            ({"image": "postgres:latest"}, "version's tag"),
            ({"image": "postgres"}, "without a tag"),
            ({"image": "registry.example:5000/team/app"}, "without a tag"),
        ],
        missing=("image", 0),
        unknown=("image",),
    ),
    "images-reference-forbid-bitnami": Table(
        kind=REMOTE_IMAGE,
        base={"name": "postgres:15.14"},
        passes=[{}, {"name": "ghcr.io/bitnami/x:1"}],
        fails=[
            ({"name": "bitnami/redis:7.0"}, "official image"),
            ({"name": "docker.io/bitnamilegacy/redis:7.0"}, "official image"),
        ],
        missing=("name", 0),
        unknown=("name",),
    ),
    "network-port-bind-address": Table(
        passes=[{}, {"ports": [LOCAL]}, {"labels": PROXY, "ports": [HTTPS]}, {"ports": [LOCAL | {"ip": UNKNOWN}]}],
        fails=[
            ({"ports": [{"internal": 8000, "external": 8000}]}, "set `ip`"),
            ({"labels": PROXY, "ports": [{"internal": 8443}]}, "port 8443"),
            ({"ports": [HTTPS]}, "only role proxy"),
            ({"ports": [LOCAL | {"ip": "::"}]}, "only role proxy"),
        ],
        missing=("ports", 0),
        unknown=("ports",),
    ),
    "network-port-restrict-publishing": Table(
        passes=[{}, {"labels": PROXY, "ports": [HTTPS]}, {"labels": LOOP, "ports": [LOCAL]}],
        fails=[
            ({"ports": [LOCAL]}, "let the proxy route"),
            ({"labels": LOOP, "ports": [LOCAL | {"ip": "10.0.0.5"}]}, "remove it from `ports`"),
            ({"labels": labels(role="data", profile="inner-loop"), "ports": [LOCAL]}, "role data"),
            ({"labels": PROXY, "publishAllPorts": True}, "publishAllPorts"),
        ],
        missing=("ports", 0),
        unknown=("ports",),
    ),
    "network-container-forbid-host": Table(
        passes=[{}, {"networkMode": "none"}],
        fails=[({"networkMode": "host"}, "the host"), ({"networkMode": "container:abc"}, "another container")],
        missing=("networkMode", 0),
        unknown=("networkMode",),
    ),
    "network-container-require-network": Table(
        passes=[{}, {"networksAdvanced": MISSING, "networkMode": "none"}, {"networksAdvanced": [{"name": UNKNOWN}]}],
        fails=[({"networksAdvanced": []}, "networksAdvanced"), ({"networksAdvanced": MISSING}, "default network")],
        missing=("networksAdvanced", 1),
        unknown=("networksAdvanced",),
    ),
    "network-network-require-internal": Table(
        kind=NETWORK,
        base={"driver": "bridge", "internal": True, "labels": labels()},
        passes=[{}, {"internal": False, "labels": PROXY}],
        fails=[({"internal": False}, "set `internal` to true")],
        missing=("internal", 1),
        unknown=("internal",),
    ),
    "security-container-forbid-privileged": Table(
        passes=[{}, {"privileged": False}],
        fails=[({"privileged": True}, "remove `privileged`"), ({"privileged": secret(True)}, "remove `privileged`")],
        missing=("privileged", 0),
        unknown=("privileged",),
    ),
    "security-mount-forbid-socket": Table(
        passes=[{}, {"mounts": [{"type": "volume", "source": "data", "target": "/data"}]}],
        fails=[
            ({"mounts": [{"type": "bind", "source": "/var/run/docker.sock", "target": "/s"}]}, "docker.sock"),
            ({"volumes": [{"hostPath": "/run//docker.sock", "containerPath": "/s"}]}, "remove the mount"),
            ({"volumes": [{"hostPath": "/", "containerPath": "/host", "readOnly": True}]}, "mounts /,"),
            ({"volumes": [{"hostPath": "/var/run/", "containerPath": "/host"}]}, "/var/run"),
        ],
        missing=("mounts", 0),
        unknown=("mounts", "volumes"),
    ),
    "security-mount-forbid-host": Table(
        kind=VOLUME,
        base={"driver": "local"},
        passes=[{}, {"driverOpts": {"type": "tmpfs", "device": "tmpfs"}}],
        fails=[({"driverOpts": {"type": "none", "o": "bind,ro", "device": "/home"}}, "mounts /home")],
        missing=("driver", 0),
        unknown=("driverOpts",),
    ),
    "security-container-forbid-namespaces": Table(
        passes=[{}, {"ipcMode": "private"}],
        fails=[
            ({"pidMode": "host"}, "`pidMode`"),
            ({"ipcMode": "host"}, "`ipcMode`"),
            ({"usernsMode": "host"}, "`usernsMode`"),
            ({"pidMode": "container:abc"}, "another container"),
        ],
        missing=("pidMode", 0),
        unknown=("pidMode",),
    ),
    "security-container-drop-capabilities": Table(
        passes=[{}, {"capabilities": {"drops": ["CAP_ALL"], "adds": []}}, {"capabilities": {"drops": UNKNOWN}}],
        fails=[
            ({"capabilities": {"drops": ["NET_RAW"]}}, '["ALL"]'),
            ({"capabilities": {"drops": ["ALL"], "adds": ["NET_BIND_SERVICE"]}}, "NET_BIND_SERVICE"),
        ],
        missing=("capabilities", 1),
        unknown=("capabilities",),
    ),
    "security-container-forbid-escalation": Table(
        passes=[{}, {"securityOpts": ["no-new-privileges"]}, {"securityOpts": ["no-new-privileges=true"]}],
        fails=[
            ({"securityOpts": []}, "no-new-privileges:true"),
            ({"securityOpts": ["no-new-privileges:false"]}, "no-new-privileges:true"),
            ({"securityOpts": ["no-new-privileges:true", "seccomp=unconfined"]}, "seccomp:unconfined"),
        ],
        missing=("securityOpts", 1),
        unknown=("securityOpts",),
    ),
    "security-container-require-user": Table(
        passes=[{}, {"user": "nobody"}, {"user": "10001"}],
        fails=[
            ({"user": "0"}, "root"),
            ({"user": "root:app"}, "root"),
            ({"user": "0:10001"}, "root"),
            ({"user": ""}, "set `user`"),
        ],
        missing=("user", 1),
        unknown=("user",),
    ),
    "security-container-require-readonly": Table(
        passes=[{}, {"readOnly": False, "uploads": [{"file": "/etc/x", "content": "x"}]}],
        fails=[({"readOnly": False}, "set `readOnly`"), ({"readOnly": MISSING, "uploads": []}, "set `readOnly`")],
        missing=("readOnly", 1),
        unknown=("readOnly",),
    ),
    "labels-resource-require": Table(
        passes=[{}, {"labels": [*labels(role=""), {"label": "ai-platform.role", "value": UNKNOWN}]}],
        fails=[
            ({"labels": labels(role="")}, "ai-platform.role"),
            ({"labels": labels(system="")}, "ai-platform.system"),
            ({"labels": labels(role="database")}, "one of app, worker"),
        ],
        missing=("labels", 4),
        unknown=("labels",),
    ),
}
