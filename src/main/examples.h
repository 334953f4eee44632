// The example projects, built into the binary: what `weir init --template` starts from.
#pragma once

#include <string_view>
#include <vector>

namespace weir::main {

struct ExampleFile {
  std::string_view example, path, text;  // "fraud", "models/gold/alerts.sql"
};
// Ordered by example, then path. Input data are not among them: `weir generate` makes it.
std::vector<ExampleFile> ExampleFiles();

}  // namespace weir::main
