#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "iceberg/deletion_vector.h"
#include "iceberg/manifest_internal.h"
#include "iceberg/refs.h"
#include "io/forwarding_io.h"
#include "io/sim_io.h"

namespace weir::iceberg {
namespace {

using data::Kind;
using data::Simple;
using testing::HasSubstr;

constexpr Micros kNow = 1'700'000'000'000'000;
constexpr Micros kSecond = 1'000'000;
const std::string kFolder = "/w/db/t";

Metadata Table(int format_version, bool partitioned) {
  NewTable table;
  table.location = UriOf(kFolder);
  table.format_version = format_version;
  table.schema.fields = {{"id", Simple(Kind::kInt64), true}, {"d", Simple(Kind::kDate)}};
  if (partitioned) table.partition = {{2, 0, "", {TransformKind::kIdentity, 0}}};
  return MakeMetadata(table, kNow);
}

// Counts what is opened for reading.
class CountingIo final : public io::ForwardingIo {
 public:
  using ForwardingIo::ForwardingIo;
  Result<std::unique_ptr<io::File>> Open(const std::string& path,
                                         io::OpenMode mode) override {
    if (mode == io::OpenMode::kRead) read.push_back(path);
    return ForwardingIo::Open(path, mode);
  }

  std::vector<std::string> read;
};

template <class T>
T Must(Result<T> result) {
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return *std::move(result);
}

class StageTest : public testing::Test {
 protected:
  void Start(int format_version, bool partitioned) {
    ASSERT_TRUE(io_.CreateDirs(kFolder + "/data").ok());
    metadata_ = Table(format_version, partitioned);
  }

  DataFile NewFile(int64_t rows, int day = 0) {
    DataFile file;
    const std::string path = fmt::format("{}/data/{:05}.parquet", kFolder, files_++);
    EXPECT_TRUE(io_.WriteNew(path, "rows").ok());
    file.path = UriOf(path);
    file.record_count = rows;
    file.file_bytes = 4;
    if (!metadata_.spec().fields.empty()) file.partition = {int32_t{day}};
    return file;
  }

  DataFile NewVector(const DataFile& file, const Positions& positions) {
    const std::string path = fmt::format("{}/data/{:05}.puffin", kFolder, files_++);
    return Must(WriteVectors(io_, path, {{&file, &positions}}))[0];
  }

  Result<Staged> TryStage(const FileChange& change) {
    now_ += kSecond;
    return Stage(io_, "db.t", metadata_, location_, change, now_, options_);
  }

  void Commit(const FileChange& change) {
    Staged staged = Must(TryStage(change));
    for (const std::string& uri : staged.obsolete) {
      const Status removed = io_.Remove(Must(PathOf(uri)));
      EXPECT_TRUE(removed.ok()) << uri << ": " << removed.error().message;
    }
    metadata_ = std::move(staged.metadata);
    location_ = staged.metadata_location;
  }

  std::vector<ManifestFile> Manifests() {
    return Must(ReadManifestList(io_, metadata_.current()->manifest_list));
  }
  std::vector<LiveFile> Live() {
    return Must(LiveFiles(io_, metadata_, *metadata_.current()));
  }
  int64_t Total(const char* key) {
    return std::stoll(metadata_.current()->summary.at(key));
  }

  // Every file some remaining snapshot or the metadata log names.
  std::set<std::string> Reachable() {
    std::set<std::string> out = {Must(PathOf(location_))};
    for (const auto& entry : metadata_.metadata_log) out.insert(Must(PathOf(entry.file)));
    for (const Snapshot& snapshot : metadata_.snapshots) {
      out.insert(Must(PathOf(snapshot.manifest_list)));
      for (const ManifestFile& manifest :
           Must(ReadManifestList(io_, snapshot.manifest_list))) {
        out.insert(Must(PathOf(manifest.path)));
        for (const ManifestEntry& entry : Must(ReadManifest(io_, metadata_, manifest))) {
          if (entry.is_live()) out.insert(Must(PathOf(entry.file.path)));
        }
      }
    }
    return out;
  }
  std::set<std::string> OnDisk() {
    std::set<std::string> out;
    for (const char* folder : {"/data", "/metadata"}) {
      for (const std::string& name : Must(io_.List(kFolder + folder)))
        out.insert(kFolder + folder + "/" + name);
    }
    return out;
  }

