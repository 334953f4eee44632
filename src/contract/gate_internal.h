// Quality rules that judge a file as a whole.
#pragma once

#include <optional>

#include "contract/contract_yaml_internal.h"

namespace weir::contract {

// Whether the rule has customProperties weir.gate: file. Another value is reported.
bool IsFileGate(const YAML::Node& rule, Report& report);

// The gate of such a rule on the top-level field `field` (empty: on the whole schema);
// nullopt when it was reported.
std::optional<FileGate> ReadFileGate(const YAML::Node& rule, const std::string& field,
                                     Report& report);

}  // namespace weir::contract
