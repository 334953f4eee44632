#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <atomic>
#include <future>

#include "base/event.h"
#include "state/pending_delta.h"
#include "state/rocks_file_system_internal.h"
#include "state/scan_iterators_internal.h"
#include "state/sorted_delta.h"
#include "state/state_internal.h"

namespace weir::state {
namespace {

using rocksdb::Slice;

// One column family. A row's key is space, NUL, key; our own keys begin with NUL, which
// no space does.
const std::string kAppliedKey("\0applied", 8);
const std::string kFormatKey("\0format", 7);
const std::string kDirectoryKey("\0directory", 10);
// 1 names no directory and knows of no rebuild.
constexpr std::string_view kFormat = "2", kFirstFormat = "1";

constexpr int kWaitingDeltasMax = 16;
constexpr size_t kWriteBatchBytes = 4 << 20;
constexpr std::string_view kTablePrefix = "table-";  // of a delta, before RocksDB has it

Slice View(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view View(const Slice& slice) { return {slice.data(), slice.size()}; }

void RowKey(std::string_view space, std::string_view key, std::string* out) {
  out->assign(space);
  out->push_back('\0');
  out->append(key);
}

// The first row key after all that begin with `prefix`. Empty: there is none.
std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

Error ToError(const rocksdb::Status& status, std::string_view doing) {
  const std::string message =
      fmt::format("state store: {}: {}", doing, status.ToString());
  if (status.IsCorruption() || status.IsInvalidArgument() || status.IsPathNotFound() ||
      status.IsNotFound())
    return Corrupt(message);
  if (status.IsIOError() || status.IsNoSpace() || status.IsBusy() || status.IsTimedOut())
    return Unavailable(message);
  return Internal(message);
}

// Inside RocksStore.
#define WEIR_ROCKS(expr, doing)                                                         \
  do {                                                                                  \
    if (const rocksdb::Status rocks_status_ = (expr); !rocks_status_.ok()) [[unlikely]] \
      return Failed(rocks_status_, doing);                                              \
  } while (false)

// RocksDB would write a LOG file of its own without one.
class NoLogger final : public rocksdb::Logger {
 public:
  NoLogger() : Logger(rocksdb::InfoLogLevel::HEADER_LEVEL) {}
  using Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// What a scan of one group of an operator has in common: the space, NUL, and the kind and
// hash that the key begins with. Filters know which of these a file has. Files from
// before there was such a transform have only whole keys in their filters, and RocksDB
// sees that.
class GroupPrefix final : public rocksdb::SliceTransform {
 public:
  static constexpr size_t kKeyBytes = 17;
  static bool Has(std::string_view space, std::string_view key) {
    return space.starts_with(kSpaces) && key.size() >= kKeyBytes;
  }

  const char* Name() const override { return "weir.GroupPrefix"; }
  bool InDomain(const Slice& row_key) const override { return Size(row_key) > 0; }
  Slice Transform(const Slice& row_key) const override {
    return {row_key.data(), Size(row_key)};
  }

 private:
  static constexpr std::string_view kSpaces = "op/";
  // 0: it has none.
  static size_t Size(const Slice& row_key) {
    const std::string_view bytes = View(row_key);
    if (!bytes.starts_with(kSpaces)) return 0;
    const size_t space = bytes.find('\0');
    if (space == bytes.npos || bytes.size() - space - 1 < kKeyBytes) return 0;
    return space + 1 + kKeyBytes;
  }
};

rocksdb::Options RocksOptions(const StoreOptions& options) {
  rocksdb::Options rocks;
  rocks.create_if_missing = true;
  rocks.info_log = std::make_shared<NoLogger>();
  rocks.stats_dump_period_sec = 0;
  rocks.stats_persist_period_sec = 0;
  rocks.avoid_flush_during_shutdown = true;
  rocks.allow_mmap_reads = rocks.allow_mmap_writes = false;
  rocks.use_direct_reads = rocks.use_direct_io_for_flush_and_compaction = false;
  rocks.max_bgerror_resume_count = 0;  // a failed flush is the caller's to judge
  rocks.max_open_files = 256;
  rocks.write_buffer_size = static_cast<size_t>(options.write_buffer_bytes);
  rocks.compression = rocksdb::kLZ4Compression;
  // What is soon rewritten is not worth compressing.
  rocks.compression_per_level.assign(7, rocksdb::kLZ4Compression);
  rocks.compression_per_level[0] = rocks.compression_per_level[1] =
      rocksdb::kNoCompression;
  rocks.max_background_jobs = 2;
  rocks.prefix_extractor = std::make_shared<GroupPrefix>();
  // Keys are hashes, so every compaction into a level rewrites all of it: rarely, then,
  // and the first level takes what memory-sized states write in all.
  rocks.level0_file_num_compaction_trigger = 8;
  rocks.max_bytes_for_level_base = uint64_t{1} << 30;
  rocks.target_file_size_base = uint64_t{128} << 20;

  rocksdb::BlockBasedTableOptions table;
  table.block_cache =
      rocksdb::NewLRUCache(static_cast<size_t>(options.block_cache_bytes));
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.block_size = 16 << 10;
  rocks.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));

  if (options.deterministic) {
    rocks.disable_auto_compactions = true;
    rocks.write_buffer_size = size_t{1} << 30;
    rocks.level0_slowdown_writes_trigger = rocks.level0_stop_writes_trigger = 1 << 30;
    rocks.delete_obsolete_files_period_micros = uint64_t{1} << 60;
    rocks.max_file_opening_threads = 1;
    rocks.skip_stats_update_on_db_open = true;
  }
  return rocks;
}

class RocksStore final : public Store {
 public:
  RocksStore(io::Io& io, std::string dir, const StoreOptions& options)
      : io_(io), dir_(std::move(dir)), options_(options), fs_(NewRocksFileSystem(io)) {
    if (options_.deterministic) {
      auto env = std::make_unique<SerialEnv>(fs_);
      serial_ = env.get();
      env_ = std::move(env);
    } else {
      env_ = rocksdb::NewCompositeEnv(fs_);
    }
  }

