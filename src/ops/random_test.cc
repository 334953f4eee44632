// Random histories against a plain recomputation: after every step, what an operator has
// emitted adds up to what a query over all rows would give, through random splits,
// retractions, memory budgets, commits and restarts.
#include <arrow/api.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "ops/aggregate.h"
#include "ops/testing.h"

namespace weir::ops {
namespace {

using enum AggregateKind;

// k and s are keys, ts has many ties, id tells rows apart.
constexpr std::string_view kColumns =
    "k int, s string, n int, d double, big decimal(38,2), b bool, keep bool, text "
    "string, ts stamp, id int";
enum Column : size_t { kK, kS, kN, kD, kBig, kB, kKeep, kText, kTs, kId };
using Row = std::vector<std::string>;  // values as text, see ops/testing.h
using Rows = std::map<Row, int64_t>;   // with weights
using Output = std::map<std::string, int64_t>;

data::Type TypeOf(std::string_view text) {
  return SchemaFromText(fmt::format("x {}", text)).fields[0].type;
}

bool IsNull(const std::string& value) { return value == "NULL"; }

// NULLs last; texts and booleans as texts, the others as numbers.
int Compare(const std::string& a, const std::string& b, int column) {
  if (IsNull(a) || IsNull(b))
    return static_cast<int>(IsNull(a)) - static_cast<int>(IsNull(b));
  if (column == kText || column == kS || column == kB) return a.compare(b);
  const long double x = std::stold(a), y = std::stold(b);
  return x < y ? -1 : x > y ? 1 : 0;
}

bool Before(const Row& a, const Row& b, const std::vector<int>& order,
            const std::vector<bool>& descending) {
  for (size_t i = 0; i < order.size(); ++i) {
    const auto column = static_cast<size_t>(order[i]);
    int difference = Compare(a[column], b[column], order[i]);
    if (i < descending.size() && descending[i] && !IsNull(a[column]) &&
        !IsNull(b[column]))
      difference = -difference;
    if (difference != 0) return difference < 0;
  }
  return false;
}

std::string Sum(const AggregateCall& call,
                const std::vector<std::pair<const Row*, int64_t>>& rows) {
  const auto argument = static_cast<size_t>(call.argument);
  __int128 sum = 0;  // of hundredths, or of eighths
  int64_t terms = 0;
  for (const auto& [row, weight] : rows) {
    const std::string& text = (*row)[argument];
    if (IsNull(text)) continue;
    terms += weight;
    const long double unit = argument == kD ? 8 : argument == kBig ? 100 : 1;
    sum += static_cast<__int128>(std::llround(std::stold(text) * unit)) * weight;
  }
  if (terms == 0) return "NULL";
  const double unit = argument == kD ? 8 : argument == kBig ? 100 : 1;
  if (call.kind == kAvg)
    return fmt::format("{}",
                       static_cast<double>(sum) / (static_cast<double>(terms) * unit));
  if (argument == kD) return fmt::format("{}", static_cast<double>(sum) / unit);
  if (argument == kN) return fmt::format("{}", static_cast<int64_t>(sum));
  const auto hundredths = static_cast<int64_t>(sum < 0 ? -sum : sum);
  return fmt::format("{}{}.{:02}", sum < 0 ? "-" : "", hundredths / 100,
                     hundredths % 100);
}

std::string Winner(const AggregateCall& call,
                   const std::vector<std::pair<const Row*, int64_t>>& rows) {
  const auto argument = static_cast<size_t>(call.argument);
  const bool by_value = call.kind == kMin || call.kind == kMax || call.kind == kAnyValue;
  const bool arg = call.kind == kArgMin || call.kind == kArgMax;
  const bool last = call.kind == kMax || call.kind == kArgMax || call.kind == kLast;
  const std::vector<int> order = by_value ? std::vector<int>{call.argument} : call.order;
  const Row* best = nullptr;
  for (const auto& [row, weight] : rows) {
    if ((by_value || arg) && IsNull((*row)[argument])) continue;
    if (arg && IsNull((*row)[static_cast<size_t>(order[0])])) continue;
    const bool wins =
        best == nullptr || (last ? Before(*best, *row, order, call.descending)
                                 : Before(*row, *best, order, call.descending));
    if (wins) best = row;
  }
  return best == nullptr ? "NULL" : (*best)[argument];
}

std::string Evaluate(const AggregateCall& call,
                     const std::vector<std::pair<const Row*, int64_t>>& all) {
  std::vector<std::pair<const Row*, int64_t>> rows;
  for (const auto& pair : all) {
    if (call.filter < 0 || (*pair.first)[static_cast<size_t>(call.filter)] == "true")
      rows.push_back(pair);
  }
  int64_t count = 0, trues = 0, falses = 0;
  for (const auto& [row, weight] : rows) {
    if (call.argument < 0) {
      count += weight;
      continue;
    }
    const std::string& value = (*row)[static_cast<size_t>(call.argument)];
    if (!IsNull(value)) count += weight;
    trues += value == "true" ? weight : 0;
    falses += value == "false" ? weight : 0;
  }
  switch (call.kind) {
    case kCountStar:
    case kCount:
      return std::to_string(count);
    case kSum:
    case kAvg:
      return Sum(call, rows);
    case kBoolAnd:
      return trues + falses == 0 ? "NULL" : falses == 0 ? "true" : "false";
    case kBoolOr:
      return trues + falses == 0 ? "NULL" : trues > 0 ? "true" : "false";
    default:
      return Winner(call, rows);
  }
}

Output Recompute(const Rows& rows, const AggregateSpec& spec) {
  std::map<std::string, std::vector<std::pair<const Row*, int64_t>>> groups;
  if (spec.keys.empty()) groups[""];
  for (const auto& [row, weight] : rows) {
    std::string key;
    for (const int column : spec.keys) key += " " + row[static_cast<size_t>(column)];
    groups[key].emplace_back(&row, weight);
  }
  Output out;
  for (const auto& [key, group] : groups) {
    std::string text = key;
    for (const AggregateCall& call : spec.calls) text += " " + Evaluate(call, group);
    out[text] = 1;
  }
  return out;
}

Output RecomputeTop(const Rows& rows, const TopSpec& spec) {
  std::map<Row, std::vector<std::pair<const Row*, int64_t>>> groups;
  for (const auto& [row, weight] : rows) {
    Row key;
    for (const int column : spec.keys) key.push_back(row[static_cast<size_t>(column)]);
    groups[key].emplace_back(&row, weight);
  }
  Output out;
  for (auto& [_, group] : groups) {
    std::sort(group.begin(), group.end(), [&](const auto& a, const auto& b) {
      return Before(*a.first, *b.first, spec.order, spec.descending);
    });
    int64_t left = spec.n;
    for (const auto& [row, weight] : group) {
      const int64_t count = std::min(left, weight);
      left -= count;
      if (count == 0) continue;
      std::string text;
      for (const std::string& value : *row) text += " " + value;
      out[text] += count;
    }
  }
  return out;
}

class History {
 public:
  History(uint64_t seed, bool retracts)
      : random_(seed), retracts_(retracts), schema_(SchemaFromText(kColumns)) {}

