#!/usr/bin/env python3
"""examples/rides from event files to committed tables; prints JSON.

    ./x bench rides [--scale 4.3] [--runs 3] [--shards 1] [--set key=value …]

wall_s and cpu_s are those of the fastest run; every run starts with an empty lake and ends with balanced books.
"""
import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEIR = Path(os.environ.get("WEIR", ROOT / "build/release/weir"))


def measure(args):
    """Runs a command; (stdout, wall s, CPU s, peak RSS bytes) of this very process."""
    start = time.monotonic()
    p = subprocess.Popen(list(map(str, args)), stdout=subprocess.PIPE, stderr=sys.stderr)
    out = p.stdout.read()
    _, status, usage = os.wait4(p.pid, 0)
    wall = time.monotonic() - start
    if status:
        sys.exit(f"bench: {args[1]} ended with {os.waitstatus_to_exitcode(status)}")
    return out, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def commit_id():
    p = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return p.stdout.strip()


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--scale", type=float, default=4.3), a.add_argument("--runs", type=int, default=3)
    a.add_argument("--shards", type=int, default=1), a.add_argument("--set", action="append", default=[])
    o = a.parse_args()
    work = Path(tempfile.mkdtemp(prefix="weir-bench-"))
    try:
        _, generate_wall, *_ = measure([WEIR, "generate", "rides", "--scale", o.scale, "--out", work / "in"])
        events = work / "in/events.ndjson"
        expected = json.loads((work / "in/expected_counts.json").read_text())
        runs = []
        for n in range(o.runs):
            lake = work / f"lake{n}"
            sets = [x for s in [f"weir.threads.shards={o.shards}", *o.set] for x in ("--set", s)]
            out, wall, cpu, rss = measure([WEIR, "run", "--once", "--project", ROOT / "examples/rides", "--data", lake,
                                           "--source", f"ride_events={events}", "-o", "json", *sets])
            ledger = json.loads(subprocess.run([WEIR, "show", "ledger", "--project", ROOT / "examples/rides", "--data", lake, "-o", "json"],
                                               check=True, capture_output=True).stdout)[0]
            if ledger["received"] != expected["received"] or ledger["accepted"] != expected["accepted"]:
                sys.exit(f"bench: wrong answer: {ledger}, want {expected}")
            runs.append({"wall_s": round(wall, 3), "cpu_s": round(cpu, 3), "peak_rss_bytes": rss, "report": json.loads(out)})
            shutil.rmtree(lake)
        best = min(runs, key=lambda r: r["wall_s"])
        print(json.dumps({
            "benchmark": "rides", "commit": commit_id(), "machine": f"{os.cpu_count()} x {cpu_model()}",
            "rows": expected["received"], "input_bytes": events.stat().st_size, "shards": o.shards,
            "wall_s": best["wall_s"], "cpu_s": best["cpu_s"], "peak_rss_bytes": best["peak_rss_bytes"],
            "events_per_s": round(expected["received"] / best["wall_s"]),
            "events_per_cpu_s": round(expected["received"] / best["cpu_s"]),
            "all_wall_s": [r["wall_s"] for r in runs], "generate_wall_s": round(generate_wall, 3),
            "report": best["report"],
        }, indent=1))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
