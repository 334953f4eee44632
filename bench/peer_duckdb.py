"""DuckDB as a peer, in a process of its own: the same events once, as a batch that keeps nothing incremental.

    peer_duckdb.py bronze|rides INPUT OUT

read_json with the contract's types -> one row per event_id -> (silver.trips and gold by their own SQL) -> Parquet, zstd level 1
like Weir's. It does less than Weir: no undeclared or absent fields, no place of origin, no rejected rows, no late rule, no
deletion vectors, no commit, no sync. Prints JSON: CPU and wall seconds without the start of Python.
"""
import json
import sys
import time

from answer import MODELS, PROJECT, accepted_sql

import duckdb


def model_query(name):
    import re
    text = (PROJECT / "models" / (name.replace(".", "/") + ".sql")).read_text()
    return text[re.search(r"\bAS\s+SELECT\b", text).start() + 2:].rstrip().rstrip(";")


def main():
    what, folder, out = sys.argv[1:4]
    wall, cpu = time.monotonic(), time.process_time()
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    parquet = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
    if what == "bronze":
        db.execute(f"COPY ({accepted_sql(folder)}) TO '{out}/bronze.parquet' {parquet}")
    else:
        for space in ("bronze", "silver", "gold"):
            db.execute(f"CREATE SCHEMA {space}")
        db.execute(f"CREATE TABLE bronze.ride_events AS {accepted_sql(folder)}")
        db.execute(f"COPY bronze.ride_events TO '{out}/bronze.parquet' {parquet}")
        for name in MODELS:
            db.execute(f"CREATE TABLE {name} AS {model_query(name)}")
            db.execute(f"COPY {name} TO '{out}/{name}.parquet' {parquet}")
    print(json.dumps({"wall_s": time.monotonic() - wall, "cpu_s": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
