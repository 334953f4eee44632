#include <arrow/api.h>

#include <algorithm>

#include "codec/parquet.h"
#include "data/arrow.h"
#include "data/batch.h"
#include "publish/merge_internal.h"

namespace weir::publish {
namespace {

constexpr int kRowIdField = 2147483540;
constexpr int kLastUpdatedField = 2147483539;

// Splits at a file that outweighs its neighbours, so that it is not rewritten for their
// sake.
void ChooseWithin(std::span<const int64_t> bytes, size_t first, size_t last,
                  const MergeRule& rule, std::vector<Run>* out) {
  if (last - first < static_cast<size_t>(rule.files_min)) return;
  int64_t total = 0;
  size_t largest = first;
  for (size_t i = first; i < last; ++i) {
    total += bytes[i];
    if (bytes[i] > bytes[largest]) largest = i;
  }
  if (bytes[largest] <= total - bytes[largest]) {
    out->push_back({first, last});
    return;
  }
  ChooseWithin(bytes, first, largest, rule, out);
  ChooseWithin(bytes, largest + 1, last, rule, out);
}

std::vector<int32_t> LivePositions(int64_t first, int64_t count,
                                   const iceberg::Positions* deleted) {
  std::vector<int32_t> live;
  live.reserve(static_cast<size_t>(count));
  if (deleted == nullptr) {
    for (int64_t i = 0; i < count; ++i) live.push_back(static_cast<int32_t>(i));
    return live;
  }
  const auto mask = std::make_unique<bool[]>(static_cast<size_t>(count));
  deleted->FillMask(first, count, mask.get());
  for (int64_t i = 0; i < count; ++i) {
    if (!mask[static_cast<size_t>(i)]) live.push_back(static_cast<int32_t>(i));
  }
  return live;
}

// What the file says of a row wins; a row that says nothing inherits from the file.
Result<std::shared_ptr<arrow::Array>> Inherited(const arrow::Array& written,
                                                std::span<const int32_t> live,
                                                int64_t first_position,
                                                std::optional<int64_t> inherited,
                                                bool by_position) {
  arrow::Int64Builder builder;
  WEIR_ARROW_OK(builder.Reserve(static_cast<int64_t>(live.size())));
  const auto& values = static_cast<const arrow::Int64Array&>(written);
  for (const int32_t row : live) {
    if (values.IsValid(row)) {
      builder.UnsafeAppend(values.Value(row));
    } else if (inherited) {
      builder.UnsafeAppend(*inherited + (by_position ? first_position + row : 0));
    } else {
      builder.UnsafeAppendNull();
    }
  }
  return WEIR_ARROW(builder.Finish());
}

// Takes rows in the order of the inputs and gives them to the set in the wanted one.
class Copier {
 public:
  Copier(const CopyOrder& order, const Tuple& partition, FileSet& out,
         const OnMoved& moved)
      : order_(order), partition_(partition), out_(out), moved_(moved) {}

  // `row_bytes`: of a row in its file.
  Status Add(std::shared_ptr<arrow::RecordBatch> rows, std::vector<Origin> origins,
             double row_bytes) {
    if (!order_.order) return Put(rows, origins);
    waiting_bytes_ += row_bytes * static_cast<double>(rows->num_rows());
    waiting_.push_back({std::move(rows), {}});
    origins_.insert(origins_.end(), origins.begin(), origins.end());
    const bool enough = waiting_bytes_ >= static_cast<double>(order_.file_bytes_max) ||
                        static_cast<int64_t>(origins_.size()) >= order_.rows_max;
    return enough ? End() : Status();
  }

  // What waits to be sorted becomes files of its own.
  Status End() {
    if (waiting_.empty()) return {};
    const data::Batch all = WEIR_TRY(data::Concat(waiting_));
    waiting_.clear();
    waiting_bytes_ = 0;
    const std::vector<int32_t> sorted = WEIR_TRY(SortedRows(*all.rows, *order_.order));
    std::vector<Origin> origins;
    origins.reserve(sorted.size());
    for (const int32_t row : sorted)
      origins.push_back(origins_[static_cast<size_t>(row)]);
    origins_.clear();
    WEIR_TRY(Put(WEIR_TRY(data::Take(all, sorted)).rows, origins));
    return out_.EndFiles();
  }

