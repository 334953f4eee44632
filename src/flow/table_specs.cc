#include "flow/table_specs.h"

#include <fmt/format.h>

#include "flow/flow.h"

namespace weir::flow {
namespace {

// "day(event_timestamp)" or "bucket(16, trip_id)" -> transform and column
Result<std::pair<iceberg::Transform, std::string>> PartitionTerm(
    const std::string& text) {
  const size_t open = text.find('('), comma = text.find(','), close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos)
    return std::pair(iceberg::Transform{}, text);
  std::string name = text.substr(0, open);
  size_t from = open + 1;
  if (comma != std::string::npos) {
    name += "[" + text.substr(open + 1, comma - open - 1) + "]";
    from = comma + 1;
  }
  std::string column = text.substr(from, close - from);
  std::erase(column, ' ');
  return std::pair(WEIR_TRY(iceberg::ParseTransform(name)), column);
}

}  // namespace

Result<TableSpec> BronzeSpec(const contract::Contract& contract,
                             const ingest::SourceTables& tables) {
  TableSpec bronze{tables.bronze,       tables.bronze_schema, false, {}, {}, {},
                   contract.description};
  if (tables.keyed) {
    bronze.keyed = true;
    bronze.key = contract.identity;
  }
  for (const std::string& term : contract.partition_by)
    bronze.partition_by.push_back(WEIR_TRY(PartitionTerm(term)));
  return bronze;
}

TableSpec SpecOf(const plan::ModelPlan& plan) {
  TableSpec spec{plan.model.name,
                 plan.output,
                 !plan.append_only || plan.verify_key,
                 plan.key,
                 {},
                 plan.model.cluster_by,
                 plan.model.comment,
                 plan.model.properties};
  for (const auto& [column, comment] : plan.model.column_comments) {
    const int i = spec.schema.IndexOf(column.text);
    if (i >= 0) spec.schema.fields[static_cast<size_t>(i)].doc = comment;
  }
  for (const sql::PartitionTerm& term : plan.model.partitioned_by) {
    iceberg::Transform transform;
    const std::string name = term.transform.empty() ? "identity" : term.transform;
    auto parsed = iceberg::ParseTransform(
        term.parameter > 0 ? fmt::format("{}[{}]", name, term.parameter) : name);
    if (parsed.ok()) transform = *parsed;
    spec.partition_by.emplace_back(transform, term.column);
  }
  return spec;
}

std::vector<plan::InputTable> SourceInputs(
    const std::vector<contract::Contract>& contracts) {
  std::vector<plan::InputTable> inputs;
  for (const contract::Contract& contract : contracts) {
    const ingest::SourceTables tables = ingest::TablesOf(contract);
    inputs.push_back({tables.bronze, tables.bronze_schema, contract.identity,
                      contract.order, !tables.keyed});
    inputs.push_back({tables.rejected,
                      tables.rejected_schema,
                      {"_source", "_partition", "_offset"},
                      {},
                      true});
    for (const std::string& name : {tables.late, tables.duplicate}) {
      if (name.empty()) continue;
      inputs.push_back(
          {name, tables.late_schema, {"_source", "_partition", "_offset"}, {}, true});
    }
    if (!tables.arrivals.empty())
      inputs.push_back({tables.arrivals, tables.arrivals_schema, {}, {}, true});
  }
  return inputs;
}

}  // namespace weir::flow
