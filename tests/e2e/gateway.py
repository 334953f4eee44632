"""The same answers when the events come over HTTP, also when the server dies right after it acknowledged."""
import gzip
import http.client
import json
import re
import signal
import threading
import time

import zstandard

from answers import check_all, ledger
from harness import PATIENCE, PROJECT, Failure, counts_of

BATCH = 500


def serve(t, *more):
    """Starts `weir up` on a free port; returns (process, port)."""
    process = t.start("up", "--port", "0", "--project", PROJECT, "--data", t.dir / "lake", "--set", "weir.lease=1s", *more)
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        text = process.out_path.read_text() + process.err_path.read_text()
        found = re.search(r"http://[\w.\[\]:]+?:(\d+)", text)
        if found:
            return process, int(found[1])
        time.sleep(.05)
    raise Failure(f"weir up announced no address; exit {process.poll()}, it said:\n{text}")


def post(port, body, kind="application/x-ndjson", headers=(), connection=None):
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while True:
        own.request("POST", "/v1/events/ride_events", body=body, headers={"Content-Type": kind, **dict(headers)})
        reply = own.getresponse()
        text = reply.read().decode()
        if reply.status != 429:
            break
        time.sleep(float(reply.headers["Retry-After"]))
    if connection is None:
        own.close()
    return reply.status, json.loads(text) if text.startswith(("{", "[")) else text


