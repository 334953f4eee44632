"""Bad input of every kind: each gets its message (place, cause, fix), its exit code or its `$rejected` row, and what is good
around it is taken in. The tables below are the list; what would be slow here is in the unit tests of codec, contract and ingest.
"""
import gzip
import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time

import zstandard

from answers import read
from harness import PATIENCE, SANITIZED, WEIR, Failure

CONTRACT = """apiVersion: v3.1.0
kind: DataContract
id: events
name: events
version: 1.0.0
status: active
servers:
  - {server: files, type: local, path: in, format: ndjson}
  - {server: gateway, type: http}
customProperties:
  - {property: weir.eventTime, value: seen}
  - {property: weir.lateness, value: PT48H}
  - {property: weir.identity, value: [id]}
  - {property: weir.futureAllowance, value: PT5M}
schema:
  - name: events
    logicalType: object
    properties:
      - {name: id, logicalType: string, required: true}
      - {name: seen, logicalType: timestamp, required: true}
      - {name: n, logicalType: integer}
      - {name: n32, logicalType: integer, logicalTypeOptions: {format: i32}}
      - {name: x, logicalType: number}
      - {name: money, logicalType: number, physicalType: "decimal(10,2)"}
      - {name: ok, logicalType: boolean}
      - {name: day, logicalType: date}
      - {name: tags, logicalType: array, items: {logicalType: string}}
      - name: place
        logicalType: object
        properties:
          - {name: city, logicalType: string}
"""
MODEL = "CREATE MATERIALIZED VIEW silver.per_day AS\nSELECT day, count(*) AS n FROM bronze.events GROUP BY day;\n"


def good(id, more=""):
    return f'{{"id":"{id}","seen":"2024-01-01T00:00:00Z"{more}}}'.encode()


def lines(*ids):
    return b"".join(good(i) + b"\n" for i in ids)


def make_project(folder, files=()):
    for name in ("contracts", "models/silver", "in"):
        (folder / name).mkdir(parents=True)
    (folder / "weir.yml").write_text("name: bad\n")
    (folder / "contracts/events.odcs.yaml").write_text(CONTRACT)
    (folder / "models/silver/per_day.sql").write_text(MODEL)
    for name, content in dict(files).items():
        put(folder / "in" / name, content)
    return folder


def put(path, content):
    """`content`: bytes, or what makes something else at the path."""
    if callable(content):
        content(path)
    else:
        path.write_bytes(content)


def run(t, project, code=0, **more):
    return t.weir("run", "--once", "--project", project, "-o", "json", code=code, **more)


def ledger(t, project):
    row = t.weir("show", "ledger", "--project", project, "-o", "json").json[0]
    t.equal(row["received"], sum(row[k] for k in ("accepted", "rejected", "duplicate", "late", "blocked")), "the ledger's balance")
    return row


def accepted(project):
    return sorted(read(project / ".weir", "bronze.events").column("id").to_pylist())


def has(t, text, fragments, what):
    for fragment in fragments:
        t.ok(fragment in text, f"{what}: nothing says {fragment!r}:\n{text[-3000:]}")


# --------------------------------------------------------------------------------------------- records

def record(more):
    return b'{"id":"?","seen":"2024-01-01T00:00:00Z",' + more + b"}"


def seen(stamp):
    return b'{"id":"?","seen":"' + stamp + b'"}'


ACCEPTED = "accepted"

