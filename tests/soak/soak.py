#!/usr/bin/env python3
"""Kills Weir over and over while clients push and files arrive, and has the independent checker look at the tables.

    ./x soak [--cycles N] [--seed S] [--check-every K] [--keep]

Every cycle is one life of `weir up` on tests/projects/rides: it is ended by SIGKILL, or sometimes by SIGTERM, at a moment that is drawn
anew: while it starts and recovers, at some moment of its life, or right at an event seen from outside by inotify (the n-th time that a state delta is
made, the catalog's rollback journal comes or goes, a metadata or data file is written, a log or journal segment grows, an input file is read), plus up to
a few milliseconds. The clients live on: what has no answer is sent again until it has one. Every K cycles, and at the end of a round, everything is drained
and tests/checker/checker.py decides. A round has its own data directory and its own seed: round i of seed S is what seed S + i begins with.

A seed fixes what is sent and how each life is to end, not how the machine divides its time; so a replay repeats the pressure rather than the microsecond.
On a failure the folder with the data directory, the clients' log and every life's output stays, and its name is printed. Prints one line of JSON at the end.
"""
import argparse
import collections
import ctypes
import ctypes.util
import datetime
import gzip
import http.client
import json
import os
import random
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import zstandard

ROOT = Path(__file__).resolve().parents[2]
WEIR = Path(os.environ.get("WEIR", ROOT / "build/release/weir"))
PROJECT = ROOT / "tests/projects/rides"
CHECKER = ROOT / "tests/checker/checker.py"
ROUND = 250  # cycles that share a data directory
CLIENTS = 3
FILE_PARTITION = 1000  # the contract's second server
START_MAX = 300  # seconds until a start or an end counts as hung: far beyond what a busy machine needs
DRAIN_MAX = 600

CONTRACT = {"identity": ["event_id"], "key": ["trip_id"], "time": "event_timestamp", "lateness_hours": 48,
            "fields": {"event_id": "string", "event_name": "string", "event_timestamp": "timestamp", "schema_version": "string", "trip_id": "string",
                       "rider_id": "string", "pickup_location_id": "integer", "surge_amount": "number", "driver_id": "string",
                       "dropoff_location_id": "integer", "trip_distance": "number", "fare_amount": "number", "tip_amount": "number",
                       "total_amount": "number", "payment_type": "integer"}}


class Failure(Exception):
    """What went wrong, in words."""


# ------------------------------------------------------------------------------------------- what is sent

class Calendar:
    """The event time that all senders share: it goes on with every event, and sometimes leaps."""

    def __init__(self, rnd):
        self.rnd, self.lock, self.now = rnd, threading.Lock(), datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)

    def next(self):
        with self.lock:
            leap = self.rnd.random() < .0003
            self.now += datetime.timedelta(hours=self.rnd.uniform(4, 20)) if leap else datetime.timedelta(seconds=self.rnd.uniform(.1, 8))
            return self.now


