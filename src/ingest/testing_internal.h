// A small contract, and the queue's other end, for tests of sources.
#pragma once

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "contract/contract.h"
#include "ingest/source.h"
#include "io/sim_io.h"

namespace weir::ingest {

inline constexpr const char* kTestContract = R"(
apiVersion: v3.1.0
kind: DataContract
id: rides
name: rides
version: 1.2.0
status: active
customProperties:
  - {property: weir.eventTime, value: at}
  - {property: weir.lateness, value: PT1H}
  - {property: weir.identity, value: [id]}
  - {property: weir.partitionKey, value: [trip]}
servers:
  - {server: files, type: local, path: in, format: ndjson}
schema:
  - name: rides
    logicalType: object
    properties:
      - {name: id, logicalType: string, required: true}
      - {name: at, logicalType: timestamp, required: true}
      - {name: trip, logicalType: string}
      - {name: fare, logicalType: number}
)";

inline contract::Contract TestContract(const std::string& yaml = kTestContract) {
  std::vector<contract::Problem> problems;
  auto contract = contract::ParseContract("rides.odcs.yaml", yaml, &problems);
  for (const contract::Problem& problem : problems)
    ADD_FAILURE() << problem.line << ": " << problem.message;
  return *std::move(contract);
}

// {"id":"a","at":"2024-01-01T10:00:00Z","trip":"t"}; the time of day as HH:MM.
inline std::string Ride(const std::string& id, const std::string& time,
                        const std::string& trip = "t", const std::string& more = "") {
  return R"({"id":")" + id + R"(","at":"2024-01-01T)" + time + R"(:00Z","trip":")" +
         trip + R"(")" + more + "}";
}
inline Micros At(const std::string& time) {
  bool has_zone = false;
  return *ParseTimestamp("2024-01-01T" + time + ":00Z", &has_zone);
}

// A column of a batch as text, cells separated by blanks; nulls are "-".
inline std::string Cells(const data::Batch& batch, const std::string& column) {
  if (batch.rows == nullptr) return "";
  const auto values = batch.rows->GetColumnByName(column);
  if (values == nullptr) return "no column " + column;
  std::string out;
  for (int64_t i = 0; i < values->length(); ++i) {
    const auto scalar = *values->GetScalar(i);
    out += (out.empty() ? "" : " ") +
           (scalar->is_valid ? scalar->ToString() : std::string("-"));
  }
  return out;
}

// Set by the test while the source's thread reads it.
class TestClock final : public Clock {
 public:
  Micros Now() override { return now_; }
  Micros Monotonic() override { return now_; }
  void Advance(Micros by) { now_ += by; }

 private:
  std::atomic<Micros> now_{At("12:00")};
};

// What a source is given, and what it handed over since.
class SourceHarness {
 public:
  explicit SourceHarness(std::unique_ptr<io::Io> io,
                         contract::Contract contract = TestContract())
      : contract_(std::move(contract)), io_(std::move(io)) {
    Reopen();
  }
  // Goes on from what `before` had committed, on what is left of its disk.
  SourceHarness(std::unique_ptr<io::Io> io, const SourceHarness& before)
      : committed(before.committed),
        marker(before.marker),
        contract_(before.contract_),
        io_(std::move(io)),
        epoch_(before.epoch_) {
    Reopen();
  }
  ~SourceHarness() { queue_->Close(); }

  // As a new process on the same disk, with the same committed positions. Sources made
  // before must be gone.
  void Reopen() {
    store_.reset();
    journal_.With([](auto& journal) { journal.reset(); });
    queue_ = std::make_unique<EventQueue>(queue_bytes);
    auto journal = log::Journal::Open(*io_, "/journal");
    ASSERT_TRUE(journal.ok()) << journal.error().message;
    journal_.With([&](auto& slot) { slot = *std::move(journal); });
    auto store = state::Store::Open(*io_, "/state", epoch_,
                                    {.block_cache_bytes = 1 << 16,
                                     .write_buffer_bytes = 1 << 16,
                                     .deterministic = true});
    ASSERT_TRUE(store.ok()) << store.error().message;
    store_ = *std::move(store);
  }

  SourceContext context() {
    SourceContext out;
    out.contract = &contract_;
    out.io = io_.get();
    out.clock = &clock;
    out.journal = &journal_;
    out.queue = queue_.get();
    out.store = store_.get();
    out.global_watermark = &watermark;
    for (const auto& [number, position] : committed) out.committed.push_back(position);
    out.last_marker = marker;
    out.step_rows = step_rows;
    out.step_bytes = 1 << 20;
    out.record_bytes_max = 1000;
    return out;
  }

  // As the flow does when it ends: who waits for room is let go.
  void CloseQueue() { queue_->Close(); }

  // The next event; fails the test after ten seconds.
  SourceEvent Next() {
    auto event = queue_->PopFor(std::chrono::seconds(10));
    if (!event) {
      ADD_FAILURE() << "nothing was handed over";
      return {0, EndOfInput{}};
    }
    if (const auto* error = std::get_if<Error>(&event->what))
      ADD_FAILURE() << error->message;
    return *std::move(event);
  }
  // The next event of this kind; news of partitions and faults of files may stand before
  // it, nothing else.
  template <class T>
  T NextOf() {
    for (;;) {
      SourceEvent event = Next();
      if (auto* wanted = std::get_if<T>(&event.what)) return std::move(*wanted);
      if (std::holds_alternative<PartitionNews>(event.what) ||
          std::holds_alternative<FileFault>(event.what))
        continue;
      ADD_FAILURE() << "another event: " << event.what.index();
      return {};
    }
  }
  JudgedBatch NextBatch() { return NextOf<JudgedBatch>(); }
  std::optional<SourceEvent> NextWithin(std::chrono::milliseconds wait) {
    return queue_->PopFor(wait);
  }

  // Asks for the next marker, passes over what stands before it, and commits it.
  std::vector<JudgedBatch> CommitNext(Source& source) {
    source.RequestMarker(marker + 1);
    std::vector<JudgedBatch> out;
    for (;;) {
      SourceEvent event = Next();
      if (testing::Test::HasFailure()) return out;
      if (auto* batch = std::get_if<JudgedBatch>(&event.what))
        out.push_back(std::move(*batch));
      if (auto* done = std::get_if<Marker>(&event.what)) {
        Commit(*done, &source);
        return out;
      }
    }
  }
  void Commit(const Marker& done, Source* source) {
    EXPECT_EQ(done.number, marker + 1);
    marker = done.number;
    epoch_ = weir::Next(epoch_);
    const auto written = done.delta.Write(*io_, "/state", epoch_);
    ASSERT_TRUE(written.ok()) << written.error().message;
    ASSERT_TRUE(store_->Apply(done.delta, epoch_).ok());
    ASSERT_TRUE(store_->Flush().ok());
    for (const PartitionPosition& position : done.positions)
      committed[position.partition] = position;
    if (source != nullptr) source->Committed(committed);
  }

  io::Io& io() { return *io_; }
  const contract::Contract& contract() const { return contract_; }

  TestClock clock;
  std::atomic<Micros> watermark{kNoTime};
  std::map<int, PartitionPosition> committed;
  int64_t marker = 0;
  int64_t step_rows = 1000;
  size_t queue_bytes = 64 << 20;  // of the next Reopen

 private:
  const contract::Contract contract_;
  std::unique_ptr<io::Io> io_;
  SharedJournal journal_;
  std::unique_ptr<EventQueue> queue_;
  std::unique_ptr<state::Store> store_;
  Epoch epoch_{0};
};

}  // namespace weir::ingest
