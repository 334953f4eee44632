#include "ingest/identity_rebuild.h"

#include <arrow/api.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "codec/json.h"
#include "data/arrow.h"
#include "data/batch.h"
#include "ingest/pipeline.h"
#include "ingest/wake_internal.h"
#include "scan/scan.h"

namespace weir::ingest {
namespace {

constexpr int64_t kWindow = 1 << 20;  // offsets

// A record that was accepted or late.
struct Seen {
  int64_t offset;
  Micros event_time, received_at;
  bool late;
  Hash128 identity;
  uint64_t content;
};

// What the records of a window of offsets leave behind.
struct Window {
  Micros watermark;  // before it
  size_t floor;      // the first that counts behind its begin
  bool wanted = false, wanted_if_unknown = false;
};

class Rebuilder {
 public:
  Rebuilder(io::Io& io, const IdentityRebuild& what, state::Identities& into)
      : io_(io),
        what_(what),
        into_(into),
        rule_(RuleOf(*what.contract, what.live)),
        schema_(what.contract->schema) {
    for (const std::string& name : what.contract->identity)
      identity_columns_.push_back(schema_.IndexOf(name));
  }

  Result<RebuiltIdentities> Run(const std::function<Status()>& checkpoint) {
    RebuiltIdentities out;
    std::vector<Window> windows;
    PartitionWatermark mark(rule_, kNoTime);
    size_t floor = 0;
    const int64_t end = what_.position.next.value;
    for (int64_t from = 0; from < end; from += kWindow) {
      Window window{mark.value(), floor};
      const std::vector<Seen> seen = WEIR_TRY(Read(from, /*whole=*/false));
      out.records += static_cast<int64_t>(seen.size());
      Replay(seen, mark, floor, [&](const Seen& one, Micros judged) {
        window.wanted |= IsWanted(one, judged);
        window.wanted_if_unknown |= IsWanted(one, LatestJudged(one));
      });
      windows.push_back(window);
    }
    out.exact = what_.floors.complete && mark.value() == what_.position.watermark;
    // A floor that no record stands behind yet may be part of the position already.
    TakeFloors(end, mark, floor);
    out.exact |= what_.floors.complete && mark.value() == what_.position.watermark;
    for (size_t i = 0; i < windows.size(); ++i) {
      const Window& window = windows[i];
      if (!(out.exact ? window.wanted : window.wanted_if_unknown)) continue;
      const std::vector<Seen> seen =
          WEIR_TRY(Read(static_cast<int64_t>(i) * kWindow, /*whole=*/true));
      WEIR_TRY(into_.MakeRoom(seen.size()));
      PartitionWatermark again(rule_, window.watermark);
      floor = window.floor;
      Replay(seen, again, floor, [&](const Seen& one, Micros judged) {
        if (!out.exact) judged = LatestJudged(one);
        if (judged == kNoTime) judged = began_;
        if (!IsWanted(one, judged)) return;
        into_.Insert(one.identity, one.content, judged, one.event_time);
        ++out.remembered;
      });
      WEIR_TRY(checkpoint());
    }
    return out;
  }

 private:
  bool IsWanted(const Seen& one, Micros judged) const {
    return !into_.Forgotten(judged, one.event_time, what_.position.watermark);
  }

  // An accepted record was not older than the watermark before it, and moved it to its
  // own time at most.
  Micros LatestJudged(const Seen& one) const {
    if (one.late || one.event_time == kNoTime) return what_.position.watermark;
    return std::min(one.event_time, what_.position.watermark);
  }

  // Floors that count before the record at `offset`.
  void TakeFloors(int64_t offset, PartitionWatermark& mark, size_t& floor) {
    const auto& floors = what_.floors.floors;
    for (; floor < floors.size() && floors[floor].at.value <= offset; ++floor) {
      if (mark.Wake(floors[floor].floor)) began_ = mark.value();
    }
  }

  template <class F>
  void Replay(const std::vector<Seen>& seen, PartitionWatermark& mark, size_t& floor,
              F&& visit) {
    for (const Seen& one : seen) {
      TakeFloors(one.offset, mark, floor);
      if (!one.late && mark.Accept(one.event_time, one.received_at))
        began_ = mark.value();
      visit(one, mark.value());
    }
  }

  // The records from `from` on, by offset. Not whole: without identity and content.
  Result<std::vector<Seen>> Read(int64_t from, bool whole) const {
    std::vector<Seen> seen;
    WEIR_TRY(ReadTable(*what_.bronze, from, whole, /*late=*/false, &seen));
    WEIR_TRY(ReadTable(*what_.late, from, whole, /*late=*/true, &seen));
    std::sort(seen.begin(), seen.end(),
              [](const Seen& a, const Seen& b) { return a.offset < b.offset; });
    return seen;
  }