class Rides:
    """Events of trips, with everything that real ones have: returned, changed, late and broken ones."""

    STEPS = ("trip_requested", "driver_assigned", "driver_arrived", "trip_started", "trip_completed", "payment_processed")

    def __init__(self, name, rnd, calendar):
        self.name, self.rnd, self.calendar = name, rnd, calendar
        self.open, self.trips, self.events = [], 0, 0
        self.recent = collections.deque(maxlen=300)  # (when, event)

    def record(self):
        """The bytes of the next record."""
        chance = self.rnd.random()
        if chance < .05 and self.recent:
            when, event = self.rnd.choice(self.recent)
            if self.calendar.now - when < datetime.timedelta(hours=20):  # well inside the memory of identities
                if chance < .015:
                    event = {**event, "tip_amount": round(self.rnd.uniform(50, 90), 2)}
                return self.bytes(dict(self.rnd.sample(list(event.items()), len(event))))
        if chance < .08:
            return self.broken()
        when, event = self.event()
        self.recent.append((when, event))
        return self.bytes(event)

    def event(self):
        if not self.open or self.rnd.random() < .3:
            self.trips += 1
            self.open.append([f"{self.name}-t{self.trips}", 0])
        at = self.rnd.randrange(len(self.open))
        trip, step = self.open[at]
        when = self.calendar.next()
        if self.rnd.random() < .01:
            when -= datetime.timedelta(days=self.rnd.uniform(2.5, 9))
        self.events += 1
        event = {"event_id": f"{self.name}-e{self.events}", "event_name": self.STEPS[step], "event_timestamp": self.stamp(when), "schema_version": "1",
                 "trip_id": trip}
        event |= self.details(self.STEPS[step])
        if self.rnd.random() < .02:
            event["app"] = {"os": self.rnd.choice(["ios", "android"]), "n": self.events}
        self.open[at][1] += 1
        if self.open[at][1] == len(self.STEPS) or self.rnd.random() < .03:
            self.open.pop(at)
        return when, event

    def details(self, step):
        driver = f"d{self.rnd.randrange(20)}"
        money = round(self.rnd.uniform(3, 70), 2)
        return {"trip_requested": {"rider_id": f"r{self.rnd.randrange(500)}", "pickup_location_id": self.rnd.randrange(1, 9),
                                   "surge_amount": self.rnd.choice([0, 0, 2.5, 0.75])},
                "driver_assigned": {"driver_id": driver}, "driver_arrived": {"driver_id": driver}, "trip_started": {"driver_id": None},
                "trip_completed": {"dropoff_location_id": self.rnd.randrange(1, 9), "trip_distance": round(self.rnd.uniform(.1, 20), 3)},
                "payment_processed": {"fare_amount": money, "tip_amount": 1.5, "total_amount": money + 1.5, "payment_type": self.rnd.randrange(1, 5)}}[step]

    def broken(self):
        self.events += 1
        good = {"event_id": f"{self.name}-x{self.events}", "event_name": "trip_started", "event_timestamp": self.stamp(self.calendar.now),
                "schema_version": "1", "trip_id": f"{self.name}-broken"}
        return self.rnd.choice([
            lambda: self.bytes(good)[:-7], lambda: self.bytes(good | {"event_name": "trip_dreamt"}), lambda: self.bytes(good | {"event_timestamp": "soon"}),
            lambda: self.bytes({k: v for k, v in good.items() if k != "trip_id"}), lambda: self.bytes(good | {"event_name": "trip_requested"}),
            lambda: self.bytes(good)[:-1] + b',"rider_id":"\xff\xfe"}', lambda: b"[1,2]"])()

    @staticmethod
    def stamp(when):
        return when.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-2] + "Z"

    @staticmethod
    def bytes(event):
        return json.dumps(event, separators=(",", ":")).encode()


class SentLog:
    """What clients sent and heard, for the checker."""

    def __init__(self, path):
        self.file, self.lock = open(path, "w"), threading.Lock()
        self.write({"contract": CONTRACT})

    def write(self, what):
        line = json.dumps(what, separators=(",", ":")) + "\n"
        with self.lock:
            self.file.write(line)
            self.file.flush()


class Client(threading.Thread):
    """Sends one request after the other over one connection while it holds; repeats what was not answered."""

    def __init__(self, name, seed, calendar, log, stage, singles):
        super().__init__(daemon=True)
        self.rnd = random.Random(seed)
        self.name, self.log, self.stage, self.singles = name, log, stage, singles
        self.rides = Rides(name, self.rnd, calendar)
        self.seq, self.connection, self.connected_to = 0, None, None
        self.heard = collections.Counter()
        self.next = {}  # partition -> one past the highest acknowledged offset
        self.failure = None

    def run(self):
        try:
            while self.stage.may_begin():
                self.request()
                self.stage.finished(self)
        except Exception as e:  # shown by the main thread
            self.failure = e
            self.stage.finished(self)

    def request(self):
        count = 1 if self.rnd.random() < self.singles else self.rnd.randrange(1, 40)
        records = [self.rides.record() for _ in range(count)]
        form = self.rnd.choice(["lines", "lines", "lines", "gzip"])
        if count == 1 and records[0].startswith(b"{") and records[0].endswith(b"}") and self.rnd.random() < .5:
            form = "object"
        body = b"\n".join(records)
        headers = {"Content-Type": "application/json" if form == "object" else "application/x-ndjson"}
        if form == "gzip":
            body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        self.seq += 1
        said = {"send": self.name, "seq": self.seq, "records": [r.decode("latin-1") for r in records]}
        while True:
            sent, answer = self.attempt(body, headers)
            if sent:
                self.log.write(said | {"answer": answer})
                self.heard["answered" if answer is not None else "unknown"] += 1
            if answer is not None:
                self.heard["records"] += count
                for result in answer:
                    self.next[result["partition"]] = max(self.next.get(result["partition"], 0), result["offset"] + 1)
                time.sleep(self.rnd.expovariate(60))
                return

    def attempt(self, body, headers):
        """(whether anything may have arrived, the results or None)."""
        port = self.stage.port(self.connected_to)
        if port != self.connected_to:
            if self.connection is not None:
                self.connection.close()
            self.connection, self.connected_to = http.client.HTTPConnection("127.0.0.1", port, timeout=60), port
        try:
            if self.connection.sock is None:
                self.connection.connect()
        except OSError:
            time.sleep(.003)
            self.connected_to = None
            return False, None
        try:
            self.connection.request("POST", "/v1/events/ride_events", body=body, headers=headers)
            reply = self.connection.getresponse()
            text = reply.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            time.sleep(.003)
            self.connected_to = None
            return True, None
        if reply.status == 200:
            return True, json.loads(text)["results"]
        self.heard[f"status {reply.status}"] += 1
        if reply.status not in (429, 500, 503):
            raise Failure(f"{self.name}: status {reply.status} for {body[:300]!r}: {text[:300]!r}")
        time.sleep(.01)
        return True, None


