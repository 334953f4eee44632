// Decides how a query can be kept up to date, and cuts it into the SQL pieces around the
// operator.
#pragma once

#include "plan/completion_internal.h"

namespace weir::plan {

// One output column: its name, and its expression over plain columns of the input.
struct Item {
  std::string name;
  Json expr;
};

// A SELECT over exactly one table, subqueries and WITH merged into it. Every expression
// is resolved: aliases are replaced by what they stand for, columns are
// ColumnRef({column, struct fields…}).
struct Block {
  const InputTable* input = nullptr;
  Json select;  // the outermost SELECT as parsed
  std::vector<Item> items;
  Json where;  // null: none
  bool has_unnest = false;

  // What a name means in this SELECT, as columns of the relation it reads.
  struct Scope {
    std::vector<std::vector<std::string>> qualifiers;  // {"r"}, {"bronze", "rides"}
    std::vector<Item> columns;
    const Item* Find(std::string_view name) const;
  } scope;
};

// kInvalid: why the query is not such a block, in words for `why_not_better`.
class Flattener {
 public:
  Flattener(Ast& ast, const Tables& tables, const Functions& functions)
      : ast_(ast), tables_(tables), functions_(functions) {}
  Result<Block> Flatten(const Json& query, Json ctes = Json::array());
  // An expression of the block's SELECT, resolved. `aliases_first`: a bare name means a
  // select item before it means a column.
  Result<Json> Resolve(const Json& expr, const Block& block, bool aliases_first = false);

 private:
  struct Names;
  Status Source(const Json& ref, const Json& ctes, Block* out);
  Status SubquerySource(const Json& query, const Json& ctes, const std::string& alias,
                        const Json& column_names, Block* out);
  Status AddItems(Block* out);
  Result<std::vector<Item>> ExpandStar(const Json& star, const Block& block);
  Result<Json> ResolveIn(const Json& expr, const Names& names);
  Status ResolveChildren(Json& json, const Names& names);
  Result<Json> ResolveColumn(const Json& column, const Names& names);

  Ast& ast_;
  const Tables& tables_;
  const Functions& functions_;
};

// Fills kind and pieces of `plan` from its query. Leaves kFullRefresh and says why where
// nothing better is possible. `pieces` has the input tables declared with `_weight`.
Status PlanBlock(const Json& query, duck::Session& pieces, const Tables& tables,
                 const Functions& functions, ModelPlan* plan);

}  // namespace weir::plan
