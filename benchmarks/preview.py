"""`pulumi preview`: the composed program beside the flat one as services grow in number, and the policies' share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import tables
from benchmarks.flat import FlatProgram
from benchmarks.measure import Sample, cpu, interleave, memory, ratio, seconds
from benchmarks.programs import services
from benchmarks.recording import graph_of
from benchmarks.workspace import POLICIES, SERVICES, Project, dev_config, docker_config

OURS, PLAIN, BARE, CHECKED = "ours", "flat", "flat, without components", "ours, with policies"
STACK = "bench"
POOL = "10.0.0.0/8"
FLAT_AIM, SCALING_AIM, POLICY_AIM = 1.05, 1.10, 1.10
SMALL, LARGE = 100, 1000
"""Numbers of services whose cost per resource is compared."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The runs of one stack."""

    what: str
    services: int
    """0 for the dev stack."""
    resources: Mapping[str, int]
    """How many each variant registers, the stack itself included."""
    samples: Mapping[str, Sequence[Sample]]

    @property
    def per_resource(self) -> float:
        """Seconds of a preview of our program for each resource."""
        return seconds(self.samples[OURS]) / self.resources[OURS]


def run(folder: Path, sizes: Sequence[int], repetitions: int, say: Callable[[str], None]) -> dict[str, str]:
    """The sections `preview` and `policies`."""
    measured = [_dev(folder, repetitions, say)]
    measured += [_services(folder / str(number), number, repetitions, say) for number in sizes]
    return {"preview": preview_report(measured), "policies": policy_report(measured)}


def _dev(folder: Path, repetitions: int, say: Callable[[str], None]) -> Measured:
    say("preview of the dev stack")
    ours = Project.ours(folder, STACK, dev_config())
    variants: dict[str, Callable[[], Sample]] = {
        OURS: partial(ours.run, "preview", stack=STACK),
        CHECKED: partial(ours.run, "preview", *POLICIES, stack=STACK),
    }
    # Compiles what is not compiled yet, and fills the system's caches.
    interleave(variants, 1)
    samples = interleave(variants, repetitions)
    return Measured(what="dev stack", services=0, resources={OURS: created(ours)}, samples=samples)


def _services(folder: Path, number: int, repetitions: int, say: Callable[[str], None]) -> Measured:
    say(f"preview of {number} services")
    config = {**docker_config(services.NAME, networkPool=POOL), **services.config(number)}
    ours = Project.make(folder, "ours", SERVICES)
    ours.stack(STACK, config)
    graph = graph_of(services.main, config, stack=STACK, root=ours.folder)
    flat = Project.flat(folder, FlatProgram(graph, stack=STACK), STACK)
    variants: dict[str, Callable[[], Sample]] = {
        OURS: partial(ours.run, "preview", stack=STACK),
        PLAIN: partial(flat.run, "preview", stack=STACK),
        CHECKED: partial(ours.run, "preview", *POLICIES, stack=STACK),
    }
    resources = {OURS: len(graph.resources) + 1, PLAIN: len(graph.resources) + 1}
    if number <= SMALL:
        bare = FlatProgram(graph, stack=STACK, components=False)
        less = Project.flat(folder, bare, STACK, name="bare")
        variants[BARE] = partial(less.run, "preview", stack=STACK)
        resources[BARE] = len(bare.resources) + 1
    # Compiles the flat program; a long preview needs no other warming up.
    interleave({PLAIN: variants[PLAIN]} if number > SMALL else variants, 1)
    samples = interleave(variants, repetitions)
    return Measured(what=f"{tables.count(number)} services", services=number, resources=resources, samples=samples)


def created(project: Project) -> int:
    """How many resources the last preview of a project would create."""
    found = re.search(r"\+ (\d+) to create", (project.folder / "command.log").read_text(encoding="utf-8"))
    return int(found[1]) if found else 0


def preview_report(measured: Sequence[Measured]) -> str:
    """Times and memory of the composed program beside the flat one."""
    rows, aims = [], []
    for one in measured:
        for variant in (OURS, PLAIN, BARE):
            samples = one.samples.get(variant)
            if samples is None:
                continue
            rows.append(
                [
                    f"{one.what}, {variant}",
                    tables.count(one.resources[variant]),
                    tables.duration(seconds(samples)),
                    tables.duration(cpu(samples)),
                    f"{1000 * seconds(samples) / one.resources[variant]:.1f} ms",
                    tables.size(memory(samples, "program")),
                    tables.size(memory(samples, "CLI")),
                ]
            )
        if PLAIN in one.samples:
            share = ratio(one.samples[OURS], one.samples[PLAIN])
            aims.append(tables.aim(f"{one.what}, ours ÷ flat", share, FLAT_AIM))
    sizes = {one.services: one for one in measured}
    if {SMALL, LARGE} <= sizes.keys():
        growth = sizes[LARGE].per_resource / sizes[SMALL].per_resource
        what = f"a resource at {tables.count(LARGE)} services ÷ one at {SMALL}"
        aims.append(tables.aim(what, growth, SCALING_AIM))
    head = ("preview of", "resources", "wall", "CPU", "per resource", "program, peak", "CLI, peak")
    return tables.table(head, rows) + "\n\n" + "\n".join(aims)


def policy_report(measured: Sequence[Measured]) -> str:
    """What the policy pack adds to a preview."""
    rows, aims = [], []
    for one in measured:
        without, checked = one.samples[OURS], one.samples[CHECKED]
        rows.append(
            [
                one.what,
                tables.duration(seconds(without)),
                tables.duration(seconds(checked)),
                tables.duration(cpu(without)),
                tables.duration(cpu(checked)),
                tables.size(memory(checked, "policy pack")),
            ]
        )
        aims.append(tables.aim(f"{one.what}, with ÷ without", ratio(checked, without), POLICY_AIM))
    head = ("preview of", "without, wall", "with, wall", "without, CPU", "with, CPU", "pack, peak")
    return tables.table(head, rows) + "\n\n" + "\n".join(aims)