  Status ReadTable(const iceberg::Metadata& metadata, int64_t from, bool whole, bool late,
                   std::vector<Seen>* out) const {
    const iceberg::Snapshot* snapshot = metadata.current();
    if (snapshot == nullptr) return {};
    const int64_t to = std::min(from + kWindow, what_.position.next.value);
    scan::ScanOptions options;
    options.field_ids.emplace();
    const auto want = [&](const std::string& name) {
      options.field_ids->push_back(metadata.schema().Find(name)->id);
    };
    // What ContentHashes wants, or the event time alone.
    if (whole) {
      for (const data::Field& field : schema_.fields) want(field.name);
      want("_extra");
      want("_absent");
    } else if (rule_.has_event_time) {
      want(what_.contract->event_time);
    }
    for (const char* name : {"_partition", "_offset", "_received_at"}) want(name);
    const int partition_id = metadata.schema().Find("_partition")->id,
              offset_id = metadata.schema().Find("_offset")->id;
    options.predicates = {
        {partition_id, scan::Op::kEqual, {int32_t{what_.position.partition}}},
        {offset_id, scan::Op::kGreaterEqual, {from}},
        {offset_id, scan::Op::kLess, {to}}};
    const auto scan =
        WEIR_TRY(scan::ScanTable(io_, metadata, *snapshot, metadata.schema(), options));
    while (const auto rows = WEIR_TRY(scan->Next()))
      WEIR_TRY(Take(*rows, from, to, whole, late, out));
    return {};
  }

  Status Take(const arrow::RecordBatch& rows, int64_t from, int64_t to, bool whole,
              bool late, std::vector<Seen>* out) const {
    const int last = rows.num_columns() - 1;
    const auto* partitions = rows.column(last - 2)->data()->GetValues<int32_t>(1);
    const auto* offsets = rows.column(last - 1)->data()->GetValues<int64_t>(1);
    const auto* arrivals = rows.column(last)->data()->GetValues<int64_t>(1);
    std::vector<int32_t> wanted;
    for (int64_t i = 0; i < rows.num_rows(); ++i) {
      if (partitions[i] == what_.position.partition && offsets[i] >= from &&
          offsets[i] < to)
        wanted.push_back(static_cast<int32_t>(i));
    }
    if (wanted.empty()) return {};
    std::vector<Hash128> identities;
    std::vector<uint64_t> contents;
    if (whole) {
      const auto taken =
          WEIR_TRY(data::Take({rows.Slice(0, rows.num_rows()), {}}, wanted));
      const int declared = static_cast<int>(schema_.fields.size()) + 2;
      std::vector<int> columns(static_cast<size_t>(declared));
      for (int c = 0; c < declared; ++c) columns[static_cast<size_t>(c)] = c;
      const data::Batch record = data::SelectColumns(taken, columns);
      identities = WEIR_TRY(data::HashKeys(*record.rows, identity_columns_));
      contents =
          WEIR_TRY(contract::ContentHashes(*what_.contract, {.rows = record.rows}));
    }
    const arrow::Array* times = nullptr;
    if (rule_.has_event_time) {
      times = rows.column(whole ? schema_.IndexOf(what_.contract->event_time) : 0).get();
    }
    for (size_t k = 0; k < wanted.size(); ++k) {
      const int32_t i = wanted[k];
      Micros time = kNoTime;
      if (times != nullptr && times->IsValid(i))
        time = times->data()->GetValues<int64_t>(1)[i];
      out->push_back({offsets[i], time, arrivals[i], late,
                      whole ? identities[k] : Hash128{}, whole ? contents[k] : 0});
    }
    return {};
  }

  io::Io& io_;
  const IdentityRebuild& what_;
  state::Identities& into_;
  const VerdictRule rule_;
  const data::Schema& schema_;
  std::vector<int> identity_columns_;
  Micros began_ = kNoTime;  // the partition's first watermark
};

}  // namespace

Result<WakingFloors> JournalledFloors(log::Journal& journal, const std::string& source,
                                      int partition) {
  WakingFloors out;
  WEIR_TRY(journal.Read(1, [&](const log::Journal::Entry& entry) -> Status {
    if (entry.kind != kWakeControl) return {};
    const auto json = ParseJson(entry.json);
    try {
      if (json.at("source").get_ref<const std::string&>() == source &&
          IntegerOf<int>(json.at("partition")) == partition)
        out.floors.push_back(
            {{IntegerOf<int64_t>(json.at("at"))}, IntegerOf<Micros>(json.at("floor"))});
    } catch (const nlohmann::json::exception& e) {
      return Corrupt(
          fmt::format("journal entry {}, a waking: {}", entry.number, e.what()));
    }
    return {};
  }));
  return out;
}

Result<WakingFloors> LoggedFloors(io::Io& io, const std::string& dir,
                                  const std::string& archive_dir) {
  WakingFloors out;
  LogOffset known{0};  // everything before it was looked at
  for (const std::string& from : {archive_dir, dir}) {
    if (from.empty() || !io.Exists(from)) continue;
    // An owner that never was: it changes nothing.
    const auto log = WEIR_TRY(log::Log::Open(io, from, {.owner = -1}));
    if (known < log->begin()) out.complete = false;
    known = std::max(known, log->end());
    log::Log::Visitor visitor;
    visitor.payload = false;
    visitor.batch = [](const log::RecordBatchView&) -> Result<bool> { return true; };
    visitor.control = [&](const log::ControlRecord& control) -> Result<bool> {
      if (const auto floor = WakeFloor(control))
        out.floors.push_back({control.at, *floor});
      return true;
    };
    WEIR_TRY(log->Read(log->begin(), visitor));
  }
  std::stable_sort(
      out.floors.begin(), out.floors.end(),
      [](const WakingFloor& a, const WakingFloor& b) { return a.at < b.at; });
  return out;
}

Result<RebuiltIdentities> RebuildIdentities(io::Io& io, const IdentityRebuild& what,
                                            state::Identities& into,
                                            const std::function<Status()>& checkpoint) {
  Rebuilder rebuilder(io, what, into);
  return rebuilder.Run(checkpoint);
}

}  // namespace weir::ingest
