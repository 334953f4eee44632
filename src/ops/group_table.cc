#include "ops/group_table.h"

#include <cstdlib>
#include <new>

#include "base/check.h"

namespace weir::ops {
namespace {

constexpr size_t kPlacesMin = 1024;
constexpr uint32_t kNoGroup = ~uint32_t{0};  // touched_step of a free number
constexpr size_t kLineBytes = 64;

size_t SizeBytes(size_t item_bytes) {
  size_t out = 1;
  for (; item_bytes >= 0x80; item_bytes >>= 7) ++out;
  return out;
}

}  // namespace

GroupTable::GroupTable(size_t slot_bytes)
    : slot_bytes_(slot_bytes),
      stride_((sizeof(Group) + slot_bytes + 7) / 8 * 8),
      places_(kPlacesMin),
      mask_(kPlacesMin - 1) {}

GroupTable::~GroupTable() {
  for (uint32_t i = 0; i < index_end_; ++i) std::free(GroupAt(i)->heap.bytes);
}

size_t GroupTable::PlaceOf(Hash128 hash) const {
  const auto tag = static_cast<uint32_t>(hash.low);
  size_t at = hash.low & mask_;
  while (places_[at].index != 0) {
    if (places_[at].tag == tag && GroupAt(places_[at].index - 1)->hash == hash) return at;
    at = (at + 1) & mask_;
  }
  return at;
}

Group* GroupTable::Find(Hash128 hash) const {
  const Place& place = places_[PlaceOf(hash)];
  return place.index == 0 ? nullptr : GroupAt(place.index - 1);
}

void GroupTable::PrefetchGroup(Hash128 hash) const {
  const auto tag = static_cast<uint32_t>(hash.low);
  for (size_t at = hash.low & mask_; places_[at].index != 0; at = (at + 1) & mask_) {
    if (places_[at].tag != tag) continue;
    const char* group = reinterpret_cast<const char*>(GroupAt(places_[at].index - 1));
    for (size_t line = 0; line < stride_; line += kLineBytes)
      __builtin_prefetch(group + line);
    return;
  }
}

// A place is found by the low 32 bits of the hash alone, so moving places does not touch
// the groups.
void GroupTable::Grow() {
  std::vector<Place> old(places_.size() * 2);
  WEIR_CHECK(old.size() <= size_t{1} << 32);
  old.swap(places_);
  mask_ = places_.size() - 1;
  for (const Place& place : old) {
    if (place.index == 0) continue;
    size_t at = place.tag & mask_;
    while (places_[at].index != 0) at = (at + 1) & mask_;
    places_[at] = place;
  }
}

Group* GroupTable::Insert(Hash128 hash) {
  if (static_cast<size_t>(count_ + 1) * 10 > places_.size() * 7) Grow();
  uint32_t index;
  if (!free_.empty()) {
    index = free_.back();
    free_.pop_back();
  } else {
    index = index_end_++;
    if (index % kSlabGroups == 0) slabs_.emplace_back(new char[kSlabGroups * stride_]);
  }
  Group* group = new (GroupAt(index)) Group{.hash = hash};
  std::memset(group->slots(), 0, slot_bytes_);
  places_[PlaceOf(hash)] = {static_cast<uint32_t>(hash.low), index + 1};
  ++count_;
  return group;
}

void GroupTable::Remove(Group* group) {
  size_t hole = PlaceOf(group->hash);
  const uint32_t index = places_[hole].index - 1;
  // What was pushed past the hole moves back, so that no search ends early.
  for (size_t at = (hole + 1) & mask_; places_[at].index != 0; at = (at + 1) & mask_) {
    const size_t home = places_[at].tag & mask_;
    if (((at - home) & mask_) < ((at - hole) & mask_)) continue;
    places_[hole] = places_[at];
    hole = at;
  }
  places_[hole] = {};
  FreeHeap(group->heap);
  *group = {.touched_step = kNoGroup};
  free_.push_back(index);
  --count_;
}

Group* GroupTable::At(uint32_t index) const {
  Group* group = GroupAt(index);
  return group->touched_step == kNoGroup ? nullptr : group;
}

int64_t GroupTable::bytes() const {
  return count_ * static_cast<int64_t>(stride_) + heap_bytes_ +
         static_cast<int64_t>(places_.size() * sizeof(Place));
}

std::string_view GroupTable::Item(const GroupHeap& heap, uint32_t ref) {
  const auto* at = reinterpret_cast<const uint8_t*>(heap.bytes) + ref - 1;
  size_t size = 0;
  for (int shift = 0;; shift += 7) {
    const uint8_t byte = *at++;
    size |= size_t{byte & 0x7fu} << shift;
    if (byte < 0x80) break;
  }
  return {reinterpret_cast<const char*>(at), size};
}

char* GroupTable::MutableItem(GroupHeap& heap, uint32_t ref) {
  return const_cast<char*>(Item(heap, ref).data());
}

bool GroupTable::HasRoom(const GroupHeap& heap, size_t item_bytes) {
  return heap.size + SizeBytes(item_bytes) + item_bytes <= heap.capacity;
}

uint32_t GroupTable::AddItem(GroupHeap& heap, std::string_view item) {
  const uint32_t ref = heap.size + 1;
  char* out = heap.bytes + heap.size;
  size_t size = item.size();
  for (; size >= 0x80; size >>= 7) *out++ = static_cast<char>(size | 0x80);
  *out++ = static_cast<char>(size);
  std::memcpy(out, item.data(), item.size());
  heap.size = static_cast<uint32_t>(out + item.size() - heap.bytes);
  return ref;
}

GroupHeap GroupTable::RenewHeap(Group* group, size_t capacity) {
  WEIR_CHECK(capacity < size_t{1} << 31);  // the operators mark refs with the highest bit
  const GroupHeap old = group->heap;
  group->heap = {static_cast<char*>(std::malloc(capacity)), 0,
                 static_cast<uint32_t>(capacity)};
  WEIR_CHECK(group->heap.bytes != nullptr);
  heap_bytes_ += static_cast<int64_t>(capacity);
  return old;
}

void GroupTable::FreeHeap(GroupHeap heap) {
  heap_bytes_ -= heap.capacity;
  std::free(heap.bytes);
}

}  // namespace weir::ops
