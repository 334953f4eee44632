// Conditions that can fail, as conditions that cannot.
#include <algorithm>
#include <map>

#include "plan/query_internal.h"
#include "plan/row_errors_internal.h"

namespace weir::plan {
namespace {

// It is NULL when either side is, whatever the other is.
bool IsComparison(const Json& json) {
  return IsClass(json, "COMPARISON") && !IsType(json, "COMPARE_DISTINCT_FROM") &&
         !IsType(json, "COMPARE_NOT_DISTINCT_FROM");
}

Json AllPass(const std::vector<Json>& parts) {
  Json all;
  for (const Json& part : parts) all = And(std::move(all), RowCheck(part));
  return all;
}

// Makes conditions of one that is neither AND, OR nor NOT.
TriedCondition TryPlain(const Json& condition, bool negated,
                        const FailingPart& can_fail) {
  TriedCondition out;
  out.holds = condition;
  std::vector<const char*> operands;
  if (IsComparison(condition)) operands = {"left", "right"};
  if (IsClass(condition, "BETWEEN") && !negated) operands = {"input", "lower", "upper"};
  const auto note = [&](std::optional<Json> part, Json* place) {
    if (!part) return;
    *place = Try(*part);
    out.parts.push_back(*std::move(part));
  };
  if (operands.empty()) note(can_fail(condition, nullptr), &out.holds);
  for (const char* operand : operands) {
    const Json* compared = !IsClass(condition, "COMPARISON") ? nullptr
                           : operand == operands[0]          ? &condition["right"]
                                                             : &condition["left"];
    note(can_fail(condition[operand], compared), &out.holds[operand]);
  }
  out.may_hold = out.holds;
  if (out.parts.empty()) return out;
  out.may_hold = negated ? And(out.holds, AllPass(out.parts))
                         : Or(out.holds, Not(AllPass(out.parts)));
  return out;
}

// `negated`: an odd number of NOTs stands around it.
TriedCondition TryPart(const Json& condition, bool negated, const FailingPart& can_fail) {
  const bool is_not = IsType(condition, "OPERATOR_NOT");
  if (!is_not && !IsClass(condition, "CONJUNCTION"))
    return TryPlain(condition, negated, can_fail);
  TriedCondition out;
  out.holds = condition;
  out.may_hold = condition;
  for (size_t i = 0; i < condition["children"].size(); ++i) {
    TriedCondition child =
        TryPart(condition["children"][i], is_not ? !negated : negated, can_fail);
    out.plain &= is_not && child.plain;
    out.holds["children"][i] = std::move(child.holds);
    out.may_hold["children"][i] = std::move(child.may_hold);
    for (Json& part : child.parts) {
      if (std::find(out.parts.begin(), out.parts.end(), part) == out.parts.end())
        out.parts.push_back(std::move(part));
    }
  }
  if (!is_not) out.plain = false;
  return out;
}

// A table of FROM, and which conditions decide about its rows, by their places in
// Conditions::all_.
struct Leaf {
  Json ref;
  // Rows that do not pass are in no row of FROM.
  std::vector<size_t> known;
  // ON of each outer join whose rows it keeps: rows that do not pass meet no other. Its
  // columns are never NULL for want of a row.
  std::vector<std::vector<size_t>> outer;
};

class Conditions {
 public:
  Conditions(Json* select, const FailingPart& can_fail, const BindsIn& binds)
      : select_(*select), can_fail_(can_fail), binds_(binds) {}

