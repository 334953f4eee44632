"""One owner at a time: a second process is refused; one that was stopped for longer than its lease is followed, and does no harm when it wakes."""
import http.client
import json
import os
import random
import re
import signal
import sqlite3
import sys
import threading
import time

from answers import SOURCE, read
from harness import PROJECT, Failure

LEASE = ["--set", "weir.lease=1s", "--set", "weir.epoch.interval=200ms"]
BATCH = 10
TAKEN_OVER = "another process took this data directory over"
REFUSED = "another process is working on"
LOCKED = "keeps catalog.db locked"


def start_up(t, lake):
    return t.start("up", "--port", "0", "--project", PROJECT, "--data", lake, *LEASE)


def wait_for_port(process, seconds=60):
    """The port it announces; None when it ends instead."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = re.search(r"http://[\w.]+:(\d+)", process.out_path.read_text())
        if found:
            return int(found[1])
        if process.poll() is not None:
            return None
        time.sleep(.01)
    raise Failure(f"weir up announced no address; it said:\n{process.err_path.read_text()[-3000:]}")


def event(trip, name):
    return {"event_id": f"{trip}-{name}", "event_name": name, "event_timestamp": "2018-01-01T00:00:00Z", "schema_version": "1", "trip_id": trip,
            "rider_id": "r", "pickup_location_id": 1, "dropoff_location_id": 2, "trip_distance": 1.5}


class Clients:
    """Threads that post until told to end; each repeats a batch, at whoever is the owner then, until it is acknowledged."""

    def __init__(self, threads=4):
        self.port, self.ending = None, False
        self.lock, self.sent, self.acked, self.failures = threading.Lock(), set(), [], []
        self.threads = [threading.Thread(target=self._work, args=(i,)) for i in range(threads)]

    def start(self):
        [x.start() for x in self.threads]

    def end(self):
        self.ending = True
        [x.join() for x in self.threads]
        if self.failures:
            raise self.failures[0]

    def batch(self, name, first):
        events = []
        for i in range(BATCH // 2):
            trip = f"{name}-{first + i}"
            events += [event(trip, "trip_requested"), event(trip, "trip_completed")]
        with self.lock:
            self.sent.update(e["event_id"] for e in events)
        return events

    def post(self, port, events, timeout):
        """Whether it was acknowledged. Every acknowledgement is remembered, also one that comes late."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        try:
            connection.request("POST", f"/v1/events/{SOURCE}", body="\n".join(json.dumps(e) for e in events),
                               headers={"Content-Type": "application/x-ndjson"})
            reply = connection.getresponse()
            body = reply.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if reply.status != 200:
            return False
        with self.lock:
            self.acked += [(port, e["event_id"], r) for e, r in zip(events, json.loads(body)["results"], strict=True)]
        return True

    def _work(self, number):
        try:
            n = 0
            while not self.ending:
                events = self.batch(f"c{number}", n)
                n += BATCH
                while not self.post(self.port, events, timeout=1.5):
                    time.sleep(.02)
                time.sleep(.01)  # a steady stream, not a flood
        except Exception as e:
            self.failures.append(e)