  ~RocksStore() override {
    static_cast<void>(Settled());
    iterators_.Renew();
    db_.reset();
    if (serial_ != nullptr) serial_->WaitUntilIdle();
  }

  Status OpenRocks() {
    rocksdb::Options rocks = RocksOptions(options_);
    rocks.env = env_.get();
    if (const std::string damaged = io::Join(dir_, kDamagedFile); io_.Exists(damaged))
      return Corrupt(WEIR_TRY(io_.ReadAll(damaged)));
    rocksdb::DB* db = nullptr;
    WEIR_ROCKS(rocksdb::DB::Open(rocks, io::Join(dir_, kRocksDir), &db), "open");
    db_.reset(db);
    iterators_.SetDb(db);
    if (serial_ != nullptr) serial_->WaitUntilIdle();

    const auto format = WEIR_TRY(Own(kFormatKey));
    if (format && *format != kFormat && *format != kFirstFormat) {
      return Corrupt(fmt::format("state store: written in format {}, this Weir reads {}",
                                 *format, kFormat));
    }
    const auto applied = WEIR_TRY(Own(kAppliedKey));
    if (!applied) return {};
    if (applied->size() != sizeof applied_.value)
      return Corrupt("state store: malformed applied epoch");
    std::memcpy(&applied_.value, applied->data(), sizeof applied_.value);
    return {};
  }

  // That the store belongs to the data directory it stands in.
  Status CheckDirectory() {
    if (options_.directory.empty()) return {};
    const auto directory = WEIR_TRY(Own(kDirectoryKey));
    if (directory && *directory != options_.directory)
      return Corrupt("state store: it belongs to another data directory");
    if (directory) return {};
    if (!options_.adopt && applied_.value > 0)
      return Corrupt("state store: it does not say which data directory it belongs to");
    rocksdb::WriteBatch batch;
    batch.Put(kDirectoryKey, options_.directory);
    WEIR_ROCKS(db_->Write(NoWal(), &batch), "name the directory");
    return FlushNow();
  }

