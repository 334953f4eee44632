// The way of a source's records to Weir: late, twice, broken, out of order; and what
// becomes of each, by the rules of verdicts (DESIGN rule 4) told in plain C++.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "generate/text.h"
#include "io/io.h"

namespace weir::generate {

// Shares of the records that …
struct Trouble {
  Millis delay = 1500;          // all arrive up to so much after they happened
  double late = 0.02;           // arrive later than that, by …
  Millis late_by = 20 * kHour;  // … up to so much
  double parked = 0;            // arrive beyond the bound …
  Millis parked_from = 3 * kDay, parked_to = 4 * kDay;  // … after so much
  double retried = 0.01;                                // come again within two minutes
  double again_in_hours = 0.005;                        // … within a day
  double again_in_days = 0.005;                         // … after one day …
  Millis again_to = 30 * kDay;                          // … to so much
  double conflicting = 0;  // … after a minute, with other content
  double broken = 0.005;   // are broken on the way
};

// How a delivery is written. A conflicting one keeps identity and event time.
enum class Delivered : uint8_t { kPlain, kConflicting, kBroken };

// One record as it arrives.
struct Delivery {
  Millis at = 0;       // arrival
  uint32_t event = 0;  // which true event: its identity
  Delivered form = Delivered::kPlain;
  uint16_t dice = 0;  // for the details of broken ones
};

// The deliveries of the events that happened at `times`, in order of arrival. A broken
// event is never delivered whole. `seed` should differ by source.
std::vector<Delivery> Deliver(const std::vector<Millis>& times, const Trouble& trouble,
                              uint64_t seed);

// Behind all others comes `event`, whole and once: where the sources of a system end with
// events of one time, its watermark does not depend on which of them ends first.
void DeliverLast(uint32_t event, std::vector<Delivery>* deliveries);

enum class Verdict : uint8_t {
  kAccepted,
  kDuplicate,
  kConflictingDuplicate,
  kLate,
  kRejected
};

// Gives the records of one partition their verdicts.
class Judge {
 public:
  // `memory`: how far the watermark moves before an identity is forgotten.
  Judge(size_t identities, Millis lateness, Millis memory)
      : lateness_(lateness),
        memory_(memory),
        seen_(identities, kNever),
        content_(identities, 0) {}
  Judge(size_t identities, Millis lateness)
      : Judge(identities, lateness, lateness + kDay) {}
  // Records that say they happened at `time` or later are from clocks that are ahead:
  // they are accepted and move no watermark.
  void SetAhead(Millis time) { ahead_ = time; }

  // `newest` is the newest accepted event time of the record's partition. `content` tells
  // records of one identity apart; they have one event time.
  Verdict Decide(size_t identity, Millis at, uint8_t content, Millis* newest);
  Verdict Decide(size_t identity, Millis at, uint8_t content = 0) {
    return Decide(identity, at, content, &newest_);
  }
  // Newest accepted event time - lateness; kNever before the first.
  Millis watermark() const { return newest_ == kNever ? kNever : newest_ - lateness_; }

  static constexpr Millis kNever = INT64_MIN;

 private:
  Millis lateness_, memory_, newest_ = kNever, ahead_ = INT64_MAX;
  std::vector<Millis> seen_;      // the watermark right after the identity was judged
  std::vector<uint8_t> content_;  // of the record that is known under it
};

// Where a source's records went.
struct Ledger {
  int64_t received = 0, accepted = 0, rejected = 0, duplicate = 0, late = 0, blocked = 0;
  int64_t conflicting = 0;  // of the duplicates
  void Count(Verdict verdict);
};

// A source of one partition: how its records are written and judged.
struct SourceText {
  std::string name;  // of the source: the files go to <out>/data/<name>/
  Millis lateness = 0;
  Millis ahead = INT64_MAX;  // see Judge::SetAhead
  // The file that a delivery belongs to; ascending with the deliveries. Empty: all go to
  // "<name>.ndjson".
  std::function<std::string(const Delivery&)> file;
  // The first line of a file; empty: none.
  std::function<std::string(const std::string& file)> header;
  // Appends the record, without line end.
  std::function<void(const Delivery&, std::string* out)> write;
};

struct SourceFate {
  Ledger ledger;
  std::vector<bool> accepted;        // by event
  Millis watermark = Judge::kNever;  // at the end
  int64_t bytes = 0;
};

// Writes the deliveries to the source's files, judging each on the way.
Result<SourceFate> WriteSource(io::Io& io, const std::string& out,
                               const SourceText& source, const std::vector<Millis>& times,
                               const std::vector<Delivery>& deliveries);

// <out>/answer/ledger.json: {"source": {"received": …}, …}.
Status WriteLedgers(io::Io& io, const std::string& out,
                    const std::map<std::string, Ledger>& by_source);

// The rows of a table in the answer: <out>/answer/<table>.ndjson.
Status WriteAnswer(io::Io& io, const std::string& out, const std::string& table,
                   const std::vector<JsonObject>& rows);

// Makes a record unreadable, by cutting it off inside.
void CutShort(uint16_t dice, size_t start, std::string* text);

}  // namespace weir::generate
