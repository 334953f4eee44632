"""From the acknowledgement of an HTTP request to its events in gold: freshness."""
import http.client
import mmap
import re
import sqlite3
import threading
import time
from pathlib import Path

from bench_rides import EXAMPLE, even
from common import PYTHON, WEIR, Goal, Server, Wrong, benchmark, call, percentile, wait_until

ROWS = 1000  # events of a request's body
MARKS_FROM = 1_000_000  # pickup locations that no taxi trip has
EPOCH_S = 1.0
SHARES = (20, 50, 80)  # percent of the highest rate
SECONDS_MIN = 10  # of a level: several epochs, and a merge of small files


class Bodies:
    """Bodies of ROWS events each, cut from the generated stream in its order; the last event of a body is a mark of its own: a trip
    request at pickup location MARKS_FROM + n, which makes one row of gold.city_hourly that only this body can have made."""

    def __init__(self, path):
        self._file = open(path, "rb")
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._at = 0
        self.count = 0

    def left(self):
        """Whole bodies that are still to come, about."""
        return int((len(self._map) - self._at) / (self._at / self.count)) if self.count else 0

    def next(self):
        start, at = self._at, self._at
        for _ in range(ROWS - 1):
            at = self._map.find(b"\n", at) + 1
            if at == 0:
                raise Wrong("the input is too short for this machine: use a larger --scale")
        self._at = at
        n = self.count
        self.count += 1
        body = self._map[start:at]
        stamp = re.search(rb'"event_timestamp":"([^"]*)"', body[body.rfind(b"\n", 0, len(body) - 1) + 1:])[1]
        mark = (b'{"event_id":"mark-%d","event_name":"trip_requested","event_timestamp":"%s","schema_version":"1.0.0","trip_id":"mark-%d",'
                b'"rider_id":"r000000","pickup_location_id":%d,"surge_amount":0.0}\n' % (n, stamp, n, MARKS_FROM + n))
        return n, body + mark


class Watcher:
    """Polls catalog.db, as any reader of the standard SQL catalog would, and notes when gold.city_hourly got which snapshot.
    `last` is the newest metadata file; it lists the snapshots of the last hour, older metadata files go earlier."""

    def __init__(self, lake):
        self.uri, self.seen, self.last = f"file:{lake}/catalog.db?mode=ro", [], None  # (time, snapshot id)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        connection = sqlite3.connect(self.uri, uri=True, timeout=30)
        stopped = False
        while not stopped:
            stopped = self._stop.wait(0.005)  # and look once more: the last commit may have come since the look before
            row = connection.execute("SELECT metadata_location FROM iceberg_tables WHERE table_namespace = 'gold' AND table_name = 'city_hourly'").fetchone()
            if row and row[0] != self.last:
                now, self.last = time.monotonic(), row[0]
                found = re.search(r'"current-snapshot-id"\s*:\s*(-?\d+)', Path(self.last.removeprefix("file://")).read_text())
                if found and found[1] != "-1" and found[1] not in [s for _, s in self.seen[-1:]]:
                    self.seen.append((now, found[1]))
        connection.close()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


# For each snapshot, in order, the marks that it holds and none before did.
READ_MARKS = """
import json, sys
from pyiceberg.table import StaticTable
from pyiceberg.expressions import GreaterThanOrEqual
known, table = set(), StaticTable.from_metadata(sys.argv[2])
for snapshot in sys.stdin.read().split():
    rows = table.scan(row_filter=GreaterThanOrEqual("pickup_location_id", int(sys.argv[1])), selected_fields=("pickup_location_id",), snapshot_id=int(snapshot)).to_arrow()
    new = set(rows.column(0).to_pylist()) - known
    known |= new
    print(json.dumps(sorted(new)))
"""


