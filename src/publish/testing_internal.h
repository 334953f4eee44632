// A table on disk for tests of the writers: epochs are staged and committed without a
// catalog, state goes through a real store.
#pragma once

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "data/arrow.h"
#include "data/batch.h"
#include "iceberg/table.h"
#include "io/temp_folder.h"
#include "publish/table_writer.h"
#include "scan/scan.h"
#include "state/state.h"

namespace weir::publish {

#define ASSERT_OK(expr)                                       \
  do {                                                        \
    const auto& asserted_ = (expr);                           \
    ASSERT_TRUE(asserted_.ok()) << asserted_.error().message; \
  } while (false)

// Rows "id, name, at" with weights: {{"+", 1, "ann", 100}, …}.
struct TestRow {
  int32_t weight;
  int64_t id;
  std::string name;
  int64_t at = 0;
  friend auto operator<=>(const TestRow&, const TestRow&) = default;
};

class TestTable {
 public:
  explicit TestTable(bool keyed, std::vector<std::string> key = {},
                     std::vector<iceberg::PartitionField> partition = {}) {
    store_ = *state::Store::Open(*io_, io::Join(root_, "state"), Epoch{0},
                                 {.deterministic = true});
    iceberg::NewTable table;
    table.location = iceberg::UriOf(io::Join(root_, "warehouse/t"));
    table.format_version = keyed ? 3 : 2;
    table.schema =
        data::Schema{{{"id", data::Simple(data::Kind::kInt64), false, 0, ""},
                      {"name", data::Simple(data::Kind::kString), false, 0, ""},
                      {"at", data::Simple(data::Kind::kTimestampTz), false, 0, ""}}};
    data::AssignFieldIds(table.schema, 0);
    table.partition = std::move(partition);
    metadata_ = iceberg::MakeMetadata(table, 1);
    options.name = "test.t";
    options.keyed = keyed;
    options.key = std::move(key);
  }
  ~TestTable() {
    writer_.reset();
    store_.reset();
  }

  // CLUSTER BY these columns, from the next Open on.
  void Cluster(const std::vector<std::string>& columns) {
    std::vector<iceberg::SortField> fields;
    for (const std::string& name : columns)
      fields.push_back({metadata_.schema().Find(name)->id});
    metadata_ = iceberg::WithSortOrder(metadata_, fields);
  }

  // How many live files carry a sort order; each is in it.
  size_t SortedFiles() {
    size_t out = 0;
    for (const iceberg::LiveFile& file : Files()) {
      if (!file.data.sort_order_id) continue;
      ++out;
      std::vector<int> columns;
      for (const iceberg::SortField& by :
           metadata_.sort_orders.at(*file.data.sort_order_id).fields)
        columns.push_back(by.source_id - 1);
      const auto scan = scan::ScanFiles(*io_, metadata_, {file}, metadata_.schema(), {});
      std::string last;
      while (const auto rows = *scan->Next()) {
        const data::RowBytes keys = *data::EncodeKeys(*rows, columns);
        for (size_t i = 0; i < keys.size(); ++i) {
          EXPECT_LE(last, keys[i]) << file.data.path << ", row " << i;
          last = keys[i];
        }
      }
    }
    return out;
  }

  TableWriter& writer() {
    if (writer_ == nullptr) {
      const Status opened = Open();
      EXPECT_TRUE(opened.ok()) << opened.error().message;
    }
    return *writer_;
  }

  Status Open() {
    options.metadata = metadata_;
    options.store = store_.get();
    writer_ = WEIR_TRY(TableWriter::Open(*io_, options));
    return {};
  }

  // As after a crash: everything in memory is lost.
  void Restart() {
    writer_.reset();
    store_.reset();
    store_ = *state::Store::Open(*io_, io::Join(root_, "state"), epoch_,
                                 {.deterministic = true});
  }

