#include "ops/aggregate_update.h"

#include <bit>

namespace weir::ops {
namespace {

template <class T>
void AddTo(char* at, T value) {
  WriteAs(at, static_cast<T>(ReadAs<T>(at) + value));
}

}  // namespace

Status AggregateUpdate::Load(const data::Batch& batch, const data::Schema& input) {
  WEIR_TRY(columns_.Load(batch.rows, input, layout_.used_columns));
  for (size_t i = 0; i < orders_.size(); ++i)
    WEIR_TRY(orders_[i].Load(layout_.orders[i], columns_));
  weights_ = batch.weights.empty() ? nullptr : batch.weights.data();
  return {};
}

void AggregateUpdate::Apply(size_t begin, std::span<Group* const> groups) {
  begin_ = begin;
  end_ = begin + groups.size();
  groups_ = groups;
  winners_.resize(layout_.calls.size());
  minor_owner_.resize(orders_.size());
  for (auto& owners : minor_owner_) owners.assign(groups.size(), 0);
  for (size_t i = 0; i < layout_.calls.size(); ++i) {
    const CallLayout& call = layout_.calls[i];
    if (call.has_range) Ranges(static_cast<int>(i));
    if (call.distinct) steps_ = value_steps_.data();
    switch (call.form) {
      case SlotForm::kCount:
        Count(call);
        break;
      case SlotForm::kIntegerSum:
        SumIntegers(call);
        break;
      case SlotForm::kWideIntegerSum:
        SumWideIntegers(call);
        break;
      case SlotForm::kFloatSum:
        SumFloats(call);
        break;
      case SlotForm::kBools:
        Bools(call);
        break;
      case SlotForm::kOrdinal:
        Ordinals(call);
        break;
      case SlotForm::kWinner:
        FindWinners(call, &winners_[i]);
        break;
      case SlotForm::kRange:
      case SlotForm::kMode:
        break;
      case SlotForm::kVariance:
        Variances(call);
        break;
      case SlotForm::kLogSum:
        LogSums(call);
        break;
    }
    steps_ = nullptr;
  }
  for (size_t i = 0; i < layout_.calls.size(); ++i) {
    if (layout_.calls[i].form == SlotForm::kWinner)
      KeepWinners(layout_.calls[i], winners_[i]);
  }
}

// Calls f(row) for the rows of the chunk that count for the call.
template <class F>
void AggregateUpdate::ForEachSelected(const CallLayout& call, F&& f) {
  const uint64_t* masks[3];
  size_t count = 0;
  const auto use = [&](const Bits& bits) {
    if (!bits.empty()) masks[count++] = bits.data();
  };
  if (call.filter >= 0) use(columns_.True(call.filter));
  if (call.argument_present) use(columns_.Column(call.argument).valid());
  if (call.order_present)
    use(columns_.Column(layout_.orders[static_cast<size_t>(call.order)].columns[0])
            .valid());
  if (count == 0) {
    for (size_t row = begin_; row < end_; ++row) f(row);
    return;
  }
  for (size_t word = begin_ / 64; word * 64 < end_; ++word) {
    uint64_t selected = masks[0][word];
    for (size_t i = 1; i < count; ++i) selected &= masks[i][word];
    if (end_ - word * 64 < 64) selected &= (uint64_t{1} << (end_ - word * 64)) - 1;
    for (; selected != 0; selected &= selected - 1)
      f(word * 64 + static_cast<size_t>(std::countr_zero(selected)));
  }
}

void AggregateUpdate::Count(const CallLayout& call) {
  ForEachSelected(call, [&](size_t row) {
    AddTo<int64_t>(group(row)->slots() + call.offset, weight(row));
  });
}

void AggregateUpdate::SumIntegers(const CallLayout& call) {
  const int64_t* values = columns_.Integers(call.argument);
  ForEachSelected(call, [&](size_t row) {
    char* slot = group(row)->slots() + call.offset;
    AddTo<Int128>(slot, static_cast<Int128>(values[row]) * weight(row));
    AddTo<int64_t>(slot + 16, weight(row));
  });
}

void AggregateUpdate::SumWideIntegers(const CallLayout& call) {
  const Int128* values = columns_.Column(call.argument).values<Int128>();
  ForEachSelected(call, [&](size_t row) {
    char* slot = group(row)->slots() + call.offset;
    const Int128 value = ReadAs<Int128>(reinterpret_cast<const char*>(values + row));
    AddTo<Int128>(slot, (value >> 64) * weight(row));
    AddTo<Int128>(slot + 16,
                  static_cast<Int128>(static_cast<uint64_t>(value)) * weight(row));
    AddTo<int64_t>(slot + 32, weight(row));
  });
}

void AggregateUpdate::SumFloats(const CallLayout& call) {
  const double* values = columns_.Doubles(call.argument);
  ForEachSelected(call, [&](size_t row) {
    Group* g = group(row);
    char* slot = g->slots() + call.offset;
    AddTo<int64_t>(slot + 16, weight(row));
    NarrowSum narrow{ReadAs<Int128>(slot)};
    if (narrow.TryAdd(values[row], weight(row))) [[likely]] {
      WriteAs(slot, narrow.value);
      return;
    }
    uint32_t ref = ReadAs<uint32_t>(slot + 24);
    if (ref == 0) {
      const WideSum none;
      ref = AddHeapItem(table_, g, layout_,
                        {reinterpret_cast<const char*>(&none), sizeof none});
      WriteAs(slot + 24, ref);
    }
    char* item = GroupTable::MutableItem(g->heap, ref);
    auto wide = ReadAs<WideSum>(item);
    wide.Add(values[row], weight(row));
    WriteAs(item, wide);
  });
}

void AggregateUpdate::Bools(const CallLayout& call) {
  const int64_t* values = columns_.Integers(call.argument);
  ForEachSelected(call, [&](size_t row) {
    AddTo<int64_t>(group(row)->slots() + call.offset + (values[row] != 0 ? 0 : 8),
                   weight(row));
  });
}

void AggregateUpdate::Ordinals(const CallLayout& call) {
  const int64_t* values = columns_.Ordinals(call.argument);
  const auto update = [&](auto&& better) {
    ForEachSelected(call, [&](size_t row) {
      char* slot = group(row)->slots() + call.offset;
      if (slot[8] != 0 && !better(values[row], ReadAs<int64_t>(slot))) return;
      WriteAs(slot, values[row]);
      slot[8] = 1;
    });
  };
  if (call.smallest)
    update(std::less<int64_t>());
  else
    update(std::greater<int64_t>());
}

// A row that wins is only noted in the slot: most lose again to a row of the same chunk,
// and their values need not be copied.
void AggregateUpdate::FindWinners(const CallLayout& call,
                                  std::vector<uint32_t>* winners) {
  winners->clear();
  const int64_t* majors = orders_[static_cast<size_t>(call.order)].majors();
  const auto find = [&](auto&& better) {
    ForEachSelected(call, [&](size_t row) {
      char* slots = group(row)->slots();
      const uint32_t ref = ReadAs<uint32_t>(slots + call.minor_offset());
      const int64_t best = ReadAs<int64_t>(slots + call.offset), major = majors[row];
      if (ref != 0 && !better(major, best) &&
          (major != best || !WinsTie(call, slots, ref, row)))
        return;
      WriteAs(slots + call.offset, major);
      WriteAs(slots + call.minor_offset(), kPendingRow | static_cast<uint32_t>(row));
      winners->push_back(static_cast<uint32_t>(row));
    });
  };
  if (call.smallest)
    find(std::less<int64_t>());
  else
    find(std::greater<int64_t>());
}

// Rows that are equal in their whole order are told apart by their values, so that
// arrival does not decide.
bool AggregateUpdate::WinsTie(const CallLayout& call, const char* slots, uint32_t ref,
                              size_t row) const {
  const OrderKeys& order = orders_[static_cast<size_t>(call.order)];
  const InputColumn& argument = columns_.Column(call.argument);
  const GroupHeap& heap = group(row)->heap;
  std::string_view best_minor, best_cell;
  bool best_null = false;
  if (ref >= kPendingRow) {
    const size_t best_row = ref & ~kPendingRow;
    best_minor = order.Minor(best_row);
    best_null = argument.IsNull(best_row);
    best_cell = argument.Cell(best_row);
  } else {
    if (ref != kEmptyMinor) best_minor = GroupTable::Item(heap, ref);
    best_null = call.null_values && slots[call.null_offset()] != 0;
    if (!best_null) {
      best_cell =
          call.width > 0
              ? std::string_view(slots + call.value_offset(),
                                 static_cast<size_t>(call.width))
              : GroupTable::Item(heap, ReadAs<uint32_t>(slots + call.value_offset()));
    }
  }
  int difference = order.Minor(row).compare(best_minor);
  const bool null = argument.IsNull(row);
  if (difference == 0) difference = static_cast<int>(null) - static_cast<int>(best_null);
  if (difference == 0 && !null) difference = argument.Cell(row).compare(best_cell);
  return call.smallest ? difference < 0 : difference > 0;
}

void AggregateUpdate::KeepWinners(const CallLayout& call,
                                  const std::vector<uint32_t>& winners) {
  const OrderKeys& order = orders_[static_cast<size_t>(call.order)];
  const InputColumn& argument = columns_.Column(call.argument);
  std::vector<uint32_t>& owners = minor_owner_[static_cast<size_t>(call.order)];
  for (const uint32_t row : winners) {
    Group* g = group(row);
    if (ReadAs<uint32_t>(g->slots() + call.minor_offset()) != (kPendingRow | row))
      continue;
    uint32_t& owner = owners[row - begin_];
    const std::string_view minor = order.Minor(row);
    uint32_t ref = kEmptyMinor;
    if (owner != 0)
      ref = ReadAs<uint32_t>(g->slots() + owner);
    else if (!minor.empty())
      ref = AddHeapItem(table_, g, layout_, minor);
    WriteAs(g->slots() + call.minor_offset(), ref);
    owner = call.minor_offset();

    const bool null = argument.IsNull(row);
    if (call.null_values) g->slots()[call.null_offset()] = null ? 1 : 0;
    if (call.width > 0) {
      std::memcpy(g->slots() + call.value_offset(), argument.Cell(row).data(),
                  static_cast<size_t>(call.width));
    } else {
      WriteAs(g->slots() + call.value_offset(),
              uint32_t{0});  // the old value's item may go if room is made
      if (!null)
        WriteAs(g->slots() + call.value_offset(),
                AddHeapItem(table_, g, layout_, argument.Cell(row)));
    }
  }
}

void AggregateUpdate::Variances(const CallLayout& call) {
  SumFloats(call);
  const double* values = columns_.Doubles(call.argument);
  ForEachSelected(call, [&](size_t row) {
    Group* g = group(row);
    char* slot = g->slots() + call.offset;
    auto narrow = ReadAs<NarrowSquares>(slot + 28);
    if (narrow.TryAdd(values[row], weight(row))) {
      WriteAs(slot + 28, narrow);
      return;
    }
    uint32_t ref = ReadAs<uint32_t>(slot + 60);
    if (ref == 0) {
      const WideSquares none;
      ref = AddHeapItem(table_, g, layout_,
                        {reinterpret_cast<const char*>(&none), sizeof none});
      WriteAs(slot + 60, ref);
    }
    char* item = GroupTable::MutableItem(g->heap, ref);
    auto wide = ReadAs<WideSquares>(item);
    wide.Add(values[row], weight(row));
    WriteAs(item, wide);
  });
}

void AggregateUpdate::LogSums(const CallLayout& call) {
  const double* values = columns_.Doubles(call.argument);
  ForEachSelected(call, [&](size_t row) {
    Group* g = group(row);
    char* slot = g->slots() + call.offset;
    AddTo<int64_t>(slot, weight(row));
    const uint32_t ref = ReadAs<uint32_t>(slot + 8);
    PowerSums sums;
    if (ref != 0) sums = PowerSums(GroupTable::Item(g->heap, ref));
    sums.Add(values[row], weight(row));
    const std::string_view bytes = sums.bytes();
    if (ref != 0 && GroupTable::Item(g->heap, ref).size() == bytes.size()) {
      std::memcpy(GroupTable::MutableItem(g->heap, ref), bytes.data(), bytes.size());
      return;
    }
    WriteAs(slot + 8, uint32_t{0});  // the old item may go if room is made
    WriteAs(slot + 8, AddHeapItem(table_, g, layout_, bytes));
  });
}

void AggregateUpdate::Ranges(int call_index) {
  const CallLayout& call = layout_.calls[static_cast<size_t>(call_index)];
  const OrderKeys& order = orders_[static_cast<size_t>(call.order)];
  const InputColumn& argument = columns_.Column(call.argument);
  if (call.distinct) value_steps_.assign(end_ - begin_, 0);
  ForEachSelected(call, [&](size_t row) {
    order_key_.clear();
    entry_.clear();
    order.AppendTo(row, &order_key_);
    char scratch[8];
    const bool null = argument.IsNull(row);
    AppendRangeEntry(order_key_, null,
                     null
                         ? std::string_view()
                         : CanonicalCell(argument.Cell(row), call.argument_type, scratch),
                     &entry_);
    int64_t bytes;
    SortedCounts::Entry* entry =
        AddToRange(group(row), call, entry_, weight(row), &bytes);
    range_bytes_ += bytes;
    if (call.distinct) {
      value_steps_[row - begin_] = entry == nullptr               ? -1
                                   : entry->weight == weight(row) ? 1
                                                                  : 0;
    }
    if (entry != nullptr && entry->dirty) return;
    if (entry != nullptr) entry->dirty = true;
    dirty_.push_back({group(row), call_index, entry_});
  });
}

}  // namespace weir::ops
