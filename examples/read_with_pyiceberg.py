#!/usr/bin/env python3
"""Reads a table of a lake without Weir: PyIceberg opens it through the SQL catalog.

    read_with_pyiceberg.py LAKE [TABLE]
"""
import sys
from pathlib import Path

from pyiceberg.catalog.sql import SqlCatalog

lake = Path(sys.argv[1]).resolve()
catalog = SqlCatalog("weir", uri=f"sqlite:///{lake}/catalog.db")
if len(sys.argv) < 3:
    for namespace in catalog.list_namespaces():
        for space, name in catalog.list_tables(namespace):
            print(f"{space}.{name}")
    sys.exit()
rows = catalog.load_table(tuple(sys.argv[2].split(".", 1))).scan().to_arrow()
print(f"{rows.num_rows:,} rows")
for row in rows.slice(0, 5).to_pylist():
    print(row)
