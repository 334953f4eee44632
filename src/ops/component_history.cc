#include "ops/component_history.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>

namespace weir::ops {
namespace {

// For each of `count` numbers its place in their order; equal ones have the same.
template <class Less>
std::vector<uint32_t> Ranks(size_t count, const Less& less) {
  std::vector<uint32_t> sorted(count), ranks(count);
  std::iota(sorted.begin(), sorted.end(), 0u);
  std::sort(sorted.begin(), sorted.end(), less);
  for (size_t i = 1; i < count; ++i)
    ranks[sorted[i]] = ranks[sorted[i - 1]] + (less(sorted[i - 1], sorted[i]) ? 1 : 0);
  return ranks;
}

class Sweep {
 public:
  Sweep(const Region& region, int time, int64_t most)
      : region_(region),
        most_(most),
        records_(region.records()),
        values_(region.values.size()) {
    const auto ranks = Ranks(region.times.size(), [&](uint32_t a, uint32_t b) {
      return region.times[a] < region.times[b];
    });
    orders_ = Ranks(region.rows.size(), [&](uint32_t a, uint32_t b) {
      return region.rows[a].order < region.rows[b].order;
    });
    pairs_of_.resize(region.rows.size());
    for (uint32_t i = 0; i < region.rows.size(); ++i) {
      const Region::Row& row = region.rows[i];
      if (!row.there[static_cast<size_t>(time)]) continue;
      events_.push_back({ranks[row.from], Event::kBegins, i, row.from});
      if (row.to != kNone) events_.push_back({ranks[row.to], Event::kEnds, i, row.to});
      for (const uint32_t value : row.values) {
        const uint32_t stop = region.stops[static_cast<size_t>(time)][value];
        if (stop == kNone || ranks[row.from] < ranks[stop])
          pairs_of_[i].push_back(PairOf(row.record, value));
      }
    }
    for (uint32_t value = 0; value < values_.size(); ++value) {
      const uint32_t stop = region.stops[static_cast<size_t>(time)][value];
      if (stop != kNone) events_.push_back({ranks[stop], Event::kStops, value, stop});
    }
    std::sort(events_.begin(), events_.end());
  }

  std::vector<Outcome> Make() {
    for (size_t begin = 0, end = 0; begin < events_.size(); begin = end) {
      while (end < events_.size() && events_[end].rank == events_[begin].rank) ++end;
      At({events_.begin() + static_cast<std::ptrdiff_t>(begin),
          events_.begin() + static_cast<std::ptrdiff_t>(end)});
    }
    for (uint32_t record = 0; record < records_.size(); ++record) Close(record, kNone);
    std::sort(out_.begin(), out_.end());
    return std::move(out_);
  }

 private:
  struct Event {
    enum What : uint8_t { kBegins, kEnds, kStops };  // a row, a row, a value
    uint32_t rank;
    What what;
    uint32_t number;
    uint32_t time;
    friend auto operator<=>(const Event&, const Event&) = default;
  };
  // A record that carries a value, by so many rows that are there.
  struct Pair {
    uint32_t record, value;
    uint32_t rows = 0;
    bool carried = false;  // among the carriers of the value
    bool touched = false;
    uint32_t at_value = 0, at_record = 0;  // its places in their lists
  };
  struct Record {
    std::multiset<uint32_t> orders;  // of its rows
    std::vector<uint32_t> pairs;
    uint32_t component = kNone;
    uint32_t order = kNone;                 // the least, at the last moment
    uint32_t first = kNone, since = kNone;  // the span that is open
    uint32_t set = 0;                       // its number in Rebuild
    bool touched = false, changed = false;
  };
  struct Value {
    std::vector<uint32_t> carriers;  // pairs
    bool stopped = false, touched = false;
    bool did_link = false;    // at the last moment
    uint32_t linked = kNone;  // then: a record that it linked
    uint32_t seen = kNone;    // in Rebuild
  };
  struct Component {
    std::vector<uint32_t> records;
    uint32_t first = kNone;
  };

  uint32_t PairOf(uint32_t record, uint32_t value) {
    const auto [at, is_new] = pair_numbers_.emplace(uint64_t{record} << 32 | value,
                                                    static_cast<uint32_t>(pairs_.size()));
    if (is_new) pairs_.push_back({record, value});
    return at->second;
  }

  bool Links(const Value& value) const {
    const size_t carriers = value.carriers.size();
    return !value.stopped && carriers > 1 &&
           (most_ < 0 || carriers <= static_cast<size_t>(most_));
  }

