#!/usr/bin/env python3
"""Every fault that a crash test is there for is found by it: each is planted in a copy of the sources, and its test must fail.

    planted_bugs.py [--all] [NAME…]

Without --all the ones whose tests are slow to build or run are left out. The copy is build/planted; objects that do not change come from ccache. Several are
planted at a time where the test program of each holds the code of no other, so that it fails by its own alone. A planted bug whose old text is not in the
file (once) is an error: the code changed, and whoever changed it says here what the bug would look like now. A bug that no test finds is a hole in the tests.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / "build/planted"
BUILD = TREE / "build/release"
LINKS = (".deps", "examples", "bench", "fuzz", "tests")
SECONDS_MAX = 1800  # the longest test takes a minute on two idle cores


class Bug:
    def __init__(self, name, file, old, new, test, gtest_filter, slow=False, env=None):
        self.name, self.file, self.old, self.new, self.test, self.filter, self.slow, self.env = name, file, old, new, test, gtest_filter, slow, env or {}
        self.module = Path(file).parts[1]


LOG_CRASH = ("log_test", "*LogCrashTest*:JournalTest.SyncedEntriesSurviveEveryCut")
STORE_CRASH = ("state_test", "*HoldsTheCommittedEpochsWhereverThePowerIsCut*")
COMMIT_CRASH = ("commit_test", "CommitterTest.*")
STAGE_CRASH = ("iceberg_test", "StageTest.WhatIsStagedSurvivesAPowerCutAndHalfAStageHarmsNothing")
SQLITE_CRASH = ("io_test", "SqliteCrashTest.*")
ACKNOWLEDGED = ("ingest_test", "LogSourceTest.WhatWasAcknowledgedSurvivesEveryPowerCut:LogSourceTest.NothingIsAcknowledgedWithoutTheLease")
FLOW_CRASH = ("flow_test", "FlowCrashTest.*")

BUGS = [
    # A sync that is skipped.
    Bug("the log is not synced", "src/log/log.cc", "  WEIR_TRY(active_->file->Sync());\n", "", *LOG_CRASH),
    Bug("the folder of a new log segment is not synced", "src/log/log.cc", "  if (is_new) WEIR_TRY(io_.SyncDir(dir_));\n", "", *LOG_CRASH),
    Bug("the log goes on after a failed sync", "src/log/log.cc",
        '    dead_ = std::move(written).error();\n    dead_->message = fmt::format("the log takes no more: {}", dead_->message);\n    return *dead_;\n',
        "    return written;\n", "log_test", "LogTest.AfterAFailedSync*"),
    Bug("the journal is not synced", "src/log/journal.cc", "Status Sync() override { return log_->Sync(); }", "Status Sync() override { return {}; }", *LOG_CRASH),
    Bug("the state delta is not synced", "src/state/delta.cc", "  WEIR_TRY((*file)->Sync());\n", "", *STORE_CRASH),
    Bug("the folder of the state delta is not synced", "src/state/delta.cc", "  WEIR_TRY(io.SyncDir(dir));\n", "", *STORE_CRASH),
    Bug("RocksDB's files are not synced", "src/state/rocks_file_system.cc", "    return ToRocks(file_->Sync());\n", "    return IOStatus::OK();\n", *STORE_CRASH),
    Bug("RocksDB's folder is not synced", "src/state/rocks_file_system.cc", "    return ToRocks(io_.SyncDir(path_));\n", "    return IOStatus::OK();\n", *STORE_CRASH),
    Bug("SQLite's files are not synced", "src/io/sqlite_vfs.cc", "  const Status synced = self.file->Sync();\n", "  const Status synced;\n", *SQLITE_CRASH),
    Bug("small files are written and not synced", "src/io/io.cc", "  return file.Sync();\n", "  return {};\n", *STAGE_CRASH),
    Bug("the folder of the metadata is not synced", "src/iceberg/metadata_folder.cc", "  WEIR_TRY(io_->SyncDir(path_));\n", "", *STAGE_CRASH),
    Bug("data files are not synced", "src/codec/parquet_io.cc", "  WEIR_TRY(file_->Sync());\n", "", *FLOW_CRASH, slow=True),
    Bug("the folder of the data files is not synced", "src/publish/file_set.cc",
        '    WEIR_TRY(io_.SyncDir(io::Join(WEIR_TRY(iceberg::PathOf(options_.location)), "data")));\n', "", *FLOW_CRASH, slow=True),
    Bug("the folder of deletion vectors is not synced", "src/iceberg/deletion_vector.cc", "  WEIR_TRY(io.SyncDir(std::string(io::DirName(local))));\n", "",
        "iceberg_test", "VectorFileTest.*"),
    # The order of things.
    Bug("the frontier is committed before the tables", "src/commit/committer.cc",
        "    WEIR_TRY(AssertOwner(*catalog_, owner_epoch_, lease));\n    for (iceberg::Staged& staged",
        "    WEIR_TRY(AssertOwner(*catalog_, owner_epoch_, lease));\n"
        '    WEIR_TRY(catalog_->Sql("INSERT INTO weir_epochs VALUES (?, ?, ?, ?, ?, ?, ?)",\n'
        '                           {epoch.value, commit.lane, owner_epoch_, now, commit.frontier,\n'
        '                            fmt::format("delta-{}", epoch.value),\n'
        "                            static_cast<int64_t>(delta_checksum)}));\n"
        '    WEIR_TRY(catalog_->Sql("COMMIT", {}));\n'
        '    WEIR_TRY(catalog_->Sql("BEGIN IMMEDIATE", {}));\n'
        '    WEIR_TRY(catalog_->Sql("DELETE FROM weir_epochs WHERE epoch = ?", {epoch.value}));\n'
        "    for (iceberg::Staged& staged", *COMMIT_CRASH),
    Bug("the delta is dropped before the store flushed it", "src/state/store.cc", "    WEIR_TRY(Redo(delta, epoch));\n    if (unflushed_bytes_",
        "    WEIR_TRY(Redo(delta, epoch));\n    WEIR_TRY(RemoveDeltas([&](Epoch e) { return e <= epoch; }));\n    if (unflushed_bytes_", *STORE_CRASH),
    Bug("reads pass over a delta that is on its way", "src/state/store.cc", "      if (!pending_.valid()) return std::shared_ptr<const PendingDelta>();\n",
        "      if (true) return std::shared_ptr<const PendingDelta>();\n", "state_test", "StoreBehindTest.*"),
    Bug("scans go on with what was there before the last delta", "src/state/store.cc", "    iterators_.Renew();\n    std::lock_guard lock(mutex_);\n    applied_ = epoch;\n",
        "    std::lock_guard lock(mutex_);\n    applied_ = epoch;\n", "state_test", "StoreBehindTest.*"),
    Bug("records are acknowledged before they are synced", "src/ingest/log_source.cc",
        "    for (const Piece& piece : pieces)\n      WEIR_TRY(partitions_.at(piece.partition).log->Sync());\n", "", *ACKNOWLEDGED),
    Bug("records are acknowledged without the lease", "src/ingest/log_source.cc", "    while (!options_.lease_valid()) {", "    while (false) {", *ACKNOWLEDGED),
    Bug("an epoch forgets the identities of its records", "src/flow/flow.cc", "      epoch_delta_.Append(std::move(marker->delta));\n", "", *FLOW_CRASH, slow=True),
    # Whose directory it is, and what its files are called.
    Bug("the owner epoch is not asserted", "src/commit/directory.cc", "  return CheckOwner(catalog, owner_epoch);\n}", "  return {};\n}",
        "commit_test", "*"),
    Bug("the lock is not taken", "src/commit/directory.cc",
        "    WEIR_TRY(lock.LockRange(io::File::LockKind::kExclusive,\n                            static_cast<uint64_t>(out.owner_epoch), 1));\n", "", "commit_test", "*"),
    Bug("acknowledgements go out without the lease", "src/net/connection.cc",
        "    if (acknowledges && options_.may_acknowledge && !options_.may_acknowledge()) {", "    if (false) {", "net_test", "AcknowledgementTest.*"),
    Bug("an acknowledgement is looked at when it is decided and not when it goes out", "src/net/connection.cc",
        "  slot.acknowledges = response.acknowledges;\n",
        "  if (response.acknowledges && options_.may_acknowledge && !options_.may_acknowledge()) {\n    slot.text.clear();\n"
        "    return Fill(slot, ErrorResponse(503, \"send them again\"));\n  }\n", "net_test", "AcknowledgementTest.*"),
    Bug("a segment that could not be begun hides how much of the one before counts", "src/log/segment.cc",
        "    if (link.may_be_open && !link.bytes_max)\n", "    if (false)\n", "log_test", "*LogCrashTest.LivesThatEachEndInACutAddUp*"),
    Bug("databases share their spill", "src/duck/session.cc", '{"temp_directory", spill_->path()}', '{"temp_directory", options.temp_dir}',
        "duck_test", "DuckTest.SessionsThatSpillAtTheSameTimeDoNotDisturbEachOther"),
    Bug("a manifest list may lack what says that files are there", "src/iceberg/manifest_read.cc", "  WEIR_TRY(check(root));\n", "",
        "iceberg_test", "StageTest.AFlippedBitInASchemaHidesNoFileOfAnotherEngine"),
    Bug("the files of a snapshot are not held to its count", "src/iceberg/live_files.cc", "  if (parsed.ec == std::errc() && want == found) return {};\n", "  return {};\n",
        "iceberg_test", "StageTest.ASnapshotThatCountsOtherFilesThanItsManifestsHoldIsNamed"),
    Bug("a table that lost its current snapshot reads as empty", "src/iceberg/metadata.cc",
        "    if (!id || !metadata.current_snapshot || *id != metadata.current_snapshot->value)\n", "    if (false)\n",
        "iceberg_test", "StageTest.AFlippedBitHidesNoFile"),
    Bug("metadata file names are used again", "src/iceberg/metadata_folder.cc",
        '  return fmt::format("{:05d}-{}.metadata.json", NextVersion(base_location), uuid);\n',
        '  return fmt::format("{:05d}.metadata.json", NextVersion(base_location));\n', "iceberg_test", "StageTest.HalfAStageIsNotInTheWayOfTheNextOne"),
    Bug("data file names are used again", "src/publish/file_set.cc", "iceberg::NewUuid()", '"0"', *FLOW_CRASH, slow=True),
    Bug("garbage goes although a reader may read it", "src/commit/committer.cc", "    if (std::holds_alternative<int64_t>(row[0])) oldest_reader = AsInt(row[0]);\n", "",
        "commit_test", "GarbageTest.*"),
]


def copy_sources():
    """Brings the copy up to date; files that are the same keep their time, so that only what changed is built."""
    wanted = set()
    tracked = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "src", "cmake", "CMakeLists.txt", "CMakePresets.json"], cwd=ROOT,
                             check=True, capture_output=True, text=True).stdout.splitlines()
    for name in tracked:
        source, target = ROOT / name, TREE / name
        if not source.exists():
            continue
        wanted.add(target)
        if target.exists() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for target in [*(TREE / "src").rglob("*"), *(TREE / "cmake").rglob("*")]:
        if target.is_file() and target not in wanted:
            target.unlink()
    for name in LINKS:
        if (ROOT / name).exists() and not (TREE / name).exists():
            (TREE / name).symlink_to(ROOT / name)


def run(args, **more):
    return subprocess.run(args, cwd=TREE, capture_output=True, text=True, errors="replace", **more)


def build(targets):
    """The compiler's words when it fails, else nothing."""
    if not (BUILD / "build.ninja").exists():
        # Tests that read files of the source tree read the real ones, and their objects are those of the real build.
        made = run(["cmake", "--preset", "release", f"-DWEIR_TEST_SOURCE_DIR={ROOT}"])
        if made.returncode != 0:
            return made.stdout + made.stderr
    built = run(["ninja", "-C", BUILD, *sorted(targets)])
    return built.stdout[-6000:] if built.returncode != 0 else ""