# What it is, the record ("?" becomes an id of its own), its reason or "accepted", the field, a part of what stood there.
RECORDS = [
    ("cut", b'{"id":"?","seen":"2024-01-01T00:', "not_json", None, "a string is not closed"),
    ("cut between fields", b'{"id":"?",', "not_json", None, "at byte"),
    ("no JSON", b"hello", "not_json", None, "not an object at byte 0"),
    ("an array", b"[1,2]", "not_json", None, "not an object"),
    ("a bare number", b"17", "not_json", None, "not an object"),
    ("text after the object", record(b'"n":1') + b" x", "not_json", None, "text after the object"),
    ("two objects", good("?") + good("?"), "not_json", None, "text after the object"),
    ("10,000 objects deep", b'{"a":' * 10000 + b"1" + b"}" * 10000, "not_json", None, "nested too deep"),
    ("10,000 arrays deep, never closed", record(b'"z":' + b"[" * 10000), "not_json", None, "nested too deep"),
    ("invalid UTF-8", record(b'"note":"\xff"'), "not_json", None, "not valid UTF-8"),
    ("UTF-8 that is longer than need be", record(b'"note":"\xc0\x80"'), "not_json", None, "not valid UTF-8"),
    ("a surrogate as UTF-8", record(b'"note":"\xed\xa0\x80"'), "not_json", None, "not valid UTF-8"),
    ("half a surrogate pair", record(rb'"note":"\ud800"'), "not_json", None, "a wrong escape"),
    ("UTF-16", "\ufeff{}".encode("utf-16-le"), "not_json", None, "UTF-16"),
    ("gzip data", b"\x1f\x8b\x08\x00\x00", "not_json", None, "gzip data"),
    ("a NUL byte in a string", record(b'"note":"a\0b"'), "not_json", None, "control character"),
    ("a NUL byte after a number", record(b'"n":1\0'), "not_json", None, "at byte"),
    ("only NUL bytes", b"\0" * 100, "not_json", None, "at byte 0"),
    ("an escaped NUL", record(rb'"tags":["a\u0000b"]'), ACCEPTED, None, ""),
    ("a key twice", record(b'"n":1,"n":2'), "not_json", None, "a key stands twice"),
    ("a key twice, once escaped", record(rb'"n":1,"\u006e":2'), "not_json", None, "a key stands twice"),
    ("a key twice, deep in what nobody declared", record(b'"q":{"r":[{"a":1,"a":1}]}'), "not_json", None, "a key stands twice"),
    ("a comment", record(b'"n":1 /* one */'), "not_json", None, "at byte"),
    ("a comma too many", record(b'"n":1,'), "not_json", None, "expected a key"),
    ("NaN", record(b'"x":NaN'), "not_json", None, "at byte"),
    ("a hexadecimal number", record(b'"n":0x10'), "not_json", None, "at byte"),
    ("an empty object", b"{}", "missing_field", "id", "absent"),
    ("null for what is required", b'{"id":null,"seen":"2024-01-01T00:00:00Z"}', "missing_field", "id", "null"),
    ("a number for a string", b'{"id":7,"seen":"2024-01-01T00:00:00Z"}', "wrong_type", "id", "7"),
    ("a string for a number", record(b'"n":"1"'), "wrong_type", "n", '"1"'),
    ("a fraction for an integer", record(b'"n":1.5'), "wrong_type", "n", "1.5"),
    ("an integer as 17.0", record(b'"n":17.0'), ACCEPTED, None, ""),
    ("an integer as 1e3", record(b'"n":1e3'), ACCEPTED, None, ""),
    ("the least integer", record(b'"n":-9223372036854775808'), ACCEPTED, None, ""),
    ("the greatest integer", record(b'"n":9223372036854775807'), ACCEPTED, None, ""),
    ("beyond int64", record(b'"n":9223372036854775808'), "wrong_type", "n", "9223372036854775808"),
    ("below int64", record(b'"n":-9223372036854775809'), "wrong_type", "n", "-9223372036854775809"),
    ("beyond int32", record(b'"n32":2147483648'), "wrong_type", "n32", "2147483648"),
    ("10,000 digits", record(b'"n":' + b"1" * 10000), "wrong_type", "n", "111"),
    ("beyond a double", record(b'"x":1e999'), "wrong_type", "x", "1e999"),
    ("an exponent beyond all", record(b'"x":1e99999999999999999999'), "wrong_type", "x", "1e999"),
    ("the greatest double", record(b'"x":1.7976931348623157e308'), ACCEPTED, None, ""),
    ("less than any double", record(b'"x":1e-999'), ACCEPTED, None, ""),
    ("a decimal with too many digits", record(b'"money":123456789.01'), "wrong_type", "money", "123456789.01"),
    ("a decimal that would be rounded", record(b'"money":1.001'), "wrong_type", "money", "1.001"),
    ("a decimal as text", record(b'"money":"99999999.99"'), ACCEPTED, None, ""),
    ("1 for true", record(b'"ok":1'), "wrong_type", "ok", "1"),
    ("a string for an array", record(b'"tags":"a"'), "wrong_type", "tags", '"a"'),
    ("a number in an array of strings", record(b'"tags":["a",1]'), "wrong_type", "tags[1]", "1"),
    ("an array for an object", record(b'"place":[]'), "wrong_type", "place", "[]"),
    ("a wrong type inside an object", record(b'"place":{"city":1}'), "wrong_type", "place.city", "1"),
    ("what nobody declared", record(b'"_extra":1,"_offset":2,"__proto__":{}'), ACCEPTED, None, ""),
    ("no such day", record(b'"day":"2023-02-29"'), "wrong_type", "day", "2023-02-29"),
    ("a stamp with zone Z", seen(b"2024-01-01T00:00:00.123456Z"), ACCEPTED, None, ""),
    ("a stamp with an offset", seen(b"2024-01-01T05:30:00+05:30"), ACCEPTED, None, ""),
    ("a stamp without zone", seen(b"2024-01-01T00:00:00"), "wrong_type", "seen", "2024-01-01T00:00:00"),
    ("an offset of 25 hours", seen(b"2024-01-01T00:00:00+25:00"), "wrong_type", "seen", "+25:00"),
    ("a leap second", seen(b"2016-12-31T23:59:60Z"), "late", None, ""),
    ("second 61", seen(b"2024-01-01T00:00:61Z"), "wrong_type", "seen", ":61Z"),
    ("hour 24", seen(b"2024-01-01T24:00:00Z"), "wrong_type", "seen", "T24:"),
    ("30 February", seen(b"2024-02-30T00:00:00Z"), "wrong_type", "seen", "02-30"),
    ("year 9999", seen(b"9999-12-31T23:59:59.999999Z"), ACCEPTED, None, ""),
    ("year 10000 in UTC", seen(b"9999-12-31T23:59:59-09:00"), "wrong_type", "seen", "9999-12-31"),
    ("year 10000", seen(b"10000-01-01T00:00:00Z"), "wrong_type", "seen", "10000-"),
    ("year 1", seen(b"0001-01-01T00:00:00Z"), "late", None, ""),
    ("year -1", seen(b"-0001-01-01T00:00:00Z"), "wrong_type", "seen", "-0001-"),
    ("a stamp as a number", b'{"id":"?","seen":1704067200}', "wrong_type", "seen", "1704067200"),
    ("an empty stamp", seen(b""), "wrong_type", "seen", '""'),
]


def bytes_of(i, case):
    return case[1].replace(b'"?"', f'"bad{i}"'.encode())


def check_rejected(t, rejected, case, raw, where):
    name, _, reason, field, actual = case
    t.equal((rejected["reason"], rejected["field"]), (reason, field), f"{name} {where}: reason and field")
    t.ok(actual in rejected["actual"], f"{name} {where}: {rejected['actual']!r} does not say {actual!r}")
    t.ok(rejected["expected"], f"{name} {where}: nothing is said to be expected")
    t.equal(rejected["_raw"], raw, f"{name} {where}: the bytes that are kept")


