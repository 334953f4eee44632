#include "ops/window.h"

#include <arrow/api.h>

#include <algorithm>
#include <deque>
#include <iterator>
#include <numeric>
#include <optional>

#include "data/arrow.h"
#include "ops/sorted_sequence.h"
#include "ops/stored_groups.h"
#include "ops/window_values.h"

namespace weir::ops {
namespace {

constexpr size_t kBatchRows = 64 << 10;
constexpr size_t kRows = 0, kMarks = 1;  // ranges of a key
constexpr int64_t kMarkRows = 24;        // from one mark to the next, at least

// An entry: peer key, tie key, row, uint32 bytes of the peer key, uint32 bytes of both
// keys.
std::string_view PeersOf(std::string_view entry) {
  return entry.substr(
      0, ReadAs<uint32_t>(entry.data() + entry.size() - 2 * sizeof(uint32_t)));
}
std::string_view RowOf(std::string_view entry) {
  const std::string_view row = RowOfEntry(entry);
  return row.substr(0, row.size() - sizeof(uint32_t));
}

// The same, a row that is there n times n times.
class Rows {
 public:
  explicit Rows(const Sequence& sequence, int64_t copy = 0)
      : sequence_(sequence), copy_(copy) {}
  int64_t copy() const { return copy_; }
  bool AtEnd() const { return sequence_.AtEnd(); }
  std::string_view entry() const { return sequence_.entry(); }
  void Next() {
    if (AtEnd() || ++copy_ < sequence_.weight()) return;
    sequence_.Next();
    copy_ = 0;
  }

 private:
  Sequence sequence_;
  int64_t copy_;
};

// What is known behind a row.
struct State {
  int64_t rows = 0, peer_groups = 0;
  std::vector<RunningValue> values;  // per call
};

class Window final : public Operator {
 public:
  Window(WindowSpec spec, const data::Schema& input, const data::Schema& output,
         std::unique_ptr<SortedRows> rows, int64_t memory_bytes_max)
      : spec_(std::move(spec)),
        input_(input),
        output_(data::ToArrow(output)),
        rows_(std::move(rows)),
        memory_bytes_max_(memory_bytes_max),
        all_columns_(input.fields.size()) {
    std::iota(all_columns_.begin(), all_columns_.end(), 0);
    for (const data::Field& field : output.fields) columns_.emplace_back(field.type);
    const auto peers = static_cast<size_t>(spec_.peers);
    for (size_t i = 0; i < spec_.order.size(); ++i) {
      OrderSpec& order = i < peers ? peer_order_ : tie_order_;
      order.columns.push_back(spec_.order[i]);
      order.descending.push_back(i < spec_.descending.size() && spec_.descending[i]);
    }
    peer_order_.first_nulls = tie_order_.first_nulls = true;
    peer_order_.terminated = tie_order_.terminated = true;
    for (const WindowCall& call : spec_.calls) {
      if (call.kind == WindowKind::kLag) lag_ = std::max(lag_, call.offset);
      if (call.kind == WindowKind::kLead) lead_ = std::max(lead_, call.offset);
      counts_rows_ |=
          call.kind == WindowKind::kRowNumber || call.kind == WindowKind::kRank;
      counts_peers_ |= call.kind == WindowKind::kDenseRank;
      remembers_ |=
          call.kind == WindowKind::kRowNumber || call.kind == WindowKind::kRank ||
          call.kind == WindowKind::kDenseRank || (IsRunning(call.kind) && !Moves(call));
      if (!Moves(call)) continue;
      int64_t& reach = call.rows_frame ? rows_reach_ : range_reach_;
      reach = std::max(reach, call.preceding);
    }
    history_rows_ = std::max(lag_, rows_reach_);
  }

