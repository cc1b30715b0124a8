"""Runs one Pulumi program for the language host: connects the SDK to the engine, then executes its `__main__`.

Exit codes: 0, the program's own, 32 when the error has been reported to the engine, 130 on SIGINT (no traceback).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pulumi
from pulumi import log, runtime
from pulumi.runtime.config import get_config_secret_keys_env

BAIL = 32
"""Exit code that tells the language host: the error has been reported."""
INTERRUPTED = 130
ENGINE_GONE = "Resource monitor has terminated"


def arguments() -> argparse.Namespace:
    """The command line that the language host builds."""
    parser = argparse.ArgumentParser()
    for name in ("monitor", "engine", "project", "stack", "organization", "root_directory", "dry_run"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("program")
    parser.add_argument("args", nargs=argparse.REMAINDER)
    return parser.parse_args()


def connect(args: argparse.Namespace) -> None:
    """Point the SDK's ambient settings at the engine and hand it the stack's configuration."""
    runtime.set_all_config(runtime.get_config_env(), get_config_secret_keys_env())
    runtime.configure(
        runtime.Settings(
            project=args.project,
            stack=args.stack,
            monitor=args.monitor,
            engine=args.engine,
            parallel=args.parallel,
            dry_run=args.dry_run == "true",
            organization=args.organization or "organization",
            root_directory=args.root_directory,
        )
    )


def report(error: BaseException, directory: Path) -> None:
    """Log an uncaught error through the engine, with the program's own frames of the traceback.

    Silent when the engine has gone: it is ending the program itself then, and has told the user why.
    """
    if isinstance(error, grpc.RpcError):
        call: Any = error  # what the client raises is an RpcError and a Call, which the types do not say
        if call.code() != grpc.StatusCode.UNAVAILABLE:
            log.error(f"RPC error: {call.details()}")
    elif isinstance(error, pulumi.RunError):
        if ENGINE_GONE not in str(error):
            log.error(str(error))
    else:
        while error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            if Path(error.__traceback__.tb_frame.f_code.co_filename).is_relative_to(directory):
                break
            error.__traceback__ = error.__traceback__.tb_next
        log.error("Program failed with an unhandled exception:\n" + "".join(traceback.format_exception(error)))


def run(program: Path, parallel: int) -> int:
    """Execute the program inside a stack resource. Returns the exit code."""
    directory = program if program.is_dir() else program.parent
    loop = asyncio.new_event_loop()
    # Each outstanding resource blocks one thread; the SDK's own runner uses the same factor.
    loop.set_default_executor(ThreadPoolExecutor(max_workers=min(max(parallel, 1) * 4, 512)))
    try:
        loop.run_until_complete(runtime.run_in_stack(lambda: execute(program)))
    except SystemExit as exit_request:
        return exit_request.code if isinstance(exit_request.code, int) else int(exit_request.code is not None)
    except Exception as error:  # noqa: BLE001 - whatever the program raises is reported, not handled
        report(error, directory)
        return BAIL
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def execute(program: Path) -> None:
    """Run the program's module; its resources register themselves."""
    runpy.run_path(str(program), run_name="__main__")


def main() -> None:
    """Entry point; leaves without waiting for threads that an aborted program left behind."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    # Faulted outputs that nobody awaited are reported by the engine already.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    args = arguments()
    program = Path(args.program).resolve()
    sys.path[0] = str(program if program.is_dir() else program.parent)
    sys.argv = [str(program), *args.args]
    connect(args)
    code = run(program, args.parallel)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
