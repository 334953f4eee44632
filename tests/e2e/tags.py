"""Tags: a named version stays what it was while its table moves on, also beside a running server, and every reader of Iceberg finds it."""
import threading
import time

from pyiceberg.exceptions import CommitFailedException
from sqlalchemy.exc import OperationalError

from answers import SOURCE, catalog, check_all
from gateway import post_file, serve, stop, wait_for_ledger
from harness import Failure, counts_of
from systems import SCALES, System, plain

CUT = "cut-2026-11-30"


def load(lake, table):
    return catalog(lake).load_table(tuple(table.split(".", 1)))


def rows_at(lake, table, tag):
    """The rows that a tag names, by PyIceberg, in one order."""
    loaded = load(lake, table)
    scan = loaded.scan() if tag is None else loaded.scan(snapshot_id=loaded.refs()[tag].snapshot_id)
    return sorted(map(repr, plain(scan.to_arrow()).rows))


def tag_by_pyiceberg(lake, table, tag):
    """As any other program does it: it begins anew when the server committed first."""
    for _ in range(100):
        loaded = load(lake, table)
        try:
            return loaded.manage_snapshots().create_tag(loaded.current_snapshot().snapshot_id, tag).commit()
        except (CommitFailedException, OperationalError):
            time.sleep(.02)
    raise Failure(f"PyIceberg could not tag {table} in 100 tries")


def asked(t, lake, table, tag):
    return sorted(map(repr, t.weir("query", "--data", lake, "-o", "json", f"SELECT * FROM {table} AS OF TAG '{tag}'").json))


def tags_of(t, lake, *table):
    return {(x["table"], x["name"]): x for x in t.weir("show", "tags", *table, "--data", lake, "-o", "json").json}