  const data::Schema& schema() const { return schema_; }
  uint64_t Below(uint64_t limit) { return random_() % limit; }

  // Some rows to insert, and some that are there to delete, as one batch; often a slice
  // of a larger one.
  data::Batch NextBatch() {
    std::string text;
    const uint64_t rows = Below(30) == 0 ? 1200 : Below(25);
    for (uint64_t i = 0; i < rows; ++i) {
      const bool take = retracts_ && !there_.empty() && Below(3) == 0;
      Row row;
      int64_t weight = 1;
      if (take) {
        auto it = there_.begin();
        std::advance(it,
                     static_cast<int64_t>(Below(std::min<uint64_t>(there_.size(), 50))));
        row = it->first;
        weight = -(1 + static_cast<int64_t>(Below(static_cast<uint64_t>(it->second))));
      } else {
        row = NewRow();
        if (Below(10) == 0) weight = 2;
      }
      if ((there_[row] += weight) == 0) there_.erase(row);
      text += fmt::format("{:+}", weight);
      for (const std::string& value : row) text += " " + value;
      text += ",";
    }
    data::Batch batch = BatchFromText(schema_, "+ " + NullRow() + "," + text);
    std::vector<int32_t> weights = batch.weights;
    if (!weights.empty()) weights.erase(weights.begin());
    return {batch.rows->Slice(1), std::move(weights)};
  }