def take_over(t, lake, stopped):
    """Starts processes until one owns the directory. Returns it and its port; None when the stopped one keeps the catalog locked."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        process = start_up(t, lake)
        port = wait_for_port(process)
        if port:
            return process, port
        said = process.err_path.read_text()
        t.equal(process.returncode, 1, f"exit code of a process that is refused; it said:\n{said[-2000:]}")
        if LOCKED in said:
            t.ok(f"process {stopped.pid} on " in said, f"the message does not name process {stopped.pid}:\n{said}")
            return None
        t.ok(REFUSED in said and f"process {stopped.pid} on " in said, f"refused without saying by whom:\n{said[-2000:]}")
    raise Failure("nobody took over within 60 s")


def drain(t, lake):
    """A stop leaves what was acknowledged in the log; this takes it to the tables."""
    t.weir("run", "--once", "--project", PROJECT, "--data", lake, *LEASE)


def check_lake(t, lake, clients):
    rows = read(lake, f"bronze.{SOURCE}")
    ids = rows["event_id"].to_pylist()
    t.equal(len(ids), len(set(ids)), "rows of bronze, and different ones")
    t.equal(sorted(clients.sent - set(ids))[:5], [], f"events that are lost ({len(clients.sent - set(ids))} of {len(clients.sent)}), some of them")
    t.equal(sorted(set(ids) - clients.sent)[:5], [], "events that are invented, some of them")
    places = dict(zip(zip(rows["_partition"].to_pylist(), rows["_offset"].to_pylist()), ids))
    for port, id, result in clients.acked:
        if result["verdict"] == "accepted":
            t.equal(places.get((result["partition"], result["offset"])), id, f"the row where port {port} acknowledged {id}")
        else:
            t.equal(result["verdict"], "duplicate", f"verdict of {id}")
    trips = len(ids) // 2
    got = t.weir("query", "SELECT count(*), count(DISTINCT trip_id), count(requested_at), count(completed_at) FROM silver.trips",
                 "--project", PROJECT, "--data", lake, "-o", "csv").out.split()[-1]
    t.equal(got, f"{trips},{trips},{trips},{trips}", "rows, trips, stamps of silver.trips")
    ledger = [r for r in t.weir("show", "ledger", "--project", PROJECT, "--data", lake, "-o", "json").json if r["source"] == SOURCE][0]
    t.equal(ledger["accepted"], len(ids), "accepted in the ledger")
    t.equal(ledger["received"], ledger["accepted"] + ledger["duplicate"], "received in the ledger")
    with sqlite3.connect(f"file:{lake}/catalog.db?mode=ro", uri=True) as db:
        owners = [o for _, o in db.execute("SELECT epoch, owner_epoch FROM weir_epochs ORDER BY epoch")]
    t.equal(owners, sorted(owners), "owners of the epochs, in order")


def stop_wake_rounds(t, seed, rounds):
    rnd, lake = random.Random(seed), t.dir / "lake"
    clients = Clients()
    owner = start_up(t, lake)
    clients.port = wait_for_port(owner)
    t.ok(clients.port, f"weir up did not start:\n{owner.err_path.read_text()[-2000:]}")
    clients.start()
    taken, woken_acks = 0, 0
    try:
        while taken < rounds:
            time.sleep(rnd.uniform(0, .6))
            owner.send_signal(signal.SIGSTOP)
            old_port = clients.port
            # Requests that the stopped one finds when it wakes; nobody repeats them, so nobody may be told that they are in.
            waiting = [threading.Thread(target=clients.post, args=(old_port, clients.batch(f"w{taken}-{i}", 0), 60)) for i in range(3)]
            [x.start() for x in waiting]
            found = take_over(t, lake, owner)
            if found is None:  # it was stopped inside a transaction: nobody can follow before it goes on
                owner.send_signal(signal.SIGCONT)
                [x.join() for x in waiting]
                continue
            successor, clients.port = found
            taken += 1
            time.sleep(rnd.uniform(0, .5))
            before = len([1 for port, _, _ in clients.acked if port == old_port])
            owner.send_signal(signal.SIGCONT)
            code = owner.wait(60)
            [x.join() for x in waiting]
            woken_acks += len([1 for port, _, _ in clients.acked if port == old_port]) - before
            said = owner.err_path.read_text()
            t.equal(code, 1, f"exit code of the one that woke; it said:\n{said[-2000:]}")
            t.ok(TAKEN_OVER in said and '"event":"ownership_lost"' in said, f"the one that woke does not say why it stops:\n{said[-2000:]}")
            t.ok(f"process {successor.pid} on " in said, f"it does not name process {successor.pid}:\n{said[-2000:]}")
            owner = successor
    except BaseException:
        for p in t.running:
            if p.poll() is None:
                os.kill(p.pid, signal.SIGCONT)
        clients.ending = True
        raise
    clients.end()
    owner.send_signal(signal.SIGTERM)
    t.equal(owner.wait(60), 0, f"exit code of the last owner; it said:\n{owner.err_path.read_text()[-3000:]}")
    drain(t, lake)
    # Events that were posted to a stopped process only: in or not, but never acknowledged and lost.
    acked = {id for _, id, _ in clients.acked}
    present = set(read(lake, f"bronze.{SOURCE}")["event_id"].to_pylist())
    clients.sent -= {id for id in clients.sent if id.startswith("w") and id not in acked and id not in present}
    check_lake(t, lake, clients)
    # Answers that arrive late are true: check_lake found the row of each at the very place it names.
    print(f"seed {seed}: {taken} takeovers, {woken_acks} acknowledgements arrived after the process that gave them was woken", file=sys.stderr)


def test_one_that_wakes_after_its_lease_can_neither_acknowledge_nor_commit(t):
    seed = int(os.environ.get("SEED", "1"))
    stop_wake_rounds(t, seed, rounds=20)


def test_a_second_process_is_refused_and_reading_goes_on(t):
    lake = t.dir / "lake"
    owner = start_up(t, lake)
    port = wait_for_port(owner)
    clients = Clients()
    t.ok(clients.post(port, clients.batch("a", 0), timeout=30), "the first events are not acknowledged")
    common = ["--project", PROJECT, "--data", lake]
    for command in (["up", "--port", "0"], ["run", "--once"]):
        start = time.monotonic()
        done = t.weir(*command, *common, *LEASE, code=1, timeout=60)
        t.ok(REFUSED in done.err and f"process {owner.pid} on " in done.err and "since 20" in done.err and "--data" in done.err,
             f"{done} does not say who works there, since when and what to do:\n{done.err}")
    for command in (["query", f"SELECT count(*) FROM bronze.{SOURCE}"], ["ls"], ["show", "ledger"]):
        t.weir(*command, *common)
    t.weir("explain", "silver.trips", "--project", PROJECT)
    owner.send_signal(signal.SIGTERM)
    t.equal(owner.wait(60), 0, "exit code of the first process")
    drain(t, lake)
    check_lake(t, lake, clients)


def test_one_that_wakes_before_anybody_followed_goes_on(t):
    lake = t.dir / "lake"
    owner = start_up(t, lake)
    port = wait_for_port(owner)
    clients = Clients()
    t.ok(clients.post(port, clients.batch("a", 0), timeout=30), "the first events are not acknowledged")
    owner.send_signal(signal.SIGSTOP)
    waiting = threading.Thread(target=clients.post, args=(port, clients.batch("b", 0), 60))
    waiting.start()
    time.sleep(1.5)  # longer than its lease: the pause itself is what is tested
    owner.send_signal(signal.SIGCONT)
    waiting.join()
    t.equal(len(clients.acked), 2 * BATCH, "events acknowledged, half of them after the pause")
    owner.send_signal(signal.SIGTERM)
    t.equal(owner.wait(60), 0, f"exit code; it said:\n{owner.err_path.read_text()[-2000:]}")
    drain(t, lake)
    check_lake(t, lake, clients)
