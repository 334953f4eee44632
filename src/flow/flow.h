// The running platform: sources in, models kept, epochs committed.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "base/time.h"
#include "commit/lease_term.h"
#include "flow/frontier.h"
#include "ingest/event_sink.h"
#include "ingest/judged.h"
#include "io/io.h"
#include "plan/plan.h"
#include "project/project.h"

namespace weir::flow {

struct FlowOptions {
  std::string data_dir;  // absolute
  bool once = true;      // ends when the files found at start are read and everything is
                         // committed; else runs until cancelled
  bool live =
      false;  // takes records over HTTP: sources with an http server get a log and a sink
  std::map<std::string, std::string> source_paths;  // --source NAME=PATH
  // See commit::CommitterOptions.
  bool wait_for_lease = false;
  std::shared_ptr<commit::LeaseTerm> lease_term;
  state::StoreOptions store;
};

// What a run did. Times in microseconds of wall time; the stages overlap.
struct RunReport {
  int64_t steps = 0, epochs = 0;
  int64_t received = 0, bytes = 0;  // in this run
  Micros wall = 0;
  std::map<std::string, ingest::Counts> ledger;  // by source, since the beginning
  std::map<std::string, Micros>
      stages;  // "models", "encode_wait", "finish", "commit", "behind"
  std::map<std::string, std::string> halted;  // model -> why
  // Files of this run that were not taken in, or not whole, by source; the newest ones.
  std::map<std::string, BrokenFiles> file_faults;
  std::string Json() const;
};

// How far a run is; called by the flow's thread a few times a second.
using Progress = std::function<void(const RunReport& so_far)>;

// The tables a project's sources bring, as the planner wants them.
std::vector<plan::InputTable> SourceInputs(
    const std::vector<contract::Contract>& contracts);

// Used by one thread, which becomes the flow's.
class Flow {
 public:
  virtual ~Flow() = default;  // stops the sources; what was not committed is read again
                              // by the next flow
  static Result<std::unique_ptr<Flow>> Open(io::Io& io, Clock& clock,
                                            const project::Project& project,
                                            const plan::Plan& plan, FlowOptions options);

  // Works until the end of input (once) or until `cancel`; then commits what was taken in
  // and returns. Errors: kConflict: ownership was lost; others name their cause.
  // Everything up to the last commit stands.
  virtual Result<RunReport> Run(const CancelToken& cancel, const Progress& progress) = 0;

  // Whether Run ended because the state store turned out to be damaged: the next flow
  // rebuilds it, see commit::Recovered::state_lost.
  virtual bool state_is_damaged() const = 0;

  // Where HTTP hands records in; null without `live`. Safe for concurrent use while Run
  // runs.
  virtual ingest::EventSink* sink() = 0;
};

}  // namespace weir::flow