  Status Recover(Epoch committed) {
    if (applied_ > committed) {
      return Corrupt(fmt::format("state store: has epoch {}, but only {} is committed",
                                 applied_.value, committed.value));
    }
    WEIR_TRY(CheckDirectory());
    const Epoch flushed = applied_;
    for (Epoch epoch = Next(applied_); epoch <= committed; epoch = Next(epoch)) {
      uint32_t checksum = 0;
      auto delta = Delta::Read(io_, dir_, epoch, &checksum);
      if (!delta.ok()) {
        if (delta.error().code != Code::kNotFound) return std::move(delta).error();
        return Corrupt(
            applied_.value == 0
                ? fmt::format("state store: there is none, and {} epochs are committed",
                              committed.value)
                : fmt::format("state store: the delta of epoch {} is missing",
                              epoch.value));
      }
      const auto wanted =
          options_.checksum_of ? options_.checksum_of(epoch) : std::nullopt;
      if (wanted && *wanted != checksum) {
        return Corrupt(fmt::format(
            "state store: the delta of epoch {} is not the one that was committed",
            epoch.value));
      }
      WEIR_TRY(Redo(*delta, epoch));
    }
    return RemoveDeltas(
        [&](Epoch epoch) { return epoch <= flushed || epoch > committed; });
  }

  Status StartAt(Epoch epoch, std::string_view why) {
    WEIR_TRY(CheckDirectory());
    Delta lost;
    lost.Put(kRebuildSpace, kLostKey, why);
    WEIR_TRY(Redo(lost, epoch));
    return Flush();
  }

  Status Apply(const Delta& delta, Epoch epoch) override {
    WEIR_TRY(Settled());
    return ApplyNow(delta, epoch);
  }

  Status ApplyBehind(Delta&& delta, Epoch epoch) override {
    WEIR_TRY(Settled());
    if (options_.deterministic) return ApplyNow(delta, epoch);
    const auto shared = std::make_shared<const Delta>(std::move(delta));
    const Indexed indexed = std::async(std::launch::async, [shared] {
                              return PendingDelta::Make(shared);
                            }).share();
    {
      std::lock_guard lock(mutex_);
      pending_ = indexed;
    }
    std::shared_future<Status> done =
        std::async(std::launch::async, [this, epoch, shared] {
          Status applied = ApplyNow(*shared, epoch);
          // Whoever reads from now on finds it in the store, unless that failed.
          std::lock_guard lock(mutex_);
          if (applied.ok()) pending_ = {};
          return applied;
        }).share();
    std::lock_guard lock(mutex_);
    done_ = std::move(done);
    return {};
  }

  Status Flush() override {
    WEIR_TRY(Settled());
    return FlushNow();
  }

  Epoch applied() const override {
    static_cast<void>(Settled());
    std::lock_guard lock(mutex_);
    return applied_;
  }

  void NoteDamage(std::string_view why) override {
    if (damaged_.exchange(true)) return;
    Event("state_damaged", Severity::kError)
        .With("dir", dir_)
        .With("what", why)
        .With("meaning", "it is rebuilt from the tables at the next start");
    Status noted = io_.WriteNew(io::Join(dir_, kDamagedFile), why);
    if (noted.ok()) noted = io_.SyncDir(dir_);
    if (!noted.ok())
      Event("damage_not_noted", Severity::kError).With("error", noted.error().message);
  }
  bool damaged() const override { return damaged_; }

  io::Io& io() override { return io_; }
  const std::string& dir() const override { return dir_; }
  bool deterministic() const override { return options_.deterministic; }

  Result<std::vector<std::optional<std::string>>> GetMany(
      std::string_view space, std::span<const std::string_view> keys) override {
    const auto pending = WEIR_TRY(Pending());
    std::vector<std::optional<std::string>> out(keys.size());
    std::vector<size_t> wanted;
    wanted.reserve(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto found =
          pending == nullptr ? std::nullopt : pending->Find(space, keys[i]);
      if (!found) {
        wanted.push_back(i);
      } else if (!found->erased) {
        out[i] = found->value;
      }
    }
    std::vector<std::string> row_keys(wanted.size());
    std::vector<Slice> slices(wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      RowKey(space, keys[wanted[i]], &row_keys[i]);
      slices[i] = row_keys[i];
    }
    std::vector<rocksdb::PinnableSlice> values(wanted.size());
    std::vector<rocksdb::Status> statuses(wanted.size());
    db_->MultiGet({}, db_->DefaultColumnFamily(), wanted.size(), slices.data(),
                  values.data(), statuses.data());
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (statuses[i].ok()) {
        out[wanted[i]] = values[i].ToString();
      } else if (!statuses[i].IsNotFound()) {
        return Failed(statuses[i], "read");
      }
    }
    return out;
  }

