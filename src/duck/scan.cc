#include "duck/scan_internal.h"

#include <arrow/array/data.h>
#include <arrow/buffer.h>
#include <arrow/c/bridge.h>
#include <arrow/util/bit_util.h>
#include <arrow/util/key_value_metadata.h>

#include <cstring>

#include "data/arrow.h"
#include "duck/types_internal.h"

namespace weir::duck {
namespace {

constexpr int64_t kChunkRows = 2048;  // DuckDB's vector size; checked in Register

Status FromDuckError(duckdb_error_data error) {
  if (error == nullptr) return {};
  Status status;
  if (duckdb_error_data_has_error(error))
    status = Internal(duckdb_error_data_message(error));
  duckdb_destroy_error_data(&error);
  return status;
}

// DuckDB takes 16 fixed bytes for a UUID only when the field says so.
std::shared_ptr<arrow::Field> MarkUuids(const std::shared_ptr<arrow::Field>& field) {
  const auto& type = *field->type();
  if (type.id() == arrow::Type::FIXED_SIZE_BINARY) {
    return field->WithMetadata(arrow::key_value_metadata(
        {"ARROW:extension:name", "ARROW:extension:metadata"}, {"arrow.uuid", ""}));
  }
  auto plain = field->RemoveMetadata();
  if (type.id() == arrow::Type::STRUCT) {
    arrow::FieldVector children;
    for (const auto& child : type.fields()) children.push_back(MarkUuids(child));
    return plain->WithType(arrow::struct_(std::move(children)));
  }
  if (type.id() == arrow::Type::LIST)
    return plain->WithType(arrow::list(MarkUuids(type.field(0))));
  if (type.id() == arrow::Type::MAP) {
    const auto& map = static_cast<const arrow::MapType&>(type);
    return plain->WithType(std::make_shared<arrow::MapType>(MarkUuids(map.key_field()),
                                                            MarkUuids(map.item_field())));
  }
  return plain;
}

Result<ScanShape*> ShapeFor(duckdb_connection connection, Relation& relation,
                            std::vector<int> columns, std::vector<int> outputs) {
  for (const auto& shape : relation.shapes) {
    if (shape->columns == columns && shape->outputs == outputs) return shape.get();
  }
  auto shape = std::make_unique<ScanShape>();
  arrow::FieldVector fields;
  for (const int c : columns) fields.push_back(MarkUuids(relation.arrow->field(c)));
  shape->arrow = arrow::schema(std::move(fields));
  ArrowSchema exported;
  WEIR_ARROW_OK(arrow::ExportSchema(*shape->arrow, &exported));
  Status status =
      FromDuckError(duckdb_schema_from_arrow(connection, &exported, &shape->converted));
  if (exported.release != nullptr) exported.release(&exported);
  WEIR_TRY(std::move(status));
  shape->columns = std::move(columns);
  shape->outputs = std::move(outputs);
  relation.shapes.push_back(std::move(shape));
  return relation.shapes.back().get();
}

// The column with one byte behind its validity bits, where it lacks one. DuckDB shifts
// bits that begin inside a byte, and for that reads a byte more than they take: nothing
// in buffers of Arrow's allocators, which are padded, but what DuckDB itself handed out
// ends where its bits end. Bits of children begin anywhere, those of a column at its
// offset.
Result<std::shared_ptr<arrow::ArrayData>> WithByteBehindValidity(
    const std::shared_ptr<arrow::ArrayData>& column, bool child) {
  std::shared_ptr<arrow::ArrayData> out = column;
  const auto own = [&] {
    if (out == column) out = column->Copy();
    return out.get();
  };
  const arrow::Buffer* bits =
      column->buffers.empty() ? nullptr : column->buffers[0].get();
  const int64_t used = arrow::bit_util::BytesForBits(column->offset + column->length);
  if (bits != nullptr && column->null_count != 0 && (child || column->offset % 8 != 0) &&
      bits->capacity() <= used) {
    std::shared_ptr<arrow::Buffer> copy = WEIR_ARROW(arrow::AllocateBuffer(used + 1));
    std::memcpy(copy->mutable_data(), bits->data(), static_cast<size_t>(used));
    copy->mutable_data()[used] = 0;
    own()->buffers[0] = std::move(copy);
  }
  for (size_t i = 0; i < column->child_data.size(); ++i) {
    auto padded = WEIR_TRY(WithByteBehindValidity(column->child_data[i], true));
    if (padded != column->child_data[i]) own()->child_data[i] = std::move(padded);
  }
  return out;
}

// One run of weir_scan over one relation.
struct ScanState {
  std::shared_ptr<Relation> relation;
  ScanShape* shape = nullptr;
  std::unique_ptr<BatchSource> source;
  size_t next_batch = 0;
  std::shared_ptr<arrow::RecordBatch> current;  // with the shape's columns only
  int64_t row = 0;

  // Makes `current` a batch with rows left; false at the end.
  Result<bool> Advance() {
    while (current == nullptr || row == current->num_rows()) {
      row = 0;
      if (source != nullptr) {
        current = WEIR_TRY(source->Next());
        if (current == nullptr) return false;
        if (current->num_columns() != static_cast<int>(shape->columns.size())) {
          return Internal("a batch source gave other columns than it was asked for");
        }
        continue;
      }
      if (next_batch == relation->batches.size()) return false;
      const arrow::RecordBatch& batch = *relation->batches[next_batch++];
      arrow::ArrayDataVector columns;
      columns.reserve(shape->columns.size());
      for (const int c : shape->columns)
        columns.push_back(WEIR_TRY(WithByteBehindValidity(batch.column_data(c), false)));
      current =
          arrow::RecordBatch::Make(shape->arrow, batch.num_rows(), std::move(columns));
    }
    return true;
  }