def test_fails(bug):
    """(whether it failed, its output)."""
    try:
        done = run([BUILD / bug.test, f"--gtest_filter={bug.filter}", "--gtest_fail_fast", "--gtest_color=no", "--gtest_brief=1"], timeout=SECONDS_MAX,
                   env={**os.environ, **bug.env})
    except subprocess.TimeoutExpired:
        return False, f"it neither passes nor fails within {SECONDS_MAX} s"
    ran = re.search(r"\[=+\] (\d+) tests? from", done.stdout)
    if done.returncode == 0 and ran and int(ran[1]) == 0:
        return False, f"no test is named {bug.filter}"
    return done.returncode != 0, done.stdout + done.stderr


def modules_of_tests():
    """For each test program the modules whose code is in it, from the weir_module lines of CMakeLists.txt."""
    uses, extra = {}, {}
    for line in re.findall(r"^weir_module\((.*)\)$", (ROOT / "CMakeLists.txt").read_text(), re.M):
        name, *words = line.split()
        lists, current = {}, ""
        for word in words:
            if word.isupper():
                current = word
            else:
                lists.setdefault(current, []).append(word)
        uses[name], extra[name] = lists.get("USES", []), lists.get("TEST_USES", [])

    def closure(names):
        return {m for name in names for m in {name} | closure(uses[name])}
    return {f"{name}_test": closure([name, *extra[name]]) for name in uses}