  Status ScanFrom(std::string_view space, std::string_view prefix, std::string_view from,
                  const Visit& visit) override {
    // Before the iterator: what left it is in the store.
    const auto pending = WEIR_TRY(Pending());
    auto newer = Newer(pending.get(), space, prefix);
    const std::string first = std::string(prefix).append(from);
    std::erase_if(newer, [&](const PendingDelta::Row& row) { return row.key < first; });
    Range range(*this, space, prefix);
    std::string begin;
    RowKey(space, first, &begin);
    if (!Clears(pending.get(), space)) range.Iterate().Seek(begin);
    return Merge(
        range, &rocksdb::Iterator::Next, space, newer,
        [](std::string_view a, std::string_view b) { return a < b; }, visit);
  }

  Status ScanBack(std::string_view space, std::string_view prefix,
                  std::string_view before, const Visit& visit) override {
    // Before the iterator: what left it is in the store.
    const auto pending = WEIR_TRY(Pending());
    auto newer = Newer(pending.get(), space, prefix);
    const std::string bound = std::string(prefix).append(before);
    std::erase_if(newer, [&](const PendingDelta::Row& row) { return row.key >= bound; });
    std::reverse(newer.begin(), newer.end());
    Range range(*this, space, prefix);
    std::string end;
    RowKey(space, bound, &end);
    if (!Clears(pending.get(), space)) {
      rocksdb::Iterator& it = range.Iterate();
      it.SeekForPrev(end);
      if (it.Valid() && View(it.key()) == end) it.Prev();
    }
    return Merge(
        range, &rocksdb::Iterator::Prev, space, newer,
        [](std::string_view a, std::string_view b) { return a > b; }, visit);
  }

  Result<std::vector<SpaceInfo>> Spaces() override {
    WEIR_TRY(Settled());
    rocksdb::ReadOptions read;
    read.fill_cache = false;
    read.total_order_seek = true;
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(read));
    std::vector<SpaceInfo> spaces;
    for (it->Seek(std::string(1, '\1')); it->Valid(); it->Next()) {
      const std::string_view row_key = View(it->key());
      const std::string_view space = row_key.substr(0, row_key.find('\0'));
      if (spaces.empty() || spaces.back().space != space)
        spaces.push_back({std::string(space), 0, 0});
      ++spaces.back().keys;
      spaces.back().bytes += static_cast<int64_t>(row_key.size() + it->value().size());
    }
    WEIR_ROCKS(it->status(), "list spaces");
    return spaces;
  }

 private:
  // The delta that is being applied behind, by key; null: there is none.
  Result<std::shared_ptr<const PendingDelta>> Pending() const {
    Indexed indexed;
    {
      std::lock_guard lock(mutex_);
      if (!pending_.valid()) return std::shared_ptr<const PendingDelta>();
      indexed = pending_;
    }
    return indexed.get();
  }

  // What the pending delta says of the keys of a scan, in order.
  static std::vector<PendingDelta::Row> Newer(const PendingDelta* pending,
                                              std::string_view space,
                                              std::string_view prefix) {
    if (pending == nullptr) return {};
    return pending->FindAll(space, prefix);
  }
  // Whether it says all that there is in the space, so that the store is not looked at.
  static bool Clears(const PendingDelta* pending, std::string_view space) {
    return pending != nullptr && pending->Clears(space);
  }

