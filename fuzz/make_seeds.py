#!/usr/bin/env python3
"""Writes the first inputs of the fuzz drivers: make_seeds.py FOLDER makes FOLDER/<driver>/<name>.

Valid files of every format, written here from the tables in docs/formats (not by Weir), the golden files of the unit tests,
and files made to hurt. `./x fuzz` begins with these and what is kept in fuzz/corpus.
"""
import datetime
import decimal
import gzip
import io
import json
import struct
import sys
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
out = Path(sys.argv[1])


def seed(driver, name, content):
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogateescape")
    folder = out / driver
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def zstd(data):
    return pa.compress(data, codec="zstd", asbytes=True)


# ---- JSON

RECORD = {
    "b": True, "i": -7, "l": 9007199254740993, "f": 1.5, "d": -2.25e10, "n": 12.5, "w": "12345678901234567890123456789012345678",
    "a": "2020-02-29", "t": "23:59:59.999999", "z": "2020-01-01T00:00:00", "u": "2020-01-01T00:00:00.5+02:00", "s": "ab",
    "y": "AAEC", "g": "123e4567-e89b-12d3-a456-426614174000", "o": {"x": 1, "p": {"q": "é", "extra": [1]}}, "r": [{"x": 0.1}, None, {"k": 1}],
    "m": {"red": 1, "": None}, "unknown": {"deep": [True, None, {"": ""}]},
}
seed("json", "all", json.dumps(RECORD, ensure_ascii=False))
for key, value in RECORD.items():
    seed("json", f"field_{key}", json.dumps({key: value}))
for name, text in {
    "duplicate_key": '{"l":1,"l":2}', "duplicate_escaped": '{"l":1,"\\u006c":2}', "nul": '{"s":"a\0b"}', "nul_after": '{"s":"a"}\0', "bom": '\ufeff{"s":"a"}',
    "trailing": '{"s":"a"} x', "two": '{"s":"a"}{"s":"b"}', "array": '[{"s":"a"}]', "scalar": "17", "empty": "", "spaces": " \t\r\n ",
    "deep_21": '{"x":' * 21 + "1" + "}" * 21, "deep_list": '{"x":' + "[" * 3000 + "]" * 3000 + "}", "open": '{"s":"a', "open_deep": "[" * 5000,
    "surrogate_half": '{"s":"\\ud800"}', "surrogate_pair": '{"s":"\\ud83d\\ude00"}', "bad_escape": '{"s":"\\x41"}', "big_int": '{"l":9223372036854775808}',
    "small_int": '{"l":-9223372036854775809}', "int_as_double": '{"i":1e3,"l":17.0}', "double_max": '{"d":1e309,"f":3.5e38}', "decimal_edge": '{"n":99999999.995}',
    "exponent_huge": '{"n":1e999999999999999999999,"w":1e-99999999999999}', "minus_zero": '{"d":-0.0,"i":-0}', "plus": '{"i":+1}', "leading_zero": '{"i":01}',
    "nan": '{"d":NaN}', "inf": '{"d":Infinity}', "leap_second": '{"u":"2016-12-31T23:59:60Z"}', "year_9999": '{"u":"9999-12-31T23:59:59.999999Z"}',
    "year_0": '{"u":"0000-01-01T00:00:00Z"}', "year_minus": '{"u":"-001-01-01T00:00:00Z"}', "year_10000": '{"u":"10000-01-01T00:00:00Z"}', "zone_edge": '{"u":"2020-01-01T00:00:00+23:59"}',
    "many": '{"s":"a"}\n{"s":\n{"i":"x"}\n\n{"s":"ab","l":4}', "faults_many": json.dumps({"r": [{"x": "no"}] * 80}), "map_dup": '{"m":{"a":1,"a":2}}',
    "big_record": '{"s":"' + "x" * 5000 + '"}', "extra_order": '{"zz":1,"aa":{"b":2,"a":1}}', "number_long": '{"d":0.' + "3" * 400 + "}", "b64_bad": '{"y":"A==="}',
}.items():
    seed("json", name, text)
seed("json", "utf8_bad", b'{"s":"\xff\xc0\x80"}')
seed("json", "utf8_cut", b'{"s":"\xe2\x82"}')

# ---- CSV

CSV = 'i,s,n,b,t,l,more\n1,ann,2.50,true,2024-01-01T00:00:00Z,"[{""x"":1}]",kept\r\n,"",,,,,\n2,"a,\n""b""",1e1,False,,"[]",\n'
for name, text in {
    "plain": CSV, "semicolon": CSV.replace(",", ";"), "bom": "\ufeff" + CSV, "bom_quoted": '\ufeff"i","s\nt"\n1,2\n', "cut": CSV[:-9], "open_quote": 'i,s\n1,"a\n2,b\n',
    "open_header": 'i,"s\n1,a\n', "behind_quote": 'i,s\n1,"a"b\n2,"a"""\n', "twice": "i,i\n1,2\n", "no_names": ",,\n1,2,3\n", "few": "i,s\n1\n", "many": "i,s\n1,2,3\n",
    "empty": "", "header": "i,s", "blank": "\n\r\n\n", "long": "i,s\n" + "x" * 62 + ",y\n" + "x" * 63 + ",y\n1,2\n", "long_quoted": 'i,s\n1,"' + "\n" * 80 + '"\n2,b\n',
    "leaves": 'i,s,l\n1,"""}",[]},{"i":2\n1,a,"[]},{""i"":2"\n', "control": "i,s\n1,a\x01\x00b\n", "not_utf8": "i,s\n1,\udcff\n", "numbers": "i,n\n007,+1\n1.,.5\n-0,1e400\n",
}.items():
    seed("csv", name, text)

# ---- rows of Parquet files


def parquet(name, columns, with_arrow_types=True, **options):
    sink = io.BytesIO()
    options = {"compression": "none", "write_statistics": False, **options}
    pq.write_table(pa.table(columns), sink, store_schema=with_arrow_types, **options)
    seed("parquet_rows", name, sink.getvalue())
    return sink.getvalue()


