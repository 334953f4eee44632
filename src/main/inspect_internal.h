// What the commands that look at a data directory share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "iceberg/catalog.h"
#include "main/command.h"

namespace weir::main {

// The catalog of --data, to be read only; kNotFound says how a lake is made.
Result<std::unique_ptr<iceberg::Catalog>> OpenCatalog(io::Io& io, const Options& options);

// Columns as wide as their widest cell; numbers to the right.
void PrintTable(const std::vector<std::string>& header,
                const std::vector<std::vector<std::string>>& rows);

// weir show state [MODEL]
int ShowState(io::Io& io, const Options& options, const std::string& model);
// weir show table TABLE
int ShowTable(io::Io& io, const Options& options, const std::string& name);
// weir show tags [TABLE]
int ShowTags(io::Io& io, const Options& options, const std::string& table);
// weir show arrivals SOURCE
int ShowArrivals(io::Io& io, const Options& options, const std::string& source);

}  // namespace weir::main
