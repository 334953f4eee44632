#include "query.h"

#include <fmt/format.h>

#include <functional>

namespace weir::sqltest {
namespace {

std::string SourceSql(const Source& source) {
  if (!source.sides.empty()) {
    std::string out = fmt::format("{} {} {}", SourceSql(source.sides[0]), source.join,
                                  SourceSql(source.sides[1]));
    if (!source.on.empty()) out += " ON " + Sql(source.on[0]);
    return out;
  }
  const std::string what =
      source.query.empty() ? source.table : "(" + Sql(source.query[0]) + ")";
  return what + (source.alias.empty() ? "" : " AS " + source.alias);
}

std::string List(const std::vector<Expr>& exprs) {
  std::string out;
  for (const Expr& expr : exprs) out += (out.empty() ? "" : ", ") + Sql(expr);
  return out;
}

std::string GroupSql(const Query& query) {
  if (query.group_all) return " GROUP BY ALL";
  if (query.group.empty()) return "";
  if (query.grouping.empty()) return " GROUP BY " + List(query.group);
  if (query.grouping != "GROUPING SETS")
    return fmt::format(" GROUP BY {}({})", query.grouping, List(query.group));
  std::string sets = "()";  // each alone, all, and none
  for (const Expr& expr : query.group) sets += ", (" + Sql(expr) + ")";
  return fmt::format(" GROUP BY GROUPING SETS (({}), {})", List(query.group), sets);
}

std::string SelectSql(const Query& query) {
  std::string out = "SELECT ";
  if (query.distinct) out += "DISTINCT ";
  if (!query.distinct_on.empty())
    out += fmt::format("DISTINCT ON ({}) ", List(query.distinct_on));
  for (size_t i = 0; i < query.items.size(); ++i)
    out += fmt::format("{}{} AS {}", i == 0 ? "" : ", ", Sql(query.items[i].expr),
                       query.items[i].name);
  if (!query.from.empty()) out += " FROM " + SourceSql(query.from[0]);
  if (!query.where.empty()) out += " WHERE " + Sql(query.where[0]);
  out += GroupSql(query);
  if (!query.having.empty()) out += " HAVING " + Sql(query.having[0]);
  if (!query.qualify.empty()) out += " QUALIFY " + Sql(query.qualify[0]);
  return out;
}

// ---- simpler queries

template <class T>
void Without(const std::vector<T>& list,
             const std::function<void(std::vector<T>)>& give) {
  for (size_t i = 0; i < list.size(); ++i) {
    std::vector<T> less = list;
    less.erase(less.begin() + static_cast<int64_t>(i));
    give(std::move(less));
  }
}

const char* Null(Ty type) {
  switch (type) {
    case Ty::kBool:
      return "true";
    case Ty::kInt:
      return "1";
    case Ty::kBig:
      return "CAST(1 AS BIGINT)";
    case Ty::kHuge:
      return "CAST(1 AS HUGEINT)";
    case Ty::kDecimal:
      return "CAST(1 AS DECIMAL(10,2))";
    case Ty::kDouble:
    case Ty::kWild:
      return "CAST(1 AS DOUBLE)";
    case Ty::kText:
      return "'a'";
    case Ty::kDate:
      return "DATE '2024-01-01'";
    case Ty::kTs:
      return "TIMESTAMP '2024-01-01 00:00:00'";
    case Ty::kTsTz:
      return "TIMESTAMPTZ '2024-01-01 00:00:00+00'";
    case Ty::kList:
      return "[1]";
    case Ty::kStruct:
      return "{'a': 1, 'b': 'x'}";
  }
  return "NULL";
}

void Exprs(const Expr& expr, const std::function<void(Expr)>& give) {
  if (expr.args.empty() && expr.query.empty()) return;  // a column or a literal
  give({expr.type, Null(expr.type), {}, {}});
  for (const Expr& arg : expr.args) {
    if (arg.type == expr.type) give(arg);
  }
  for (size_t i = 0; i < expr.args.size(); ++i) {
    Exprs(expr.args[i], [&](Expr simpler) {
      Expr out = expr;
      out.args[i] = std::move(simpler);
      give(std::move(out));
    });
  }
  for (const Query& query : expr.query) {
    for (Query& simpler : Simpler(query)) {
      Expr out = expr;
      out.query = {std::move(simpler)};
      give(std::move(out));
    }
  }
}

void Sources(const Source& source, const std::function<void(Source)>& give) {
  for (const Source& side : source.sides) give(side);
  for (size_t i = 0; i < source.sides.size(); ++i) {
    Sources(source.sides[i], [&](Source simpler) {
      Source out = source;
      out.sides[i] = std::move(simpler);
      give(std::move(out));
    });
  }
  if (source.sides.size() == 2 && source.join != "JOIN" && !source.on.empty()) {
    Source out = source;
    out.join = "JOIN";
    give(std::move(out));
  }
  for (const Expr& on : source.on) {
    Exprs(on, [&](Expr simpler) {
      Source out = source;
      out.on = {std::move(simpler)};
      give(std::move(out));
    });
  }
  for (const Query& query : source.query) {
    // The source below, under this one's name: right when the names of columns agree.
    if (!query.from.empty() && query.from[0].sides.empty()) {
      Source out = query.from[0];
      out.alias = source.alias;
      give(std::move(out));
    }
    for (Query& simpler : Simpler(query)) {
      Source out = source;
      out.query = {std::move(simpler)};
      give(std::move(out));
    }
  }
}

}  // namespace

std::string Sql(const Expr& expr) {
  std::string out;
  for (size_t i = 0; i < expr.text.size(); ++i) {
    if (expr.text[i] != '$' || i + 1 == expr.text.size()) {
      out += expr.text[i];
      continue;
    }
    const char c = expr.text[++i];
    out += c == 'q' ? Sql(expr.query[0]) : Sql(expr.args[static_cast<size_t>(c - '0')]);
  }
  return out;
}

std::string Sql(const Query& query) {
  std::string out;
  for (const Cte& cte : query.ctes)
    out += fmt::format("{}{} AS ({})", out.empty() ? "WITH " : ", ", cte.name,
                       Sql(cte.query[0]));
  if (!out.empty()) out += " ";
  if (query.sides.empty()) {
    out += SelectSql(query);
  } else {
    out +=
        fmt::format("({}) {} ({})", Sql(query.sides[0]), query.op, Sql(query.sides[1]));
  }
  if (!query.order.empty()) out += " ORDER BY " + List(query.order);
  if (query.limit >= 0) out += fmt::format(" LIMIT {}", query.limit);
  if (query.offset > 0) out += fmt::format(" OFFSET {}", query.offset);
  return out;
}

std::vector<Query> Simpler(const Query& query) {
  std::vector<Query> out;
  const auto with = [&](const std::function<void(Query&)>& change) {
    Query simpler = query;
    change(simpler);
    out.push_back(std::move(simpler));
  };
  // A query inside stands for the whole.
  for (const Query& side : query.sides) {
    out.push_back(side);
    out.back().ctes.insert(out.back().ctes.begin(), query.ctes.begin(), query.ctes.end());
  }
  for (const Source& from : query.from) {
    for (const Query& inner : from.query) {
      out.push_back(inner);
      out.back().ctes.insert(out.back().ctes.begin(), query.ctes.begin(),
                             query.ctes.end());
    }
  }
  for (const Cte& cte : query.ctes) out.push_back(cte.query[0]);
  Without<Cte>(query.ctes,
               [&](auto less) { with([&](Query& q) { q.ctes = std::move(less); }); });
  if (!query.where.empty()) with([](Query& q) { q.where.clear(); });
  if (!query.having.empty()) with([](Query& q) { q.having.clear(); });
  if (!query.qualify.empty()) with([](Query& q) { q.qualify.clear(); });
  if (query.distinct) with([](Query& q) { q.distinct = false; });
  if (!query.distinct_on.empty()) with([](Query& q) { q.distinct_on.clear(); });
  if (query.limit >= 0) {
    with([](Query& q) {
      q.limit = -1;
      q.offset = 0;
    });
  }
  if (query.offset > 0) with([](Query& q) { q.offset = 0; });
  if (!query.order.empty() && query.limit < 0) with([](Query& q) { q.order.clear(); });
  if (!query.grouping.empty()) with([](Query& q) { q.grouping.clear(); });
  if (query.items.size() > 1) {
    Without<Item>(query.items,
                  [&](auto less) { with([&](Query& q) { q.items = std::move(less); }); });
  }
  Without<Expr>(query.group,
                [&](auto less) { with([&](Query& q) { q.group = std::move(less); }); });
  for (size_t i = 0; i < query.group.size(); ++i) {  // a key with the item that shows it
    for (size_t j = 0; j < query.items.size() && query.items.size() > 1; ++j) {
      if (Sql(query.items[j].expr) != Sql(query.group[i])) continue;
      with([&](Query& q) {
        q.group.erase(q.group.begin() + static_cast<int64_t>(i));
        q.items.erase(q.items.begin() + static_cast<int64_t>(j));
      });
    }
  }
  for (const Source& from : query.from) {
    Sources(from, [&](Source simpler) {
      with([&](Query& q) { q.from = {std::move(simpler)}; });
    });
  }
  for (size_t i = 0; i < query.sides.size(); ++i) {
    for (Query& side : Simpler(query.sides[i]))
      with([&](Query& q) { q.sides[i] = std::move(side); });
  }
  // The same item of both sides.
  if (query.sides.size() == 2 && query.sides[0].items.size() > 1 &&
      query.sides[0].items.size() == query.sides[1].items.size()) {
    for (size_t i = 0; i < query.sides[0].items.size(); ++i) {
      with([&](Query& q) {
        for (Query& side : q.sides)
          side.items.erase(side.items.begin() + static_cast<int64_t>(i));
      });
    }
  }
  for (size_t i = 0; i < query.ctes.size(); ++i) {
    for (Query& cte : Simpler(query.ctes[i].query[0]))
      with([&](Query& q) { q.ctes[i].query = {std::move(cte)}; });
  }
  const auto each = [&](const std::vector<Expr>& list, std::vector<Expr> Query::*member) {
    for (size_t i = 0; i < list.size(); ++i) {
      Exprs(list[i], [&](Expr simpler) {
        with([&](Query& q) { (q.*member)[i] = std::move(simpler); });
      });
    }
  };
  each(query.where, &Query::where);
  each(query.having, &Query::having);
  each(query.qualify, &Query::qualify);
  each(query.distinct_on, &Query::distinct_on);
  Without<Expr>(query.distinct_on, [&](auto less) {
    with([&](Query& q) { q.distinct_on = std::move(less); });
  });
  Without<Expr>(query.order,
                [&](auto less) { with([&](Query& q) { q.order = std::move(less); }); });
  each(query.order, &Query::order);
  for (size_t i = 0; i < query.items.size(); ++i) {
    Exprs(query.items[i].expr, [&](Expr simpler) {
      with([&](Query& q) {
        const std::string before = Sql(q.items[i].expr);
        for (Expr& key : q.group) {  // a key and its item change together
          if (Sql(key) == before) key = simpler;
        }
        q.items[i].expr = std::move(simpler);
      });
    });
  }
  each(query.group, &Query::group);
  return out;
}

int CountBlocks(const Query& query) {
  int count = 1;
  const std::function<void(const Expr&)> expr = [&](const Expr& e) {
    for (const Query& q : e.query) count += CountBlocks(q);
    for (const Expr& arg : e.args) expr(arg);
  };
  const std::function<void(const Source&)> source = [&](const Source& s) {
    for (const Query& q : s.query) count += CountBlocks(q);
    for (const Source& side : s.sides) source(side);
    if (!s.sides.empty()) ++count;
    for (const Expr& on : s.on) expr(on);
  };
  for (const Cte& cte : query.ctes) count += CountBlocks(cte.query[0]);
  for (const Query& side : query.sides) count += CountBlocks(side);
  for (const Source& from : query.from) source(from);
  for (const auto* list : {&query.where, &query.having, &query.qualify, &query.group}) {
    for (const Expr& e : *list) expr(e);
  }
  for (const Item& item : query.items) expr(item.expr);
  return count;
}

}  // namespace weir::sqltest
