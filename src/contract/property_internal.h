// The properties of a contract's schema object: fields and the conditions they must hold.
#pragma once

#include <string>
#include <vector>

#include "contract/contract_yaml_internal.h"

namespace weir::contract {

struct Properties {
  std::vector<data::Field> fields;
  std::vector<Condition> conditions;  // depth first, in declared order
  // For checks that need the whole contract.
  struct Place {
    std::string path;
    int line;
  };
  std::vector<Place> unique;  // declared unique or as primary key
  std::vector<Place> requires_when;
  std::vector<FileGate> gates;  // of quality rules
  bool utc_by_default = false;  // some stamp names UTC as its default zone
};

// Reads `properties:` of the schema object.
Properties ReadProperties(const YAML::Node& properties, Report& report);

// The field at a dotted path through objects; null when there is none.
const data::Field* FieldAt(const std::vector<data::Field>& fields, std::string_view path);

// The names of all fields that a dotted path through objects can reach.
std::vector<std::string> FieldPaths(const std::vector<data::Field>& fields);

}  // namespace weir::contract
