#!/usr/bin/env python3
"""Decides whether a data directory holds what its clients were promised, and nothing else.

    checker.py --sent sent.jsonl --data DIR --project DIR [--source NAME]

It knows what the clients sent and heard, reads the tables with PyIceberg and computes the models with DuckDB. It shares no code with Weir, nor with
the helpers of the end-to-end tests. Exit code 0: nothing is wrong; 1: faults, one per line as `KIND: what`; 2: wrong call.

The data directory must be drained: everything acknowledged or delivered is committed. Kinds of faults:

    lost       acknowledged, or in a delivered file, but in no table and no duplicate of anything
    doubled    one identity taken twice, or one offset given twice
    invented   a row that nobody sent, or whose content is not what was sent
    disorder   a key whose records do not stand in the order in which its client sent them
    verdict    a verdict that contradicts what stands in the tables
    ledger     counts that do not add up, or not to the tables and the offsets
    model      a model that is not its SQL over bronze

What clients did is a file of JSON lines, in the order of each client's doings. The first says what they know of the contract:

    {"contract": {"identity": ["event_id"], "key": ["trip_id"], "time": "event_timestamp", "lateness_hours": 48, "fields": {"event_id": "string", …}}}
    {"send": "c1", "seq": 7, "records": ["{…}"], "answer": [{"partition": 0, "offset": 12, "verdict": "accepted"}]}
        one request of client c1; its bytes as Latin-1; "answer" null when the outcome is unknown. A client goes on to seq + 1 only after seq was answered,
        and repeats seq until it is.
    {"file": "in/events-1.ndjson.gz", "partition": 1000}
        a file that was delivered whole, path as seen from the folder of the log, and the partition that reads it; nobody changes it afterwards.
"""
import argparse
import collections
import datetime
import gzip
import json
import re
import sqlite3
import sys
from pathlib import Path

import duckdb
import zstandard
from pyiceberg.catalog.sql import SqlCatalog

PER_SERVER = 1000  # partitions are numbered from 0, 1000, … by server: an identity is known within one server's
FAULTS_SHOWN = 20  # of each kind


class Contract:
    """What of the source's contract decides right and wrong here."""

    def __init__(self, identity, key, time, lateness_hours, fields):
        self.identity, self.key, self.time = identity, key, time
        self.lateness = datetime.timedelta(hours=lateness_hours)
        self.fields = fields  # name -> "string", "integer", "number", "timestamp"