  Status Process(int, data::Batch changes, Emitter&) override {
    changes = WEIR_TRY(WithoutZeros(std::move(changes)));
    if (changes.num_rows() == 0) return {};
    WEIR_TRY(batch_columns_.Load(changes.rows, input_, all_columns_));
    WEIR_TRY(peer_keys_.Load(peer_order_, batch_columns_));
    if (!tie_order_.columns.empty()) WEIR_TRY(tie_keys_.Load(tie_order_, batch_columns_));
    std::vector<InputColumn> inputs;
    for (const int column : all_columns_) inputs.push_back(batch_columns_.Column(column));
    const std::vector<Hash128> keys = WEIR_TRY(data::HashKeys(*changes.rows, spec_.keys));
    std::vector<std::string> entries(keys.size());
    for (size_t row = 0; row < keys.size(); ++row) {
      std::string& entry = entries[row];
      peer_keys_.AppendTo(row, &entry);
      const auto peer_bytes = static_cast<uint32_t>(entry.size());
      if (!tie_order_.columns.empty()) tie_keys_.AppendTo(row, &entry);
      const auto order_bytes = static_cast<uint32_t>(entry.size());
      AppendCanonicalRow(inputs, row, &entry);
      for (const uint32_t size : {peer_bytes, order_bytes})
        entry.append(reinterpret_cast<const char*>(&size), sizeof size);
    }
    WEIR_TRY(rows_->Load(keys, kRows, entries));
    for (size_t row = 0; row < keys.size(); ++row) {
      rows_->Add(rows_->FindOrInsert(keys[row]), kRows, entries[row],
                 changes.weight(static_cast<int64_t>(row)));
    }
    return {};
  }

  Status Flush(Emitter& out) override {
    for (SortedRows::Touched& touched : WEIR_TRY(rows_->EndOfStep())) {
      std::erase_if(touched.changes[kRows], [&](const SortedRows::Change& change) {
        return change.before == rows_->WeightOf(touched.group, kRows, change.entry);
      });
      WEIR_TRY(FollowChanges(touched, out));
    }
    WEIR_TRY(rows_->BeginStep());
    return EmitRows(out);
  }

  Status Checkpoint(state::Delta& delta) override { return rows_->Checkpoint(delta); }
  void SetMemory(int64_t bytes_max) override { memory_bytes_max_ = bytes_max; }
  void Committed() override { rows_->Committed(memory_bytes_max_); }
  int64_t state_bytes() const override { return rows_->bytes(); }
  int64_t state_keys() const override { return rows_->keys(); }

 private:
  using Change = SortedRows::Change;
  // What is known behind a row, as an entry (docs/formats/state.md); in order.
  using Marks = std::vector<std::string>;

  // The frame of a call that moves along.
  struct Frame {
    Rows first;          // its first row
    int64_t rows = 0;    // in it
    FrameValues values;  // of min and max
  };

  struct UnitRow {
    std::string_view entry;
    int64_t weight;
    size_t first_result = 0;  // of `weight` ones
  };
  // One of the two histories of a key, before the step and now, at a place of it. Rows
  // are walked through by whole groups of peers.
  struct Walk {
    Sequence rows;
    std::vector<Rows> ahead;              // per lead call: where it looks
    std::vector<Frame> frames;            // per call that moves
    std::deque<std::string_view> behind;  // the last rows, as many as lag looks back
    State state;
    int64_t unmarked = 0;  // rows since the last mark

    std::vector<UnitRow> unit;
    std::string results;  // of the unit's rows, one behind the other
    std::vector<size_t> result_ends;

    std::string_view Result(size_t i) const {
      const size_t from = i == 0 ? 0 : result_ends[i - 1];
      return std::string_view(results).substr(from, result_ends[i] - from);
    }
  };

  // Puts out what the changes of a key (in order) change.
  Status FollowChanges(const SortedRows::Touched& touched, Emitter& out) {
    group_ = touched.group;
    const std::span<const Change> changes = touched.changes[kRows];
    for (auto change = changes.begin(); change != changes.end();) {
      // Peers share results, so that whole groups of them are done anew.
      const std::string begin = Back(std::string(PeersOf(change->entry)), lead_);
      const std::string history = std::min(Back(begin, history_rows_), Reach(begin));
      Marks fresh;
      State state;
      state.values.resize(spec_.calls.size());
      std::string from = history;
      if (remembers_) {
        const auto mark = rows_->Before(group_, kMarks, history);
        from.clear();
        if (mark) {
          from = std::string(RowOfMark(*mark)) + '\0';  // behind it, also if it is gone
          WEIR_TRY(DecodeMark(*mark, &state));
        }
      }
      Walk now = WEIR_TRY(ComeTo(from, begin, std::move(state), &fresh));
      // Rows that no frame from here on has may be others in the two histories.
      WEIR_TRY(LeaveBehind({}, true, 1, now));
      WEIR_TRY(LeaveBehind(begin, false, 0, now));
      Walk before = now;
      before.rows = RowsFrom(begin, changes);
      for (Frame& frame : before.frames) {
        const bool inside = !frame.first.AtEnd() && frame.first.entry() < begin;
        frame.first =
            inside ? Rows(RowsFrom(frame.first.entry(), changes), frame.first.copy())
                   : Rows(before.rows);
      }
      for (Walk* walk : {&before, &now}) {
        for (const WindowCall& call : spec_.calls) {
          if (call.kind != WindowKind::kLead) continue;
          walk->ahead.emplace_back(walk->rows);
          for (int64_t i = 0; i < call.offset; ++i) walk->ahead.back().Next();
        }
      }
      std::optional<std::string> last = begin;
      WEIR_TRY(Compare(changes, before, now, &change, &fresh, &last, out));
      if (remembers_) WEIR_TRY(ReplaceMarks(history, last, fresh));
    }
    return {};
  }

