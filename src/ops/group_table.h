// Groups by the 128-bit hash of their key: a header, then a fixed number of slot bytes
// that the operator lays out, and a small heap of their own for what varies in size.
// Groups do not move while they are in the table.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "ops/cells.h"

namespace weir::ops {

// Items of varying size in one allocation. A ref is the item's place + 1, so a ref of 0
// is none; refs survive until Compact moves items.
struct GroupHeap {
  char* bytes = nullptr;
  uint32_t size = 0, capacity = 0;
};

struct Group {
  // kRecent: written by the newest checkpoint.
  enum Flag : uint32_t { kEmitted = 1, kDirty = 2, kRecent = 4 };

  Hash128 hash;
  int64_t rows = 0;  // weights of its rows, added up
  GroupHeap heap;
  uint32_t touched_step = 0;  // the last step that touched it
  uint32_t flags = 0;

  char* slots() { return reinterpret_cast<char*>(this + 1); }
  bool Is(Flag flag) const { return (flags & flag) != 0; }
};
static_assert(sizeof(Group) == 48);

class GroupTable {
 public:
  explicit GroupTable(size_t slot_bytes);
  ~GroupTable();
  GroupTable(const GroupTable&) = delete;
  GroupTable& operator=(const GroupTable&) = delete;

  Group* Find(Hash128 hash) const;
  // A new group with zeroed slots. The hash is not in the table.
  Group* Insert(Hash128 hash);
  // Frees the group and its heap.
  void Remove(Group* group);

  // Brings the place of `hash` near; then, a little later, the group itself.
  void PrefetchPlace(Hash128 hash) const {
    __builtin_prefetch(&places_[hash.low & mask_]);
  }
  void PrefetchGroup(Hash128 hash) const;

  size_t slot_bytes() const { return slot_bytes_; }
  int64_t count() const { return count_; }
  int64_t bytes()
      const;  // of the groups that live, their heaps included, and of the places

  // Groups are numbered from 0 to index_end(); At is null for a number without group.
  uint32_t index_end() const { return index_end_; }
  Group* At(uint32_t index) const;

  // The item behind a ref.
  static std::string_view Item(const GroupHeap& heap, uint32_t ref);
  static char* MutableItem(GroupHeap& heap, uint32_t ref);
  // Whether an item of that size can be added without room being made.
  static bool HasRoom(const GroupHeap& heap, size_t item_bytes);
  // Adds an item; there is room.
  static uint32_t AddItem(GroupHeap& heap, std::string_view item);
  // Replaces the heap by an empty one of that capacity and returns the old one, for its
  // items to be moved over; FreeHeap it then.
  GroupHeap RenewHeap(Group* group, size_t capacity);
  void FreeHeap(GroupHeap heap);

 private:
  struct Place {
    uint32_t tag = 0;    // the low half of hash.low
    uint32_t index = 0;  // of the group, + 1; 0: free
  };
  static constexpr uint32_t kSlabGroups = 1024;

  Group* GroupAt(uint32_t index) const {
    return reinterpret_cast<Group*>(slabs_[index / kSlabGroups].get() +
                                    static_cast<size_t>(index % kSlabGroups) * stride_);
  }
  size_t PlaceOf(Hash128 hash) const;
  void Grow();

  const size_t slot_bytes_, stride_;
  std::vector<Place> places_;
  size_t mask_;
  std::vector<std::unique_ptr<char[]>> slabs_;
  std::vector<uint32_t>
      free_;  // numbers of removed groups; their hash is {0, 0} and their step ~0
  uint32_t index_end_ = 0;
  int64_t count_ = 0, heap_bytes_ = 0;
};

}  // namespace weir::ops
