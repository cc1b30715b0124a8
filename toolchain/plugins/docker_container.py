"""docker:index/container:Container of the `docker` stand-in.

Inputs, defaults and replace keys are those of the official plugin 5.2.0 (Terraform provider 4.5). Two differences
are deliberate: a container that cannot be started, exits or turns unhealthy while it is waited for is removed and the
error is plain, so that no half-made container stays in the state or on the host; and files can be uploaded into a
volume of a container whose root is read-only.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable
from typing import Any

from docker.errors import APIError, NotFound

from toolchain.plugins import docker_files
from toolchain.plugins.docker_engine import EngineResource, labels
from toolchain.plugins.provider import ProviderError
from toolchain.plugins.schema import (
    Field,
    Values,
    flag,
    group,
    group_set,
    text,
    text_map,
    text_set,
    texts,
    to_api,
    whole,
)

POLL_SECONDS = 0.3
LOG_LINES = 20
MIB = 1024 * 1024
UNITS = {"ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}


def size_in_bytes(mebibytes: int) -> int:
    """Docker's sizes from inputs in MiB; a negative one means no limit."""
    return mebibytes * MIB if mebibytes > 0 else mebibytes


def nano_cpus(cpus: str) -> int:
    return round(float(cpus) * 1e9)


def nanoseconds(duration: str) -> int:
    """Nanoseconds of a Go duration such as 1m30s."""
    return round(sum(float(count) * UNITS[unit] for count, unit in re.findall(r"([0-9.]+)(ms|s|m|h)", duration)))


def duration(api: str) -> Field:
    return text(default="0s", pattern=r"([0-9.]+(ms|s|m|h))+|0", api=api, convert=nanoseconds)


