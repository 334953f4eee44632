#!/usr/bin/env bash
# Runs one of the example systems on generated input: `./x demo [NAME]` builds Weir first and then runs this. rides, when no NAME is given:
# about a million real ride events become exact Iceberg tables.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
weir=${WEIR:-$root/build/release/weir}
python=$root/.deps/venv/bin/python
name=${1:-rides}
project=examples/$name
[ -f "$project/weir.yml" ] || { echo "demo: no example '$name'; there are: $(cd examples && ls -d */ | tr -d / | xargs)" >&2; exit 2; }
data=${DEMO_DATA:-./demo-data}
[ "$name" = rides ] || data=$data/$name
scale=${DEMO_SCALE:-$([ "$name" = rides ] && echo 4.3 || echo 1)}   # rides: trips per real trip, 4.3 gives a million events

bold() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }

mkdir -p "$data"
if [ ! -f "$data/input/answer/ledger.json" ]; then
  bold "Making input with all the trouble of a real one (duplicates, late and broken records included)"
  rm -rf "$data/input"
  "$weir" generate "$name" --scale "$scale" --out "$data/input"
fi

sources=()
for folder in "$data"/input/data/*/; do
  source=$(basename "$folder")
  if [ -f "$project/contracts/$source.odcs.yaml" ]; then sources+=(--source "$source=$folder*"); fi
done
if [ "$name" = rides ]; then sources+=(--source "ride_events=$data/input/events.ndjson"); fi

bold "Running $project on it"
"$weir" run --once --project "$project" --data "$data/lake" "${sources[@]}" -o json >"$data/report.json"
"$python" - "$data/report.json" "$data" <<'PY'
import json, sys
report = json.load(open(sys.argv[1]))
records, seconds = report["received"], report["wall_seconds"]
if records:
    print(f"{records:,} records in {seconds:.1f} s: {records / seconds:,.0f} records per second, from files to committed tables")
else:
    print(f"Nothing new arrived: all records of the input are in the tables already. (For a fresh start: rm -r {sys.argv[2]})")
PY

bold "Every record received ended in exactly one place"
"$weir" show ledger --project "$project" --data "$data/lake"

# The questions of the example's README.
grep -o '^weir query --data lake ".*"' "$project/README.md" | sed -e 's/^weir query --data lake "//' -e 's/"$//' | while read -r question; do
  bold "$question"
  "$weir" query --data "$data/lake" "$question"
done

bold "The tables are plain Apache Iceberg"
echo "catalog  $data/lake/catalog.db     files  $data/lake/warehouse/"

bold "Try next"
cat <<TEXT
  ${weir#"$root"/} ls --data $data/lake
  ${weir#"$root"/} explain --project $project
  .deps/venv/bin/python examples/read_with_pyiceberg.py $data/lake $("$weir" ls --data "$data/lake" -o csv | cut -d, -f1 | grep '^gold' | head -n 1)
TEXT
