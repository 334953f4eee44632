#include "ingest/check_ahead.h"

#include <utility>

namespace weir::ingest {

CheckAhead::CheckAhead(Pipeline& pipeline, int64_t rows_max, int64_t bytes_max)
    : pipeline_(pipeline),
      rows_max_(rows_max),
      bytes_max_(bytes_max),
      thread_([this] { Run(); }) {}

CheckAhead::~CheckAhead() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void CheckAhead::Begin(LineReader& reader) {
  std::lock_guard lock(mutex_);
  if (wanted_ != nullptr || ready_) return;
  wanted_ = &reader;
  changed_.notify_all();
}

Result<CheckedLines> CheckAhead::Take(LineReader& reader, bool* check_failed) {
  std::unique_lock lock(mutex_);
  // Another reader's step uses the decoder, too.
  changed_.wait(lock, [&] { return wanted_ == nullptr; });
  Step step = ready_of_ == &reader ? std::move(*ready_) : Next(reader);
  if (ready_of_ == &reader) {
    ready_of_ = nullptr;
    ready_.reset();
  }
  *check_failed = step.check_failed;
  return std::move(step.lines);
}

void CheckAhead::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || wanted_ != nullptr; });
    if (stopping_) return;
    LineReader* const reader = wanted_;
    lock.unlock();
    Step step = Next(*reader);
    lock.lock();
    ready_ = std::move(step);
    ready_of_ = std::exchange(wanted_, nullptr);
    changed_.notify_all();
  }
}

CheckAhead::Step CheckAhead::Next(LineReader& reader) {
  Result<Lines> lines = reader.Next(rows_max_, bytes_max_);
  if (!lines.ok()) return {std::move(lines).error()};
  Result<Checked> checked = pipeline_.Check(lines->records, lines->columns.get());
  if (!checked.ok()) return {std::move(checked).error(), true};
  return {CheckedLines{*std::move(lines), *std::move(checked)}};
}

}  // namespace weir::ingest
