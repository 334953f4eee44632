#include "ingest/judged.h"

#include <algorithm>
#include <numeric>

#include "codec/json.h"
#include "data/type.h"
#include "ingest/arrivals.h"

namespace weir::ingest {

using data::Kind;
using data::Simple;

void Counts::Add(const Counts& other) {
  received += other.received;
  accepted += other.accepted;
  rejected += other.rejected;
  duplicate += other.duplicate;
  conflicting += other.conflicting;
  late += other.late;
  blocked += other.blocked;
  for (size_t i = 0; i < kReasons; ++i)
    rejected_by_reason[i] += other.rejected_by_reason[i];
}

bool Counts::balanced() const {
  return received == accepted + rejected + duplicate + late + blocked &&
         conflicting <= duplicate &&
         rejected == std::accumulate(rejected_by_reason.begin(), rejected_by_reason.end(),
                                     int64_t{0});
}

SourceTables TablesOf(const contract::Contract& contract) {
  SourceTables tables;
  tables.bronze = "bronze." + data::LowerName(contract.name);
  tables.rejected = tables.bronze + "$rejected";
  tables.late = tables.bronze + "$late";
  tables.duplicate = tables.bronze + "$duplicate";

  tables.bronze_schema = codec::WithExtraColumns(contract.schema);
  for (data::Field& field : tables.bronze_schema.fields) field.required = false;
  tables.late_schema = tables.bronze_schema;
  tables.keyed = contract.kind == contract::SourceKind::kReference;
  if (tables.keyed) tables.late = tables.duplicate = "";
  const bool has_files =
      contract.servers.empty() ||
      std::any_of(contract.servers.begin(), contract.servers.end(),
                  [](const auto& server) { return server.type == "local"; });
  if (has_files) {
    tables.arrivals = tables.bronze + "$arrivals";
    tables.arrivals_schema = ArrivalSchema();
  }
  for (data::Field field : {data::Field{"_partition", Simple(Kind::kInt32)},
                            data::Field{"_offset", Simple(Kind::kInt64)},
                            data::Field{"_received_at", Simple(Kind::kTimestampTz)}}) {
    if (!tables.keyed) tables.bronze_schema.fields.push_back(std::move(field));
  }
  const std::vector<data::Field> origin = {{"_source", Simple(Kind::kString)},
                                           {"_partition", Simple(Kind::kInt32)},
                                           {"_offset", Simple(Kind::kInt64)},
                                           {"_received_at", Simple(Kind::kTimestampTz)},
                                           {"_raw", Simple(Kind::kBinary)}};
  tables.late_schema.fields.insert(tables.late_schema.fields.end(), origin.begin(),
                                   origin.end());
  tables.rejected_schema.fields = origin;
  for (const char* name : {"reason", "field", "expected", "actual", "contract_version",
                           "producer", "deployment"}) {
    tables.rejected_schema.fields.push_back({name, Simple(Kind::kString)});
  }
  return tables;
}

}  // namespace weir::ingest