def test_each_bad_record_of_a_file_has_its_reason_and_harms_no_other(t):
    """In one file, each between two good ones; step by step too, so that batches of every make-up are seen."""
    text = b"".join(good(f"g{i}") + b"\n" + bytes_of(i, case) + b"\n" for i, case in enumerate(RECORDS))
    for sets in ([], ["--set", "weir.step.rows=1"]):
        project = make_project(t.dir / f"p{len(sets)}", {"a.ndjson": text + lines("last")})
        done = t.weir("run", "--once", "--project", project, *sets)
        lake = project / ".weir"
        rejected = {r["_offset"]: r for r in read(lake, "bronze.events$rejected").to_pylist()}
        late = set(read(lake, "bronze.events$late").column("_offset").to_pylist())
        taken = {r["_offset"]: r for r in read(lake, "bronze.events").to_pylist()}
        for i, case in enumerate(RECORDS):
            offset, where = 2 * i + 1, f"with {sets}"
            t.equal(taken.get(offset - 1, {}).get("id"), f"g{i}", f"the good record before '{case[0]}' {where}")
            if case[2] == ACCEPTED:
                t.ok(offset in taken, f"{case[0]} {where}: not accepted, but {rejected.get(offset)}")
            elif case[2] == "late":
                t.ok(offset in late, f"{case[0]} {where}: not late, but {rejected.get(offset) or taken.get(offset)}")
            else:
                t.ok(offset in rejected, f"{case[0]} {where}: not rejected, but {taken.get(offset)}")
                check_rejected(t, rejected[offset], case, bytes_of(i, case), where)
        t.equal(len(rejected) + len(late) + len(taken), 2 * len(RECORDS) + 1, f"records {sets}; it said {done.err}")
        row = ledger(t, project)
        t.equal(row["received"], 2 * len(RECORDS) + 1, "received")
        by_reason = {}
        for r in rejected.values():
            by_reason[r["reason"]] = by_reason.get(r["reason"], 0) + 1
        t.equal(row["rejected_by_reason"], by_reason, "the ledger's reasons")


def test_values_at_their_bounds_are_kept_exactly(t):
    project = make_project(t.dir / "p", {"a.ndjson": b"\n".join([
        good("least", ',"n":-9223372036854775808,"n32":-2147483648,"x":-1.7976931348623157e308,"money":-99999999.99'),
        good("most", ',"n":9223372036854775807,"n32":2147483647,"x":1.7976931348623157e308,"money":"99999999.99"'),
        good("nul", r',"tags":["a\u0000b"],"big":123456789012345678901234567890.5'),
        b'{"id":"y9999","seen":"9999-12-31T23:59:59.999999Z"}'])})
    run(t, project)
    rows = {r["id"]: r for r in t.weir("query", "--project", project, "-o", "json", "SELECT * EXCLUDE (_received_at) FROM bronze.events").json}
    lake = {r["id"]: r for r in read(project / ".weir", "bronze.events").to_pylist()}
    t.equal((lake["least"]["n"], lake["least"]["n32"], lake["least"]["x"], str(lake["least"]["money"])),
            (-2**63, -2**31, -1.7976931348623157e308, "-99999999.99"), "the least values")
    t.equal((lake["most"]["n"], lake["most"]["n32"], lake["most"]["x"], str(lake["most"]["money"])),
            (2**63 - 1, 2**31 - 1, 1.7976931348623157e308, "99999999.99"), "the greatest values")
    t.equal(lake["nul"]["tags"], ["a\0b"], "an escaped NUL")
    t.equal(lake["nul"]["_extra"], '{"big":123456789012345678901234567890.5}', "an undeclared number")
    t.ok("9999-12-31" in str(rows["y9999"]["seen"]), f"year 9999 as weir query prints it: {rows['y9999']['seen']}")


def post(port, body, kind="application/x-ndjson"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/v1/events/events", body=body, headers={"Content-Type": kind})
        reply = connection.getresponse()
        text = reply.read().decode()
        return reply.status, json.loads(text) if text.startswith(("{", "[")) else text
    finally:
        connection.close()


def up(t, project, *more, **kinds):
    process = t.start("up", "--port", "0", "--project", project, "--set", "weir.epoch.interval=200ms", "--set", "weir.lease=1s", *more, **kinds)
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        text = process.out_path.read_text()
        if "http://" in text:
            return process, int(text.split("http://127.0.0.1:")[1].split("/")[0])
        time.sleep(.05)
    raise Failure(f"weir up announced no address; exit {process.poll()}, it said:\n{process.err_path.read_text()}")


def stop(t, process, code=0):
    process.send_signal(signal.SIGTERM)
    t.equal(process.wait(60 * PATIENCE), code, f"exit code of a stopped server; it said:\n{process.err_path.read_text()[-3000:]}")


def wait_until(t, what, claim, seconds=60):
    end = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > end:
            raise Failure(f"after {seconds} s still not so: {what}")
        time.sleep(.1)


def test_each_bad_record_over_http_has_its_reason_and_harms_no_other(t):
    project = make_project(t.dir / "p")
    process, port = up(t, project)
    # What is late is late against the stamps before it, as in the file.
    body = b"".join(good(f"g{i}") + b"\n" + bytes_of(i, case) + b"\n" for i, case in enumerate(RECORDS))
    status, reply = post(port, body)
    t.equal(status, 200, f"status: {reply}")
    for i, case in enumerate(RECORDS):
        before, result = reply["results"][2 * i], reply["results"][2 * i + 1]
        t.equal(before["verdict"], "accepted", f"the good record before '{case[0]}'")
        want = (case[2], None) if case[2] in (ACCEPTED, "late") else ("rejected", case[2])
        t.equal((result["verdict"], result.get("reason")), want, f"{case[0]} over HTTP")
        t.equal(result.get("field") or None, case[3], f"{case[0]} over HTTP: field")
    # One record of 20 MB is told; a body beyond the limit of the gateway is refused, and nothing of it is taken.
    status, reply = post(port, good("big", ',"note":"' + "x" * (20 << 20) + '"') + b"\n" + good("after"))
    t.equal((status, [r.get("reason") or r["verdict"] for r in reply["results"]]), (200, ["too_large", "accepted"]), "a record of 20 MB")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
        s.sendall(b"POST /v1/events/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n{")
        has(t, s.recv(4096).decode(), [" 413 ", "67108864"], "the answer to a body of 100 MB")
    stop(t, process)
    run(t, project)  # what a server acknowledged and did not commit before it stopped
    t.equal(ledger(t, project)["received"], 2 * len(RECORDS) + 2, "received")


# ------------------------------------------------------------------------------------------- input files

def gz(text):
    return gzip.compress(text, mtime=0)


def zstd(text):
    return zstandard.ZstdCompressor(write_checksum=True).compress(text)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1:]


def bomb(path):
    """1 GB of zeros in one line of about a megabyte, then a good record."""
    with gzip.open(path, "wb", 1) as f:
        zeros = bytes(1 << 20)
        for _ in range(1024):
            f.write(zeros)
        f.write(b"\n" + lines("m"))


