// AUTO CDC: the query that defines it against a replay of the log, change by change.
#include <array>
#include <map>
#include <random>
#include <set>

#include "plan/testing_internal.h"

namespace weir::plan {
namespace {

using Value = std::optional<int>;  // NULLs are least, as std::optional has it

struct Change {
  Value key, sequence;
  char op = 'u';  // u, d, t
  std::array<Value, 2> values;
};

struct Options {
  int type = 1;
  bool deletes = false, truncates = false, ignore_nulls = false;
  bool with_sequence = false;  // the sequence is a column of the table
  std::array<bool, 2> tracked = {true, true};
  std::string track;

  std::string Statement() const {
    return fmt::format(
        "CREATE STREAMING TABLE s.t; CREATE FLOW f AS AUTO CDC INTO s.t FROM STREAM "
        "b.log "
        "KEYS (k) SEQUENCE BY seq{}{}{} COLUMNS (k, x, y{}) STORED AS SCD TYPE {}{}",
        deletes ? " APPLY AS DELETE WHEN op = 'd'" : "",
        truncates ? " APPLY AS TRUNCATE WHEN op = 't'" : "",
        ignore_nulls ? " IGNORE NULL UPDATES" : "", with_sequence ? ", seq" : "", type,
        track);
  }
};

std::string ValueText(Value value) { return value ? std::to_string(*value) : "NULL"; }

// What the words of docs/sql.md say, done one after the other.
std::vector<std::string> Replay(const std::vector<Change>& log, const Options& options) {
  struct Group {  // the changes of one sequence
    bool truncated = false, deleted = false;
    std::vector<std::array<Value, 2>> updates;
  };
  std::map<int, std::map<Value, Group>> groups;
  std::set<Value> keys;
  std::set<int> truncations;
  for (const Change& change : log) {
    if (!change.sequence) continue;
    if (options.truncates && change.op == 't') {
      truncations.insert(*change.sequence);
      continue;
    }
    keys.insert(change.key);
    Group& group = groups[*change.sequence][change.key];
    if (options.deletes && change.op == 'd') {
      group.deleted = true;
    } else {
      group.updates.push_back(change.values);
    }
  }
  for (const int sequence : truncations) {
    for (const Value& key : keys) groups[sequence][key].truncated = true;
  }
  struct Version {
    std::array<Value, 2> values;
    int start = 0, last = 0;
    Value end;
  };
  std::map<Value, std::vector<Version>> versions;
  std::map<Value, std::array<Value, 2>> known;
  for (auto& [sequence, of_keys] : groups) {
    for (auto& [key, group] : of_keys) {
      std::vector<Version>& history = versions[key];
      const bool open = !history.empty() && !history.back().end;
      if (group.truncated) known.erase(key);
      std::sort(group.updates.begin(), group.updates.end());
      std::array<Value, 2> now;
      for (const auto& update : group.updates) {
        now = update;
        if (!options.ignore_nulls) continue;
        std::array<Value, 2>& before = known[key];
        for (size_t i = 0; i < now.size(); ++i) {
          if (!now[i]) now[i] = before[i];
        }
        before = now;
      }
      if (group.deleted || group.updates.empty()) {
        if (group.deleted) known.erase(key);
        if (open) history.back().end = sequence;
        continue;
      }
      bool same = open && !options.with_sequence;
      for (size_t i = 0; open && i < now.size(); ++i)
        same &= !options.tracked[i] || now[i] == history.back().values[i];
      if (same) {
        history.back().values = now;
        history.back().last = sequence;
        continue;
      }
      if (open) history.back().end = sequence;
      history.push_back({now, sequence, sequence, {}});
    }
  }
  std::vector<std::string> rows;
  for (const auto& [key, history] : versions) {
    for (const Version& version : history) {
      if (options.type == 1 && (version.end || &version != &history.back())) continue;
      std::string row =
          fmt::format("{} {} {}", ValueText(key), ValueText(version.values[0]),
                      ValueText(version.values[1]));
      if (options.with_sequence) row += fmt::format(" {}", version.last);
      if (options.type == 2)
        row += fmt::format(" {} {}", version.start, ValueText(version.end));
      rows.push_back(std::move(row));
    }
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::vector<Options> AllOptions() {
  std::vector<Options> all;
  for (int bits = 0; bits < 16; ++bits) {
    Options options;
    options.deletes = bits & 1;
    options.truncates = bits & 2;
    options.ignore_nulls = bits & 4;
    options.with_sequence = bits & 8;
    all.push_back(options);
    options.type = 2;
    all.push_back(options);
    if (options.with_sequence) continue;
    options.tracked = {true, false};
    options.track = " TRACK HISTORY ON (x)";
    all.push_back(options);
    options.tracked = {false, true};
    options.track = " TRACK HISTORY ON * EXCEPT (x)";
    all.push_back(options);
  }
  return all;
}

TEST(CdcTest, TheQueryIsTheReplayOfTheLog) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  InputTable table;
  table.name = "b.log";
  table.schema.fields = {{"k", Simple(Kind::kInt32)},
                         {"seq", Simple(Kind::kInt32)},
                         {"op", Simple(Kind::kString)},
                         {"x", Simple(Kind::kInt32)},
                         {"y", Simple(Kind::kInt32)}};
  table.append_only = true;
  auto session = *duck::Session::Open({});
  for (const Options& options : AllOptions()) {
    SCOPED_TRACE(options.Statement());
    std::vector<PlanProblem> problems;
    auto models = sql::ParseModels({{"t.sql", options.Statement()}}, &problems);
    const auto plan = MakePlan({table}, std::move(models), &problems);
    ASSERT_EQ(Text(problems), "");
    EXPECT_EQ(plan->models[0].why_not_better, "");
    for (const Stage& stage : plan->models[0].stages)
      EXPECT_NE(stage.kind, BlockKind::kRecompute);
    for (int n = 0; n < 12; ++n) {
      std::vector<Change> log;
      std::string values;
      const auto any = [&](int most) -> Value {
        const int v = static_cast<int>(random() % static_cast<uint64_t>(most + 1));
        return v == 0 ? std::nullopt : Value(v);
      };
      for (uint64_t i = random() % 14 + 1; i > 0; --i) {
        const Change change{any(2), any(7), "uuuudt" [random() % 6], { any(2), any(2) }};
        log.push_back(change);
        values +=
            fmt::format("{}({}, {}, '{}', {}, {})", values.empty() ? "" : ", ",
                        ValueText(change.key), ValueText(change.sequence), change.op,
                        ValueText(change.values[0]), ValueText(change.values[1]));
      }
      // The log's rows in the place of its name.
      std::string sql = plan->models[0].completed_sql;
      const size_t at = sql.find("b.log");
      ASSERT_NE(at, sql.npos);
      sql.replace(at, 5,
                  fmt::format("(SELECT k::INTEGER AS k, seq::INTEGER AS seq, op, "
                              "x::INTEGER AS x, y::INTEGER AS y FROM (VALUES {}) AS v(k, "
                              "seq, op, x, y)) AS log",
                              values));
      ASSERT_EQ(sql.find("b.log"), sql.npos);
      std::string columns =
          "coalesce(k::VARCHAR, 'NULL'), coalesce(x::VARCHAR, 'NULL'), "
          "coalesce(y::VARCHAR, 'NULL')";
      if (options.with_sequence) columns += ", seq";
      if (options.type == 2)
        columns += ", __START_AT, coalesce(__END_AT::VARCHAR, 'NULL')";
      const auto rows =
          Query(*session,
                fmt::format("SELECT concat_ws(' ', {}) FROM ({}) AS t", columns, sql));
      std::vector<std::string> found;
      for (const auto& batch : rows) {
        const auto& text = static_cast<const arrow::StringArray&>(*batch->column(0));
        for (int64_t i = 0; i < text.length(); ++i) found.push_back(text.GetString(i));
      }
      std::sort(found.begin(), found.end());
      ASSERT_EQ(found, Replay(log, options)) << values;
    }
  }
}

}  // namespace
}  // namespace weir::plan
