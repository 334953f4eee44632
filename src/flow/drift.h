// Fields that come and go without the contract saying so: first-seen undeclared ones, and
// declared ones that records stopped to carry.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contract/contract.h"
#include "data/batch.h"
#include "log/journal.h"

namespace weir::flow {

struct Drift {
  std::string source, contract_version;
  std::string field;      // dotted path; members of list elements as "route[].x"
  bool vanished = false;  // declared and not carried; else carried and not declared
  int64_t records = 0;    // of the batch (of all since it was carried last) it shows in
  int partition = 0;
  int64_t offset = -1;  // where the first of them stands, or of the step it is in
};
std::string DriftJson(const Drift& drift);  // the fields of a journal entry "drift"

// Tells each drift once for a source, a field and a version of its contract. Used by the
// flow's thread.
class DriftWatch {
 public:
  // So many accepted records in a row without a declared field that was carried before,
  // and so many times as many as usually lie from one that carries it to the next: it
  // vanished. A field that is rare is none that vanished.
  static constexpr int64_t kVanishedAfter = 1000, kVanishedGaps = 20;
  // Records whose keys are data would name fields without end; later ones are not told.
  static constexpr size_t kFieldsMax = 200;

  // One entry of the journal, at start: what was told before.
  Status Replay(const log::Journal::Entry& entry);

  // How often each field is carried, when it is time to journal it: at 10 records, at
  // 100, and so on, so that it is known after a restart.
  std::optional<std::string> CarriedJson(const contract::Contract& contract);

  // Looks at rows of bronze, the first of which stands at or behind `offset`. Returns
  // what is new.
  std::vector<Drift> Look(const contract::Contract& contract, const data::Batch& accepted,
                          int partition, int64_t offset);

 private:
  struct Source {
    std::set<std::string, std::less<>> undeclared, vanished;  // told
    struct Run {
      int64_t records = 0, offset = 0;
      int partition = 0;
    };
    std::map<std::string, Run> without;      // declared fields that records lack now
    int64_t records = 0, journalled = 0;     // looked at
    std::map<std::string, int64_t> carried;  // by how many of them, by declared field
  };

  void LookForUndeclared(const contract::Contract& contract, const data::Batch& accepted,
                         Source& source, std::vector<Drift>* out);
  void LookForVanished(const contract::Contract& contract, const data::Batch& accepted,
                       int partition, int64_t offset, Source& source,
                       std::vector<Drift>* out);

  std::map<std::pair<std::string, std::string>, Source> sources_;  // name and version
};

}  // namespace weir::flow
