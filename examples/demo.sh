#!/usr/bin/env bash
# About a million real ride events become exact Iceberg tables; `./x demo` builds Weir first and then runs this.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
weir=${WEIR:-$root/build/release/weir}
python=$root/.deps/venv/bin/python
project=examples/rides
data=${DEMO_DATA:-./demo-data}
scale=${DEMO_SCALE:-4.3}   # trips per real trip: 4.3 gives a million events

bold() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }

mkdir -p "$data"
if [ ! -f "$data/input/expected_counts.json" ]; then
  bold "Making events from real taxi trips (duplicates, late and broken ones included)"
  rm -rf "$data/input"
  "$weir" generate rides --scale "$scale" --out "$data/input"
fi

bold "Running examples/rides on them"
"$weir" run --once --project "$project" --data "$data/lake" --source "ride_events=$data/input/events.ndjson" -o json >"$data/report.json"
"$python" - "$data/report.json" <<'PY'
import json, sys
report = json.load(open(sys.argv[1]))
events, seconds = report["received"], report["wall_seconds"]
if events:
    print(f"{events:,} events in {seconds:.1f} s: {events / seconds:,.0f} events per second, from files to committed tables")
else:
    print("Nothing new arrived: all events of the input are in the tables already. (For a fresh start: rm -r demo-data)")
PY

bold "Every record received ended in exactly one place"
"$weir" show ledger --project "$project" --data "$data/lake"

bold "Five rows of gold.city_hourly"
"$weir" query --data "$data/lake" "SELECT pickup_location_id AS zone, hour, trips_requested AS requested, trips_completed AS completed,
    round(revenue, 2) AS revenue, round(average_fare, 2) AS average_fare, round(average_wait_seconds) AS wait_s, round(surge, 2) AS surge
  FROM gold.city_hourly ORDER BY trips_requested DESC, hour, zone LIMIT 5"

bold "The tables are plain Apache Iceberg"
echo "catalog  $data/lake/catalog.db     files  $data/lake/warehouse/"

bold "Try next"
cat <<TEXT
  ${weir#"$root"/} query --data $data/lake "SELECT reason, field, actual, count(*) AS records FROM bronze.\"ride_events\\\$rejected\" GROUP BY ALL ORDER BY records DESC LIMIT 5"
  ${weir#"$root"/} explain silver.trips --project $project
  .deps/venv/bin/python examples/read_with_pyiceberg.py $data/lake gold.driver_daily
TEXT
