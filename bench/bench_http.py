"""Weir's HTTP door: http-single, http-batch, start, idle.

The load comes from bench/http_load.cc on the same machine: it and the server share the processors, so its own CPU seconds are told,
and the server's CPU microseconds a request are the figure that another load on the machine changes least. Every answer must be 200
with each record accepted, and the ledger must count as many after the end.
"""
import http.client
import json
import shutil
import subprocess
import time

from bench_rides import EXAMPLE, contract_only
from common import ROOT, WEIR, Goal, Sampler, Server, Wrong, benchmark, call, cpu_of, memory_of

LOAD = ROOT / "build/release/http_load"
RATE = 40_000  # single requests a second that are the goal


def up(b, project, lake, *sets):
    """A running `weir up` and its port."""
    b.served = getattr(b, "served", 0) + 1
    server = Server([WEIR, "up", "--project", project, "--data", lake, "--port", "0", *(x for s in sets for x in ("--set", s))],
                    b.work / f"up{b.served}.log")
    try:
        text = server.wait_for("/v1/events/", 120)
    except BaseException:
        server.stop()
        raise
    return server, int(text.split("/v1/events/")[0].rsplit(":", 1)[1])


def load(port, *options):
    if not LOAD.exists():
        call([ROOT / "x", "build", "release", "http_load"])
    p = subprocess.run([LOAD, "--port", str(port), *map(str, options)], capture_output=True, text=True)
    if p.returncode:
        raise Wrong(f"http_load {' '.join(map(str, options))}: {p.stdout[:600]}{p.stderr[:600]}")
    return json.loads(p.stdout)


def accepted(project, lake):
    ledger = json.loads(call([WEIR, "show", "ledger", "--project", project, "--data", lake, "-o", "json"]))
    return sum(line["accepted"] for line in ledger)


def driven(b, project, *phases):
    """Runs load phases against a new lake; what each measured, with the server's CPU. The ledger must agree at the end."""
    lake = b.work / "lake"
    server, port = up(b, project, lake)
    done, first = [], 0
    with server:
        for phase in phases:
            options = phase(done) if callable(phase) else phase
            before, began = server.cpu_s(), time.monotonic()
            got = load(port, *options, "--first", first)
            requests = sum(got["statuses"].values())
            got["server_cpu_us"] = (server.cpu_s() - before) / requests * 1e6
            got["server_cores"] = (server.cpu_s() - before) / (time.monotonic() - began)
            first = got["next"]
            done.append(got)
        peak = server.peak_rss_bytes()
        # A stop commits the open epoch; the rest of the log follows in the next run.
        b.check(server.stop(120) == 0, f"weir up did not end well:\n{server.log()[-2000:]}")
    call([WEIR, "run", "--once", "--project", project, "--data", lake])
    counted, want = accepted(project, lake), sum(d["accepted"] for d in done)
    b.check(counted == want, f"the ledger counts {counted} accepted records, the clients were told of {want}")
    shutil.rmtree(lake)
    return done, peak


def load_options(parser):
    parser.add_argument("--seconds", type=float, default=10, help="of each measured phase (default: 10)")
    parser.add_argument("--connections", type=int, default=256)


@benchmark("http-single", work="one event a request over HTTP, durable before the answer, tables kept",
           goals=[Goal("requests_per_s", ">=", RATE), Goal("p99_ms", "<=", 5)], options=load_options)
