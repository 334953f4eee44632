// The way from a source's log to the flow.
//
// The thread that acknowledges records (the taker) never waits for the flow: it offers
// what it made durable and goes on. The feeder hands that over in log order. What it was
// not offered, because the process just began or the flow is slow and memory is full, it
// reads from the log again, with the verdicts that stand there.
//
// Order of markers: a marker's delta holds the identities of everything judged, durable
// and brought back (Owner::Remember) when the taker made it. It may hold more than what
// was handed over before it, never less: so before each batch the markers made until then
// are sent.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>
#include <vector>

#include "ingest/pipeline.h"
#include "ingest/source.h"
#include "ingest/verdict.h"
#include "log/log.h"
#include "state/identities.h"

namespace weir::ingest {

// Records that were made durable together.
struct Group {
  std::vector<std::shared_ptr<std::string>> bodies;  // `checked` points into them
  Checked checked;
  std::vector<log::Verdict> verdicts;
  Micros received_at = 0;
  size_t bytes = 0;  // of the bodies
};

// The part of a group that went to one partition.
struct Piece {
  std::shared_ptr<const Group> group;
  int partition = 0;
  std::vector<int32_t> rows;
  LogOffset first{};
  Micros watermark = kNoTime;  // W_p after it
  int64_t end() const { return first.value + static_cast<int64_t>(rows.size()); }
};

// Records read back from the log.
struct PastBatch {
  std::optional<Micros> floor;  // the partition was woken with it before them
  Micros received_at = 0;
  std::vector<log::Record> records;
  std::shared_ptr<std::string> storage;
};

// A marker whose delta and positions the feeder fills in.
struct MarkerNote {
  Marker marker;
  // By the space they belong to.
  std::vector<std::pair<std::string, state::Identities::Changes>> identities;
};

class LogFeeder {
 public:
  // The taker, as the feeder sees it.
  class Owner {
   public:
    virtual ~Owner() = default;
    // Brings records that no verdict of this process knows of into the identity memory;
    // `watermark` is W_p before them. Waits; false: the source is stopping.
    virtual bool Remember(int partition, std::span<const PastBatch> past, LogOffset end,
                          const PartitionWatermark& watermark) = 0;
    // A marker is due because enough steps were handed over. Waits until it was noted;
    // false: the source is stopping.
    virtual bool MakeMarker() = 0;
    virtual void Failed(const Error& error) = 0;
  };

  struct PartitionStart {
    PartitionPosition position;
    log::Log* log;
  };

  LogFeeder(const SourceContext& context, const LogSourceOptions& options,
            std::unique_ptr<Pipeline> pipeline, Owner& owner);
  ~LogFeeder();

  void Start(std::vector<PartitionStart> partitions);
  void Stop();
  void Join();

  // The taker's side; none of these waits for the flow.
  //
  // Everything in `pieces` is durable. Memory has no room: dropped, to be read again.
  void Offer(std::vector<Piece> pieces);
  void NoteIdle(int partition, LogOffset at);
  void NoteMarker(MarkerNote marker);

  // How far a partition was handed over.
  LogOffset handed(int partition);

 private:
  struct IdleNote {
    int partition;
    LogOffset at;
  };
  using Item = std::variant<Piece, IdleNote, MarkerNote>;
  struct Partition {
    PartitionPosition position;  // of what was handed over
    PartitionWatermark watermark;
    log::Log* log;
    int64_t open_end;  // what stands before it was there when the source began
    // Guarded by mutex_.
    int64_t durable_end, handed;
  };
  // A stretch of a partition that was not offered.
  struct Gap {
    int partition;
    int64_t until;
  };

  Status Run();
  Status TellPositions();
  std::optional<Gap> NextGap() const;
  bool MayLinger(std::chrono::steady_clock::time_point now) const;
  std::vector<Piece> TakePieces();
  Item TakeFront();
  Status SendWaitingMarkers();
  Status Send(MarkerNote note);
  Status HandPieces(std::vector<Piece> pieces);
  Status HandRun(std::span<const Piece> pieces);
  Status ReadBack(const Gap& gap);
  Status HandPast(Partition& partition, std::span<const PastBatch> past, LogOffset end);
  Status HandOver(Partition& partition, JudgedBatch batch, int64_t rows);
  template <class T>
  Status Hand(T what, size_t bytes);

  const SourceContext& context_;
  const LogSourceOptions& options_;
  const std::unique_ptr<Pipeline> pipeline_;
  Owner& owner_;
  std::map<int, Partition> partitions_;
  int64_t steps_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Item> items_;  // in the order they came
  size_t items_bytes_ = 0;
  int64_t items_rows_ = 0;
  size_t urgent_ = 0;                             // of items_: all but pieces
  std::chrono::steady_clock::time_point oldest_;  // when items_ became non-empty
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace weir::ingest
