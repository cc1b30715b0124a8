"""The machine's packet filter: what the cluster adds to it, and how all of it goes again."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from toolchain.cluster.settings import BRIDGE, NODE_ADDRESS, POD_CIDR, SERVICE_CIDR
from toolchain.console import ToolchainError

FORWARD, OUTPUT, POSTROUTING = "AIP-FORWARD", "AIP-OUTPUT", "AIP-POSTROUTING"
OURS = ("AIP-", "KUBE-", "CNI-")
"""How the chains begin that belong to the cluster: this project's, Kubernetes' and kube-router's, and portmap's."""
# An address of a Service that kube-proxy has not turned into a pod's must not leave: a gateway outside may answer it,
# and the connection would stay at the wrong end. Pods' packets are stopped by a routing rule: kube-router, which has
# the first word in FORWARD, lets them through.
UNROUTED = ("to", str(SERVICE_CIDR), "iif", BRIDGE, "prohibit")
REJECT = ("-d", str(SERVICE_CIDR), "-j", "REJECT", "--reject-with", "icmp-port-unreachable")
CHAINS: tuple[tuple[str, str, str, tuple[tuple[str, ...], ...]], ...] = (
    (
        "filter",
        "FORWARD",
        FORWARD,
        (
            # Docker drops what it does not know.
            ("-s", str(POD_CIDR), "-j", "ACCEPT"),
            ("-d", str(POD_CIDR), "-j", "ACCEPT"),
        ),
    ),
    ("filter", "OUTPUT", OUTPUT, (REJECT,)),
    ("nat", "POSTROUTING", POSTROUTING, (("-s", str(POD_CIDR), "!", "-d", str(POD_CIDR), "-j", "MASQUERADE"),)),
)
SYSCTL = {
    "net/ipv4/ip_forward": "1",
    # Pods of one bridge reach each other by the packet filter, or neither Services nor policies would hold there.
    "net/bridge/bridge-nf-call-iptables": "1",
}


def ensure() -> None:
    """The rules and kernel settings that pods need; what is there already stays.

    Raises ToolchainError when iptables refuses.
    """
    for name, value in SYSCTL.items():
        _sysctl(name, value)
    _run("ip", "address", "replace", f"{NODE_ADDRESS}/32", "dev", "lo")
    if f"to {SERVICE_CIDR} iif {BRIDGE}" not in _run("ip", "rule", "list"):
        _run("ip", "rule", "add", *UNROUTED)
    for table, parent, chain, rules in CHAINS:
        listed = _rules(table)
        if f"-N {chain}" not in listed:
            _run("iptables", "-w", "-t", table, "-N", chain)
            for rule in rules:
                _run("iptables", "-w", "-t", table, "-A", chain, *rule)
        if f"-A {parent} -j {chain}" not in listed:
            _run("iptables", "-w", "-t", table, "-I", parent, str(_place(listed, parent)), "-j", chain)


def _place(listed: Sequence[str], parent: str) -> int:
    """First, but behind kube-router: what a NetworkPolicy forbids must not be accepted before it is asked."""
    jumps = [line for line in listed if line.startswith(f"-A {parent} ")]
    policies = [number for number, line in enumerate(jumps, 1) if "-j KUBE-ROUTER-" in line]
    return max(policies, default=0) + 1


def _rules(table: str) -> list[str]:
    done = subprocess.run(["iptables", "-w", "-t", table, "-S"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolchainError(f"`iptables -t {table} -S` failed: {done.stderr.strip()}")
    return done.stdout.splitlines()


def _sysctl(name: str, value: str) -> None:
    file = Path("/proc/sys") / name
    if not file.is_file():
        # The bridge's filter is a module on some kernels.
        subprocess.run(["modprobe", "br_netfilter"], capture_output=True, check=False)
    if not file.is_file():
        raise ToolchainError(f"the kernel has no {name.replace('/', '.')}: load br_netfilter, or use another kernel")
    if file.read_text().strip() != value:
        file.write_text(value)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolchainError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout


def removal(saved: Iterable[str]) -> str:
    """What `iptables-restore --noflush` must be told to remove all chains of the cluster, from `iptables-save`."""
    lines: list[str] = []
    for line in saved:
        if line.startswith("*"):
            jumps, chains = [], []
            lines.append(line)
        elif found := re.match(r":(\S+)", line):
            if found[1].startswith(OURS):
                chains.append(found[1])
        elif found := re.match(r"-A (\S+) .*-[jg] (\S+)", line):
            # kube-router also has rules outside its chains, which it marks by their comment.
            if (found[2].startswith(OURS) or '"KUBE-ROUTER ' in line) and not found[1].startswith(OURS):
                jumps.append(f"-D {line[3:]}")
        elif line == "COMMIT":
            flushed = [f"-F {chain}" for chain in chains]
            lines += [*jumps, *flushed, *(f"-X {chain}" for chain in chains), line]
    return "\n".join([*lines, ""])


def remove() -> None:
    """Take away the cluster's rules, sets, bridge and address; the kernel settings stay, as others may rely on them."""
    for tool in ("iptables", "ip6tables"):
        saved = subprocess.run([f"{tool}-save"], capture_output=True, text=True, check=False).stdout
        if any(f":{prefix}" in saved for prefix in OURS):
            commands = removal(line.strip() for line in saved.splitlines())
            done = subprocess.run(
                [f"{tool}-restore", "--noflush", "-w"], input=commands, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise ToolchainError(f"{tool}-restore refused to remove the cluster's rules: {done.stderr.strip()}")
    sets = subprocess.run(["ipset", "list", "-n"], capture_output=True, text=True, check=False).stdout.split()
    # Sets that list other sets hold them: after a second round all are gone.
    for name in [*sets, *sets]:
        if name.startswith(("KUBE-", "inet6:KUBE-")):
            subprocess.run(["ipset", "destroy", name], capture_output=True, check=False)
    subprocess.run(["ip", "rule", "delete", *UNROUTED], capture_output=True, check=False)
    subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True, check=False)
    subprocess.run(["ip", "address", "delete", f"{NODE_ADDRESS}/32", "dev", "lo"], capture_output=True, check=False)