# fmt: off
MOUNT = {
    "target": text(required=True, api="Target"), "source": text(api="Source"), "readOnly": flag(api="ReadOnly"),
    "type": text(required=True, pattern="bind|volume|tmpfs", api="Type"),
    "bindOptions": group({"propagation": text(api="Propagation")}, api="BindOptions"),
    "tmpfsOptions": group({"mode": whole(api="Mode"), "sizeBytes": whole(api="SizeBytes")}, api="TmpfsOptions"),
    "volumeOptions": group({
        "noCopy": flag(api="NoCopy"), "labels": labels(), "driverName": text(api="DriverConfig.Name"),
        "driverOptions": text_map(api="DriverConfig.Options"),
    }, api="VolumeOptions"),
}
VOLUME = {
    "containerPath": text(required=True), "hostPath": text(), "volumeName": text(), "readOnly": flag(),
}
UPLOAD = {
    "file": text(required=True), "content": text(), "contentBase64": text(), "source": text(), "sourceHash": text(),
    "executable": flag(default=False), "permissions": text(pattern="0[0-7]{3}"),
    "owner": text(pattern="[0-9]+"), "group": text(pattern="[0-9]+"),
}
PORT = {
    "internal": whole(required=True), "external": whole(), "protocol": text(default="tcp"),
    "ip": text(default="0.0.0.0"),  # noqa: S104 - the official default; the policy pack judges it
}
NETWORK = {
    "name": text(required=True), "aliases": text_set(api="aliases"), "ipv4Address": text(api="ipv4_address"),
    "ipv6Address": text(api="ipv6_address"), "macAddress": text(api="mac_address"),
}
HEALTHCHECK = {
    "tests": texts(api="Test"), "retries": whole(default=0, least=0, api="Retries"), "interval": duration("Interval"),
    "timeout": duration("Timeout"), "startPeriod": duration("StartPeriod"), "startInterval": duration("StartInterval"),
}
NETWORK_DATA = {
    "ipAddress": "IPAddress", "ipPrefixLength": "IPPrefixLen", "gateway": "Gateway", "macAddress": "MacAddress",
    "globalIpv6Address": "GlobalIPv6Address", "globalIpv6PrefixLength": "GlobalIPv6PrefixLen",
    "ipv6Gateway": "IPv6Gateway",
}
INPUTS = {
    "name": text(new=True), "image": text(new=True, required=True, api="Image"),
    "command": texts(new=True, computed=True, api="Cmd"), "envs": text_set(new=True, computed=True, api="Env"),
    "entrypoints": texts(new=True, computed=True, api="Entrypoint"), "labels": labels(computed=True),
    "hostname": text(new=True, computed=True, api="Hostname"), "domainname": text(new=True, api="Domainname"),
    "user": text(new=True, api="User"), "workingDir": text(new=True, api="WorkingDir"),
    "tty": flag(new=True, default=False, api="Tty"), "stdinOpen": flag(new=True, default=False, api="OpenStdin"),
    "stopSignal": text(new=True, computed=True, api="StopSignal"),
    "stopTimeout": whole(new=True, computed=True, api="StopTimeout"),
    "init": flag(computed=True, api="HostConfig.Init"),
    "healthcheck": group(HEALTHCHECK, computed=True, api="Healthcheck"),
    "start": flag(default=True), "mustRun": flag(default=True), "rm": flag(default=False, api="HostConfig.AutoRemove"),
    "attach": flag(default=False), "logs": flag(default=False), "wait": flag(default=False),
    "waitTimeout": whole(default=60), "containerReadRefreshTimeoutMilliseconds": whole(default=15000),
    "destroyGraceSeconds": whole(), "removeVolumes": flag(default=True),
    "restart": text(default="no", pattern="no|on-failure|always|unless-stopped", api="HostConfig.RestartPolicy.Name"),
    "maxRetryCount": whole(api="HostConfig.RestartPolicy.MaximumRetryCount"),
    "memory": whole(least=0, api="HostConfig.Memory", convert=size_in_bytes),
    "memoryReservation": whole(default=0, least=0, api="HostConfig.MemoryReservation", convert=size_in_bytes),
    "memorySwap": whole(least=-1, api="HostConfig.MemorySwap", convert=size_in_bytes),
    "shmSize": whole(new=True, computed=True, least=0, api="HostConfig.ShmSize", convert=size_in_bytes),
    "cpus": text(new=True, pattern=r"[0-9]*\.?[0-9]+", api="HostConfig.NanoCpus", convert=nano_cpus),
    "cpuPeriod": whole(least=0, api="HostConfig.CpuPeriod"), "cpuQuota": whole(least=0, api="HostConfig.CpuQuota"),
    "cpuShares": whole(least=0, api="HostConfig.CpuShares"),
    "cpuSet": text(pattern=r"\d+([,-]\d+)*", api="HostConfig.CpusetCpus"),
    "readOnly": flag(new=True, default=False, api="HostConfig.ReadonlyRootfs"),
    "privileged": flag(new=True, api="HostConfig.Privileged"),
    "capabilities": group({
        "adds": text_set(api="CapAdd"), "drops": text_set(api="CapDrop"),
    }, new=True, api="HostConfig"),
    "securityOpts": text_set(new=True, computed=True, api="HostConfig.SecurityOpt"),
    "sysctls": text_map(new=True, api="HostConfig.Sysctls"),
    "ulimits": group_set({
        "name": text(required=True, api="Name"), "soft": whole(required=True, api="Soft"),
        "hard": whole(required=True, api="Hard"),
    }, new=True, api="HostConfig.Ulimits"),
    "runtime": text(new=True, computed=True, api="HostConfig.Runtime"),
    "ipcMode": text(new=True, computed=True, api="HostConfig.IpcMode"),
    "pidMode": text(new=True, api="HostConfig.PidMode"), "usernsMode": text(new=True, api="HostConfig.UsernsMode"),
    "groupAdds": text_set(new=True, api="HostConfig.GroupAdd"),
    "logDriver": text(new=True, computed=True, api="HostConfig.LogConfig.Type"),
    "logOpts": text_map(new=True, api="HostConfig.LogConfig.Config"),
    "networkMode": text(new=True, default="bridge", api="HostConfig.NetworkMode"),
    "networksAdvanced": group_set(NETWORK, new=True), "ports": Field("list", group(PORT), new=True),
    "hosts": group_set({"host": text(required=True), "ip": text(required=True)}, new=True, api="HostConfig.ExtraHosts",
                       convert=lambda hosts: [f"{entry['host']}:{entry['ip']}" for entry in hosts]),
    "dns": text_set(new=True, api="HostConfig.Dns"), "dnsOpts": text_set(new=True, api="HostConfig.DnsOptions"),
    "dnsSearches": text_set(new=True, api="HostConfig.DnsSearch"),
    "mounts": group_set(MOUNT, new=True, api="HostConfig.Mounts"), "volumes": group_set(VOLUME, new=True),
    "tmpfs": text_map(api="HostConfig.Tmpfs"), "uploads": group_set(UPLOAD, new=True),
}
# fmt: on
UPDATABLE = {
    "memory": "mem_limit",
    "memoryReservation": "mem_reservation",
    "memorySwap": "memswap_limit",
    "cpuShares": "cpu_shares",
    "cpuSet": "cpuset_cpus",
}
OBSERVED = ("restart", "maxRetryCount", *UPDATABLE)


