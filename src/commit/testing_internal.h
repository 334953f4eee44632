// A data directory with hand-made tables, for tests of commits and of what survives them.
// Data files hold a few bytes of text.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commit/committer.h"
#include "iceberg/deletion_vector.h"
#include "iceberg/table.h"
#include "io/io.h"

namespace weir::commit {

inline constexpr Micros kTestNow = 1'700'000'000'000'000;

template <class T>
T Must(Result<T> result) {
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return *std::move(result);
}
inline void Must(Status status) {
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
}

class Lake {
 public:
  Lake(io::Io& io, Clock& clock, std::string dir)
      : io_(io), clock_(clock), dir_(std::move(dir)) {}

  Status Open(bool wait_for_lease = false) {
    committer_.reset();
    CommitterOptions options;
    options.wait_for_lease = wait_for_lease;
    options.store.deterministic = true;
    options.store.write_buffer_bytes = 1 << 16;
    options.store.block_cache_bytes = 1 << 16;
    committer_ = WEIR_TRY(Committer::Open(io_, clock_, dir_, options));
    return {};
  }
  void Close() { committer_.reset(); }
  Committer& committer() { return *committer_; }
  io::Io& io() { return io_; }
  const std::string& dir() const { return dir_; }

  // The metadata of a table; one that does not exist yet is empty, with columns id and
  // day.
  Result<iceberg::Metadata> Load(const std::string& table, int format_version = 2) {
    const auto found = WEIR_TRY(committer_->catalog().Find(table));
    if (found) return iceberg::ReadMetadata(io_, found->metadata_location);
    iceberg::NewTable fresh;
    std::string place = table;  // namespace/table
    std::replace(place.begin(), place.end(), '.', '/');
    fresh.location = iceberg::UriOf(io::Join(WarehouseDir(dir_), place));
    fresh.format_version = format_version;
    fresh.schema.fields = {{"id", data::Simple(data::Kind::kInt64), true},
                           {"day", data::Simple(data::Kind::kDate)}};
    fresh.partition = {{2, 0, "", {iceberg::TransformKind::kIdentity, 0}}};
    fresh.properties["write.metadata.delete-after-commit.enabled"] = "true";
    return iceberg::MakeMetadata(fresh, kTestNow);
  }

  // A data file of `rows` rows that says `text`.
  Result<iceberg::DataFile> WriteFile(const iceberg::Metadata& metadata,
                                      const std::string& text, int64_t rows = 10) {
    const std::string dir = WEIR_TRY(iceberg::PathOf(metadata.location)) + "/data";
    WEIR_TRY(io_.CreateDirs(dir));
    iceberg::DataFile file;
    const std::string path = io::Join(dir, iceberg::NewUuid() + ".parquet");
    WEIR_TRY(io_.WriteNew(path, text));
    WEIR_TRY(io_.SyncDir(dir));
    file.path = iceberg::UriOf(path);
    file.record_count = rows;
    file.file_bytes = static_cast<int64_t>(text.size());
    file.partition = {int32_t{7}};
    return file;
  }

  Result<iceberg::Staged> StageFiles(const std::string& table,
                                     const iceberg::Metadata& metadata,
                                     const iceberg::FileChange& change,
                                     const iceberg::MaintenanceOptions& options = {}) {
    const auto found = WEIR_TRY(committer_->catalog().Find(table));
    return iceberg::Stage(io_, table, metadata, found ? found->metadata_location : "",
                          change, clock_.Now(), options);
  }

  // Appends one file to the table.
  Result<iceberg::Staged> StageAppend(const std::string& table, const std::string& text) {
    const iceberg::Metadata metadata = WEIR_TRY(Load(table));
    iceberg::FileChange change;
    change.added = {WEIR_TRY(WriteFile(metadata, text))};
    return StageFiles(table, metadata, change);
  }

  Status Commit(std::vector<iceberg::Staged> tables, const state::Delta& delta = {},
                const std::string& frontier = "f") {
    EpochCommit commit;
    commit.lane = "live";
    commit.frontier = frontier;
    commit.tables = std::move(tables);
    state::Delta own = delta;
    commit.delta = &own;
    commit.ledger["s"] = frontier;
    return committer_->Commit(commit);
  }

  // What the files of the table's current snapshot say, in order; nothing for a table
  // that does not exist.
  Result<std::string> Text(const std::string& table) {
    const iceberg::Metadata metadata = WEIR_TRY(Load(table));
    std::string out;
    if (metadata.current() == nullptr) return out;
    for (const iceberg::LiveFile& file :
         WEIR_TRY(iceberg::LiveFiles(io_, metadata, *metadata.current()))) {
      out += (out.empty() ? "" : " ") +
             WEIR_TRY(io_.ReadAll(WEIR_TRY(iceberg::PathOf(file.data.path))));
    }
    return out;
  }

  std::string State(const std::string& key) {
    const std::string_view keys[] = {key};
    const auto found = committer_->store().GetMany("s", keys);
    return found.ok() ? (*found)[0].value_or("") : found.error().message;
  }

  std::string Query(const std::string& sql) {
    std::string out;
    for (const iceberg::SqlRow& row : Must(committer_->catalog().Sql(sql))) {
      for (const iceberg::SqlValue& value : row) {
        if (!out.empty()) out += " ";
        if (const auto* number = std::get_if<int64_t>(&value))
          out += std::to_string(*number);
        if (const auto* text = std::get_if<std::string>(&value)) out += *text;
      }
    }
    return out;
  }

 private:
  io::Io& io_;
  Clock& clock_;
  const std::string dir_;
  std::unique_ptr<Committer> committer_;
};

}  // namespace weir::commit
