// The identities in memory: an open-addressing table in parts. Each part grows by itself,
// and not all at the same fill, so that no single insert pays for the whole table: the
// thread that inserts is the one whose answers callers wait for.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/hash.h"
#include "base/time.h"

namespace weir::state {

// What is remembered of one record.
struct IdentityEntry {
  Hash128 id;                      // never {0, 0}
  uint64_t content = 0;            // hash of the record's canonical content
  Micros judged_at_watermark = 0;  // kNoTime: judged before there was a watermark
  Micros event_time = 0;
};

// Used by one thread; const calls by any number.
class IdentityTable {
 public:
  // From `slots_max` slots on a part stays as it is until it is nearly full. The owner
  // keeps the table at three quarters of that.
  explicit IdentityTable(size_t slots_max)
      : part_bits_(std::countr_zero(
            std::clamp<size_t>(std::bit_floor(slots_max / kPartSlots), 1, kPartsMax))),
        part_slots_max_(std::max(kSlotsMin, slots_max >> part_bits_)),
        parts_(size_t{1} << part_bits_) {}

  // nullptr: not there. The pointer holds until the next Put or Sweep.
  const IdentityEntry* Find(Hash128 id) const {
    const Part& part = parts_[PartOf(id)];
    if (part.count == 0) return nullptr;
    const IdentityEntry& entry = part.slots[SlotOf(part, id)];
    return entry.id == id ? &entry : nullptr;
  }

  // Starts to bring the id's place near. Inline without fail: GCC takes a function that
  // only prefetches for one without effect, and drops its calls.
  [[gnu::always_inline]] void Prefetch(Hash128 id) const {
    const Part& part = parts_[PartOf(id)];
    if (part.count > 0) __builtin_prefetch(&part.slots[FirstSlotOf(part, id)]);
  }

  // Adds the entry, or replaces that of its id. `gone(entry)` tells which others may be
  // dropped.
  template <class Gone>
  void Put(const IdentityEntry& entry, const Gone& gone) {
    const size_t number = PartOf(entry.id);
    Part& part = parts_[number];
    if (part.count + 1 > part.full) Rebuild(number, gone);
    IdentityEntry& slot = part.slots[SlotOf(part, entry.id)];
    if (slot.id == Hash128{}) {
      ++part.count;
      ++size_;
    }
    slot = entry;
  }

  // Drops what is gone from some parts, going on where the last call ended, until it has
  // seen `slots` slots. True: it has come round to the first part again.
  template <class Gone>
  bool Sweep(size_t slots, const Gone& gone) {
    for (size_t seen = 0; seen < slots;) {
      const Part& part = parts_[sweep_];
      seen += part.slots.size() + 1;
      if (std::any_of(part.slots.begin(), part.slots.end(), [&](const auto& entry) {
            return entry.id != Hash128{} && gone(entry);
          }))
        Rebuild(sweep_, gone);
      sweep_ = (sweep_ + 1) % parts_.size();
      if (sweep_ == 0) return true;
    }
    return false;
  }

  template <class Visit>
  void ForEach(const Visit& visit) const {
    for (const Part& part : parts_) {
      for (const IdentityEntry& entry : part.slots)
        if (entry.id != Hash128{}) visit(entry);
    }
  }
  template <class Change>
  void ForEach(const Change& change) {
    for (Part& part : parts_) {
      for (IdentityEntry& entry : part.slots)
        if (entry.id != Hash128{}) change(entry);
    }
  }

  size_t size() const { return size_; }
  int64_t bytes() const {
    size_t bytes = parts_.capacity() * sizeof(Part);
    for (const Part& part : parts_) bytes += part.slots.size() * sizeof(IdentityEntry);
    return static_cast<int64_t>(bytes);
  }

 private:
  static constexpr size_t kPartSlots = 8192;  // of a full table's part; 320 KiB
  static constexpr size_t kPartsMax = 1024;
  static constexpr size_t kSlotsMin = 16;

  struct Part {
    std::vector<IdentityEntry> slots;  // linear probing; id {0, 0} is a free slot
    size_t count = 0;
    size_t full = 0;  // entries that it takes before it is made anew
  };

  // Ids are hashes: their lowest bits choose the part, those above them the slot.
  size_t PartOf(Hash128 id) const { return id.low & (parts_.size() - 1); }
  size_t FirstSlotOf(const Part& part, Hash128 id) const {
    return (id.low >> part_bits_) & (part.slots.size() - 1);
  }
  size_t SlotOf(const Part& part, Hash128 id) const {
    const size_t mask = part.slots.size() - 1;
    size_t at = FirstSlotOf(part, id);
    while (part.slots[at].id != Hash128{} && part.slots[at].id != id)
      at = (at + 1) & mask;
    return at;
  }

  // Between a half and three quarters, another fill for each part: ids spread so evenly
  // that all would grow at the same moment.
  size_t FullAt(size_t slots, size_t number) const {
    if (slots >= part_slots_max_) return slots - slots / 16;
    return slots * (2 * parts_.size() + number) / (4 * parts_.size());
  }

  template <class Gone>
  void Rebuild(size_t number, const Gone& gone) {
    Part& part = parts_[number];
    std::vector<IdentityEntry> old;
    old.swap(part.slots);
    const auto stays = [&](const IdentityEntry& entry) {
      return entry.id != Hash128{} && !gone(entry);
    };
    const auto live = static_cast<size_t>(std::count_if(old.begin(), old.end(), stays));
    size_t slots = std::clamp(std::bit_ceil((live + 1) * 4), kSlotsMin,
                              std::bit_floor(part_slots_max_));
    while (FullAt(slots, number) < live + 1) slots *= 2;
    part.slots.resize(slots);
    part.full = FullAt(slots, number);
    for (const IdentityEntry& entry : old)
      if (stays(entry)) part.slots[SlotOf(part, entry.id)] = entry;
    size_ -= part.count - live;
    part.count = live;
  }

  int part_bits_;
  size_t part_slots_max_;
  std::vector<Part> parts_;
  size_t size_ = 0;
  size_t sweep_ = 0;  // the part that Sweep looks at next
};

}  // namespace weir::state
