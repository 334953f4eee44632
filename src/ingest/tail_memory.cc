#include "ingest/tail_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "ingest/wake_internal.h"

namespace weir::ingest {
namespace {

using log::Verdict;
using state::Identities;

constexpr size_t kPrefetchDistance = 16;

bool IsRemembered(Verdict verdict) {
  return verdict == Verdict::kAccepted || verdict == Verdict::kLate;
}

// Of an identity's low half: where it stands by its low bits, its tag by its high ones.
uint64_t Slot(uint64_t hash, uint32_t ordinal) {
  return (hash & 0xFFFF'FFFF'0000'0000ull) | (uint64_t{ordinal} + 1);
}
bool SameTag(uint64_t slot, uint64_t hash) { return (slot ^ hash) >> 32 == 0; }

}  // namespace

SlotTable::SlotTable(size_t size) {
  void* pages = ::mmap(nullptr, size * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  WEIR_CHECK(pages != MAP_FAILED);
  ::madvise(pages, size * sizeof(uint64_t), MADV_HUGEPAGE);  // a wish
  words_ = {static_cast<uint64_t*>(pages), Unmap{size}};
}

void SlotTable::Unmap::operator()(uint64_t* words) const {
  ::munmap(words, size * sizeof(uint64_t));
}

Result<TailMemory> TailMemory::Read(log::Log& log, LogOffset from,
                                    const VerdictRule& rule, Micros watermark,
                                    size_t chunk_records) {
  TailMemory out(log, rule, watermark, chunk_records);
  log::Log::Visitor visitor;
  visitor.payload = false;
  visitor.batch = [&](const log::RecordBatchView& batch) -> Result<bool> {
    out.Note(batch);
    return true;
  };
  visitor.control = [&](const log::ControlRecord& control) -> Result<bool> {
    if (const auto floor = WakeFloor(control); floor && out.watermark_.Wake(*floor))
      out.began_ = *floor;
    return true;
  };
  WEIR_TRY(log.Read(from, visitor));
  out.CloseChunk();
  static_cast<void>(out.TakeBuilt());
  out.noted_ = {};
  return out;
}

void TailMemory::Note(const log::RecordBatchView& batch) {
  if (rule_.has_identity) {
    // An ordinal has 32 bits, and a frame's records fit in 31.
    if (noted_.size() >= chunk_records_ ||
        (!open_.frames.empty() && batch.first.value - open_.first() > INT32_MAX))
      CloseChunk();
    open_.frames.push_back({batch.first.value, watermark_.value()});
    open_.end = batch.first.value + static_cast<int64_t>(batch.records.size());
  }
  for (size_t i = 0; i < batch.records.size(); ++i) {
    const log::Record& record = batch.records[i];
    if (record.verdict == Verdict::kAccepted &&
        watermark_.Accept(record.event_time, batch.received_at))
      began_ = watermark_.value();
    if (!rule_.has_identity || !IsRemembered(record.verdict)) continue;
    noted_.push_back({record.identity.low,
                      static_cast<uint32_t>(batch.first.value + static_cast<int64_t>(i) -
                                            open_.first())});
  }
}

// Tables are filled on another thread while the next frames are read.
void TailMemory::CloseChunk() {
  if (open_.frames.empty()) return;
  std::vector<Noted> next = TakeBuilt();
  next.reserve(chunk_records_);
  built_ = std::async(std::launch::async, Build, std::exchange(open_, {}),
                      std::exchange(noted_, std::move(next)));
}

std::vector<TailMemory::Noted> TailMemory::TakeBuilt() {
  if (!built_.valid()) return {};
  Built built = built_.get();
  chunks_.push_back(std::move(built.chunk));
  built.noted.clear();
  return std::move(built.noted);
}

TailMemory::Built TailMemory::Build(Chunk chunk, std::vector<Noted> noted) {
  chunk.slots = SlotTable(std::bit_ceil(std::max<size_t>(noted.size() * 4 / 3, 16)));
  const size_t mask = chunk.slots.size() - 1;
  for (size_t i = 0; i < noted.size(); ++i) {
    if (i + kPrefetchDistance < noted.size())
      __builtin_prefetch(&chunk.slots[noted[i + kPrefetchDistance].hash & mask], 1);
    size_t at = noted[i].hash & mask;
    while (chunk.slots[at] != 0) at = (at + 1) & mask;
    chunk.slots[at] = Slot(noted[i].hash, noted[i].ordinal);
  }
  return {std::move(chunk), std::move(noted)};
}

Result<std::optional<Identities::Entry>> TailMemory::Find(Hash128 id) {
  for (auto chunk = chunks_.rbegin(); chunk != chunks_.rend(); ++chunk) {
    const size_t mask = chunk->slots.size() - 1;
    std::optional<Identities::Entry> found;
    for (size_t at = id.low & mask; chunk->slots[at] != 0; at = (at + 1) & mask) {
      if (!SameTag(chunk->slots[at], id.low)) continue;
      const int64_t offset =
          chunk->first() + static_cast<int64_t>(chunk->slots[at] & 0xFFFF'FFFF) - 1;
      const auto behind = std::upper_bound(
          chunk->frames.begin(), chunk->frames.end(), offset,
          [](int64_t value, const Chunk::FrameStart& f) { return value < f.first; });
      const Chunk::FrameStart& start = *std::prev(behind);
      WEIR_TRY(LoadFrame(start));
      const auto& entry = loaded_.entries[static_cast<size_t>(offset - start.first)];
      if (entry.id == id) found = entry;
    }
    if (found) {
      if (found->judged_at_watermark == kNoTime) found->judged_at_watermark = began_;
      return found;
    }
  }
  return std::nullopt;
}

Status TailMemory::LoadFrame(const Chunk::FrameStart& start) {
  if (loaded_.first == start.first) return {};
  loaded_.first = -1;
  log::Log::Visitor visitor;
  visitor.payload = false;
  visitor.batch = [&](const log::RecordBatchView& batch) -> Result<bool> {
    PartitionWatermark watermark(rule_, start.watermark);
    loaded_.entries.clear();
    for (const log::Record& record : batch.records) {
      if (record.verdict == Verdict::kAccepted)
        static_cast<void>(watermark.Accept(record.event_time, batch.received_at));
      Identities::Entry& entry = loaded_.entries.emplace_back();
      if (IsRemembered(record.verdict))
        entry = {record.identity, record.content, watermark.value(), record.event_time};
    }
    loaded_.first = start.first;
    return false;
  };
  return log_->Read({start.first}, visitor);
}

void TailMemory::Forget(LogOffset offset) {
  std::erase_if(chunks_, [&](const Chunk& chunk) { return chunk.end <= offset.value; });
}

uint64_t TailMemory::bytes() const {
  uint64_t bytes = 0;
  for (const Chunk& chunk : chunks_)
    bytes += chunk.slots.size() * sizeof(uint64_t) +
             chunk.frames.size() * sizeof(Chunk::FrameStart);
  return bytes;
}

}  // namespace weir::ingest
