"""Where the CPU time of a run goes: profile."""
import collections
import re
import shutil
import subprocess

from bench_rides import EXAMPLE, bytes_of, contract_only, counts, even, wide
from common import WEIR, Wrong, benchmark, measure

# What a sample counts as: the first row whose pattern is found in "symbol dso". Samples that name no work (copying, clearing memory,
# the kernel) are told apart by the thread they were taken on.
STAGES = [
    ("start of the process", r" ld-linux|_dl_|do_lookup_x"),
    ("zstd", r"ZSTD_|HUF_|HIST_|FSE_"),
    ("JSON to columns", r"weir::codec::Json|simdjson|weir::ParseTimestamp|weir::codec::\(anonymous namespace\)|from_chars|fast_float"),
    ("content hash", r"weir::contract::ContentHashes|::AddField|JsonHash|XXH3|weir::HashBytes"),
    ("contract", r"weir::contract::"),
    ("duplicates", r"weir::state::Identities|IdentityMemory"),
    ("lines", r"LineReader|line_reader"),
    ("rows of system tables (take, filter)", r"arrow::compute"),
    ("Parquet", r"libparquet|parquet::|ScalarMemoTable|BinaryMemoTable|RleBitPacked|RleEncoder|weir::codec::Parquet"),
    ("operators", r"weir::ops::"),
    ("DuckDB", r"libduckdb|duckdb::"),
    ("RocksDB", r"librocksdb|rocksdb::|liblz4|libsnappy"),
    ("state deltas", r"weir::state::|Crc32c"),
    ("publishing (keys, deletion vectors, partitions)", r"weir::publish::|roaring|run_container|bitset_container|array_container"),
    ("commit (metadata, SQLite)", r"weir::iceberg::|weir::commit::|libsqlite3|sqlite3|weir::avro|nlohmann"),
    ("page faults, memory from and to the kernel", r"\[kernel.*(clear_page|page_fault|folio|memcg|unmap|anonymous_page|alloc_pages|lru|rmqueue|vma|mas_|mmap|madvise|free_pages)"
     r"|(clear_page|page_fault|folio|charge_memcg|unmap|anonymous_page|alloc_pages|rmqueue|zap_pte).*\[kernel"),
    ("files and locks in the kernel", r"\[kernel"),
    ("copying and clearing memory, malloc", r"libc\.so|mimalloc|_mi_|libarrow.*(malloc|Allocate)|operator new|operator delete|jemalloc"),
    ("columns (Arrow)", r"libarrow|arrow::"),
    ("flow", r"weir::flow::|weir::ingest::|weir::data::|weir::"),
]
COMPILED = [(name, re.compile(pattern)) for name, pattern in STAGES]


def stage_of(text):
    return next((name for name, pattern in COMPILED if pattern.search(text)), "other")


def role_of(stages, main):
    """What a thread does, by what most of its nameable samples are."""
    if main:
        return "flow"
    named = {s: n for s, n in stages.items() if "memory" not in s and "kernel" not in s}
    most = max(named, key=named.get) if named else ""
    if most in ("JSON to columns", "contract", "content hash", "duplicates", "lines", "rows of system tables (take, filter)"):
        return "ingest"
    if most in ("Parquet", "zstd", "publishing (keys, deletion vectors, partitions)"):
        return "encoder"
    return {"RocksDB": "state", "state deltas": "state", "operators": "shards", "DuckDB": "shards"}.get(most, "others")


def profile(b, project, folder):
    """{thread role: {stage: CPU us per event}} of one run, and the run."""
    lake, data = b.work / "lake", b.work / "perf.data"
    m = measure(["perf", "record", "-q", "-e", "cpu-clock", "-F", "997", "-o", data, "--", WEIR, "run", "--once", "--project", project, "--data", lake,
                 "--source", f"ride_events={folder}/events.ndjson", "-o", "json", *(x for s in b.o.set for x in ("--set", s))])
    shutil.rmtree(lake)
    text = subprocess.run(["perf", "script", "-i", data, "-F", "comm,pid,tid,ip,sym,dso"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    threads, mains = collections.defaultdict(collections.Counter), {}
    for line in text.splitlines():
        found = re.match(r"\s*(\S.*?)\s+(\d+)/(\d+)\s+[0-9a-f]+ (.*)", line)
        if found and not found[1].startswith("perf"):
            threads[int(found[3])][stage_of(found[4])] += 1
            mains[int(found[3])] = found[2] == found[3]
    total = sum(sum(c.values()) for c in threads.values())
    if not total:
        raise Wrong("perf saw nothing: is sampling allowed (kernel.perf_event_paranoid <= 2)?")
    each = m.cpu_s / total / counts(folder)["received"] * 1e6
    roles = collections.defaultdict(collections.Counter)
    for tid, stages in threads.items():
        roles[role_of(stages, mains[tid])].update(stages)
    return {role: {s: round(n * each, 3) for s, n in stages.most_common()} for role, stages in roles.items()}, m, total


def options(p):
    p.add_argument("--of", default="rides-bronze,rides,rides-wide", help="which runs, with commas")
    p.add_argument("--scale", type=float, default=8.5, help="of the events; a fifth of it for wide ones")
    p.add_argument("--set", action="append", default=[], help="a setting of weir.yml")


@benchmark("profile", work="CPU time per event by stage and thread, sampled by perf", options=options)
def run(b):
    """Figures are the CPU of a whole run; details.<run> has the microseconds per event by thread and stage. A stage is what the
    sampled function belongs to; copying and the kernel's part are told by thread only."""
    if not shutil.which("perf"):
        b.say("perf is not installed (apt-get install linux-perf): nothing to profile")
        return {"figures": {}}
    kinds = {"rides-bronze": lambda: (contract_only(b), even(b, b.o.scale)), "rides": lambda: (EXAMPLE, even(b, b.o.scale)),
             "rides-wide": lambda: (EXAMPLE, wide(b, b.o.scale / 5))}
    figures, details = {}, {}
    for name in b.o.of.split(","):
        b.check(name in kinds, f"--of {name}: there are {', '.join(kinds)}")
        project, folder = kinds[name]()
        details[name], m, samples = profile(b, project, folder)
        figures[f"cpu_us_per_event_{name}"] = m.cpu_s / counts(folder)["received"] * 1e6
        details[name + "_run"] = {"events": counts(folder)["received"], "input_bytes": bytes_of(folder), "samples": samples, "wall_s": round(m.wall_s, 2),
                                  "stages_wall_s": m.json.get("stages")}
    return {"figures": figures, "parameters": {"scale": b.o.scale}, "details": details}