  const Rows& there() const { return there_; }
  void Checkpoint() { checkpoint_ = there_; }
  void Committed() { committed_ = checkpoint_; }
  void Rollback() { there_ = committed_; }

 private:
  std::string NullRow() const {
    std::string out;
    for (size_t i = 0; i < schema_.fields.size(); ++i) out += i == 0 ? "NULL" : " NULL";
    return out;
  }
  std::string Or(uint64_t chance, std::string value) {
    return Below(chance) == 0 ? "NULL" : value;
  }

  Row NewRow() {
    Row row(kId + 1);
    row[kK] = Or(15, std::to_string(Below(6)));
    row[kS] = Or(15, std::string(1 + Below(30), static_cast<char>('a' + Below(3))));
    row[kN] = Or(5, std::to_string(static_cast<int64_t>(Below(200)) - 100));
    row[kD] = Or(5, fmt::format("{}", (static_cast<double>(Below(200)) - 100) / 8));
    row[kBig] = Or(5, fmt::format("{}.{:02}", static_cast<int64_t>(Below(2000)) - 1000,
                                  1 + Below(99)));
    row[kB] = Or(5, Below(2) == 0 ? "true" : "false");
    row[kKeep] = Or(5, Below(2) == 0 ? "true" : "false");
    row[kText] = Or(5, std::string(1 + Below(40), static_cast<char>('p' + Below(8))));
    row[kTs] = Or(8, std::to_string(Below(12)));
    row[kId] = std::to_string(++next_id_);
    return row;
  }

