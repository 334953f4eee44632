#include "history.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <algorithm>

namespace weir::sqltest {
namespace {

data::Type TypeOf(Ty type) {
  using data::Kind;
  switch (type) {
    case Ty::kBool:
      return data::Simple(Kind::kBool);
    case Ty::kInt:
      return data::Simple(Kind::kInt32);
    case Ty::kBig:
      return data::Simple(Kind::kInt64);
    case Ty::kHuge:
      return data::Decimal(38, 0);
    case Ty::kDecimal:
      return data::Decimal(10, 2);
    case Ty::kDouble:
    case Ty::kWild:
      return data::Simple(Kind::kDouble);
    case Ty::kText:
      return data::Simple(Kind::kString);
    case Ty::kDate:
      return data::Simple(Kind::kDate);
    case Ty::kTs:
      return data::Simple(Kind::kTimestamp);
    case Ty::kTsTz:
      return data::Simple(Kind::kTimestampTz);
    case Ty::kList:
      return data::ListOf(data::Simple(Kind::kInt32));
    case Ty::kStruct:
      return data::StructOf(
          {{"a", data::Simple(Kind::kInt32)}, {"b", data::Simple(Kind::kString)}});
  }
  return {};
}

class Dice {
 public:
  explicit Dice(std::mt19937_64& random) : random_(random) {}
  uint64_t Below(uint64_t n) { return random_() % n; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  const char* Pick(const std::vector<const char*>& from) {
    return from[Below(from.size())];
  }

 private:
  std::mt19937_64& random_;
};

// Few values, so that keys meet; now and then an extreme one. `wide`: more of them.
std::string ValueText(const data::Type& type, bool wide, Dice& dice) {
  using data::Kind;
  if (dice.OneIn(7)) return "NULL";
  const bool extreme = dice.OneIn(25);
  const auto small = [&] {
    return static_cast<int64_t>(dice.Below(wide ? 60 : 5)) - (wide ? 20 : 1);
  };
  switch (type.kind) {
    case Kind::kBool:
      return dice.OneIn(2) ? "true" : "false";
    case Kind::kInt32:
      return extreme ? dice.Pick({"2147483647", "-2147483648", "0"})
                     : std::to_string(small());
    case Kind::kInt64:
      return extreme ? dice.Pick({"9223372036854775807", "-9223372036854775808",
                                  "9007199254740993"})
                     : std::to_string(small());
    case Kind::kDecimal:
      return extreme ? dice.Pick({"99999999.99", "-99999999.99", "0.00"})
                     : fmt::format("{}.{}", small(), dice.Pick({"00", "25", "50", "99"}));
    case Kind::kDouble:
      return dice.OneIn(10) ? dice.Pick({"nan", "inf", "-inf", "-0", "0", "1048576.125"})
                            : fmt::format("{}", static_cast<double>(small()) / 4);
    case Kind::kString:
      return extreme ? dice.Pick({"''", "'it''s'",
                                  "'a longer text, beyond the inline "
                                  "length'",
                                  "ä", "'a b'"})
                     : std::string(dice.Pick({"a", "b", "B", "ab", "abc", "1", "22"}));
    case Kind::kDate:
      return extreme ? dice.Pick({"1969-12-31", "2024-02-29", "9999-12-31"})
                     : fmt::format("2024-01-{:02}", 1 + dice.Below(wide ? 28 : 4));
    case Kind::kTimestamp:
    case Kind::kTimestampTz:
      return extreme ? dice.Pick({"1969-12-31T23:59:59.999999", "2024-02-29T12:00",
                                  "2024-03-31T01:30:00.000001"})
                     : fmt::format("2024-01-01T{:02}:{:02}", dice.Below(wide ? 24 : 4),
                                   dice.OneIn(3) ? 30 : 0);
    case Kind::kList: {
      std::string out;
      for (uint64_t n = dice.Below(3); n > 0; --n)
        out += (out.empty() ? "" : ", ") + ValueText(type.fields[0].type, wide, dice);
      return "[" + out + "]";
    }
    case Kind::kStruct: {
      std::string out;
      for (const data::Field& field : type.fields)
        out += (out.empty() ? "" : ", ") + field.name + ": " +
               ValueText(field.type, wide, dice);
      return "{" + out + "}";
    }
    default:
      return "NULL";
  }
}

plan::InputTable RandomTable(int number, bool nested, bool append_only, Dice& dice,
                             std::vector<Column>* columns) {
  plan::InputTable table;
  table.name = fmt::format("b.t{}", number);
  // The order of rows without a key is decided by all columns, and nested ones have none.
  nested = nested && dice.OneIn(30);
  const bool keyed = nested || !dice.OneIn(3);
  table.append_only = append_only && dice.OneIn(2);
  const auto add = [&](std::string name, Ty type) {
    columns->push_back({name, type});
    table.schema.fields.push_back({std::move(name), TypeOf(type)});
  };
  add("id", Ty::kBig);
  if (keyed) table.key = {"id"};
  std::vector<Ty> types = {Ty::kBool,    Ty::kInt,  Ty::kInt,  Ty::kBig,
                           Ty::kDecimal, Ty::kText, Ty::kText, Ty::kDate,
                           Ty::kTs,      Ty::kTsTz, Ty::kTsTz, Ty::kDouble};
  if (nested) {
    types.push_back(Ty::kList);
    types.push_back(Ty::kStruct);
  }
  for (uint64_t n = 2 + dice.Below(4); n > 0; --n)
    add(fmt::format("v{}", columns->size()), types[dice.Below(types.size())]);
  if (keyed && dice.OneIn(3)) {  // tie columns
    const data::Field& field =
        table.schema.fields[dice.Below(table.schema.fields.size())];
    if (!field.type.is_nested()) table.order = {field.name};
  }
  return table;
}

// Constraints of some columns, of every kind: also ones that are NULL or fail.
std::string RandomConstraints(const Generated& made, Dice& dice) {
  std::string out;
  if (!dice.OneIn(3)) return out;
  for (uint64_t n = 1 + dice.Below(3); n > 0; --n) {
    const Column& column = made.columns[dice.Below(made.columns.size())];
    if (made.approximate.contains(column.name)) continue;
    std::string condition;
    switch (column.type) {
      case Ty::kBool:
        condition = column.name;
        break;
      case Ty::kInt:
      case Ty::kBig:
      case Ty::kHuge:
      case Ty::kDecimal:
      case Ty::kDouble:
      case Ty::kWild:
        condition = fmt::format("{} {} {}", column.name, dice.Pick({"<", ">=", "<>"}),
                                dice.Below(4));
        break;
      case Ty::kText:
        condition = dice.OneIn(2) ? column.name + " > 'ab'"
                                  : fmt::format("CAST({} AS INTEGER) < 5", column.name);
        break;
      default:
        condition = column.name + " IS NOT NULL";
    }
    out += fmt::format(" CONSTRAINT c{} EXPECT ({}){}", n, condition,
                       dice.Pick({" ON VIOLATION QUARANTINE", " ON VIOLATION QUARANTINE",
                                  " ON VIOLATION DROP ROW", ""}));
  }
  return out;
}

// The rows of a table as texts, and its next change.
class TableHistory {
 public:
  TableHistory(const plan::InputTable& table, bool wide) : table_(table), wide_(wide) {}

