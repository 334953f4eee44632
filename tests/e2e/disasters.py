"""What each example system is known to suffer: the result is exact, the row or the alarm is in the right place, and nothing else is disturbed."""
import collections
import datetime as dt
import hashlib
import json
import resource

from answers import connect, read
from harness import long
from systems import System, check_rows, rows_of, table_of


def expected(system, lake, answer, what):
    for table, rows in answer.items():
        check_rows(system.t, rows_of(lake, table), rows, f"{system.name}, {what}: {table}")


def ledger_of(system, lake, source):
    lines = system.t.weir("show", "ledger", "--project", system.project, "--data", lake, "-o", "json").json
    return next(line for line in lines if line["source"] == source)


def run_measured(system, lake, events, **how):
    """Runs, and tells what an event cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = system.run(lake, timeout=3600, **how)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{system.name}: {events:,} events of one key: {report['wall_seconds']:.1f} s, {cpu:.1f} CPU seconds, {cpu * 1e6 / events:.1f} us an event, "
          f"{after.ru_maxrss / 1024:,.0f} MB", flush=True)


# ------------------------------------------------------------------------------------------ rides

def test_rides_one_app_version_sends_no_trip_id(t):
    system, lake = System(t, "rides", .02, 5), t.dir / "lake"
    events = system.input / "events.ndjson"
    lines = events.read_text().splitlines()
    broken = [json.dumps({"event_id": f"bad-{i}", "event_name": "trip_started", "event_timestamp": "2019-06-01T00:00:00.000Z",
                          "schema_version": "6.6.6", "trip_id": None}) for i in range(500)]
    middle = len(lines) // 2
    events.write_text("\n".join([*lines[:middle], *broken, *lines[middle:]]) + "\n")
    system.run(lake, step=300)
    for key in ("received", "rejected"):
        system.ledger["ride_events"][key] += len(broken)
    system.check(lake, "500 events without trip_id")
    of_version = [r for r in read(lake, "bronze.ride_events$rejected").to_pylist() if b'"6.6.6"' in bytes(r["_raw"])]
    t.equal(len(of_version), len(broken), "rejected records of the version")
    t.equal({(r["reason"], r["field"]) for r in of_version}, {("missing_field", "trip_id")}, "why they were rejected")


def at(stamp, seconds):
    return (dt.datetime.fromisoformat(stamp.replace("Z", "+00:00")) + dt.timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_rides_a_fare_of_millions_holds_gold_until_it_is_corrected(t):
    system, lake = System(t, "rides", .02, 6), t.dir / "lake"
    answer = system.answer()
    system.run(lake)
    expected(system, lake, answer, "before")
    # The last trip but a few that was paid: its events are neither late nor the newest.
    paid = sorted((r for r in answer["silver.trips"] if r["paid_at"] and r["requested_at"]), key=lambda r: r["paid_at"])[-8]

    def payment(number, seconds, total):
        event = {"event_id": f"fix-{number}", "event_name": "payment_processed", "event_timestamp": at(paid["paid_at"], seconds), "schema_version": "1.1.0",
                 "trip_id": paid["trip_id"], "fare_amount": paid["fare_amount"], "tip_amount": paid["tip_amount"], "total_amount": total,
                 "payment_type": paid["payment_type"]}
        (system.input / f"events-{number}.ndjson").write_text(json.dumps(event) + "\n")

    payment(2, 1, 5_000_000.0)
    done = t.weir(*system.arguments(lake), code=1)
    t.ok("gold.cities_hourly" in done.out + done.err, f"the halted model is not named: {done.out}{done.err}")
    halted = {m["model"] for m in t.weir("show", "models", "--project", system.project, "--data", lake, "-o", "json").json if m["halted"]}
    t.equal(halted, {"gold.cities_hourly"}, "halted models")
    check_rows(t, rows_of(lake, "gold.cities_hourly"), answer["gold.cities_hourly"], "gold holds its last good epoch")
    totals = {r["trip_id"]: r["total_amount"] for r in rows_of(lake, "silver.trips").rows}
    t.equal(totals[paid["trip_id"]], 5_000_000.0, "silver goes on")
    payment(3, 2, paid["total_amount"])
    system.run(lake)
    for row in answer["silver.trip_states"]:
        if row["trip_id"] == paid["trip_id"]:
            row["last_event_at"] = max(row["last_event_at"], at(paid["paid_at"], 2))
    expected(system, lake, answer, "after the correction")
    t.ok(not any(m["halted"] for m in t.weir("show", "models", "--project", system.project, "--data", lake, "-o", "json").json), "a model is still halted")


# ------------------------------------------------------------------------------------ customer360

SHARED_PHONE = "9995550100"
SHARING = 10_000


def unified(source, id):
    return hashlib.md5(f'["{source}","{id}"]'.encode()).hexdigest()


def test_customer360_ten_thousand_people_give_one_phone_number(t):
    system, lake = System(t, "customer360", .1, 5), t.dir / "lake"
    answer = system.answer()
    stamp, later = "2025-07-25T00:00:00.000Z", "2025-07-25T01:00:00.000Z"

    def write(number, changes):
        with open(system.input / f"data/crm_changes/shared-{number}.ndjson", "w") as f:
            for i, change in enumerate(changes):
                f.write(json.dumps({"change_id": f"s{number}-{i}", "op": "upsert", **change}) + "\n")

    people = [f"s{i:05}" for i in range(SHARING)]
    write(1, [{"customer_id": c, "updated_at": stamp, "name": "N. N.", "email": f"{c}@example.com", "phone": "(999) 555-0100", "city": "x"} for c in people])
    system.run(lake)
    system.ledger["crm_changes"]["received"] += SHARING
    system.ledger["crm_changes"]["accepted"] += SHARING
    system.check_ledger(lake, "customer360, a shared phone")

    def with_sharing(customers, profiles, shared):
        """The answer with `customers` beside those generated: {record: unified id}, and what else is different."""
        more = collections.defaultdict(list)
        for c, id in customers.items():
            row = {"customer_id": c, "name": "N. N.", "email": f"{c}@example.com", "phone": SHARED_PHONE, "city": "x"}
            more["silver.customers"].append({**row, "updated_at": stamp})
            more["silver.records"].append({"source": "crm", "source_id": c, "email": row["email"], "phone": SHARED_PHONE, "device_id": None, "first_seen": stamp,
                                           "last_seen": stamp, "events": 0, "amount": 0})
            more["silver.identities"].append({"source": "crm", "source_id": c, "unified_id": id})
        more["gold.profiles"], more["gold.shared_identifiers"] = profiles, shared
        for c in people:  # each by itself, until the others are gone
            spans = [(apart[c], stamp, None)] if customers.get(c) == apart[c] else [(apart[c], stamp, later)]
            if c in customers and customers[c] != apart[c]:
                spans.append((customers[c], later, None))
            more["silver.identity_history"] += [{"source": "crm", "source_id": c, "unified_id": id, "valid_from": since, "valid_to": until} for id, since, until in spans]
        for c in people:
            more["silver.customer_history"].append({"customer_id": c, "name": "N. N.", "email": f"{c}@example.com", "phone": SHARED_PHONE, "city": "x",
                                                    "__START_AT": stamp, "__END_AT": None if c in customers else later})
        return {table: rows + more[table] for table, rows in answer.items()}

    def profile(id, records, email):
        return {"unified_id": id, "records": records, "accounts": records, "email": email, "phone": SHARED_PHONE, "is_known": True,
                "first_seen": stamp, "last_seen": stamp, "events": 0, "amount": 0}

    apart = {c: unified("crm", c) for c in people}
    expected(system, lake, with_sharing(apart, [profile(id, 1, f"{c}@example.com") for c, id in apart.items()],
                                        [{"kind": "phone", "value": SHARED_PHONE, "records": SHARING, "profiles": SHARING}]), "10,000 share a phone")
    # When no more than a family is left, the number links them.
    write(2, [{"customer_id": c, "updated_at": later, "op": "delete"} for c in people[4:]])
    system.run(lake)
    family = dict.fromkeys(people[:4], apart[people[0]])
    expected(system, lake, with_sharing(family, [profile(apart[people[0]], 4, f"{people[3]}@example.com")], []), "four share a phone")


# ------------------------------------------------------------------------------------ attribution

BOT = "u0000000"


def test_attribution_a_bot_clicks_twenty_thousand_times(t):
    attribution_with_a_bot(t, 20_000, step=1_000, shards=3)


@long
def test_attribution_a_bot_clicks_a_million_times(t):
    attribution_with_a_bot(t, 1_000_000, step=50_000, shards=1)


def attribution_with_a_bot(t, clicks_of_bot, **how):
    system, lake = System(t, "attribution", .05, 5), t.dir / "lake"
    answer = system.answer()
    bought, day = "2025-07-05T12:00:00.000Z", "2025-07-05"
    clicks = [{"click_id": f"z{i:07}", "user_id": BOT, "campaign_id": "c023", "clicked_at": at(f"{day}T00:00:00.000Z", i * 36_000 // clicks_of_bot)} for i in range(clicks_of_bot)]
    (system.input / "data/clicks/with-a-bot.ndjson").write_text("".join(json.dumps(c) + "\n" for c in clicks))
    (system.input / "data/conversions/conversions-2025-08-30-00.csv").write_text(f"conversion_id,user_id,converted_at,amount\nw1,{BOT},{bought},10.00\n")
    run_measured(system, lake, clicks_of_bot, **how)
    for source, n in (("clicks", clicks_of_bot), ("conversions", 1)):
        system.ledger[source]["received"] += n
        system.ledger[source]["accepted"] += n
    system.check_ledger(lake, "attribution, a bot")
    # All that the bot clicked in the 30 days before it bought, by the rows of bronze.
    mine = sorted((r["clicked_at"], r["click_id"], r["campaign_id"]) for r in rows_of(lake, "bronze.clicks").rows
                  if r["user_id"] == BOT and at(bought, -30 * 86_400) <= r["clicked_at"] <= bought)
    t.ok(len(mine) > clicks_of_bot, f"{len(mine)} clicks of the bot")
    first, last = mine[0], mine[-1]
    answer["silver.conversion_clicks"] += [{"conversion_id": "w1", "click_id": id, "campaign_id": campaign, "clicked_at": when,
                                            "within_7_days": when >= at(bought, -7 * 86_400)} for when, id, campaign in mine]
    answer["gold.attributed_conversions_user_level"].append(
        {"conversion_id": "w1", "user_id": BOT, "converted_at": bought, "amount": 10.0, "last_click_id": last[1], "last_click_campaign": last[2],
         "first_click_id": first[1], "first_click_campaign": first[2], "clicks_in_30_days": len(mine)})
    answer["gold.suspicious_users"].append({"user_id": BOT, "day": day, "clicks": clicks_of_bot})
    answer["gold.conversion_days"].append({"day": "2025-08-30", "hours": 1, "records": 1, "is_complete": False})
    daily = {(r["campaign_id"], r["day"]): r for r in answer["gold.campaign_attribution_daily"]}

    def of(campaign):
        return daily.setdefault((campaign, day), {"campaign_id": campaign, "day": day, "impressions": 0, "clicks": 0, "last_click_conversions": 0,
                                                  "last_click_revenue": 0, "first_click_conversions": 0, "first_click_revenue": 0})

    of("c023")["clicks"] += clicks_of_bot
    for what, click in (("last", last), ("first", first)):
        of(click[2])[f"{what}_click_conversions"] += 1
        of(click[2])[f"{what}_click_revenue"] += 10
    answer["gold.campaign_attribution_daily"] = list(daily.values())
    expected(system, lake, answer, f"{clicks_of_bot} clicks of a bot")


def hours_of(system, lake, day):
    """What gold.conversion_days says of a day, and the hours that `weir show arrivals` calls incomplete."""
    t = system.t
    said = [r for r in rows_of(lake, "gold.conversion_days").rows if r["day"] == day]
    files = t.weir("show", "arrivals", "conversions", "--project", system.project, "--data", lake, "-o", "json").json
    return said[0] if said else None, [f["interval_start"] for f in files if f["state"] == "incomplete"]


def test_attribution_a_missing_hour_is_incomplete_until_its_file_comes(t):
    system, lake, day = System(t, "attribution", 1, 6), t.dir / "lake", "2025-07-03"
    answer = system.answer()
    whole = next(r for r in answer["gold.conversion_days"] if r["day"] == day)
    t.equal((whole["hours"], whole["is_complete"]), (24, True), f"the answer for {day}")
    file = system.input / f"data/conversions/conversions-{day}-09.csv"
    held = file.read_text()
    file.unlink()
    records = len(held.splitlines()) - 1
    system.run(lake)
    got, incomplete = hours_of(system, lake, day)
    t.equal((got["hours"], got["records"], got["is_complete"]), (23, whole["records"] - records, False), f"{day} without an hour")
    t.ok(f"{day}T09:00:00Z" in incomplete, f"the missing hour is not told: {incomplete}")
    t.ok(f"{day}T08:00:00Z" not in incomplete, f"an hour that came is told as missing: {incomplete}")
    # Everything that came is there at once: nothing waits for the hour.
    sold = {r["conversion_id"] for r in rows_of(lake, "bronze.conversions").rows}
    attributed = [r for r in answer["gold.attributed_conversions_user_level"] if r["conversion_id"] in sold]
    t.ok(0 < len(attributed) < len(answer["gold.attributed_conversions_user_level"]), "the sales of the hour are missing")
    check_rows(t, rows_of(lake, "gold.attributed_conversions_user_level"), attributed, "the sales of the other hours")
    # The shop sends the hour after all others.
    file.write_text(held)
    system.run(lake)
    got, incomplete = hours_of(system, lake, day)
    t.equal(got, whole, f"{day} with the late hour")
    t.ok(f"{day}T09:00:00Z" not in incomplete, f"the hour that came is still told as missing: {incomplete}")
    check_rows(t, rows_of(lake, "gold.conversion_days"), answer["gold.conversion_days"], "all days")


def test_attribution_a_file_without_half_of_its_users_is_quarantined_whole(t):
    system, lake = System(t, "attribution", .5, 6), t.dir / "lake"
    # A large file of the last day: nothing in it is late when it comes again after all others.
    file = system.input / "data/conversions/conversions-2025-07-04-20.csv"
    good = file.read_text()
    header, *rows = good.splitlines()
    half = [",".join(c if i != 1 or n % 2 else "" for i, c in enumerate(row.split(","))) for n, row in enumerate(rows)]
    file.write_text("\n".join([header, *half]) + "\n")
    done = t.weir(*system.arguments(lake), code=1)
    share = 100 * sum(",," in row for row in half) / len(rows)
    t.ok(share >= 50, f"{share} % of the users are missing")
    said = done.out + done.err
    t.ok(file.name in said and "user_id" in said and "null" in said, f"the quarantined file, the field and the check are not told:\n{said[-2000:]}")
    sold = {r["conversion_id"] for r in rows_of(lake, "bronze.conversions").rows}
    received = ledger_of(system, lake, "conversions")["received"]
    t.equal(received, system.ledger["conversions"]["received"] - len(rows), "records received without the file")
    answer = system.answer()
    check_rows(t, rows_of(lake, "gold.suspicious_users"), answer["gold.suspicious_users"], "what has nothing to do with it")
    attributed = [r for r in answer["gold.attributed_conversions_user_level"] if r["conversion_id"] in sold]
    check_rows(t, rows_of(lake, "gold.attributed_conversions_user_level"), attributed, "the sales of the other files")
    # The shop sends the file again, whole: what it sold comes in. The streams beside it went on meanwhile, so copies in it of sales of days before may be
    # told late now instead of duplicate: they are beyond what is remembered, and enter no second time.
    file.write_text(good)
    system.run(lake)
    got, want = ledger_of(system, lake, "conversions"), system.ledger["conversions"]
    t.equal([got[k] for k in ("received", "accepted", "rejected")], [want[k] for k in ("received", "accepted", "rejected")], "received, accepted, rejected")
    t.equal(got["duplicate"] + got["late"], want["duplicate"] + want["late"], "duplicate or late")
    expected(system, lake, answer, "after the corrected file")


# ------------------------------------------------------------------------------------ clickstream

PLAYER = "live-1"


def test_clickstream_a_session_of_twenty_thousand_events(t):
    clickstream_with_a_session(t, 20_000, step=1_000, shards=3)


@long
def test_clickstream_a_session_of_a_million_events(t):
    clickstream_with_a_session(t, 1_000_000, step=50_000, shards=1)


def clickstream_with_a_session(t, events, **how):
    """One player that tells everything for ten hours: one session, and everybody else's are what they were."""
    system, lake = System(t, "clickstream", .05, 5), t.dir / "lake"
    answer = system.answer()
    begin = "2025-06-06T00:00:00.000Z"
    kinds = collections.Counter()
    minutes = collections.defaultdict(collections.Counter)
    with open(system.input / "data/player_events/with-a-live-stream.ndjson", "w") as f:
        for i in range(events):
            when = at(begin, i * 36_000 // events)
            kind = "play" if i == 0 else "seek" if i % 10 == 9 else "heartbeat"
            event = {"event_id": f"z{i:07}", "kind": kind, "device_id": PLAYER, "content_id": "t0000", "client_ts": when, "region": "EU", "device_type": "tv"}
            if kind == "heartbeat":
                event["seconds"] = 1
            f.write(json.dumps(event) + "\n")
            kinds[kind] += 1
            minutes[when[:17] + "00.000Z"][kind] += 1
    run_measured(system, lake, events, **how)
    for key in ("received", "accepted"):
        system.ledger["player_events"][key] += events
    system.check_ledger(lake, "clickstream, a live stream")
    answer["gold.sessions"].append({
        "device_id": PLAYER, "session_start": begin, "last_event_at": at(begin, (events - 1) * 36_000 // events), "user_id": None, "region": "EU", "device_type": "tv",
        "events": events, "contents": ["t0000"], "watch_seconds": kinds["heartbeat"], "plays": 1, "completions": 0, "completion": 0.0, "seeks": kinds["seek"],
        "bufferings": 0, "buffering_seconds": 0})
    daily = {(r["minute"], r["content_id"], r["region"], r["device_type"]): r for r in answer["gold.content_minutes"]}
    for minute, of in minutes.items():
        row = daily.setdefault((minute, "t0000", "EU", "tv"), {"minute": minute, "content_id": "t0000", "region": "EU", "device_type": "tv", "watch_seconds": 0,
                                                                "plays": 0, "impressions": 0, "clicks": 0, "ctr": None})
        row["watch_seconds"] += of["heartbeat"]
        row["plays"] += of["play"]
    answer["gold.content_minutes"] = list(daily.values())
    in_sessions = answer.pop("silver.session_events")
    expected(system, lake, answer, f"a session of {events} events")
    # Of a million rows only what can differ is compared.
    db = connect()
    db.register("rows", table_of(lake, "silver.session_events"))
    mine = db.execute("SELECT count(*), count(DISTINCT event_id), count(DISTINCT session_start), epoch_ms(min(session_start)) FROM rows WHERE device_id = ?", [PLAYER]).fetchone()
    start = int(dt.datetime.fromisoformat(begin.replace("Z", "+00:00")).timestamp() * 1000)
    t.equal(mine, (events, events, 1, start), "events of the session")
    others = db.execute("SELECT count(*) FROM rows WHERE device_id <> ?", [PLAYER]).fetchone()[0]
    t.equal(others, len(in_sessions), "events of all others")
