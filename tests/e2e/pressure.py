"""Clients that are too many, too slow, or wrong: each gets its answer, the others go on, and nothing acknowledged is lost."""
import http.client
import json
import os
import re
import resource
import socket
import subprocess
import threading
import time

from gateway import post, serve
from harness import PATIENCE, PROJECT, WEIR, Failure

HEAD = b"POST /v1/events/ride_events HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"


def event(name, more=""):
    return (f'{{"event_id":"{name}","event_name":"trip_started","event_timestamp":"2024-01-01T00:00:00.000Z","schema_version":"1.0.0",'
            f'"trip_id":"t-{name}"{more}}}').encode()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def answer(s):
    """One answer: status, headers, body. None: the connection was closed without one."""
    reply = http.client.HTTPResponse(s)
    try:
        reply.begin()
    except (http.client.BadStatusLine, ConnectionError):
        return None
    return reply.status, dict(reply.headers), reply.read()


def ask(s, name):
    """Posts one event on an open connection; its verdict, or the status when it is not 200."""
    body = event(name)
    s.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    got = answer(s)
    if got is None:
        raise Failure(f"no answer to {name}")
    return json.loads(got[2])["results"][0]["verdict"] if got[0] == 200 else got[0]


def stop(t, process):
    process.terminate()
    code = process.wait(60 * PATIENCE)
    said = process.err_path.read_text()
    # A stop in the second in which it waits to try again ends with 1: the next run does what is left.
    t.ok(code == 0 or code == 1 and "up_waits" in said, f"exit code of weir up: {code}; it said:\n{said[-2000:]}")
    t.run_once(None)
    return t.weir("show", "ledger", "--project", PROJECT, "--data", t.dir / "lake", "-o", "json").json[0]