def check_cut(t, name, tables):
    """Half of a system's input, a tag on some of its tables, then the other half."""
    system = System(t, name, SCALES[name].small, 5)
    lake = t.dir / "lake"
    events = max(system.input.glob("data/*/*.ndjson"), key=lambda f: f.stat().st_size)
    lines = events.read_bytes().splitlines(keepends=True)
    folder = t.dir / "halves"
    folder.mkdir()
    (folder / "1.ndjson").write_bytes(b"".join(lines[:len(lines) // 2]))
    system.sources[events.parent.name] = f"{folder}/*"
    system.run(lake, step=1_000)
    told = t.weir("tag", ",".join(tables), CUT, "--retain", "400 days", "--data", lake, "-o", "json").json
    t.equal([x["table"] for x in told], list(tables), "the tables that got the tag")
    before = {table: rows_at(lake, table, None) for table in tables}
    answers = {table: asked(t, lake, table, CUT) for table in tables}
    (folder / "2.ndjson").write_bytes(b"".join(lines[len(lines) // 2:]))
    system.run(lake, step=1_000)
    system.run(lake, step=1_000)  # and a start with tags in the tables
    for table in tables:
        t.ok(rows_at(lake, table, None) != before[table], f"{table} did not move, so nothing is shown")
        t.equal(rows_at(lake, table, CUT), before[table], f"{table} at the tag, by PyIceberg")
        t.equal(asked(t, lake, table, CUT), answers[table], f"{table} AS OF TAG")
        ref = load(lake, table).refs()[CUT]
        t.equal((ref.snapshot_ref_type, ref.max_ref_age_ms), ("tag", 400 * 86_400_000), f"the tag of {table} by PyIceberg")
    counted = t.weir("query", "--as-of", f"tag:{CUT}", "--data", lake, "-o", "json", f"SELECT count(*) AS n FROM {tables[0]}").json
    t.equal(counted[0]["n"], len(before[tables[0]]), "rows of a query whose tables are all of the cut")
    system.ask_readme(lake)


def test_a_cut_of_clickstream_stays(t):
    check_cut(t, "clickstream", ["gold.sessions", "gold.experiment_daily"])


def test_a_training_set_of_feed_stays(t):
    check_cut(t, "feed", ["gold.training_examples", "silver.content_history"])


def test_tags_come_and_go_beside_a_running_server(t):
    data = t.stream(seed=21, months="2019-03", trips=1200, correct=.05)
    lines = (data / "events.ndjson").read_bytes().splitlines(keepends=True)
    process, port = serve(t, "--set", "weir.epoch.interval=20ms")
    lake, tables, want = t.dir / "lake", ["silver.trips", "gold.city_hourly"], {}
    parts = 8
    for i in range(parts):
        part = t.dir / f"part{i}.ndjson"
        part.write_bytes(b"".join(lines[len(lines) * i // parts:len(lines) * (i + 1) // parts]))
        # Names come while epochs are staged and committed.
        poster = threading.Thread(target=post_file, args=(t, port, part, {}, threading.Lock()))
        poster.start()
        if i > 0:
            t.weir("tag", ",".join(tables), f"t{i}", "--data", lake)
            tag_by_pyiceberg(lake, f"bronze.{SOURCE}", f"py{i}")
            want |= {(table, f"t{i}"): rows_at(lake, table, f"t{i}") for table in tables}
            want[f"bronze.{SOURCE}", f"py{i}"] = rows_at(lake, f"bronze.{SOURCE}", f"py{i}")
        if i > 2:
            t.weir("tag", ",".join(tables), f"t{i - 2}", "--delete", "--data", lake)
            for table in tables:
                del want[table, f"t{i - 2}"]
        poster.join()
        wait_for_ledger(t, len(lines) * (i + 1) // parts)
        t.equal(process.poll(), None, "the server after its tables were tagged")
    t.equal(set(tags_of(t, lake)), set(want), "the tags there are")
    stop(t, process)
    process, _ = serve(t)
    stop(t, process)
    for (table, tag), rows in want.items():
        t.equal(rows_at(lake, table, tag), rows, f"{table} at {tag}")
    t.ok(len({len(rows) for rows in want.values()}) > 4, "the versions are all alike, so nothing is shown")
    t.equal(counts_of(data)["received"], len(lines), "records that were posted")
    check_all(t, lake, data)


def test_what_cannot_be_tagged_is_said(t):
    data, lake = t.stream(months="2018-02", trips=100), t.dir / "lake"

    def refused(code, *args, where=lake):
        done = t.weir("tag", *args, "--data", where, code=code)
        t.equal(done.out, "", "output of a refused call")
        return done.err

    t.contains(refused(1, "silver.trips", "a", where=t.dir / "no"), "there is no lake at", "no lake")
    t.run_once(data / "events.ndjson")
    t.contains(refused(1, "silver.tips", "a"), "there is no table silver.tips; there are", "an unknown table")
    t.contains(refused(1, "trips", "a"), "silver.trips", "a table without its namespace")
    t.contains(refused(1, "silver.trips", "a", "--as-of", "4711"), "silver.trips has no version 4711: kept are versions 1", "a version that is gone")
    t.contains(refused(1, "silver.trips", "a", "--as-of", "2001-01-01"), "had no snapshot at 2001-01-01", "a time before the table")
    t.contains(refused(2, "silver.trips", "a", "--as-of", "noon"), "is no point in time", "a time that is none")
    t.contains(refused(1, "silver.trips", "a", "--as-of", "tag:b"), "silver.trips has no tag 'b': it has none; `weir tag` makes them", "an unknown tag")
    t.contains(refused(2, "silver.trips", "a", "--retain", "long"), "--retain long", "a duration that is none")
    t.contains(refused(1, "silver.trips", "main"), "main is the branch", "the name of the branch")
    t.contains(refused(1, "silver.trips", "a", "--delete"), "has no tag 'a'", "a tag to delete that is not there")
    t.contains(refused(2, "silver.trips", "a", "--delete", "--replace"), "--delete takes the tag away", "two opposite wishes")
    t.equal(tags_of(t, lake), {}, "tags after all these refusals")
    t.weir("tag", "Silver.Trips", "a", "--data", lake)
    t.contains(refused(1, "silver.trips", "a"), "silver.trips has a tag 'a' already, of version", "a tag that exists")
    t.weir("tag", "silver.trips", "b", "--as-of", "tag:a", "--data", lake)
    t.weir("tag", "silver.trips", "a", "--replace", "--retain", "P9D", "--data", lake)
    t.equal(sorted(tags_of(t, lake, "silver.trips")), [("silver.trips", "a"), ("silver.trips", "b")], "tags of the table")
    t.ok(tags_of(t, lake)["silver.trips", "a"]["kept_until"], "when the tag that was replaced ends")
    text = t.weir("show", "tags", "--data", lake).out
    t.ok("kept until" in text and "silver.trips" in text, f"show tags:\n{text}")
    t.contains(t.weir("show", "tags", "silver.tips", "--data", lake, code=2).err, "there is no table silver.tips", "tags of an unknown table")
    t.contains(t.weir("query", "--data", lake, "SELECT * FROM silver.trips AS OF TAG 'c'", code=1).err,
               "silver.trips has no tag 'c': its tags are a, b", "a query at an unknown tag")
    lake.rename(t.dir / "moved")
    t.contains(refused(1, "silver.trips", "d", where=t.dir / "moved"), "weir relocate", "a directory that was moved")
