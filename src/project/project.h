// A project as one validated value: weir.yml, contracts and models.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contract/contract.h"
#include "io/io.h"
#include "sql/model.h"

namespace weir::project {

// `configuration` of weir.yml; each also as --set key=value.
struct Settings {
  int64_t step_rows =
      64 << 10;  // weir.step.rows: records a step takes from one source at most
  int64_t step_bytes = 16 << 20;      // weir.step.bytes
  Micros epoch_interval = 5'000'000;  // weir.epoch.interval: time between commits
  int64_t epoch_steps =
      0;           // weir.epoch.steps: commit after so many steps too; 0: by time alone
  int shards = 1;  // weir.threads.shards
  int64_t memory_max = int64_t{2} << 30;  // weir.memory.max, bytes ("2GB")
  int partitions = 1;  // weir.partitions of sources that Weir's own log keeps
  int64_t record_bytes_max = 16 << 20;  // weir.record.bytes
  Micros file_quiet =
      10'000'000;  // weir.file.quiet: how long `up` leaves a file alone after it changed
  Micros lease = 10'000'000;  // weir.lease: how long an owner may be silent before
                              // another takes over
  int64_t table_file_bytes = 128
                             << 20;  // weir.table.fileBytes: where a data file is closed
};

struct Project {
  std::string dir, name;
  Settings settings;
  std::vector<contract::Contract> contracts;
  std::vector<sql::Model> models;
};

struct ProjectOptions {
  std::string profile;
  std::vector<std::pair<std::string, std::string>> overrides;  // --set
};

// Reads everything; every fault goes to `problems` with its file, line and fix; nullopt
// when there was any.
std::optional<Project> LoadProject(io::Io& io, const std::string& dir,
                                   const ProjectOptions& options,
                                   std::vector<contract::Problem>* problems);

// One setting by its key. kInvalid names the key ("did you mean …") or says what the
// value should look like.
Status ApplySetting(Settings& settings, std::string_view key, std::string_view value);

// "64", "16MB", "2GiB" -> bytes
Result<int64_t> ParseBytes(std::string_view text);

// The candidate nearest to `word`, if it is near enough to be meant.
std::optional<std::string> DidYouMean(std::string_view word,
                                      const std::vector<std::string>& candidates);

}  // namespace weir::project