  // Hands the next rows to DuckDB without copying: the chunk's vectors keep the exported
  // array, and so the buffers, alive.
  Status Fill(duckdb_connection connection, duckdb_data_chunk out) {
    if (!WEIR_TRY(Advance())) {
      duckdb_data_chunk_set_size(out, 0);
      return {};
    }
    const int64_t rows = std::min(kChunkRows, current->num_rows() - row);
    if (!shape->columns.empty()) {
      const auto slice =
          rows == current->num_rows() ? current : current->Slice(row, rows);
      ArrowArray exported;
      WEIR_ARROW_OK(arrow::ExportRecordBatch(*slice, &exported));
      duckdb_data_chunk chunk = nullptr;
      Status status = FromDuckError(
          duckdb_data_chunk_from_arrow(connection, &exported, shape->converted, &chunk));
      if (!status.ok()) {
        if (exported.release != nullptr) exported.release(&exported);
        return status;
      }
      for (size_t i = 0; i < shape->outputs.size(); ++i) {
        duckdb_vector_reference_vector(
            duckdb_data_chunk_get_vector(out, static_cast<idx_t>(shape->outputs[i])),
            duckdb_data_chunk_get_vector(chunk, i));
      }
      duckdb_destroy_data_chunk(&chunk);
    }
    row += rows;
    duckdb_data_chunk_set_size(out, static_cast<idx_t>(rows));
    return {};
  }
};

using RelationRef = std::shared_ptr<Relation>;

}  // namespace

ScanShape::~ScanShape() {
  if (converted != nullptr) duckdb_destroy_arrow_converted_schema(&converted);
}

// What DuckDB calls. No exception may cross back into it.
struct ScanCallbacks {
  static void Bind(duckdb_bind_info info) {
    auto* scans = static_cast<Scans*>(duckdb_bind_get_extra_info(info));
    duckdb_value parameter = duckdb_bind_get_parameter(info, 0);
    const int64_t id = duckdb_get_int64(parameter);
    duckdb_destroy_value(&parameter);
    const auto found = scans->relations_.find(id);
    if (found == scans->relations_.end())
      return duckdb_bind_set_error(info, "weir_scan: no such relation");
    for (const data::Field& field : found->second->schema.fields) {
      const LogicalType type = ToDuck(field.type);
      duckdb_bind_add_result_column(info, field.name.c_str(), type.get());
    }
    duckdb_bind_set_bind_data(info, new RelationRef(found->second),
                              [](void* p) { delete static_cast<RelationRef*>(p); });
  }

  static void Init(duckdb_init_info info) {
    auto* scans = static_cast<Scans*>(duckdb_init_get_extra_info(info));
    const RelationRef& relation =
        *static_cast<RelationRef*>(duckdb_init_get_bind_data(info));
    auto state = std::make_unique<ScanState>();
    const Status status = Start(*scans, relation, info, *state);
    if (!status.ok()) {
      duckdb_init_set_error(info, status.error().message.c_str());
      scans->error_ = status.error();
      return;
    }
    duckdb_init_set_init_data(info, state.release(),
                              [](void* p) { delete static_cast<ScanState*>(p); });
  }

  static Status Start(Scans& scans, const RelationRef& relation, duckdb_init_info info,
                      ScanState& state) {
    std::vector<int> columns, outputs;
    for (idx_t i = 0; i < duckdb_init_get_column_count(info); ++i) {
      const idx_t column = duckdb_init_get_column_index(info, i);
      if (column >= relation->schema.fields.size())
        continue;  // count(*) asks for a row id that nobody reads
      columns.push_back(static_cast<int>(column));
      outputs.push_back(static_cast<int>(i));
    }
    state.relation = relation;
    if (relation->opener) state.source = WEIR_TRY(relation->opener(columns));
    state.shape = WEIR_TRY(
        ShapeFor(scans.connection_, *relation, std::move(columns), std::move(outputs)));
    return {};
  }

  static void Fill(duckdb_function_info info, duckdb_data_chunk out) {
    auto* scans = static_cast<Scans*>(duckdb_function_get_extra_info(info));
    auto* state = static_cast<ScanState*>(duckdb_function_get_init_data(info));
    Status status = scans->cancel_ == nullptr ? Status() : scans->cancel_->Check();
    if (status.ok()) status = state->Fill(scans->connection_, out);
    if (status.ok()) return;
    scans->error_ = status.error();
    duckdb_function_set_error(info, status.error().message.c_str());
  }
};

Status Scans::Register() {
  WEIR_CHECK(duckdb_vector_size() == static_cast<idx_t>(kChunkRows));
  duckdb_table_function function = duckdb_create_table_function();
  duckdb_table_function_set_name(function, "weir_scan");
  const LogicalType id(duckdb_create_logical_type(DUCKDB_TYPE_BIGINT));
  duckdb_table_function_add_parameter(function, id.get());
  duckdb_table_function_set_extra_info(function, this, nullptr);
  duckdb_table_function_supports_projection_pushdown(function, true);
  duckdb_table_function_set_bind(function, ScanCallbacks::Bind);
  duckdb_table_function_set_init(function, ScanCallbacks::Init);
  duckdb_table_function_set_function(function, ScanCallbacks::Fill);
  const bool ok = duckdb_register_table_function(connection_, function) == DuckDBSuccess;
  duckdb_destroy_table_function(&function);
  if (!ok) return Internal("DuckDB did not take the scan function");
  return {};
}

int64_t Scans::Add(std::shared_ptr<Relation> relation) {
  relations_[next_id_] = std::move(relation);
  return next_id_++;
}

std::optional<Error> Scans::TakeError() { return std::exchange(error_, std::nullopt); }

}  // namespace weir::duck