class Pusher:
    """Posts bodies over several connections: as fast as they are taken, or one every `every` seconds on the whole (a body that is
    due while all connections are busy goes out late; `behind` says by how much at most)."""

    def __init__(self, port, bodies, connections):
        self.port, self.bodies, self.connections = port, bodies, connections
        self.acknowledged = {}  # body -> time of the answer
        self.refused, self.behind, self.failure = 0, 0.0, None
        self._lock = threading.Lock()

    def push(self, seconds, every, most=1 << 62):
        self._start, self._most = time.monotonic(), most
        self._end, self._every, self._sent = self._start + seconds, every, 0
        threads = [threading.Thread(target=self._work) for _ in range(self.connections)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        if self.failure:
            raise Wrong(f"a request failed: {self.failure}")
        return time.monotonic() - self._start

    def _next(self):
        with self._lock:
            due = self._start + self._sent * self._every
            if due > self._end or time.monotonic() > self._end or self._sent == self._most or self.failure:
                return None
            self._sent += 1
            return due, *self.bodies.next()

    def _work(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            while (job := self._next()) is not None:
                due, n, body = job
                wait = due - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                elif self._every:
                    self.behind = max(self.behind, -wait)
                while True:
                    connection.request("POST", "/v1/events/ride_events", body=body, headers={"Content-Type": "application/x-ndjson"})
                    reply = connection.getresponse()
                    text = reply.read()
                    if reply.status != 429:
                        break
                    self.refused += 1
                    time.sleep(0.05)
                if reply.status != 200:
                    raise Wrong(f"{reply.status}: {text[:300]}")
                self.acknowledged[n] = time.monotonic()
        except Exception as e:
            self.failure = e
        finally:
            connection.close()


def options(p):
    p.add_argument("--seconds", type=float, default=25, help="of each level (default: 25; less where the input does not last)")
    p.add_argument("--connections", type=int, default=8)
    p.add_argument("--highest", type=float, default=0, help="events/s that the levels are shares of, instead of measuring it")
    p.add_argument("--burst", type=int, default=2500, help="bodies pushed to measure the highest rate (default: 2,500)")
    p.add_argument("--scale", type=float, default=60, help="of the input: the stream must last for all levels")
    p.add_argument("--set", action="append", default=[], help="a setting of weir.yml")


@benchmark("freshness", work="bodies of 1,000 events over HTTP, epochs of 1 s: from the answer to the rows in gold, at shares of the highest rate",
           goals=[Goal(f"p99_s_at_{share}", "<=", EPOCH_S + 1) for share in SHARES], options=options)
def freshness(b):
    """The highest rate is that of a burst from its first request until all of it is visible in gold, its bodies pushed as fast as
    they are answered (which is much faster: they are durable then, and most of them wait in the log). Each body holds an event that makes a row of gold.city_hourly; a watcher polls catalog.db every 5 ms and notes each new snapshot of
    that table, PyIceberg tells afterwards which of them was the first to hold the row. The time is that between the answer of
    the request and the moment the watcher saw that snapshot."""
    bodies = Bodies(even(b, b.o.scale) / "events.ndjson")
    lake, figures, details = b.work / "lake", {}, {}
    with Server([WEIR, "up", "--port", 0, "--project", EXAMPLE, "--data", lake, "--set", f"weir.epoch.interval={EPOCH_S:g} seconds",
                 *(x for s in b.o.set for x in ("--set", s))], b.work / "up.log") as server:
        port = int(re.search(r"http://[\w.]+:(\d+)", server.wait_for("send events to"))[1])
        wait_until((lake / "catalog.db").exists, 10, "catalog.db", server)
        with Watcher(lake) as watcher:
            def visible():
                """Bodies that are in the tables by the newest commit: what is offered beyond it still waits."""
                with sqlite3.connect(watcher.uri, uri=True, timeout=30) as c:
                    row = c.execute("SELECT json_extract(frontier, '$.sources.ride_events[0].next') FROM weir_lanes WHERE lane = 'live'").fetchone()
                return (row[0] or 0) // ROWS if row else 0

            Pusher(port, bodies, b.o.connections).push(2, 0, most=20)  # warm
            wait_until(lambda: visible() >= bodies.count, 120, "the warm-up's commit", server)
            highest = b.o.highest / ROWS  # bodies a second
            if not highest:
                start = time.monotonic()
                taken_in = Pusher(port, bodies, b.o.connections).push(600, 0, most=b.o.burst)
                wait_until(lambda: visible() >= bodies.count, 300, "the commit of all that was pushed", server)
                highest = b.o.burst / (time.monotonic() - start)
                b.say(f"highest rate {highest * ROWS:,.0f} events/s")
                details["burst"] = {"bodies": b.o.burst, "answered_s": round(taken_in, 2)}
            figures["highest_events_per_s"] = highest * ROWS
            seconds = min(b.o.seconds, bodies.left() * .98 / (highest * sum(SHARES) / 100))
            b.check(seconds >= min(SECONDS_MIN, b.o.seconds), f"the input is too short for {highest * ROWS:,.0f} events/s: use a larger --scale")
            pushers = {}
            for share in SHARES:
                cpu = server.cpu_s()
                pusher = Pusher(port, bodies, b.o.connections)
                took = pusher.push(seconds, 1 / (highest * share / 100))
                wait_until(lambda: visible() >= bodies.count, 120, "the last commit of a level", server)
                pushers[share] = pusher
                figures[f"events_per_s_at_{share}"] = len(pusher.acknowledged) * ROWS / took
                details[f"at_{share}"] = {"bodies": len(pusher.acknowledged), "refused": pusher.refused, "sent_late_s": round(pusher.behind, 3),
                                          "cpu_s_per_s": round((server.cpu_s() - cpu) / took, 2)}
        figures["peak_rss_mb"] = server.peak_rss_bytes() / 1e6
        b.check(server.stop() == 0, f"weir up failed:\n{server.log()[-3000:]}")
    new = [set(map(int, re.findall(rb"\d+", line))) for line in
           call([PYTHON, "-c", READ_MARKS, MARKS_FROM, watcher.last], input="\n".join(s for _, s in watcher.seen).encode()).splitlines()]
    shown = {mark - MARKS_FROM: at for (at, _), marks in zip(watcher.seen, new) for mark in marks}
    for share, pusher in pushers.items():
        missing = [n for n in pusher.acknowledged if n not in shown]
        b.check(not missing, f"acknowledged and never in gold.city_hourly: {len(missing)} bodies, such as mark-{missing[:1]}")
        times = [shown[n] - at for n, at in pusher.acknowledged.items()]
        figures[f"p50_s_at_{share}"], figures[f"p99_s_at_{share}"] = percentile(times, .5), percentile(times, .99)
        details[f"at_{share}"]["max_s"] = round(max(times), 3)
    return {"figures": figures, "parameters": {"epoch_s": EPOCH_S, "seconds_per_level": round(seconds, 1), "connections": b.o.connections, "rows_per_body": ROWS},
            "details": details | {"commits_seen": len(watcher.seen)}}