  // Those from one place to the last one that was looked at; nullopt: to the end.
  Status ReplaceMarks(std::string_view from, const std::optional<std::string>& last,
                      const Marks& fresh) {
    Marks old, gone, come;
    for (auto mark = rows_->From(group_, kMarks, from);
         !mark.AtEnd() && (!last || RowOfMark(mark.entry()) <= *last); mark.Next())
      old.emplace_back(mark.entry());
    std::set_difference(old.begin(), old.end(), fresh.begin(), fresh.end(),
                        std::back_inserter(gone));
    std::set_difference(fresh.begin(), fresh.end(), old.begin(), old.end(),
                        std::back_inserter(come));
    for (const std::string& mark : gone)
      WEIR_TRY(rows_->AddDerived(group_, kMarks, mark, -1));
    for (const std::string& mark : come)
      WEIR_TRY(rows_->AddDerived(group_, kMarks, mark, 1));
    return {};
  }

  // Frames that move are not in it: what they hold at a place comes behind the mark.
  std::string EncodeMark(std::string_view row, const State& state) const {
    std::string out(row);
    AppendAs(state.rows, &out);
    AppendAs(state.peer_groups, &out);
    for (size_t i = 0; i < spec_.calls.size(); ++i) {
      if (IsRunning(spec_.calls[i].kind) && !Moves(spec_.calls[i]))
        AppendRunning(state.values[i], &out);
    }
    AppendAs(static_cast<uint32_t>(row.size()), &out);
    return out;
  }
  static std::string_view RowOfMark(std::string_view mark) {
    return OrderOfEntry(mark);  // its size stands at the end, too
  }
  Status DecodeMark(std::string_view mark, State* state) const {
    const size_t row_bytes = RowOfMark(mark).size();
    mark.remove_suffix(sizeof(uint32_t));
    if (mark.size() < row_bytes + sizeof state->rows + sizeof state->peer_groups)
      return Corrupt("a stored mark of a window is malformed");
    mark.remove_prefix(row_bytes);
    state->rows = ReadAs<int64_t>(mark.data());
    state->peer_groups = ReadAs<int64_t>(mark.data() + sizeof state->rows);
    mark.remove_prefix(sizeof state->rows + sizeof state->peer_groups);
    for (size_t i = 0; i < spec_.calls.size(); ++i) {
      if (IsRunning(spec_.calls[i].kind) && !Moves(spec_.calls[i]))
        WEIR_TRY(ParseRunning(&mark, &state->values[i]));
    }
    return {};
  }

  // Where the group of peers begins that is so many rows before `from`.
  std::string Back(std::string from, int64_t count) {
    if (count == 0) return from;
    SortedRows::Cursor cursor = rows_->From(group_, kRows, from);
    while (count > 0 && cursor.Back()) {
      count -= cursor.weight();
      from = PeersOf(cursor.entry());
    }
    return from;
  }

  // The rows of the key from a place on; given its changes, as they were before.
  Sequence RowsFrom(std::string_view from, std::span<const Change> changes) {
    return {rows_->From(group_, kRows, from), changes, from};
  }