 private:
  Status Put(const std::shared_ptr<arrow::RecordBatch>& rows,
             std::span<const Origin> origins) {
    placements_.clear();
    WEIR_TRY(out_.Add(rows, partition_, &placements_));
    return moved_ ? moved_(*rows, origins, placements_) : Status();
  }

  const CopyOrder& order_;
  const Tuple& partition_;
  FileSet& out_;
  const OnMoved& moved_;
  std::vector<data::Batch> waiting_;
  std::vector<Origin> origins_;  // of the rows that wait
  double waiting_bytes_ = 0;
  std::vector<Placement> placements_;
};

}  // namespace

std::vector<Run> ChooseMerges(std::span<const int64_t> file_bytes,
                              const MergeRule& rule) {
  std::vector<Run> out;
  size_t first = 0;
  while (first < file_bytes.size()) {
    size_t last = first;
    int64_t total = 0;
    while (last < file_bytes.size() && file_bytes[last] < rule.small_file_bytes &&
           total < rule.bytes_target)
      total += file_bytes[last++];
    ChooseWithin(file_bytes, first, last, rule, &out);
    first = std::max(last, first + 1);
  }
  return out;
}

data::Schema WithLineage(const data::Schema& schema) {
  data::Schema out = schema;
  out.fields.push_back(
      {"_row_id", data::Simple(data::Kind::kInt64), false, kRowIdField, ""});
  out.fields.push_back({"_last_updated_sequence_number", data::Simple(data::Kind::kInt64),
                        false, kLastUpdatedField, ""});
  return out;
}

Status CopyLive(io::Io& io, const data::Schema& schema, bool lineage,
                std::span<const MergeInput> inputs, const CopyOrder& order,
                const Tuple& partition, FileSet& out, const OnMoved& moved) {
  const data::Schema read_schema = lineage ? WithLineage(schema) : schema;
  const int table_columns = static_cast<int>(schema.fields.size());
  Copier copier(order, partition, out, moved);
  for (size_t input = 0; input < inputs.size(); ++input) {
    const iceberg::DataFile& file = *inputs[input].file;
    auto reader = WEIR_TRY(
        codec::OpenParquet(io, WEIR_TRY(iceberg::PathOf(file.path)), read_schema, {}));
    int64_t first = 0;
    while (auto batch = WEIR_TRY(reader->Next(&first))) {
      std::vector<int32_t> live =
          LivePositions(first, batch->num_rows(), inputs[input].deleted);
      if (live.empty()) continue;
      std::shared_ptr<arrow::RecordBatch> rows =
          WEIR_TRY(data::Take({batch, {}}, live)).rows;
      if (lineage) {
        const auto ids = WEIR_TRY(Inherited(*batch->column(table_columns), live, first,
                                            file.first_row_id, true));
        const auto updated = WEIR_TRY(Inherited(*batch->column(table_columns + 1), live,
                                                first, file.data_sequence_number, false));
        rows = WEIR_ARROW(
            rows->SetColumn(table_columns, rows->schema()->field(table_columns), ids));
        rows = WEIR_ARROW(rows->SetColumn(
            table_columns + 1, rows->schema()->field(table_columns + 1), updated));
      }
      std::vector<Origin> origins;
      origins.reserve(live.size());
      for (const int32_t row : live)
        origins.push_back({input, static_cast<int32_t>(first) + row});
      WEIR_TRY(
          copier.Add(std::move(rows), std::move(origins),
                     static_cast<double>(file.file_bytes) /
                         static_cast<double>(std::max<int64_t>(1, file.record_count))));
    }
  }
  return copier.End();
}

}  // namespace weir::publish