  void Touch(uint32_t number) {
    Value& value = values_[number];
    if (std::exchange(value.touched, true)) return;
    touched_values_.push_back(number);
    value.did_link = Links(value);
    value.linked = value.did_link ? pairs_[value.carriers[0]].record : kNone;
  }

  void Count(uint32_t row, bool begins) {
    const uint32_t number = region_.rows[row].record;
    Record& record = records_[number];
    if (!std::exchange(record.touched, true)) touched_records_.push_back(number);
    if (begins) {
      record.orders.insert(orders_[row]);
    } else {
      record.orders.erase(record.orders.find(orders_[row]));
    }
    for (const uint32_t at : pairs_of_[row]) {
      Pair& pair = pairs_[at];
      Touch(pair.value);
      if (!std::exchange(pair.touched, true)) touched_pairs_.push_back(at);
      pair.rows += begins ? 1u : ~0u;
    }
  }

  void At(std::span<const Event> events) {
    for (const Event& event : events) {
      if (event.what == Event::kStops) {
        Touch(event.number);
        values_[event.number].stopped = true;
      } else {
        Count(event.number, event.what == Event::kBegins);
      }
    }
    bool cuts = false;
    std::vector<uint32_t> added;  // pairs
    for (const uint32_t at : touched_pairs_) {
      Pair& pair = pairs_[at];
      pair.touched = false;
      if (pair.carried == (pair.rows > 0)) continue;
      if (pair.rows > 0) {
        added.push_back(at);
        Carry(at);
      } else {
        cuts |= values_[pair.value].did_link;
        Drop(at);
      }
    }
    for (const uint32_t number : touched_values_)
      cuts |= values_[number].did_link && !Links(values_[number]);
    for (const uint32_t number : touched_records_) {
      const Record& record = records_[number];
      cuts |= record.order != kNone && OrderOf(record) > record.order &&
              components_[record.component].first == number;
    }
    if (cuts) {
      Rebuild();
    } else {
      Join(added);
    }
    for (const uint32_t number : touched_values_) values_[number].touched = false;
    for (const uint32_t number : touched_records_) records_[number].touched = false;
    touched_pairs_.clear();
    touched_values_.clear();
    touched_records_.clear();
    for (const uint32_t number : changed_) Settle(number, events[0].time);
    changed_.clear();
  }

  static uint32_t OrderOf(const Record& record) {
    return record.orders.empty() ? kNone : *record.orders.begin();
  }

  void Carry(uint32_t at) {
    Pair& pair = pairs_[at];
    pair.carried = true;
    const auto append = [&](std::vector<uint32_t>& list) {
      list.push_back(at);
      return static_cast<uint32_t>(list.size() - 1);
    };
    pair.at_value = append(values_[pair.value].carriers);
    pair.at_record = append(records_[pair.record].pairs);
  }

  void Drop(uint32_t at) {
    Pair& pair = pairs_[at];
    pair.carried = false;
    const auto take = [&](std::vector<uint32_t>& list, uint32_t Pair::*place) {
      const uint32_t last = list.back();
      list[pair.*place] = last;
      pairs_[last].*place = pair.*place;
      list.pop_back();
    };
    take(values_[pair.value].carriers, &Pair::at_value);
    take(records_[pair.record].pairs, &Pair::at_record);
  }

  // ------------------------------------------------------------------------ components

  uint32_t NewComponent() {
    if (free_.empty()) {
      components_.emplace_back();
      return static_cast<uint32_t>(components_.size() - 1);
    }
    const uint32_t out = free_.back();
    free_.pop_back();
    return out;
  }
  void FreeComponent(uint32_t number) {
    components_[number] = {};
    free_.push_back(number);
  }

  void NoteChanged(uint32_t number) {
    if (!std::exchange(records_[number].changed, true)) changed_.push_back(number);
  }
  void NoteChanged(const std::vector<uint32_t>& records) {
    for (const uint32_t number : records) NoteChanged(number);
  }

  // Records and links came, and none went.
  void Join(std::span<const uint32_t> added) {
    for (const uint32_t number : touched_records_) {
      Record& record = records_[number];
      record.order = OrderOf(record);
      if (record.component == kNone) {
        record.component = NewComponent();
        components_[record.component] = {{number}, number};
        NoteChanged(number);
        continue;
      }
      Component& component = components_[record.component];
      if (component.first == number || record.order > records_[component.first].order)
        continue;
      component.first = number;
      NoteChanged(component.records);
    }
    for (const uint32_t at : added) {
      const Value& value = values_[pairs_[at].value];
      if (value.did_link && Links(value)) Unite(value.linked, pairs_[at].record);
    }
    for (const uint32_t number : touched_values_) {
      const Value& value = values_[number];
      if (value.did_link || !Links(value)) continue;
      for (const uint32_t at : value.carriers)
        Unite(pairs_[value.carriers[0]].record, pairs_[at].record);
    }
  }

