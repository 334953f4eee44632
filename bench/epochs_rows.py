"""Input of bench_epochs.py and its judge, both DuckDB.

    epochs_rows.py make FOLDER SHAPE SIZE…       changes of table t and rows of table d, as bodies of HTTP requests
    epochs_rows.py check FOLDER SHAPE LAKE       reads {"sql", "table", "bodies"} from standard input, compares the table of the lake
                                                 (by PyIceberg) with the query over the inputs that were pushed, and prints its rows

A record of t says what row `id` is from change number `c` on, or that it is gone (`op`). In FOLDER: SIZE/load-*.ndjson (t) and
SIZE/side-*.ndjson (d) take history to SIZE from the size before, then SIZE/PLACE.ndjson holds EPOCHS times ROWS changes. SHAPE
is `wide` (ten rows a key, ever more keys; places: anywhere) or `deep` (1,000 keys with ever more rows; places: end and middle of
a key). A tenth of the changes takes its row away, as far as it is there; the next change of the row brings it back.
"""
import json
import sys
from pathlib import Path

import duckdb

EPOCHS, ROWS = 17, 1000
KEYS, ROWS_PER_KEY = 1000, 10
LOAD_ROWS = 100_000
PLACES = {"wide": ("wide",), "deep": ("end", "middle")}
T = {"c": "BIGINT", "op": "VARCHAR", "id": "BIGINT", "k": "BIGINT", "ts": "TIMESTAMPTZ", "n": "INTEGER", "x": "DOUBLE", "s": "VARCHAR"}
D = {"k": "BIGINT", "ts": "TIMESTAMPTZ", "m": "INTEGER"}
# What a project says of the changes: the newest one of each row counts.
CURRENT = ("CREATE VIEW silver.t AS SELECT * EXCLUDE (op) FROM (SELECT * FROM bronze.t QUALIFY row_number() OVER (PARTITION BY id ORDER BY c DESC) = 1) "
           "WHERE op <> 'delete'")


def rows_sql(shape, numbers):
    """Records of t from rows (i, c, v, op): row number, change number, version."""
    key, place = ("i % 1000", "i // 1000") if shape == "deep" else ("i // 10", "i % 10")
    return (f"SELECT CAST(c AS BIGINT) AS c, op, CAST(i AS BIGINT) AS id, CAST({key} AS BIGINT) AS k, strftime(TIMESTAMP '2024-01-01' + "
            f"to_minutes(CAST(({key}) % 1000 * 60 AS BIGINT)) + to_seconds(CAST(({place}) * 1200 + hash(i) % 900 + v % 200 AS BIGINT)), '%Y-%m-%dT%H:%M:%SZ') AS ts, "
            "CAST(hash(i * 31 + v) % 1000 AS INTEGER) AS n, CAST(hash(i * 17 + v) % 1000 AS DOUBLE) / 8 AS x, "
            f"'V' || CAST(hash(i + v) % 100 AS VARCHAR) AS s FROM {numbers} ORDER BY c")


def side_sql(first, last):
    return (f"SELECT range AS k, strftime(TIMESTAMP '2024-01-01' + to_minutes(CAST(range % 1000 * 60 + 30 AS BIGINT)), '%Y-%m-%dT%H:%M:%SZ') AS ts, "
            f"CAST(range % 1000 AS INTEGER) AS m FROM range({first}, {last})")


def changed_row(place, size):
    """The number of the row that change `g` is about."""
    if place == "wide":
        return f"hash(g) % {size}"
    per_key = size // KEYS
    return f"{per_key - 1 if place == 'end' else per_key // 2} * {KEYS} + g % {KEYS}"


def make(folder, shape, sizes):
    db = duckdb.connect()
    db.execute("SET preserve_insertion_order = true")

    def write(sql, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        db.execute(f"COPY ({sql}) TO '{part}' (FORMAT json)")
        part.rename(path)

    before, changes = 0, 1_000_000_000  # the number of the first change behind all loads
    for size in sizes:
        for place in PLACES[shape]:
            numbers = f"(SELECT {changed_row(place, size)} AS i, g AS c, g AS v, CASE WHEN (g + g // 1000) % 10 = 9 THEN 'delete' ELSE 'put' END AS op FROM (SELECT {changes} + range AS g FROM range({EPOCHS * ROWS})))"
            changes += EPOCHS * ROWS
            path = folder / str(size) / f"{place}.ndjson"
            if not path.exists():
                write(rows_sql(shape, numbers), path)
        for n, first in enumerate(range(before, size, LOAD_ROWS)):
            last = min(size, first + LOAD_ROWS)
            path = folder / str(size) / f"load-{n:04}.ndjson"
            if not path.exists():
                write(rows_sql(shape, f"(SELECT range AS i, range AS c, 0 AS v, 'put' AS op FROM range({first}, {last}))"), path)
        first, last = (before // ROWS_PER_KEY, size // ROWS_PER_KEY) if shape == "wide" else (0, KEYS if before == 0 else 0)
        for n, start in enumerate(range(first, last, LOAD_ROWS)):
            path = folder / str(size) / f"side-{n:04}.ndjson"
            if not path.exists():
                write(side_sql(start, min(last, start + LOAD_ROWS)), path)
        before = size


def pushed_sql(bodies, columns):
    kinds = ", ".join(f"{name}: '{kind}'" for name, kind in columns.items())
    return f"SELECT * FROM read_json([{', '.join(repr(b) for b in bodies)}], format = 'newline_delimited', columns = {{{kinds}}})"


def check(lake, job):
    import answer
    db = answer.connect()
    db.execute("CREATE SCHEMA bronze; CREATE SCHEMA silver")
    for name, columns in (("t", T), ("d", D)):
        db.execute(f"CREATE TABLE bronze.{name} AS {pushed_sql(job['bodies'][name], columns)}")
    db.execute(CURRENT)
    db.register("got", answer.Reader(lake).table(job["table"]).scan().to_arrow())
    kinds = {r[0]: r[1] for r in db.execute("DESCRIBE got").fetchall()}
    cells = ", ".join(f"round({name}, 6) AS {name}" if kind == "DOUBLE" else name for name, kind in kinds.items())
    casts = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in kinds.items())
    db.execute(f"CREATE TABLE want AS SELECT {cells} FROM (SELECT {casts} FROM ({job['sql']}))")
    answer.same(job["table"], answer.table_hash(db, f"(SELECT {cells} FROM got)"), answer.table_hash(db, "want"))
    print(db.execute("SELECT count(*) FROM want").fetchone()[0])


def main():
    what, folder, shape, *more = sys.argv[1:]
    if what == "make":
        make(Path(folder), shape, [int(size) for size in more])
    else:
        check(more[0], json.load(sys.stdin))


if __name__ == "__main__":
    main()