def wait_until(t, what, ready, seconds=60):
    end = time.monotonic() + seconds
    while not ready():
        t.ok(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(.02)


def test_a_full_queue_answers_429_and_loses_nothing(t):
    """16 MiB may wait to become durable. Clients that send more at once are told to come again, and do."""
    process, port = serve(t, "--set", "weir.memory.max=64MB")
    clients, rounds = 24, 12
    lock, refused, taken, wrong = threading.Lock(), [], set(), []

    def client(c):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for r in range(rounds):
            names = [f"{c}-{r}-{i}" for i in range(600)]
            body = b"\n".join(event(n, f',"note":"{"x" * 4000}"') for n in names)
            while True:
                connection.request("POST", "/v1/events/ride_events", body=body, headers={"Content-Type": "application/x-ndjson"})
                reply = connection.getresponse()
                text = reply.read()
                if reply.status != 429:
                    break
                with lock:
                    refused.append(reply.headers.get("Retry-After"))
                time.sleep(.05)
            results = json.loads(text).get("results", []) if reply.status == 200 else []
            with lock:
                if reply.status != 200 or any(x["verdict"] != "accepted" for x in results) or len(results) != len(names):
                    wrong.append((reply.status, text[:200]))
                taken.update(names)
                if wrong or (refused and r >= 1):
                    break
        connection.close()

    threads = [threading.Thread(target=client, args=(c,)) for c in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    t.equal(wrong, [], "answers that were neither 429 nor all accepted")
    t.ok(refused, f"{clients} clients with 2.4 MB each at once were never told that the queue is full")
    t.equal(set(refused), {"1"}, "Retry-After")
    line = stop(t, process)
    t.equal((line["received"], line["accepted"]), (len(taken), len(taken)), "the ledger after refusals")


def test_slow_clients_hold_up_nobody_and_are_let_go(t):
    """Slow-loris: some never end their header, some never end their body. 30 s is what a request may take."""
    process, port = serve(t)
    slow = [connect(port) for _ in range(200)]
    began = time.monotonic()
    for i, s in enumerate(slow):
        s.sendall(HEAD if i % 2 else HEAD + b"Content-Length: 1000\r\n\r\n" + event("never"))
    n = 0
    quick = connect(port)
    while time.monotonic() - began < 27:
        t.equal(ask(quick, f"q{n}"), "accepted", "the verdict on a quick client's event")
        n += 1
        for i, s in enumerate(slow):  # a byte now and then does not help
            s.sendall(b"X" if i % 2 == 0 or n % 20 else b"X-A: 1\r\n")
        time.sleep(.5)
    for s in slow:
        got = answer(s)
        t.ok(got is not None and got[0] == 408, f"a slow client got {got}")
        s.close()
    t.ok(25 < time.monotonic() - began < 90, "slow clients were let go after about 30 s")
    t.equal(ask(quick, "last"), "accepted", "the verdict after they went")
    quick.close()
    line = stop(t, process)
    t.equal((line["received"], line["accepted"]), (n + 1, n + 1), "the ledger: nothing of the slow ones")


def test_requests_that_are_cut_short_take_nothing_in(t):
    process, port = serve(t)
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(event("cut")) + event("cut")
    for length in range(1, len(whole), 7):
        s = connect(port)
        s.sendall(whole[:length])
        s.close()
        if length % 5 == 0:  # with a reset instead of an end
            s = connect(port)
            s.sendall(whole[:length])
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()
    s = connect(port)
    s.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n10\r\n0123")
    s.close()
    t.equal(post(port, event("whole"))[1]["results"][0]["verdict"], "accepted", "a whole request after them")
    line = stop(t, process)
    t.equal((line["received"], line["accepted"]), (1, 1), "the ledger: the whole request alone")


# What is sent behind the request line and Host, and the statuses that come back.
WRONG_LENGTHS = [
    ("no length, no body", b"\r\n", [200]),
    ("two equal lengths", b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", [400]),
    ("two lengths", b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", [400]),
    ("a length and chunks", b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", [400]),
    ("a negative length", b"Content-Length: -1\r\n\r\n{}", [400]),
    ("a length with a sign", b"Content-Length: +2\r\n\r\n{}", [400]),
    ("a length in hex", b"Content-Length: 0x2\r\n\r\n{}", [400]),
    ("a length that is no number", b"Content-Length: two\r\n\r\n{}", [400]),
    ("an empty length", b"Content-Length:\r\n\r\n{}", [400]),
    ("a length beyond 64 bits", b"Content-Length: 99999999999999999999999\r\n\r\n{}", [400]),
    ("a length beyond what is allowed", b"Content-Length: 999999999999\r\n\r\n{}", [413]),
    ("a chunk size that is no number", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", [400]),
    ("a chunk longer than its size", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n", [400]),
    ("a chunk beyond 64 bits", b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n", [400]),
    ("chunks inside gzip named as one coding", b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", [400]),
    ("more body than its length", b"Content-Length: 2\r\n\r\n{}GARBAGE\r\n\r\n", [200, 400]),
]


def test_wrong_lengths_are_refused_and_nothing_is_smuggled(t):
    process, port = serve(t)
    for name, text, want in WRONG_LENGTHS:
        s = connect(port)
        s.sendall(HEAD + text)
        s.shutdown(socket.SHUT_WR)
        raw = b""
        while more := s.recv(65536):
            raw += more
        got = [int(x) for x in re.findall(rb"HTTP/1\.1 (\d+)", raw)]
        t.equal(got, want, f"statuses of: {name}")
        s.close()
    # What stands behind a refused request is never taken for the next one.
    hidden = HEAD + b"Content-Length: %d\r\n\r\n" % len(event("hidden")) + event("hidden")
    s = connect(port)
    s.sendall(HEAD + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % len(hidden) + hidden)
    t.equal(answer(s)[0], 400, "status of a request with two lengths")
    t.equal(answer(s), None, "what follows a refused request")
    s.close()
    line = stop(t, process)
    # {} of "more body than its length" is a record that lacks its fields.
    t.equal((line["received"], line["accepted"], line["rejected"]), (1, 0, 1), "the ledger")


def test_more_connections_than_allowed(t):
    """4,096 may be open. One more is told so; those that stand go on; a place that becomes free is given away."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 10_000:
        print(f"note: only {hard} descriptors may be had here; tested with fewer connections elsewhere")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 10_000), hard))
    process, port = serve(t)
    first = [connect(port) for _ in range(10)]
    for i, s in enumerate(first):
        t.equal(ask(s, f"a{i}"), "accepted", "the verdict before the crowd")
    crowd = [connect(port) for _ in range(4086)]
    t.equal(ask(crowd[-1], "crowd"), "accepted", "the verdict on the last that is allowed")
    for _ in range(3):
        late = connect(port)
        got = answer(late)
        t.ok(got is not None and got[0] == 503 and got[1].get("Retry-After") == "1", f"one too many got {got}")
        late.close()
    for i, s in enumerate(first):
        t.equal(ask(s, f"b{i}"), "accepted", "the verdict in the crowd")
    for s in crowd[:100]:
        s.close()

    def free():
        with connect(port) as s:
            return ask(s, f"free{time.monotonic()}") == "accepted"
    wait_until(t, "a free place is given away", free)
    line = stop(t, process)
    t.ok(line["accepted"] >= 22, f"accepted in the ledger: {line}")
    t.equal(line["received"], line["accepted"], "received and accepted")


def with_descriptors(t, count, *more):
    """As serve(), with at most `count` descriptors."""
    inner = t.start

    def start(*args, cwd=None):
        n = len(t.running)
        out, err = open(t.dir / f"run{n}.out", "w+"), open(t.dir / f"run{n}.err", "w+")
        p = subprocess.Popen([WEIR, *map(str, args)], stdout=out, stderr=err, text=True, cwd=cwd or t.dir,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count)))
        p.out_path, p.err_path = t.dir / f"run{n}.out", t.dir / f"run{n}.err"
        out.close(), err.close()
        t.running.append(p)
        return p
    t.start = start
    try:
        return serve(t, *more)
    finally:
        t.start = inner


def test_connections_leave_descriptors_for_the_tables(t):
    """With 256 descriptors a crowd of connections is cut off before the log and the tables lack any."""
    process, port = with_descriptors(t, 256, "--set", "weir.epoch.interval=200ms")
    stands = connect(port)
    t.equal(ask(stands, "before"), "accepted", "the verdict before the crowd")
    crowd = [connect(port) for _ in range(300)]
    n = 0
    end = time.monotonic() + 3  # over several commits
    while time.monotonic() < end:
        t.equal(ask(stands, f"during{n}"), "accepted", "the verdict in the crowd")
        n += 1
        time.sleep(.02)
    t.ok(len(os.listdir(f"/proc/{process.pid}/fd")) < 256, "descriptors in use")
    for s in crowd:
        s.close()

    def served():
        with connect(port) as s:
            return ask(s, f"after{time.monotonic()}") == "accepted"
    wait_until(t, "new connections are served again", served)
    text = process.err_path.read_text()
    t.ok("Too many open files" not in text and "up_waits" not in text, f"it said:\n{text[-2000:]}")
    line = stop(t, process)
    t.ok(line["accepted"] == line["received"] >= n + 2, f"the ledger: {line}")


def test_accepts_resume_when_descriptors_are_free_again(t):
    process, port = serve(t, "--set", "weir.epoch.interval=1h")
    stands = connect(port)
    t.equal(ask(stands, "before"), "accepted", "the verdict before")
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    used = len(os.listdir(f"/proc/{process.pid}/fd"))
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 8, hard))
    waiting = [connect(port) for _ in range(40)]  # the kernel takes them; the process cannot
    wait_until(t, "it says that it can accept none", lambda: "accept_failed" in process.err_path.read_text())
    t.equal(process.poll(), None, "the process without descriptors")
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (hard, hard))
    for i, s in enumerate(waiting):
        name, end = f"w{i}", time.monotonic() + 60
        while (got := ask(s, name)) == 503 and time.monotonic() < end:  # a flow that could not open a file begins anew
            time.sleep(.1)
        t.ok(got in ("accepted", "duplicate"), f"a connection that waited: {got}")
        s.close()
    t.ok(process.err_path.read_text().count("accept_failed") < 10, "it says so once, not each time it tries")
    stands.close()
    line = stop(t, process)
    t.equal(line["accepted"], 41, "accepted in the ledger")