class Container(EngineResource):
    """One container, with the files uploaded to it before its start."""

    inputs = INPUTS
    outputs = ("bridge", "containerLogs", "exitCode", "networkDatas")
    delete_before_replace = True
    state_only = frozenset({"healthcheck", "tmpfs", "init", "cpuPeriod", "cpuQuota"})

    def check(self, inputs: Values) -> Iterable[tuple[str, str]]:
        return docker_files.check(inputs)

    def create(self, inputs: Values, timeout: float) -> tuple[str, Values]:
        api = self.engine.api
        self.engine.find_image(inputs["image"])
        identity = api.create_container_from_config(body(inputs), inputs["name"])["Id"]
        try:
            self.connect(identity, inputs)
            for folder, packed in docker_files.archives(inputs):
                api.put_archive(identity, folder, packed)
            logs = self.launch(identity, inputs, timeout)
        except BaseException:
            with contextlib.suppress(APIError):
                api.remove_container(identity, v=True, force=True)
            raise
        return identity, {**self.state(self.inspect(identity), inputs), **logs}

    def connect(self, identity: str, inputs: Values) -> None:
        """Attach the networks of `networksAdvanced` in place of the default one."""
        networks = inputs.get("networksAdvanced", [])
        if networks and inputs["networkMode"] == "bridge":
            self.engine.api.disconnect_container_from_network(identity, "bridge")
        for network in networks:
            self.engine.api.connect_container_to_network(identity, network["name"], **to_api(NETWORK, network))

    def launch(self, identity: str, inputs: Values, timeout: float) -> Values:
        """Start, then wait as the inputs ask. Returns the logs output, if it is asked for."""
        if not inputs["start"]:
            return {}
        self.engine.api.start(identity)
        if inputs["wait"]:
            self.await_health(identity, inputs)
        deadline = time.monotonic() + timeout
        while inputs["attach"] and self.inspect(identity)["State"]["Running"]:
            if time.monotonic() > deadline:
                raise ProviderError(f"container {inputs['name']} still runs after {timeout:.0f} s; it was removed")
            self.pause()
        return {"containerLogs": self.logs(identity, inputs, "all")} if inputs["attach"] and inputs["logs"] else {}

    def await_health(self, identity: str, inputs: Values) -> None:
        """Return once the container is healthy; raise ProviderError if it exits, turns unhealthy or takes too long."""
        deadline = time.monotonic() + inputs["waitTimeout"]
        while True:
            state = self.inspect(identity)["State"]
            health = state.get("Health")
            if not health:
                raise ProviderError(f"container {inputs['name']}: wait needs a health check, and it has none")
            if health["Status"] == "healthy":
                return
            ended = not state["Running"] and not state["Restarting"]
            if ended or health["Status"] == "unhealthy" or time.monotonic() > deadline:
                break
            self.pause()
        problem = f"exited with code {state['ExitCode']}" if ended else f"is {health['Status']}"
        checks = [entry["Output"].strip() for entry in health["Log"] or []] or ["none has run"]
        raise ProviderError(
            f"container {inputs['name']} {problem} ({inputs['waitTimeout']} s allowed to become healthy); "
            f"it was removed.\nLast health check: {docker_files.hide(checks[-1], inputs)}\n"
            f"Last log lines:\n{self.logs(identity, inputs, LOG_LINES)}"
        )

    def pause(self) -> None:
        """Wait a little. Raises ProviderError when the engine has cancelled."""
        if self.engine.cancelled.wait(POLL_SECONDS):
            raise ProviderError("cancelled")

    def inspect(self, identity: str) -> Values:
        return dict(self.engine.api.inspect_container(identity))

    def logs(self, identity: str, inputs: Values, tail: Any) -> str:
        """The last lines of both streams, with the container's credentials blotted out."""
        return docker_files.hide(self.engine.api.logs(identity, tail=tail).decode(errors="replace"), inputs)

    def state(self, seen: Values, inputs: Values) -> Values:
        """What Docker has made of the inputs, in the official plugin's outputs."""
        networks, made = seen["NetworkSettings"], {**seen["Config"], "HostConfig": seen["HostConfig"]}
        values: Values = {
            "bridge": networks["Bridge"],
            "networkDatas": [
                {"networkName": name, **{output: data.get(key) for output, key in NETWORK_DATA.items()}}
                for name, data in sorted(networks["Networks"].items())
            ],
            "shmSize": seen["HostConfig"]["ShmSize"] // MIB,
        }
        for name in ("command", "entrypoints", "hostname", "ipcMode", "runtime", "init", "securityOpts", "logDriver"):
            values[name] = at(made, INPUTS[name].api)
        if not seen["State"]["Running"]:
            values["exitCode"] = seen["State"]["ExitCode"]
        if "ports" in inputs:
            bound = networks["Ports"] or {}
            values["ports"] = [{**port, "external": host_port(port, bound)} for port in inputs["ports"]]
        return values

    def read(self, identity: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        try:
            seen = self.inspect(identity)
        except NotFound:
            return None
        now = {**inputs, "name": seen["Name"].lstrip("/"), "mustRun": inputs["mustRun"] and seen["State"]["Running"]}
        for name in OBSERVED:
            value = at(seen, INPUTS[name].api) or INPUTS[name].default
            value = value // MIB if INPUTS[name].convert and value and value > 0 else value
            # Docker sets memorySwap by itself; without the program's word on it there is nothing to compare with.
            if name in inputs or (value and name != "memorySwap"):
                now[name] = value if value is not None else 0
        if "cpus" in inputs and nano_cpus(inputs["cpus"]) != seen["HostConfig"]["NanoCpus"]:
            now["cpus"] = f"{seen['HostConfig']['NanoCpus'] / 1e9:g}"
        return now, {**kept(outputs), **self.state(seen, now)}

    def update(self, identity: str, old: Values, new: Values, outputs: Values) -> Values:
        if new["mustRun"] and not old["mustRun"] and new["start"]:
            self.engine.api.start(identity)
        if any(old.get(name) != new.get(name) for name in OBSERVED):
            wanted = to_api(INPUTS, {name: new.get(name) for name in OBSERVED})["HostConfig"]
            limits = {key: at({"HostConfig": wanted}, INPUTS[name].api) for name, key in UPDATABLE.items()}
            self.engine.api.update_container(identity, restart_policy=wanted["RestartPolicy"], **limits)
        return {**kept(outputs), **self.state(self.inspect(identity), new)}

    def delete(self, identity: str, state: Values) -> None:
        try:
            if not state.get("attach"):
                self.engine.api.stop(identity, timeout=state.get("destroyGraceSeconds", 0))
            self.engine.api.remove_container(identity, v=state.get("removeVolumes", True), force=True)
        except NotFound:
            pass
        except APIError as error:
            if "already in progress" not in str(error):
                raise


def kept(outputs: Values) -> Values:
    """The outputs that only the creation can make."""
    return {name: outputs[name] for name in ("containerLogs",) if name in outputs}


def at(values: Values, path: str) -> Any:
    """The value at a dotted path."""
    found: Any = values
    for name in path.split("."):
        found = (found or {}).get(name)
    return found


def host_port(port: Values, bound: Values) -> int:
    """The host port of a published port: the program's, or the one that Docker chose."""
    bindings = bound.get(f"{port['internal']}/{port['protocol']}") or []
    chosen = [int(binding["HostPort"]) for binding in bindings if binding["HostIp"] == port["ip"]]
    return int(port.get("external") or next(iter(chosen), 0))


def body(inputs: Values) -> Values:
    """The request that creates the container."""
    request = to_api(INPUTS, inputs)
    host = request["HostConfig"]
    host.setdefault("Init", False)
    if "NanoCpus" in host:  # cpus wins over the two that it is made of
        host.update(CpuPeriod=0, CpuQuota=0)
    request["ExposedPorts"], host["PortBindings"] = {}, {}
    for port in inputs.get("ports", []):
        key = f"{port['internal']}/{port['protocol']}"
        request["ExposedPorts"][key] = {}
        binding = {"HostIp": port["ip"], "HostPort": str(port.get("external", ""))}
        host["PortBindings"].setdefault(key, []).append(binding)
    volumes = inputs.get("volumes", [])
    request["Volumes"] = {entry["containerPath"]: {} for entry in volumes}
    host["Binds"] = [
        f"{source}:{entry['containerPath']}:{'ro' if entry.get('readOnly') else 'rw'}"
        for entry in volumes
        if (source := entry.get("hostPath") or entry.get("volumeName"))
    ]
    return request