  std::vector<FailingRows> Check() {
    Json& from = select_["from_table"];
    Leaf whole;
    whole.known = Add(select_["where_clause"], nullptr, true);
    Walk(from, std::move(whole), true, true);
    for (Condition& condition : all_) Try(&condition);
    if (std::all_of(all_.begin(), all_.end(),
                    [](const Condition& c) { return !c.fails(); }))
      return {};
    std::vector<FailingRows> out = {Whole()};
    Json failed;  // by the ON of an outer join: not in FROM, though it would keep them
    for (size_t i = 0; i < leaves_.size(); ++i) {
      Add(Judged(i, leaves_[i].known), &out);
      for (const std::vector<size_t>& on : leaves_[i].outer) {
        const FailingRows own = Judged(i, on);
        if (own.conditions.empty()) continue;
        failed =
            And(std::move(failed),
                own.where.is_null()
                    ? NothingFails(own.conditions)
                    : Not(OrFalse(And(own.where, Not(NothingFails(own.conditions))))));
        FailingRows rows = own;
        for (const size_t c : leaves_[i].known) {
          if (IsOf(c, i)) rows.where = And(std::move(rows.where), all_[c].holds());
        }
        Add(std::move(rows), &out);
      }
    }
    out[0].where = And(std::move(out[0].where), failed);
    Rewrite(failed);
    return out;
  }

 private:
  struct Condition {
    Json expr;
    Json* join = nullptr;  // whose ON it is part of; null: WHERE
    bool filters = false;  // it would be the same in WHERE
    TriedCondition tried;  // without parts: it stays as it is
    // The tables that its parts are judged on; empty: all of FROM.
    std::vector<size_t> leaves;

    bool fails() const { return !tried.parts.empty(); }
    const Json& holds() const { return fails() ? tried.holds : expr; }
  };

  std::vector<size_t> Add(const Json& conjunction, Json* join, bool filters) {
    std::vector<Json> parts;
    SplitAnd(conjunction, &parts);
    std::vector<size_t> out;
    for (Json& part : parts) {
      out.push_back(all_.size());
      all_.push_back({std::move(part), join, filters, {}, {}});
    }
    return out;
  }

  static void Add(FailingRows rows, std::vector<FailingRows>* out) {
    if (!rows.conditions.empty()) out->push_back(std::move(rows));
  }

  // `leaf`: what decides about the rows of `ref`. `inner`: there are only inner joins
  // around it. `kept`: each row that passes is in FROM.
  void Walk(Json& ref, Leaf leaf, bool inner, bool kept) {
    if (!IsType(ref, "JOIN")) {
      leaf.ref = ref;
      return leaves_.push_back(std::move(leaf));
    }
    const std::string how = ref.value("ref_type", ""), type = ref.value("join_type", "");
    inner &= type == "INNER" && how != "ASOF";
    const std::vector<size_t> own = Add(ref["condition"], &ref, inner);
    Leaf filtered = leaf, keeping = leaf, lost;
    filtered.known.insert(filtered.known.end(), own.begin(), own.end());
    if (kept) keeping.outer.push_back(own);
    lost.known = own;
    if (how == "POSITIONAL" || type == "FULL" || type == "OUTER") {
      Walk(ref["left"], {}, false, false);
      Walk(ref["right"], {}, false, false);
    } else if (type == "RIGHT") {
      Walk(ref["left"], lost, false, false);
      Walk(ref["right"], keeping, false, kept);
    } else if (type == "LEFT" || type == "ANTI") {
      Walk(ref["left"], keeping, false, kept);
      Walk(ref["right"], lost, false, false);
    } else {
      Walk(ref["left"], filtered, inner, kept);
      Walk(ref["right"], type == "SEMI" ? lost : filtered, inner, kept && type != "SEMI");
    }
  }

  // The one table that an expression of a condition is of, if that decides about its
  // rows.
  std::optional<size_t> LeafOf(const Json& expr, size_t condition) const {
    std::optional<size_t> found;
    for (size_t i = 0; i < leaves_.size(); ++i) {
      if (leaves_.size() > 1 && !binds_(expr, leaves_[i].ref)) continue;
      if (found) return std::nullopt;
      found = i;
    }
    if (!found) return std::nullopt;
    const auto has = [&](const std::vector<size_t>& places) {
      return std::find(places.begin(), places.end(), condition) != places.end();
    };
    const Leaf& leaf = leaves_[*found];
    const bool decides =
        has(leaf.known) || std::any_of(leaf.outer.begin(), leaf.outer.end(), has);
    return decides ? found : std::nullopt;
  }
  bool IsOf(size_t condition, size_t leaf) const {
    return LeafOf(all_[condition].expr, condition) == leaf;
  }

