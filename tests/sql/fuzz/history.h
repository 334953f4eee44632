// A random project and random histories of its tables, and what it means that Weir is
// wrong about one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "case.h"
#include "query.h"

namespace weir::sqltest {

// What happens after a step.
enum class After : uint8_t {
  kNothing,
  kCheckpoint,  // the state is put aside, committed after the next step
  kCommit,
  kCrash,         // back to the last commit; the steps since then are done again
  kCrashGrouped,  // the same, but as one step
};

struct HistoryStep {
  std::vector<Feed> feeds;
  std::optional<Micros> watermark;  // once its rows are in
  After after = After::kNothing;
  bool ends = false;  // all rows are gone: what follows is a history of its own
};

struct History {
  int shards = 1;
  int64_t memory_max = 0;
  std::vector<HistoryStep> steps;
};

struct FuzzModel {
  std::string name;
  Query query;
  std::string constraints;  // clauses
  std::string cdc;          // clauses of a flow, which stands instead of the query

  std::string Text() const;  // the statements
};

struct Project {
  std::vector<plan::InputTable> tables;
  std::vector<Macro> macros;
  std::vector<FuzzModel> models;
  std::map<std::string, std::vector<std::string>> approximate;  // columns of models
};

// Tables of random columns, and models over them and over each other.
Project RandomProject(const Features& features, int models, int depth,
                      std::mt19937_64& random);
// `histories` one after the other in the same operators, if all tables can be emptied;
// otherwise one.
History RandomHistory(const Project& project, int histories, std::mt19937_64& random);

// The project as text, with the history's steps.
Case ToCase(const Project& project, const History& history);

struct Wrong {
  size_t step = 0;
  std::string model, message;
};

// Plays a history. nullopt: Weir's tables equalled DuckDB's answers after every step.
// Steps that DuckDB could not answer (an overflow, a failed cast) are left out, and what
// would take away rows they did not bring.
struct Played {
  std::optional<Wrong> wrong;
  int dropped = 0;    // steps
  History effective;  // without them
};
Result<Played> Play(const Case& c, const plan::Plan& plan, Oracle& oracle,
                    const History& history);

// A smaller project and history with a fault, found within `seconds`.
struct Failing {
  Project project;
  History history;
  Wrong wrong;
};
Failing Shrink(Failing failing, double seconds);

}  // namespace weir::sqltest
