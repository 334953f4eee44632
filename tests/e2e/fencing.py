"""One owner at a time: a second process is refused; one that was stopped for longer than its lease is followed, and does no harm when it wakes."""
import http.client
import json
import os
import random
import re
import select
import signal
import socket
import sqlite3
import sys
import threading
import time
from pathlib import Path

from answers import SOURCE, read
from harness import PATIENCE, PROJECT, Failure

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


class Wires:
    """Connections that are read byte by byte, so that what came before a moment and what came after it can be told apart. Their records are
    no events: they are rejected, and acknowledged like others."""

    def __init__(self, port, count, requests=1, lines=2, read_ahead=None):
        body = b"1\n" * lines
        self.request = b"POST /v1/events/%s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (SOURCE.encode(), len(body)) + body
        self.port, self.sockets, self.pumping = port, [], True
        for _ in range(count):
            s = socket.socket()
            if read_ahead:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_ahead)
            s.settimeout(60)
            s.connect(("127.0.0.1", port))
            s.sendall(self.request * requests)
            s.setblocking(False)
            self.sockets.append(s)
        self.got = {s: b"" for s in self.sockets}
        self.asked = dict.fromkeys(self.sockets, requests)
        self.before = {}
        self.thread = threading.Thread(target=self._pump, daemon=True)

    def begin(self):
        """Each asks again as soon as it has its answer."""
        self.thread.start()

    def _pump(self):
        while self.pumping:
            ready, _, _ = select.select(self.sockets, [], [], .02)
            for s in ready:
                self._receive(s)
                if self.asked[s] == len(answers_in(self.got[s])):
                    self.asked[s] += 1
                    s.send(self.request)

    def _receive(self, s):
        """False at the end of the stream."""
        try:
            while data := s.recv(1 << 20):
                self.got[s] += data
            return False
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def settle(self):
        """Takes all that the kernel was given by a process that does not run."""
        self.pumping = False
        if self.thread.is_alive():
            self.thread.join()
        while True:
            for s in self.sockets:
                self._receive(s)
            if not self._under_way():
                break
            time.sleep(.002)
        self.before = {s: len(self.got[s]) for s in self.sockets}

    def _under_way(self):
        """Bytes from the server that no recv() has had yet: in its send queues and in our receive queues."""
        ours = {s.getsockname()[1] for s in self.sockets}
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            local, remote = (int(x.split(":")[1], 16) for x in fields[1:3])
            sending, receiving = (int(x, 16) for x in fields[4].split(":"))
            if (local == self.port and remote in ours and sending) or (remote == self.port and local in ours and receiving):
                return True
        return False

    def acknowledged_later(self):
        """How many answers with 200 had a byte that came after settle()."""
        late = 0
        for s in self.sockets:
            while self._receive(s):
                select.select([s], [], [])
            s.close()
            late += sum(1 for status, end in answers_in(self.got[s], whole=False) if status == 200 and end > self.before[s])
        return late


def answers_in(data, whole=True):
    """(status, end) of each answer; without `whole` of the last one, too, of which only a part is there."""
    out, at = [], 0
    while at < len(data):
        head = data.find(b"\r\n\r\n", at)
        length = int(re.search(rb"Content-Length: (\d+)", data[at:head])[1]) if head >= 0 else 0
        end = head + 4 + length
        if head < 0 or end > len(data):
            return out if whole or len(data) - at < 12 else [*out, (int(data[at + 9:at + 12]), len(data))]
        out.append((int(data[at + 9:at + 12]), end))
        at = end
    return out


