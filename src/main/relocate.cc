// weir relocate: a data directory that was moved.
#include "commit/relocate.h"

#include <fmt/format.h>

#include "main/command.h"

namespace weir::main {

int Relocate(io::Io& io, const Options& options) {
  const std::string data_dir = DataDir(options);
  if (!io.Exists(io::Join(data_dir, "catalog.db")))
    return Fail(fmt::format("no lake at {}", data_dir), kFailed);
  SystemClock clock;
  int tables = 0;
  const Status done =
      commit::Relocate(io, clock, data_dir, [&](const std::string& table) {
        ++tables;
        fmt::print("{}\n", table);
      });
  if (!done.ok()) return Fail(done.error());
  fmt::print("{} tables now live in {}\n", tables, data_dir);
  return kFine;
}

}  // namespace weir::main
