// Where a front door (HTTP) hands records in, and what it is told about them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weir::ingest {

struct RecordResult {
  int64_t offset = 0;
  int partition = 0;
  std::string_view verdict;  // accepted | rejected | duplicate | late | blocked
  std::string_view reason;   // of a rejected record, else empty
  std::string field;
};

struct PushResult {
  enum class Code : uint8_t {
    kOk,  // durable: every record has its offset and verdict
    kUnknownSource,
    kFull,      // nothing was taken; try again later
    kStopping,  // nothing was taken; this process is going away
    kFailed,    // nothing is promised: the records may or may not be there; the identity
                // makes a retry safe
  };
  Code code = Code::kOk;
  std::vector<RecordResult> records;  // in the order given
  std::string message;
};

// Safe for concurrent use.
class EventSink {
 public:
  virtual ~EventSink() = default;
  // `records` point into `body`. `done` is called exactly once, from any thread, after
  // the records are durable or refused.
  virtual void Push(std::string source, std::shared_ptr<std::string> body,
                    std::vector<std::string_view> records,
                    std::function<void(PushResult)> done) = 0;
  virtual std::vector<std::string> sources() const = 0;
};

}  // namespace weir::ingest
