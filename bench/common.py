"""What all benchmarks share: measuring a process, describing the machine, keeping results, printing.

A benchmark is a function in bench/bench_*.py:

    @benchmark("http-single", work="one event a request, durable before the answer",
               goals=[Goal("requests_per_s", ">=", 40_000), Goal("p99_ms", "<=", 5)], options=add_options)
    def http_single(b):
        ...
        return {"figures": {"requests_per_s": 41_000, "p99_ms": 3.1}, "parameters": {"connections": 256}, "details": {...}}

`figures` are plain numbers: they go into the table, the goals name them, and the history keeps them. `parameters` say what was
run. `details` may be anything else and is kept for the newest run only. `b` is a Bench: `b.o` the options, `b.work` a folder of
its own that is removed afterwards, `b.check(claim, message)` ends the benchmark when an answer is wrong.

Standard library only: heavy readers (DuckDB, PyIceberg) run in processes of their own, since the peak RSS that Linux reports
for a child begins at the size of the process it was forked from.
"""
import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEIR = Path(os.environ.get("WEIR", ROOT / "build/release/weir"))
PYTHON = ROOT / ".deps/venv/bin/python"
RESULTS = ROOT / "bench/results"
_BUILD = Path(os.environ.get("WEIR_BENCH_DIR", ROOT / "build"))  # where there is room
DATA = _BUILD / "bench-data"  # generated input, kept for the next run
WORK = _BUILD / "bench-work"
HISTORY_MAX = 20  # earlier runs whose figures a result file keeps

TICKS = os.sysconf("SC_CLK_TCK")


class Wrong(Exception):
    """A benchmark whose answer is wrong or whose call failed; its text says all."""


# ------------------------------------------------------------------------------------ measuring


class Measured:
    """A finished command. CPU seconds are user + system of the process and of all children it waited for."""

    def __init__(self, out, wall_s, cpu_s, peak_rss_bytes, user_s=0.0, sys_s=0.0):
        self.out, self.wall_s, self.cpu_s, self.peak_rss_bytes = out, wall_s, cpu_s, peak_rss_bytes
        self.user_s, self.sys_s = user_s, sys_s

    @property
    def json(self):
        return json.loads(self.out)


def measure(args, **popen):
    """Runs a command to its end; its standard error goes to ours. Raises Wrong when it fails."""
    args = [str(a) for a in args]
    start = time.monotonic()
    p = subprocess.Popen(args, stdout=subprocess.PIPE, **popen)
    try:
        out = p.stdout.read()
        _, status, usage = os.wait4(p.pid, 0)
    except BaseException:
        p.kill()
        raise
    wall = time.monotonic() - start
    p.returncode = os.waitstatus_to_exitcode(status)  # so that Popen does not wait again
    if status:
        raise Wrong(f"{' '.join(args)[:400]} ended with {p.returncode}")
    return Measured(out, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, usage.ru_utime, usage.ru_stime)


def call(args, **popen):
    """Runs a command and returns what it printed. Raises Wrong when it fails."""
    p = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, **popen)
    if p.returncode:
        raise Wrong(f"{' '.join(map(str, args))[:400]} ended with {p.returncode}")
    return p.stdout


class Server:
    """A process that keeps running, with its resource use so far. Ends with the `with` block, by its process id."""

    def __init__(self, args, log, **popen):
        self.log_path = Path(log)
        with open(self.log_path, "wb") as f:
            self.process = subprocess.Popen([str(a) for a in args], stdout=f, stderr=subprocess.STDOUT, **popen)
        self.pid = self.process.pid
        self._started = time.monotonic()

    def cpu_s(self):
        """User + system seconds of the process and the children it waited for, at 10 ms resolution."""
        return cpu_of(self.pid)

    def rss_bytes(self):
        return memory_of(self.pid).get("VmRSS", 0)

    def peak_rss_bytes(self):
        return memory_of(self.pid).get("VmHWM", 0)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_for(self, text, seconds=60):
        """Waits until the output holds `text`; returns the output."""
        return wait_until(lambda: (t := self.log()) and text in t and t, seconds, f"'{text}' from pid {self.pid}", self)

    def stop(self, seconds=60):
        """SIGTERM, and SIGKILL when that takes too long. Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def wait_until(ready, seconds, what, server=None, every=0.002):
    """Polls `ready` until it gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        value = ready()
        if value:
            return value
        if server is not None and server.process.poll() is not None:
            raise Wrong(f"pid {server.pid} ended with {server.process.returncode} before {what} came:\n{server.log()[-3000:]}")
        if time.monotonic() > end:
            raise Wrong(f"{what} did not come within {seconds} s" + (f":\n{server.log()[-3000:]}" if server else ""))
        time.sleep(every)


def cpu_of(pid):
    """User + system seconds of a living process and of the children it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(x) for x in fields[11:15]) / TICKS


def memory_of(pid):
    """VmRSS, VmHWM (its peak) and the like in bytes; nothing when the process is gone."""
    found = {}
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("VmRSS:", "VmHWM:", "RssAnon:", "RssFile:")):
                name, value = line.split(":")
                found[name] = int(value.split()[0]) * 1024
    except OSError:
        pass
    return found


class Sampler:
    """Samples a living process on a thread of its own: (seconds, RSS, CPU seconds) every `every` seconds."""

    def __init__(self, pid, every=0.2):
        self.pid, self.every, self.samples = pid, every, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        start = time.monotonic()
        while not self._stop.wait(self.every):
            try:
                self.samples.append((time.monotonic() - start, memory_of(self.pid).get("VmRSS", 0), cpu_of(self.pid)))
            except (OSError, IndexError, ValueError):
                return

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def percentile(values, share):
    """The value that `share` of all are not above (0.99: p99); None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# ---------------------------------------------------------------------- where and what was measured