  // While one bit of a file is wrong, `found` is an error or still the right number.
  template <class F>
  void FlipBit(const std::string& path, uint64_t bit, size_t want, const F& found) {
    ASSERT_TRUE(io_.FlipBit(path, bit / 8, static_cast<int>(bit % 8)).ok());
    const Result<size_t> read = found();
    if (read.ok()) {
      EXPECT_EQ(*read, want)
          << "bit " << bit % 8 << " of byte " << bit / 8 << " of " << path << ": "
          << Must(io_.ReadAll(path)).substr(bit / 8 < 30 ? 0 : bit / 8 - 30, 60);
    }
    ASSERT_TRUE(io_.FlipBit(path, bit / 8, static_cast<int>(bit % 8)).ok());
  }

  io::SimIo io_;
  Metadata metadata_;
  std::string location_;
  MaintenanceOptions options_;
  Micros now_ = kNow;
  int files_ = 0;
};

TEST_F(StageTest, AppendsCarryTotalsAndOrder) {
  Start(2, false);
  for (int i = 0; i < 5; ++i)
    Commit({.added = {NewFile(10 + i)}, .summary = {{"weir.epoch", std::to_string(i)}}});
  EXPECT_EQ(metadata_.current()->summary.at("operation"), "append");
  EXPECT_EQ(metadata_.current()->summary.at("weir.epoch"), "4");
  EXPECT_EQ(Total("total-records"), 60);
  EXPECT_EQ(Total("total-data-files"), 5);
  EXPECT_EQ(Total("total-files-size"), 20);
  EXPECT_EQ(metadata_.last_sequence_number, 5);
  EXPECT_EQ(metadata_.snapshot_log.size(), 5u);
  const std::vector<LiveFile> live = Live();
  ASSERT_EQ(live.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(live[i].data.record_count, static_cast<int64_t>(10 + i));
    EXPECT_EQ(live[i].data.data_sequence_number, static_cast<int64_t>(i + 1));
    EXPECT_EQ(live[i].data.added_by, metadata_.snapshots[i].id);
  }
}

TEST_F(StageTest, APlainAppendReadsNoManifest) {
  Start(3, false);
  options_.manifests_min_to_merge = 1000;
  for (int i = 0; i < 30; ++i) Commit({.added = {NewFile(1)}});
  CountingIo counting(io_);
  ASSERT_TRUE(Stage(counting, "db.t", metadata_, location_, {.added = {NewFile(1)}}, now_,
                    options_)
                  .ok());
  EXPECT_EQ(counting.read,
            std::vector<std::string>{Must(PathOf(metadata_.current()->manifest_list))});
}

TEST_F(StageTest, ManifestsAndRewritesGrowWithTheLogarithm) {
  Start(2, false);
  options_.manifests_min_to_merge = 4;
  int64_t created = 0;
  for (int i = 0; i < 256; ++i) {
    Commit({.added = {NewFile(1)}});
    created += Total("manifests-created");
    ASSERT_LE(Manifests().size(), 3u * 4 + 1) << i;
    ASSERT_EQ(Live().size(), static_cast<size_t>(i + 1));
    ASSERT_EQ(Live().front().data.data_sequence_number, 1);  // append order is kept
    ASSERT_EQ(Live().back().data.data_sequence_number, i + 1);
  }
  EXPECT_EQ(created, 256);
  EXPECT_EQ(Manifests().size(), 1u);
}

TEST_F(StageTest, BigManifestsAreNotMergedFurther) {
  Start(2, false);
  options_.manifests_min_to_merge = 2;
  options_.manifest_bytes_target = 1;
  for (int i = 0; i < 10; ++i) Commit({.added = {NewFile(1)}});
  EXPECT_EQ(Manifests().size(), 10u);
}

// The example of the specification's chapter on row lineage, as far as manifests go.
TEST_F(StageTest, RowIdsAreWrittenOutAndNeverGivenTwice) {
  Start(3, false);
  options_.manifests_min_to_merge = 3;
  std::map<std::string, int64_t> first;  // once given, an id stays
  std::mt19937 random(3);
  for (int i = 0; i < 40; ++i) {
    const int64_t before = metadata_.next_row_id;
    FileChange change = {.added = {NewFile(1 + random() % 5), NewFile(1 + random() % 5)}};
    if (i % 4 == 3) {
      change.operation = "overwrite";
      change.removed = {Live()[random() % 3].data.path};
    }
    Commit(change);
    EXPECT_EQ(metadata_.current()->first_row_id, before);
    EXPECT_EQ(metadata_.current()->added_rows, metadata_.next_row_id - before);
    for (const ManifestFile& manifest : Manifests()) {
      ASSERT_TRUE(manifest.first_row_id.has_value());
      if (manifest.added_by == metadata_.current()->id) {
        EXPECT_GE(*manifest.first_row_id, before);
      }
      ManifestFile bare = manifest;
      bare.first_row_id
          .reset();  // without it nothing is inherited: what is there was written out
      for (const ManifestEntry& entry : Must(ReadManifest(io_, metadata_, bare)))
        ASSERT_TRUE(entry.file.first_row_id.has_value());
    }
    std::map<int64_t, int64_t> ranges;
    for (const LiveFile& live : Live()) {
      const int64_t id = *live.data.first_row_id;
      EXPECT_EQ(first.emplace(live.data.path, id).first->second, id);
      EXPECT_TRUE(ranges.emplace(id, id + live.data.record_count).second);
      EXPECT_LE(id + live.data.record_count, metadata_.next_row_id);
    }
    int64_t end = 0;
    for (const auto& [from, to] : ranges) {
      EXPECT_GE(from, end);
      end = to;
    }
  }
}

TEST_F(StageTest, UpgradedTablesGetRowIds) {
  Start(2, false);
  options_.manifests_min_to_merge = 3;
  for (int i = 0; i < 2; ++i) Commit({.added = {NewFile(10)}});
  metadata_.format_version = 3;
  for (int i = 0; i < 2;
       ++i) {  // the first keeps the old manifests, the second merges them
    Commit({.added = {NewFile(10)}});
    std::set<int64_t> ids;
    for (const LiveFile& live : Live()) ids.insert(*live.data.first_row_id);
    EXPECT_EQ(ids.size(), Live().size());
    EXPECT_LT(*ids.rbegin(), metadata_.next_row_id);
  }
}

TEST_F(StageTest, ANewVectorReplacesTheOneBeforeIt) {
  Start(3, true);
  const DataFile a = NewFile(10, 1), b = NewFile(10, 2);
  Commit({.added = {a, b}});
  Positions positions;
  for (int64_t i = 0; i < 5; ++i) {
    positions.Add(i);
    Commit({.operation = "delete", .vectors = {NewVector(a, positions)}});
    const std::vector<LiveFile> live = Live();
    ASSERT_TRUE(live[0].vector.has_value());
    EXPECT_EQ(live[0].vector->record_count, i + 1);
    EXPECT_EQ(live[0].vector->data_sequence_number, metadata_.last_sequence_number);
    EXPECT_FALSE(live[1].vector.has_value());
    EXPECT_EQ(Total("total-position-deletes"), i + 1);
    EXPECT_EQ(Total("total-delete-files"), 1);
    EXPECT_EQ(Manifests().size(),
              2u);  // the vectors' manifest is rewritten, not piled up
    if (i > 0) {
      EXPECT_EQ(Total("removed-dvs"), 1);
      EXPECT_EQ(Manifests()[1].deleted_files, 1);
    }
  }
  Commit({.operation = "delete", .removed = {a.path}});
  EXPECT_EQ(Total("total-position-deletes"), 0);
  EXPECT_EQ(Total("total-records"), 10);
  EXPECT_EQ(Live().size(), 1u);
}

TEST_F(StageTest, OnlyManifestsOfTouchedPartitionsAreReadForVectors) {
  Start(3, true);
  options_.manifests_min_to_merge = 100;
  std::vector<DataFile> files;
  for (int day = 0; day < 10; ++day) {
    files.push_back(NewFile(10, day));
    Positions positions;
    positions.Add(1);
    Commit({.operation = "overwrite",
            .added = {files.back()},
            .vectors = {NewVector(files.back(), positions)}});
  }
  Positions positions;
  positions.Add(1);
  positions.Add(2);
  const FileChange change = {.operation = "delete",
                             .vectors = {NewVector(files[4], positions)}};
  CountingIo counting(io_);
  ASSERT_TRUE(Stage(counting, "db.t", metadata_, location_, change, now_, options_).ok());
  EXPECT_EQ(counting.read.size(), 2u);  // the list and one delete manifest of ten
}

struct RefusedCase {
  const char* name;
  std::function<FileChange(const DataFile& live, const DataFile& fresh,
                           const DataFile& vector)>
      change;
  Code code;
};
TEST_F(StageTest, RefusesChangesThatCannotBeTrue) {
  const RefusedCase cases[] = {
      {"nothing", [](auto&, auto&, auto&) { return FileChange{}; }, Code::kInvalid},
      {"unknown operation",
       [](auto&, auto& fresh, auto&) {
         return FileChange{.operation = "merge", .added = {fresh}};
       },
       Code::kInvalid},
      {"added twice",
       [](auto&, auto& fresh, auto&) {
         return FileChange{.added = {fresh, fresh}};
       },
       Code::kInvalid},
      {"removed by an append",
       [](auto& live, auto&, auto&) { return FileChange{.removed = {live.path}}; },
       Code::kInvalid},
      {"removed but not there",
       [](auto&, auto& fresh, auto&) {
         return FileChange{.operation = "delete", .removed = {fresh.path}};
       },
       Code::kConflict},
      {"removed twice",
       [](auto& live, auto&, auto&) {
         return FileChange{.operation = "delete", .removed = {live.path, live.path}};
       },
       Code::kInvalid},
      {"vector of a removed file",
       [](auto& live, auto&, auto& vector) {
         return FileChange{
             .operation = "delete", .removed = {live.path}, .vectors = {vector}};
       },
       Code::kInvalid},
      {"two vectors of one file",
       [](auto&, auto&, auto& vector) {
         return FileChange{.operation = "delete", .vectors = {vector, vector}};
       },
       Code::kInvalid},
      {"vector that forgets",
       [](auto&, auto&, auto& vector) {
         DataFile smaller = vector;
         smaller.record_count = 1;
         return FileChange{.operation = "delete", .vectors = {smaller}};
       },
       Code::kInvalid},
      {"vector as data",
       [](auto&, auto&, auto& vector) { return FileChange{.added = {vector}}; },
       Code::kInvalid},
      {"unknown spec",
       [](auto&, auto& fresh, auto&) {
         DataFile file = fresh;
         file.spec_id = 9;
         return FileChange{.added = {file}};
       },
       Code::kInvalid},
      {"partition of another type",
       [](auto&, auto& fresh, auto&) {
         DataFile file = fresh;
         file.partition = {int64_t{3}};
         return FileChange{.added = {file}};
       },
       Code::kInvalid},
      {"partition missing",
       [](auto&, auto& fresh, auto&) {
         DataFile file = fresh;
         file.partition = {};
         return FileChange{.added = {file}};
       },
       Code::kInvalid},
  };
  Start(3, true);
  const DataFile live = NewFile(10, 1), fresh = NewFile(10, 2);
  Positions positions;
  positions.Add(1);
  positions.Add(2);
  const DataFile vector = NewVector(live, positions);
  Commit({.operation = "overwrite", .added = {live}, .vectors = {vector}});
  const std::set<std::string> before = OnDisk();
  for (const RefusedCase& c : cases) {
    const Result<Staged> staged = TryStage(c.change(live, fresh, vector));
    ASSERT_FALSE(staged.ok()) << c.name;
    EXPECT_EQ(staged.error().code, c.code) << c.name << ": " << staged.error().message;
    EXPECT_EQ(OnDisk(), before) << c.name << " left files behind";
  }
}

TEST_F(StageTest, VectorsNeedVersionThree) {
  Start(2, false);
  const DataFile file = NewFile(10);
  Commit({.added = {file}});
  Positions positions;
  positions.Add(1);
  EXPECT_EQ(TryStage({.operation = "delete", .vectors = {NewVector(file, positions)}})
                .error()
                .code,
            Code::kInvalid);
}

TEST_F(StageTest, AFullDiskLeavesNothingBehind) {
  Start(3, false);
  Commit({.added = {NewFile(10)}});
  const DataFile file = NewFile(10);
  const std::set<std::string> before = OnDisk();
  for (uint64_t room = 0;; room += 500) {
    uint64_t used = 0;
    for (const std::string& path : before) used += io_.Stat(path)->size;
    io_.SetFaults({.disk_bytes_max = used + room});
    const Result<Staged> staged = TryStage({.added = {file}});
    if (staged.ok()) break;
    ASSERT_EQ(staged.error().code, Code::kUnavailable);
    ASSERT_EQ(OnDisk(), before);
  }
}

TEST_F(StageTest, WhatIsStagedSurvivesAPowerCutAndHalfAStageHarmsNothing) {
  Start(3, false);
  const DataFile file = NewFile(10);
  Positions positions;
  positions.Add(3);
  for (uint64_t cut = 0;; ++cut) {
    io_.PowerOn(cut, io::AfterCut::kDropUnsynced);
    location_.clear();
    metadata_ = Table(3, false);
    metadata_.location = UriOf(fmt::format("{}{}", kFolder, cut));
    Commit({.added = {file}});
    ASSERT_TRUE(io_.SyncDir(kFolder + "/data").ok());
    const DataFile vector = NewVector(file, positions);
    const Metadata base = metadata_;
    io_.SetFaults({.cut_power_after = cut});
    const Result<Staged> staged =
        TryStage({.operation = "overwrite", .added = {}, .vectors = {vector}});
    io_.PowerOn(cut, io::AfterCut::kDropUnsynced);
    EXPECT_EQ(Must(LiveFiles(io_, base, *base.current())).size(), 1u);
    if (!staged.ok()) continue;
    const Metadata back =
        Must(ParseMetadata(Must(io_.ReadAll(Must(PathOf(staged->metadata_location))))));
    EXPECT_TRUE(Must(LiveFiles(io_, back, *back.current()))[0].vector.has_value());
    EXPECT_GT(cut, 5u);
    break;
  }
}

// What a killed process staged and never committed stays where it is; whoever stages from
// the same base next writes files of other names.
TEST_F(StageTest, HalfAStageIsNotInTheWayOfTheNextOne) {
  Start(3, false);
  const DataFile first = NewFile(10), second = NewFile(20);
  bool whole = false;
  for (uint64_t cut = 0; !whole; ++cut) {
    location_.clear();
    metadata_ = Table(3, false);
    metadata_.location = UriOf(fmt::format("{}{}", kFolder, cut));
    Commit({.added = {first}});
    io_.SetFaults({.cut_power_after = cut});
    whole = TryStage({.added = {second}}).ok();
    io_.PowerOn(cut, io::AfterCut::kKeepAll);
    const Result<Staged> again = TryStage({.added = {second}});
    ASSERT_TRUE(again.ok()) << "cut after " << cut << ": " << again.error().message;
    EXPECT_EQ(Must(LiveFiles(io_, again->metadata, *again->metadata.current())).size(),
              2u);
    EXPECT_FALSE(whole && cut < 5);
  }
}

// Metadata, manifest list and manifests have no checksums: whatever single bit is wrong,
// no file may be missed or read twice without a word. One bit of each byte;
// WEIR_ALL_BITS=1 takes all.
TEST_F(StageTest, AFlippedBitHidesNoFile) {
  Start(3, false);
  Commit({.added = {NewFile(10)}});
  Commit({.added = {NewFile(20), NewFile(30)}});
  const size_t files = Live().size();
  ASSERT_EQ(files, 3u);
  const auto found = [&]() -> Result<size_t> {
    const Metadata metadata =
        WEIR_TRY(ParseMetadata(WEIR_TRY(io_.ReadAll(WEIR_TRY(PathOf(location_))))));
    if (metadata.current() == nullptr) return size_t{0};
    return WEIR_TRY(LiveFiles(io_, metadata, *metadata.current())).size();
  };
  std::vector<std::string> paths = {Must(PathOf(location_)),
                                    Must(PathOf(metadata_.current()->manifest_list))};
  for (const ManifestFile& manifest : Manifests())
    paths.push_back(Must(PathOf(manifest.path)));
  const bool all = std::getenv("WEIR_ALL_BITS") != nullptr;
  for (const std::string& path : paths) {
    const uint64_t size = Must(io_.Stat(path)).size;
    for (uint64_t bit = all ? 0 : 6; bit < 8 * size; bit += all ? 1 : 8)
      FlipBit(path, bit, files, found);
  }
}

// Other engines may count nothing in the summary. The schema in the header of a list or a
// manifest is not compressed: a bit of it that is wrong may not turn fields into absent
// ones, which would leave out every file.
TEST_F(StageTest, AFlippedBitInASchemaHidesNoFileOfAnotherEngine) {
  Start(3, false);
  Commit({.added = {NewFile(10)}});
  Commit({.added = {NewFile(20), NewFile(30)}});
  Snapshot foreign = *metadata_.current();
  foreign.summary = {{"operation", "append"}, {"engine-name", "another"}};
  const auto found = [&]() -> Result<size_t> {
    return WEIR_TRY(LiveFiles(io_, metadata_, foreign)).size();
  };
  ASSERT_EQ(Must(found()), 3u);
  std::vector<std::string> paths = {Must(PathOf(foreign.manifest_list))};
  for (const ManifestFile& manifest : Manifests())
    paths.push_back(Must(PathOf(manifest.path)));
  for (const std::string& path : paths) {
    const std::string text = Must(io_.ReadAll(path));
    const size_t begin = text.find("avro.schema"), end = text.find("avro.codec");
    ASSERT_LT(begin, text.size());
    for (uint64_t bit = 8 * begin + 6; bit < 8 * (end < begin ? text.size() : end);
         bit += 8)
      FlipBit(path, bit, 3, found);
  }
}

// Where our own engine counted, a list that leaves out an entry is told by the count.
TEST_F(StageTest, ASnapshotThatCountsOtherFilesThanItsManifestsHoldIsNamed) {
  Start(3, false);
  const DataFile file = NewFile(10);
  Positions positions;
  positions.Add(3);
  Commit({.added = {file, NewFile(20)}});
  Commit(
      {.operation = "overwrite", .added = {}, .vectors = {NewVector(file, positions)}});
  for (const char* total : {"total-data-files", "total-delete-files"}) {
    Snapshot snapshot = *metadata_.current();
    snapshot.summary[total] = "7";
    const auto read = LiveFiles(io_, metadata_, snapshot);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, Code::kCorrupt);
    EXPECT_THAT(read.error().message, testing::HasSubstr(total));
    snapshot.summary["engine-name"] = "another";
    EXPECT_EQ(Must(LiveFiles(io_, metadata_, snapshot)).size(), 2u);
  }
}

TEST_F(StageTest, AnOlderClockDoesNotTurnTheLogAround) {
  Start(2, false);
  Commit({.added = {NewFile(1)}});
  now_ -= 1000 * kSecond;
  Commit({.added = {NewFile(1)}});
  EXPECT_GE(metadata_.snapshots[1].timestamp, metadata_.snapshots[0].timestamp);
  EXPECT_EQ(metadata_.last_updated, metadata_.snapshots[1].timestamp);
}

TEST_F(StageTest, SnapshotsExpireOnlyWhenTheyAreManyAndOldAndUnwanted) {
  Start(2, false);
  options_ = {.snapshots_max = 3, .snapshot_age_min = 6 * kSecond};
  for (int i = 0; i < 6; ++i) Commit({.added = {NewFile(1)}});
  EXPECT_EQ(metadata_.snapshots.size(), 6u);  // beyond three, but young
  const SnapshotId kept = metadata_.snapshots[1].id, tagged = metadata_.snapshots[2].id;
  options_.keep = {kept};
  metadata_.refs_json =
      fmt::format(R"({{"tag":{{"type":"tag","snapshot-id":{}}}}})", tagged.value);
  for (int i = 0; i < 6; ++i) Commit({.added = {NewFile(1)}});
  EXPECT_NE(metadata_.Find(kept), nullptr);
  EXPECT_NE(metadata_.Find(tagged), nullptr);
  EXPECT_EQ(metadata_.snapshots.size(), 2u + 7u);
  EXPECT_EQ(metadata_.snapshot_log.size(), 7u);  // no gap in it
  options_.snapshot_age_min = 0;
  options_.keep.clear();
  Commit({.added = {NewFile(1)}});
  EXPECT_EQ(metadata_.Find(kept), nullptr);
  EXPECT_EQ(metadata_.snapshots.size(), 1u + 3u);
  EXPECT_EQ(Reachable(), OnDisk());
}

TEST_F(StageTest, ATagKeepsItsVersionUntilItIsTooOldForIt) {
  Start(2, false);
  options_ = {.snapshots_max = 2, .snapshot_age_min = 0};
  Commit({.added = {NewFile(1)}});
  const SnapshotId first = metadata_.current()->id;
  for (const auto& [name, age] :
       {std::pair<const char*, std::optional<Micros>>("always", std::nullopt),
        {"a while", 10 * kSecond}}) {
    metadata_ = Must(
        WithTag("db.t", metadata_, {name, first, true, age}, IfTagExists::kRefuse, now_));
  }
  for (int i = 0; i < 9; ++i) Commit({.added = {NewFile(1)}});
  EXPECT_EQ(RefsOf(metadata_).size(), 2u);
  for (int i = 0; i < 5; ++i) Commit({.added = {NewFile(1)}});
  ASSERT_EQ(RefsOf(metadata_).size(), 1u);
  EXPECT_EQ(RefsOf(metadata_)[0].name, "always");
  EXPECT_NE(metadata_.Find(first), nullptr);
  EXPECT_EQ(LiveFiles(io_, metadata_, *metadata_.Find(first))->size(), 1u);
  metadata_ = Must(WithoutTag("db.t", metadata_, "always"));
  Commit({.added = {NewFile(1)}});
  EXPECT_EQ(metadata_.Find(first), nullptr);
  EXPECT_EQ(Reachable(), OnDisk());
}

TEST_F(StageTest, ATagThatCannotBeIsRefusedWithTheReason) {
  Start(2, false);
  Commit({.added = {NewFile(1)}});
  const SnapshotId first = metadata_.current()->id;
  const auto refused = [&](const Ref& tag) {
    const auto tagged =
        WithTag("db.t", metadata_, tag, IfTagExists::kRefuse, now_ + kSecond);
    return tagged.ok() ? "it is one" : tagged.error().message;
  };
  metadata_.refs_json = fmt::format(
      R"({{"may":{{"type":"tag","snapshot-id":{0}}},"dev":{{"snapshot-id":{0}}}}})",
      first.value);
  EXPECT_THAT(refused({"may", first}), HasSubstr("db.t has a tag 'may' already, of "
                                                 "version 1"));
  EXPECT_THAT(refused({"dev", first}), HasSubstr("db.t has a branch 'dev'"));
  EXPECT_THAT(refused({"main", first}), HasSubstr("main is the branch"));
  EXPECT_THAT(refused({"", first}), HasSubstr("1 to 255 bytes"));
  EXPECT_THAT(refused({"a\nb", first}), HasSubstr("no control characters"));
  EXPECT_THAT(refused({"june", first, true, kSecond / 2}),
              HasSubstr("keep it for longer"));
  EXPECT_EQ(refused({"june", first, true, 2 * kSecond}), "it is one");
}

// Random changes with random expiry: rows and totals are right, and the disk holds
// exactly what somebody can still reach.
TEST_F(StageTest, ObsoleteFilesAreExactlyThoseNobodyReaches) {
  const unsigned seed = std::random_device()();
  std::mt19937 random(seed);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  for (int round = 0; round < 6; ++round) {
    io_.PowerOn(seed, io::AfterCut::kDropUnsynced);
    for (const char* folder : {"/data", "/metadata"}) {
      const auto names = io_.List(kFolder + folder);
      for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
        ASSERT_TRUE(io_.Remove(kFolder + folder + "/" + name).ok());
      }
    }
    location_.clear();
    Start(3, round % 2 == 1);
    std::map<std::string, std::pair<DataFile, Positions>> model;
    for (int i = 0; i < 60; ++i) {
      options_ = {.manifests_min_to_merge = static_cast<int>(2 + random() % 4),
                  .snapshots_max = static_cast<int>(1 + random() % 8),
                  .snapshot_age_min = 0,
                  .metadata_files_max = static_cast<int>(1 + random() % 4)};
      for (const Snapshot& snapshot : metadata_.snapshots) {
        if (random() % 5 == 0) options_.keep.push_back(snapshot.id);
      }
      FileChange change{.operation = "overwrite"};
      std::vector<std::string> paths;
      for (const auto& [path, file] : model) paths.push_back(path);
      std::shuffle(paths.begin(), paths.end(), random);
      for (size_t n = random() % 3; n > 0 && !paths.empty(); --n, paths.pop_back()) {
        if (random() % 3 != 0) continue;
        change.removed.push_back(paths.back());
        model.erase(paths.back());
      }
      std::vector<VectorToWrite> vectors;  // several in one Puffin file
      for (size_t n = random() % 4; n > 0 && !paths.empty(); --n, paths.pop_back()) {
        auto& [file, positions] = model.at(paths.back());
        positions.Add(static_cast<int64_t>(random() % 100));
        vectors.push_back({&file, &positions});
      }
      if (!vectors.empty()) {
        change.vectors = Must(WriteVectors(
            io_, fmt::format("{}/data/{:05}.puffin", kFolder, files_++), vectors));
      }
      for (size_t n = random() % 3 + (change.removed.empty() && vectors.empty()); n > 0;
           --n) {
        change.added.push_back(NewFile(100, static_cast<int>(random() % 3)));
        model[change.added.back().path] = {change.added.back(), Positions()};
      }
      if (change.added.empty() && change.removed.empty() && change.vectors.empty())
        continue;
      Commit(change);

      const std::vector<LiveFile> live = Live();
      int64_t deleted = 0;
      ASSERT_EQ(live.size(), model.size());
      for (const LiveFile& file : live) {
        const Positions& expected = model.at(file.data.path).second;
        deleted += expected.size();
        ASSERT_EQ(file.vector.has_value(), expected.size() > 0);
        if (file.vector) {
          ASSERT_EQ(Must(ReadVector(io_, *file.vector)).ToVector(), expected.ToVector());
        }
      }
      ASSERT_EQ(Total("total-records"), static_cast<int64_t>(100 * model.size()));
      ASSERT_EQ(Total("total-position-deletes"), deleted);
      ASSERT_EQ(Reachable(), OnDisk()) << "round " << round << ", commit " << i;
    }
  }
}

