"""`pulumi-language-python` for machines that cannot reach Pulumi's plugin registry.

Speaks `pulumirpc.LanguageRuntime` to the CLI: runs programs (by `program.py`) and policy packs, and reports the plugins
that the installed packages ask for. The runtime option `virtualenv` is honoured, relative to the project or the pack.
Everything else (code generation, package linking, templates) answers UNIMPLEMENTED, as gRPC does by itself.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import language_pb2 as lang
from pulumi.runtime.proto import language_pb2_grpc, plugin_pb2

from toolchain.plugins.parent import follow_parent

BAIL = 32
"""Exit code of a program that has already reported its error to the engine."""
PIPED: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
GRPC_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
PROGRAM_RUNNER = Path(__file__).with_name("program.py")


class HostError(Exception):
    """A request that cannot be served, with the text that the user reads."""


def interpreter(info: lang.ProgramInfo) -> str:
    """The Python of the project's or pack's `virtualenv` option, else the one that runs this host.

    Raises HostError for a virtualenv without an interpreter and for runtime options that are not supported here.
    """
    options = json_format.MessageToDict(info.options)
    unknown = {key for key in options if key != "virtualenv" and (key, options[key]) != ("toolchain", "pip")}
    if unknown:
        raise HostError(f"runtime options not supported by this language host: {', '.join(sorted(unknown))}")
    if not options.get("virtualenv"):
        return sys.executable
    python = Path(info.root_directory, options["virtualenv"], "bin", "python")
    if not python.is_file():
        raise HostError(f"runtime option virtualenv: {python} does not exist; create the virtual environment first")
    return str(python)


def required_packages(python: str) -> list[plugin_pb2.PackageDependency]:
    """The resource plugins named by the `pulumi-plugin.json` files of the packages beside `python`."""
    packages = []
    for file in sorted(Path(python).parents[1].glob("lib/python3*/site-packages/*/pulumi-plugin.json")):
        plugin = json.loads(file.read_text(encoding="utf-8"))
        if plugin.get("resource"):
            package = {key: plugin[key] for key in ("name", "version", "server") if plugin.get(key)}
            packages.append(plugin_pb2.PackageDependency(kind="resource", **package))
    return packages


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """The gRPC service. One instance serves one CLI command."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.children: set[subprocess.Popen[bytes]] = set()

    def start(self, command: Sequence[str], context: grpc.ServicerContext, **kwargs: Any) -> subprocess.Popen[bytes]:
        """Start a child that gets SIGINT when the engine gives the call up."""
        child = subprocess.Popen(command, **kwargs)  # noqa: S603 - the commands are built here, without a shell
        self.children.add(child)
        context.add_callback(self.interrupt)
        return child

    def interrupt(self) -> None:
        """Ask every running child to end."""
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)

    def Handshake(self, request: Any, _context: Any) -> lang.LanguageHandshakeResponse:
        self.engine = request.engine_address or self.engine
        return lang.LanguageHandshakeResponse()

    def GetPluginInfo(self, _request: Any, _context: Any) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo()

    def Cancel(self, _request: Any, _context: Any) -> empty_pb2.Empty:
        self.interrupt()
        return empty_pb2.Empty()

    def About(self, request: lang.AboutRequest, context: grpc.ServicerContext) -> lang.AboutResponse:
        python = answer(context, interpreter, request.info)
        version = subprocess.run([python, "-VV"], capture_output=True, text=True, check=True)  # noqa: S603
        return lang.AboutResponse(executable=python, version=version.stdout.split()[1])

    def GetProgramDependencies(self, request: Any, context: grpc.ServicerContext) -> Any:
        python = answer(context, interpreter, request.info)
        flags = [] if request.transitiveDependencies else ["--not-required"]
        command = [python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check", *flags]
        listed = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        return lang.GetProgramDependenciesResponse(
            dependencies=[
                lang.DependencyInfo(name=entry["name"], version=entry["version"]) for entry in json.loads(listed.stdout)
            ]
        )

    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> lang.GetRequiredPackagesResponse:
        return lang.GetRequiredPackagesResponse(
            packages=required_packages(answer(context, interpreter, request.info)),
        )

    def InstallDependencies(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        python = answer(context, interpreter, request.info)
        requirements = Path(request.info.program_directory, "requirements.txt")
        if requirements.is_file():
            pip = self.start([python, "-m", "pip", "install", "-r", str(requirements)], context, **PIPED)
            for name, chunk in output(pip):
                yield lang.InstallDependenciesResponse(**{name: chunk})
            if pip.wait():
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"pip could not install {requirements}")

    def Run(self, request: lang.RunRequest, context: grpc.ServicerContext) -> lang.RunResponse:
        try:
            python = interpreter(request.info)
        except HostError as error:
            return lang.RunResponse(error=str(error))
        program = Path(request.info.program_directory, request.info.entry_point or ".")
        command = [
            *(python, "-u", str(PROGRAM_RUNNER), "--monitor", request.monitor_address, "--engine", self.engine),
            *("--project", request.project, "--stack", request.stack, "--organization", request.organization),
            *("--root_directory", request.info.root_directory, "--parallel", str(request.parallel)),
            *("--dry_run", str(request.dryRun).lower(), str(program), *request.args),
        ]
        environment = {
            **os.environ,
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        child = self.start(command, context, cwd=request.info.program_directory, env=environment)
        code = child.wait()
        if code in (0, BAIL):
            return lang.RunResponse(bail=code == BAIL)
        return lang.RunResponse(error=f"Program exited with non-zero exit code: {code}")

    def RunPlugin(self, request: lang.RunPluginRequest, context: grpc.ServicerContext) -> Iterator[Any]:
        if request.kind != "analyzer":
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"plugins of kind {request.kind!r} are not supported")
        python = answer(context, interpreter, request.info)
        command = [python, "-u", "-m", "pulumi.policy", *request.args, request.info.program_directory]
        environment = {**os.environ, **dict(entry.split("=", 1) for entry in request.env)}
        pack = self.start(command, context, cwd=request.pwd or None, env=environment, **PIPED)
        for name, chunk in output(pack):
            yield lang.RunPluginResponse(stdout=chunk) if name == "stdout" else lang.RunPluginResponse(stderr=chunk)
        yield lang.RunPluginResponse(exitcode=pack.wait())


def output(child: subprocess.Popen[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield (stream's name, chunk) as the child writes, until both of its streams end."""
    chunks: queue.Queue[tuple[str, bytes]] = queue.Queue()

    def pump(name: str, pipe: Any) -> None:
        while chunk := os.read(pipe.fileno(), 65536):
            chunks.put((name, chunk))
        chunks.put((name, b""))

    for name, pipe in (("stdout", child.stdout), ("stderr", child.stderr)):
        threading.Thread(target=pump, args=(name, pipe), daemon=True).start()
    streams = 2
    while streams:
        name, chunk = chunks.get()
        if chunk:
            yield name, chunk
        else:
            streams -= 1


def answer(context: grpc.ServicerContext, function: Any, *args: Any) -> Any:
    """Call a function; turn its HostError into a gRPC error that the CLI prints."""
    try:
        return function(*args)
    except HostError as error:
        return context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))


def main() -> None:
    """Serve until the CLI ends this process, or is gone. The engine's address comes last; the port goes to stdout."""
    host = LanguageHost(sys.argv[-1])
    follow_parent(host.interrupt)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=GRPC_OPTIONS)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def stop(_number: int, _frame: Any) -> None:
        host.interrupt()
        server.stop(grace=None)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
