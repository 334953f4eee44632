// Schemas, partition specs and sort orders as JSON (spec App. C), and the Avro schema of
// an Iceberg struct (App. A).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "iceberg/table.h"

namespace weir::iceberg {

using Json = nlohmann::json;

// May throw Json::exception on wrong JSON types; callers sit at the module's border and
// catch it.
Result<data::Type> TypeFromJson(const Json& json);
Result<data::Schema> SchemaFromJson(const Json& json);
Json SchemaToJson(const data::Schema& schema, int schema_id,
                  const std::vector<int>& identifier);
// Whether a schema's JSON carries something a data::Schema cannot (default values,
// attributes of the future).
bool HasUnknownMembers(const Json& schema);

Json SpecFieldsToJson(const PartitionSpec& spec);
Result<PartitionSpec> SpecFromJson(const Json& json);
Json SortOrderToJson(const SortOrder& order);
Result<SortOrder> SortOrderFromJson(const Json& json);

// Every field carries its field-id; an optional one is a union with null; a map whose
// keys are not strings is an array of key-value records with the logical type "map".
Json AvroRecord(const std::string& name, const std::vector<data::Field>& fields);

}  // namespace weir::iceberg