  // The place of an order of the first column, and whether that is NULL.
  static uint64_t PlaceOf(std::string_view peers) {
    uint64_t out = 0;
    for (size_t i = 0; i < sizeof out; ++i)
      out = out << 8 | static_cast<uint8_t>(peers[i]);
    return out;
  }
  static bool IsNullPlace(std::string_view peers) { return peers[sizeof(uint64_t)] != 0; }

  // Where the widest RANGE frame of the peers begins.
  std::string Reach(std::string_view peers) const {
    if (range_reach_ < 0 || peers.size() <= sizeof(uint64_t) || IsNullPlace(peers))
      return std::string(peers);
    const uint64_t place = PlaceOf(peers);
    const auto reach = static_cast<uint64_t>(range_reach_);
    const uint64_t from = place > reach ? place - reach : 0;
    std::string out;
    for (int shift = 56; shift >= 0; shift -= 8)
      out.push_back(static_cast<char>(from >> shift));
    return out;
  }
  // Whether a RANGE frame of these peers reaches back to others.
  static bool Reaches(std::string_view peers, std::string_view back, int64_t preceding) {
    if (IsNullPlace(peers) != IsNullPlace(back)) return false;
    return PlaceOf(peers) - PlaceOf(back) <= static_cast<uint64_t>(preceding);
  }

  // Takes in the rows from one entry to another.
  Result<Walk> ComeTo(std::string_view from, std::string_view to, State state,
                      Marks* fresh) {
    Walk walk{RowsFrom(from, {}), {}, {}, {}, std::move(state), 0, {}, {}, {}};
    for (const WindowCall& call : spec_.calls) {
      if (Moves(call))
        walk.frames.push_back({Rows(walk.rows), 0, FrameValues(ArgumentType(call))});
    }
    while (!walk.rows.AtEnd() && PeersOf(walk.rows.entry()) < to) {
      TakeUnit(PeersOf(walk.rows.entry()), &walk);
      WEIR_TRY(Evaluate(walk, false));
      MarkIfDue(walk.unit.back().entry, &walk, fresh);
    }
    return walk;
  }

  void MarkIfDue(std::string_view entry, Walk* walk, Marks* fresh) const {
    for (const UnitRow& row : walk->unit) walk->unmarked += row.weight;
    // A mark at the end of the key would serve no row, and go with the next one there.
    if (!remembers_ || walk->unmarked < kMarkRows || walk->rows.AtEnd()) return;
    fresh->push_back(EncodeMark(entry, walk->state));
    walk->unmarked = 0;
  }

  // Walks through both histories until they are the same and the next change is out of
  // reach. `last` gets the last entry that was looked at; nullopt: nothing is behind it.
  Status Compare(std::span<const Change> changes, Walk& before, Walk& now,
                 std::span<const Change>::iterator* change, Marks* fresh,
                 std::optional<std::string>* last, Emitter& out) {
    int64_t unchanged = 0;
    std::string changed_peers;  // the last ones
    while (!before.rows.AtEnd() || !now.rows.AtEnd()) {
      const bool only_before = now.rows.AtEnd();
      const bool only_now = before.rows.AtEnd();
      std::string_view peers =
          PeersOf(only_before ? before.rows.entry() : now.rows.entry());
      if (!only_before && !only_now)
        peers = std::min(peers, PeersOf(before.rows.entry()));
      for (Walk* walk : {&before, &now}) {
        TakeUnit(peers, walk);
        WEIR_TRY(Evaluate(*walk, true));
      }
      WEIR_TRY(EmitDifference(before, now, out));
      for (const UnitRow& row : now.unit) unchanged += row.weight;
      *last =
          std::max(before.unit.empty() ? std::string_view() : before.unit.back().entry,
                   now.unit.empty() ? std::string_view() : now.unit.back().entry);
      MarkIfDue(**last, &now, fresh);
      for (; *change != changes.end() && PeersOf((*change)->entry) <= peers; ++*change) {
        unchanged = 0;
        changed_peers = peers;
      }
      if (unchanged < history_rows_ || !SameState(before.state, now.state)) continue;
      if (range_reach_ >= 0 && Reaches(peers, changed_peers, range_reach_)) continue;
      if (*change == changes.end()) return {};
      // One that stands right behind is reached by going on. To begin anew there would
      // look for what of the history before is behind it, past all rows that are new.
      if (StandsNext(before, now, PeersOf((*change)->entry))) continue;
      if (Back(std::string(PeersOf((*change)->entry)), lead_) > **last) return {};
    }
    last->reset();
    return {};
  }