  std::mt19937_64 random_;
  const bool retracts_;
  const data::Schema schema_;
  Rows there_, checkpoint_, committed_;
  int64_t next_id_ = 0;
};

void Add(const std::vector<data::Batch>& batches, const data::Schema& schema,
         Output* out) {
  for (const data::Batch& batch : batches) {
    for (int64_t row = 0; row < batch.num_rows(); ++row) {
      const std::string text =
          TextFromBatch(schema, {batch.rows->Slice(row, 1), {}}).substr(1);
      if (((*out)[text] += batch.weight(row)) == 0) out->erase(text);
    }
  }
}

// Plays one history; `expected` recomputes the output.
void Play(History& history, OperatorTest& op, const data::Schema& output, int steps,
          const std::function<Output(const Rows&)>& expected) {
  Output emitted, committed;
  std::optional<Output> checkpoint;  // not committed yet
  for (int step = 0; step < steps; ++step) {
    for (uint64_t batches = history.Below(3) + 1; batches > 0; --batches) {
      const Status status = op.Process(history.NextBatch());
      ASSERT_TRUE(status.ok()) << status.error().message;
    }
    const Status status = op.Flush();
    ASSERT_TRUE(status.ok()) << status.error().message;
    Add(op.TakeEmitted(), output, &emitted);
    ASSERT_EQ(emitted, expected(history.there())) << "step " << step;
    if (!checkpoint && history.Below(4) == 0) {
      op.Checkpoint();
      history.Checkpoint();
      checkpoint = emitted;
    }
    // At once, or steps later.
    if (checkpoint && history.Below(2) == 0) {
      op.Committed();
      history.Committed();
      committed = *std::exchange(checkpoint, std::nullopt);
    }
    if (history.Below(8) == 0) {
      op.Restart();
      history.Rollback();
      checkpoint.reset();
      emitted = committed;
    }
  }
}

AggregateCall RandomCall(History& history) {
  static const std::vector<std::tuple<AggregateKind, int, const char*>> kCalls = {
      {kCountStar, -1, "int"},
      {kCount, kText, "int"},
      {kSum, kN, "int"},
      {kSum, kD, "double"},
      {kSum, kBig, "decimal(38,2)"},
      {kAvg, kN, "double"},
      {kAvg, kD, "double"},
      {kMin, kN, "int"},
      {kMax, kD, "double"},
      {kMin, kText, "string"},
      {kMax, kText, "string"},
      {kMax, kBig, "decimal(38,2)"},
      {kMin, kB, "bool"},
      {kBoolAnd, kB, "bool"},
      {kBoolOr, kB, "bool"},
      {kAnyValue, kN, "int"},
      {kArgMin, kText, "string"},
      {kArgMax, kN, "int"},
      {kArgMax, kBig, "decimal(38,2)"},
      {kFirst, kText, "string"},
      {kLast, kD, "double"},
      {kFirst, kB, "bool"},
      {kLast, kN, "int"}};
  const auto& [kind, argument, result] = kCalls[history.Below(kCalls.size())];
  AggregateCall call{kind, argument, {}, {}, -1, TypeOf(result)};
  if (history.Below(3) == 0) call.filter = kKeep;
  if (kind == kArgMin || kind == kArgMax || kind == kFirst || kind == kLast) {
    static const std::vector<std::vector<int>> kOrders = {
        {kTs, kId}, {kTs, kText, kId}, {kText, kId}, {kBig, kTs, kId}, {kId}, {kD, kId}};
    call.order = kOrders[history.Below(kOrders.size())];
    const bool may_descend = kind == kFirst || kind == kLast;
    for (size_t i = 0; may_descend && i < call.order.size(); ++i)
      call.descending.push_back(history.Below(3) == 0);
  }
  return call;
}

class RandomHistoryTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(, RandomHistoryTest, testing::Range(0, 24));

int64_t RandomMemory(History& history) {
  const int64_t choices[] = {0, 10'000, 16'000, 1 << 30};
  return choices[history.Below(4)];
}

uint64_t SeedOf(int parameter) {
  const char* given = std::getenv("WEIR_SEED");
  return given != nullptr ? std::stoull(given)
                          : std::random_device{}() + static_cast<uint64_t>(parameter);
}

TEST_P(RandomHistoryTest, AggregatesEqualTheirRecomputation) {
  const uint64_t seed = SeedOf(GetParam());
  SCOPED_TRACE(fmt::format("WEIR_SEED={}", seed));
  AggregateSpec spec;
  spec.input_retracts = GetParam() % 2 == 0;
  History history(seed, spec.input_retracts);
  static const std::vector<std::vector<int>> kKeys = {
      {}, {kK}, {kS}, {kK, kS}, {kB, kTs}};
  spec.keys = kKeys[history.Below(kKeys.size())];
  for (const int key : spec.keys)
    spec.output.fields.push_back(history.schema().fields[static_cast<size_t>(key)]);
  for (uint64_t calls = history.Below(8); calls > 0; --calls) {
    spec.calls.push_back(RandomCall(history));
    spec.output.fields.push_back({fmt::format("a{}", calls), spec.calls.back().result});
  }
  if (spec.keys.empty() && spec.calls.empty()) return;
  const int64_t memory = RandomMemory(history);
  OperatorTest op(history.schema(), spec.output, [&](state::Store* store) {
    return NewAggregate(spec, history.schema(), store, "op/random", memory);
  });
  Play(history, op, spec.output, 25,
       [&](const Rows& rows) { return Recompute(rows, spec); });
}

TEST_P(RandomHistoryTest, FirstRowsEqualTheirRecomputation) {
  const uint64_t seed = SeedOf(GetParam());
  SCOPED_TRACE(fmt::format("WEIR_SEED={}", seed));
  TopSpec spec;
  spec.input_retracts = GetParam() % 2 == 0;
  History history(seed, spec.input_retracts);
  static const std::vector<std::vector<int>> kKeys = {{}, {kK}, {kK, kS}},
                                             kOrders = {{kTs, kId},
                                                        {kText, kTs, kId},
                                                        {kN, kD, kId}};
  spec.keys = kKeys[history.Below(kKeys.size())];
  spec.order = kOrders[history.Below(kOrders.size())];
  for (size_t i = 0; i < spec.order.size(); ++i)
    spec.descending.push_back(history.Below(2) == 0);
  spec.n = static_cast<int64_t>(1 + history.Below(4));
  const int64_t memory = RandomMemory(history);
  OperatorTest op(history.schema(), history.schema(), [&](state::Store* store) {
    return NewTop(spec, history.schema(), store, "op/random", memory);
  });
  Play(history, op, history.schema(), 25,
       [&](const Rows& rows) { return RecomputeTop(rows, spec); });
}

}  // namespace
}  // namespace weir::ops