def post_file(t, port, path, verdicts, lock):
    """Posts a file in order, in batches; counts the verdicts of the answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    lines = path.read_bytes().splitlines()
    for i in range(0, len(lines), BATCH):
        batch = lines[i:i + BATCH]
        status, reply = post(port, b"\n".join(batch), connection=connection)
        t.equal(status, 200, f"status of a POST: {reply}")
        t.equal(len(reply["results"]), len(batch), "verdicts in an answer")
        with lock:
            for r in reply["results"]:
                verdicts[r["verdict"]] = verdicts.get(r["verdict"], 0) + 1
    connection.close()


def post_all(t, port, paths):
    """One thread per partition, so that each partition keeps its order."""
    verdicts, lock, failures = {}, threading.Lock(), []

    def work(path):
        try:
            post_file(t, port, path, verdicts, lock)
        except Exception as e:
            failures.append(e)
    threads = [threading.Thread(target=work, args=(p,)) for p in paths]
    [x.start() for x in threads]
    [x.join() for x in threads]
    if failures:
        raise failures[0]
    return verdicts


def check_verdicts(t, verdicts, data):
    want = counts_of(data)
    for key in ("accepted", "rejected", "duplicate", "late"):
        t.equal(verdicts.get(key, 0), want[key], f"verdicts in the answers: {key}")


def wait_for_ledger(t, received, seconds=120):
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        done = t.weir("show", "ledger", "--project", PROJECT, "--data", t.dir / "lake", "-o", "json", code=None)
        last = [r["received"] for r in done.json if r["source"] == "ride_events"] if done.code == 0 else done.err
        if last == [received]:
            return
        time.sleep(.3)
    raise Failure(f"after {seconds} s the ledger shows {last}, want {received}")


def stop(t, process):
    process.send_signal(signal.SIGTERM)
    t.equal(process.wait(60 * PATIENCE), 0, f"exit code of a stopped server; it said:\n{process.err_path.read_text()[-3000:]}")


def test_one_partition(t):
    data = t.stream(seed=13, months="2018-10", trips=3000, returning=.01, conflict=.01, correct=.02)
    process, port = serve(t)
    check_verdicts(t, post_all(t, port, [data / "events.ndjson"]), data)
    wait_for_ledger(t, counts_of(data)["received"])
    stop(t, process)
    check_all(t, t.dir / "lake", data)


def test_four_partitions_posted_at_once(t):
    data = t.stream(seed=14, months="2018-10", trips=4000, partitions=4, returning=.01, conflict=.01, correct=.02)
    process, port = serve(t, "--set", "weir.partitions=4", "--set", "weir.threads.shards=2")
    # A partition that begins when the others are days ahead begins at their watermark, so all begin before any goes on.
    begin, rest = {}, []
    for p in range(4):
        lines = (data / f"events-{p}.ndjson").read_bytes().splitlines(keepends=True)
        (t.dir / f"begin-{p}").write_bytes(b"".join(lines[:5]))
        (t.dir / f"rest-{p}").write_bytes(b"".join(lines[5:]))
        post_file(t, port, t.dir / f"begin-{p}", begin, threading.Lock())
        rest.append(t.dir / f"rest-{p}")
    verdicts = post_all(t, port, rest)
    check_verdicts(t, {k: begin.get(k, 0) + verdicts.get(k, 0) for k in begin | verdicts}, data)
    wait_for_ledger(t, counts_of(data)["received"])
    stop(t, process)
    check_all(t, t.dir / "lake", data)


def test_what_was_acknowledged_survives_a_kill(t):
    data = t.stream(seed=15, months="2018-10", trips=1500)
    lines = (data / "events.ndjson").read_bytes().splitlines(keepends=True)
    verdicts, lock = {}, threading.Lock()
    for i in range(4):
        process, port = serve(t, "--set", "weir.epoch.steps=3")
        part = t.dir / f"part{i}.ndjson"
        part.write_bytes(b"".join(lines[len(lines) * i // 4:len(lines) * (i + 1) // 4]))
        post_file(t, port, part, verdicts, lock)
        process.kill()
        process.wait()
    check_verdicts(t, verdicts, data)
    process, port = serve(t)
    wait_for_ledger(t, counts_of(data)["received"])
    stop(t, process)
    check_all(t, t.dir / "lake", data)


def test_the_forms_of_a_request(t):
    good = {"event_id": "a", "event_name": "trip_started", "event_timestamp": "2018-01-01T00:00:00Z", "schema_version": "1", "trip_id": "t"}

    def event(id):
        return {**good, "event_id": id}
    process, port = serve(t)
    text = json.dumps
    cases = [
        ("one object", text(event("a")), "application/json", {}, ["accepted"]),
        ("an array", text([event("a"), event("b"), 7]), "application/json", {}, ["duplicate", "accepted", "rejected"]),
        ("lines", text(event("c")) + "\n\n" + text(event("d")), "application/x-ndjson", {}, ["accepted", "accepted"]),
        ("gzip", gzip.compress(text(event("e")).encode()), "application/json", {"Content-Encoding": "gzip"}, ["accepted"]),
        ("zstd", zstandard.compress(text(event("f")).encode()), "application/json", {"Content-Encoding": "zstd"}, ["accepted"]),
        ("a body that is no JSON", "{", "application/json", {}, ["rejected"]),
        ("a duplicate key", text(event("g"))[:-1] + ',"trip_id":"u"}', "application/json", {}, ["rejected"]),
    ]
    received = 0
    for name, body, kind, headers, verdicts in cases:
        status, reply = post(port, body, kind, headers)
        t.equal(status, 200, f"{name}: status ({reply})")
        t.equal([r["verdict"] for r in reply["results"]], verdicts, name)
        received += len(verdicts)
    for name, body, kind, headers, want in [
        ("another type", "a,b", "text/csv", {}, 415),
        ("another encoding", "{}", "application/json", {"Content-Encoding": "br"}, 415),
    ]:
        t.equal(post(port, body, kind, headers)[0], want, f"{name}: status")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/events/nobody", body="{}", headers={"Content-Type": "application/json"})
    t.equal(connection.getresponse().status, 404, "an unknown source: status")
    wait_for_ledger(t, received)
    stop(t, process)
    row = ledger(t, t.dir / "lake")
    t.equal(row["rejected_by_reason"], {"not_json": 3}, "reasons")
