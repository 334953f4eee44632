// The next lines of a file source, read and checked beside the judging of those before.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/result.h"
#include "ingest/line_reader.h"
#include "ingest/pipeline.h"

namespace weir::ingest {

// Lines and what the contract says of them.
struct CheckedLines {
  Lines lines;
  Checked checked;
};

// Reading, decoding and checking is most of what a file costs, and none of it depends on
// verdicts; so one step of it runs ahead, on a thread of its own. What comes out is the
// same whether a step ran ahead or not.
//
// Owned by one thread, the source's. From Begin until Take for the same reader, the
// reader belongs to this object; `pipeline` is only ever checked with through it.
class CheckAhead {
 public:
  CheckAhead(Pipeline& pipeline, int64_t rows_max, int64_t bytes_max);
  // Waits for what runs.
  ~CheckAhead();
  CheckAhead(const CheckAhead&) = delete;
  CheckAhead& operator=(const CheckAhead&) = delete;

  // Starts on the next lines of `reader`, unless a step is ahead already.
  void Begin(LineReader& reader);

  // The next lines of `reader`: what Begin was called for, or read now. Errors: those of
  // LineReader::Next, in their place among the lines, and those of Pipeline::Check, which
  // `check_failed` tells apart: they are no fault of the file.
  Result<CheckedLines> Take(LineReader& reader, bool* check_failed);

 private:
  struct Step {
    Result<CheckedLines> lines;
    bool check_failed = false;
  };

  void Run();
  Step Next(LineReader& reader);

  Pipeline& pipeline_;
  const int64_t rows_max_, bytes_max_;

  std::mutex mutex_;
  std::condition_variable changed_;
  LineReader* wanted_ = nullptr;  // to be read, or being read
  LineReader* ready_of_ = nullptr;
  std::optional<Step> ready_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace weir::ingest
