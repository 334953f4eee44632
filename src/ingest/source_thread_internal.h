// What sources that look for files have in common: a thread that takes in, and the
// markers that it answers meanwhile and afterwards.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "ingest/source.h"

namespace weir::ingest {

class SourceThread : public Source {
 public:
  void RequestMarker(int64_t number) override;
  void StopTaking() override;
  void Stop() override;
  // A file's place is in the frontier; nothing else is kept.
  void Committed(const std::map<int, PartitionPosition>&) override {}

 protected:
  static constexpr auto kScanInterval = std::chrono::seconds(1);

  explicit SourceThread(SourceContext context);
  // Stops and joins: the first thing a derived class's destructor does.
  void Join();
  void StartThread();

  // Takes in until StopTaking, or until there is nothing more. Errors go to the flow.
  virtual Status Loop() = 0;
  // Adds the positions and what is to be remembered of them.
  virtual Status Fill(Marker& marker) = 0;

  bool Taking();
  // False: stop.
  bool WaitForMarkerOrStop(std::chrono::milliseconds wait);
  Status SendMarkers();  // those asked for
  Status SendMarker();
  Status Push(decltype(SourceEvent::what) what, size_t bytes);
  // Says it as an event and to the flow.
  Status Tell(const char* event, FileFault fault);
  // No descriptors left, a disk that does not answer: nothing was taken, so a running
  // source tries again a second later; a single pass (`once`) ends with the error.
  Status WaitIfLive(Error error, bool once);
  void TroubleIsOver() { trouble_.clear(); }

  const SourceContext context_;

 private:
  void Run();

  std::string trouble_;  // told about last
  std::mutex mutex_;
  std::condition_variable wake_;
  int64_t markers_sent_, markers_wanted_;
  bool taking_ = true, stopping_ = false;
  std::thread thread_;
};

}  // namespace weir::ingest