def rounds_of(bugs):
    """Groups of bugs none of which is in the test program of another."""
    held, rounds = modules_of_tests(), []
    for bug in bugs:
        for together in rounds:
            if all(bug.module not in held[other.test] and other.module not in held[bug.test] for other in together):
                together.append(bug)
                break
        else:
            rounds.append([bug])
    return rounds


def check(together):
    """For each bug what is wrong, or nothing when it is found; and how long it took."""
    begin, texts = time.monotonic(), {}
    try:
        for bug in together:
            path = TREE / bug.file
            texts[path] = path.read_text()
            path.write_text(texts[path].replace(bug.old, bug.new))
        words = build({bug.test for bug in together})
        if words:
            return [(bug, f"a planted bug does not compile:\n{words}", time.monotonic() - begin) for bug in together]
        return run_tests(together, begin)
    finally:
        for path, text in texts.items():
            path.write_text(text)


def run_tests(together, begin):
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        return [(bug, "" if failed else f"{bug.test} --gtest_filter={bug.filter} does not find it\n{output[-600:]}", time.monotonic() - begin)
                for bug, (failed, output) in zip(together, pool.map(test_fails, together))]


def faults_without_bugs(bugs):
    """The tests pass while nothing is planted."""
    tests = sorted({(b.test, b.filter) for b in bugs})
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(lambda test: test_fails(Bug("", "src/none", "", "", *test)), tests))
    return [f"{test} --gtest_filter={gtest_filter} without any planted bug:\n{output[-2000:]}"
            for (test, gtest_filter), (failed, output) in zip(tests, results) if failed or "PASSED" not in output or "no test is named" in output]