def machine():
    cpu, memory = platform.machine(), 0
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            memory = int(line.split()[1]) * 1024
    return {"cores": os.cpu_count(), "cpu": cpu, "memory_bytes": memory, "kernel": platform.release(),
            "load_before": round(os.getloadavg()[0], 2)}


def commit():
    """The commit, with + behind it when files that are built or run differ from it."""
    def git(*args):
        return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results", ":!docs")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


# --------------------------------------------------------------------------------------- benchmarks


class Goal:
    """A bound on a figure: Goal("events_per_s", ">=", 1e6)."""

    def __init__(self, figure, relation, bound):
        assert relation in (">=", "<=")
        self.figure, self.relation, self.bound = figure, relation, bound

    def reached(self, figures):
        got = figures.get(self.figure)
        if got is None:
            return None
        return got >= self.bound if self.relation == ">=" else got <= self.bound


class Benchmark:
    def __init__(self, name, work, goals, run, options, in_all):
        self.name, self.work, self.goals, self.run, self.options, self.in_all = name, work, goals, run, options, in_all


REGISTRY = {}  # name -> Benchmark


def benchmark(name, *, work, goals=(), options=None, in_all=True):
    """Registers a benchmark. `work`: one line for the table; `options(parser)` adds options of its own; `in_all`: whether
    `./x bench all` runs it."""
    def register(run):
        REGISTRY[name] = Benchmark(name, work, list(goals), run, options, in_all)
        return run
    return register


class Bench:
    """What a running benchmark works with."""

    def __init__(self, options, work):
        self.o, self.work = options, work

    @staticmethod
    def check(claim, message):
        if not claim:
            raise Wrong(message)

    @staticmethod
    def say(text):
        print(f"bench: {text}", file=sys.stderr, flush=True)


def run_benchmark(name, arguments):
    """Runs one; returns (result, whether it may be kept)."""
    bench = REGISTRY[name]
    parser = argparse.ArgumentParser(prog=f"./x bench {name}", description=(bench.run.__doc__ or bench.work),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to print (default: text)")
    parser.add_argument("--no-keep", action="store_true", help="leave bench/results alone; so do runs with other options than the defaults")
    if bench.options:
        bench.options(parser)
    o = parser.parse_args(arguments)
    usual = vars(parser.parse_args([]))
    as_usual = all(v == usual[k] for k, v in vars(o).items() if k not in ("output", "no_keep"))
    if not WEIR.exists():
        raise Wrong(f"{WEIR} is missing: run  ./x build release weir")
    about = {"benchmark": name, "work": bench.work, "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
             "commit": commit(), "machine": machine()}
    WORK.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=WORK))
    start = time.monotonic()
    try:
        outcome = bench.run(Bench(o, work))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    figures = {k: rounded(v) for k, v in outcome["figures"].items()}  # goals are of what is shown
    result = {**about, "seconds": round(time.monotonic() - start, 1), "parameters": outcome.get("parameters", {}),
              "figures": figures,
              "goals": [{"figure": g.figure, "relation": g.relation, "bound": g.bound, "reached": g.reached(figures)} for g in bench.goals],
              "details": outcome.get("details", {})}
    return result, o, as_usual and not o.no_keep


def rounded(value):
    """Four figures are more than a benchmark knows."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return round(value)
    return float(f"{value:.4g}")


def keep(result):
    """Makes `result` the newest of bench/results/<name>.json; the figures of the runs before stay in its history."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{result['benchmark']}.json"
    history = []
    if path.exists():
        before = json.loads(path.read_text())
        history = [{k: before[k] for k in ("date", "commit", "figures")}, *before.get("history", [])][:HISTORY_MAX]
    path.write_text(json.dumps({**result, "history": history}, indent=1) + "\n")


def number(value):
    if value is None:
        return "-"
    if isinstance(value, float) and abs(value) < 1000:
        return f"{value:g}"
    return f"{value:,.0f}" if not isinstance(value, (str, bool)) else str(value)


def show(result):
    """The result as text for people."""
    m = result["machine"]
    print(f"{result['benchmark']}: {result['work']}")
    print(f"  {m['cores']} x {m['cpu']}, {m['memory_bytes'] / 2**30:.0f} GiB, Linux {m['kernel']}, load before {m['load_before']};"
          f" commit {result['commit']}, {result['date']}, {result['seconds']} s")
    if result["parameters"]:
        print("  " + ", ".join(f"{k} {number(v)}" for k, v in result["parameters"].items()))
    goals = {}
    for g in result["goals"]:
        state = {True: "reached", False: "MISSED", None: "not measured"}[g["reached"]]
        goals.setdefault(g["figure"], []).append(f"goal {g['relation']} {number(g['bound'])}: {state}")
    for name, value in result["figures"].items():
        print(f"  {name:36} {number(value):>16}  {'; '.join(goals.get(name, []))}".rstrip())
    sys.stdout.flush()