WHEN = datetime.datetime(2024, 1, 2, 3, 4, 5, 678901)
PLAIN = parquet("plain", {"i": [1, None, 3], "s": ["a", "b\n\u00e9", None], "d": [0.5, float("nan"), -0.0], "b": [True, None, False]}, False)
parquet("groups", {"i": list(range(25)), "s": [f"r{i % 3}" for i in range(25)]}, False, row_group_size=10)
parquet("times", {"t": [WHEN, None], "u": pa.array([WHEN, None], pa.timestamp("ns", "UTC")), "d": [WHEN.date(), None], "c": [WHEN.time(), None], "y": pa.array([-1, 2], pa.date64())})
parquet("int96", {"t": [datetime.datetime(1, 1, 1), WHEN]}, use_deprecated_int96_timestamps=True)
parquet("nested", {"l": [[1, None], []], "s": [{"x": 1, "y": "a"}, None], "m": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())), "z": [[[{"q": [1]}]], None]}, False)
parquet("decimals", {"a": [decimal.Decimal("1.50"), None], "b": pa.array([decimal.Decimal(10) ** 50, None], pa.decimal256(60, 2)), "c": [b"\x00\xff", None]})
parquet("arrow", {"c": pa.array(["a", "b", "a", None]).dictionary_encode(), "f": pa.array([[1, 2]] * 4, pa.list_(pa.float32(), 2)), "h": pa.array([1.5] * 4, pa.float16()), "u": pa.array([b"x" * 16] * 4, pa.uuid())})
parquet("delta", {"i": [1, 5, 2], "s": ["aa", "ab", "b"]}, False, use_dictionary=False, column_encoding={"i": "DELTA_BINARY_PACKED", "s": "DELTA_BYTE_ARRAY"})
parquet("zstd", {"i": [7] * 100}, compression="zstd")
parquet("pages_2", {"s": ["a", None, "b"]}, data_page_version="2.0", write_page_checksum=True)
parquet("no_rows", {"i": pa.array([], pa.int64())})
parquet("no_columns", {})
seed("parquet_rows", "cut", PLAIN[: len(PLAIN) // 2])
seed("parquet_rows", "footer_only", PLAIN[-300:])
seed("parquet_rows", "footer_long", PLAIN[:-8] + struct.pack("<I", 0x7FFFFFFF) + b"PAR1")

# ---- lines

LINES = b'{"a":1}\n{"a":2}\r\n\n  \t\n{"a":3}\n' + b"y" * 200 + b"\nlast"
GZ = gzip.compress(LINES, mtime=0)
seed("lines", "plain", LINES)
seed("lines", "bom", b"\xef\xbb\xbf" + LINES)
seed("lines", "bom_alone", b"\xef\xbb\xbf")
seed("lines", "cr", b"a\rb\r\r\n\r\n")
for n in (63, 64, 65, 66, 67):
    seed("lines", f"long_{n}", b"z" * n + b"\r\n" + b"z" * n + b"\nq")
seed("lines", "empty", b"")
seed("lines", "gz", GZ)
seed("lines", "gz_two", GZ + gzip.compress(b"more\n", mtime=0))
seed("lines", "gz_cut", GZ[: len(GZ) // 2])
seed("lines", "gz_junk", GZ + b"junk")
seed("lines", "gz_zeros", GZ + b"\0" * 20)
seed("lines", "gz_empty", gzip.compress(b"", mtime=0))
seed("lines", "gz_bomb", gzip.compress(b"\0" * 4_000_000, mtime=0))
seed("lines", "gz_long", gzip.compress(b"a" * 1_048_570 + b"\r\nb\n" + b"c\n" * 10, mtime=0))
seed("lines", "zst", zstd(LINES))
seed("lines", "zst_two", zstd(LINES) + zstd(b"more\n"))
seed("lines", "zst_cut", zstd(LINES)[:-5])
seed("lines", "zst_junk", zstd(LINES) + b"junk")
seed("lines", "zst_skippable", b"\x28\xb5\x2f\xfd" + zstd(LINES)[4:] + b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstd(b"x\n"))
seed("lines", "zst_window", b"\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00")

# ---- HTTP


def request(head, body=b""):
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body


POST = ["POST /v1/events/clicks?sync=1 HTTP/1.1", "Host: x"]
BODY = b'{"a":1}\n{"a":2}\n'
seed("http", "get", request(["GET / HTTP/1.1", "Host: x"]))
seed("http", "post", request(POST + [f"Content-Length: {len(BODY)}"], BODY))
seed("http", "chunked", request(POST + ["Transfer-Encoding: chunked"], b"5;ext=1\r\nhello\r\n3\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n"))
seed("http", "pipeline", request(["GET /a HTTP/1.1", "Host: x"]) * 6)
seed("http", "http10", request(["GET /a HTTP/1.0", "Connection: keep-alive"]) + request(["GET /b HTTP/1.0"]))
seed("http", "close", request(["GET /a HTTP/1.1", "Host: x", "Connection: close"]) + b"rest")
gz = gzip.compress(BODY, mtime=0)
seed("http", "gzip", request(POST + ["Content-Encoding: gzip", f"Content-Length: {len(gz)}"], gz))
bomb = gzip.compress(b"\0" * 100_000, mtime=0)
seed("http", "gzip_bomb", request(POST + ["Content-Encoding: gzip", f"Content-Length: {len(bomb)}"], bomb))
z = zstd(BODY)
seed("http", "zstd", request(POST + ["Content-Encoding: zstd", f"Content-Length: {len(z)}"], z))
seed("http", "expect", request(POST + ["Expect: 100-continue", "Content-Length: 3"], b"abc"))
seed("http", "head", request(["HEAD /a HTTP/1.1", "Host: x"]))
for name, lines in {
    "two_lengths": ["Content-Length: 3", "Content-Length: 4"], "length_and_chunks": ["Content-Length: 3", "Transfer-Encoding: chunked"], "length_list": ["Content-Length: 3, 3"],
    "length_plus": ["Content-Length: +3"], "length_huge": ["Content-Length: 99999999999999999999"], "length_minus": ["Content-Length: -1"], "fold": ["X: a", " b"],
    "te_gzip": ["Transfer-Encoding: gzip, chunked"], "te_twice": ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "name_space": ["X : a"], "encoding": ["Content-Encoding: br"],
    "many": [f"X{i}: {'v' * 60}" for i in range(60)], "nul": ["X: a\0b"], "no_colon": ["XYZ"],
}.items():
    seed("http", "header_" + name, request(POST + lines, b"abc"))
seed("http", "no_host", request(["GET / HTTP/1.1"]))
seed("http", "two_hosts", request(["GET / HTTP/1.1", "Host: a", "Host: b"]))
seed("http", "bare_lf", b"GET / HTTP/1.1\nHost: x\n\n")
seed("http", "http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
seed("http", "version", request(["GET / HTTP/1.9", "Host: x"]))
seed("http", "chunk_huge", request(POST + ["Transfer-Encoding: chunked"], b"FFFFFFFFFFFFFFFFF\r\nx"))
seed("http", "chunk_minus", request(POST + ["Transfer-Encoding: chunked"], b"-1\r\nx\r\n0\r\n\r\n"))
seed("http", "tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
for i, target in enumerate(["/", "/a/../b/./c//d", "/../x", "/%2e%2e/x", "/a%2fb", "/a%00", "/%", "/%zz", "http://h/p?q=1", "https://h?x=%41+b&&y", "*", "//", "/a?", "/%C3%A9?%C3%A9=%", "/a/..", "/..", "http://h", "/a%252e"]):
    seed("http_parts", f"target_{i}", target)
    seed("http", f"target_{i}", request([f"GET {target} HTTP/1.1", "Host: x"]))
seed("http_parts", "gzip", gz)
seed("http_parts", "gzip_bomb", gzip.compress(b"\0" * 1_000_000, mtime=0))
seed("http_parts", "gzip_cut", gz[:-3])
seed("http_parts", "gzip_two", gz + gz)
seed("http_parts", "zstd", z)
seed("http_parts", "zstd_two", z + z)
seed("http_parts", "zstd_bomb", zstd(b"\0" * 1_000_000))
seed("http_parts", "zstd_window", b"\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00")
for name in ("gzip", "zstd", "x-gzip", "identity", " GZIP\t", "br", "gzip, gzip"):
    seed("http_parts", "coding_" + name.strip().replace(", ", "_"), name)

for name, text in {
    "array": '[{"a":1}, {"b":"],["} ,3,null]', "ndjson": '{"a":1}\r\n\n{"b":2}', "array_empty": "[]", "array_spaces": " [ ] ", "nested": "[[1,2],[3,[4]]]", "unclosed": '[{"a":1},', "missing": "[1,,2]",
    "trailing": "[1] x", "bom": '\ufeff[{"a":1}]', "quote": '["\\"],["]', "object": ' {"a":1} ', "bracket": "]", "mixed": "[}", "brace": "[{]}", "comma": "[,]", "string_open": '["', "escape_end": '["\\',
    "type_json": "application/json; charset=utf-8", "type_plus": "Application/Vnd.x+json", "type_lines": "application/x-ndjson",
}.items():
    seed("framing", name, text)
seed("framing", "deep", "[" * 2000 + "]" * 2000)

# ---- the log (docs/formats/log.md)

SALT = 0x5EED5A17


def segment_header(first=0, salt=SALT, version=1):
    head = b"WEIRLOG\n" + struct.pack("<IIqI", version, salt, first, 0)
    return head + struct.pack("<I", crc32c(head))


def frame(kind, group, first, count=0, index=b"", payload=b"", raw_bytes=None, codec=0, received=0):
    raw_bytes = len(payload) if raw_bytes is None else raw_bytes
    a = b"WLF1" + struct.pack("<I", SALT)
    b = struct.pack("<BBHQqqIIIIII", kind, codec, 0, group, first, received, count, len(index), len(payload), raw_bytes, crc32c(payload), 0)
    assert len(a) + 4 + len(b) == 64
    return a + struct.pack("<I", crc32c(b + index, crc32c(a))) + b + index + payload


def batch(group, first, records, codec=0):
    n = len(records)
    index = b"".join(struct.pack("<I", len(r)) for r in records) + bytes(i % 6 for i in range(n)) + bytes(range(16)) * n
    index += struct.pack(f"<{n}Q", *range(n)) + struct.pack(f"<{n}q", *(i if i % 2 else -(2**63) for i in range(n)))
    raw = b"".join(records)
    return frame(1, group, first, n, index, zstd(raw) if codec else raw, len(raw), codec, 1_700_000_000_000_000)


def segment(frames, sealed=False, first=0):
    data = segment_header(first)
    positions = []
    for make in frames:
        positions.append(len(data))
        data += make(len(data))
    if sealed:
        at = len(data)
        data += frame(3, at, sealed, index=struct.pack("<qQ", 0, positions[0]))
        tail = b"WLE1" + struct.pack("<IQI", SALT, at, 0)
        data += tail + struct.pack("<I", crc32c(tail))
    return data


RECORDS = [b'{"a":1}', b"", b'{"a":2,"b":"' + b"x" * 60 + b'"}']
control = lambda at: frame(2, at, 3, index=struct.pack("<I", 4) + b"idle" + b'{"at":1}')
two = [lambda at: batch(at, 0, RECORDS), control, lambda at: batch(at, 3, RECORDS, codec=1)]
whole = segment(two)
seed("log", "header", segment_header())
seed("log", "version_2", segment_header(version=2))
seed("log", "two_batches", whole)
seed("log", "one_batch", segment(two[:1]))
seed("log", "mark", segment(two + [lambda at: frame(4, at, 6)]))
seed("log", "sealed", segment([lambda at: batch(at, 0, RECORDS)], sealed=3))
seed("log", "sealed_six", segment(two, sealed=6))
seed("log", "torn", whole[:-9])
seed("log", "damaged", whole[:150] + bytes([whole[150] ^ 1]) + whole[151:])
seed("log", "header_damaged", b"x" + whole[1:])
seed("log", "empty_batch", segment([lambda at: batch(at, 0, [])]))
seed("log", "empty", b"")
seed("log", "zeros", b"\0" * 300)
# Right checksums over numbers that cannot be.
one = batch(32, 0, RECORDS)
lengths = struct.pack("<III", 2**32 - 1, 2**32 - 1, 7)
raw = b"".join(RECORDS)
n = len(RECORDS)
index = lengths + bytes(n) + bytes(32 * n)
seed("log", "lengths_beyond_payload", segment([lambda at: frame(1, at, 0, n, index, raw)]))
seed("log", "raw_bytes_4g", segment([lambda at: frame(1, at, 0, n, one[64:64 + 37 * n], zstd(raw), 2**32 - 1, 1)]))
seed("log", "offset_max", segment([lambda at: frame(1, at, 2**63 - 2, n, one[64:64 + 37 * n], raw)]))
seed("log", "offset_minus", segment([lambda at: frame(1, at, -5, n, one[64:64 + 37 * n], raw)]))
seed("log", "verdict_9", segment([lambda at: frame(1, at, 0, 1, struct.pack("<I", 1) + b"\x09" + bytes(32), b"z")]))
seed("log", "codec_9", segment([lambda at: frame(1, at, 0, 1, struct.pack("<I", 1) + b"\0" + bytes(32), b"z", codec=9)]))
seed("log", "type_9", segment([lambda at: frame(9, at, 0)]))
seed("log", "control_short", segment([lambda at: frame(2, at, 0, index=b"\x09\0\0\0idle")]))
seed("log", "control_counts", segment([lambda at: frame(2, at, 0, 5, index=struct.pack("<I", 4) + b"idle{}")]))
seed("log", "seal_beyond", segment_header() + b"WLE1" + struct.pack("<IQI", SALT, 2**63, 0) + struct.pack("<I", crc32c(b"WLE1" + struct.pack("<IQI", SALT, 2**63, 0))))

entries = [b"file\0" + json.dumps({"source": "clicks", "ordinal": 0, "partition": 0, "path": "in", "size": 5, "modified": 7, "checksum": 2**63 + 5}).encode(),
           b'idle\0{"partition":1,"at":5}', b'cut\0{"step":1}', b"idle\0"]
seed("journal", "entries", segment([lambda at: batch(at, 0, entries)]))
seed("journal", "one_each", segment([lambda at, i=i, e=e: batch(at, i, [e]) for i, e in enumerate(entries)]))
seed("journal", "no_kind", segment([lambda at: batch(at, 0, [b"nothing"])]))
seed("journal", "kind_empty", segment([lambda at: batch(at, 0, [b"\0{}"])]))
seed("journal", "empty_entry", segment([lambda at: batch(at, 0, [b""])]))
for i, text in enumerate(['{"source":"clicks"}', '{"source":"clicks","ordinal":1e300,"partition":0,"path":"p","size":1,"modified":1,"checksum":1}', "[" * 2000, "[]", '{"source":1}',
                          '{"source":"clicks","ordinal":5,"partition":-1,"path":"p","size":-1,"modified":1,"checksum":-1}']):
    seed("journal", f"file_{i}", segment([lambda at: batch(at, 0, [b"file\0" + text.encode()])]))

# ---- deltas (docs/formats/state.md)


def varint(value):
    data = b""
    while value >= 0x80:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def text(data):
    return varint(len(data)) + data


def delta(records, count, epoch=7):
    head = b"WEIRDLT1" + struct.pack("<qqQ", epoch, count, len(records))
    return head + records + struct.pack("<I", crc32c(head + records))


space = b"\x01" + text(b"op/silver.trips/f")
seed("delta", "empty", delta(b"", 0))
seed("delta", "all", delta(space + b"\x04" + b"\x02" + text(b"k") + text(b"v" * 200) + b"\x03" + text(b"") + b"\x01" + text(b"ids") + b"\x02" + text(b"\0\xff") + text(b""), 4))
seed("delta", "no_space", delta(b"\x02" + text(b"k") + text(b"v"), 1))
seed("delta", "space_empty", delta(b"\x01" + text(b""), 0))
seed("delta", "space_nul", delta(b"\x01" + text(b"a\0b") + b"\x03" + text(b"k"), 1))
seed("delta", "count_wrong", delta(space + b"\x04", 2**62))
seed("delta", "varint_long", delta(space + b"\x03" + b"\xff" * 9 + b"\x01", 1))
seed("delta", "length_beyond", delta(space + b"\x02\x7fk", 1))
seed("delta", "op_0", delta(b"\0", 0))
seed("delta", "other_epoch", delta(b"", 0, epoch=8))

# ---- contracts, projects, models

EDGES = """apiVersion: v3.1.0
kind: DataContract
id: edges
name: edges
version: 1.0.0
status: active
servers:
  - {server: files, type: local, path: in, format: ndjson}
customProperties:
  - {property: weir.eventTime, value: at}
  - {property: weir.lateness, value: PT48H}
  - {property: weir.identity, value: [id]}
schema:
  - name: edges
    logicalType: object
    properties:
      - {name: id, logicalType: string, required: true}
      - {name: at, logicalType: timestamp, required: true}
"""
seed("contract", "rides", (ROOT / "examples/rides/contracts/ride_events.odcs.yaml").read_bytes())
seed("contract", "edges", EDGES)
for i, prop in enumerate([
    "{name: n, logicalType: integer, logicalTypeOptions: {minimum: 1, exclusiveMaximum: 9, format: u64}}", "{name: n, logicalType: number, physicalType: 'DECIMAL(38, 10)'}",
    "{name: n, logicalType: number, logicalTypeOptions: {precision: 99999999999, scale: -1}}", "{name: s, logicalType: string, logicalTypeOptions: {minLength: 1, maxLength: 5, pattern: '^[a-z]{1,1000}(((x*)*)*)*$'}}",
    "{name: s, logicalType: string, logicalTypeOptions: {pattern: '('}}", "{name: l, logicalType: array, items: {logicalType: array, items: {logicalType: date}}}",
    "{name: o, logicalType: object, properties: [{name: a, logicalType: date}, {name: A, logicalType: time}]}", "{name: m, logicalType: map, map: {key: {logicalType: string}, value: {logicalType: number}}}",
    "{name: s, logicalType: string, quality: [{metric: invalidValues, arguments: {validValues: [a, b, 1]}, mustBe: 0}]}", "{name: s, logicalType: string, customProperties: [{property: weir.requiredWhen, value: 'id in (a, b)'}]}",
    "{name: _extra, logicalType: string}", "{name: id, logicalType: string}", "{name: '', logicalType: string}", "{name: e, logicalType: string, logicalTypeOptions: {enum: [x, y, null, 1.5]}}",
    "{name: x, logicalType: " + "{a: " * 50 + "1" + "}" * 50 + "}", "&a [*a]", "{name: b, logicalType: string, logicalTypeOptions: {format: byte}}",
]):
    seed("contract", f"property_{i}", EDGES + f"      - {prop}\n")
for i, custom in enumerate(["weir.order, value: [at]", "weir.futureAllowance, value: off", "weir.idleAfter, value: PT0S", "weir.partitionBy, value: ['day(at)', 'bucket(16, id)']", "weir.timeZone, value: UTC",
                            "weir.identityMemory, value: P9999999999D", "weir.raw, value: drop", "weir.unknown, value: 1", "weir.partitionKey, value: id", "weir.identityScope, value: contract"]):
    seed("contract", f"custom_{i}", EDGES.replace("customProperties:\n", "customProperties:\n  - {property: " + custom + "}\n"))
for name, yaml in {"tabs": EDGES.replace("  - name", "\t- name"), "crlf": EDGES.replace("\n", "\r\n"), "bom": "\ufeff" + EDGES, "two_documents": EDGES + "---\n" + EDGES, "list": "- a\n", "scalar": "x",
                   "empty": "", "nul": EDGES.replace("edges", "ed\0ges", 1), "deep": "[" * 2000, "deep_map": "\n".join(" " * i + "a:" for i in range(400)), "anchor": "a: &x {b: *x}\n", "merge": "<<: {name: x}\n" + EDGES,
                   "laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi"))}.items():
    seed("contract", "yaml_" + name, yaml)

PROJECT = (ROOT / "examples/rides/weir.yml").read_text()
seed("project", "rides", PROJECT)
for i, body in enumerate([
    "name: p\n", "name: p\nconfiguration:\n  weir.step.rows: 1000\n  weir.memory.max: 2GB\n  weir.epoch.interval: 1 second\n", "name: p\nprofiles:\n  dev:\n    configuration: {weir.threads.shards: 2}\n",
    "name: p\nconfiguration: {weir.step.rows: -1}\n", "name: p\nconfiguration: {weir.memory.max: 99999999999999999999}\n", "name: p\nconfiguration: {weir.memory.max: 9223372036854775807KiB}\n", "name: [p]\n", "", "a: b: c", "\t",
    "weir.step.rows=0", "weir.memory.max=1e30", "weir.memory.max=0x10", "weir.epoch.interval=P106751991D", "weir.lease=PT0S", "weir.partitions=2147483648", "weir.table.fileBytes=16MiB", "weir.step.rows=9223372036854775808", "name: p\nconfiguration: {weir.epoch.steps: 1.5}\n",
]):
    seed("project", f"text_{i}", body)

for file in sorted((ROOT / "examples/rides/models").glob("*/*.sql")):
    seed("model", file.stem, file.read_bytes())
for i, sql in enumerate([
    "CREATE OR REFRESH MATERIALIZED VIEW Silver.Trips\n  KEY (trip_id, \"Odd \"\"name\"\"\")\n  PARTITIONED BY (day(requested_at), bucket(16, trip_id), city)\n  CLUSTER BY (rider_id)\n"
    "  CONSTRAINT fare_sane EXPECT (fare BETWEEN 0 AND (10 * 100) AND note <> ')') ON VIOLATION QUARANTINE\n  TARGET_LAG = '1 minute 30 seconds'\n  COMMENT 'it''s trips'\n"
    "  TBLPROPERTIES ('owner' = 'ann', weir.tags = 'ops')\n  NONDETERMINISTIC\nAS SELECT trip_id -- AS SELECT; )\n FROM bronze.ride_events /* ; */ GROUP BY trip_id;\n",
    "CREATE OR REFRESH STREAMING TABLE a.b AS SELECT * FROM STREAM bronze.x JOIN STREAM(y) USING (id)", "CREATE VIEW v AS SELECT 1", "SELECT 1", "CREATE OR REFRESH MATERIALIZED VIEW a AS SELECT 'x", "CREATE MATERIALIZED VIEW a AS SELECT $tag$ ; $tag$",
    "CREATE MATERIALIZED VIEW a AS SELECT e'\\'' , \"a\"\"b\", 1e5, .5, 0x1F, 1_000", "CREATE MATERIALIZED VIEW a AS SELECT /* /* nested */ */ 1", "CREATE MATERIALIZED VIEW a AS SELECT 1; SELECT 2", "CREATE MATERIALIZED VEW a AS SELECT 1",
    "CREATE MATERIALIZED VIEW a KEY () AS SELECT 1", "CREATE MATERIALIZED VIEW a KEY (x AS SELECT 1", "CREATE MATERIALIZED VIEW a PARTITIONED BY (bucket(99999999999, x)) AS SELECT 1", "CREATE MATERIALIZED VIEW a TARGET_LAG = '-1 day' AS SELECT 1",
    "SELECT * FROM t AS OF TIMESTAMP '2020-01-01' x, u AS OF VERSION 5", "SELECT * FROM t AS OF TIMESTAMP '2020", "CREATE MATERIALIZED VIEW a AS " + "(" * 500, "", "\ufeffCREATE VIEW a AS SELECT 1", "CREATE VIEW \"ä\".\"ö\" AS SELECT 'é'\r\n\tFROM ü", "-- only", "/*", "$$", "$a", "e'\\", "CREATE FLOW f AS INSERT INTO a BY NAME SELECT 1",
]):
    seed("model", f"text_{i}", sql)

# ---- Avro and Iceberg

GOLDEN = ROOT / "src/iceberg/testdata"
for version in ("spark_v2", "spark_v3"):
    for file in sorted((GOLDEN / version).glob("*.avro")):
        driver = "manifest_list" if file.name.startswith("manifest-list") else "manifest"
        seed(driver, f"{version}.{file.stem}", file.read_bytes())
        if ".0." in file.name or ".1." in file.name:
            seed("avro", f"{version}.{file.stem}", file.read_bytes())
    seed("metadata", version, (GOLDEN / version / "metadata.json").read_bytes())
    for file in (GOLDEN / version).glob("*.puffin"):
        seed("puffin", version, file.read_bytes())


def zigzag(value):
    return varint((value << 1) ^ (value >> 63) if value >= 0 else ((-value) << 1) - 1)


def avro(schema, records, block, codec="null", sync=b"S" * 16):
    meta = {b"avro.schema": json.dumps(schema, separators=(",", ":")).encode() if not isinstance(schema, bytes) else schema, b"avro.codec": codec.encode()}
    data = b"Obj\x01" + zigzag(len(meta))
    for key, value in meta.items():
        data += zigzag(len(key)) + key + zigzag(len(value)) + value
    if codec == "deflate":
        block = zlib.compress(block, 9)[2:-4]
    return data + zigzag(0) + sync + zigzag(records) + zigzag(len(block)) + block + sync


long_list = {"type": "record", "name": "N", "fields": [{"name": "v", "type": "long"}, {"name": "next", "type": ["null", "N"]}]}
ALL = {"type": "record", "name": "all", "fields": [{"name": n, "type": t} for n, t in [
    ("a", "boolean"), ("b", "int"), ("c", "long"), ("d", "float"), ("e", "double"), ("f", "bytes"), ("g", "string"), ("h", {"type": "fixed", "name": "F", "size": 3}), ("i", {"type": "enum", "name": "E", "symbols": ["X", "Y"]}),
    ("j", {"type": "array", "items": "int"}), ("k", {"type": "map", "values": "string"}), ("l", ["null", "long"]), ("m", {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2})]]}
row = b"\x01" + zigzag(-3) + zigzag(2**40) + struct.pack("<fd", 1.5, -2.5) + zigzag(2) + b"ab" + zigzag(1) + b"c" + b"xyz" + zigzag(1) + zigzag(2) + zigzag(1) + zigzag(2) + zigzag(0) + zigzag(1) + zigzag(1) + b"k" + zigzag(1) + b"v" + zigzag(0) + zigzag(1) + zigzag(9) + zigzag(1) + b"\x05"
seed("avro", "all", avro(ALL, 2, row * 2))
seed("avro", "deflate", avro(ALL, 2, row * 2, "deflate"))
seed("avro", "recursive", avro(long_list, 1, b"".join(zigzag(i) + zigzag(1) for i in range(5)) + zigzag(1) + zigzag(0)))
seed("avro", "recursive_deep", avro(long_list, 1, (zigzag(1) + zigzag(1)) * 400))
seed("avro", "negative_block", avro({"type": "array", "items": "int"}, 1, zigzag(-2) + zigzag(2) + zigzag(1) + zigzag(1) + zigzag(0)))
seed("avro", "block_min", avro({"type": "array", "items": "int"}, 1, varint(2**64 - 1) + zigzag(2)))
seed("avro", "nothing_often", avro("null", 2**62, b""))
seed("avro", "empty_records", avro({"type": "record", "name": "r", "fields": []}, 2**62, b""))
seed("avro", "nulls_in_array", avro({"type": "array", "items": "null"}, 1, zigzag(2) + zigzag(0)))
seed("avro", "inflates", avro("bytes", 1, zigzag(3_000_000) + b"\0" * 3_000_000, "deflate"))
seed("avro", "snappy", avro("int", 1, b"\0", "snappy"))
seed("avro", "header_cut", avro(ALL, 2, row * 2)[:40])


def doubling(levels, leaf):
    """A record that holds two of the next one, and so on: 2^levels leaves, described in a few hundred bytes."""
    node = leaf
    for i in reversed(range(levels)):
        node = {"type": "record", "name": f"R{i}", "fields": [{"name": "a", "type": node}, {"name": "b", "type": f"R{i + 1}" if i + 1 < levels else "null"}]}
    return node


seed("avro", "doubling", avro(doubling(40, "null"), 1, b""))
seed("manifest", "doubling", avro(doubling(40, "null"), 1, b""))
seed("avro_schema", "doubling", json.dumps(doubling(40, "null")))
seed("manifest", "empty_records", avro({"type": "record", "name": "manifest_entry", "fields": []}, 2**62, b""))
seed("manifest_list", "empty_records", avro({"type": "record", "name": "manifest_file", "fields": []}, 2**62, b""))
seed("manifest_list", "not_records", avro("long", 1, b"\x02"))
big = {"type": "record", "name": "manifest_entry", "fields": [{"name": "status", "type": "long", "field-id": 0}, {"name": "snapshot_id", "type": ["null", "long"], "field-id": 1}, {"name": "data_file", "field-id": 2, "type": {
    "type": "record", "name": "r2", "fields": [{"name": "record_count", "type": "long", "field-id": 103}, {"name": "file_size_in_bytes", "type": "long", "field-id": 104}]}}]}
row = zigzag(77) + zigzag(0) + zigzag(2**62) + zigzag(-5)
seed("manifest", "counts_huge", avro(big, 4, row * 4))
for i, schema in enumerate([ALL, long_list, "int", ["null", "int"], {"type": "record", "name": "x.y.R", "fields": [{"name": "a", "type": "x.y.R"}]}, {"type": "fixed", "name": "F", "size": 2**40}, {"type": "fixed", "name": "F", "size": -1},
                            {"type": "enum", "name": "E", "symbols": [1]}, {"type": "array"}, {"type": {"type": {"type": "int"}}}, {"type": "nope"}, [], [[["null"]]], {"type": "record", "name": "r", "fields": {}}, 5, None]):
    seed("avro_schema", f"schema_{i}", json.dumps(schema))
seed("avro_schema", "deep", "[" * 100_000 + "]" * 100_000)
seed("avro_schema", "deep_object", '{"type":' * 1000 + "1" + "}" * 1000)
seed("avro_schema", "deep_attribute", '{"not":' + "[" * 100_000 + "]" * 100_000 + "}")
seed("avro_schema", "utf8_bad", b'{"a":"\xff"}')

# Portable roaring: cookie 12346 without runs, 12347 | (n-1) << 16 with.


def roaring(containers, runs=False):
    keys = sorted(containers)
    data = b""
    if runs:
        data += struct.pack("<I", 12347 | (len(keys) - 1) << 16) + bytes([0xFF] * ((len(keys) + 7) // 8))
    else:
        data += struct.pack("<II", 12346, len(keys))
    bodies = []
    for key in keys:
        body, cardinality = containers[key]
        data += struct.pack("<HH", key, cardinality - 1 & 0xFFFF)
        bodies.append(body)
    if not runs or len(keys) >= 4:
        at = len(data) + 4 * len(keys)
        for body in bodies:
            data += struct.pack("<I", at)
            at += len(body)
    return data + b"".join(bodies)


def array(values):
    return struct.pack(f"<{len(values)}H", *values), len(values)


def run(pairs):
    return struct.pack("<H", len(pairs)) + b"".join(struct.pack("<HH", a, n) for a, n in pairs), sum(n + 1 for _, n in pairs)


def blob(bitmaps):
    body = b"\xd1\xd3\x39\x64" + struct.pack("<Q", len(bitmaps)) + b"".join(struct.pack("<I", key) + bitmap for key, bitmap in bitmaps)
    return struct.pack(">I", len(body)) + body + struct.pack(">I", zlib.crc32(body))


def puffin(data, footer=None):
    footer = json.dumps(footer if footer is not None else {"blobs": [{"type": "deletion-vector-v1", "fields": [2147483645], "snapshot-id": -1, "sequence-number": -1, "offset": 4, "length": len(data),
                                                            "properties": {"referenced-data-file": "file:///d.parquet", "cardinality": "1"}}], "properties": {}}).encode()
    return b"PFA1" + data + b"PFA1" + footer + struct.pack("<II", len(footer), 0) + b"PFA1"


plain = blob([(0, roaring({0: array([1, 5, 9]), 3: array([0, 65535])}))])
seed("puffin", "array", plain)
seed("puffin", "none", blob([]))
seed("puffin", "runs", blob([(0, roaring({0: run([(0, 9), (100, 0)]), 7: run([(0, 65535)])}, runs=True))]))
seed("puffin", "two", blob([(0, roaring({0: array([1])})), (1, roaring({2: array([7])}))]))
seed("puffin", "bitset", blob([(0, roaring({0: (b"\x55" * 8192, 32768)}))]))
# Each says of itself what its containers do not hold.
seed("puffin", "bitset_cardinality", blob([(0, roaring({0: (b"\x01" * 8192, 5000)}))]))
seed("puffin", "array_unsorted", blob([(0, roaring({0: array([9, 1, 5])}))]))
seed("puffin", "array_twice", blob([(0, roaring({0: array([5, 5, 5])}))]))
seed("puffin", "runs_overlap", blob([(0, roaring({0: run([(0, 65535), (0, 65535), (5, 65535)])}, runs=True))]))
seed("puffin", "runs_beyond", blob([(0, roaring({0: run([(65000, 65535)])}, runs=True))]))
seed("puffin", "keys_unsorted", blob([(0, struct.pack("<II", 12346, 2) + struct.pack("<HHHH", 5, 0, 1, 0) + struct.pack("<II", 24, 26) + b"\x01\0\x02\0")]))
seed("puffin", "keys_descending", blob([(1, roaring({0: array([1])})), (0, roaring({0: array([1])}))]))
seed("puffin", "empty_container", blob([(0, struct.pack("<II", 12347, 0)[:4] + b"\x01" + struct.pack("<HH", 0, 0) + struct.pack("<H", 0))]))
seed("puffin", "count_huge", struct.pack(">I", 12) + b"\xd1\xd3\x39\x64" + struct.pack("<Q", 2**63) + struct.pack(">I", zlib.crc32(b"\xd1\xd3\x39\x64" + struct.pack("<Q", 2**63))))
seed("puffin", "file", puffin(plain))
for i, footer in enumerate([{}, [], {"blobs": {}}, {"blobs": [1]}, {"blobs": [{"properties": {"referenced-data-file": 1}}]}, {"blobs": [{"properties": "referenced-data-file"}]}, {"blobs": [{"properties": []}]}]):
    seed("puffin", f"footer_{i}", puffin(plain, footer))
seed("puffin", "footer_deep", b"PFA1PFA1" + b'{"blobs":' + b"[" * 100_000 + b"]" * 100_000 + b"}" + struct.pack("<II", 200_010, 0) + b"PFA1")
seed("puffin", "footer_utf8", b'PFA1PFA1{"blobs":[],"x":"\xff"}' + struct.pack("<II", 23, 0) + b"PFA1")

META = {
    "format-version": 2, "table-uuid": "u", "location": "file:///wh/t", "last-sequence-number": 1, "last-updated-ms": 1, "last-column-id": 4, "current-schema-id": 0,
    "schemas": [{"type": "struct", "schema-id": 0, "identifier-field-ids": [1], "fields": [
        {"id": 1, "name": "id", "required": True, "type": "long"}, {"id": 2, "name": "l", "required": False, "type": {"type": "list", "element-id": 3, "element-required": False, "element": "decimal(9, 2)"}},
        {"id": 4, "name": "m", "required": False, "type": {"type": "map", "key-id": 5, "key": "string", "value-id": 6, "value-required": True, "value": {"type": "struct", "fields": []}}}]}],
    "default-spec-id": 0, "last-partition-id": 1000, "partition-specs": [{"spec-id": 0, "fields": [{"source-id": 1, "field-id": 1000, "name": "b", "transform": "bucket[16]"}]}],
    "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}], "properties": {"a": "b"}, "current-snapshot-id": 5,
    "snapshots": [{"snapshot-id": 5, "sequence-number": 1, "timestamp-ms": 1, "manifest-list": "file:///wh/t/l.avro", "summary": {"operation": "append"}, "schema-id": 0, "x": [1]}],
    "snapshot-log": [{"timestamp-ms": 1, "snapshot-id": 5}], "metadata-log": [], "refs": {"main": {"snapshot-id": 5, "type": "branch"}}, "statistics": [{"statistics-path": "file:///wh/s"}],
}
seed("metadata", "small", json.dumps(META))
for i, change in enumerate([
    {"refs": []}, {"refs": "x"}, {"refs": {"main": 5}}, {"format-version": 3, "next-row-id": 2**62}, {"format-version": 1}, {"last-updated-ms": 2**62}, {"last-updated-ms": 1e300}, {"properties": {"a": 1}}, {"schemas": {}}, {"current-snapshot-id": 6},
    {"current-snapshot-id": -1}, {"snapshots": [{"snapshot-id": 5, "timestamp-ms": -(2**62), "manifest-list": ""}]}, {"snapshot-log": [{"timestamp-ms": 2**62, "snapshot-id": 9}]}, {"last-column-id": 2**40}, {"location": ""}, {"location": "s3://b/t"},
    {"partition-specs": [{"spec-id": 0, "fields": [{"source-id": 99, "field-id": 1000, "name": "b", "transform": "void"}]}]}, {"partition-specs": [{"spec-id": 0, "fields": [{"source-id": 2, "field-id": 1000, "name": "b", "transform": "day"}]}]},
    {"partition-specs": [{"spec-id": 0, "fields": [{"source-id": 1, "field-id": 1000, "name": "b", "transform": "truncate[0]"}]}]}, {"unknown": {"a": []}}, {"statistics": 5}, {"snapshots": 5}, {"last-column-id": 2**31 - 1},
]):
    seed("metadata", f"change_{i}", json.dumps({**META, **change}))
seed("metadata", "deep_unknown", json.dumps(META)[:-1] + ',"x":' + "[" * 100_000 + "]" * 100_000 + "}")
seed("metadata", "deep_type", json.dumps(META).replace('"decimal(9, 2)"', '{"type":"list","element-id":7,"element-required":false,"element":' * 3000 + '"int"' + "}" * 3000))

# ---- what the catalog keeps

FRONTIER = {"version": 1, "watermark": 1704106800000000, "marker": 12, "steps": 345, "sources": {"ride_events": [{"partition": 0, "next": 1234, "watermark": None, "file": 3, "byte": 52100, "idle": False}]}}
seed("frontier", "frontier", json.dumps(FRONTIER))
seed("frontier", "version", json.dumps({**FRONTIER, "version": 2}))
seed("frontier", "floats", json.dumps({**FRONTIER, "marker": 1e300, "steps": 1.5}))
seed("frontier", "wrong", json.dumps({**FRONTIER, "sources": []}))
seed("frontier", "wrong_source", json.dumps({**FRONTIER, "sources": {"a": {"x": 5}}}))
seed("frontier", "deep", "[" * 100_000)
seed("frontier", "ledger", json.dumps({"source": "s", "received": 10, "accepted": 5, "rejected": 2, "duplicate": 1, "late": 1, "blocked": 1, "reasons": {"not_json": 2}}))

# ---- small texts

for i, value in enumerate([
    "2018-01-11T18:24:44.123456Z", "2018-01-11 18:24", "2018-01-11", "2016-12-31T23:59:60Z", "9999-12-31T23:59:59.9999999+00:00", "0000-01-01T00:00:00-23:59", "2020-02-30T00:00:00Z", "23:59:59.9999999", "24:00:00",
    "PT48H", "P2DT5M0.5S", "P9223372036854775807D", "-PT5S", "48 hours", "5 min", "0.0000001 s", "PT", "1e5 days", "16MB", "2GiB", "9223372036854775807", "1.5GB", "-1", "0x10", "1e400", "-0.0", "123456789012345678901234567890123456789", "5e-324",
    "bucket[16]", "truncate[2147483648]", "bucket[0]", "day", "hours", "file:///a%20b", "file:/a", "s3://x", "/a/../b", "data/events-{partition}.ndjson", "*.ndjson", "a{partition}b{partition}", "00000000000000000007.log", "123e4567-e89b-12d3-a456-426614174000", "QUJD", "QQ==",
]):
    seed("values", f"text_{i}", value)
for i, value in enumerate([b"\0", b"\1", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff" * 8, b"\0" * 7 + b"\x80", b"\0\0\xc0\x7f", b"\0" * 6 + b"\xf8\x7f", b"\x80" + b"\0" * 15, b"\x7f" * 16, b"\x7f" * 17, bytes(range(16))]):
    seed("values", f"bytes_{i}", value)

print(sum(1 for f in out.rglob("*") if f.is_file()), "inputs in", out)
