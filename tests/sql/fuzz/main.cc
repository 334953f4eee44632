// Differential fuzz of incremental SQL: random projects and histories, judged by DuckDB
// after every step. See tests/sql/README.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "base/event.h"
#include "history.h"

namespace weir::sqltest {
namespace {

struct Options {
  uint64_t seed = 0;
  int64_t histories = 5000;
  int jobs = 2;
  int depth = 4;
  int models = 6;
  int per_project = 10;
  int failures_max = 5;
  double shrink_seconds = 60;
  double incremental_min = 0.9;
  bool one = false;
  bool verbose = false;
  std::string found = WEIR_SOURCE_DIR "/tests/sql/found";
  std::string without;
};

const std::map<std::string, Feature>& FeatureNames() {
  static const std::map<std::string, Feature> kNames = {
      {"where", Feature::kWhere},
      {"distinct", Feature::kDistinct},
      {"aggregate", Feature::kAggregate},
      {"having", Feature::kHaving},
      {"top", Feature::kTop},
      {"distinct-on", Feature::kDistinctOn},
      {"subquery", Feature::kSubquery},
      {"nested-blocks", Feature::kNestedBlocks},
      {"cte", Feature::kCte},
      {"join", Feature::kJoin},
      {"set-operation", Feature::kSetOperation},
      {"in-subquery", Feature::kInSubquery},
      {"scalar-subquery", Feature::kScalarSubquery},
      {"correlated", Feature::kCorrelated},
      {"window", Feature::kWindow},
      {"limit", Feature::kLimit},
      {"grouping-sets", Feature::kGroupingSets},
      {"unnest", Feature::kUnnest},
      {"many-aggregates", Feature::kManyAggregates},
      {"qualify", Feature::kQualify},
      {"nested", Feature::kNested},
      {"constraints", Feature::kConstraints},
      {"row-errors", Feature::kRowErrors},
      {"asof", Feature::kAsof},
      {"time-windows", Feature::kTimeWindows},
      {"watermark", Feature::kWatermark},
      {"lateral", Feature::kLateral},
      {"decay", Feature::kDecay},
      {"resolve", Feature::kResolve},
      {"cdc", Feature::kCdc},
      {"macros", Feature::kMacros}};
  return kNames;
}

class Fuzz {
 public:
  explicit Fuzz(Options options) : options_(std::move(options)) {
    for (const auto& [name, feature] : FeatureNames()) {
      if (("," + options_.without + ",").find("," + name + ",") == std::string::npos)
        features_.insert(feature);
    }
  }

  int Run() {
    const auto began = std::chrono::steady_clock::now();
    fmt::print("seed {} (again: sql_fuzz --seed {} --histories {})\n", options_.seed,
               options_.seed, options_.histories);
    std::fflush(stdout);
    std::vector<std::thread> threads;
    for (int i = 0; i < (options_.one ? 1 : options_.jobs); ++i)
      threads.emplace_back([this] { Work(); });
    for (std::thread& thread : threads) thread.join();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    Report(seconds);
    return Judge();
  }

 private:
  void Work() {
    while (histories_ < options_.histories && failures_ < options_.failures_max) {
      const uint64_t number = next_++;
      if (options_.one && number > 0) return;
      OneProject(options_.seed + number);
    }
  }

  void Print(const std::string& text) {
    std::lock_guard lock(mutex_);
    fmt::print("{}", text);
    std::fflush(stdout);
  }

  void OneProject(uint64_t seed) {
    std::mt19937_64 random(seed * 0x9E3779B97F4A7C15 + 1);
    Project project = RandomProject(features_, options_.models, options_.depth, random);
    auto plan = MakePlanOf(&project, seed);
    if (!plan || plan->models.empty()) return;
    auto oracle = Oracle::Open(*plan, seed);
    if (!oracle.ok()) return Print(oracle.error().message + "\n");
    for (int left = options_.per_project; left > 0;) {
      const History history = RandomHistory(project, left, random);
      const Case c = ToCase(project, history);
      auto played = Play(c, *plan, **oracle, history);
      if (!played.ok()) {
        ++failures_;
        return Print(
            fmt::format("seed {}: {}\n{}", seed, played.error().message, CaseText(c)));
      }
      if (played->wrong) return Fail(seed, {project, played->effective, *played->wrong});
      const auto count = 1 + std::count_if(history.steps.begin(), history.steps.end(),
                                           [](const auto& step) { return step.ends; });
      left -= static_cast<int>(count);
      runs_ += count;
      histories_ += count * static_cast<int64_t>(plan->models.size());
      steps_ += static_cast<int64_t>(history.steps.size());
      dropped_ += played->dropped;
    }
  }

  // The plan of the models that can be planned and are kept incrementally; `project`
  // keeps only these.
  std::optional<plan::Plan> MakePlanOf(Project* project, uint64_t seed) {
    for (bool first = true; !project->models.empty(); first = false) {
      const Case c = ToCase(*project, {});
      Planned planned = PlanCase(c);
      if (planned.plan) {
        std::set<std::string> refreshed;
        for (const auto& model : planned.plan->models) {
          if (first || !counted_now_) Count(*project, model);
          if (model.kind == plan::BlockKind::kFullRefresh)
            refreshed.insert(model.model.name);
        }
        if (refreshed.empty()) return std::move(planned.plan);
        WithoutModels(project, refreshed);
        counted_now_ = true;
        auto plan = MakePlanOf(project, seed);
        counted_now_ = false;
        return plan;
      }
      // Each problem takes its model with it.
      std::set<std::string> bad(planned.faulty.begin(), planned.faulty.end());
      refused_ += static_cast<int64_t>(bad.size());
      if (options_.verbose) {
        for (const std::string& problem : planned.problems)
          Print(fmt::format("seed {}: refused: {}\n", seed, problem));
        for (const FuzzModel& model : project->models) {
          if (bad.contains(model.name)) Print("  " + model.Text() + "\n");
        }
      }
      if (bad.empty()) return std::nullopt;
      WithoutModels(project, bad);
    }
    return std::nullopt;
  }