def huge(path):
    with open(path, "wb") as f:
        f.write(good("huge", ',"note":"')[:-1])
        for _ in range(100):
            f.write(b"x" * (1 << 20))
        f.write(b'"}\n' + lines("m"))


MANY = b"".join(good(f"m{i}", f',"n":{i * 7919 % 65537}') + b"\n" for i in range(5000))

# What it is, the file between a good a.ndjson and a good z.ndjson, exit code, parts of the message, its accepted records
# (None: some of them), its reasons of rejection.
FILES = [
    ("empty", "m.ndjson", b"", 0, [], [], {}),
    ("only blank lines", "m.ndjson", b"\n \r\n\t\n", 0, [], [], {}),
    ("no newline at the end", "m.ndjson", lines("m").rstrip(), 0, [], ["m"], {}),
    ("a byte order mark", "m.ndjson", b"\xef\xbb\xbf" + lines("m"), 0, [], ["m"], {}),
    ("a byte order mark in the middle", "m.ndjson", lines("m") + b"\xef\xbb\xbf" + lines("n"), 0, [], ["m"], {"not_json": 1}),
    ("CRLF", "m.ndjson", lines("m", "n").replace(b"\n", b"\r\n"), 0, [], ["m", "n"], {}),
    ("CRLF in the middle", "m.ndjson", good("m") + b"\r\n" + lines("n"), 0, [], ["m", "n"], {}),
    ("a lone CR between records", "m.ndjson", good("m") + b"\r" + lines("n"), 0, [], [], {"not_json": 1}),
    ("a lone CR inside a record", "m.ndjson", good("m").replace(b",", b",\r"), 0, [], ["m"], {}),
    ("one record of 100 MB", "m.ndjson", huge, 0, [], ["m"], {"too_large": 1}),
    ("gzip", "m.ndjson.gz", gz(lines("m")), 0, [], ["m"], {}),
    ("gzip cut in half", "m.ndjson.gz", gz(MANY)[:len(gz(MANY)) // 2], 1, ["m.ndjson.gz", "the file is cut", "are taken in", "another name"], None, {}),
    ("gzip without its last byte", "m.ndjson.gz", gz(lines("m"))[:-1], 1, ["m.ndjson.gz", "the file is cut"], ["m"], {}),
    ("gzip of nothing", "m.ndjson.gz", b"", 1, ["m.ndjson.gz", "the file is cut", "nothing of it is taken in"], [], {}),
    ("gzip that is none", "m.ndjson.gz", lines("m"), 1, ["m.ndjson.gz", "broken gzip data", "incorrect header"], [], {}),
    ("gzip with a flipped checksum", "m.ndjson.gz", flipped(gz(lines("m")), len(gz(lines("m"))) - 8), 1, ["m.ndjson.gz", "incorrect data check"], ["m"], {}),
    ("gzip with rubbish behind it", "m.ndjson.gz", gz(lines("m")) + b"rubbish", 1, ["m.ndjson.gz", "broken gzip data"], ["m"], {}),
    ("a gzip bomb", "m.ndjson.gz", bomb, 0, [], ["m"], {"too_large": 1}),
    ("gzip data under another name", "m.ndjson", gz(lines("m")), 0, [], [], None),
    ("zstd", "m.ndjson.zst", zstd(lines("m")), 0, [], ["m"], {}),
    ("zstd cut", "m.ndjson.zst", zstd(MANY)[:-len(zstd(MANY)) // 3], 1, ["m.ndjson.zst", "the file is cut"], None, {}),
    ("zstd with a flipped checksum", "m.ndjson.zst", flipped(zstd(lines("m")), len(zstd(lines("m"))) - 2), 1, ["m.ndjson.zst", "zstd", "checksum"], [], {}),
    ("zstd that is none", "m.ndjson.zst", lines("m"), 1, ["m.ndjson.zst", "broken zstd data"], [], {}),
    ("a FIFO", "m.ndjson", os.mkfifo, 1, ["m.ndjson", "not a regular file"], [], {}),
    ("a folder", "m.ndjson", os.mkdir, 1, ["m.ndjson", "not a regular file"], [], {}),
    ("a device", "m.ndjson", lambda p: p.symlink_to("/dev/zero"), 1, ["m.ndjson", "not a regular file"], [], {}),
    ("a socket", "m.ndjson", lambda p: bind(p), 1, ["m.ndjson", "not a regular file"], [], {}),
    ("a link that leads nowhere", "m.ndjson", lambda p: p.symlink_to("/nowhere/at/all"), 1, ["m.ndjson", "leads nowhere"], [], {}),
    ("a link in a circle", "m.ndjson", lambda p: p.symlink_to(p), 1, ["m.ndjson", "symbolic links"], [], {}),
]


def bind(path):
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket may be 107 bytes long
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def check_file(t, n, case):
    name, file, content, code, fragments, ids, reasons = case
    project = make_project(t.dir / f"p{n}", {"a.ndjson": lines("a"), file: content, "z.ndjson": lines("z")})
    done = run(t, project, code)
    has(t, done.err, fragments, name)
    report = json.loads(done.out)
    t.equal(len(report["file_faults"]), code, f"{name}: faults in the report")
    row = ledger(t, project)
    got = accepted(project)
    t.ok("a" in got and "z" in got, f"{name}: the good records around it are not accepted: {got}")
    if ids is not None:
        t.equal([i for i in got if i not in "az"], sorted(ids), f"{name}: accepted")
    else:
        t.ok(2 < len(got) < 4999, f"{name}: {len(got)} accepted, want a part of them")
    if reasons is not None:
        t.equal(row["rejected_by_reason"], reasons, f"{name}: reasons")
    return project, report, row


def test_each_bad_file_is_told_and_harms_no_other(t):
    for n, case in enumerate(FILES):
        project, report, row = check_file(t, n, case)
        # A second run tells what still stands in the way, takes nothing twice, and does not fail for what was told.
        broken = code_of_second = 0
        if report["file_faults"] and case[1] != "m.ndjson":
            broken = 1
            text = t.weir("show", "ledger", "--project", project).out
            has(t, text, ["1 file was not read whole", str(case[1])], f"{case[0]}: show ledger")
        elif report["file_faults"]:
            code_of_second = 1
        t.equal(row.get("broken_files", 0), broken, f"{case[0]}: broken files in the ledger")
        again = run(t, project, code_of_second)
        t.equal(json.loads(again.out)["received"], 0, f"{case[0]}: records of a second run")
        t.equal(ledger(t, project), row, f"{case[0]}: the ledger after a second run")
        shutil.rmtree(project)


def test_a_gzip_bomb_needs_no_more_memory_than_any_file(t):
    project = make_project(t.dir / "p", {"m.ndjson.gz": bomb})
    t.weir("check", "--project", project)  # reads the binary in
    p = subprocess.Popen([WEIR, "run", "--once", "--project", project], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    t.equal(p.returncode, 0, "exit code")
    t.ok(SANITIZED or usage.ru_maxrss < 700 << 10, f"{usage.ru_maxrss >> 10} MiB of memory for a line of 1 GB")
    t.equal(accepted(project), ["m"], "records behind the bomb")


def test_a_broken_file_that_is_delivered_again_whole_completes_the_table(t):
    """What the message advises: another name; what it repeats is told apart by its identity."""
    project = make_project(t.dir / "p", {"m.ndjson.gz": gz(MANY)[:len(gz(MANY)) // 2]})
    run(t, project, 1)
    before = len(accepted(project))
    (project / "in/m-again.ndjson.gz").write_bytes(gz(MANY))
    run(t, project)
    row = ledger(t, project)
    t.equal((row["accepted"], row["duplicate"], row["broken_files"]), (5000, before, 1), "accepted, duplicate, broken files")


def test_a_file_that_changes_after_it_was_read_is_told_as_long_as_it_stands(t):
    project = make_project(t.dir / "p", {"a.ndjson": lines("a")})
    run(t, project)
    (project / "in/a.ndjson").write_bytes(lines("a", "more"))
    for _ in range(2):
        done = run(t, project, 1)
        has(t, done.err, ["a.ndjson changed after it was read", "give it a new name"], "a file that grew")
    (project / "in/a.ndjson").rename(project / "in/b.ndjson")
    run(t, project)
    t.equal(accepted(project), ["a", "more"], "accepted once the file has another name")


def test_a_file_that_goes_before_it_was_read_to_its_end_stops_no_later_run(t):
    """Killed between files: what was found is journalled, and then it is gone."""
    many = {f"f{i:03d}.ndjson": lines(*(f"f{i}-{k}" for k in range(20))) for i in range(300)}
    project = make_project(t.dir / "p", many)
    args = ["run", "--once", "--project", project, "--set", "weir.step.rows=1", "--set", "weir.epoch.steps=50"]
    process = t.start(*args)
    wait_until(t, "some of it is committed", lambda: process.poll() is not None or t.weir(
        "show", "epochs", "--project", project, code=None).out.count("\n") > 3)
    process.kill()
    process.wait()
    # A file that was not begun yet: its records are in no table.
    taken = {i.split("-")[0] for i in accepted(project)}
    left = sorted(set(f"f{i}" for i in range(300)) - taken, key=lambda f: int(f[1:]))
    t.ok(len(left) > 2, f"the run was not cut short: {len(left)} files left")
    gone = project / f"in/f{int(left[1][1:]):03d}.ndjson"
    gone.unlink()
    done = run(t, project, 1)
    has(t, done.err, [str(gone.name), "No such file", "another name"], "a file that is gone")
    row = ledger(t, project)
    t.equal((row["accepted"], row["broken_files"]), (299 * 20, 1), "accepted and broken files")
    t.equal(json.loads(run(t, project).out)["received"], 0, "records of a later run")


def test_a_path_of_another_kind_is_told(t):
    project = make_project(t.dir / "p")
    (t.dir / "events.txt").write_bytes(lines("a"))
    os.mkfifo(t.dir / "pipe.ndjson")
    for path, fragments in [
        (t.dir / "events.txt", ["events.txt is no folder", ".ndjson"]),
        ("/dev/null", ["/dev/null is no folder"]),
        (t.dir / "pipe.ndjson", ["pipe.ndjson", "not a regular file"]),
        (t.dir / "nowhere/a.ndjson", ["nowhere/a.ndjson"]),
        (t.dir / "in*/a.ndjson", ["only the last part"]),
    ]:
        done = t.weir("run", "--once", "--project", project, "--source", f"events={path}", code=1)
        has(t, done.err, fragments, f"--source events={path}")


def test_a_project_is_the_same_wherever_it_is_called_from(t):
    project = make_project(t.dir / "p", {"a.ndjson": lines("a")})
    run(t, "p")
    t.equal(json.loads(run(t, ".", cwd=project).out)["received"], 0, "records of a second run from another folder")


# --------------------------------------------------------------------------------------------- projects

CONTRACT_FILE, MODEL_FILE = "contracts/events.odcs.yaml", "models/silver/per_day.sql"


def model(sql):
    return lambda p: (p / MODEL_FILE).write_text(sql)


def change(file, old, new):
    def apply(p):
        text = (p / file).read_text()
        assert old in text, old
        (p / file).write_text(text.replace(old, new, 1))
    return apply


def second_model(sql):
    return lambda p: (p / "models/silver/second.sql").write_text(sql)


def both(*changes):
    return lambda p: [c(p) for c in changes] and None


# What it is, the change of a good project, parts of what `check` and `run` say.
PROJECTS = [
    ("no weir.yml", lambda p: (p / "weir.yml").unlink(), ["weir.yml", "weir init"]),
    ("weir.yml is a folder", both(lambda p: (p / "weir.yml").unlink(), lambda p: (p / "weir.yml").mkdir()), ["weir.yml", "it is a folder"]),
    ("an empty weir.yml", lambda p: (p / "weir.yml").write_text(""), ["weir.yml:1:", "name: my_project"]),
    ("weir.yml with tabs", lambda p: (p / "weir.yml").write_text("name: a\nconfiguration:\n\tweir.step.rows: 1\n"), ["weir.yml:3:", "tab", "blanks"]),
    ("weir.yml with a key twice", lambda p: (p / "weir.yml").write_text("name: a\nname: b\n"), ["weir.yml:2:", "'name' stands twice"]),
    ("weir.yml with an unknown key", lambda p: (p / "weir.yml").write_text("name: a\nconfiguraton: {}\n"), ["weir.yml:2:", "did you mean 'configuration'"]),
    ("weir.yml with a value of a wrong type", lambda p: (p / "weir.yml").write_text("name: a\nconfiguration:\n  weir.step.rows: many\n"), ["weir.yml:3:", "weir.step.rows", "whole number"]),
    ("weir.yml that is not UTF-8", lambda p: (p / "weir.yml").write_bytes(b"name: a\n# \xff\n"), ["weir.yml:2:", "UTF-8"]),
    ("weir.yml as a list", lambda p: (p / "weir.yml").write_text("- a\n"), ["weir.yml:1:", "name: my_project"]),
    ("no contract", lambda p: (p / CONTRACT_FILE).unlink(), [f"{MODEL_FILE}:2:", "no table bronze.events", "named events into contracts/"]),
    ("an empty contract", lambda p: (p / CONTRACT_FILE).write_text(""), [CONTRACT_FILE]),
    ("a contract that is a FIFO", both(lambda p: (p / CONTRACT_FILE).unlink(), lambda p: os.mkfifo(p / CONTRACT_FILE)), [CONTRACT_FILE, "pipe"]),
    ("a contract of an older version", change(CONTRACT_FILE, "v3.1.0", "v2.2.2"), [f"{CONTRACT_FILE}:1:", "v2.2.2", "write apiVersion: v3.1.0"]),
    ("a contract of a newer version", change(CONTRACT_FILE, "v3.1.0", "v4.0.0"), [f"{CONTRACT_FILE}:1:", "v4.0.0", "write apiVersion: v3.1.0"]),
    ("a contract without version", change(CONTRACT_FILE, "apiVersion: v3.1.0\n", ""), [CONTRACT_FILE, "apiVersion is missing"]),
    ("another kind of document", change(CONTRACT_FILE, "DataContract", "DataProduct"), [f"{CONTRACT_FILE}:2:", "DataContract"]),
    ("a contract with tabs", change(CONTRACT_FILE, "    logicalType", "\tlogicalType"), [f"{CONTRACT_FILE}:17:", "tab", "spaces"]),
    ("a contract with a key twice", change(CONTRACT_FILE, "status: active", "status: active\nstatus: draft"), [f"{CONTRACT_FILE}:7:", "stands twice", "keep one"]),
    ("a contract with an unknown key", change(CONTRACT_FILE, "status: active", "statsu: active"), [f"{CONTRACT_FILE}:6:", "did you mean status?"]),
    ("a contract with a value of a wrong type", change(CONTRACT_FILE, "required: true", "required: maybe"), [f"{CONTRACT_FILE}:19:", "neither true nor false"]),
    ("a contract cut in the middle", lambda p: (p / CONTRACT_FILE).write_text(CONTRACT[:CONTRACT.index("    properties")]), [CONTRACT_FILE, "propert"]),
    ("a contract that is not UTF-8", lambda p: (p / CONTRACT_FILE).write_bytes(CONTRACT.encode() + b"# \xe9\n"), [CONTRACT_FILE, "not UTF-8"]),
    ("an unknown type", change(CONTRACT_FILE, "logicalType: boolean", "logicalType: bolean"), [f"{CONTRACT_FILE}:25:", "bolean", "boolean"]),
    ("an event time that is not there", change(CONTRACT_FILE, "value: seen", "value: sean"), [f"{CONTRACT_FILE}:11:", "sean"]),
    ("a source twice", lambda p: (p / "contracts/two.odcs.yaml").write_text(CONTRACT), ["contracts/two.odcs.yaml", "declares the source 'events' too"]),
    ("an empty model", model(""), [f"{MODEL_FILE}:1:", "no model", "CREATE MATERIALIZED VIEW"]),
    ("a typing error in SQL", model(MODEL.replace("SELECT", "SELEC")), [f"{MODEL_FILE}:2:", "did you mean SELECT?"]),
    ("a comma too many", model(MODEL.replace("AS n FROM", "AS n, , FROM")), [f"{MODEL_FILE}:2:", "syntax error"]),
    ("a quote that is not closed", model(MODEL.replace("day,", '"day,')), [f"{MODEL_FILE}:2:", "never closed"]),
    ("an unknown verb", model(MODEL.replace("MATERIALIZED", "MATERIALISED")), [f"{MODEL_FILE}:1:", "did you mean MATERIALIZED?"]),
    ("an unknown column", model(MODEL.replace("day,", "dya,")), [f"{MODEL_FILE}:2:", "dya", "did you mean day"]),
    ("an unknown function", model(MODEL.replace("count(*)", "summ(n)")), [f"{MODEL_FILE}:2:", "summ", "did you mean sum"]),
    ("a function of another type", model(MODEL.replace("count(*)", "sum(id)")), [f"{MODEL_FILE}:2:", "sum(VARCHAR)"]),
    ("an unknown table", model(MODEL.replace("bronze.events", "bronze.event")), [f"{MODEL_FILE}:2:", "did you mean bronze.events?"]),
    ("models in a circle", both(model("CREATE MATERIALIZED VIEW silver.a AS SELECT n FROM silver.b"), second_model("CREATE MATERIALIZED VIEW silver.b AS SELECT n FROM silver.a")),
     ["circle", "silver.a", "silver.b", "cannot read what is made from it"]),
    ("a model that reads itself", model("CREATE MATERIALIZED VIEW silver.a AS SELECT n FROM silver.a"), [f"{MODEL_FILE}:1:", "circle"]),
    ("a model twice", second_model(MODEL), ["models/silver/second.sql:1:", "defines silver.per_day too"]),
    ("a KEY that is no column", model(MODEL.replace("per_day AS", "per_day KEY (dayy) AS")), [f"{MODEL_FILE}:1:", "dayy", "did you mean day?"]),
    ("two statements", model(MODEL + "DROP TABLE x;"), [f"{MODEL_FILE}:3:", "expected CREATE, found 'DROP'"]),
    ("a model that is not UTF-8", lambda p: (p / MODEL_FILE).write_bytes(MODEL.replace("day,", "day, 'ä',").encode("latin-1")), [f"{MODEL_FILE}:2:", "UTF-8"]),
]


def test_each_fault_of_a_project_is_told_with_its_place_and_fix(t):
    for n, (name, edit, fragments) in enumerate(PROJECTS):
        project = make_project(t.dir / f"p{n}", {"a.ndjson": lines("a")})
        edit(project)
        done = t.weir("check", "--project", project, code=1, timeout=60)
        has(t, done.err, fragments, f"check: {name}")
        if n % 5 == 0:  # the same code says it for every command
            done = t.weir("run", "--once", "--project", project, code=1, timeout=60)
            has(t, done.err, fragments, f"run: {name}")
            t.ok(not (project / ".weir").exists(), f"{name}: a data directory was made for a project that has faults")


def test_a_declared_key_that_is_none_halts_its_model_and_nothing_else(t):
    project = make_project(t.dir / "p", {"a.ndjson": good("a", ',"n":1') + b"\n" + good("b", ',"n":1') + b"\n"})
    (project / "models/silver/keyed.sql").write_text("CREATE MATERIALIZED VIEW silver.keyed KEY (n) AS SELECT n, id FROM bronze.events;")
    done = run(t, project, 1)
    has(t, done.err, ["silver.keyed", "KEY"], "a KEY that is none")
    t.equal(list(json.loads(done.out)["halted"]), ["silver.keyed"], "halted models")
    t.equal(accepted(project), ["a", "b"], "accepted")
    t.equal(read(project / ".weir", "silver.per_day").column("n").to_pylist(), [2], "the other model")


# ----------------------------------------------------------------------------------------- permissions

def skipped(why):
    print(f"skipped: {why}")


class Nobody:
    """Runs weir as a user without rights over the test's folder: root may write everywhere, so this is nobody then."""

    def __init__(self, t):
        self.prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
        self.binary = WEIR
        self.t = t
        t.dir.chmod(0o755)
        if self.prefix and not shutil.which("setpriv"):
            self.prefix = None
        elif self.prefix and subprocess.run([*self.prefix, "test", "-x", WEIR]).returncode != 0:
            self.binary = t.dir / "weir"
            shutil.copy(WEIR, self.binary)

    def weir(self, *args, code=0, fragments=()):
        done = subprocess.run([*self.prefix, self.binary, *map(str, args)], capture_output=True, text=True, cwd=self.t.dir, timeout=120)
        what = "as nobody: weir " + " ".join(map(str, args))
        self.t.equal(done.returncode, code, f"exit code {what}; it said:\n{done.stderr[-2000:]}")
        has(self.t, done.stderr, fragments, what)
        return done


def give_to_nobody(path):
    if os.getuid() == 0:
        for p in [path, *path.rglob("*")]:
            os.chown(p, 65534, 65534, follow_symlinks=False)


def test_missing_permissions_are_told_and_stop_only_what_they_must(t):
    nobody = Nobody(t)
    if nobody.prefix is None:
        return skipped("this is root and there is no setpriv")
    project = make_project(t.dir / "p", {"a.ndjson": lines("a"), "m.ndjson": lines("m"), "z.ndjson": lines("z")})
    denied = "Permission denied"
    run_args = ["run", "--once", "--project", project]
    # The project is another user's, and so no data directory can be made in it.
    project.chmod(0o555)
    nobody.weir(*run_args, code=1, fragments=[str(project / ".weir"), denied, "--data"])
    lake = t.dir / "lake"
    lake.mkdir()
    lake.chmod(0o555)
    nobody.weir(*run_args, "--data", lake, code=1, fragments=[str(lake), denied, "--data"])
    lake.chmod(0o755)
    give_to_nobody(lake)
    run_args += ["--data", lake]
    # One file that cannot be read holds no other up; once it can be, it is taken.
    bad = project / "in/m.ndjson"
    bad.chmod(0)
    nobody.weir(*run_args, code=1, fragments=[str(bad), denied, "tried again"])
    t.equal(sorted(read(lake, "bronze.events").column("id").to_pylist()), ["a", "z"], "accepted beside a file that cannot be read")
    nobody.weir(*run_args, code=1, fragments=[str(bad), denied])
    bad.chmod(0o644)
    nobody.weir(*run_args)
    t.equal(sorted(read(lake, "bronze.events").column("id").to_pylist()), ["a", "m", "z"], "accepted once it can be read")
    for path, mode, fragments in [
        (project / "in", 0, [str(project / "in"), denied, "tried again"]),
        (project / "weir.yml", 0, ["weir.yml", denied]),
        (project / CONTRACT_FILE, 0, [CONTRACT_FILE, denied]),
        (project / MODEL_FILE, 0, [MODEL_FILE, denied]),
        (project / "contracts", 0, ["contracts", denied]),
        (project / "models/silver", 0, ["models/silver", denied]),
        (lake / "catalog.db", 0o444, ["catalog", "read"]),
        (lake / "catalog.db", 0, ["catalog.db", denied]),
        (lake / "journal", 0, ["journal", denied]),
        (lake / "warehouse/bronze/events/data", 0o555, ["warehouse/bronze/events/data", denied, "--data"]),
        (lake / "state", 0, ["state", denied]),
    ]:
        before = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode)
        if "warehouse" in str(path):
            (project / "in/y.ndjson").write_bytes(lines("y"))
        nobody.weir(*run_args, code=1, fragments=fragments)
        path.chmod(before)
    nobody.weir(*run_args)
    t.equal(sorted(read(lake, "bronze.events").column("id").to_pylist()), ["a", "m", "y", "z"], "accepted in the end")


def test_a_lake_that_may_only_be_read_can_be_queried(t):
    nobody = Nobody(t)
    if nobody.prefix is None:
        return skipped("this is root and there is no setpriv")
    project = make_project(t.dir / "p", {"a.ndjson": lines("a")})
    run(t, project)
    lake = project / ".weir"
    for p in [lake, *lake.rglob("*")]:
        p.chmod(0o555 if p.is_dir() else 0o444)
    for args in (["query", "SELECT id FROM bronze.events"], ["show", "ledger"], ["ls"], ["show", "epochs"]):
        nobody.weir(*args, "--project", project)


# -------------------------------------------------------------------------------------- descriptors, space

def limited(descriptors):
    import resource
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))


def test_a_run_without_descriptors_loses_nothing(t):
    """The least that is enough is sought from below: every count that is too small is told and does no harm."""
    project = make_project(t.dir / "p", {f"{i}.ndjson": lines(f"{i}") for i in range(5)})
    failed = 0
    for descriptors in range(3, 100):
        p = subprocess.run([WEIR, "run", "--once", "--project", project], capture_output=True, text=True, preexec_fn=limited(descriptors), timeout=120)
        if p.returncode == 0:
            break
        if "shared libraries" in p.stderr:  # the program itself cannot be loaded
            continue
        failed += 1
        t.equal(p.returncode, 1, f"exit code with {descriptors} descriptors; it said:\n{p.stderr[-2000:]}")
        has(t, p.stderr, ["Too many open files"], f"with {descriptors} descriptors")
    t.ok(failed > 1, f"{failed} runs failed for want of descriptors")
    run(t, project)
    t.equal(accepted(project), ["0", "1", "2", "3", "4"], "accepted in the end")
    t.equal(ledger(t, project)["received"], 5, "received in the end")


def acknowledged(port, ids):
    """Posts records one batch at a time; True when they were acknowledged."""
    try:
        status, reply = post(port, lines(*ids))
    except OSError:
        return False
    if status == 200:
        return all(r["verdict"] in ("accepted", "duplicate") for r in reply["results"])
    if status not in (429, 500, 503):
        raise Failure(f"status {status}: {reply}")
    return False


def test_a_server_without_descriptors_goes_on_once_there_are_some(t):
    import resource
    project = make_project(t.dir / "p")
    process, port = up(t, project)
    wait_until(t, "the first record is acknowledged", lambda: acknowledged(port, ["first"]))
    # As many as are open now and three more: enough to answer, too few to commit.
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{process.pid}/fd")) + 3, hard))
    acked, n = {"first"}, 0
    wait_until(t, "the server says what is wrong", lambda: acknowledged(port, [f"r{n}"]) and acked.add(f"r{n}") or
               "Too many open files" in process.err_path.read_text())
    (project / "in/a.ndjson").write_bytes(lines("file"))
    t.equal(process.poll(), None, "the server without descriptors")
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (hard, hard))
    wait_until(t, "records are acknowledged again", lambda: acknowledged(port, ["last"]))
    stop(t, process)
    run(t, project)
    t.ok({"first", "last", "file"} | acked <= set(accepted(project)), f"acknowledged records are missing: {accepted(project)}")
    t.equal(len(accepted(project)), len(set(accepted(project))), "distinct records")


class SmallDisk:
    """A file system of so many bytes, at `path`; None where this may not be mounted."""

    def __init__(self, t, path, size):
        path.mkdir()
        self.path = path
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True, text=True)
        self.why_not = done.stderr.strip() if done.returncode else None

    def grow(self, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", self.path], check=True)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=True)


def wide(n):
    """Records that fill disks: noise does not compress."""
    return b"".join(good(f"w{i}", f',"note":"{os.urandom(400).hex()}"') + b"\n" for i in range(n))


def test_a_run_on_a_full_disk_loses_nothing(t):
    """A real file system; every byte of a simulated one is in flow_test."""
    text = wide(3000)
    for kib in (60, 150, 400, 800, 1300):
        disk = SmallDisk(t, t.dir / f"disk{kib}", f"{kib}k")
        if disk.why_not:
            return skipped(f"no file system can be mounted here: {disk.why_not}")
        try:
            project = make_project(t.dir / f"p{kib}", {"a.ndjson": text})
            args = ["run", "--once", "--project", project, "--data", disk.path, "--set", "weir.step.rows=500", "--set", "weir.epoch.steps=1"]
            done = t.weir(*args, code=1)
            has(t, done.err, ["No space left on device", str(disk.path)], f"a disk of {kib} KiB")
            t.weir(*args, code=1)
            disk.grow("100m")
            t.weir(*args)
            row = t.weir("show", "ledger", "--data", disk.path, "-o", "json").json[0]
            t.equal((row["received"], row["accepted"]), (3000, 3000), f"received and accepted after a disk of {kib} KiB")
            ids = read(disk.path, "bronze.events").column("id").to_pylist()
            t.equal(sorted(ids), sorted(f"w{i}" for i in range(3000)), f"rows after a disk of {kib} KiB")
        finally:
            disk.close()


def test_a_server_on_a_full_disk_goes_on_once_there_is_room(t):
    for kib in (2000, 4000):
        disk = SmallDisk(t, t.dir / f"disk{kib}", f"{kib}k")
        if disk.why_not:
            return skipped(f"no file system can be mounted here: {disk.why_not}")
        try:
            project = make_project(t.dir / f"p{kib}")
            process, port = up(t, project, "--data", disk.path)
            acked, refused = set(), False
            for n in range(10000):
                if acknowledged_wide(port, n):
                    acked.add(f"w{n}")
                elif refused := "No space left" in process.err_path.read_text():
                    break
            t.ok(refused, "the disk never filled")
            t.equal(process.poll(), None, f"the server on a full disk; it said:\n{process.err_path.read_text()[-2000:]}")
            wait_until(t, "the server says that it waits", lambda: '"event":"up_waits"' in process.err_path.read_text())
            has(t, process.err_path.read_text(), ["No space left", "nothing that was acknowledged is lost", "tried again every second"], "the server")
            disk.grow("200m")
            wait_until(t, "records are acknowledged again", lambda: acknowledged(port, ["last"]))
            stop(t, process)
            t.weir("run", "--once", "--project", project, "--data", disk.path)
            ids = read(disk.path, "bronze.events").column("id").to_pylist()
            t.equal(len(ids), len(set(ids)), "distinct records")
            t.ok(acked | {"last"} <= set(ids), f"{len(acked - set(ids))} of {len(acked)} acknowledged records are missing")
        finally:
            for p in t.running:
                if p.poll() is None:
                    p.kill()
                    p.wait()
            disk.close()


def acknowledged_wide(port, n):
    try:
        return post(port, good(f"w{n}", f',"note":"{os.urandom(20000).hex()}"'))[0] == 200
    except OSError:
        return False
