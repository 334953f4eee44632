// Conditions on watermark(): rows that come and go as event time passes.
#include <fmt/format.h>

#include "plan/query_internal.h"

namespace weir::plan {
namespace {

bool IsWatermark(const Json& expr) {
  return IsCall(expr) && CallName(expr) == "watermark";
}

}  // namespace

bool HasWatermark(const Json& expr) {
  bool has = false;
  Visit(expr, [&](const Json& json) {
    has |= IsWatermark(json);
    return !has;
  });
  return has;
}

Status QueryPlanner::Remap(const PortColumns& columns, const Stage& stage,
                           const std::vector<std::string>& natives, Source* source) {
  PortColumns present = columns;
  const auto map = [&](Item& column) -> Status {
    const size_t c = static_cast<size_t>(present.Add(column.expr, "?"));
    WEIR_CHECK(c < columns.items().size());
    const data::Field& field = stage.output.fields[c];
    column.expr = WEIR_TRY(StoredColumn(field.name, field.type, natives[c]));
    return {};
  };
  for (ScopeTable& table : source->tables) {
    for (Item& column : table.columns) WEIR_TRY(map(column));
  }
  for (Item& column : source->merged) WEIR_TRY(map(column));
  source->where = Json();
  return {};
}

// `value op watermark() ± interval`, all of them at once: each row is there from a time
// on and until a time.
Status QueryPlanner::WhileInTime(const std::vector<Json>& conditions, Source* source) {
  struct Bound {
    std::string value;  // SQL
    bool is_end, inclusive;
  };
  std::vector<Bound> bounds;
  const auto add = [&](const Json& value, std::string type,
                       const Json& watermark) -> Status {
    // value op watermark() + d is value - d op watermark().
    std::string text = WEIR_TRY(ast_.PrintExpr(WEIR_TRY(Resolve(value, *source))));
    if (!IsWatermark(watermark)) {
      const std::string sign = IsCall(watermark) ? CallName(watermark) : "";
      if ((sign != "-" && sign != "+") || watermark["children"].size() != 2 ||
          !IsWatermark(watermark["children"][0]) || HasColumn(watermark["children"][1]))
        return Invalid(
            "it uses watermark() in other ways than plus or minus an interval");
      text = fmt::format("({} {} {})", text, sign == "-" ? "+" : "-",
                         WEIR_TRY(ast_.PrintExpr(watermark["children"][1])));
    }
    text = fmt::format("CAST({} AS TIMESTAMPTZ)", text);
    if (type == "COMPARE_GREATERTHAN") {
      bounds.push_back({text, true, false});
    } else if (type == "COMPARE_GREATERTHANOREQUALTO") {
      bounds.push_back({text, true, true});
    } else if (type == "COMPARE_LESSTHANOREQUALTO") {
      bounds.push_back({text, false, true});
    } else if (type == "COMPARE_LESSTHAN") {
      bounds.push_back({text, false, false});
    } else {
      return Invalid("it compares watermark() by other signs than <, <=, > and >=");
    }
    return {};
  };
  static const std::map<std::string, std::string> kSwapped = {
      {"COMPARE_GREATERTHAN", "COMPARE_LESSTHAN"},
      {"COMPARE_LESSTHAN", "COMPARE_GREATERTHAN"},
      {"COMPARE_GREATERTHANOREQUALTO", "COMPARE_LESSTHANOREQUALTO"},
      {"COMPARE_LESSTHANOREQUALTO", "COMPARE_GREATERTHANOREQUALTO"}};
  for (const Json& condition : conditions) {
    if (IsClass(condition, "BETWEEN") && !HasWatermark(condition["input"])) {
      for (const bool lower : {true, false}) {
        const Json& bound = condition[lower ? "lower" : "upper"];
        if (!HasWatermark(bound))
          return Invalid("it uses watermark() in one bound of BETWEEN only");
        WEIR_TRY(add(condition["input"],
                     lower ? "COMPARE_GREATERTHANOREQUALTO" : "COMPARE_LESSTHANOREQUALTO",
                     bound));
      }
      continue;
    }
    if (!IsClass(condition, "COMPARISON"))
      return Invalid("it uses watermark() in other ways than comparing a column with it");
    const std::string type = condition["type"];
    if (HasWatermark(condition["right"]) && !HasWatermark(condition["left"])) {
      WEIR_TRY(add(condition["left"], type, condition["right"]));
    } else if (!HasWatermark(condition["right"])) {
      const auto swapped = kSwapped.find(type);
      WEIR_TRY(add(condition["right"], swapped == kSwapped.end() ? "" : swapped->second,
                   condition["left"]));
    } else {
      return Invalid("it compares watermark() with itself");
    }
  }
  PortColumns columns;
  for (ScopeTable& table : source->tables) {
    std::erase_if(table.columns,
                  [&](const Item& c) { return !table.ours && !IsUsed(c.name); });
    for (const Item& column : table.columns) columns.Add(column.expr, "c");
  }
  for (const Item& column : source->merged) columns.Add(column.expr, "c");
  // What is NULL compares with nothing.
  Json where = source->where;
  std::string from, to;
  for (const Bound& bound : bounds) {
    where = And(std::move(where),
                WEIR_TRY(ast_.ParseExpr(fmt::format("{} IS NOT NULL", bound.value))));
    std::string& list = bound.is_end ? to : from;
    list += fmt::format("{}{}{}", list.empty() ? "" : ", ", bound.value,
                        bound.is_end == bound.inclusive ? " + to_microseconds(1)" : "");
  }
  Stage stage;
  stage.kind = BlockKind::kTemporal;
  stage.ports.resize(1);
  if (!from.empty()) {
    stage.temporal.from =
        columns.Add(WEIR_TRY(ast_.ParseExpr(fmt::format("greatest({})", from))), "from");
  }
  if (!to.empty())
    stage.temporal.to =
        columns.Add(WEIR_TRY(ast_.ParseExpr(fmt::format("least({})", to))), "to");
  Port& port = stage.ports[0];
  WEIR_TRY(SetPort(source->input, where, columns.items(), &port));
  const auto natives = WEIR_TRY(NativeTypes(port.sql, columns.items().size()));
  stage.one_group = true;  // time passes for all rows of the state at once
  stage.output = port.schema;
  stage.append_only = source->input.append_only && stage.temporal.to < 0;
  WEIR_TRY(Remap(columns, stage, natives, source));
  std::vector<std::vector<std::string>> keys;
  for (const auto& key : source->input.keys) {
    auto carried = Carried(key, columns.items());
    if (!carried.empty()) keys.push_back(std::move(carried));
  }
  const bool few = source->input.few;
  source->input = WEIR_TRY(AddStage(std::move(stage)));
  source->input.keys = std::move(keys);
  source->input.few = few;
  return {};
}

}  // namespace weir::plan
