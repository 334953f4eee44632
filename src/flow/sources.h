// All sources of a flow: contracts bound to files and to Weir's own log.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "flow/frontier.h"
#include "ingest/event_sink.h"
#include "ingest/file_catalog.h"
#include "ingest/source.h"
#include "project/project.h"

namespace weir::flow {

// For the identities that one partition keeps in memory; twice that while a table of them
// is on its way to disk.
inline int64_t IdentityBytes(const project::Settings& settings, size_t sources) {
  return settings.memory_max / 24 / static_cast<int64_t>(sources);
}

struct SourcesOptions {
  std::string data_dir;
  bool once = true, live = false;
  std::map<std::string, std::string> paths;  // --source NAME=PATH
  ingest::EventQueue* queue = nullptr;
  ingest::SharedJournal* journal = nullptr;
  state::Store* store = nullptr;
  const std::atomic<Micros>* global_watermark = nullptr;
  int64_t owner = 0;  // owner epoch
  std::function<bool()> lease_valid;
  // The committed rows of a table; called while the sources start.
  std::function<Result<std::vector<data::Batch>>(const std::string& table)> rows;
};

// A contract's servers number their partitions from 1000 times the server's place in the
// contract: the first server's are 0, 1, …
inline constexpr int kPartitionsPerServer = ingest::kFilePartitionsMax;

// Used by the flow's thread; sink() by anybody.
class Sources {
 public:
  static Result<std::unique_ptr<Sources>> Open(io::Io& io, Clock& clock,
                                               const project::Project& project,
                                               const Frontier& frontier,
                                               SourcesOptions options);
  ~Sources();

  size_t size() const { return all_.size(); }
  const std::string& name(size_t index) const { return all_[index].name; }
  size_t contract_index(size_t index) const { return all_[index].contract; }

  Status Start();
  void RequestMarker(int64_t number);
  void StopTaking();
  void Stop();
  void Committed(const Frontier& frontier);
  ingest::EventSink* sink() { return sink_.get(); }

 private:
  struct One {
    std::string name;
    size_t contract = 0;
    int first_partition = 0;
    std::unique_ptr<ingest::Source> source = nullptr;
    ingest::LogSource* log = nullptr;
    bool first = false;  // reference data: starts before the others
  };
  class Sink;

  Sources() = default;
  Status Bind(io::Io& io, Clock& clock, const project::Project& project,
              const Frontier& frontier, const SourcesOptions& options, size_t contract);

  std::vector<One> all_;
  std::unique_ptr<ingest::EventSink> sink_;
};

}  // namespace weir::flow