TEST_F(StageTest, MetadataAloneCanBeStaged) {
  Start(3, false);
  const Staged created = Must(StageMetadata(io_, "db.t", metadata_, "", now_));
  EXPECT_THAT(created.metadata_location, testing::HasSubstr("/metadata/00000-"));
  EXPECT_TRUE(created.metadata.metadata_log.empty());
  metadata_ =
      Must(ParseMetadata(Must(io_.ReadAll(Must(PathOf(created.metadata_location))))));
  location_ = created.metadata_location;
  Commit({.added = {NewFile(1)}});
  EXPECT_THAT(location_, testing::HasSubstr("/metadata/00001-"));

  data::Schema wanted = metadata_.schema();
  wanted.fields.push_back({"more", Simple(Kind::kString)});
  const Staged changed = Must(
      StageMetadata(io_, "db.t", Must(WithSchema(metadata_, wanted)), location_, now_));
  EXPECT_EQ(changed.base_location, location_);
  EXPECT_EQ(changed.metadata.metadata_log.size(), 2u);
  EXPECT_EQ(changed.metadata.current_snapshot, metadata_.current_snapshot);
  metadata_ = changed.metadata;
  location_ = changed.metadata_location;
  Commit({.added = {NewFile(1)}});
  EXPECT_EQ(metadata_.current()->schema_id, 1);
}

TEST_F(StageTest, ANewTableWithoutRowsIsOnlyMetadata) {
  Start(2, false);
  const Staged staged = Must(TryStage({}));
  EXPECT_TRUE(staged.metadata.snapshots.empty());
}

}  // namespace
}  // namespace weir::iceberg
