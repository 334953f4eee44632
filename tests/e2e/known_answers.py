"""The whole way from event files to tables, against answers computed by others."""
import gzip
import json
import shutil
import datetime as dt

import zstandard

from answers import SOURCE, check_all, check_ledger, check_trips, count, read
from harness import PROJECT, alone, counts_of, long


def nothing_new(t, source, lake=None):
    """A second run takes no record and commits nothing."""
    report = t.run_once(source, lake)
    t.equal(report["received"], 0, "records of a second run")


def test_one_month(t):
    data = t.stream(seed=7, months="2018-01")
    report = t.run_once(data / "events.ndjson")
    t.equal(report["received"], counts_of(data)["received"], "records of the run")
    check_all(t, t.dir / "lake", data)
    nothing_new(t, data / "events.ndjson")
    check_ledger(t, t.dir / "lake", data)


def test_two_months_with_trips_of_other_years(t):
    data = t.stream(seed=11, months="2018-11,2018-12")
    t.run_once(data / "events.ndjson")
    check_all(t, t.dir / "lake", data)


def test_the_app_starts_to_send_an_unknown_field(t):
    data = t.stream(seed=23, months="2019-06,2019-07")
    t.run_once(data / "events.ndjson")
    lake = t.dir / "lake"
    check_all(t, lake, data)
    rows = read(lake, f"bronze.{SOURCE}").select(["schema_version", "_extra"]).to_pylist()
    for row in rows:
        extra = json.loads(row["_extra"]) if row["_extra"] else {}
        t.equal(list(extra), ["preferred_language"] if row["schema_version"] == "1.1.0" else [], "the keys of _extra")


def test_returning_conflicting_and_corrected_records(t):
    data = t.stream(seed=5, months="2018-03", returning=.01, conflict=.01, correct=.02)
    t.run_once(data / "events.ndjson")
    check_all(t, t.dir / "lake", data)


def test_four_partitions(t):
    data = t.stream(seed=6, months="2018-04", partitions=4, returning=.01, conflict=.01, correct=.02)
    for shards in (1, 3):
        lake = t.dir / f"lake{shards}"
        t.run_once(data / "events-{partition}.ndjson", lake, sets=[f"weir.threads.shards={shards}"])
        check_all(t, lake, data)
        nothing_new(t, data / "events-{partition}.ndjson", lake)


def test_three_shards(t):
    data = t.stream(seed=7, months="2018-01")
    t.run_once(data / "events.ndjson", sets=["weir.threads.shards=3"])
    check_all(t, t.dir / "lake", data)


def steps(t, data, rows, epoch_steps, epochs_min, steps_min):
    report = t.run_once(data / "events.ndjson", sets=[f"weir.step.rows={rows}", f"weir.epoch.steps={epoch_steps}"])
    t.ok(report["steps"] >= steps_min, f"{report['steps']} steps of {rows} rows, want at least {steps_min}")
    t.ok(report["epochs"] >= epochs_min, f"{report['epochs']} epochs, want at least {epochs_min}")
    check_all(t, t.dir / "lake", data)


