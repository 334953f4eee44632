#include <algorithm>

#include "base/event.h"
#include "ingest/source_thread_internal.h"

namespace weir::ingest {

SourceThread::SourceThread(SourceContext context)
    : context_(std::move(context)),
      markers_sent_(context_.last_marker),
      markers_wanted_(context_.last_marker) {}

void SourceThread::Join() {
  Stop();
  if (thread_.joinable()) thread_.join();
}

void SourceThread::StartThread() {
  thread_ = std::thread([this] { Run(); });
}

void SourceThread::RequestMarker(int64_t number) {
  std::lock_guard lock(mutex_);
  markers_wanted_ = std::max(markers_wanted_, number);
  wake_.notify_all();
}

void SourceThread::StopTaking() {
  std::lock_guard lock(mutex_);
  taking_ = false;
}

void SourceThread::Stop() {
  std::lock_guard lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
}

void SourceThread::Run() {
  Status status = Loop();
  if (!status.ok() && status.error().code != Code::kCancelled)
    static_cast<void>(Push(std::move(status).error(), 0));
  // Markers are answered until the flow lets go of us, so that the last epoch can close.
  while (WaitForMarkerOrStop(std::chrono::hours(1))) {
    if (!SendMarkers().ok()) return;
  }
}

bool SourceThread::Taking() {
  std::lock_guard lock(mutex_);
  return taking_ && !stopping_;
}

bool SourceThread::WaitForMarkerOrStop(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, wait,
                 [&] { return stopping_ || markers_wanted_ > markers_sent_; });
  return !stopping_;
}

Status SourceThread::SendMarkers() {
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (markers_sent_ >= markers_wanted_) return {};
    }
    WEIR_TRY(SendMarker());
  }
}

Status SourceThread::SendMarker() {
  Marker marker;
  WEIR_TRY(Fill(marker));
  {
    std::lock_guard lock(mutex_);
    marker.number = ++markers_sent_;
    markers_wanted_ = std::max(markers_wanted_, markers_sent_);
  }
  const size_t bytes = marker.delta.bytes();
  return Push(std::move(marker), bytes);
}

Status SourceThread::Push(decltype(SourceEvent::what) what, size_t bytes) {
  SourceEvent event{context_.index, std::move(what)};
  if (!context_.queue->Push(std::move(event), bytes)) return Cancelled();
  return {};
}

Status SourceThread::Tell(const char* event, FileFault fault) {
  Event(event, Severity::kError)
      .With("source", context_.contract->name)
      .With("path", fault.path)
      .With("error", fault.error)
      .With("fix", fault.fix);
  return Push(std::move(fault), 0);
}

Status SourceThread::WaitIfLive(Error error, bool once) {
  if (once || error.code != Code::kUnavailable) return error;
  if (trouble_ != error.message) {
    Event("source_waits", Severity::kError)
        .With("source", context_.contract->name)
        .With("error", error.message)
        .With("fix", "it is tried again every second");
    trouble_ = error.message;
  }
  WaitForMarkerOrStop(kScanInterval);
  return {};
}

}  // namespace weir::ingest
