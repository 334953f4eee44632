#include "publish/rebuild.h"

#include <arrow/api.h>

#include <numeric>

#include "codec/parquet.h"
#include "data/batch.h"
#include "iceberg/deletion_vector.h"
#include "publish/key_index_internal.h"

namespace weir::publish {
namespace {

class Rebuilder {
 public:
  Rebuilder(io::Io& io, const std::string& table, const data::Schema& schema,
            const std::vector<std::string>& key)
      : io_(io), table_(table), schema_(schema), keyed_(!key.empty()) {
    for (const std::string& name : key) columns_.push_back(schema_.IndexOf(name));
    if (key.empty()) {
      columns_.resize(schema_.fields.size());
      std::iota(columns_.begin(), columns_.end(), 0);
    }
  }

  Status AddFile(uint32_t number, const iceberg::LiveFile& file) {
    iceberg::Positions deleted;
    if (file.vector) deleted = WEIR_TRY(iceberg::ReadVector(io_, *file.vector));
    codec::ParquetReadOptions read;
    for (const int column : columns_)
      read.field_ids.push_back(schema_.fields[static_cast<size_t>(column)].id);
    auto reader = WEIR_TRY(codec::OpenParquet(
        io_, WEIR_TRY(iceberg::PathOf(file.data.path)), schema_, read));
    int64_t first = 0;
    while (auto rows = WEIR_TRY(reader->Next(&first))) {
      std::vector<int> columns(static_cast<size_t>(rows->num_columns()));
      std::iota(columns.begin(), columns.end(), 0);
      const std::vector<Hash128> hashes = WEIR_TRY(data::HashKeys(*rows, columns));
      const auto mask = std::make_unique<bool[]>(hashes.size());
      deleted.FillMask(first, rows->num_rows(), mask.get());
      for (size_t i = 0; i < hashes.size(); ++i) {
        if (mask[i]) continue;
        WEIR_TRY(AddRow(hashes[i],
                        {number, static_cast<uint32_t>(first) + static_cast<uint32_t>(i)},
                        *rows, static_cast<int64_t>(i)));
      }
    }
    return {};
  }

  void WriteTo(state::Delta& delta) const {
    const std::string space = IndexSpace(table_);
    delta.Put(FilesSpace(table_), kColumnsKey, HashedColumns(schema_, columns_));
    map_.ForEach([&](const Hash128& key, std::span<const Location> at) {
      delta.Put(space, IndexKey(key), IndexValue(at));
    });
  }
  int64_t rows() const { return rows_; }

 private:
  Status AddRow(const Hash128& key, Location at, const arrow::RecordBatch& rows,
                int64_t row) {
    ++rows_;
    const std::span<const Location> before = map_.Find(key);
    if (keyed_ && !before.empty()) {
      return Invalid(fmt::format(
          "{} has two rows with the key [{}]: row {} of file {} and row {} of file {}",
          table_, data::RowText(rows, row), before[0].position, before[0].file,
          at.position, at.file));
    }
    std::vector<Location> all(before.begin(), before.end());
    all.push_back(at);
    map_.Set(key, all);
    return {};
  }

  io::Io& io_;
  const std::string table_;
  const data::Schema schema_;
  const bool keyed_;
  std::vector<int> columns_;
  LocationMap map_;
  int64_t rows_ = 0;
};

}  // namespace

Result<RebuiltIndex> RebuildIndex(io::Io& io, const std::string& table,
                                  const iceberg::Metadata& metadata,
                                  const std::vector<std::string>& key,
                                  state::Delta& delta) {
  for (const std::string& name : key) {
    if (metadata.schema().IndexOf(name) < 0)
      return Invalid(fmt::format("KEY column {} is not a column of {}", name, table));
  }
  DropIndex(table, delta);
  RebuiltIndex out;
  if (metadata.current() == nullptr) return out;
  Rebuilder rebuilder(io, table, metadata.schema(), key);
  uint32_t number = 0;
  for (const iceberg::LiveFile& file :
       WEIR_TRY(iceberg::LiveFiles(io, metadata, *metadata.current()))) {
    WEIR_TRY(rebuilder.AddFile(number, file));
    const int64_t deleted = file.vector ? file.vector->record_count : 0;
    delta.Put(FilesSpace(table), FileKey(number++),
              FileValue({file.data.record_count, deleted,
                         PathInTable(metadata.location, file.data.path)}));
  }
  rebuilder.WriteTo(delta);
  out.files = number;
  out.rows = rebuilder.rows();
  return out;
}

void DropIndex(const std::string& table, state::Delta& delta) {
  delta.Clear(IndexSpace(table));
  delta.Clear(FilesSpace(table));
}

}  // namespace weir::publish