  data::Batch Rows(const std::vector<TestRow>& rows) const {
    arrow::Int64Builder id;
    arrow::StringBuilder name;
    arrow::TimestampBuilder at(arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"),
                               arrow::default_memory_pool());
    data::Batch out;
    bool weighted = false;
    for (const TestRow& row : rows) {
      EXPECT_TRUE(id.Append(row.id).ok() && name.Append(row.name).ok() &&
                  at.Append(row.at).ok());
      out.weights.push_back(row.weight);
      weighted |= row.weight != 1;
    }
    if (!weighted) out.weights.clear();
    out.rows = arrow::RecordBatch::Make(data::ToArrow(metadata_.schema()),
                                        static_cast<int64_t>(rows.size()),
                                        {*id.Finish(), *name.Finish(), *at.Finish()});
    return out;
  }

  // One epoch. The change, or nullopt when there was none.
  Result<std::optional<iceberg::FileChange>> RunEpoch(
      const std::vector<std::vector<TestRow>>& batches) {
    for (const auto& rows : batches) WEIR_TRY(writer().Append(Rows(rows)));
    return Commit();
  }

  Result<std::optional<iceberg::FileChange>> Commit() {
    state::Delta delta;
    const Epoch epoch = Next(epoch_);
    auto change = WEIR_TRY(writer().Finish(epoch, delta));
    if (!change) return change;
    now_ += 1'000'000;
    const iceberg::Staged staged =
        WEIR_TRY(iceberg::Stage(*io_, "test.t", metadata_, location_, *change, now_, {}));
    WEIR_TRY(Apply(delta));
    metadata_ = staged.metadata;
    location_ = staged.metadata_location;
    writer().Committed(metadata_);
    return change;
  }

  Status Apply(const state::Delta& delta) {
    epoch_ = Next(epoch_);
    WEIR_TRY(delta.Write(*io_, io::Join(root_, "state"), epoch_));
    return store_->Apply(delta, epoch_);
  }

  // Live rows and how many of each, read back from the files.
  std::map<TestRow, int> Read() {
    std::map<TestRow, int> out;
    for (const TestRow& row : InOrder()) ++out[row];
    return out;
  }

  std::vector<TestRow> InOrder() {
    std::vector<TestRow> out;
    if (metadata_.current() == nullptr) return out;
    auto scan =
        scan::ScanTable(*io_, metadata_, *metadata_.current(), metadata_.schema(), {});
    EXPECT_TRUE(scan.ok()) << scan.error().message;
    while (true) {
      auto rows = (*scan)->Next();
      EXPECT_TRUE(rows.ok()) << rows.error().message;
      if (!rows.ok() || *rows == nullptr) return out;
      for (int64_t i = 0; i < (*rows)->num_rows(); ++i) {
        out.push_back(
            {1, static_cast<const arrow::Int64Array&>(*(*rows)->column(0)).Value(i),
             static_cast<const arrow::StringArray&>(*(*rows)->column(1)).GetString(i),
             static_cast<const arrow::TimestampArray&>(*(*rows)->column(2)).Value(i)});
      }
    }
  }

  std::vector<iceberg::LiveFile> Files() {
    if (metadata_.current() == nullptr) return {};
    return *iceberg::LiveFiles(*io_, metadata_, *metadata_.current());
  }

  io::Io& io() { return *io_; }
  const iceberg::Metadata& metadata() const { return metadata_; }
  const std::string& metadata_location() const { return location_; }
  state::Store& store() { return *store_; }

  TableWriterOptions options;

 private:
  const io::TempFolder folder_;
  const std::string root_ = folder_.path();
  std::unique_ptr<io::Io> io_ = io::NewPosixIo();
  std::unique_ptr<state::Store> store_;
  iceberg::Metadata metadata_;
  std::string location_;
  std::unique_ptr<TableWriter> writer_;
  Epoch epoch_{0};
  Micros now_ = 1'700'000'000'000'000;
};

}  // namespace weir::publish
