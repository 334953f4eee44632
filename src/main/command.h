// What all commands share: options, loading the project, printing faults.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/io.h"
#include "plan/plan.h"
#include "project/project.h"

namespace weir::main {

enum class Format { kText, kJson, kCsv };

// Options of the command line, as given.
struct Options {
  std::string project = ".", data, profile;
  Format format = Format::kText;
  std::vector<std::pair<std::string, std::string>> sets;
  std::map<std::string, std::string> sources;
};

// Exit codes: 0 fine; 1 a runtime failure or a failed check; 2 the call was wrong.
inline constexpr int kFine = 0, kFailed = 1, kWrongCall = 2;

// Prints "weir: <message>" to stderr and gives the exit code.
int Fail(const Error& error);
int Fail(const std::string& message, int code);
// The same for an error of a command that works on a data directory; says what to do when
// the cause is none of Weir's: rights, a full disk, too few descriptors, damaged files.
int FailIn(const std::string& data_dir, const Error& error);

// The project and its plan; faults are printed ("file:line: message; fix") and counted.
struct Loaded {
  std::unique_ptr<project::Project> project;
  std::unique_ptr<plan::Plan> plan;
};
std::optional<Loaded> Load(io::Io& io, const Options& options, int* faults);

// Prints "file:line: message; fix" for each to stderr; returns how many there are.
int PrintProblems(const std::vector<contract::Problem>& problems);

std::string AbsolutePath(const std::string& path);
// --data, else <project>/.weir
std::string DataDir(const Options& options);

// The commands; each returns the exit code.
// `example`: the template to start from; empty: a small project of its own.
int Init(io::Io& io, const std::string& dir, const std::string& example);
std::vector<std::string> Templates();
int Check(io::Io& io, const Options& options);
struct RunFlags {
  std::string address = "127.0.0.1";
  int port = 8080;
};
int RunOnce(io::Io& io, const Options& options);
int Up(io::Io& io, const Options& options, const RunFlags& flags);
int RunQuery(io::Io& io, const Options& options, const std::string& sql,
             const std::string& as_of);
int List(io::Io& io, const Options& options);
int Show(io::Io& io, const Options& options, const std::string& what,
         const std::string& name);
int Explain(io::Io& io, const Options& options, const std::string& model, bool analyze);
int Test(io::Io& io, const Options& options, const std::vector<std::string>& select);
int Relocate(io::Io& io, const Options& options);
struct TagFlags {
  std::string tables;  // with commas between
  std::string name, as_of, retain;
  bool replace = false, drop = false;
};
int Tag(io::Io& io, const Options& options, const TagFlags& flags);

}  // namespace weir::main