  // Whether no other rows come before those peers in either history.
  static bool StandsNext(const Walk& before, const Walk& now, std::string_view peers) {
    for (const Walk* walk : {&before, &now}) {
      if (!walk->rows.AtEnd() && PeersOf(walk->rows.entry()) < peers) return false;
    }
    return true;
  }

  // The rows with that peer key, if they come next.
  static void TakeUnit(std::string_view peers, Walk* walk) {
    walk->unit.clear();
    for (; !walk->rows.AtEnd() && PeersOf(walk->rows.entry()) == peers; walk->rows.Next())
      walk->unit.push_back({walk->rows.entry(), walk->rows.weight()});
  }

  bool SameState(const State& a, const State& b) const {
    for (size_t i = 0; i < spec_.calls.size(); ++i) {
      if (!Moves(spec_.calls[i]) && !(a.values[i] == b.values[i])) return false;
    }
    return (!counts_rows_ || a.rows == b.rows) &&
           (!counts_peers_ || a.peer_groups == b.peer_groups);
  }

  const data::Type& ArgumentType(const WindowCall& call) const {
    static const data::Type kNone;
    return call.argument < 0 ? kNone
                             : input_.fields[static_cast<size_t>(call.argument)].type;
  }

  // Takes the unit in, and makes the results of its rows.
  Status Evaluate(Walk& walk, bool results) {
    walk.results.clear();
    walk.result_ends.clear();
    if (walk.unit.empty()) return {};
    ++walk.state.peer_groups;
    const int64_t rank = walk.state.rows + 1;
    unit_cells_.resize(std::max(unit_cells_.size(), walk.unit.size()));
    for (size_t i = 0; i < walk.unit.size(); ++i) {
      WEIR_TRY(ParseRow(RowOf(walk.unit[i].entry), input_, &unit_cells_[i]));
      WEIR_TRY(AddToFrames(unit_cells_[i], walk.unit[i].weight, false, walk));
    }
    WEIR_TRY(LeaveBehind(PeersOf(walk.unit[0].entry), false, 0, walk));
    for (size_t i = 0; i < walk.unit.size(); ++i) {
      UnitRow& row = walk.unit[i];
      row.first_result = walk.result_ends.size();
      for (int64_t copy = 0; copy < row.weight; ++copy) {
        ++walk.state.rows;
        WEIR_TRY(AddToFrames(unit_cells_[i], 1, true, walk));
        WEIR_TRY(LeaveBehind({}, true, 0, walk));
        if (results) {
          WEIR_TRY(AppendResults(unit_cells_[i], rank, walk));
          walk.result_ends.push_back(walk.results.size());
        }
        if (lag_ == 0) continue;
        walk.behind.push_back(row.entry);
        if (static_cast<int64_t>(walk.behind.size()) > lag_) walk.behind.pop_front();
      }
    }
    return {};
  }

  Status AddToFrames(const std::vector<CellView>& cells, int64_t times, bool rows_frames,
                     Walk& walk) {
    size_t moving = 0;
    for (size_t i = 0; i < spec_.calls.size(); ++i) {
      const WindowCall& call = spec_.calls[i];
      Frame* frame = Moves(call) ? &walk.frames[moving++] : nullptr;
      if (!IsRunning(call.kind) || call.rows_frame != rows_frames) continue;
      if (frame != nullptr) frame->rows += times;
      WEIR_TRY(AddToFrame(call, cells, times, frame, &walk.state.values[i]));
    }
    return {};
  }

  Status AddToFrame(const WindowCall& call, const std::vector<CellView>& cells,
                    int64_t times, Frame* frame, RunningValue* value) {
    const CellView cell =
        call.argument < 0 ? CellView() : cells[static_cast<size_t>(call.argument)];
    const bool extreme = call.kind == WindowKind::kMin || call.kind == WindowKind::kMax;
    if (frame == nullptr || !extreme)
      return AddRow(call, ArgumentType(call), cell, times, value);
    if (!cell.null) frame->values.Add(cell.cell, times);
    return {};
  }