class Stage:
    """Where the server is, and whether clients may begin another request."""

    def __init__(self):
        self.changed, self.address, self.open, self.over, self.busy = threading.Condition(), None, True, False, 0

    def announce(self, port):
        with self.changed:
            self.address = port
            self.changed.notify_all()

    def port(self, _):
        with self.changed:
            self.changed.wait_for(lambda: self.address is not None or self.over)
            if self.over:
                raise SystemExit
            return self.address

    def may_begin(self):
        with self.changed:
            self.changed.wait_for(lambda: self.open or self.over)
            if self.over:
                return False
            self.busy += 1
            return True

    def finished(self, _):
        with self.changed:
            self.busy -= 1
            self.changed.notify_all()

    def rest(self, seconds):
        """No client begins anything more; returns whether all have their answers."""
        with self.changed:
            self.open = False
            return self.changed.wait_for(lambda: self.busy == 0, seconds)

    def go_on(self):
        with self.changed:
            self.open = True
            self.changed.notify_all()

    def end(self):
        with self.changed:
            self.over = True
            self.changed.notify_all()


# ------------------------------------------------------------------------------------------ when it dies

class Watch:
    """Sees by inotify what the process does to its files."""

    CREATE, DELETE, MODIFY, OPEN, MOVED = 0x100, 0x200, 0x2, 0x20, 0x80
    EVENTS = ("delta made", "delta removed", "catalog journal made", "catalog journal removed", "metadata written", "data file made", "log grew",
              "journal grew", "store written", "input read")
    _libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)

    def __init__(self, lake, folder):
        self.fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.places = {}
        lake = Path(lake)
        self._add(lake, "lake", self.CREATE | self.DELETE)
        for owner in lake.glob("state/owner-*"):
            self._add(owner, "state", self.CREATE | self.DELETE)
            self._add(owner / "rocks", "rocks", self.CREATE | self.MODIFY)
        self._add(lake / "journal", "journal", self.MODIFY | self.CREATE)
        self._add(folder, "input", self.OPEN)
        for path in lake.glob("log/*/*"):
            if path.is_dir():
                self._add(path, "log", self.MODIFY | self.CREATE)
        for path in lake.glob("warehouse/*/*/metadata"):
            self._add(path, "metadata", self.CREATE | self.MOVED)
        for path in lake.glob("warehouse/*/*/data"):
            self._add(path, "data", self.CREATE)

    def _add(self, path, what, mask):
        if Path(path).is_dir():
            wd = self._libc.inotify_add_watch(self.fd, str(path).encode(), mask)
            if wd >= 0:
                self.places[wd] = what

    def wait(self, event, count, seconds, process):
        """Returns once `event` was seen `count` times, the time is over, or the process is gone; whether it was seen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and process.poll() is None:
            ready, _, _ = select.select([self.fd], [], [], min(.05, max(0, end - time.monotonic())))
            if ready:
                count -= sum(1 for name in self._read() if name == event)
                if count <= 0:
                    return True
        return False

    def _read(self):
        data, at = os.read(self.fd, 1 << 16), 0
        while at < len(data):
            wd, mask, _, length = struct.unpack_from("iIII", data, at)
            name = data[at + 16:at + 16 + length].rstrip(b"\0").decode()
            at += 16 + length
            place = self.places.get(wd, "")
            if place == "lake" and name == "catalog.db-journal":
                yield "catalog journal made" if mask & self.CREATE else "catalog journal removed"
            elif place == "state" and name.startswith("delta-"):
                yield "delta made" if mask & self.CREATE else "delta removed"
            elif place in ("metadata", "data", "log", "journal", "rocks", "input"):
                yield {"metadata": "metadata written", "data": "data file made", "log": "log grew", "journal": "journal grew", "rocks": "store written",
                       "input": "input read"}[place]

    def close(self):
        os.close(self.fd)


class Life:
    """One process, from its start until it is gone."""

    def __init__(self, number, args, folder):
        self.began = time.monotonic()
        self.err_path = folder / f"life{number}.err"
        with open(self.err_path, "w") as err:
            self.process = subprocess.Popen([WEIR, *map(str, args)], stdout=subprocess.PIPE, stderr=err, text=True)
        self.ready = threading.Event()
        self.port = self.seconds_to_start = None
        self.said = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.said.append(line)
            if self.port is None and "http://" in line:
                self.port = int(line.split("http://")[1].split("/")[0].rsplit(":", 1)[1])
                self.seconds_to_start = time.monotonic() - self.began
                self.ready.set()
        self.ready.set()

    def wait_until_ready(self):
        if not self.ready.wait(START_MAX):
            raise Failure(f"weir did not start within {START_MAX} s; its threads:\n{self.threads()}")
        if self.port is None:
            raise Failure(f"weir ended before it took events, exit code {self.process.wait()}: {self.err_path.read_text()[-3000:]}")

    def threads(self):
        """What each thread is doing: stacks where gdb is at hand, else its state and the seconds it ran."""
        if shutil.which("gdb"):
            return subprocess.run(["gdb", "-p", str(self.process.pid), "-batch", "-ex", "thread apply all bt 25"], capture_output=True, text=True).stdout[-20000:]
        lines = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            name, fields = (task / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            fields = fields.split()
            lines.append(f"{name}: state {fields[0]}, ran {(int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')} s")
        return "\n".join(lines)

    def end(self, how, codes=None):
        """Sends the signal and waits; the exit code must be the one it should have, or one of `codes`."""
        self.process.send_signal(how)
        try:
            code = self.process.wait(START_MAX)
        except subprocess.TimeoutExpired:
            threads = self.threads()
            self.process.kill()
            raise Failure(f"weir did not end within {START_MAX} s of {how.name}; its threads:\n{threads}") from None
        if code not in (codes or ((-9,) if how == signal.SIGKILL else (0, -15))):  # -15: before it could listen to signals
            raise Failure(f"exit code {code} after {how.name}: {self.err_path.read_text()[-3000:]}")


# ------------------------------------------------------------------------------------------------- rounds

class Round:
    def __init__(self, seed, folder, check_every):
        self.seed, self.folder, self.check_every = seed, folder, check_every
        self.rnd = random.Random(seed)
        self.lake, self.inbox, self.making = folder / "lake", folder / "in", folder / "making"
        for path in (folder, self.inbox, self.making):
            path.mkdir()
        self.log = SentLog(folder / "sent.jsonl")
        self.calendar = Calendar(random.Random(f"{seed} calendar"))
        self.stage = Stage()
        self.clients = [Client(f"c{i}", f"{seed} client {i}", self.calendar, self.log, self.stage, singles=(.9, .5, .1)[i % 3]) for i in range(CLIENTS)]
        self.files = Rides("f", random.Random(f"{seed} files"), self.calendar)
        self.partitions = self.rnd.choice([1, 1, 2, 3])
        self.lives = self.delivered = self.lines = 0
        self.counts = collections.Counter()
        self.start_seconds = .4

    def arguments(self, verb, draining=False):
        """Short epochs and small steps; larger ones where all that is left must be taken in."""
        set_ = {"weir.partitions": self.partitions, "weir.epoch.interval": self.rnd.choice(["20ms", "50ms", "200ms", "1s"]),
                "weir.epoch.steps": 0 if draining else self.rnd.choice([0, 1, 1, 3]),
                "weir.step.rows": 1000 if draining else self.rnd.choice([10, 50, 1000]), "weir.threads.shards": self.rnd.choice([1, 1, 2]), "weir.file.quiet": "0s", "weir.memory.max": "256MiB",
                "weir.table.fileBytes": self.rnd.choice(["4KiB", "64MiB"])}
        args = [*verb, "--project", PROJECT, "--data", self.lake, "--source", f"ride_events={self.inbox}"]
        for name, value in set_.items():
            args += ["--set", f"{name}={value}"]
        return args

    def live(self, draining=False):
        life = Life(self.lives, self.arguments(["up", "--port", "0"], draining), self.folder)
        self.lives += 1
        return life

    def deliver(self):
        name = f"events-{self.delivered:05d}.ndjson" + self.rnd.choice(["", "", ".gz", ".zst"])
        lines = [self.files.record() for _ in range(self.rnd.randrange(1, 250))]
        data = b"\n".join(lines) + self.rnd.choice([b"\n", b""])
        if name.endswith(".gz"):
            data = gzip.compress(data, 1)
        elif name.endswith(".zst"):
            data = zstandard.compress(data)
        (self.making / name).write_bytes(data)
        self.log.write({"file": f"in/{name}", "partition": FILE_PARTITION})
        (self.making / name).rename(self.inbox / name)
        self.delivered += 1
        self.lines += len(lines)

    def run(self, cycles):
        for client in self.clients:
            client.start()
        try:
            for i in range(cycles):
                self.cycle()
                if (i + 1) % self.check_every == 0 or i + 1 == cycles:
                    self.drain_and_check()
        finally:
            self.stage.end()

    # ------------------------------------------------------------------------------------- a life

    def cycle(self):
        if self.rnd.random() < .35:
            self.deliver()
        how = signal.SIGTERM if self.rnd.random() < .12 else signal.SIGKILL
        when = self.rnd.random()
        life = self.live()
        watch = Watch(self.lake, self.inbox)
        try:
            if when < .3:
                self.end_while_starting(life, watch, how)
            else:
                self.end_while_living(life, watch, how, at_event=when < .85)
        finally:
            self.stage.announce(None)
            watch.close()
            if life.process.poll() is None:
                life.process.kill()
                life.process.wait()
        for client in self.clients:
            if client.failure:
                raise Failure(f"{client.name}: {client.failure!r}")
        life.err_path.unlink()

    def end_while_starting(self, life, watch, how):
        if self.rnd.random() < .7:
            event = self.rnd.choice(Watch.EVENTS)
            seen = watch.wait(event, 1, self.start_seconds, life.process)
            time.sleep(self.rnd.expovariate(1000))
            what = f"at start, {event}" if seen else "at start"
        else:
            time.sleep(self.rnd.uniform(0, 1.1 * self.start_seconds))
            what = "at start"
        self.end(life, how, what)

    def end_while_living(self, life, watch, how, at_event):
        life.wait_until_ready()
        self.start_seconds = .8 * self.start_seconds + .2 * life.seconds_to_start
        self.stage.announce(life.port)
        if self.rnd.random() < .15:
            self.deliver()
        what = "while living"
        if at_event:
            event = self.rnd.choice(Watch.EVENTS)
            if watch.wait(event, self.rnd.randrange(1, 6), .6, life.process):
                what = event
            time.sleep(self.rnd.choice([0, self.rnd.expovariate(2000), self.rnd.expovariate(200)]))
        else:
            time.sleep(self.rnd.uniform(0, .6))
        self.end(life, how, what)

    def end(self, life, how, what):
        if life.process.poll() is not None:
            raise Failure(f"weir ended by itself, exit code {life.process.returncode}: {life.err_path.read_text()[-3000:]}")
        if how == signal.SIGTERM and self.rnd.random() < .3:  # and a kill while it ends
            life.process.send_signal(how)
            time.sleep(self.rnd.uniform(0, .05))
            what, how = "while ending", signal.SIGKILL
            life.end(how, codes=(0, -15, -9))
        else:
            life.end(how)
        self.counts[f"{how.name} {what}"] += 1

    # ------------------------------------------------------------------------------------ the check

    def drain_and_check(self):
        life = self.live(draining=True)
        life.wait_until_ready()
        self.stage.announce(life.port)
        if not self.stage.rest(DRAIN_MAX):
            threads = life.threads()
            life.process.kill()
            raise Failure(f"after {DRAIN_MAX} s clients still have no answer; the threads:\n{threads}")
        if self.rnd.random() < .5:
            self.wait_for_commit(life)
            life.end(signal.SIGTERM)
        else:
            life.end(self.rnd.choice([signal.SIGTERM, signal.SIGKILL]))
            done = subprocess.run([WEIR, *map(str, self.arguments(["run", "--once"], draining=True))], capture_output=True, text=True, timeout=600)
            if done.returncode != 0:
                raise Failure(f"weir run --once: exit code {done.returncode}: {done.stderr[-3000:]}")
        self.stage.announce(None)
        life.err_path.unlink()
        done = subprocess.run([sys.executable, CHECKER, "--sent", self.folder / "sent.jsonl", "--data", self.lake, "--project", PROJECT],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"the checker:\n{done.stdout}{done.stderr[-3000:]}")
        self.counts["checks"] += 1
        self.stage.go_on()

    def wait_for_commit(self, life):
        """Until all that was acknowledged, and all lines of files, are committed."""
        want = {FILE_PARTITION: self.lines} if self.lines else {}
        for client in self.clients:
            for partition, end in client.next.items():
                want[partition] = max(want.get(partition, 0), end)
        end, got = time.monotonic() + DRAIN_MAX, {}
        while time.monotonic() < end:
            db = sqlite3.connect(f"file:{self.lake}/catalog.db?mode=ro", uri=True, timeout=20)
            try:
                frontier = json.loads(db.execute("SELECT frontier FROM weir_lanes WHERE lane = 'live'").fetchone()[0])
            finally:
                db.close()
            got = {p["partition"]: p["next"] for p in frontier["sources"].get("ride_events", [])}
            if all(got.get(p, 0) >= n for p, n in want.items()):
                return
            if life.process.poll() is not None:
                raise Failure(f"weir ended by itself, exit code {life.process.returncode}: {life.err_path.read_text()[-3000:]}")
            time.sleep(.02)
        threads = life.threads()
        life.process.kill()
        raise Failure(f"{DRAIN_MAX} s after the last answer {got} is committed, acknowledged and delivered was {want}; the threads:\n{threads}")


def main():
    options = argparse.ArgumentParser(prog="./x soak", description=__doc__.split("\n")[0])
    options.add_argument("--cycles", type=int, default=200, help="lives (default 200)")
    options.add_argument("--seed", type=int, help="default: a random one, printed")
    options.add_argument("--check-every", type=int, default=25, help="cycles between two checks (default 25)")
    options.add_argument("--dir", type=Path, help="where the folders of the rounds go (default: a temporary one)")
    options.add_argument("--keep", action="store_true", help="keep the folders of rounds that passed, too")
    options.add_argument("--quiet", action="store_true", help="no line per round")
    args = options.parse_args()
    seed = args.seed if args.seed is not None else random.randrange(1 << 30)
    # In memory where that is possible: a killed process loses nothing that it wrote, synced or not, so the disk would only slow the lives down.
    base = args.dir or Path(tempfile.mkdtemp(prefix="weir-soak-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    base.mkdir(parents=True, exist_ok=True)
    began, total, done, number = time.monotonic(), collections.Counter(), 0, 0
    print(f"soak: {args.cycles} cycles, seed {seed}", flush=True)
    while done < args.cycles:
        cycles = min(ROUND, args.cycles - done)
        round_ = Round(seed + number, base / f"seed{seed + number}", args.check_every)
        try:
            round_.run(cycles)
        except Failure as e:
            print(f"soak: round of seed {seed + number}, life {round_.lives}: {e}\n"
                  f"everything is kept in {round_.folder}\n"
                  f"replay: ./x soak --seed {seed + number} --cycles {cycles} --check-every {args.check_every}")
            return 1
        for client in round_.clients:
            total.update(client.heard)
        total.update(round_.counts)
        total["files"] += round_.delivered
        total["lines"] += round_.lines
        done += cycles
        number += 1
        if not args.quiet:
            print(f"soak: {done} cycles, {(time.monotonic() - began) / 60:.1f} min, {total['records']} records and {total['lines']} lines of files, "
                  f"{total['unknown']} unknown outcomes, {total['checks']} checks", flush=True)
        if not args.keep:
            shutil.rmtree(round_.folder)
    if not args.keep and not args.dir:
        shutil.rmtree(base)
    print(json.dumps({"cycles": done, "seed": seed, "seconds": round(time.monotonic() - began), **dict(sorted(total.items()))}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