  // The keys of RocksDB that begin with a prefix.
  class Range {
   public:
    Range(RocksStore& store, std::string_view space, std::string_view prefix)
        : store_(store), grouped_(GroupPrefix::Has(space, prefix)) {
      RowKey(space, prefix, &begin_);
    }
    ~Range() {
      if (grouped_ && taken_.iterator != nullptr)
        store_.iterators_.GiveBack(std::move(taken_));
    }
    Range(const Range&) = delete;
    Range& operator=(const Range&) = delete;

    // To be set to a key of the range. It may go on to keys behind the range: see Has.
    rocksdb::Iterator& Iterate() {
      if (grouped_) {
        taken_ = store_.iterators_.Take();
        return *taken_.iterator;
      }
      rocksdb::ReadOptions read;
      read.total_order_seek = true;
      end_ = PrefixEnd(begin_);
      lower_ = begin_;
      upper_ = end_;
      read.iterate_lower_bound = &lower_;
      if (!end_.empty()) read.iterate_upper_bound = &upper_;  // empty: there is none
      taken_.iterator.reset(store_.db_->NewIterator(read));
      return *taken_.iterator;
    }
    // Null: the store is not looked at.
    rocksdb::Iterator* iterator() const { return taken_.iterator.get(); }
    bool Has(std::string_view row_key) const { return row_key.starts_with(begin_); }

   private:
    RocksStore& store_;
    const bool grouped_;
    std::string begin_, end_;
    Slice lower_, upper_;
    ScanIterators::Taken taken_;
  };

  // Visits what the iterator gives and what is newer, both in the same order.
  Status Merge(const Range& range, void (rocksdb::Iterator::*step)(),
               std::string_view space, std::span<const PendingDelta::Row> newer,
               bool (*before)(std::string_view, std::string_view), const Visit& visit) {
    auto next = newer.begin();
    // What the pending delta says of keys before `key`; false: the visitor has enough.
    const auto visit_newer = [&](std::optional<std::string_view> key) {
      for (; next != newer.end() && (!key || before(next->key, *key)); ++next) {
        if (!next->found.erased && !visit(next->key, next->found.value)) return false;
      }
      return true;
    };
    if (rocksdb::Iterator* it = range.iterator()) {
      for (; it->Valid() && range.Has(View(it->key())); (it->*step)()) {
        const std::string_view key = View(it->key()).substr(space.size() + 1);
        if (!visit_newer(key)) return {};
        if (next != newer.end() && next->key == key) continue;
        if (!visit(key, View(it->value()))) return {};
      }
      WEIR_ROCKS(it->status(), "scan");
    }
    static_cast<void>(visit_newer(std::nullopt));
    return {};
  }

  // What RocksDB says, as ours; damage is noted.
  Error Failed(const rocksdb::Status& status, std::string_view doing) {
    Error error = ToError(status, doing);
    if (db_ != nullptr && status.IsCorruption()) NoteDamage(error.message);
    return error;
  }