  // Takes out of the frames that move what they have left behind at the current row, or
  // at the one that comes next, or at these peers.
  Status LeaveBehind(std::string_view peers, bool rows_frames, int64_t rows_to_come,
                     Walk& walk) {
    size_t moving = 0;
    for (size_t i = 0; i < spec_.calls.size(); ++i) {
      const WindowCall& call = spec_.calls[i];
      if (!Moves(call)) continue;
      Frame& frame = walk.frames[moving++];
      if (call.rows_frame != rows_frames) continue;
      const bool takes_out =
          call.kind != WindowKind::kFirstValue && call.kind != WindowKind::kLastValue;
      const int64_t rows_max = call.preceding + 1 - rows_to_come;
      for (; rows_frames ? frame.rows > rows_max
                         : frame.rows > 0 && !Reaches(peers, PeersOf(frame.first.entry()),
                                                      call.preceding);
           frame.first.Next()) {
        --frame.rows;
        if (!takes_out) continue;
        WEIR_TRY(ParseRow(RowOf(frame.first.entry()), input_, &other_cells_));
        WEIR_TRY(AddToFrame(call, other_cells_, -1, &frame, &walk.state.values[i]));
      }
    }
    return {};
  }

  // Of one row, at which the walk stands.
  Status AppendResults(const std::vector<CellView>& cells, int64_t rank, Walk& walk) {
    const auto append_number = [&](int64_t number) {
      AppendCell({false, {reinterpret_cast<const char*>(&number), sizeof number}},
                 data::Simple(data::Kind::kInt64), &walk.results);
    };
    size_t leads = 0, moving = 0;
    for (size_t i = 0; i < spec_.calls.size(); ++i) {
      const WindowCall& call = spec_.calls[i];
      if (Moves(call) &&
          WEIR_TRY(AppendFramed(call, walk.frames[moving++], &walk.results)))
        continue;
      switch (call.kind) {
        case WindowKind::kRowNumber:
          append_number(walk.state.rows);
          break;
        case WindowKind::kRank:
          append_number(rank);
          break;
        case WindowKind::kDenseRank:
          append_number(walk.state.peer_groups);
          break;
        case WindowKind::kLag: {
          const auto behind = static_cast<int64_t>(walk.behind.size());
          if (call.offset == 0)
            AppendCell(cells[static_cast<size_t>(call.argument)], call.result,
                       &walk.results);
          else
            WEIR_TRY(
                AppendOther(call, cells,
                            behind < call.offset
                                ? std::string_view()
                                : walk.behind[static_cast<size_t>(behind - call.offset)],
                            &walk.results));
          break;
        }
        case WindowKind::kLead: {
          Rows& ahead = walk.ahead[leads++];
          WEIR_TRY(AppendOther(call, cells,
                               ahead.AtEnd() ? std::string_view() : ahead.entry(),
                               &walk.results));
          ahead.Next();
          break;
        }
        default:
          WEIR_TRY(AppendResult(call, ArgumentType(call), walk.state.values[i],
                                &walk.results));
      }
    }
    return {};
  }

  // The result of a frame that moves, if the running value has it not; whether it was.
  Result<bool> AppendFramed(const WindowCall& call, const Frame& frame,
                            std::string* out) {
    switch (call.kind) {
      case WindowKind::kFirstValue:
        WEIR_TRY(AppendOther(call, {}, frame.first.entry(), out));
        return true;
      case WindowKind::kMin:
        AppendCell(frame.values.Least(), call.result, out);
        return true;
      case WindowKind::kMax:
        AppendCell(frame.values.Greatest(), call.result, out);
        return true;
      default:
        return false;
    }
  }

  // The argument in another row; empty: there is none.
  Status AppendOther(const WindowCall& call, const std::vector<CellView>& cells,
                     std::string_view entry, std::string* out) {
    CellView value;
    if (!entry.empty()) {
      WEIR_TRY(ParseRow(RowOf(entry), input_, &other_cells_));
      value = other_cells_[static_cast<size_t>(call.argument)];
    } else if (call.default_column >= 0) {
      value = cells[static_cast<size_t>(call.default_column)];
    }
    AppendCell(value, call.result, out);
    return {};
  }

