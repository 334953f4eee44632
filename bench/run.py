#!/usr/bin/env python3
"""Runs benchmarks: `./x bench [NAME] [options]`; `./x bench` alone lists them, `./x bench NAME --help` tells NAME's options.

    ./x bench NAME [-o json] [--no-keep]   one benchmark; its result is kept in bench/results/NAME.json unless options changed the work
    ./x bench all                          every benchmark unattended, each in a process of its own, then docs/performance.md anew
    ./x bench report                       docs/performance.md from the kept results

A wrong answer (a row too many or too few, a ledger that does not balance) is a failure, not a figure: exit code 1.
"""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECONDS_MAX = 900  # of one benchmark in `all`
sys.path.insert(0, str(HERE))
import common  # noqa: E402


def load():
    for path in sorted(HERE.glob("bench_*.py")):
        __import__(path.stem)


def run_alone(name, arguments):
    """A benchmark in a process group of its own, which is ended as a whole when it takes too long; its exit code."""
    p = subprocess.Popen([sys.executable, __file__, name, *arguments], start_new_session=True)
    try:
        return p.wait(SECONDS_MAX)
    except BaseException as e:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        if not isinstance(e, subprocess.TimeoutExpired):
            raise
        print(f"bench: {name}: stopped, it took longer than {SECONDS_MAX} s", file=sys.stderr)
        return 1


def run_all(arguments):
    start, failed = time.monotonic(), []
    for name, bench in common.REGISTRY.items():
        if bench.in_all:
            if run_alone(name, arguments):
                failed.append(name)
    report()
    print(f"{time.monotonic() - start:.0f} s; " + (f"failed: {', '.join(failed)}" if failed else "all ran"))
    return 1 if failed else 0


def report():
    import report as r
    r.write()


def main():
    load()
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("", "-h", "--help"):
        print(__doc__)
        for n, b in common.REGISTRY.items():
            print(f"  {n:16} {b.work}")
        return 0
    if name == "all":
        return run_all(sys.argv[2:])
    if name == "report":
        report()
        return 0
    if name not in common.REGISTRY:
        print(f"bench: no benchmark '{name}'; there are: {', '.join(common.REGISTRY)}", file=sys.stderr)
        return 2
    try:
        result, o, may_keep = common.run_benchmark(name, sys.argv[2:])
    except common.Wrong as e:
        print(f"bench: {name}: {e}", file=sys.stderr)
        return 1
    if may_keep:
        common.keep(result)
    if o.output == "json":
        print(json.dumps(result, indent=1))
    else:
        common.show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
