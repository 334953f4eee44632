#include <algorithm>
#include <numeric>

#include "data/batch.h"
#include "publish/cluster_internal.h"

namespace weir::publish {

std::optional<RowOrder> OrderOf(const iceberg::Metadata& metadata) {
  const auto found = metadata.sort_orders.find(metadata.default_sort_order_id);
  if (found == metadata.sort_orders.end() || found->second.fields.empty())
    return std::nullopt;
  const std::vector<data::Field>& fields = metadata.schema().fields;
  RowOrder out{found->first, {}};
  for (const iceberg::SortField& by : found->second.fields) {
    const auto column =
        std::find_if(fields.begin(), fields.end(),
                     [&](const data::Field& field) { return field.id == by.source_id; });
    if (column == fields.end() || by.descending || !by.nulls_last ||
        by.transform.kind != iceberg::TransformKind::kIdentity)
      return std::nullopt;
    out.columns.push_back(static_cast<int>(column - fields.begin()));
  }
  return out;
}

Result<std::vector<int32_t>> SortedRows(const arrow::RecordBatch& rows,
                                        const RowOrder& order) {
  const data::RowBytes keys = WEIR_TRY(data::EncodeKeys(rows, order.columns));
  std::vector<int32_t> out(keys.size());
  std::iota(out.begin(), out.end(), 0);
  std::stable_sort(out.begin(), out.end(), [&](int32_t a, int32_t b) {
    return keys[static_cast<size_t>(a)] < keys[static_cast<size_t>(b)];
  });
  return out;
}

}  // namespace weir::publish