  Status EmitDifference(const Walk& before, const Walk& now, Emitter& out) {
    auto b = before.unit.begin();
    auto n = now.unit.begin();
    while (b != before.unit.end() || n != now.unit.end()) {
      const bool has_before =
          n == now.unit.end() || (b != before.unit.end() && b->entry <= n->entry);
      const bool has_now =
          b == before.unit.end() || (n != now.unit.end() && n->entry <= b->entry);
      const int64_t count_before = has_before ? b->weight : 0;
      const int64_t count_now = has_now ? n->weight : 0;
      for (int64_t i = 0; i < std::max(count_before, count_now); ++i) {
        const auto place = static_cast<size_t>(i);
        const bool was = i < count_before, is = i < count_now;
        if (was && is &&
            before.Result(b->first_result + place) == now.Result(n->first_result + place))
          continue;
        if (was)
          WEIR_TRY(Append(b->entry, before.Result(b->first_result + place), -1, out));
        if (is) WEIR_TRY(Append(n->entry, now.Result(n->first_result + place), 1, out));
      }
      b += has_before;
      n += has_now;
    }
    return {};
  }

  Status Append(std::string_view entry, std::string_view results, int32_t weight,
                Emitter& out) {
    const size_t inputs = input_.fields.size();
    WEIR_TRY(DecodeRow(RowOf(entry), std::span(columns_).first(inputs)));
    WEIR_TRY(DecodeRow(results, std::span(columns_).subspan(inputs)));
    weights_.push_back(weight);
    return weights_.size() < kBatchRows ? Status() : EmitRows(out);
  }

  Status EmitRows(Emitter& out) {
    if (weights_.empty()) return {};
    data::Batch batch{WEIR_TRY(FinishRows(output_, columns_)), {}};
    if (std::any_of(weights_.begin(), weights_.end(), [](int32_t w) { return w != 1; }))
      batch.weights = weights_;
    weights_.clear();
    return out.Emit(std::move(batch));
  }

  const WindowSpec spec_;
  const data::Schema input_;
  const std::shared_ptr<arrow::Schema> output_;
  std::unique_ptr<SortedRows> rows_;
  int64_t memory_bytes_max_;
  std::vector<int> all_columns_;
  OrderSpec peer_order_, tie_order_;
  int64_t lag_ = 0, lead_ = 0;                 // the furthest
  int64_t rows_reach_ = 0, range_reach_ = -1;  // the widest of the frames that move
  int64_t history_rows_ = 0;  // so many rows before the first one decide its results
  bool counts_rows_ = false, counts_peers_ = false;
  bool remembers_ = false;  // results depend on all rows before

  Group* group_ = nullptr;  // the key that is worked on
  BatchColumns batch_columns_;
  OrderKeys peer_keys_, tie_keys_;
  std::vector<std::vector<CellView>> unit_cells_;
  std::vector<CellView> other_cells_;
  std::vector<CellColumn> columns_;  // of the output
  std::vector<int32_t> weights_;
};

}  // namespace

Result<std::unique_ptr<Operator>> NewWindow(WindowSpec spec, const data::Schema& input,
                                            const data::Schema& output,
                                            state::Store* store, std::string space,
                                            int64_t memory_bytes_max) {
  if (spec.order.empty() || spec.peers < 1 ||
      static_cast<size_t>(spec.peers) > spec.order.size())
    return Invalid("a window needs an order, and its first columns make peers");
  for (const auto* columns : {&spec.keys, &spec.order}) {
    for (const int column : *columns) {
      if (column < 0 || static_cast<size_t>(column) >= input.fields.size())
        return Invalid("a column of a window does not exist");
    }
  }
  for (const WindowCall& call : spec.calls) {
    WEIR_TRY(CheckCall(call, input));
    const data::Type& first = input.fields[static_cast<size_t>(spec.order[0])].type;
    const bool counts = IsOrdinal(first) && first.kind != data::Kind::kFloat &&
                        first.kind != data::Kind::kDouble;
    if (Moves(call) && !call.rows_frame && (spec.peers != 1 || !counts))
      return Invalid("a RANGE frame moves along one column of whole numbers or times");
  }
  if (output.fields.size() != input.fields.size() + spec.calls.size())
    return Invalid("a window's output is its input and its calls");
  auto rows = WEIR_TRY(SortedRows::Make(kMarks + 1, store, space));
  return std::unique_ptr<Operator>(std::make_unique<Window>(
      std::move(spec), input, output, std::move(rows), memory_bytes_max));
}

}  // namespace weir::ops
