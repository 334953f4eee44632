// weir.yml, and single settings as text.
#include "project/project.h"

#include "fuzz/fuzz.h"
#include "io/sim_io.h"

namespace weir::fuzz {
namespace {

void CheckSettings(const project::Settings& s) {
  WEIR_CHECK(s.step_rows > 0 && s.step_bytes > 0 && s.epoch_interval >= 0);
  WEIR_CHECK(s.epoch_steps >= 0 && s.shards > 0 && s.partitions > 0);
  WEIR_CHECK(s.memory_max > 0 && s.record_bytes_max > 0 && s.lease > 0);
  WEIR_CHECK(s.file_quiet >= 0 && s.table_file_bytes > 0);
}

}  // namespace

WEIR_FUZZER(project)(std::string_view bytes) {
  io::SimIo io;
  Must(io.CreateDirs("p"));
  Must(io.WriteNew("p/weir.yml", bytes));
  for (const char* profile : {"", "dev"}) {
    std::vector<contract::Problem> problems;
    const auto loaded =
        project::LoadProject(io, "p", {.profile = profile, .overrides = {}}, &problems);
    WEIR_CHECK(loaded.has_value() == problems.empty());
    for (const contract::Problem& problem : problems)
      WEIR_CHECK(!problem.file.empty() && !problem.message.empty());
    if (loaded) CheckSettings(loaded->settings);
  }
  // The same as --set: the first line is key=value.
  const std::string_view line = bytes.substr(0, bytes.find('\n'));
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos) return;
  project::Settings settings;
  const Status set =
      project::ApplySetting(settings, line.substr(0, equals), line.substr(equals + 1));
  if (!set.ok()) CheckError(set.error());
  CheckSettings(settings);
  const auto size = project::ParseBytes(line.substr(equals + 1));
  if (!size.ok()) CheckError(size.error());
}

}  // namespace weir::fuzz
