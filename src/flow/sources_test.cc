// Several sources that begin together.
#include <chrono>
#include <thread>

#include "flow/testing_internal.h"
#include "io/forwarding_io.h"

namespace weir::flow {
namespace {

constexpr const char* kEarly = R"(apiVersion: v3.1.0
kind: DataContract
id: early
name: early
version: 1.0.0
servers:
  - {server: files, type: local, path: early, format: ndjson}
customProperties:
  - {property: weir.eventTime, value: seen}
  - {property: weir.lateness, value: PT1H}
schema:
  - name: early
    logicalType: object
    properties:
      - {name: id, logicalType: string, required: true}
      - {name: seen, logicalType: timestamp, required: true}
)";

// Files of one source are slow to open, so that it is found out about late.
class SlowIo final : public io::ForwardingIo {
 public:
  explicit SlowIo(io::Io& io) : ForwardingIo(io) {}
  Result<std::unique_ptr<io::File>> Open(const std::string& path,
                                         io::OpenMode mode) override {
    if (path.starts_with("/p/slow/"))
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return ForwardingIo::Open(path, mode);
  }
};

TEST(SourcesTest, ASourceThatIsSlowToBeginIsNotLateForTheOthers) {
  std::string slow = kEarly;
  for (size_t at; (at = slow.find("early")) != std::string::npos;)
    slow.replace(at, 5, "slow");
  io::SimIo disk;
  const std::pair<const char*, std::string> files[] = {
      {"/p/weir.yml", "name: two\nconfiguration:\n  weir.epoch.steps: 1\n"},
      {"/p/contracts/early.odcs.yaml", kEarly},
      {"/p/contracts/slow.odcs.yaml", slow},
      {"/p/early/a.ndjson", "{\"id\":\"e1\",\"seen\":\"2026-01-02T00:00:00Z\"}\n"},
      {"/p/slow/a.ndjson", "{\"id\":\"s1\",\"seen\":\"2026-01-01T00:00:00Z\"}\n"}};
  for (const auto& [path, text] : files) {
    const std::string dir(io::DirName(path));
    ASSERT_TRUE(disk.CreateDirs(dir).ok());
    ASSERT_TRUE(disk.WriteNew(path, text).ok());
    ASSERT_TRUE(disk.SyncDir(dir).ok());
  }
  std::vector<contract::Problem> problems;
  const auto project = project::LoadProject(disk, "/p", {}, &problems);
  ASSERT_TRUE(project.has_value());
  std::vector<plan::PlanProblem> plan_problems;
  const auto plan =
      plan::MakePlan(SourceInputs(project->contracts), project->models, &plan_problems);
  ASSERT_TRUE(plan.has_value());
  FlowOptions options;
  options.data_dir = "/lake";
  SlowIo io(disk);
  SystemClock clock;
  const auto flow = Flow::Open(io, clock, *project, *plan, options);
  ASSERT_TRUE(flow.ok()) << flow.error().message;
  const auto report = (*flow)->Run(CancelToken(), nullptr);
  ASSERT_TRUE(report.ok()) << report.error().message;
  for (const auto& [source, counts] : report->ledger)
    EXPECT_EQ(counts.accepted, 1) << source << " late " << counts.late;
}

}  // namespace
}  // namespace weir::flow