  void Unite(uint32_t a, uint32_t b) {
    uint32_t into = records_[a].component, from = records_[b].component;
    if (into == from) return;
    if (components_[into].records.size() < components_[from].records.size())
      std::swap(into, from);
    const bool from_wins =
        records_[components_[from].first].order < records_[components_[into].first].order;
    NoteChanged(components_[from_wins ? into : from].records);
    if (from_wins) components_[into].first = components_[from].first;
    for (const uint32_t number : components_[from].records) {
      records_[number].component = into;
      components_[into].records.push_back(number);
    }
    FreeComponent(from);
  }

  // The components that had links which went, or get new ones, are made anew.
  void Rebuild() {
    std::vector<uint32_t> members, old;
    const auto take = [&](uint32_t number) {
      const uint32_t component = records_[number].component;
      if (component == kNone) {
        // It is new; it is taken once, since it gets a number.
        if (records_[number].set == 0) {
          members.push_back(number);
          records_[number].set = static_cast<uint32_t>(members.size());
        }
        return;
      }
      old.push_back(component);
      for (const uint32_t member : components_[component].records) {
        members.push_back(member);
        records_[member].set = static_cast<uint32_t>(members.size());
        records_[member].component = kNone;
      }
    };
    for (const uint32_t number : touched_records_) take(number);
    for (const uint32_t number : touched_values_) {
      const Value& value = values_[number];
      if (value.did_link) {
        take(value.linked);
      } else if (Links(value)) {
        for (const uint32_t at : value.carriers) take(pairs_[at].record);
      }
    }
    for (const uint32_t component : old) FreeComponent(component);

    std::vector<uint32_t> parents(members.size()), seen;
    std::iota(parents.begin(), parents.end(), 0u);
    const auto find = [&](uint32_t i) {
      while (parents[i] != i) i = parents[i] = parents[parents[i]];
      return i;
    };
    for (uint32_t i = 0; i < members.size(); ++i) {
      Record& record = records_[members[i]];
      record.order = OrderOf(record);
      for (const uint32_t at : record.pairs) {
        Value& value = values_[pairs_[at].value];
        if (!Links(value)) continue;
        if (value.seen == kNone) {
          value.seen = i;
          seen.push_back(pairs_[at].value);
        } else {
          parents[find(i)] = find(value.seen);
        }
      }
    }
    for (const uint32_t number : seen) values_[number].seen = kNone;
    std::vector<uint32_t> of_root(members.size(), kNone);
    for (uint32_t i = 0; i < members.size(); ++i) {
      Record& record = records_[members[i]];
      record.set = 0;
      if (record.order == kNone) continue;
      uint32_t& number = of_root[find(i)];
      if (number == kNone) number = NewComponent();
      record.component = number;
      Component& component = components_[number];
      component.records.push_back(members[i]);
      if (component.first == kNone || record.order < records_[component.first].order)
        component.first = members[i];
    }
    NoteChanged(members);
  }

  // --------------------------------------------------------------------------- outcome

  void Settle(uint32_t number, uint32_t moment) {
    Record& record = records_[number];
    record.changed = false;
    const uint32_t first =
        record.component == kNone ? kNone : components_[record.component].first;
    if (first == record.first) return;
    Close(number, moment);
    record.first = first;
    record.since = moment;
  }

  void Close(uint32_t number, uint32_t moment) {
    const Record& record = records_[number];
    if (record.first != kNone)
      out_.push_back({number, record.first, record.since, moment});
  }

  const Region& region_;
  const int64_t most_;
  std::vector<uint32_t> orders_;                 // by row: its place in the order of all
  std::vector<std::vector<uint32_t>> pairs_of_;  // by row
  std::vector<Event> events_;
  std::vector<Pair> pairs_;
  std::unordered_map<uint64_t, uint32_t> pair_numbers_;
  std::vector<Record> records_;
  std::vector<Value> values_;
  std::vector<Component> components_;
  std::vector<uint32_t> free_;  // components
  std::vector<uint32_t> touched_pairs_, touched_values_, touched_records_, changed_;
  std::vector<Outcome> out_;
};

}  // namespace

std::vector<Outcome> OutcomesInTime(const Region& region, int time, int64_t most) {
  return Sweep(region, time, most).Make();
}

}  // namespace weir::ops
