#include "scan/scan.h"

#include <arrow/api.h>

#include <algorithm>

#include "codec/parquet.h"
#include "data/batch.h"
#include "iceberg/deletion_vector.h"

namespace weir::scan {
namespace {

const data::Field* FieldOf(const data::Schema& schema, int id) {
  const auto at = std::find_if(schema.fields.begin(), schema.fields.end(),
                               [&](const data::Field& f) { return f.id == id; });
  return at == schema.fields.end() ? nullptr : &*at;
}

template <class Map>
auto Lookup(const Map& map, int id) -> std::optional<typename Map::mapped_type> {
  const auto at = map.find(id);
  return at == map.end() ? std::nullopt : std::optional(at->second);
}

// Of a manifest entry as of a row group's statistics: they name things alike.
template <class Statistics>
ColumnFacts FactsOf(const Statistics& statistics, int id) {
  return {Lookup(statistics.lower, id), Lookup(statistics.upper, id),
          Lookup(statistics.value_counts, id), Lookup(statistics.null_counts, id),
          Lookup(statistics.nan_counts, id)};
}

class FilesScan final : public TableScan {
 public:
  FilesScan(io::Io& io, const iceberg::Metadata& metadata,
            std::vector<iceberg::LiveFile> files, const data::Schema& schema,
            ScanOptions options)
      : io_(io),
        table_schema_(schema),
        specs_(metadata.specs),
        files_(std::move(files)),
        options_(std::move(options)) {
    if (!options_.field_ids) {
      schema_ = table_schema_;
    } else {
      for (const int id : *options_.field_ids) {
        const data::Field* field = FieldOf(table_schema_, id);
        WEIR_CHECK(field != nullptr);
        schema_.fields.push_back(*field);
      }
    }
  }

  Result<std::shared_ptr<arrow::RecordBatch>> Next() override {
    while (true) {
      if (reader_ == nullptr && !WEIR_TRY(OpenNextFile()))
        return std::shared_ptr<arrow::RecordBatch>();
      int64_t first = 0;
      std::shared_ptr<arrow::RecordBatch> rows = WEIR_TRY(reader_->Next(&first));
      if (rows == nullptr) {
        reader_.reset();
        continue;
      }
      statistics_.rows += rows->num_rows();
      rows = WEIR_TRY(Live(std::move(rows), first));
      if (rows->num_rows() > 0) return rows;
    }
  }

  const data::Schema& schema() const override { return schema_; }
  const ScanStatistics& statistics() const override { return statistics_; }

 private:
  bool MayHold(const iceberg::DataFile& file) const {
    for (const Predicate& predicate : options_.predicates) {
      const data::Field* field = FieldOf(table_schema_, predicate.field_id);
      if (field == nullptr) continue;
      if (!MayMatch(predicate, field->type, FactsOf(file, predicate.field_id)))
        return false;
      const auto spec = specs_.find(file.spec_id);
      if (spec != specs_.end() &&
          !MayMatch(predicate, table_schema_, spec->second, file.partition))
        return false;
    }
    return true;
  }

  bool MayHold(const codec::ParquetStats& row_group) const {
    return std::all_of(
        options_.predicates.begin(), options_.predicates.end(),
        [&](const Predicate& predicate) {
          const data::Field* field = FieldOf(table_schema_, predicate.field_id);
          return field == nullptr ||
                 MayMatch(predicate, field->type, FactsOf(row_group, predicate.field_id));
        });
  }

  Result<bool> OpenNextFile() {
    while (next_ < files_.size()) {
      const iceberg::LiveFile& file = files_[next_++];
      ++statistics_.files;
      if (!MayHold(file.data)) {
        ++statistics_.files_pruned;
        continue;
      }
      codec::ParquetReadOptions read;
      read.batch_rows = options_.batch_rows;
      if (!options_.predicates.empty())
        read.keep = [this](const codec::ParquetStats& row_group) {
          return MayHold(row_group);
        };
      reader_ = WEIR_TRY(codec::OpenParquet(
          io_, WEIR_TRY(iceberg::PathOf(file.data.path)), schema_, read));
      statistics_.row_groups += reader_->row_groups();
      statistics_.row_groups_pruned += reader_->row_groups() - reader_->row_groups_kept();
      deleted_.reset();
      if (file.vector) deleted_ = WEIR_TRY(iceberg::ReadVector(io_, *file.vector));
      return true;
    }
    return false;
  }

  Result<std::shared_ptr<arrow::RecordBatch>> Live(
      std::shared_ptr<arrow::RecordBatch> rows, int64_t first) {
    if (!deleted_) return rows;
    const auto count = static_cast<size_t>(rows->num_rows());
    const auto mask = std::make_unique<bool[]>(count);
    deleted_->FillMask(first, rows->num_rows(), mask.get());
    std::vector<int32_t> live;
    live.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      if (!mask[i]) live.push_back(static_cast<int32_t>(i));
    }
    statistics_.rows_deleted += static_cast<int64_t>(count - live.size());
    if (live.size() == count) return rows;
    return WEIR_TRY(data::Take({rows, {}}, live)).rows;
  }

  io::Io& io_;
  const data::Schema table_schema_;
  const std::map<int, iceberg::PartitionSpec> specs_;
  const std::vector<iceberg::LiveFile> files_;
  const ScanOptions options_;
  data::Schema schema_;
  size_t next_ = 0;
  std::unique_ptr<codec::ParquetReader> reader_;
  std::optional<iceberg::Positions> deleted_;
  ScanStatistics statistics_;
};

}  // namespace

const data::Schema& SchemaOf(const iceberg::Metadata& metadata,
                             const iceberg::Snapshot& snapshot) {
  const auto at = metadata.schemas.find(snapshot.schema_id);
  return at == metadata.schemas.end() ? metadata.schema() : at->second;
}

std::unique_ptr<TableScan> ScanFiles(io::Io& io, const iceberg::Metadata& metadata,
                                     std::vector<iceberg::LiveFile> files,
                                     const data::Schema& schema, ScanOptions options) {
  return std::make_unique<FilesScan>(io, metadata, std::move(files), schema,
                                     std::move(options));
}

Result<std::unique_ptr<TableScan>> ScanTable(io::Io& io,
                                             const iceberg::Metadata& metadata,
                                             const iceberg::Snapshot& snapshot,
                                             const data::Schema& schema,
                                             ScanOptions options) {
  return ScanFiles(io, metadata, WEIR_TRY(iceberg::LiveFiles(io, metadata, snapshot)),
                   schema, std::move(options));
}

}  // namespace weir::scan