def stop(process):
    """Returns when no thread of it runs any more."""
    def state(task):
        try:
            return (task / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return "gone just now"
    process.send_signal(signal.SIGSTOP)
    while any(state(task) != "T" for task in Path(f"/proc/{process.pid}/task").iterdir()):
        time.sleep(.001)


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
    t.equal(ledger["received"], ledger["accepted"] + ledger["duplicate"] + ledger["rejected"], "received in the ledger")
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
    taken, settled, attempt = 0, 0, 0
    try:
        while taken < rounds:
            wires = Wires(clients.port, 8)
            wires.begin()
            time.sleep(rnd.uniform(0, .6))
            stop(owner)
            old_port = clients.port
            wires.settle()
            # Requests that the stopped one finds when it wakes; nobody repeats them, so nobody may be told that they are in.
            waiting = [threading.Thread(target=clients.post, args=(old_port, clients.batch(f"w{attempt}-{i}", 0), 60)) for i in range(3)]
            attempt += 1
            [x.start() for x in waiting]
            found = take_over(t, lake, owner)
            if found is None:  # it was stopped inside a transaction: nobody can follow before it goes on
                owner.send_signal(signal.SIGCONT)
                [x.join() for x in waiting]
                continue
            successor, clients.port = found
            taken += 1
            time.sleep(rnd.uniform(0, .5))
            owner.send_signal(signal.SIGCONT)
            code = owner.wait(60 * PATIENCE)
            [x.join() for x in waiting]
            t.equal(wires.acknowledged_later(), 0, "answers with 200 of which something came after the process had been replaced and woken")
            settled += sum(len(answers_in(x)) for x in wires.got.values())
            t.equal([id for port, id, _ in clients.acked if port == old_port and id.startswith(f"w{attempt - 1}-")], [],
                    "events sent to a process while it was stopped, and acknowledged by it when it had been replaced")
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
    t.equal(owner.wait(60 * PATIENCE), 0, f"exit code of the last owner; it said:\n{owner.err_path.read_text()[-3000:]}")
    drain(t, lake)
    # Events that were posted to a stopped process only: in or not, but never acknowledged and lost.
    acked = {id for _, id, _ in clients.acked}
    present = set(read(lake, f"bronze.{SOURCE}")["event_id"].to_pylist())
    clients.sent -= {id for id in clients.sent if id.startswith("w") and id not in acked and id not in present}
    check_lake(t, lake, clients)
    print(f"seed {seed}: {taken} takeovers, {settled} acknowledgements over wires, none of them by a process that was replaced", file=sys.stderr)


def test_one_that_wakes_after_its_lease_can_neither_acknowledge_nor_commit(t):
    seed = int(os.environ.get("SEED", "1"))
    stop_wake_rounds(t, seed, rounds=20)


def test_answers_that_wait_for_their_client_go_nowhere_after_a_takeover(t):
    """The client reads nothing; the kernel takes some of the answers, the rest stays in the process, decided long ago."""
    while not answers_wait_round(t, t.dir / f"lake{len(t.running)}", requests=40, lines=4000):
        pass  # it was stopped inside a transaction, where nobody can follow it


def answers_wait_round(t, lake, requests, lines):
    owner = start_up(t, lake)
    wires = Wires(wait_for_port(owner), 1, requests, lines, read_ahead=4096)
    end = time.monotonic() + 60
    while rejected_in(lake) < requests * lines:
        t.ok(time.monotonic() < end, f"{rejected_in(lake)} records are committed after 60 s, of {requests * lines}")
        time.sleep(.05)
    stop(owner)
    wires.settle()
    t.ok(len(answers_in(*wires.got.values())) < requests, "the kernel took all answers: this test shows nothing")
    found = take_over(t, lake, owner)
    owner.send_signal(signal.SIGCONT)
    if found is None:
        return False
    successor = found[0]
    t.equal(owner.wait(60 * PATIENCE), 1, "exit code of the one that woke")
    t.equal(wires.acknowledged_later(), 0, "answers with 200 of which something came after the process had been replaced and woken")
    successor.send_signal(signal.SIGTERM)
    t.equal(successor.wait(60 * PATIENCE), 0, f"exit code of the successor; it said:\n{successor.err_path.read_text()[-2000:]}")
    return True


def rejected_in(lake):
    """How many rejected records are committed."""
    with sqlite3.connect(f"file:{lake}/catalog.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT line FROM weir_ledger WHERE source = ?", (SOURCE,)).fetchall()
    return json.loads(rows[0][0])["rejected"] if rows else 0


def owner_with_first_events(t):
    lake = t.dir / "lake"
    owner = start_up(t, lake)
    port = wait_for_port(owner)
    clients = Clients()
    t.ok(clients.post(port, clients.batch("a", 0), timeout=30), "the first events are not acknowledged")
    return lake, owner, port, clients


def test_a_second_process_is_refused_and_reading_goes_on(t):
    lake, owner, port, clients = owner_with_first_events(t)
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
    t.equal(owner.wait(60 * PATIENCE), 0, "exit code of the first process")
    drain(t, lake)
    check_lake(t, lake, clients)


def test_one_that_wakes_before_anybody_followed_goes_on(t):
    lake, owner, port, clients = owner_with_first_events(t)
    owner.send_signal(signal.SIGSTOP)
    waiting = threading.Thread(target=clients.post, args=(port, clients.batch("b", 0), 60))
    waiting.start()
    time.sleep(1.5)  # longer than its lease: the pause itself is what is tested
    owner.send_signal(signal.SIGCONT)
    waiting.join()
    t.equal(len(clients.acked), 2 * BATCH, "events acknowledged, half of them after the pause")
    owner.send_signal(signal.SIGTERM)
    t.equal(owner.wait(60 * PATIENCE), 0, f"exit code; it said:\n{owner.err_path.read_text()[-2000:]}")
    drain(t, lake)
    check_lake(t, lake, clients)
