// The grammar of random queries.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>

#include "query.h"

namespace weir::sqltest {
namespace {

// A column as it is written here.
struct Visible {
  std::string text;
  Ty type;
  bool constant = false;
};
using Scope = std::vector<Visible>;

struct Shape {
  Query query;
  std::vector<Column> columns;
};

Expr Leaf(Ty type, std::string text) { return {type, std::move(text), {}, {}}; }
Expr Call(Ty type, std::string text, std::vector<Expr> args) {
  return {type, std::move(text), std::move(args), {}};
}

bool IsNested(Ty type) { return type == Ty::kList || type == Ty::kStruct; }
// Types whose values mean the same in every engine when they are keys.
bool IsKeyType(Ty type) { return type != Ty::kWild; }

class Generator {
 public:
  Generator(const std::vector<Relation>& relations, const std::vector<Macro>& macros,
            const Features& features, std::mt19937_64& random)
      : relations_(relations), macros_(macros), features_(features), random_(random) {}

  Generated Make(int depth) {
    is_top_ = true;
    Shape shape = Block(depth, {});
    Generated out;
    out.query = std::move(shape.query);
    out.columns = std::move(shape.columns);
    for (const Column& column : out.columns) {
      if (column.type == Ty::kWild) out.approximate.insert(column.name);
    }
    return out;
  }

  Macro MakeMacro() {
    static const std::vector<Ty> kTypes = {Ty::kInt,  Ty::kInt,  Ty::kBig, Ty::kText,
                                           Ty::kText, Ty::kBool, Ty::kTs,  Ty::kDate};
    Macro out;
    out.name = fmt::format("f{}", macros_.size());
    Scope parameters;
    for (uint64_t n = 1 + Below(2); n > 0; --n) {
      out.parameters.push_back(Pick(kTypes));
      parameters.push_back(
          {fmt::format("p{}", parameters.size()), out.parameters.back()});
    }
    if (!OneIn(3)) {
      out.type = OneIn(2) ? out.parameters[0] : Pick(kTypes);
      out.body = Sql(Value(out.type, parameters, 2));
      return out;
    }
    Shape shape = RowWise(0, {});
    Scope scope;  // of what it reads, and the parameters
    for (const Column& column : shape.columns)
      scope.push_back({"q." + column.name, column.type, column.constant});
    const Scope columns = scope;
    scope.insert(scope.end(), parameters.begin(), parameters.end());
    Query outer;
    outer.from.push_back({"", "q", {std::move(shape.query)}, "", {}, {}});
    may_fail_ = false;  // of arguments that are constants
    outer.where.push_back(Condition(scope, 1));
    for (const Visible& v : columns) {
      out.columns.push_back({v.text.substr(2), v.type, v.constant});
      outer.items.push_back({Leaf(v.type, v.text), out.columns.back().name});
    }
    out.body = "TABLE " + Sql(outer);
    return out;
  }

 private:
  // ---- dice