def http_single(b):
    """`p99_ms` is at half of the highest rate, however high that is; `p99_at_40k_ms` at the rate that is the goal, `p99_at_20k_ms` at half of it."""
    usual = ["--connections", b.o.connections, "--seconds", b.o.seconds, "--warmup", 2]

    def half(done):
        return [*usual, "--rate", max(1, round(done[0]["requests_per_s"] / 2))]

    (full, open_loop, at_goal, at_half_goal), peak = driven(b, contract_only(b), usual, half, [*usual, "--rate", RATE], [*usual, "--rate", RATE // 2])
    (models,), models_peak = driven(b, EXAMPLE, usual)
    return {
        "figures": {"requests_per_s": full["requests_per_s"], "p99_ms": open_loop["p99_ms"], "p50_ms": open_loop["p50_ms"],
                    "p999_ms": open_loop["p999_ms"], "half_load_per_s": open_loop["requests_per_s"],
                    f"p99_at_{RATE // 1000}k_ms": at_goal["p99_ms"], f"p99_at_{RATE // 2000}k_ms": at_half_goal["p99_ms"],
                    "server_cpu_us": full["server_cpu_us"], "client_cpu_us": full["client_cpu_us"],
                    "with_models_per_s": models["requests_per_s"], "with_models_server_cpu_us": models["server_cpu_us"],
                    "peak_rss_bytes": max(peak, models_peak)},
        "parameters": {"connections": b.o.connections, "seconds": b.o.seconds},
        "details": {"closed_loop": full, "open_loop_half": open_loop, "open_loop_at_goal": at_goal, "open_loop_at_half_goal": at_half_goal, "closed_loop_with_models": models},
    }


@benchmark("http-batch", work="NDJSON bodies of 1,000 events over HTTP, durable before the answer, tables kept",
           goals=[Goal("events_per_s", ">=", 500_000)], options=load_options)
def http_batch(b):
    options = ["--connections", 16, "--records", 1000, "--seconds", b.o.seconds, "--warmup", 2]
    (got,), peak = driven(b, contract_only(b), options)
    return {
        "figures": {"events_per_s": got["records_per_s"], "p99_ms": got["p99_ms"], "server_cpu_us_per_event": got["server_cpu_us"] / 1000,
                    "client_cpu_us_per_event": got["client_cpu_us"] / 1000, "peak_rss_bytes": peak},
        "parameters": {"connections": 16, "records": 1000, "seconds": b.o.seconds},
        "details": got,
    }


def post(port, event):
    """The verdict on one event, and when it was known. Waits for the door to open."""
    body = json.dumps(event)
    while True:
        try:
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            c.request("POST", "/v1/events/ride_events", body, {"Content-Type": "application/json"})
            answer = c.getresponse()
            text = answer.read()
            at = time.monotonic()
            c.close()
            return (json.loads(text)["results"][0]["verdict"] if answer.status == 200 else text.decode()), at
        except ConnectionError:
            time.sleep(0.001)


def event(name):
    return {"event_id": name, "event_name": "trip_started", "event_timestamp": "2024-01-01T00:00:00.000Z", "schema_version": "1.0.0",
            "trip_id": name}


def log_bytes(lake):
    return sum(p.stat().st_size for p in (lake / "log").rglob("*.log") if "archive" not in p.parts)


def archived_bytes(lake):
    return sum(p.stat().st_size for p in (lake / "log").rglob("*.log") if "archive" in p.parts)


def first_answer(b, lake, name, *sets):
    """Seconds from the start of `weir up` to its first acknowledgement, with CPU seconds and RSS at that moment."""
    began = time.monotonic()
    server, port = up(b, contract_only(b), lake, *sets)
    with server:
        verdict, at = post(port, event(name))
        cpu, memory = server.cpu_s(), memory_of(server.pid)
        b.check(verdict == "accepted", f"the first record was not accepted: {verdict}")
        server.process.kill()
        server.process.wait()
    return {"seconds": at - began, "cpu_s": cpu, "rss_bytes": memory.get("VmRSS", 0)}


def filled(b, lake, mib, *sets):
    """A lake whose log took `mib` MiB; the process is killed at the end. Returns how many records."""
    server, port = up(b, contract_only(b), lake, *sets)
    first = 0
    with server:
        while log_bytes(lake) + archived_bytes(lake) < mib << 20:
            first = load(port, "--connections", 8, "--records", 1000, "--seconds", 2, "--warmup", 0, "--first", first)["next"]
        server.process.kill()
        server.process.wait()
    return first


def start_options(parser):
    parser.add_argument("--mib", type=int, default=1024, help="size of the log (default: 1024)")
    parser.add_argument("--runs", type=int, default=3, help="starts of each kind; the fastest counts (default: 3)")


@benchmark("start", work="start of weir up to its first acknowledged event",
           goals=[Goal("empty_s", "<=", 0.2), Goal("tail_s", "<=", 1), Goal("history_s", "<=", 1)], options=start_options)
def start(b):
    """From the call of `weir up` to the first acknowledgement: new data directory; with --mib of the log not yet in tables (killed
    before any commit), catching up behind; with as much of it committed."""
    def best(make):
        runs = [make(n) for n in range(b.o.runs)]
        return min(runs, key=lambda r: r["seconds"]), runs

    def empty_run(n):
        lake = b.work / f"empty{n}"
        return first_answer(b, lake, "first")

    # Made before, so that this is not the first start ever.
    first_answer(b, b.work / "warm", "first")
    empty, empties = best(empty_run)
    second, seconds = best(lambda n: first_answer(b, b.work / "warm", f"again{n}"))
    lake = b.work / "tail"
    never = ("weir.epoch.interval=1h", "weir.memory.max=16GB")
    records = filled(b, lake, b.o.mib, *never)
    size = log_bytes(lake)
    tail, tails = best(lambda n: first_answer(b, lake, f"tail{n}", *never))
    call([WEIR, "run", "--once", "--project", contract_only(b), "--data", lake])
    history, histories = best(lambda n: first_answer(b, lake, f"history{n}"))
    return {
        "figures": {"empty_s": empty["seconds"], "again_s": second["seconds"], "tail_s": tail["seconds"], "history_s": history["seconds"],
                    "empty_cpu_s": empty["cpu_s"], "tail_cpu_s": tail["cpu_s"], "history_cpu_s": history["cpu_s"],
                    "tail_rss_bytes": tail["rss_bytes"]},
        "parameters": {"log_mib": b.o.mib, "runs": b.o.runs},
        "details": {"records": records, "log_bytes": size, "empty": empties, "again": seconds, "tail": tails, "history": histories},
    }


@benchmark("idle", work="weir up with nothing to do, tests/projects/rides",
           goals=[Goal("cpu_percent", "<=", 1), Goal("rss_bytes", "<=", 100_000_000)],
           options=lambda p: p.add_argument("--seconds", type=float, default=20))
def idle(b):
    """CPU (percent of one core) and RSS of a `weir up` that took one event, committed it, and then has nothing to do."""
    lake = b.work / "lake"
    server, port = up(b, EXAMPLE, lake, "weir.epoch.interval=1s")
    with server:
        b.check(post(port, event("only"))[0] == "accepted", "the record was not accepted")
        time.sleep(3)  # its epoch, and what follows it
        before = cpu_of(server.pid)
        with Sampler(server.pid) as sampler:
            time.sleep(b.o.seconds)
        used = cpu_of(server.pid) - before
        peak = max(rss for _, rss, _ in sampler.samples)
        memory = memory_of(server.pid)
    return {"figures": {"cpu_percent": used / b.o.seconds * 100, "rss_bytes": peak, "anonymous_rss_bytes": memory.get("RssAnon")},
            "parameters": {"seconds": b.o.seconds}, "details": {k: v for k, v in memory.items()}}
