"""`make bench`: measures, and writes the results into benchmarks/README.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import machine, preview, proxy, tables, up
from benchmarks.measure import MeasurementError
from toolchain.console import ToolchainError, say

PAGE = Path(__file__).with_name("README.md")
NAMES = ("up", "preview", "proxy")
SIZES = (10, 100, 1000)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default=",".join(NAMES), help="which, separated by commas (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=3, help="runs of each variant (default: %(default)s)")
    parser.add_argument("--services", default=",".join(map(str, SIZES)), help="sizes of the previews")
    parser.add_argument("--page", type=Path, default=PAGE, help="Markdown file that the results go into")
    options = parser.parse_args(words)
    options.only = [name for name in options.only.split(",") if name]
    options.services = [int(number) for number in options.services.split(",")]
    if unknown := set(options.only) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    return options


def main() -> int:
    """Run the chosen benchmarks; each writes its section as soon as it is done."""
    options = arguments()
    runs: dict[str, Callable[[Path], dict[str, str]]] = {
        "up": lambda folder: up.run_all(folder, options.repetitions, say),
        "preview": lambda folder: preview.run(folder, options.services, options.repetitions, say),
        "proxy": lambda folder: proxy.run(folder, options.repetitions, say),
    }
    for name in options.only:
        where, start = machine.describe(), time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
                sections = runs[name](Path(folder))
        except (MeasurementError, ToolchainError) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            return 1
        text = options.page.read_text(encoding="utf-8")
        for section, body in sections.items():
            text = tables.between(text, section, f"{where}; medians of {options.repetitions} runs.\n\n{body}")
            print(f"\n{section}\n\n{body}\n")
        options.page.write_text(text, encoding="utf-8")
        say(f"{name}: {time.monotonic() - start:.0f} s; results in {options.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
