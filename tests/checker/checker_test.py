#!/usr/bin/env python3
"""The checker's own tests: it passes a real data directory, and sees each fault that is planted in it.

The directory is made by a few cycles of ./x soak. Faults are planted by others than Weir: PyIceberg writes the tables, sqlite3 the catalog, and the clients'
log is rewritten as text. Tables are immutable files behind a catalog, so bringing back catalog.db undoes a fault.
"""
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog.sql import SqlCatalog

import checker

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "tests/projects/rides"
BRONZE, SEED = "ride_events", "11"


class Lake:
    """The real data directory and the clients' log, and how to bend them."""

    def __init__(self, folder):
        done = subprocess.run([sys.executable, ROOT / "tests/soak/soak.py", "--cycles", "8", "--check-every", "100", "--seed", SEED, "--dir", folder, "--keep"],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"the data directory could not be made:\n{done.stdout}{done.stderr}")
        self.folder = Path(folder) / f"seed{SEED}"
        self.planted = 0
        self.data, self.sent = self.folder / "lake", self.folder / "sent.jsonl"
        shutil.copy(self.data / "catalog.db", self.folder / "catalog.clean")
        shutil.copy(self.sent, self.folder / "sent.clean")

    def restore(self):
        shutil.copy(self.folder / "catalog.clean", self.data / "catalog.db")
        shutil.copy(self.folder / "sent.clean", self.sent)

    def faults(self):
        return checker.check(self.sent, self.data, PROJECT)[0]

    # ------------------------------------------------------------------------------------ tables

    def table(self, suffix=""):
        return SqlCatalog("weir", uri=f"sqlite:///{self.data}/catalog.db").load_table(("bronze", BRONZE + suffix))

    def rows(self, suffix=""):
        return self.table(suffix).scan().to_arrow().sort_by([("_partition", "ascending"), ("_offset", "ascending")])

    def delete(self, place, suffix=""):
        rows = self.rows(suffix)
        self.replace(rows.filter(pc.invert(self.is_at(rows, place))), suffix)

    def append(self, rows, suffix="", **changes):
        """Appends rows with some cells changed."""
        for name, value in changes.items():
            at = rows.schema.get_field_index(name)
            rows = rows.set_column(at, rows.schema.field(at), pa.array([value] * rows.num_rows, rows.schema.field(at).type))
        self.replace(pa.concat_tables([self.rows(suffix), rows]), suffix)

    def replace(self, rows, suffix):
        """PyIceberg writes the rows as a table of its own (it cannot partition by month), and the catalog names that one instead."""
        catalog, self.planted = SqlCatalog("weir", uri=f"sqlite:///{self.data}/catalog.db"), self.planted + 1
        catalog.create_namespace_if_not_exists("planted")
        table = catalog.create_table(("planted", f"t{self.planted}"), self.table(suffix).schema(), location=f"file://{self.folder}/planted/t{self.planted}")
        table.append(rows)
        self.sql("UPDATE iceberg_tables SET metadata_location = ? WHERE table_namespace = 'bronze' AND table_name = ?", table.metadata_location, BRONZE + suffix)

    @staticmethod
    def is_at(rows, place):
        return pc.and_(pc.equal(rows["_partition"], place[0]), pc.equal(rows["_offset"], place[1]))

    def row(self, place, suffix=""):
        rows = self.rows(suffix)
        return rows.filter(self.is_at(rows, place))

    def sql(self, statement, *values):
        db = sqlite3.connect(self.data / "catalog.db")
        with db:
            result = db.execute(statement, values).fetchall()
        db.close()
        return result

    def grow(self, partition, **counts):
        """Makes ledger and frontier say that the partition has one more record, so that only the table tells of the fault."""
        self.count(received=1, **counts)
        frontier = json.loads(self.sql("SELECT frontier FROM weir_lanes WHERE lane = 'live'")[0][0])
        for position in frontier["sources"][BRONZE]:
            if position["partition"] == partition:
                position["next"] += 1
                end = position["next"]
        self.sql("UPDATE weir_lanes SET frontier = ? WHERE lane = 'live'", json.dumps(frontier))
        return end - 1

    def count(self, **counts):
        line = json.loads(self.sql("SELECT line FROM weir_ledger")[0][0])
        for name, change in counts.items():
            line[name] = line.get(name, 0) + change
        self.sql("UPDATE weir_ledger SET line = ?", json.dumps(line))

    def step_back(self, space, name):
        """The catalog names the table's metadata of one commit before."""
        table = SqlCatalog("weir", uri=f"sqlite:///{self.data}/catalog.db").load_table((space, name))
        before = table.metadata.metadata_log[-1].metadata_file
        self.sql("UPDATE iceberg_tables SET metadata_location = ? WHERE table_namespace = ? AND table_name = ?", before, space, name)

    # --------------------------------------------------------------------------------------- log

    def log(self):
        return [json.loads(line) for line in self.sent.read_text().splitlines()]

    def write_log(self, lines):
        self.sent.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def answered(self, verdict, where=lambda line, i: True):
        """(line number, place in the request, (partition, offset)) of each answer with this verdict."""
        for n, line in enumerate(self.log()):
            for i, result in enumerate(line.get("answer") or ()):
                if result["verdict"] == verdict and where(line, i):
                    yield n, i, (result["partition"], result["offset"])


class CheckerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tmp = tempfile.TemporaryDirectory(prefix="weir-checker-")
        cls.lake = Lake(cls.tmp.name)

    @classmethod
    def tearDownClass(cls):
        cls.tmp.cleanup()

    def setUp(self):
        self.lake.restore()

    def expect(self, *kinds, text=""):
        """Faults of exactly these kinds, one of them with this text; models may or may not show a changed bronze."""
        faults = self.lake.faults()
        self.assertEqual({kind for kind, _ in faults} - {"model"}, set(kinds) - {"model"}, faults[:5])
        if kinds == ("model",):
            self.assertTrue(faults)
        self.assertTrue(any(text in what for _, what in faults), f"no fault says '{text}': {faults[:5]}")

    def accepted(self, n=5):
        """The place of a row that a client was told of."""
        return list(self.lake.answered("accepted"))[n]

    def file_row(self):
        rows = self.lake.rows()
        rows = rows.filter(pc.equal(rows["_partition"], 1000))
        return 1000, rows["_offset"][rows.num_rows // 2].as_py()

    # -------------------------------------------------------------------------------------------

    def test_a_real_data_directory_has_no_faults(self):
        self.assertEqual(self.lake.faults(), [])
        self.assertTrue(any(line.get("send") and line["answer"] is None for line in self.lake.log()), "no outcome was unknown")
        self.assertTrue(any("file" in line for line in self.lake.log()), "no file was delivered")
        for verdict in ("accepted", "rejected", "late", "duplicate"):
            self.assertTrue(list(self.lake.answered(verdict)), f"no record was {verdict}")

    def test_an_acknowledged_row_that_is_gone_is_lost(self):
        _, _, place = self.accepted()
        self.lake.delete(place)
        self.expect("lost", "ledger", text=f"at {place} was answered 'accepted' and is in no table")

    def test_a_line_of_a_file_that_is_gone_is_lost(self):
        place = self.file_row()
        self.lake.delete(place)
        self.expect("lost", "ledger", text=f"at {place} counts as a duplicate, and nothing before it has its identity")

    def test_a_rejected_row_that_is_gone_is_lost(self):
        _, _, place = next(self.lake.answered("rejected"))
        self.lake.delete(place, "$rejected")
        self.expect("lost", "ledger", text="was answered 'rejected' and is in no table")

    def test_a_late_row_that_is_gone_is_lost(self):
        _, _, place = next(self.lake.answered("late"))
        self.lake.delete(place, "$late")
        self.expect("lost", "ledger", text="was answered 'late' and is in no table")

    def test_a_row_dropped_from_tables_and_ledger_alike_is_lost(self):
        _, _, place = self.accepted()
        self.lake.delete(place)
        self.lake.count(accepted=-1, duplicate=1)
        self.expect("lost", text=str(place))

    def test_a_commit_that_is_gone_is_lost(self):
        self.lake.step_back("bronze", BRONZE)
        self.expect("lost", "ledger")

    def test_a_file_that_was_never_read_is_lost(self):
        (self.lake.folder / "in/unread.ndjson").write_text('{"event_id": "unread-1", "trip_id": "u"}\n')
        self.lake.write_log(self.lake.log() + [{"file": "in/unread.ndjson", "partition": 1000}])
        self.expect("lost", text="unread.ndjson: none of its 1 lines is in a table")

    def test_a_file_that_holds_nothing_of_its_own_is_found_by_the_hole_it_fills(self):
        # A plain file becomes two: one line, and the rest; and the line is sent again in a file that was not read.
        entry = next(line for line in self.lake.log() if line.get("file", "").endswith(".ndjson") and (self.lake.folder / line["file"]).read_bytes().count(b"\n") > 1)
        lines = (self.lake.folder / entry["file"]).read_bytes().splitlines(keepends=True)
        names = ["in/one-line.ndjson", "in/rest.ndjson", "in/again.ndjson"]
        for name, part in zip(names, (lines[:1], lines[1:], lines[:1])):
            (self.lake.folder / name).write_bytes(b"".join(part))
        parts = [{**entry, "file": name} for name in names]
        log = [line for line in self.lake.log() if line != entry]
        self.lake.write_log(log + parts[:2])
        self.assertEqual(self.lake.faults(), [])
        self.lake.write_log(log + parts)
        self.expect("lost", text="again.ndjson: none of its 1 lines is in a table")
        self.assertFalse([what for _, what in self.lake.faults() if "one-line" in what])

    def test_an_answer_beyond_the_commit_is_lost(self):
        lines = self.lake.log()
        n, _, (partition, _) = list(self.lake.answered("accepted"))[-1]
        end = max(place[1] for _, _, place in self.lake.answered("accepted") if place[0] == partition)
        record = '{"event_id": "never", "trip_id": "t-never"}'
        lines.append({"send": "c9", "seq": 1, "records": [record], "answer": [{"partition": partition, "offset": end + 100000, "verdict": "accepted"}]})
        self.lake.write_log(lines)
        self.expect("lost", text="committed is up to")

    def test_a_conflicting_duplicate_that_is_gone_is_lost(self):
        rows = self.lake.rows("$duplicate")
        place = (rows["_partition"][0].as_py(), rows["_offset"][0].as_py())
        self.lake.delete(place, "$duplicate")
        self.expect("lost", "ledger", text=f"at {place} has other content than")

    def test_an_identity_taken_twice_is_doubled(self):
        _, _, place = self.accepted()
        offset = self.lake.grow(place[0], accepted=1)
        self.lake.append(self.lake.row(place), _offset=offset)
        self.expect("doubled", "invented", text="was taken 2 times")

    def test_a_row_that_stands_twice_is_doubled(self):
        _, _, place = self.accepted()
        self.lake.append(self.lake.row(place))
        self.expect("doubled", "ledger", text=f"offset {place} stands in 'accepted' and in 'accepted'")

    def test_an_offset_in_two_tables_is_doubled(self):
        _, _, place = next(self.lake.answered("late"))
        late = self.lake.row(place, "$late")
        bronze = self.lake.rows().schema
        self.lake.append(pa.table({f.name: late[f.name].cast(f.type) for f in bronze}, schema=bronze))
        self.expect("doubled", "ledger", "verdict", text=f"offset {place} stands in")

    def test_a_file_read_twice_is_doubled(self):
        name = next(line["file"] for line in self.lake.log() if "file" in line)
        lines = len(checker.Sent.lines(self.lake.folder / name))
        rows = self.lake.rows()
        rows = rows.filter(pc.and_(pc.equal(rows["_partition"], 1000), pc.less(rows["_offset"], lines)))
        end = sum(len(checker.Sent.lines(self.lake.folder / line["file"])) for line in self.lake.log() if "file" in line)
        at = rows.schema.get_field_index("_offset")
        for i in range(lines):
            self.lake.grow(1000, duplicate=1)
        self.lake.count(accepted=rows.num_rows, duplicate=-rows.num_rows)
        self.lake.append(rows.set_column(at, rows.schema.field(at), pc.cast(pc.add(rows["_offset"], end), pa.int64())))
        faults = self.lake.faults()
        self.assertTrue(any(kind == "doubled" and "its lines stand at several places" in text for kind, text in faults), faults[:5])

    def test_an_offset_answered_twice_is_doubled(self):
        lines = self.lake.log()
        n, i, place = self.accepted(5)
        m, j, _ = self.accepted(6)
        lines[m]["answer"][j] = lines[n]["answer"][i]
        self.lake.write_log(lines)
        faults = self.lake.faults()
        self.assertTrue(any(kind == "doubled" and f"offset {place} was given to" in text for kind, text in faults), faults[:5])

    def test_a_row_that_nobody_sent_is_invented(self):
        _, _, place = self.accepted()
        offset = self.lake.grow(place[0], accepted=1)
        self.lake.append(self.lake.row(place), _offset=offset, event_id="made-up", trip_id="made-up-trip")
        self.expect("invented", text="was sent by nobody")

    def test_a_row_of_another_content_is_invented(self):
        for column, value in (("event_name", "trip_completed"), ("trip_distance", 4711.0), ("_extra", '{"more": 1}'), ("_absent", ["event_id"])):
            with self.subTest(column):
                self.lake.restore()
                _, _, place = next(self.lake.answered("accepted", lambda line, i: "trip_requested" in line["records"][i] and "app" not in line["records"][i]))
                row = self.lake.row(place)
                self.lake.delete(place)
                self.lake.append(row, **{column: value})
                faults = self.lake.faults()
                self.assertTrue(any(kind == "invented" and f"row at {place} is not" in text and column in text for kind, text in faults), faults[:5])

    def test_rejected_bytes_that_differ_are_invented(self):
        _, _, place = next(self.lake.answered("rejected"))
        row = self.lake.row(place, "$rejected")
        self.lake.delete(place, "$rejected")
        self.lake.append(row, "$rejected", _raw=b"{}")
        self.expect("invented", text="has other bytes than")

    def test_a_row_of_a_request_that_was_never_sent_is_invented(self):
        n, _, _ = self.accepted(7)
        self.lake.write_log([line for i, line in enumerate(self.lake.log()) if i != n])
        faults = self.lake.faults()
        self.assertTrue(any(kind == "invented" for kind, _ in faults), faults[:5])

    def test_an_unanswered_request_may_be_there_once_at_most(self):
        """A request whose answer is taken out of the log is unanswered: its rows are fine, and a second set of them is not."""
        n, i, place = next(self.lake.answered("accepted", lambda line, i: len(line["records"]) == 1))
        lines = self.lake.log()
        lines[n]["answer"] = None
        self.lake.write_log(lines)
        self.assertEqual(self.lake.faults(), [])
        self.lake.append(self.lake.row(place), _offset=self.lake.grow(place[0], accepted=1))
        self.expect("doubled", "invented")

    def test_records_of_a_key_that_swapped_places_are_in_disorder(self):
        first, second = self.two_of_a_key()
        lines = self.lake.log()
        (n, i, a), (m, j, b) = first, second
        lines[n]["answer"][i], lines[m]["answer"][j] = lines[m]["answer"][j], lines[n]["answer"][i]
        row_a, row_b = self.lake.row(a), self.lake.row(b)
        self.lake.delete(a), self.lake.delete(b)
        self.lake.append(row_a, _offset=b[1]), self.lake.append(row_b, _offset=a[1])
        self.lake.write_log(lines)
        self.expect("disorder", text="sent after")

    def test_records_of_a_key_that_swapped_places_without_answers_are_in_disorder(self):
        first, second = self.two_of_a_key(alone=True)
        lines = self.lake.log()
        (n, _, a), (m, _, b) = first, second
        lines[n]["answer"] = lines[m]["answer"] = None
        row_a, row_b = self.lake.row(a), self.lake.row(b)
        self.lake.delete(a), self.lake.delete(b)
        self.lake.append(row_a, _offset=b[1]), self.lake.append(row_b, _offset=a[1])
        self.lake.write_log(lines)
        self.expect("disorder", text="sent after it")

    def two_of_a_key(self, alone=False):
        """Two accepted answers of one client and key, in the order in which they were sent."""
        seen, lines = {}, self.lake.log()
        for n, i, place in self.lake.answered("accepted", lambda line, i: not alone or len(line["records"]) == 1):
            key = (lines[n]["send"], json.loads(lines[n]["records"][i])["trip_id"])
            if key in seen:
                return seen[key], (n, i, place)
            seen[key] = (n, i, place)
        raise AssertionError("no key has two records")

    def test_an_answer_that_says_otherwise_is_a_wrong_verdict(self):
        for was, said, kind in (("accepted", "rejected", "verdict"), ("accepted", "late", "verdict"), ("rejected", "accepted", "verdict"),
                                ("duplicate", "accepted", None)):
            with self.subTest(f"{was} answered as {said}"):
                self.lake.restore()
                lines = self.lake.log()
                n, i, _ = list(self.lake.answered(was))[-1]
                lines[n]["answer"][i]["verdict"] = said
                self.lake.write_log(lines)
                faults = self.lake.faults()
                self.assertTrue(any(f"was answered '{said}' and is in" in text and kind in (None, found) for found, text in faults), faults[:5])

    def test_a_new_record_called_a_duplicate_is_lost(self):
        lines = self.lake.log()
        n, i, place = self.accepted()
        lines[n]["answer"][i]["verdict"] = "duplicate"
        self.lake.write_log(lines)
        self.expect("lost", text=f"at {place} counts as a duplicate, and nothing before it")

    def test_a_timely_row_among_the_late_is_a_wrong_verdict(self):
        _, _, place = list(self.lake.answered("accepted"))[-1]
        row = self.lake.row(place)
        self.lake.delete(place)
        late = self.lake.rows("$late").schema
        columns = {f.name: row[f.name].cast(f.type) if f.name in row.schema.names else pa.array(["ride_events" if f.name == "_source" else b""], f.type)
                   for f in late}
        self.lake.append(pa.table(columns, schema=late), "$late")
        faults = self.lake.faults()
        self.assertTrue(any(kind == "verdict" and "counts as late" in text for kind, text in faults), faults[:5])

    def test_every_count_of_the_ledger_is_held_to_the_tables(self):
        for changes in ({"received": 1}, {"accepted": 1, "duplicate": -1}, {"rejected": 1, "duplicate": -1}, {"late": -1, "duplicate": 1},
                        {"conflicting": 1}, {"blocked": 1}, {"accepted": 1, "received": 1}):
            with self.subTest(changes):
                self.lake.restore()
                self.lake.count(**changes)
                self.expect("ledger")

    def test_the_reasons_of_the_ledger_are_held_to_the_table(self):
        line = json.loads(self.lake.sql("SELECT line FROM weir_ledger")[0][0])
        line["rejected_by_reason"]["not_json"] += 1
        self.lake.sql("UPDATE weir_ledger SET line = ?", json.dumps(line))
        self.expect("ledger", text="reasons in the ledger")

    def test_a_frontier_that_is_not_the_tables_is_seen(self):
        _, _, place = self.accepted()
        self.lake.grow(place[0], duplicate=1)
        lines = self.lake.log()
        self.lake.write_log([line for line in lines if line.get("answer", 1) is not None])
        faults = self.lake.faults()
        self.assertTrue(any("offsets were given to requests" in text for _, text in faults), faults[:5])

    def test_a_model_that_missed_a_commit_is_not_its_query(self):
        for space, name in (("silver", "trips"), ("gold", "city_hourly"), ("gold", "driver_daily"), ("gold", "surge_effect")):
            with self.subTest(name):
                self.lake.restore()
                self.lake.step_back(space, name)
                self.expect("model", text=f"{space}.{name}: the table has")


if __name__ == "__main__":
    unittest.main()