class Record:
    """One record as a client sent it."""

    __slots__ = ("bytes", "fields", "where")

    def __init__(self, data, where):
        self.bytes, self.where = data, where
        try:
            value = json.loads(data.decode("utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
            value = None
        self.fields = value if isinstance(value, dict) else None

    def part(self, names):
        """The named fields as a tuple; None when the record is no object or lacks one of them."""
        if self.fields is None or not all(isinstance(self.fields.get(n), (str, int, float)) for n in names):
            return None
        return tuple(self.fields[n] for n in names)


class Sent:
    """The log of the clients, and the files they delivered."""

    def __init__(self, path):
        self.contract = None
        self.requests = []  # (client, seq, [Record], answer or None)
        self.files = []  # (name, partition, [Record])
        path = Path(path)
        for line in path.read_text().splitlines():
            what = json.loads(line)
            if "contract" in what:
                self.contract = Contract(**what["contract"])
            elif "send" in what:
                where = f"{what['send']}/{what['seq']}"
                records = [Record(r.encode("latin-1"), f"{where}[{i}]") for i, r in enumerate(what["records"])]
                self.requests.append((what["send"], what["seq"], records, what["answer"]))
            else:
                self.files.append((what["file"], what["partition"], self.lines(path.parent / what["file"])))

    @staticmethod
    def lines(path):
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        elif path.suffix == ".zst":
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        return [Record(line, f"{path.name}:{i + 1}") for i, line in enumerate(data.splitlines())]


def rows(catalog, table):
    """A whole table as dicts; none for a table that does not exist."""
    if not catalog.table_exists(tuple(table.split(".", 1))):
        return []
    return catalog.load_table(tuple(table.split(".", 1))).scan().to_arrow().to_pylist()


class Lake:
    """The tables of one source, its ledger and how far it is committed."""

    def __init__(self, data, source):
        self.data = Path(data).resolve()
        self.catalog = SqlCatalog("weir", uri=f"sqlite:///{self.data}/catalog.db")
        names = {"accepted": "", "rejected": "$rejected", "late": "$late", "conflict": "$duplicate"}
        self.tables = {verdict: rows(self.catalog, f"bronze.{source}{suffix}") for verdict, suffix in names.items()}
        db = sqlite3.connect(f"file:{self.data}/catalog.db?mode=ro", uri=True, timeout=20)
        try:
            line = db.execute("SELECT line FROM weir_ledger WHERE source = ?", [source]).fetchone()
            frontier = db.execute("SELECT frontier FROM weir_lanes WHERE lane = 'live'").fetchone()
        finally:
            db.close()
        self.ledger = json.loads(line[0]) if line else {}
        partitions = json.loads(frontier[0])["sources"].get(source, []) if frontier else []
        self.next = {p["partition"]: p["next"] for p in partitions}


class Checker:
    def __init__(self, sent, lake, project, source):
        self.sent, self.lake, self.contract, self.project, self.source = sent, lake, sent.contract, Path(project), source
        self.faults = []
        self.at = {}  # (partition, offset) -> (verdict, row)
        self.known = {}  # (server, identity, key) -> [(partition, offset, verdict)], of accepted and late rows
        self.claimed = {}  # (partition, offset) -> Record that is known to stand there
        self.checks = 0

    def fault(self, kind, text):
        self.faults.append((kind, text))

    def run(self):
        self.read_places()
        self.claim_answers()
        self.claim_files()
        self.check_claimed()
        self.check_unclaimed()
        self.check_doubled()
        self.check_order()
        self.check_lateness()
        self.check_ledger()
        self.check_models()
        return self.faults

    # ---------------------------------------------------------------------------------- reading

    def read_places(self):
        for verdict, table in self.lake.tables.items():
            for row in table:
                place = (row["_partition"], row["_offset"])
                if place in self.at:
                    self.fault("doubled", f"offset {place} stands in '{self.at[place][0]}' and in '{verdict}'")
                    continue
                self.at[place] = (verdict, row)
                if not 0 <= place[1] < self.lake.next.get(place[0], 0):
                    self.fault("ledger", f"a row '{verdict}' at {place} lies beyond the frontier {self.lake.next.get(place[0], 0)}")
                if verdict in ("accepted", "late"):
                    self.known.setdefault(self.identity_of(row, place[0]), []).append((*place, verdict))
        for found in self.known.values():
            found.sort()

    def identity_of(self, fields, partition):
        return (partition // PER_SERVER, *(fields[n] for n in self.contract.identity), *(fields[n] for n in self.contract.key))

    # ----------------------------------------------------------------------------------- claims

    def claim(self, place, record):
        other = self.claimed.get(place)
        if other is not None:
            self.fault("doubled", f"offset {place} was given to {other.where} and to {record.where}")
        self.claimed[place] = record

    def claim_answers(self):
        for client, seq, records, answer in self.sent.requests:
            if answer is None:
                continue
            if len(answer) != len(records):
                self.fault("verdict", f"{client}/{seq}: {len(answer)} results for {len(records)} records")
                continue
            for record, result in zip(records, answer):
                self.claim((result["partition"], result["offset"]), record)

    def claim_files(self):
        """Where each file begins: its lines have offsets without gaps, so any row that only one file can have made tells it."""
        by_partition = collections.defaultdict(list)
        for file in self.sent.files:
            by_partition[file[1]].append(file)
        for partition, files in by_partition.items():
            self.claim_partition(partition, files)

    def claim_partition(self, partition, files):
        lines = collections.defaultdict(list)  # bytes or content -> [(file, line)]
        for f, (_, _, records) in enumerate(files):
            for i, record in enumerate(records):
                lines[self.trace(record)].append((f, i))
        votes = collections.defaultdict(collections.Counter)  # file -> where it would begin
        for (p, offset), (verdict, row) in self.at.items():
            if p != partition:
                continue
            found = lines.get(self.trace_of_row(verdict, row), [])
            if len(found) == 1:
                votes[found[0][0]][offset - found[0][1]] += 1
        spans, unplaced = [], []
        for f, (name, _, records) in enumerate(files):
            if not records:
                continue
            if not votes[f]:
                unplaced.append(name)
                continue
            if len(votes[f]) > 1:
                self.fault("doubled", f"{name}: its lines stand at several places: it would begin at offsets {sorted(votes[f])[:5]}")
            begin = votes[f].most_common(1)[0][0]
            spans.append((begin, begin + len(records), name))
            for i, record in enumerate(records):
                self.claim((partition, begin + i), record)
        for name in list(unplaced):
            begin = self.hole_for(partition, spans, next(r for n, _, r in files if n == name))
            if begin is None:
                continue
            unplaced.remove(name)
            records = next(r for n, _, r in files if n == name)
            spans.append((begin, begin + len(records), name))
            for i, record in enumerate(records):
                self.claim((partition, begin + i), record)
        for name in unplaced:
            self.fault("lost", f"{name}: none of its {dict((n, len(r)) for n, _, r in files)[name]} lines is in a table")
        end = 0
        for begin, to, name in sorted(spans):
            if begin != end and not unplaced:
                self.fault("ledger", f"partition {partition}: offsets {end} to {begin - 1} before {name} belong to no file")
            end = max(end, to)
        if end != self.lake.next.get(partition, 0) and not unplaced:
            kind = "lost" if end > self.lake.next.get(partition, 0) else "invented"
            self.fault(kind, f"partition {partition}: its files end at offset {end}, it is committed to {self.lake.next.get(partition, 0)}")

    def hole_for(self, partition, spans, records):
        """Where a file stands whose lines others have, too: in the only hole between the others that it fills and whose rows it can have made."""
        holes, end = [], 0
        for begin, to, _ in sorted(spans) + [(self.lake.next.get(partition, 0), 0, "")]:
            if begin - end == len(records):
                holes.append(end)
            end = max(end, to)
        fitting = [at for at in holes if all((partition, at + i) not in self.at or self.trace_of_row(*self.at[partition, at + i]) == self.trace(record)
                                             for i, record in enumerate(records))]
        return fitting[0] if len(fitting) == 1 else None

    def trace(self, record):
        """What of a record its row shows, whatever table it is in: enough to find it again."""
        identity = record.part(self.contract.identity)
        return ("identity", *identity) if identity else ("bytes", record.bytes)

    def trace_of_row(self, verdict, row):
        if verdict == "rejected":
            return self.trace(Record(bytes(row["_raw"]), ""))
        return ("identity", *(row[n] for n in self.contract.identity))

    # --------------------------------------------------------------------- what must be, and is

    def check_claimed(self):
        for (partition, offset), record in self.claimed.items():
            if offset >= self.lake.next.get(partition, 0):
                self.fault("lost", f"{record.where} stands at {(partition, offset)}, committed is up to {self.lake.next.get(partition, 0)}")
        for _, _, records, answer in self.sent.requests:
            for record, result in zip(records, answer or ()):
                self.check_verdict((result["partition"], result["offset"]), record, result["verdict"])
        file_partitions = {partition for _, partition, _ in self.sent.files}
        for place, record in self.claimed.items():
            if place[0] in file_partitions:
                verdict = self.at[place][0] if place in self.at else "duplicate"
                self.check_verdict(place, record, "duplicate" if verdict == "conflict" else verdict)

    def check_verdict(self, place, record, verdict):
        self.checks += 1
        found, row = self.at.get(place, (None, None))
        if verdict == "duplicate":
            return self.check_duplicate(place, record, found, row)
        if found is None:
            return self.fault("lost", f"{record.where} at {place} was answered '{verdict}' and is in no table: {record.bytes[:200]!r}")
        if found != verdict:
            return self.fault("verdict", f"{record.where} at {place} was answered '{verdict}' and is in '{found}'")
        self.check_content(place, record, found, row)

    def check_duplicate(self, place, record, found, row):
        identity = record.part(self.contract.identity + self.contract.key)
        if identity is None:
            return self.fault("lost", f"{record.where} at {place} counts as a duplicate and has no identity: {record.bytes[:200]!r}")
        n = len(self.contract.identity)
        before = [k for k in self.known.get((place[0] // PER_SERVER, *identity[:n], *identity[n:]), []) if k[0] != place[0] or k[1] < place[1]]
        if not before:
            return self.fault("lost", f"{record.where} at {place} counts as a duplicate, and nothing before it has its identity {identity}")
        if found not in (None, "conflict"):
            return self.fault("doubled", f"{record.where} at {place} was answered 'duplicate' and is in '{found}'")
        same = not self.difference(record, self.at[before[-1][:2]][1])
        if same and found == "conflict":
            self.fault("verdict", f"{record.where} at {place} is in $duplicate although its content is that of {before[-1]}")
        if not same and found is None:
            self.fault("lost", f"{record.where} at {place} has other content than {before[-1]} and is not in $duplicate")
        if found == "conflict":
            self.check_content(place, record, found, row)

    def check_content(self, place, record, verdict, row):
        if "_raw" in row and bytes(row["_raw"]) != record.bytes:
            return self.fault("invented", f"{verdict} row at {place} has other bytes than {record.where}: {bytes(row['_raw'])[:200]!r}, sent was {record.bytes[:200]!r}")
        if verdict == "rejected":
            return None
        wrong = self.difference(record, row)
        if wrong:
            self.fault("invented", f"{verdict} row at {place} is not {record.where}: {wrong}")

    def difference(self, record, row):
        """Where a row is not the record; empty when it is."""
        if record.fields is None:
            return f"the record is no object: {record.bytes[:200]!r}"
        absent = set(row["_absent"] or ())
        for name, kind in self.contract.fields.items():
            want = record.fields.get(name)
            if want is not None and kind == "timestamp":
                want = moment(want)
            if row[name] != want:
                return f"{name} is {row[name]!r}, sent was {want!r}"
            if (name in absent) != (name not in record.fields):
                return f"{name} is {'' if name in absent else 'not '}in _absent"
        extra = {k: v for k, v in record.fields.items() if k not in self.contract.fields}
        if (json.loads(row["_extra"]) if row["_extra"] else {}) != extra:
            return f"_extra is {row['_extra']!r}, sent was {extra!r}"
        return ""

    # -------------------------------------------------------------------- what must not be there

    def check_unclaimed(self):
        """Rows and offsets nobody was told of must come from requests whose outcome is unknown, each record at most once."""
        unknown = collections.defaultdict(list)  # trace -> records
        count = 0
        for _, _, records, answer in self.sent.requests:
            if answer is None:
                count += len(records)
                for record in records:
                    unknown[self.trace(record)].append(record)
        file_partitions = {partition for _, partition, _ in self.sent.files}
        for place, (verdict, row) in self.at.items():
            if place in self.claimed:
                continue
            candidates = unknown.get(self.trace_of_row(verdict, row), []) if place[0] not in file_partitions else []
            fitting = [i for i, r in enumerate(candidates)
                       if (bytes(row["_raw"]) == r.bytes if "_raw" in row else not self.difference(r, row))]
            if not fitting:
                shown = {k: v for k, v in row.items() if v is not None}
                self.fault("invented", f"{verdict} row at {place} was sent by nobody whose request is unanswered: {str(shown)[:400]}")
            else:
                candidates.pop(fitting[0])
        live = sum(n for p, n in self.lake.next.items() if p not in file_partitions)
        answered = sum(1 for p, _ in self.claimed if p not in file_partitions)
        if not answered <= live <= answered + count:
            self.fault("invented" if live > answered else "lost",
                       f"{live} offsets were given to requests: {answered} records were answered, of {count} the outcome is unknown")

    def check_doubled(self):
        for identity, found in self.known.items():
            if len(found) > 1:
                self.fault("doubled", f"identity {identity[1:]} was taken {len(found)} times: {found[:4]}")

    # ------------------------------------------------------------------------------------ order

    def check_order(self):
        first = {}  # (client, identity) -> place in the client's order; only of identities that a single client sends
        senders = collections.defaultdict(set)
        last = {}  # (client, key) -> (partition, offset, where)
        for client, seq, records, answer in self.sent.requests:
            for i, record in enumerate(records):
                key = record.part(self.contract.key)
                if key is None:
                    continue
                identity = record.part(self.contract.identity)
                if identity is not None:
                    senders[identity].add(client)
                    first.setdefault((client, identity), (seq, i, key))
                if answer is not None and i < len(answer):
                    place = (answer[i]["partition"], answer[i]["offset"])
                    before = last.get((client, key))
                    if before and answer[i]["verdict"] != "rejected":
                        if before[0] != place[0]:
                            self.fault("disorder", f"key {key} of {client} is in partitions {before[0]} and {place[0]}")
                        elif before[1] >= place[1]:
                            self.fault("disorder", f"{record.where} at offset {place[1]} was sent after {before[2]} of the same key at {before[1]}")
                    if answer[i]["verdict"] != "rejected":
                        last[client, key] = (*place, record.where)
        self.check_taken_order(first, senders)

    def check_taken_order(self, first, senders):
        """Also over retries: where the accepted rows of a key stand, in the order in which they were first sent."""
        taken = {}  # identity -> (partition, offset)
        for known, found in self.known.items():
            if known[0] == 0 and found[0][2] == "accepted":
                taken[known[1:1 + len(self.contract.identity)]] = found[0][:2]
        orders = collections.defaultdict(list)
        for (client, identity), (seq, i, key) in first.items():
            if len(senders[identity]) == 1 and identity in taken:
                orders[client, key].append((seq, i, taken[identity]))
        for (client, key), order in orders.items():
            order.sort()
            for (seq, i, place), (seq2, i2, place2) in zip(order, order[1:]):
                if place >= place2:
                    self.fault("disorder", f"key {key}: {client}/{seq}[{i}] stands at {place}, {client}/{seq2}[{i2}], sent after it, at {place2}")

    # --------------------------------------------------------------------------------- lateness

    def check_lateness(self):
        """An accepted record is not older than its partition's watermark; a late one is older than the newest any partition can have."""
        if self.contract.time is None:
            return
        newest, everything = {}, None
        for place in sorted(self.at):
            verdict, row = self.at[place]
            if verdict != "accepted":
                continue
            time, before = row[self.contract.time], newest.get(place[0])
            if before is not None and time < before - self.contract.lateness:
                self.fault("verdict", f"the row at {place} was accepted at {time}, {before - time} behind {before}")
            newest[place[0]] = max(time, before or time)
            everything = max(time, everything or time)
        for place, (verdict, row) in self.at.items():
            if verdict == "late" and (everything is None or row[self.contract.time] >= everything - self.contract.lateness):
                self.fault("verdict", f"the row at {place} counts as late at {row[self.contract.time]}; the newest of all is {everything}")

    # ----------------------------------------------------------------------------------- ledger

    def check_ledger(self):
        ledger = self.lake.ledger
        parts = {k: ledger.get(k, 0) for k in ("accepted", "rejected", "duplicate", "late", "blocked")}
        received = ledger.get("received", 0)
        if received != sum(parts.values()):
            self.fault("ledger", f"received {received} is not the sum of {parts}")
        if received != sum(self.lake.next.values()):
            self.fault("ledger", f"received {received}, the partitions end at {self.lake.next}")
        have = {verdict: len(table) for verdict, table in self.lake.tables.items()}
        want = {"accepted": parts["accepted"], "rejected": parts["rejected"], "late": parts["late"], "conflict": ledger.get("conflicting", 0)}
        for verdict, count in want.items():
            if have[verdict] != count:
                self.fault("ledger", f"{count} {verdict} in the ledger, {have[verdict]} rows in the table")
        plain = sum(self.lake.next.values()) - sum(have.values())
        if parts["duplicate"] - ledger.get("conflicting", 0) != plain:
            self.fault("ledger", f"{parts['duplicate'] - ledger.get('conflicting', 0)} duplicates of the same content in the ledger, {plain} offsets without a row")
        reasons = dict(collections.Counter(row["reason"] for row in self.lake.tables["rejected"]))
        if reasons != {k: v for k, v in ledger.get("rejected_by_reason", {}).items() if v}:
            self.fault("ledger", f"reasons in the ledger {ledger.get('rejected_by_reason')}, in the table {reasons}")

    # ----------------------------------------------------------------------------------- models

    def check_models(self):
        db = duckdb.connect()
        db.execute("SET TimeZone = 'UTC'")
        db.execute("CREATE SCHEMA bronze")
        name = ("bronze", self.source)
        if not self.lake.catalog.table_exists(name):
            return
        db.register("lake_rows", self.lake.catalog.load_table(name).scan().to_arrow())
        db.execute(f"CREATE TABLE bronze.{self.source} AS SELECT * FROM lake_rows")
        models = {m.name: m for m in map(Model, sorted(self.project.glob("models/**/*.sql")))}
        waiting = dict(models)
        while waiting:  # a model after those it reads
            ready = [m for m in waiting.values() if not any(other in m.query and other != m.name for other in waiting)]
            for model in ready:
                db.execute(f"CREATE SCHEMA IF NOT EXISTS {model.name.split('.')[0]}")
                db.execute(f"CREATE TABLE {model.name} AS {model.query}")
                del waiting[model.name]
                self.check_model(db, model)

    def check_model(self, db, model):
        db.register("lake_rows", self.lake.catalog.load_table(tuple(model.name.split("."))).scan().to_arrow())
        db.execute("CREATE OR REPLACE TEMP TABLE lake_copy AS SELECT * FROM lake_rows")
        keys = ", ".join(model.keys)
        twice = db.execute(f"SELECT {keys} FROM lake_copy GROUP BY {keys} HAVING count(*) > 1 LIMIT 3").fetchall()
        if twice:
            self.fault("model", f"{model.name} has several rows of the keys {twice}")
        columns = {c[0]: c[1] for c in db.execute(f"DESCRIBE {model.name}").fetchall()}
        have = {c[0]: c[1] for c in db.execute("DESCRIBE lake_copy").fetchall()}
        if list(columns) != list(have):
            return self.fault("model", f"{model.name} has the columns {list(have)}, its query {list(columns)}")
        on = " AND ".join(f"a.{k} IS NOT DISTINCT FROM b.{k}" for k in model.keys)
        tests = ["a.is_there IS NULL", "b.is_there IS NULL"]
        for column in columns:
            a, b = f'a."{column}"', f'b."{column}"'
            if "DOUBLE" in (columns[column], have[column]):
                tests.append(f"NOT ({a} IS NOT DISTINCT FROM {b} OR coalesce(abs({a} - {b}) <= 1e-9 * greatest(1, abs({b})), false))")
            else:
                tests.append(f"{a} IS DISTINCT FROM {b}")
        wrong = db.execute(f"SELECT a, b FROM (SELECT true AS is_there, * FROM lake_copy) a FULL JOIN (SELECT true AS is_there, * FROM {model.name}) b "
                           f"ON {on} WHERE {' OR '.join(tests)} LIMIT 3").fetchall()
        for got, want in wrong:
            self.fault("model", f"{model.name}: the table has {got}, its query over bronze gives {want}")
        return None


class Model:
    """A model file: CREATE MATERIALIZED VIEW name KEY (…) … AS query."""

    def __init__(self, path):
        text = re.sub(r"--[^\n]*", "", path.read_text())
        head, self.query = re.fullmatch(r"(.*?)\bAS\s+(SELECT\b.*?);?\s*", text, re.S).groups()
        self.name = re.search(r"MATERIALIZED\s+VIEW\s+([\w.]+)", head)[1]
        self.keys = [k.strip() for k in re.search(r"KEY\s*\(([^)]*)\)", head)[1].split(",")]


def moment(text):
    """A JSON timestamp; digits beyond microseconds are cut."""
    text = re.sub(r"(\.\d{6})\d+", r"\1", text)
    return datetime.datetime.fromisoformat(text).astimezone(datetime.timezone.utc)


def check(sent, data, project, source="ride_events"):
    """(faults as (kind, text), the checker)."""
    checker = Checker(Sent(sent), Lake(data, source), project, source)
    return checker.run(), checker


def main():
    options = argparse.ArgumentParser(prog="checker.py", description=__doc__.split("\n")[0])
    options.add_argument("--sent", required=True, help="what the clients sent and heard: JSON lines")
    options.add_argument("--data", required=True, help="the data directory")
    options.add_argument("--project", required=True, help="the project, for its models")
    options.add_argument("--source", default="ride_events")
    args = options.parse_args()
    faults, checker = check(args.sent, args.data, args.project, args.source)
    shown = collections.Counter()
    for kind, text in faults:
        shown[kind] += 1
        if shown[kind] <= FAULTS_SHOWN:
            print(f"{kind}: {text}")
    for kind, count in shown.items():
        if count > FAULTS_SHOWN:
            print(f"{kind}: … and {count - FAULTS_SHOWN} more")
    sizes = ", ".join(f"{len(table)} {verdict}" for verdict, table in checker.lake.tables.items())
    print(f"checker: {checker.checks} answers and lines against {sizes}: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