def test_steps_of_one_row(t):
    data = t.stream(seed=3, months="2018-05", trips=200, returning=.02, conflict=.02, correct=.05)
    received = counts_of(data)["received"]
    steps(t, data, 1, received // 22, 20, received)


def test_steps_of_a_thousand_rows(t):
    data = t.stream(seed=3, months="2018-05")
    steps(t, data, 1000, 2, 20, counts_of(data)["received"] // 1000)


def test_steps_of_a_hundred_thousand_rows(t):
    data = t.stream(seed=3, months="2018-05,2018-06")
    steps(t, data, 100_000, 1, 2, 2)


def test_compressed_files(t):
    data = t.stream(seed=8, months="2018-07", trips=2000)
    text = (data / "events.ndjson").read_bytes()
    for name, pack in (("gz", gzip.compress), ("zst", zstandard.compress)):
        folder = t.dir / name
        folder.mkdir()
        (folder / f"events.ndjson.{name}").write_bytes(pack(text))
        t.run_once(folder, t.dir / f"lake-{name}")
        check_all(t, t.dir / f"lake-{name}", data)


def test_many_files_in_the_order_of_their_names(t):
    data = t.stream(seed=8, months="2018-07", trips=2000)
    lines = (data / "events.ndjson").read_bytes().splitlines(keepends=True)
    folder = t.dir / "in"
    folder.mkdir()
    cuts = [0, 1, len(lines) // 3, len(lines) // 3, len(lines) - 1, len(lines)]  # an empty file, too
    for i, (a, b) in enumerate(zip(cuts, cuts[1:])):
        text = b"".join(lines[a:b])
        if i == 2:
            text = b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n\r\n")
        if i == 3:
            text = text.removesuffix(b"\n")
        (folder / f"events-{i}.ndjson").write_bytes(text)
    for unfinished in (".events-9.ndjson", "_events-9.ndjson", "events-9.ndjson.tmp", "events-9.ndjson.part"):
        shutil.copy(data / "events.ndjson", folder / unfinished)
    t.run_once(folder / "events-*.ndjson")
    check_all(t, t.dir / "lake", data)


def test_files_that_come_later_are_taken_then(t):
    data = t.stream(seed=8, months="2018-07", trips=2000)
    lines = (data / "events.ndjson").read_bytes().splitlines(keepends=True)
    folder = t.dir / "in"
    folder.mkdir()
    received = 0
    for i in range(5):
        part = lines[len(lines) * i // 5:len(lines) * (i + 1) // 5]
        (folder / f"events-{i}.ndjson").write_bytes(b"".join(part))
        report = t.run_once(folder / "events*.ndjson")
        t.equal(report["received"], len(part), f"records of run {i}")
        received += len(part)
        t.equal(count(t.dir / "lake", f"bronze.{SOURCE}") <= received, True, "bronze rows against records read")
    check_all(t, t.dir / "lake", data)


def test_a_file_that_changed_after_it_was_read_gives_no_new_rows(t):
    data = t.stream(seed=8, months="2018-07", trips=500)
    folder = t.dir / "in"
    folder.mkdir()
    shutil.copy(data / "events.ndjson", folder)
    t.run_once(folder)
    with open(folder / "events.ndjson", "a") as f:
        f.write('{"event_id":"x"}\n')
    t.weir("run", "--once", "--project", PROJECT, "--data", t.dir / "lake", "--source", f"ride_events={folder}", code=None)
    check_all(t, t.dir / "lake", data)


def fold(lines):
    """The contract's verdicts and silver.trips over event lines, written anew in a few lines of Python."""
    kinds = {"trip_requested": "requested_at", "driver_assigned": "assigned_at", "driver_arrived": "arrived_at",
             "trip_started": "started_at", "trip_completed": "completed_at", "payment_processed": "paid_at"}
    fields = ["rider_id", "driver_id", "pickup_location_id", "dropoff_location_id", "trip_distance", "fare_amount", "tip_amount",
              "total_amount", "payment_type", "surge_amount"]
    counts = dict.fromkeys(("received", "accepted", "rejected", "duplicate", "late", "conflicting"), 0)
    reasons, trips, memory, newest = {}, {}, {}, None

    def reason_of(line):
        try:
            e = json.loads(line)
        except ValueError:
            return "not_json", None, None
        if any(e.get(k) is None for k in ("event_id", "event_name", "event_timestamp", "schema_version", "trip_id")):
            return "missing_field", None, None
        try:
            at = dt.datetime.fromisoformat(e["event_timestamp"].replace("Z", "+00:00"))
        except (ValueError, AttributeError):
            return "wrong_type", None, None
        return (None if e["event_name"] in kinds else "unknown_value"), e, at

    for line in lines:
        counts["received"] += 1
        reason, e, at = reason_of(line)
        if reason:
            counts["rejected"] += 1
            reasons[reason] = reasons.get(reason, 0) + 1
            continue
        mark = newest - dt.timedelta(hours=48) if newest else None
        known = memory.get(e["event_id"])
        if known and mark - known[0] < dt.timedelta(hours=72):
            counts["duplicate"] += 1
            counts["conflicting"] += known[1] != e
            continue
        if mark and at < mark:
            counts["late"] += 1
            memory[e["event_id"]] = (mark, e)
            continue
        counts["accepted"] += 1
        newest = max(newest, at) if newest else at
        memory[e["event_id"]] = (newest - dt.timedelta(hours=48), e)
        trip = trips.setdefault(e["trip_id"], {})
        stamp = kinds[e["event_name"]]
        trip[stamp] = min(trip.get(stamp, "9"), e["event_timestamp"])
        for k in fields:
            if e.get(k) is not None and (k not in trip or (at, e["event_id"]) > trip[k][:2]):
                trip[k] = (at, e["event_id"], e[k])
    rows = {id: {k: v[2] if isinstance(v, tuple) else v for k, v in trip.items()} for id, trip in trips.items()}
    return {**counts, "rejected_by_reason": reasons}, rows


def generated(t, name, *options):
    """Input of Weir's own generator, whose answer the fold above confirms."""
    from harness import trips_of
    data = t.dir / name
    t.weir("generate", "rides", "--out", data, *options)
    counts, trips = fold((data / "events.ndjson").read_text().splitlines())
    t.equal(counts_of(data), counts, "expected_counts.json")
    want = trips_of(data)
    t.equal(set(want), set(trips), "trip ids of expected_trips.csv")
    for id, row in want.items():
        for column, text in row.items():
            value = trips[id].get(column)
            got = id if column == "trip_id" else "" if value is None else str(float(value)) if isinstance(value, float) else str(value)
            if got != text:
                t.equal(float(got), float(text), f"{column} of {id}")
    return data


def test_the_own_generator_knows_its_answer(t):
    data = generated(t, "own", "--scale", "0.3", "--seed", "5", "--months", "2019-06,2019-07",
                     "--returning", ".02", "--conflict", ".02", "--correct", ".05")
    t.run_once(data / "events.ndjson")
    check_all(t, t.dir / "lake", data)


def test_half_of_all_events_on_one_trip_and_one_driver(t):
    data = generated(t, "hot", "--scale", "0.2", "--months", "2019-05", "--hot-trip", ".5", "--hot-driver", ".5", "--correct", ".05")
    events = [line for line in (data / "events.ndjson").read_text().splitlines()]
    for text, what in (('"trip_id":"t-hot"', "events of the hot trip"), ('"driver_id":"d000000"', "of the hot driver")):
        of_kind = [e for e in events if text.split(":")[0] in e]
        share = sum(text in e for e in of_kind) / len(of_kind)
        t.ok(.45 < share < .55, f"{what}: a share of {share}")
    t.run_once(data / "events.ndjson", sets=["weir.step.rows=1000", "weir.epoch.steps=2"])
    check_ledger(t, t.dir / "lake", data)
    check_trips(t, t.dir / "lake", data)


def test_wide_events_keep_what_the_contract_does_not_declare(t):
    narrow = generated(t, "narrow", "--scale", "0.03", "--duplicate", ".05")
    data = generated(t, "wide", "--scale", "0.03", "--duplicate", ".05", "--wide", "3000")
    t.equal((data / "expected_trips.csv").read_text(), (narrow / "expected_trips.csv").read_text(), "the answer of wide events")
    whole = [line for line in (data / "events.ndjson").read_text().splitlines() if line.endswith("}") and '"trip_teleported"' not in line]
    sizes = [len(line) for line in whole]
    t.ok(2990 <= sum(sizes) / len(sizes) <= 3000, f"bytes of an event: {sum(sizes) / len(sizes)}")
    t.run_once(data / "events.ndjson")
    check_all(t, t.dir / "lake", data)
    sent = {e["event_id"]: e for e in map(json.loads, whole) if "event_id" in e}
    for row in read(t.dir / "lake", f"bronze.{SOURCE}").select(["event_id", "_extra"]).to_pylist():
        extra = json.loads(row["_extra"])
        t.ok(len(extra) >= 24, f"fields of _extra: {list(extra)}")
        t.equal(extra, {k: sent[row["event_id"]][k] for k in extra}, f"_extra of {row['event_id']}")


@long
@alone
def test_two_years(t):
    data = t.stream(seed=7, months="")
    t.run_once(data / "events.ndjson", timeout=3600)
    check_all(t, t.dir / "lake", data)
    data = t.stream(seed=9, months="", partitions=4, returning=.01, conflict=.01, correct=.02)
    lake = t.dir / "lake4"
    t.run_once(data / "events-{partition}.ndjson", lake, sets=["weir.threads.shards=2"], timeout=3600)
    check_ledger(t, lake, data)
    check_trips(t, lake, data)