  void Try(Condition* condition) {
    if (HasSubquery(condition->expr) || HasWatermark(condition->expr)) return;
    TriedCondition tried = TryPart(condition->expr, false, can_fail_);
    if (tried.parts.empty()) return;
    const size_t place = static_cast<size_t>(condition - all_.data());
    if (leaves_.size() > 1) {
      if (const auto leaf = LeafOf(condition->expr, place)) {
        condition->leaves.assign(tried.parts.size(), *leaf);
      } else if (tried.plain) {
        // A key of a join, or its like: a row whose own part fails meets no other.
        for (const Json& part : tried.parts) {
          if (const auto of = LeafOf(part, place)) condition->leaves.push_back(*of);
        }
        if (condition->leaves.size() < tried.parts.size()) condition->leaves.clear();
      }
    }
    if (!condition->leaves.empty() || condition->filters)
      condition->tried = std::move(tried);
  }

  // Rows of all of FROM.
  FailingRows Whole() const {
    FailingRows out;
    for (const Condition& condition : all_) {
      const bool here = condition.fails() && condition.leaves.empty();
      if (here) out.conditions.push_back(condition.tried);
      if (condition.join != nullptr && !here) continue;
      out.where =
          And(std::move(out.where), here ? condition.tried.may_hold : condition.holds());
    }
    return out;
  }

  // Rows of one table for which those conditions fail, other things of them being true.
  FailingRows Judged(size_t leaf, const std::vector<size_t>& places) const {
    FailingRows out;
    if (leaves_.size() == 1) return out;  // it is all of FROM
    out.from = leaves_[leaf].ref;
    for (const size_t c : places) {
      const Condition& condition = all_[c];
      if (!condition.fails()) {
        if (IsOf(c, leaf)) out.where = And(std::move(out.where), condition.expr);
      } else if (IsOf(c, leaf)) {
        out.where = And(std::move(out.where), condition.tried.may_hold);
        out.conditions.push_back(condition.tried);
      } else {
        TriedCondition own;
        for (size_t p = 0; p < condition.leaves.size(); ++p) {
          if (condition.leaves[p] == leaf) own.parts.push_back(condition.tried.parts[p]);
        }
        if (!own.parts.empty()) out.conditions.push_back(std::move(own));
      }
    }
    return out;
  }

  void Rewrite(Json also) {
    Json where;
    std::map<Json*, Json> on;
    for (const Condition& condition : all_) {
      const bool moves = condition.fails() && condition.leaves.empty();
      if (condition.join != nullptr) on.try_emplace(condition.join);
      Json& all = condition.join == nullptr || moves ? where : on[condition.join];
      all = And(std::move(all), condition.holds());
    }
    select_["where_clause"] = And(std::move(where), std::move(also));
    for (auto& [join, condition] : on)
      (*join)["condition"] =
          condition.is_null() ? BoolConstant(true) : std::move(condition);
  }

  Json& select_;
  const FailingPart& can_fail_;
  const BindsIn& binds_;
  std::vector<Condition> all_;
  std::vector<Leaf> leaves_;
};

}  // namespace

std::vector<FailingRows> TryConditions(Json* select, const FailingPart& can_fail,
                                       const BindsIn& binds) {
  return Conditions(select, can_fail, binds).Check();
}

Json OrFalse(Json condition) {
  return {{"class", "OPERATOR"},
          {"type", "OPERATOR_COALESCE"},
          {"alias", ""},
          {"children", {std::move(condition), BoolConstant(false)}}};
}

Json NothingFails(const std::vector<TriedCondition>& conditions) {
  Json all;
  for (const TriedCondition& condition : conditions) {
    all = And(std::move(all),
              condition.plain ? AllPass(condition.parts) : OrFalse(condition.holds));
  }
  return all;
}

Json RowCheck(Json expr) {
  expr["alias"] = "v";
  return IsNotNull(Try(Call("struct_pack", {std::move(expr)})));
}

}  // namespace weir::plan
