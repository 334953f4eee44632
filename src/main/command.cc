#include "main/command.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "flow/flow.h"

namespace weir::main {

int Fail(const std::string& message, int code) {
  fmt::print(stderr, "weir: {}\n", message);
  return code;
}

int Fail(const Error& error) { return Fail(error.message, kFailed); }

int FailIn(const std::string& data_dir, const Error& error) {
  const auto says = [&](const char* cause) {
    return error.message.find(cause) != std::string::npos;
  };
  std::string fix;
  if (says("No space left on device") || says("Disk quota exceeded")) {
    fix =
        "everything up to the last commit stands and nothing acknowledged is lost: make "
        "room and run it again, it goes on from there";
  } else if (says("Permission denied") || says("Operation not permitted") ||
             says("Read-only file system")) {
    fix = fmt::format(
        "give this user the right to write {}, or name another folder with --data",
        data_dir);
  } else if (says("Too many open files")) {
    fix =
        "raise the limit (ulimit -n 4096) and run it again, it goes on from the last "
        "commit";
  }
  return Fail(fix.empty() ? error.message : error.message + "; " + fix, kFailed);
}

std::string AbsolutePath(const std::string& path) {
  std::error_code ignored;
  std::string absolute =
      std::filesystem::absolute(path, ignored).lexically_normal().string();
  while (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  return absolute;
}

std::string DataDir(const Options& options) {
  return AbsolutePath(options.data.empty() ? io::Join(options.project, ".weir")
                                           : options.data);
}

int PrintProblems(const std::vector<contract::Problem>& problems) {
  for (const contract::Problem& problem : problems) {
    std::string line = problem.file;
    if (problem.line > 0) line += ":" + std::to_string(problem.line);
    line += ": " + problem.message;
    if (!problem.fix.empty()) line += "; " + problem.fix;
    fmt::print(stderr, "{}\n", line);
  }
  return static_cast<int>(problems.size());
}

namespace {

// Clauses and properties that are understood but that nothing acts on yet: silence would
// look like a promise.
void RefuseWhatIsNotKept(const project::Project& project,
                         std::vector<contract::Problem>* problems) {
  for (const contract::Contract& contract : project.contracts) {
    if (contract.identity_across_partitions) {
      problems->push_back({contract.file, 0,
                           "weir.identityScope contract comes with a later version",
                           "leave it out: identities are then remembered per partition, "
                           "and records are routed by weir.partitionKey"});
    }
    if (contract.raw == contract::RawPolicy::kArchive) {
      problems->push_back(
          {contract.file, 0, "weir.raw: archive comes with a later version",
           "use keep (segments of Weir's own log are kept; files stay where they are)"});
    }
    for (const contract::Server& server : contract.servers) {
      if (server.type == "local" || server.type == "http") continue;
      problems->push_back(
          {contract.file, 0,
           fmt::format("server '{}' has type '{}', which comes with a later version",
                       server.name, server.type),
           "use 'local' (files) or 'http' (the built-in gateway)"});
    }
  }
}

}  // namespace

std::optional<Loaded> Load(io::Io& io, const Options& options, int* faults) {
  std::vector<contract::Problem> problems;
  auto project = project::LoadProject(io, options.project,
                                      {options.profile, options.sets}, &problems);
  std::optional<plan::Plan> plan;
  if (project) {
    std::vector<plan::PlanProblem> plan_problems;
    plan = plan::MakePlan(flow::SourceInputs(project->contracts), project->models,
                          &plan_problems);
    for (plan::PlanProblem& problem : plan_problems) {
      std::string message = problem.problem.message;
      if (!problem.problem.excerpt.empty())
        message += fmt::format(" (at '{}')", problem.problem.excerpt);
      problems.push_back({problem.file, problem.problem.place.line, std::move(message),
                          problem.problem.fix});
    }
  }
  if (project) RefuseWhatIsNotKept(*project, &problems);
  *faults = PrintProblems(problems);
  // Paths of files are remembered: they must not depend on where a command is called.
  if (project) project->dir = AbsolutePath(project->dir);
  if (!project || !plan || !problems.empty()) return std::nullopt;
  Loaded out;
  out.project = std::make_unique<project::Project>(*std::move(project));
  out.plan = std::make_unique<plan::Plan>(*std::move(plan));
  return out;
}

}  // namespace weir::main