  Feed Empty() {
    Feed out{table_.name, {}};
    for (const std::string& row : rows_) out.rows.push_back({"- " + row, 0});
    rows_.clear();
    return out;
  }

  Feed Step(uint64_t changes, Dice& dice) {
    Feed out{table_.name, {}};
    for (; changes > 0; --changes) {
      const uint64_t what = table_.append_only ? 0 : dice.Below(10);
      if (what < 6 || rows_.empty()) {
        Insert(&out, table_.key.empty() && !rows_.empty() && dice.OneIn(4)
                         ? rows_[dice.Below(rows_.size())]
                         : NewRow(next_id_++, dice));
      } else {
        const size_t at = dice.Below(rows_.size());
        const std::string old = rows_[at];
        rows_.erase(rows_.begin() + static_cast<int64_t>(at));
        out.rows.push_back({"- " + old, 0});
        if (what < 8) Insert(&out, Changed(old, dice));  // an update keeps the id
      }
    }
    if (!table_.append_only && dice.OneIn(12)) {  // all rows go
      for (const std::string& row : rows_) out.rows.push_back({"- " + row, 0});
      rows_.clear();
    }
    return out;
  }

 private:
  void Insert(Feed* out, std::string row) {
    out->rows.push_back({"+ " + row, 0});
    rows_.push_back(std::move(row));
  }