  // One of our own keys.
  Result<std::optional<std::string>> Own(const std::string& key) {
    std::string value;
    const rocksdb::Status status = db_->Get({}, key, &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    WEIR_ROCKS(status, "read");
    return std::optional(std::move(value));
  }

  // Waits for it; its error.
  Status Settled() const {
    std::shared_future<Status> done;
    {
      std::lock_guard lock(mutex_);
      done = done_;
    }
    return done.valid() ? done.get() : Status();
  }

  Status ApplyNow(const Delta& delta, Epoch epoch) {
    if (epoch != Next(applied_)) {
      return Internal(fmt::format("state store: epoch {} applied after {}", epoch.value,
                                  applied_.value));
    }
    WEIR_TRY(Redo(delta, epoch));
    if (unflushed_bytes_ >= options_.write_buffer_bytes || waiting_ >= kWaitingDeltasMax)
      return FlushNow();
    if (waiting_ == 0) return RemoveDeltas([&](Epoch e) { return e <= epoch; });
    return {};
  }

  Status FlushNow() {
    rocksdb::FlushOptions flush;
    flush.wait = true;
    flush.allow_write_stall = true;
    const rocksdb::Status status = db_->Flush(flush);
    iterators_.Renew();  // and lets go of the memtable
    if (serial_ != nullptr) serial_->WaitUntilIdle();
    WEIR_ROCKS(status, "flush");
    unflushed_bytes_ = 0;
    waiting_ = 0;
    const Epoch flushed = applied_;
    return RemoveDeltas([&](Epoch epoch) { return epoch <= flushed; });
  }

  // Makes the records the store's, and the applied epoch with them. A large delta becomes
  // a table of its own: that costs a fraction of what the memtable and its flush do.
  Status Redo(const Delta& delta, Epoch epoch) {
    SortedDelta rows;
    bool clears = false;
    WEIR_TRY(delta.ForEach([&](const Delta::Record& record) -> Status {
      if (record.op != Delta::Op::kClear) {
        rows.Add(record);
        return {};
      }
      clears = true;
      WEIR_TRY(Insert(rows));
      rows.Clear();
      std::string begin;
      RowKey(record.space, record.key, &begin);
      rocksdb::WriteBatch batch;
      batch.DeleteRange(begin, PrefixEnd(begin));
      WEIR_ROCKS(db_->Write(NoWal(), &batch), "apply");
      return {};
    }));
    if (!clears && static_cast<int64_t>(delta.bytes()) >= options_.table_bytes_min) {
      WEIR_TRY(InsertAsTable(rows, epoch));
      unflushed_bytes_ = 0;
      waiting_ = 0;
    } else {
      WEIR_TRY(Insert(rows));
      rocksdb::WriteBatch batch;
      batch.Put(kFormatKey, View(kFormat));
      batch.Put(kAppliedKey, AppliedValue(epoch));
      WEIR_ROCKS(db_->Write(NoWal(), &batch), "apply");
      unflushed_bytes_ += static_cast<int64_t>(delta.bytes());
      ++waiting_;
    }
    iterators_.Renew();
    std::lock_guard lock(mutex_);
    applied_ = epoch;
    return {};
  }

  static Slice AppliedValue(const Epoch& epoch) {
    return {reinterpret_cast<const char*>(&epoch.value), sizeof epoch.value};
  }

  // A write buffer that fills between two batches leaves a part of the delta in the files
  // without its epoch: the next open redoes all of it, over the same absolute values.
  // Records go in by key, not as they come: an insertion beside the last one costs the
  // memtable a fraction of a random one.
  Status Insert(SortedDelta& rows) {
    rocksdb::WriteBatch batch;
    std::string row_key;
    WEIR_TRY(rows.ForEach([&](const SortedDelta::Row& row) -> Status {
      RowKey(row.space, row.key, &row_key);
      if (row.erased) {
        batch.Delete(row_key);
      } else {
        batch.Put(row_key, View(row.value));
      }
      if (batch.GetDataSize() < kWriteBatchBytes) return {};
      WEIR_ROCKS(db_->Write(NoWal(), &batch), "apply");
      batch.Clear();
      return {};
    }));
    WEIR_ROCKS(db_->Write(NoWal(), &batch), "apply");
    return {};
  }

  // All rows and the applied epoch in one file, which RocksDB takes over whole or not at
  // all. What the memtable holds is older and goes to its file before: the applied epoch
  // is in both, so they overlap. Afterwards all of it is durable.
  Status InsertAsTable(SortedDelta& rows, Epoch epoch) {
    rocksdb::Options rocks = RocksOptions(options_);
    rocks.env = env_.get();
    rocks.compression = rocksdb::kNoCompression;
    rocks.compression_per_level.clear();
    const std::string path =
        io::Join(dir_, fmt::format("{}{}", kTablePrefix, epoch.value));
    rocksdb::SstFileWriter table(rocksdb::EnvOptions(), rocks);
    WEIR_ROCKS(table.Open(path), "make a table");
    WEIR_ROCKS(table.Put(kAppliedKey, AppliedValue(epoch)), "make a table");
    WEIR_ROCKS(table.Put(kFormatKey, View(kFormat)), "make a table");
    std::string row_key;
    WEIR_TRY(rows.ForEach([&](const SortedDelta::Row& row) -> Status {
      RowKey(row.space, row.key, &row_key);
      WEIR_ROCKS(row.erased ? table.Delete(row_key) : table.Put(row_key, View(row.value)),
                 "make a table");
      return {};
    }));
    WEIR_ROCKS(table.Finish(), "make a table");
    rocksdb::IngestExternalFileOptions ingest;
    ingest.move_files = true;
    ingest.write_global_seqno = false;
    const rocksdb::Status taken = db_->IngestExternalFile({path}, ingest);
    if (serial_ != nullptr) serial_->WaitUntilIdle();
    WEIR_ROCKS(taken, "take over a table");
    return {};
  }

  static rocksdb::WriteOptions NoWal() {
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    return options;
  }

  Status RemoveDeltas(const std::function<bool(Epoch)>& useless) {
    for (const std::string& name : WEIR_TRY(io_.List(dir_))) {
      // RocksDB has its own name for a table that it took over.
      if (name.starts_with(kTablePrefix)) WEIR_TRY(io_.Remove(io::Join(dir_, name)));
      const auto epoch = ParseDeltaName(name);
      if (epoch && useless(*epoch)) WEIR_TRY(io_.Remove(io::Join(dir_, name)));
    }
    return {};
  }

  io::Io& io_;
  const std::string dir_;
  const StoreOptions options_;
  const std::shared_ptr<rocksdb::FileSystem> fs_;
  std::unique_ptr<rocksdb::Env> env_;
  SerialEnv* serial_ = nullptr;  // env_, when deterministic
  std::unique_ptr<rocksdb::DB> db_;
  ScanIterators iterators_;
  mutable std::mutex mutex_;
  std::shared_future<Status> done_;  // of the delta applied behind; guarded by mutex_
  // That delta, until all of it is in the store; guarded by mutex_.
  using Indexed = std::shared_future<Result<std::shared_ptr<const PendingDelta>>>;
  Indexed pending_;
  Epoch applied_;  // written under mutex_, by whoever applies; one does at a time
  int64_t unflushed_bytes_ = 0;
  int waiting_ = 0;
  std::atomic<bool> damaged_{false};
};

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(io::Io& io, const std::string& state_dir,
                                           Epoch committed, StoreOptions options) {
  const std::string dir = WEIR_TRY(PrepareOwnerDir(io, state_dir, committed, options));
  auto store = std::make_unique<RocksStore>(io, dir, options);
  WEIR_TRY(store->OpenRocks());
  WEIR_TRY(store->Recover(committed));
  RemoveEarlierOwners(io, state_dir, options);
  return std::unique_ptr<Store>(std::move(store));
}

Result<std::unique_ptr<Store>> Store::OpenCopy(
    io::Io& io, const std::string& state_dir, const std::string& copy,
    const std::function<Result<Epoch>()>& committed, StoreOptions options) {
  constexpr int kTriesMax = 20;
  options.owner = 0;
  Status failed;
  for (int i = 0; i < kTriesMax; ++i) {
    const Epoch epoch = WEIR_TRY(committed());
    failed = CopyNewestState(io, state_dir, epoch, copy);
    if (failed.ok()) {
      auto store = std::make_unique<RocksStore>(io, copy, options);
      failed = store->OpenRocks();
      if (failed.ok()) failed = store->Recover(epoch);
      if (failed.ok()) return std::unique_ptr<Store>(std::move(store));
    }
    // An epoch was committed in between.
    if (failed.error().code == Code::kNotFound && !io.Exists(state_dir)) break;
    if (WEIR_TRY(committed()) == epoch && failed.error().code != Code::kUnavailable &&
        failed.error().code != Code::kNotFound)
      break;
  }
  return std::move(failed).error();
}

Result<std::unique_ptr<Store>> Store::Reset(io::Io& io, const std::string& state_dir,
                                            Epoch committed, StoreOptions options,
                                            std::string_view why) {
  const std::string dir = WEIR_TRY(EmptyOwnerDir(io, state_dir, options));
  auto store = std::make_unique<RocksStore>(io, dir, options);
  WEIR_TRY(store->OpenRocks());
  WEIR_TRY(store->StartAt(committed, why));
  RemoveEarlierOwners(io, state_dir, options);
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace weir::state