  uint64_t Below(uint64_t n) { return random_() % n; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  template <class T>
  const T& Pick(const std::vector<T>& from) {
    return from[Below(from.size())];
  }
  std::string PickText(std::vector<const char*> from) { return from[Below(from.size())]; }
  bool Has(Feature feature) const { return features_.contains(feature); }
  bool Maybe(Feature feature, uint64_t one_in) { return Has(feature) && OneIn(one_in); }

  // ---- values

  Expr Literal(Ty type) {
    switch (type) {
      case Ty::kBool:
        return Leaf(type, OneIn(2) ? "true" : "false");
      case Ty::kInt:
        return Leaf(type, std::to_string(Below(6)));
      case Ty::kBig:
        return Leaf(type, fmt::format("CAST({} AS BIGINT)", Below(6)));
      case Ty::kHuge:
        return Leaf(type, fmt::format("CAST({} AS HUGEINT)", Below(6)));
      case Ty::kDecimal:
        return Leaf(type, fmt::format("CAST({}.25 AS DECIMAL(10,2))", Below(4)));
      case Ty::kDouble:
      case Ty::kWild:
        return Leaf(type, fmt::format("CAST({} AS DOUBLE)",
                                      PickText({"0", "0.5", "-1.25", "3", "'nan'"})));
      case Ty::kText:
        return Leaf(type, PickText({"'a'", "'b'", "''", "'ab'", "'B'", "'it''s'"}));
      case Ty::kDate:
        return Leaf(type, fmt::format("DATE '2024-01-0{}'", 1 + Below(4)));
      case Ty::kTs:
        return Leaf(type, fmt::format("TIMESTAMP '2024-01-01 0{}:00:00'", Below(5)));
      case Ty::kTsTz:
        return Leaf(type, fmt::format("TIMESTAMPTZ '2024-01-01 0{}:00:00+00'", Below(5)));
      case Ty::kList:
        return Leaf(type, PickText({"[1]", "[1, 2]", "CAST([] AS INTEGER[])"}));
      case Ty::kStruct:
        return Leaf(type, fmt::format("{{'a': {}, 'b': 'x'}}", Below(3)));
    }
    return Leaf(type, "NULL");
  }

  std::vector<Expr> ColumnsOf(const Scope& scope, const std::function<bool(Ty)>& ok) {
    std::vector<Expr> out;
    for (const Visible& v : scope) {
      if (ok(v.type)) out.push_back(Leaf(v.type, v.text));
    }
    return out;
  }

  Expr ColumnOr(Ty type, const Scope& scope) {
    const auto columns = ColumnsOf(scope, [&](Ty t) { return t == type; });
    if (!columns.empty() && !OneIn(25)) return Pick(columns);
    return Literal(type);
  }

  // A row's value of this type.
  Expr Value(Ty type, const Scope& scope, int depth) {
    if (depth <= 0 || OneIn(3)) return ColumnOr(type, scope);
    if (OneIn(8))
      return Call(type, "CASE WHEN $0 THEN $1 ELSE $2 END",
                  {Condition(scope, depth - 1), Value(type, scope, depth - 1),
                   Value(type, scope, depth - 1)});
    if (OneIn(8) && !IsNested(type))
      return Call(type, "coalesce($0, $1)",
                  {Value(type, scope, depth - 1), Value(type, scope, depth - 1)});
    if (OneIn(10) && !IsNested(type) && type != Ty::kBool)
      return Call(type, "nullif($0, $1)",
                  {Value(type, scope, depth - 1), Value(type, scope, depth - 1)});
    const auto of = [&](Ty t) { return Value(t, scope, depth - 1); };
    if (!macros_.empty() && OneIn(3)) {
      const Macro& macro = Pick(macros_);
      if (macro.columns.empty() && macro.type == type) {
        Expr call = Call(type, macro.name + "(", {});
        for (const Ty parameter : macro.parameters) {
          call.text +=
              fmt::format("{}${}", call.args.empty() ? "" : ", ", call.args.size());
          call.args.push_back(of(parameter));
        }
        call.text += ")";
        return call;
      }
    }
    switch (type) {
      case Ty::kBool:
        return Condition(scope, depth - 1);
      case Ty::kInt:
        switch (Below(Has(Feature::kNested) ? 9 : 7)) {
          case 0:
            return Call(type, "($0 % 7)", {of(type)});
          case 1:
            return Call(type, "($0 % 100 + $1 % 10)", {of(type), of(type)});
          case 2:
            return Call(type, "CAST(length($0) AS INTEGER)", {of(Ty::kText)});
          case 3:
            return Call(type,
                        Has(Feature::kRowErrors) && OneIn(2) ? "CAST($0 AS INTEGER)"
                                                             : "TRY_CAST($0 AS INTEGER)",
                        {of(Ty::kText)});
          case 4:
            return Call(type, "CAST($0 AS INTEGER)", {of(Ty::kBool)});
          case 5:
            return Call(type, "($0 // 3)", {of(type)});
          case 6:
            return OneIn(6) ? Call(type, "($0 + $1)", {of(type), of(type)})
                            : Call(type, "greatest($0, $1)", {of(type), of(type)});
          case 7:
            return Call(type, "$0[1]", {of(Ty::kList)});
          default:
            return Call(type, "($0).a", {of(Ty::kStruct)});
        }
      case Ty::kBig:
        switch (Below(6)) {
          case 0:
            return Call(type, "(CAST($0 AS BIGINT) * 1000)", {of(Ty::kInt)});
          case 1:
            return Call(type, "($0 % 1000)", {of(type)});
          case 2:
            return Call(type, "date_diff('day', $0, $1)", {of(Ty::kDate), of(Ty::kDate)});
          case 3:
            return Call(type, "date_diff('minute', $0, $1)", {of(Ty::kTs), of(Ty::kTs)});
          case 4:
            return Call(type, "extract(hour FROM $0)", {of(Ty::kTs)});
          default:
            return Call(type, "length($0)", {of(Ty::kText)});
        }
      case Ty::kHuge:
        return Call(type, "($0 % 1000)", {of(type)});
      case Ty::kDecimal:
        switch (Below(3)) {
          case 0:
            return Call(type, "CAST($0 % 1000 AS DECIMAL(8,1))", {of(Ty::kInt)});
          case 1:
            return Call(type, "($0 * 2)", {ColumnOr(type, scope)});
          default:
            return Call(type, "(-$0)", {of(type)});
        }
      case Ty::kDouble:
        switch (Below(5)) {
          case 0:
            return Call(type, "($0 + $1)",
                        {ColumnOr(type, scope), ColumnOr(type, scope)});
          case 1:
            return Call(type, "($0 * 0.5::DOUBLE)", {ColumnOr(type, scope)});
          case 2:
            return Call(type, "CAST($0 AS DOUBLE)", {ColumnOr(Ty::kInt, scope)});
          case 3:
            return Call(type, "(-$0)", {of(type)});
          default:
            return Call(type, "abs($0)", {of(type)});
        }
      case Ty::kWild:
        return Call(type, "($0 / 3)", {ColumnOr(Ty::kWild, scope)});
      case Ty::kText:
        switch (Below(Has(Feature::kNested) ? 7 : 6)) {
          case 0:
            return Call(type, "lower($0)", {of(type)});
          case 1:
            return Call(type, "($0 || $1)",
                        {ColumnOr(type, scope), ColumnOr(type, scope)});
          case 2:
            return Call(type, "substr($0, 1, 1)", {of(type)});
          case 3:
            return Call(type, "CAST($0 AS VARCHAR)", {of(Ty::kInt)});
          case 4:
            return Call(type, "replace($0, 'a', 'xy')", {ColumnOr(type, scope)});
          case 5:
            return Call(type, "CAST($0 AS VARCHAR)", {of(Ty::kDate)});
          default:
            return Call(type, "($0).b", {of(Ty::kStruct)});
        }
      case Ty::kDate:
        return OneIn(2) ? Call(type, "CAST($0 AS DATE)", {of(Ty::kTs)})
                        : Call(type, "($0 + $1 % 5)", {of(type), of(Ty::kInt)});
      case Ty::kTs:
        switch (Below(4)) {
          case 0:
            return Call(type, "date_trunc('hour', $0)", {of(type)});
          case 1:
            return Call(type, "($0 + INTERVAL 1 MONTH)", {of(type)});
          case 2:
            return Call(type, "CAST($0 AS TIMESTAMP)", {of(Ty::kTsTz)});
          default:
            return Call(type, "($0 - INTERVAL 90 MINUTE)", {of(type)});
        }
      case Ty::kTsTz:
        switch (Below(3)) {
          case 0:
            return Call(type, "date_trunc('day', $0)", {of(type)});
          case 1:
            return Call(type, "($0 + INTERVAL 1 DAY)", {of(type)});
          default:
            return Call(type, "time_bucket(INTERVAL '2 hours', $0)", {of(type)});
        }
      case Ty::kList:
        return OneIn(2) ? Call(type, "list_sort($0)", {of(type)})
                        : Call(type, "[$0, $1]", {of(Ty::kInt), of(Ty::kInt)});
      case Ty::kStruct:
        return Call(type, "{'a': $0, 'b': $1}", {of(Ty::kInt), of(Ty::kText)});
    }
    return Literal(type);
  }

  Ty SomeType(const Scope& scope, const std::function<bool(Ty)>& ok) {
    const auto columns = ColumnsOf(scope, ok);
    if (!columns.empty()) return Pick(columns).type;
    return Ty::kInt;
  }
  static bool IsFlat(Ty type) { return !IsNested(type); }

  Expr Condition(const Scope& scope, int depth) {
    if (depth > 0 && OneIn(4)) {
      return Call(Ty::kBool, PickText({"($0 AND $1)", "($0 OR $1)"}),
                  {Condition(scope, depth - 1), Condition(scope, depth - 1)});
    }
    if (depth > 0 && OneIn(10))
      return Call(Ty::kBool, "(NOT $0)", {Condition(scope, depth - 1)});
    if (may_fail_ && Maybe(Feature::kRowErrors, 5)) {
      if (auto failing = FailingCondition(scope)) return *std::move(failing);
    }
    const Ty type = SomeType(scope, IsFlat);
    const Expr a = Value(type, scope, depth - 1);
    switch (Below(9)) {
      case 0:
        return Call(Ty::kBool, PickText({"($0 IS NULL)", "($0 IS NOT NULL)"}), {a});
      case 1:
        return Call(
            Ty::kBool,
            PickText({"($0 IS DISTINCT FROM $1)", "($0 IS NOT DISTINCT FROM $1)"}),
            {a, Value(type, scope, depth - 1)});
      case 2:
        return Call(Ty::kBool, "($0 IN ($1, $2))", {a, Literal(type), Literal(type)});
      case 3:
        return Call(Ty::kBool, "($0 BETWEEN $1 AND $2)",
                    {a, Literal(type), Literal(type)});
      case 4:
        return Call(Ty::kBool, PickText({"($0 LIKE 'a%')", "($0 > 'a')"}),
                    {Value(Ty::kText, scope, depth - 1)});
      case 5: {
        const auto flags = ColumnsOf(scope, [](Ty t) { return t == Ty::kBool; });
        if (!flags.empty()) return Pick(flags);
        [[fallthrough]];
      }
      default:
        return Call(Ty::kBool,
                    fmt::format("($0 {} $1)",
                                PickText({"=", "<>", "<", "<=", ">", ">=", "=", ">"})),
                    {a, OneIn(2) ? Literal(type) : Value(type, scope, depth - 1)});
    }
  }

  // One that fails for some rows.
  std::optional<Expr> FailingCondition(const Scope& scope) {
    const auto texts = ColumnsOf(scope, [](Ty t) { return t == Ty::kText; });
    const auto ints = ColumnsOf(scope, [](Ty t) { return t == Ty::kInt; });
    if (texts.empty()) return std::nullopt;
    const Expr text = Pick(texts), number = ints.empty() ? Literal(Ty::kInt) : Pick(ints);
    return Call(
        Ty::kBool,
        PickText({"(CAST($0 AS INTEGER) > $1)", "($0 = $1)", "(CAST($0 AS INTEGER) <> 1)",
                  "(CAST($0 AS INTEGER) IS NULL)", "($0 IN (1, $1))",
                  "(CAST($0 AS INTEGER) BETWEEN 1 AND $1)",
                  "(CAST($0 AS INTEGER) IS DISTINCT FROM $1)", "($1 + $1 + 1 > 1)",
                  "CASE WHEN $1 > 1 THEN CAST($0 AS INTEGER) > 2 END"}),
        {text, number});
  }

  // ---- aggregates

  std::string Direction() {
    return PickText({"", " DESC", " NULLS FIRST", " DESC NULLS FIRST", " ASC"});
  }

  Expr Aggregate(const Scope& scope) {
    const auto value = [&](Ty type) { return Value(type, scope, OneIn(3) ? 2 : 0); };
    const auto any = [&](const std::function<bool(Ty)>& ok) {
      const Ty type = SomeType(scope, ok);
      return value(type);
    };
    const auto flat = [](Ty t) { return IsFlat(t); };
    Expr out;
    if (Maybe(Feature::kDecay, 12)) {
      const auto times = ColumnsOf(scope, [](Ty t) { return t == Ty::kTsTz; });
      if (!times.empty()) {
        // It is a logarithm: what is near 0 differs by more of itself.
        out = Call(
            Ty::kWild,
            PickText({"(decay_sum(1, $0, INTERVAL 1 HOUR) + 1000)",
                      Has(Feature::kRowErrors)
                          ? "(decay_sum($1 % 5, $0, INTERVAL 12 HOUR) + 1000)"
                          : "(decay_sum(abs($1 % 5), $0, INTERVAL 12 HOUR) + 1000)"}),
            {Pick(times), ColumnOr(Ty::kInt, scope)});
        return out;
      }
    }
    const uint64_t many = Has(Feature::kManyAggregates) ? 22 : 14;
    switch (Below(many)) {
      case 0:
        out = Call(Ty::kBig, "count(*)", {});
        break;
      case 1:
        out = Call(Ty::kBig, "count($0)", {any([](Ty) { return true; })});
        break;
      case 2:
        out = Call(Ty::kHuge, "sum($0)", {value(OneIn(3) ? Ty::kBig : Ty::kInt)});
        break;
      case 3:
        out = Call(Ty::kDecimal, "sum($0)", {ColumnOr(Ty::kDecimal, scope)});
        break;
      case 4:
        out = Call(Ty::kDouble, "sum($0)", {value(Ty::kDouble)});
        break;
      case 5:
        out = Call(Ty::kWild, "avg($0)",
                   {value(PickType({Ty::kInt, Ty::kDecimal, Ty::kDouble}))});
        break;
      case 6:
      case 7: {
        const Expr arg = any(flat);
        out = Call(arg.type, PickText({"min($0)", "max($0)"}), {arg});
        break;
      }
      case 8:
        out = Call(Ty::kBool, PickText({"bool_and($0)", "bool_or($0)"}),
                   {value(Ty::kBool)});
        break;
      case 9:
      case 10: {
        const Expr arg = any([](Ty) { return true; });
        out = Call(arg.type,
                   PickText({"arg_min($0, $1)", "arg_max($0, $1)", "min_by($0, $1)",
                             "arg_min_null($0, $1)", "arg_max_null($0, $1)"}),
                   {arg, any(flat)});
        break;
      }
      case 11: {
        const Expr arg = any([](Ty) { return true; });
        out = Call(arg.type,
                   PickText({"first($0 ORDER BY $1", "last($0 ORDER BY $1",
                             "any_value($0 ORDER BY $1"}) +
                       Direction() + ")",
                   {arg, any(flat)});
        break;
      }
      case 12: {
        const Expr arg = any([](Ty) { return true; });
        out = Call(arg.type, PickText({"first($0)", "any_value($0)", "last($0)"}), {arg});
        break;
      }
      case 13:
        out = Call(Ty::kHuge, "count_if($0)", {Condition(scope, 1)});
        break;
      case 14:
      case 15:
        out = Call(Ty::kBig, "count(DISTINCT $0)", {any(flat)});
        break;
      case 16:
        out = Call(Ty::kHuge, "sum(DISTINCT $0)", {value(Ty::kInt)});
        break;
      case 17:
        if (!is_outermost_) return Aggregate(scope);
        out = Call(Ty::kList, "list($0 ORDER BY $1" + Direction() + ")",
                   {value(Ty::kInt), any(flat)});
        break;
      case 18:
        out = Call(Ty::kText, "string_agg($0, ',' ORDER BY $1" + Direction() + ")",
                   {value(Ty::kText), any(flat)});
        break;
      case 19:
        out = Call(Ty::kWild, PickText({"median($0)", "quantile_cont($0, 0.25)"}),
                   {value(Ty::kInt)});
        break;
      case 20: {
        const Expr arg = any(flat);
        out = Call(arg.type, "mode($0)", {arg});
        break;
      }
      default:
        if (OneIn(8)) {
          out = Call(Ty::kInt, "bit_xor($0)", {value(Ty::kInt)});
        } else {
          out = Call(Ty::kWild, "var_pop($0)", {value(Ty::kInt)});
        }
    }
    if (OneIn(4)) {
      out.args.push_back(Condition(scope, 1));
      out.text += fmt::format(" FILTER (WHERE ${})", out.args.size() - 1);
    }
    return out;
  }
  Ty PickType(std::vector<Ty> from) { return from[Below(from.size())]; }

  // Now and then with the constants, too.
  Scope Varying(Scope scope) {
    if (!OneIn(60)) std::erase_if(scope, [](const Visible& v) { return v.constant; });
    return scope;
  }

  // ---- windows

  Expr Window(const Scope& scope) {
    const auto flat = [](Ty t) { return IsFlat(t); };
    const auto any = [&] { return ColumnOr(SomeType(scope, flat), scope); };
    const Expr arg = any();
    Expr out;
    bool needs_order = true, frame = false, aggregate = false;
    switch (Below(11)) {
      case 0:
        out = Call(Ty::kBig, "row_number()", {});
        break;
      case 1:
        out = Call(Ty::kBig, PickText({"rank()", "dense_rank()"}), {});
        break;
      case 2:
        out = Call(arg.type, PickText({"lag($0)", "lead($0)", "lag($0, 2)"}), {arg});
        if (OneIn(4))
          out = Call(arg.type, PickText({"lag($0, 1, $1)", "lead($0, 2, $1)"}),
                     {arg, Literal(arg.type)});
        break;
      case 3:
        out = Call(arg.type,
                   PickText({"first_value($0)", "last_value($0)",
                             "last_value($0 IGNORE NULLS)"}),
                   {arg});
        frame = true;
        break;
      case 4:
        out = Call(Ty::kHuge, "sum($0)", {ColumnOr(Ty::kInt, scope)});
        needs_order = !OneIn(4);
        frame = aggregate = true;
        break;
      case 5:
        out = Call(Ty::kBig, "count(*)", {});
        needs_order = !OneIn(4);
        frame = aggregate = true;
        break;
      case 6:
        out = Call(arg.type, PickText({"min($0)", "max($0)"}), {arg});
        needs_order = !OneIn(4);
        frame = aggregate = true;
        break;
      case 9:
        out = Call(Ty::kBig, "count($0)", {arg});
        frame = aggregate = true;
        break;
      case 10:
        out = Call(Ty::kWild, "avg($0)", {ColumnOr(Ty::kInt, scope)});
        frame = aggregate = true;
        break;
      case 7:
        out = Call(Ty::kBig, "ntile(3)", {});
        break;
      default:
        out = Call(Ty::kWild, PickText({"percent_rank()", "cume_dist()"}), {});
    }
    const auto column = [&] {
      const auto columns = ColumnsOf(Varying(scope), flat);
      return columns.empty() ? any() : Pick(columns);
    };
    std::string over;
    const auto add = [&](Expr e) {
      out.args.push_back(std::move(e));
      return fmt::format("${}", out.args.size() - 1);
    };
    if (aggregate && OneIn(5))
      out.text += fmt::format(" FILTER (WHERE {})", add(Condition(scope, 0)));
    if (!OneIn(20)) over += "PARTITION BY " + add(column());
    if (needs_order) {
      const Expr by = column();
      const bool time = by.type == Ty::kTs || by.type == Ty::kTsTz;
      const bool number = by.type == Ty::kInt || by.type == Ty::kBig;
      over += (over.empty() ? "ORDER BY " : " ORDER BY ") + add(by) + Direction();
      if (aggregate && (time || number) && OneIn(3)) {
        over +=
            time ? PickText({" RANGE BETWEEN INTERVAL 1 HOUR PRECEDING AND CURRENT ROW",
                             " RANGE BETWEEN INTERVAL 2 DAYS PRECEDING AND CURRENT ROW",
                             " RANGE BETWEEN CURRENT ROW AND INTERVAL 1 HOUR FOLLOWING"})
                 : PickText({" RANGE BETWEEN 1 PRECEDING AND CURRENT ROW",
                             " RANGE BETWEEN CURRENT ROW AND 2 FOLLOWING"});
      } else if (frame && OneIn(2)) {
        over += PickText({" ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
                          " ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING",
                          " ROWS UNBOUNDED PRECEDING", " ROWS 3 PRECEDING",
                          " ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING",
                          " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
                          " RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"});
      }
    }
    out.text += " OVER (" + over + ")";
    return out;
  }

  // ---- sources

  std::string NewAlias() { return fmt::format("t{}", aliases_++); }

  Scope ScopeOf(const std::string& alias, const std::vector<Column>& columns) {
    Scope out;
    for (const Column& column : columns)
      out.push_back({alias + "." + column.name, column.type, column.constant});
    return out;
  }

  Source Table(Scope* scope) {
    std::vector<Relation> all = relations_;
    if (Has(Feature::kCte)) all.insert(all.end(), ctes_.begin(), ctes_.end());
    const Relation& relation = Pick(all);
    Source out;
    out.table = relation.name;
    out.alias = NewAlias();
    *scope = ScopeOf(out.alias, relation.columns);
    return out;
  }

  // A table function over a table: its windows in time, or its records as identities.
  std::optional<Source> TableFunction(Scope* scope) {
    const Relation& relation = Pick(relations_);
    const auto named = [&](const std::function<bool(Ty)>& ok) {
      std::vector<Column> out;
      for (const Column& column : relation.columns) {
        if (ok(column.type)) out.push_back(column);
      }
      return out;
    };
    const auto keys =
        named([](Ty t) { return IsFlat(t) && IsKeyType(t) && t != Ty::kDouble; });
    Source out;
    out.alias = NewAlias();
    if (Has(Feature::kTimeWindows) && (!Has(Feature::kResolve) || !OneIn(4))) {
      const auto times = named([](Ty t) { return t == Ty::kTs || t == Ty::kTsTz; });
      if (times.empty()) return std::nullopt;
      const Column& time = Pick(times);
      const std::string table = fmt::format("TABLE {}", relation.name);
      const std::string by = fmt::format("DESCRIPTOR({})", time.name);
      switch (Below(4)) {
        case 0:
          out.table = fmt::format("TUMBLE({}, {}, INTERVAL '{}')", table, by,
                                  PickText({"1 hour", "90 minutes", "1 day"}));
          break;
        case 1:
          out.table = fmt::format("HOP({}, {}, INTERVAL '1 hour', INTERVAL '{}')", table,
                                  by, PickText({"1 hour", "2 hours", "3 hours"}));
          break;
        case 2:
          out.table = fmt::format("CUMULATE({}, {}, INTERVAL '1 hour', INTERVAL '{}')",
                                  table, by, PickText({"2 hours", "4 hours"}));
          break;
        default: {
          const std::string partition =
              keys.empty() || OneIn(6) ? "" : " PARTITION BY " + Pick(keys).name;
          out.table = fmt::format("SESSION({}{}, {}, INTERVAL '{}'{})", table, partition,
                                  by, PickText({"30 minutes", "1 hour"}),
                                  OneIn(3) ? ", MAX INTERVAL '2 hours'" : "");
        }
      }
      std::vector<Column> columns = relation.columns;
      columns.push_back({"window_start", time.type});
      columns.push_back({"window_end", time.type});
      *scope = ScopeOf(out.alias, columns);
      return out;
    }
    if (!Has(Feature::kResolve) || keys.size() < 2) return std::nullopt;
    const Column record = Pick(keys);
    std::vector<std::string> by;
    for (uint64_t n = 1 + Below(2); n > 0; --n) {
      const Column& link = Pick(keys);
      if (link.name != record.name && !std::count(by.begin(), by.end(), link.name))
        by.push_back(link.name);
    }
    if (by.empty()) return std::nullopt;
    const auto times = named([](Ty t) { return t == Ty::kTsTz; });
    const bool history = !times.empty() && OneIn(3);
    out.table = fmt::format("RESOLVE{}(TABLE {}, RECORD ({}), BY ({}){}{})",
                            history ? "_HISTORY" : "", relation.name, record.name,
                            fmt::join(by, ", "),
                            times.empty() ? "" : ", SEQUENCE BY " + times[0].name,
                            OneIn(3) ? fmt::format(", MAX {}", 2 + Below(3)) : "");
    std::vector<Column> columns = {record, {"unified_id", Ty::kText}};
    if (history) {
      columns.push_back({"valid_from", Ty::kTsTz});
      columns.push_back({"valid_to", Ty::kTsTz});
    }
    *scope = ScopeOf(out.alias, columns);
    return out;
  }

  Source Single(int depth, Scope* scope) {
    if ((Has(Feature::kTimeWindows) || Has(Feature::kResolve)) && OneIn(9)) {
      if (auto made = TableFunction(scope)) return *std::move(made);
    }
    if (!macros_.empty() && OneIn(6)) {
      const Macro& macro = Pick(macros_);
      if (!macro.columns.empty()) {
        Source out;
        out.table = macro.name + "(";
        for (const Ty parameter : macro.parameters)
          out.table += (out.table.ends_with('(') ? "" : ", ") + Sql(Literal(parameter));
        out.table += ")";
        out.alias = NewAlias();
        *scope = ScopeOf(out.alias, macro.columns);
        return out;
      }
    }
    if (depth > 0 && Maybe(Feature::kSubquery, 2)) {
      Source out;
      Shape inner =
          Has(Feature::kNestedBlocks) ? Block(depth - 1, {}) : RowWise(depth - 1, {});
      out.alias = NewAlias();
      *scope = ScopeOf(out.alias, inner.columns);
      out.query.push_back(std::move(inner.query));
      return out;
    }
    return Table(scope);
  }

  Source From(int depth, Scope* scope) {
    if (!Maybe(Feature::kJoin, 2)) return Single(depth, scope);
    Source out;
    Scope left, right;
    out.sides.push_back(Single(depth - 1, &left));
    if (Maybe(Feature::kLateral, 9) && Lateral(&out, left, scope)) return out;
    out.sides.push_back(Single(depth - 1, &right));
    if (Maybe(Feature::kAsof, 3) && Asof(&out, left, right, scope)) return out;
    if (OneIn(6)) {  // a third
      Source inner = out;
      *scope = Join(&inner, left, right);
      Scope third;
      out.sides = {std::move(inner), Single(depth - 1, &third)};
      *scope = Join(&out, *scope, third);
      return out;
    }
    *scope = Join(&out, left, right);
    return out;
  }

  // A query beside each row of the left side.
  bool Lateral(Source* out, const Scope& left, Scope* scope) {
    Query query;
    Scope inner;
    query.from.push_back(Table(&inner));
    Expr on = JoinCondition(inner, left);
    if (on.args.empty()) return false;
    query.where.push_back(std::move(on));
    std::vector<Column> columns;
    for (const Visible& v : inner) {
      const std::string name = fmt::format("c{}", columns.size());
      columns.push_back({name, v.type, v.constant});
      query.items.push_back({Leaf(v.type, v.text), name});
    }
    if (OneIn(2)) FirstRows(inner, &query);
    Source right;
    right.alias = NewAlias();
    right.query.push_back(std::move(query));
    out->sides.push_back(std::move(right));
    out->join = PickText({"CROSS JOIN LATERAL", "LEFT JOIN LATERAL"});
    if (out->join != "CROSS JOIN LATERAL") out->on.push_back(Leaf(Ty::kBool, "true"));
    *scope = left;
    const Scope more = ScopeOf(out->sides[1].alias, columns);
    scope->insert(scope->end(), more.begin(), more.end());
    return true;
  }

  void FirstRows(const Scope& scope, Query* query) {
    const auto by = ColumnsOf(scope, [](Ty t) { return IsFlat(t); });
    if (by.empty()) return;
    Expr order = Pick(by);
    query->order.push_back(Call(order.type, "$0" + Direction(), {order}));
    query->limit = static_cast<int64_t>(1 + Below(2));
  }

  // The newest row of the right side: one for each value of its key and time.
  bool Asof(Source* out, const Scope& left, const Scope& right, Scope* scope) {
    std::vector<std::pair<Visible, Visible>> keys, times;
    for (const Visible& l : left) {
      for (const Visible& r : right) {
        if (l.type != r.type) continue;
        if (l.type == Ty::kText || l.type == Ty::kInt || l.type == Ty::kBool)
          keys.emplace_back(l, r);
        if (l.type == Ty::kTs || l.type == Ty::kTsTz || l.type == Ty::kBig)
          times.emplace_back(l, r);
      }
    }
    if (keys.empty() || times.empty()) return false;
    const auto key = Pick(keys), time = Pick(times);
    Query first;
    first.distinct_on = {Leaf(key.second.type, key.second.text),
                         Leaf(time.second.type, time.second.text)};
    first.order = first.distinct_on;
    Scope renamed;
    std::vector<Column> columns;
    std::string k, t;
    for (const Visible& v : right) {
      const std::string name = fmt::format("c{}", columns.size());
      if (v.text == key.second.text) k = name;
      if (v.text == time.second.text) t = name;
      columns.push_back({name, v.type, v.constant});
      first.items.push_back({Leaf(v.type, v.text), name});
    }
    first.from.push_back(std::move(out->sides[1]));
    out->sides[1] = Source();
    out->sides[1].alias = NewAlias();
    const std::string& alias = out->sides[1].alias;
    out->sides[1].query.push_back(std::move(first));
    out->join = PickText({"ASOF JOIN", "ASOF LEFT JOIN"});
    out->on.push_back(Call(
        Ty::kBool, "($0 = $1 AND $2 " + PickText({">=", ">=", ">", "<=", "<"}) + " $3)",
        {Leaf(key.first.type, key.first.text), Leaf(key.second.type, alias + "." + k),
         Leaf(time.first.type, time.first.text),
         Leaf(time.second.type, alias + "." + t)}));
    *scope = left;
    const Scope more = ScopeOf(alias, columns);
    scope->insert(scope->end(), more.begin(), more.end());
    return true;
  }

  Scope Join(Source* out, const Scope& left, const Scope& right) {
    out->join = PickText({"JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN",
                          "FULL JOIN", "SEMI JOIN", "ANTI JOIN", "CROSS JOIN"});
    Scope both = left;
    both.insert(both.end(), right.begin(), right.end());
    if (out->join != "CROSS JOIN") {
      out->on.push_back(JoinCondition(left, right));
      if (out->on[0].args.empty() && !OneIn(20)) {  // nothing to compare
        out->join = "CROSS JOIN";
        out->on.clear();
        return both;
      }
      if (may_fail_ && !out->join.starts_with("FULL") && Maybe(Feature::kRowErrors, 6)) {
        if (auto key = FailingKey(left, right))
          out->on[0] =
              OneIn(2) ? *key : Call(Ty::kBool, "($0 AND $1)", {out->on[0], *key});
      }
      if (OneIn(4) && !out->join.starts_with("FULL"))
        out->on[0] = Call(Ty::kBool, "($0 AND $1)", {out->on[0], Condition(both, 0)});
    }
    return out->join == "SEMI JOIN" || out->join == "ANTI JOIN" ? left : both;
  }

  // An equality of the two sides that fails for some rows of one.
  std::optional<Expr> FailingKey(const Scope& left, const Scope& right) {
    const bool swapped = OneIn(2);
    const auto texts =
        ColumnsOf(swapped ? right : left, [](Ty t) { return t == Ty::kText; });
    const auto ints =
        ColumnsOf(swapped ? left : right, [](Ty t) { return t == Ty::kInt; });
    if (texts.empty() || ints.empty()) return std::nullopt;
    return Call(Ty::kBool,
                PickText({"($0 = $1)", "(CAST($0 AS INTEGER) = $1)",
                          "(CAST($0 AS INTEGER) = $1)", "(CAST($0 AS INTEGER) > $1)"}),
                {Pick(texts), Pick(ints)});
  }

  Expr JoinCondition(const Scope& left, const Scope& right) {
    std::vector<Expr> pairs;
    for (const Visible& l : left) {
      for (const Visible& r : right) {
        if (l.type == r.type && IsFlat(l.type) && IsKeyType(l.type))
          pairs.push_back(Call(Ty::kBool,
                               OneIn(8) ? "($0 IS NOT DISTINCT FROM $1)" : "($0 = $1)",
                               {Leaf(l.type, l.text), Leaf(r.type, r.text)}));
      }
    }
    if (pairs.empty()) return Leaf(Ty::kBool, "true");
    Expr out = Pick(pairs);
    if (OneIn(4)) out = Call(Ty::kBool, "($0 AND $1)", {out, Pick(pairs)});
    return out;
  }

  // ---- conditions with queries

  // What fails in a subquery of an expression halts the model.
  template <class F>
  auto WithoutFailing(F&& make) {
    const bool before = std::exchange(may_fail_, false);
    auto out = make();
    may_fail_ = before;
    return out;
  }

  Expr QueryCondition(const Scope& scope, int depth) {
    return WithoutFailing([&] { return AnyQueryCondition(scope, depth); });
  }
  Expr ScalarQuery(const Scope& scope, int depth) {
    return WithoutFailing([&] { return AnyScalarQuery(scope, depth); });
  }

  Expr AnyQueryCondition(const Scope& scope, int depth) {
    Expr out;
    out.type = Ty::kBool;
    const bool correlated = Maybe(Feature::kCorrelated, 2);
    const int below = OneIn(4) ? depth - 1 : 0;
    if (OneIn(2)) {  // [NOT] EXISTS
      out.text = PickText({"EXISTS ($q)", "(NOT EXISTS ($q))"});
      out.query.push_back(RowWise(below, {}, correlated ? scope : Scope()).query);
      return out;
    }
    const Ty type = SomeType(scope, [](Ty t) { return IsFlat(t) && IsKeyType(t); });
    out.text = PickText({"($0 IN ($q))", "($0 NOT IN ($q))"});
    out.args.push_back(ColumnOr(type, scope));
    out.query.push_back(RowWise(below, {type}, correlated ? scope : Scope()).query);
    return out;
  }

  // A query of one row and one column.
  Expr AnyScalarQuery(const Scope& scope, int depth) {
    Query query;
    Scope inner;
    query.from.push_back(Single(depth - 1, &inner));
    if (Maybe(Feature::kCorrelated, 2))
      query.where.push_back(JoinCondition(inner, scope));
    if (Maybe(Feature::kLateral, 3)) {  // of the first row
      const auto columns = ColumnsOf(inner, [](Ty t) { return IsFlat(t); });
      if (!columns.empty()) {
        Expr first = Pick(columns);
        FirstRows(inner, &query);
        query.limit = 1;
        Expr out{first.type, "($q)", {}, {}};
        query.items.push_back({std::move(first), "v"});
        out.query.push_back(std::move(query));
        return out;
      }
    }
    Expr value = Aggregate(inner);
    Expr out{value.type, "($q)", {}, {}};
    query.items.push_back({std::move(value), "v"});
    out.query.push_back(std::move(query));
    return out;
  }

  Expr Where(const Scope& scope, int depth) {
    Expr out = Condition(scope, 2);
    if (Maybe(Feature::kWatermark, 4)) {
      const auto times = ColumnsOf(scope, [](Ty t) { return t == Ty::kTsTz; });
      if (!times.empty())
        out = Call(
            Ty::kBool,
            PickText({"($0 > watermark() - INTERVAL '2 hours')", "($0 <= watermark())",
                      "($0 + INTERVAL '1 hour' >= watermark() AND $1)",
                      "($0 < watermark() - INTERVAL '30 minutes' AND $1)"}),
            {Pick(times), out});
    }
    if (depth > 0 && Maybe(Feature::kInSubquery, 4)) {
      const Expr query = QueryCondition(scope, depth);
      out = OneIn(2) ? query : Call(Ty::kBool, "($0 AND $1)", {out, query});
    }
    return out;
  }

  // ---- blocks

  // What stands for a column no generated expression is asked of.
  void AddItems(Shape* shape, const std::vector<Ty>& wanted,
                const std::function<Expr(Ty)>& of, const std::function<Expr()>& any) {
    const size_t count = wanted.empty() ? 1 + Below(4) : wanted.size();
    for (size_t i = 0; i < count; ++i) {
      Expr expr = wanted.empty() ? any() : of(wanted[i]);
      AddItem(shape, std::move(expr));
    }
  }
  // Whether no column and no query stands in it.
  static bool IsConstant(const Expr& expr) {
    if (!expr.query.empty() || expr.text.find("count(*)") != std::string::npos ||
        expr.text.find("OVER") != std::string::npos)
      return false;
    if (expr.args.empty())
      return expr.text.find(".c") == expr.text.npos &&
             expr.text.find(".v") == expr.text.npos &&
             expr.text.find(".id") == expr.text.npos;
    return std::all_of(expr.args.begin(), expr.args.end(), IsConstant);
  }
  void AddItem(Shape* shape, Expr expr) {
    const std::string name = fmt::format("c{}", shape->columns.size());
    shape->columns.push_back({name, expr.type, IsConstant(expr)});
    shape->query.items.push_back({std::move(expr), name});
  }

  Shape RowWise(int depth, const std::vector<Ty>& wanted, const Scope& outer = {}) {
    body_is_top_ = false;
    Shape out;
    Scope scope;
    out.query.from.push_back(outer.empty() ? From(depth, &scope) : Single(0, &scope));
    if (!outer.empty()) {
      out.query.where.push_back(JoinCondition(scope, outer));
    } else if (Maybe(Feature::kWhere, 2)) {
      out.query.where.push_back(Where(scope, depth));
    }
    AddItems(
        &out, wanted, [&](Ty type) { return Value(type, scope, 1); },
        [&] { return Value(AnyType(scope), scope, OneIn(2) ? 2 : 0); });
    return out;
  }
  Ty AnyType(const Scope& scope) {
    return OneIn(25) ? PickType({Ty::kBool, Ty::kInt, Ty::kBig, Ty::kText, Ty::kDate})
                     : SomeType(scope, [](Ty) { return true; });
  }

  Shape Grouped(int depth, const std::vector<Ty>& wanted) {
    const bool outermost = std::exchange(body_is_top_, false);
    Shape out;
    Scope scope;
    out.query.from.push_back(From(depth, &scope));
    if (Maybe(Feature::kWhere, 3)) out.query.where.push_back(Where(scope, depth));
    std::vector<Expr> keys;
    for (uint64_t n = OneIn(6) ? 0 : 1 + Below(2); n > 0; --n) {
      const Ty type = SomeType(scope, IsKeyType);
      keys.push_back(Value(type, scope, OneIn(3) ? 1 : 0));
    }
    // A constant as a key would be a column's number.
    std::erase_if(keys, [&](const Expr& key) {
      return key.args.empty() &&
             std::none_of(scope.begin(), scope.end(),
                          [&](const Visible& v) { return v.text == key.text; });
    });
    std::vector<Expr> unused = keys;
    const auto result = [&]() -> Expr {
      is_outermost_ = outermost;
      Expr value = Aggregate(scope);
      is_outermost_ = false;
      if (OneIn(6) && !IsNested(value.type))
        value = Call(value.type, "coalesce($0, $1)", {value, Literal(value.type)});
      return value;
    };
    const auto of = [&](Ty type) -> Expr {
      for (size_t i = 0; i < unused.size(); ++i) {
        if (unused[i].type != type) continue;
        Expr key = unused[i];
        unused.erase(unused.begin() + static_cast<int64_t>(i));
        return key;
      }
      switch (type) {
        case Ty::kBig:
          return Call(type, "count(*)", {});
        case Ty::kHuge:
          return Call(type, "sum($0)", {Value(Ty::kInt, scope, 0)});
        case Ty::kWild:
          return Call(type, "avg($0)", {Value(Ty::kInt, scope, 0)});
        case Ty::kList:
        case Ty::kStruct:
          return Call(type, "first($0)", {Value(type, scope, 0)});
        default:
          return Call(type, PickText({"min($0)", "max($0)"}), {Value(type, scope, 0)});
      }
    };
    if (wanted.empty() && !OneIn(8)) {
      for (const Expr& key : keys) AddItem(&out, key);
      unused.clear();
    }
    AddItems(&out, wanted, of, result);
    if (!keys.empty() && Maybe(Feature::kHaving, 5)) {
      Expr aggregate = Aggregate(scope);
      while (IsNested(aggregate.type)) aggregate = Aggregate(scope);
      out.query.having.push_back(
          Call(Ty::kBool, PickText({"($0 > $1)", "($0 IS NOT NULL)", "($0 <= $1)"}),
               {aggregate, Literal(aggregate.type)}));
      const auto texts = ColumnsOf(scope, [](Ty t) { return t == Ty::kText; });
      if (may_fail_ && !texts.empty() && Maybe(Feature::kRowErrors, 3))
        out.query.having[0] = Call(Ty::kBool,
                                   PickText({"(CAST(max($0) AS INTEGER) > 2)",
                                             "(CAST(min($0) AS INTEGER) <> 1 OR $1)"}),
                                   {Pick(texts), out.query.having[0]});
    }
    out.query.group = keys;
    if (keys.size() > 1 && Maybe(Feature::kGroupingSets, 4))
      out.query.grouping = PickText({"ROLLUP", "CUBE", "GROUPING SETS"});
    return out;
  }

  Shape Distinct(int depth, const std::vector<Ty>& wanted) {
    Shape out = RowWise(depth, wanted);
    out.query.distinct = true;
    return out;
  }

  Shape Top(int depth, const std::vector<Ty>& wanted) {
    body_is_top_ = false;
    Shape out;
    Scope scope;
    out.query.from.push_back(From(depth, &scope));
    if (Maybe(Feature::kWhere, 3)) out.query.where.push_back(Where(scope, depth));
    AddItems(
        &out, wanted, [&](Ty type) { return Value(type, scope, 1); },
        [&] { return Value(AnyType(scope), scope, OneIn(3) ? 1 : 0); });
    const auto flat = [](Ty t) { return IsFlat(t); };
    const auto key = [&] {
      const auto columns = ColumnsOf(Varying(scope), flat);
      return columns.empty() ? Leaf(Ty::kBool, "(1 = 1)") : Pick(columns);
    };
    if (Maybe(Feature::kDistinctOn, 3)) {
      out.query.distinct_on.push_back(key());
      out.query.order.push_back(out.query.distinct_on[0]);
      Expr order = key();
      order = Call(order.type, "$0" + Direction(), {order});
      out.query.order.push_back(std::move(order));
      return out;
    }
    Expr number{Ty::kBool, "row_number() OVER (", {}, {}};
    if (!OneIn(6)) {
      number.args.push_back(key());
      number.text += "PARTITION BY $0 ";
    }
    number.args.push_back(key());
    number.text += fmt::format("ORDER BY ${}{}) ", number.args.size() - 1, Direction()) +
                   PickText({"<= 1", "= 1", "<= 2", "< 4"});
    out.query.qualify.push_back(std::move(number));
    return out;
  }

  Shape Windowed(int depth, const std::vector<Ty>& wanted) {
    Shape out = RowWise(depth, wanted);
    if (std::all_of(out.columns.begin(), out.columns.end(), [](const Column& column) {
          return column.constant || IsNested(column.type);
        }))
      return out;
    Query outer;
    Source from;
    from.alias = NewAlias();
    Scope visible = ScopeOf(from.alias, out.columns);
    from.query.push_back(std::move(out.query));
    outer.from.push_back(std::move(from));
    Shape shape;
    shape.query = std::move(outer);
    if (!wanted.empty()) {
      for (const Visible& v : visible) AddItem(&shape, Leaf(v.type, v.text));
      if (Has(Feature::kQualify)) {
        const Expr window = Window(visible);
        shape.query.qualify.push_back(
            Call(Ty::kBool, PickText({"($0 IS NOT NULL)", "($0 = $1)", "($0 <= $1)"}),
                 {window, Literal(window.type)}));
      }
      return shape;
    }
    for (const Visible& v : visible) {
      if (!OneIn(3)) AddItem(&shape, Leaf(v.type, v.text));
    }
    for (uint64_t n = 1 + Below(2); n > 0; --n) AddItem(&shape, Window(visible));
    return shape;
  }

  Shape SetOperation(int depth, const std::vector<Ty>& wanted) {
    body_is_top_ = false;
    Shape left = Block(depth - 1, wanted);
    std::vector<Ty> types;
    for (const Column& column : left.columns) types.push_back(column.type);
    Shape right = Block(depth - 1, types);
    Shape out;
    out.columns = left.columns;
    out.query.op = PickText({"UNION ALL", "UNION ALL", "UNION", "EXCEPT", "EXCEPT ALL",
                             "INTERSECT", "INTERSECT ALL"});
    out.query.sides.push_back(std::move(left.query));
    out.query.sides.push_back(std::move(right.query));
    for (size_t i = 0; i < out.columns.size(); ++i) {
      if (right.columns[i].type == Ty::kWild) out.columns[i].type = Ty::kWild;
    }
    return out;
  }

  // Types that a caller may ask of any block.
  static bool CanGive(const std::vector<Ty>& wanted) {
    return std::none_of(wanted.begin(), wanted.end(), IsNested);
  }

  Shape Block(int depth, const std::vector<Ty>& wanted) {
    const bool top = std::exchange(is_top_, false);
    std::vector<Cte> ctes;
    if (top && depth > 1 && Maybe(Feature::kCte, 5)) {
      for (uint64_t n = 1 + Below(2); n > 0; --n) {
        Shape inner =
            Has(Feature::kNestedBlocks) ? Block(depth - 2, {}) : RowWise(depth - 2, {});
        Cte cte{fmt::format("w{}", ctes.size()), {std::move(inner.query)}};
        ctes.push_back(std::move(cte));
        ctes_.push_back({ctes.back().name, inner.columns});
        ctes_.push_back({ctes.back().name, inner.columns});  // likely to be read twice
      }
    }
    Shape out = Body(depth, wanted, top);
    out.query.ctes = std::move(ctes);
    if (Has(Feature::kScalarSubquery) && wanted.empty() && depth > 0 && OneIn(8) &&
        out.query.sides.empty() && !out.query.from.empty() && out.query.group.empty() &&
        !out.query.distinct && out.query.distinct_on.empty() && IsRowWise(out.query)) {
      AddItem(&out, ScalarQuery({}, depth));
    }
    if (Maybe(Feature::kLimit, 12) && out.query.order.empty()) {
      const size_t by = 1 + Below(out.columns.size());
      if (!IsNested(out.columns[by - 1].type)) {
        out.query.order.push_back(Leaf(Ty::kInt, std::to_string(by) + Direction()));
        out.query.limit = static_cast<int64_t>(1 + Below(4));
        if (OneIn(3)) out.query.offset = 1;
      }
    }
    return out;
  }

  static bool IsRowWise(const Query& query) {
    return std::none_of(query.items.begin(), query.items.end(), [](const Item& item) {
      const std::string text = Sql(item.expr);
      for (const char* call : {"count(", "sum(", "avg(", "min(", "max(", "bool_", "arg_",
                               "min_by(", "first(", "last(", "any_value(", "list(",
                               "string_agg(", "median(", "quantile", "mode(", "bit_xor("})
        if (text.find(call) != text.npos) return true;
      return false;
    });
  }

  Shape Body(int depth, const std::vector<Ty>& wanted, bool top) {
    struct Choice {
      Feature feature;
      uint64_t weight;
      Shape (Generator::*make)(int, const std::vector<Ty>&);
    };
    std::vector<Choice> choices = {
        {Feature::kWhere, 3, nullptr},
        {Feature::kAggregate, 6, &Generator::Grouped},
        {Feature::kDistinct, 1, &Generator::Distinct},
        {Feature::kTop, 2, &Generator::Top},
    };
    if (depth > 0 && Has(Feature::kWindow))
      choices.push_back({Feature::kWindow, 2, &Generator::Windowed});
    if (depth > 0 && Has(Feature::kSetOperation) && CanGive(wanted))
      choices.push_back({Feature::kSetOperation, 2, &Generator::SetOperation});
    std::erase_if(choices,
                  [&](const Choice& c) { return c.make != nullptr && !Has(c.feature); });
    body_is_top_ = top;
    uint64_t sum = 0;
    for (const Choice& choice : choices) sum += choice.weight;
    uint64_t dice = Below(sum);
    for (const Choice& choice : choices) {
      if (dice >= choice.weight) {
        dice -= choice.weight;
        continue;
      }
      return choice.make == nullptr ? RowWise(depth, wanted)
                                    : (this->*choice.make)(depth, wanted);
    }
    return RowWise(depth, wanted);
  }

  const std::vector<Relation>& relations_;
  const std::vector<Macro>& macros_;
  const Features& features_;
  std::mt19937_64& random_;
  std::vector<Relation> ctes_;
  int aliases_ = 0;
  bool is_top_ = false, body_is_top_ = false;
  bool may_fail_ = true;       // conditions, where that rejects a row
  bool is_outermost_ = false;  // in the aggregates of the query as a whole
};

}  // namespace

std::optional<std::string> GenerateCdc(const Relation& relation, bool append_only,
                                       std::mt19937_64& random,
                                       std::vector<Column>* columns) {
  const auto one_in = [&](uint64_t n) { return random() % n == 0; };
  const auto pick = [&](const std::vector<Column>& from) {
    return from[random() % from.size()];
  };
  std::vector<Column> keys, sequences, flags;
  for (const Column& column : relation.columns) {
    if (column.name == "id") continue;
    if (IsKeyType(column.type) && !IsNested(column.type) && column.type != Ty::kDouble)
      keys.push_back(column);
    if (column.type == Ty::kBool) flags.push_back(column);
  }
  if (keys.size() < 2) return std::nullopt;
  const Column key = pick(keys);
  std::erase_if(keys, [&](const Column& c) { return c.name == key.name; });
  const Column sequence = pick(keys);
  std::string out = fmt::format("FROM {}{} KEYS ({}) SEQUENCE BY {}",
                                append_only && one_in(2) ? "STREAM " : "", relation.name,
                                key.name, sequence.name);
  const auto when = [&](const char* what, const char* text) {
    if (flags.empty() || !one_in(2)) return;
    out += fmt::format(" APPLY AS {} WHEN {} {}", what, pick(flags).name, text);
  };
  when("DELETE", "");
  if (one_in(4)) when("TRUNCATE", "IS NULL");
  if (one_in(2)) out += " IGNORE NULL UPDATES";
  columns->push_back(key);
  std::string names = key.name;
  for (const Column& column : relation.columns) {
    if (column.name == key.name || one_in(3)) continue;
    columns->push_back(column);
    names += ", " + column.name;
  }
  out += fmt::format(" COLUMNS ({})", names);
  if (one_in(2)) return out + " STORED AS SCD TYPE 1";
  out += " STORED AS SCD TYPE 2";
  if (columns->size() > 1 && one_in(2))
    out += fmt::format(" TRACK HISTORY ON ({})",
                       (*columns)[1 + random() % (columns->size() - 1)].name);
  columns->push_back({"__START_AT", sequence.type});
  columns->push_back({"__END_AT", sequence.type});
  return out;
}

std::string Macro::Text() const {
  std::string out = "CREATE MACRO " + name + "(";
  for (size_t i = 0; i < parameters.size(); ++i)
    out += fmt::format("{}p{}", i == 0 ? "" : ", ", i);
  return out + ") AS " + body;
}

Macro GenerateMacro(const std::vector<Relation>& relations,
                    const std::vector<Macro>& before, const Features& features,
                    std::mt19937_64& random) {
  return Generator(relations, before, features, random).MakeMacro();
}

Generated GenerateQuery(const std::vector<Relation>& relations,
                        const std::vector<Macro>& macros, const Features& features,
                        int depth, std::mt19937_64& random) {
  return Generator(relations, macros, features, random).Make(depth);
}

}  // namespace weir::sqltest