  // Those that read a model that goes go, too.
  static void WithoutModels(Project* project, std::set<std::string> names) {
    for (const FuzzModel& model : project->models) {
      const std::string sql = model.Text();
      for (const std::string& name : std::set<std::string>(names)) {
        for (const char* end : {" ", ","}) {
          if (sql.find(name + end) != sql.npos) names.insert(model.name);
        }
      }
    }
    std::erase_if(project->models,
                  [&](const FuzzModel& m) { return names.contains(m.name); });
  }

  void Count(const Project& project, const plan::ModelPlan& model) {
    std::lock_guard lock(mutex_);
    for (const FuzzModel& m : project.models) {
      if (m.name != model.model.name) continue;
      const int blocks = m.cdc.empty() ? CountBlocks(m.query) : 1;
      (model.stages.empty() ? refreshed_ : incremental_) += blocks;
      if (model.stages.empty()) {
        kinds_["full refresh"] += blocks;
        reasons_[model.why_not_better] += blocks;
        if (options_.verbose)
          fmt::print("refreshed as a whole: {}\n  {}\n", model.why_not_better, m.Text());
      }
      for (const plan::Stage& stage : model.stages) {
        const bool whole = stage.kind == plan::BlockKind::kRecompute && stage.one_group;
        ++kinds_[std::string(plan::BlockKindName(stage.kind)) +
                 (whole ? " of all rows" : "")];
      }
    }
  }

  void Fail(uint64_t seed, Failing failing) {
    ++failures_;
    const std::string message = failing.wrong.message;
    Print(fmt::format("seed {}: {} {}\n", seed, failing.wrong.model, message));
    failing = Shrink(std::move(failing), options_.shrink_seconds);
    Case c = ToCase(failing.project, failing.history);
    c.comments = {fmt::format("Found by sql_fuzz --seed {} --one.", seed),
                  fmt::format("{} shard(s), {} bytes of memory.", failing.history.shards,
                              failing.history.memory_max)};
    c.name = fmt::format("seed {}", seed);
    const bool again = !RunCase(c).empty();
    if (!again) c.comments.push_back("Passes in the modes of the cases.");
    std::filesystem::create_directories(options_.found);
    const std::string file = fmt::format("{}/seed_{}.test", options_.found, seed);
    std::ofstream(file) << CaseText(c);
    Print(fmt::format("{}{}\nwritten to {}{}\n", CaseText(c), failing.wrong.message, file,
                      again ? "" : ", where the case holds in its modes"));
  }

  void Report(double seconds) {
    fmt::print(
        "{} histories of models ({} of projects, {} steps, {} left out as DuckDB had no "
        "answer) in {:.0f} s, {} queries refused\n",
        histories_.load(), runs_.load(), steps_.load(), dropped_.load(), seconds,
        refused_.load());
    int64_t all = 0;
    for (const auto& [_, count] : kinds_) all += count;
    fmt::print("blocks of queries: {} incremental, {} refreshed as a whole; stages:\n",
               incremental_, refreshed_);
    for (const auto& [kind, count] : kinds_)
      fmt::print("  {:21} {:7} {:5.1f} %\n", kind, count,
                 100.0 * static_cast<double>(count) / static_cast<double>(all));
    for (const auto& [reason, count] : reasons_)
      fmt::print("    {:6} {}\n", count, reason);
  }

  int Judge() {
    bool ok = failures_ == 0;
    if (!options_.one &&
        static_cast<double>(incremental_) <
            options_.incremental_min * static_cast<double>(incremental_ + refreshed_)) {
      fmt::print("fewer than {:.0f} % of the blocks are kept incrementally\n",
                 100 * options_.incremental_min);
      ok = false;
    }
    if (failures_ > 0) fmt::print("{} failures\n", failures_.load());
    return ok ? 0 : 1;
  }

  const Options options_;
  Features features_;
  std::mutex mutex_;
  std::atomic<uint64_t> next_{0};
  std::atomic<int64_t> histories_{0}, runs_{0}, steps_{0}, dropped_{0}, refused_{0};
  std::atomic<int> failures_{0};
  static thread_local bool counted_now_;
  std::map<std::string, int64_t> kinds_, reasons_;
  int64_t incremental_ = 0, refreshed_ = 0;  // blocks
};
thread_local bool Fuzz::counted_now_ = false;

}  // namespace
}  // namespace weir::sqltest

int main(int argc, char** argv) {
  weir::SetEventSeverity(weir::Severity::kError);
  weir::sqltest::Options options;
  options.seed = std::random_device{}();
  CLI::App app("Random projects and histories against DuckDB.");
  app.add_option("--seed", options.seed, "of the first project");
  app.add_flag("--one", options.one, "the project of that seed alone");
  app.add_option("--histories", options.histories, "of single models");
  app.add_option("--jobs", options.jobs);
  app.add_option("--depth", options.depth, "of nested queries");
  app.add_option("--models", options.models, "of a project");
  app.add_option("--failures", options.failures_max, "to stop after");
  app.add_option("--shrink", options.shrink_seconds, "seconds for each failure");
  app.add_option("--incremental", options.incremental_min,
                 "the least part of blocks that must be incremental");
  app.add_option("--without", options.without, "productions to leave out, with commas");
  app.add_option("--found", options.found, "where failing cases are written");
  app.add_flag("--verbose", options.verbose);
  CLI11_PARSE(app, argc, argv);
  return weir::sqltest::Fuzz(options).Run();
}