def main():
    if "-h" in sys.argv or "--help" in sys.argv:
        print(__doc__)
        return 0
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    bugs = [b for b in BUGS if b.name in names] if names else [b for b in BUGS if "--all" in sys.argv or not b.slow]
    wrong = [f"{b.name}: its old text is {(ROOT / b.file).read_text().count(b.old)} times in {b.file}, not once" for b in BUGS
             if (ROOT / b.file).read_text().count(b.old) != 1]
    if wrong or not bugs:
        print("\n".join(wrong) or f"no planted bug is named {names}; there are: {', '.join(b.name for b in BUGS)}")
        return 1
    begin = time.monotonic()
    copy_sources()
    words = build({b.test for b in bugs})
    if words:
        print(f"the copy in {TREE} does not build:\n{words}")
        return 1
    print(f"    built {time.monotonic() - begin:6.1f} s", flush=True)
    wrong = faults_without_bugs(bugs)
    print(f"    clean {time.monotonic() - begin:6.1f} s", flush=True)
    for together in rounds_of(bugs) if not wrong else ():
        for bug, missed, seconds in check(together):
            print(f"{'NOT FOUND' if missed else 'found':>9} {seconds:6.1f} s  {bug.name}", flush=True)
            if missed:
                wrong.append(f"{bug.name}: {missed}")
    print("\n".join(wrong) or f"{len(bugs)} planted bugs, each found, in {time.monotonic() - begin:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