  std::string NewRow(int64_t id, Dice& dice) {
    std::string out = std::to_string(table_.key.empty() ? id % 7 : id);
    for (size_t i = 1; i < table_.schema.fields.size(); ++i)
      out += " " + ValueText(table_.schema.fields[i].type, wide_, dice);
    return out;
  }
  std::string Changed(const std::string& old, Dice& dice) {
    const int64_t id = std::stoll(old);
    return NewRow(id, dice);
  }

  const plan::InputTable& table_;
  const bool wide_;
  std::vector<std::string> rows_;
  int64_t next_id_ = 1;
};

}  // namespace

Project RandomProject(const Features& features, int models, int depth,
                      std::mt19937_64& random) {
  Dice dice(random);
  Project out;
  std::vector<Relation> relations;
  const bool append_only = dice.OneIn(4);
  for (uint64_t n = 1 + dice.Below(3); n > 0; --n) {
    Relation relation;
    out.tables.push_back(RandomTable(static_cast<int>(out.tables.size()),
                                     features.contains(Feature::kNested), append_only,
                                     dice, &relation.columns));
    relation.name = out.tables.back().name;
    relations.push_back(std::move(relation));
  }
  if (features.contains(Feature::kMacros) && dice.OneIn(3)) {
    for (uint64_t n = 1 + dice.Below(3); n > 0; --n)
      out.macros.push_back(GenerateMacro(relations, out.macros, features, random));
  }
  for (int i = 0; i < models; ++i) {
    const size_t table = dice.Below(out.tables.size());
    std::vector<Column> columns;
    if (const auto cdc =
            features.contains(Feature::kCdc) && dice.OneIn(15)
                ? GenerateCdc(relations[table], out.tables[table].append_only, random,
                              &columns)
                : std::nullopt) {
      out.models.push_back({fmt::format("m.q{}", i), {}, "", *cdc});
      if (dice.OneIn(2)) relations.push_back({out.models.back().name, columns});
      continue;
    }
    const int most = 1 + static_cast<int>(dice.Below(static_cast<uint64_t>(depth)));
    Generated made = GenerateQuery(relations, out.macros, features, most, random);
    FuzzModel model{
        fmt::format("m.q{}", i), std::move(made.query),
        features.contains(Feature::kConstraints) ? RandomConstraints(made, dice) : "",
        ""};
    if (!made.approximate.empty())
      out.approximate[model.name] = {made.approximate.begin(), made.approximate.end()};
    if (dice.OneIn(3)) relations.push_back({model.name, made.columns});
    out.models.push_back(std::move(model));
  }
  return out;
}

History RandomHistory(const Project& project, int histories, std::mt19937_64& random) {
  Dice dice(random);
  History out;
  out.shards = dice.OneIn(4) ? 3 : 1;
  const int64_t budgets[] = {0, 4096, 64 << 20};
  out.memory_max = budgets[dice.Below(3)];
  const bool in_time =
      std::any_of(project.models.begin(), project.models.end(), [](const FuzzModel& m) {
        return m.Text().find("watermark()") != std::string::npos;
      });
  Micros watermark = 1'704'067'200'000'000;  // 2024-01-01, where times begin
  std::vector<TableHistory> tables;
  for (const plan::InputTable& table : project.tables) {
    tables.emplace_back(table, dice.OneIn(4));
    if (table.append_only) histories = 1;
  }
  const auto add = [&](HistoryStep step) {
    std::erase_if(step.feeds, [](const Feed& feed) { return feed.rows.empty(); });
    if (in_time && dice.OneIn(3)) {
      watermark += static_cast<Micros>(dice.Below(4)) * 1'800'000'000;
      step.watermark = watermark;
    }
    const uint64_t what = dice.Below(24);
    step.after = what < 12   ? After::kNothing
                 : what < 14 ? After::kCheckpoint
                 : what < 22 ? After::kCommit
                 : what < 23 ? After::kCrash
                             : After::kCrashGrouped;
    out.steps.push_back(std::move(step));
  };
  for (; histories > 0; --histories) {
    for (uint64_t n = 2 + dice.Below(4); n > 0; --n) {
      HistoryStep step;
      const uint64_t most = dice.OneIn(12) ? 80 : 10;
      for (TableHistory& table : tables) {
        if (!dice.OneIn(4)) step.feeds.push_back(table.Step(dice.Below(most), dice));
      }
      add(std::move(step));
    }
    if (histories > 1) {
      HistoryStep step;
      for (TableHistory& table : tables) step.feeds.push_back(table.Empty());
      step.ends = true;
      add(std::move(step));
    }
  }
  return out;
}

std::string FuzzModel::Text() const {
  if (!cdc.empty())
    return fmt::format(
        "CREATE STREAMING TABLE {};\nCREATE FLOW {}_f AS AUTO CDC INTO {} {}", name,
        name.substr(2), name, cdc);
  if (constraints.empty()) return Sql(query);
  return fmt::format("CREATE MATERIALIZED VIEW {}{} AS\n{}", name, constraints,
                     Sql(query));
}

Case ToCase(const Project& project, const History& history) {
  Case out;
  out.name = "found";
  out.tables = project.tables;
  for (const Macro& macro : project.macros)
    out.statements.push_back({"macro", macro.name, macro.Text()});
  for (const FuzzModel& model : project.models)
    out.models.push_back({model.name, "", model.Text(), 0});
  out.approximate = project.approximate;
  for (const HistoryStep& step : history.steps) {
    out.steps.emplace_back();
    out.steps.back().feeds = step.feeds;
    out.steps.back().watermark = step.watermark;
  }
  return out;
}

Result<Played> Play(const Case& c, const plan::Plan& plan, Oracle& oracle,
                    const History& history) {
  struct Step {
    Changes changes;
    std::optional<Micros> watermark;
    std::map<std::string, data::Batch> answers;
    After after;
  };
  // What DuckDB says, and the steps it has an answer for.
  Played out;
  out.effective = history;
  out.effective.steps.clear();
  std::vector<Step> steps;
  std::map<std::string, Content> sources;
  std::map<std::string, std::map<std::string, int64_t>> rows;  // as text
  Micros watermark = kNoTime;
  for (const auto& table : plan.sources) sources.emplace(table.name, table.schema);
  for (const HistoryStep& written : history.steps) {
    HistoryStep effective{{}, written.watermark, written.after, written.ends};
    Step step{{}, written.watermark, {}, written.after};
    auto next = sources;
    auto next_rows = rows;
    for (const Feed& feed : written.feeds) {
      Feed kept{feed.table, {}};
      for (const RowLine& line : feed.rows) {
        int64_t& count = next_rows[feed.table][line.text.substr(1)];
        if (line.text.starts_with('-') && count == 0) continue;
        count += line.text.starts_with('-') ? -1 : 1;
        kept.rows.push_back(line);
      }
      if (kept.rows.empty()) continue;
      Content& content = next.at(feed.table);
      std::vector<data::Batch> change = {
          WEIR_TRY(ParseRows(content.schema(), kept.rows, true))};
      WEIR_TRY(content.Add(change));
      auto& all = step.changes[feed.table];
      all.insert(all.end(), change.begin(), change.end());
      effective.feeds.push_back(std::move(kept));
    }
    const Micros now = written.watermark.value_or(watermark);
    WEIR_TRY(oracle.SetWatermark(now));
    auto answers = oracle.Answers(next);
    if (!answers.ok()) {
      if (answers.error().code != Code::kInvalid) return std::move(answers).error();
      ++out.dropped;
      continue;
    }
    step.answers = *std::move(answers);
    sources = std::move(next);
    rows = std::move(next_rows);
    watermark = now;
    steps.push_back(std::move(step));
    out.effective.steps.push_back(std::move(effective));
  }

  // A row's error ends a model (it goes to the model's $rejected one day); DuckDB may
  // have been spared it, for a row that came and went or a column nobody reads.
  const auto is_row_error = [](const Error& error) {
    for (const char* part : {"Overflow in", "out of range", "Out of Range",
                             "Could not "
                             "convert",
                             "Could not cast", "overflow"})
      if (error.message.find(part) != std::string::npos) return true;
    return false;
  };
  const auto wrong = [&](size_t step, std::string model, std::string message) {
    out.wrong = Wrong{step, std::move(model), std::move(message)};
    return out;
  };
  auto opened =
      Engine::Open(plan, {.shards = history.shards, .memory_max = history.memory_max});
  if (!opened.ok()) return wrong(0, "", "it does not start: " + opened.error().message);
  Engine& engine = **opened;
  size_t at = 0;  // the step being played
  const auto failed = [&](const Error& error) {
    if (is_row_error(error)) {
      out.dropped += static_cast<int>(steps.size() - at);
      return out;
    }
    return wrong(at, "", fmt::format("step {}: {}", at + 1, error.message));
  };
  const auto check = [&](size_t i) -> Result<bool> {
    for (const auto& model : plan.models) {
      if (!IsKept(model)) continue;
      const std::string difference =
          WEIR_TRY(Difference(model.output, engine.tables().at(model.model.name).rows(),
                              "Weir's table", steps[i].answers.at(model.model.name),
                              "DuckDB's answer", ApproximateColumns(c, model)));
      if (difference.empty()) continue;
      wrong(at, model.model.name, fmt::format("after step {}:\n{}", i + 1, difference));
      return false;
    }
    return true;
  };
  const auto play = [&](const Changes& changes, std::optional<Micros> now) {
    if (now) {
      if (Status status = engine.SetWatermark(*now); !status.ok()) return status;
    }
    auto made = engine.Step(changes);
    return made.ok() ? Status() : Status(made.error());
  };
  // Steps before `committed` are in the store, those before `put_aside` in a checkpoint.
  size_t committed = 0;
  std::optional<size_t> put_aside;
  for (; at < steps.size(); ++at) {
    const After after = steps[at].after;
    if (Status status = play(steps[at].changes, steps[at].watermark); !status.ok())
      return failed(status.error());
    if (!WEIR_TRY(check(at))) return out;
    if (put_aside && after < After::kCrash) {
      if (Status status = engine.Commit(); !status.ok()) return failed(status.error());
      committed = *std::exchange(put_aside, std::nullopt);
    }
    if (after == After::kCheckpoint || after == After::kCommit) {
      if (Status status = engine.Checkpoint(); !status.ok())
        return failed(status.error());
      put_aside = at + 1;
    }
    if (after == After::kCommit) {
      if (Status status = engine.Commit(); !status.ok()) return failed(status.error());
      committed = *std::exchange(put_aside, std::nullopt);
    }
    if (after < After::kCrash) continue;
    if (Status status = engine.Crash(); !status.ok()) return failed(status.error());
    put_aside.reset();
    Changes all;
    std::optional<Micros> now;
    for (size_t redo = committed; redo <= at; ++redo) {
      if (after == After::kCrash) {
        if (Status status = play(steps[redo].changes, steps[redo].watermark);
            !status.ok())
          return failed(status.error());
        if (!WEIR_TRY(check(redo))) return out;
      }
      for (const auto& [table, batches] : steps[redo].changes)
        all[table].insert(all[table].end(), batches.begin(), batches.end());
      if (steps[redo].watermark) now = steps[redo].watermark;
    }
    if (after == After::kCrash) continue;
    if (Status status = play(all, now); !status.ok()) return failed(status.error());
    if (!WEIR_TRY(check(at))) return out;
  }
  return out;
}

}  // namespace weir::sqltest
