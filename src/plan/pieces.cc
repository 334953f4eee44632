// SQL pieces: what a port computes, and the types that come out of it.
#include <arrow/api.h>
#include <fmt/format.h>

#include "data/batch.h"
#include "plan/query_internal.h"
#include "plan/utc_internal.h"

namespace weir::plan {
namespace {

constexpr const char* kWeight = "_weight";

std::string Numbers(const std::vector<int>& numbers) {
  return fmt::format("[{}]", fmt::join(numbers, ","));
}

std::string Flags(const std::vector<bool>& flags) {
  std::string text;
  for (const bool flag : flags) text += flag ? '1' : '0';
  return text;
}

}  // namespace

int PortColumns::Add(const Json& expr, std::string_view prefix) {
  const std::string text = Plain(expr).dump();
  for (size_t i = 0; i < items_.size(); ++i) {
    if (texts_[i] == text) return static_cast<int>(i);
  }
  const size_t n = counts_[std::string(prefix)]++;
  items_.push_back({fmt::format("{}{}", prefix, n), expr});
  texts_.push_back(text);
  return static_cast<int>(items_.size() - 1);
}

OperatorOrder ForOperator(const std::vector<Json>& orders) {
  OperatorOrder out;
  for (const Json& order : orders) {
    const bool descending = order["type"] == "DESCENDING",
               nulls_first = order["null_order"] == "NULLS FIRST";
    if (descending || nulls_first) {
      out.exprs.push_back(IsNull(order["expression"]));
      out.descending.push_back(nulls_first);
    }
    out.exprs.push_back(order["expression"]);
    out.descending.push_back(descending);
  }
  return out;
}

Result<Input> QueryPlanner::TableInput(const InputTable& table) {
  Input input;
  input.table = &table;
  input.name = table.name;
  input.schema = table.schema;
  if (!table.key.empty()) input.keys.push_back(table.key);
  input.append_only = table.append_only;
  return input;
}

Result<std::string> QueryPlanner::SelectList(const std::vector<Item>& items) {
  std::string out;
  for (const Item& item : items) {
    out += fmt::format("{} AS {}, ", WEIR_TRY(ast_.PrintExpr(item.expr)),
                       duck::QuoteName(item.name));
  }
  return out;
}

Result<std::string> QueryPlanner::PortSql(const Input& input, const Json& where,
                                          const std::vector<Item>& items,
                                          std::string_view weight) {
  std::string sql = fmt::format("SELECT {}{} FROM {}", WEIR_TRY(SelectList(items)),
                                weight, duck::QuoteTable(input.name));
  if (!where.is_null()) {
    sql +=
        " WHERE " + WEIR_TRY(ast_.PrintExpr(WEIR_TRY(InUtc(ast_, where, input.schema))));
  }
  return sql;
}

Status QueryPlanner::SetPort(const Input& input, const Json& where,
                             const std::vector<Item>& items, Port* port, bool negate) {
  std::vector<Item> shorter, computed;
  std::vector<int> passed;
  for (const Item& item : items) {
    shorter.push_back({item.name, WEIR_TRY(InUtc(ast_, item.expr, input.schema))});
    passed.push_back(IsColumn(item.expr) ? input.schema.IndexOf(NamesOf(item.expr)[0])
                                         : -1);
    if (passed.back() < 0) computed.push_back(shorter.back());
  }
  port->table = input.stage < 0 ? input.name : "";
  port->stage = input.stage;
  port->sql =
      WEIR_TRY(PortSql(input, where, shorter, negate ? "-_weight AS _weight" : kWeight));
  port->schema = WEIR_TRY(pieces_.Describe(port->sql));
  port->schema.fields.pop_back();
  port->fast_sql.clear();
  port->computed_sql.clear();
  port->computed_fast_sql.clear();
  port->passed.clear();
  port->columns.clear();
  port->is_projection = computed.empty() && where.is_null() && !negate;
  if (port->is_projection) port->columns = passed;
  if (negate) return {};
  if (!port->is_projection && computed.size() < items.size()) {
    port->passed = std::move(passed);
    port->computed_sql = WEIR_TRY(PortSql(input, where, computed, kWeight));
  }
  return SetFastSql(input, where, items, port);
}

// A check `TRY({'v': e}) IS NOT NULL` costs computing e again. Where an item is `TRY(e)`,
// computing e as it is fails whenever the check is false of a row.
Status QueryPlanner::SetFastSql(const Input& input, const Json& where,
                                const std::vector<Item>& items, Port* port) {
  std::vector<Json> conjuncts;
  SplitAnd(where, &conjuncts);
  CheckedPort out;
  std::set<std::string> checked;
  for (const Json& condition : conjuncts) {
    if (const Json* expr = CheckedExpr(condition)) {
      checked.insert(Plain(*expr).dump());
      continue;
    }
    const std::vector<const Json*> failing = FailingChecks(condition);
    if (failing.empty()) out.rest.insert(Plain(condition).dump());
    for (const Json* expr : failing) {
      out.failing = true;
      out.checks.insert(Plain(*expr).dump());
    }
  }
  if (out.failing) {
    checked_ports_[port->sql] = std::move(out);
    return {};
  }
  if (checked.empty()) return {};
  const std::function<Json(Json)> untried = [&](Json json) -> Json {
    if (const Json* expr = TriedExpr(json);
        expr != nullptr && checked.contains(Plain(*expr).dump())) {
      Json inner = *expr;
      inner["alias"] = AliasOf(json);
      return untried(std::move(inner));
    }
    if (json.is_structured()) {
      for (Json& child : json) child = untried(std::move(child));
    }
    return json;
  };
  std::vector<Item> plain;
  std::set<std::string> computed;
  for (const Item& item : items) {
    const Json* tried = TriedExpr(item.expr);
    computed.insert(Plain(tried != nullptr ? *tried : item.expr).dump());
    plain.push_back({item.name, WEIR_TRY(InUtc(ast_, untried(item.expr), input.schema))});
  }
  Json fast_where;
  for (const Json& condition : conjuncts) {
    const Json* expr = CheckedExpr(condition);
    if (expr != nullptr && computed.contains(Plain(*expr).dump())) {
      out.checks.insert(Plain(*expr).dump());
      continue;
    }
    if (expr != nullptr) out.rest.insert(Plain(condition).dump());
    fast_where =
        And(std::move(fast_where), expr != nullptr ? condition : untried(condition));
  }
  port->fast_sql = WEIR_TRY(PortSql(input, fast_where, plain, kWeight));
  if (!port->passed.empty()) {
    for (size_t i = plain.size(); i-- > 0;) {
      if (port->passed[i] >= 0) plain.erase(plain.begin() + static_cast<int64_t>(i));
    }
    port->computed_fast_sql = WEIR_TRY(PortSql(input, fast_where, plain, kWeight));
  }
  checked_ports_[port->sql] = std::move(out);
  return {};
}

// Ports for failing rows need not look where none failed.
void QueryPlanner::SkipEmptyPorts() {
  for (Stage& stage : stages_) {
    for (Port& port : stage.ports) {
      const auto failing = checked_ports_.find(port.sql);
      if (failing == checked_ports_.end() || !failing->second.failing) continue;
      for (size_t s = 0; s < stages_.size(); ++s) {
        if (&stages_[s] == &stage) break;  // only those that run before
        for (size_t p = 0; p < stages_[s].ports.size(); ++p) {
          const Port& other = stages_[s].ports[p];
          if (other.table != port.table || other.stage != port.stage ||
              other.fast_sql.empty())
            continue;
          const auto found = checked_ports_.find(other.sql);
          if (found == checked_ports_.end() || found->second.failing ||
              found->second.rest != failing->second.rest ||
              !std::includes(found->second.checks.begin(), found->second.checks.end(),
                             failing->second.checks.begin(),
                             failing->second.checks.end()))
            continue;
          port.empty_unless_stage = static_cast<int>(s);
          port.empty_unless_port = static_cast<int>(p);
        }
      }
    }
  }
}

Result<std::vector<std::string>> QueryPlanner::NativeTypes(const std::string& sql,
                                                           size_t columns) {
  std::vector<std::string> types;
  if (columns == 0) return types;
  std::string list, names;
  for (size_t i = 0; i < columns; ++i) {
    list += fmt::format("{}typeof(any_value(t{}))", i == 0 ? "" : ", ", i);
    names += fmt::format("{}t{}", i == 0 ? "" : ", ", i);
  }
  // The query may have further columns (_weight) behind those that are asked for.
  const auto rows = WEIR_TRY(pieces_.Query(
      fmt::format("SELECT {} FROM ({}) AS q({})", list, sql, names), nullptr));
  for (size_t i = 0; i < columns; ++i) {
    types.push_back(
        data::RowText(*rows[0]->SelectColumns({static_cast<int>(i)}).ValueOrDie(), 0));
  }
  return types;
}

Result<std::vector<std::string>> QueryPlanner::NativeTypes(
    const Input& input, const std::vector<Json>& exprs) {
  std::vector<Item> items;
  for (const Json& expr : exprs) items.push_back({"x", expr});
  return NativeTypes(fmt::format("SELECT {}{} FROM {}", WEIR_TRY(SelectList(items)),
                                 kWeight, duck::QuoteTable(input.name)),
                     exprs.size());
}

Result<Json> QueryPlanner::Cast(const Json& expr, const std::string& type) {
  return ast_.ParseExpr(
      fmt::format("CAST({} AS {})", WEIR_TRY(ast_.PrintExpr(expr)), type));
}

Result<Json> QueryPlanner::StoredColumn(const std::string& name, const data::Type& stored,
                                        const std::string& native) {
  Json column = ColumnRef({name});
  if (native == duck::TypeInSql(stored) || native == "\"NULL\"") return column;
  Json cast = WEIR_TRY(
      ast_.ParseExpr(fmt::format("CAST({} AS {})", duck::QuoteName(name), native)));
  return Plain(std::move(cast));
}

Result<Input> QueryPlanner::AddStage(Stage stage) {
  std::string sql = stage.recompute_sql;
  for (size_t port = 0; port < stage.ports.size(); ++port) {
    const std::string name = PortName(port), any = fmt::format("_p#_{}", port);
    for (size_t at = 0; (at = sql.find(name, at)) != sql.npos; at += any.size())
      sql.replace(at, name.size(), any);
  }
  std::string text =
      fmt::format("{} {} {}", BlockKindName(stage.kind), sql, stage.one_group);
  for (const Port& port : stage.ports) {
    text += fmt::format("\n{}|{}|{}|{}", port.table, port.stage, port.sql,
                        Numbers(port.exchange_keys));
  }
  for (const ops::AggregateCall& call : stage.aggregate.calls) {
    text += fmt::format("\n{} {} {} {} {} {} {} {} {}", static_cast<int>(call.kind),
                        call.argument, call.filter, Numbers(call.order),
                        Flags(call.descending), data::TypeName(call.result),
                        call.distinct, call.separator, call.fraction.value);
  }
  text += fmt::format("\n{} {} {} {}", Numbers(stage.top.keys), Numbers(stage.top.order),
                      Flags(stage.top.descending), stage.top.n);
  text += fmt::format("\n{} {} {} {}", static_cast<int>(stage.join.kind),
                      Numbers(stage.join.left_keys), Numbers(stage.join.right_keys),
                      Flags(stage.join.null_safe));
  text += fmt::format("\n{} {} {} {} {} {}", static_cast<int>(stage.asof.match),
                      stage.asof.outer, stage.asof.left_time, stage.asof.right_time,
                      stage.temporal.from, stage.temporal.to);
  text += fmt::format("\n{} {} {} {}", Numbers(stage.window.keys),
                      Numbers(stage.window.order), Flags(stage.window.descending),
                      stage.window.peers);
  for (const ops::WindowCall& call : stage.window.calls) {
    text += fmt::format("\n{} {} {} {} {} {} {} {}", static_cast<int>(call.kind),
                        call.argument, data::TypeName(call.result), call.offset,
                        call.default_column, call.ignore_nulls, call.rows_frame,
                        call.preceding);
  }
  text += fmt::format("\n{} {} {} {} {} {}", Numbers(stage.components.record),
                      Numbers(stage.components.values), stage.components.sequence,
                      stage.components.from, stage.components.to, stage.components.most);
  const auto same = std::find(signatures_.begin(), signatures_.end(), text);
  if (same != signatures_.end())
    return inputs_[static_cast<size_t>(same - signatures_.begin())];
  Input input;
  input.stage = static_cast<int>(stages_.size());
  input.name = fmt::format("_s{}", input.stage);
  input.schema = stage.output;
  input.append_only = stage.append_only;
  data::Schema weighted = stage.output;
  weighted.fields.push_back({kWeight, data::Simple(data::Kind::kInt32)});
  WEIR_TRY(pieces_.DeclareInput(input.name, weighted));
  signatures_.push_back(std::move(text));
  stages_.push_back(std::move(stage));
  inputs_.push_back(input);
  return input;
}

std::vector<std::string> QueryPlanner::Carried(const std::vector<std::string>& key,
                                               const std::vector<Item>& items) {
  std::vector<std::string> names;
  for (const std::string& column : key) {
    for (const Item& item : items) {
      if (!IsColumn(item.expr) || !data::SameName(NamesOf(item.expr)[0], column))
        continue;
      names.push_back(item.name);
      break;
    }
  }
  return names.size() == key.size() ? names : std::vector<std::string>();
}

}  // namespace weir::plan
