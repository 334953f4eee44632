// Random queries as trees, so that a failing one can be cut down part by part.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace weir::sqltest {

// Kinds of values, coarser or finer than SQL's types where the grammar needs it.
enum class Ty : uint8_t {
  kBool,
  kInt,      // INTEGER
  kBig,      // BIGINT, and what is computed from it
  kHuge,     // sums of integers: HUGEINT in a query, DECIMAL(38,0) in a table
  kDecimal,  // any DECIMAL
  kDouble,   // multiples of a power of two: sums are exact in any order
  kWild,     // any double: never added up below another block
  kText,
  kDate,
  kTs,
  kTsTz,
  kList,    // INTEGER[]
  kStruct,  // STRUCT(a INTEGER, b VARCHAR)
};

struct Query;

// `text` with $0, $1 … standing for the arguments and $q for the query.
struct Expr {
  Ty type = Ty::kInt;
  std::string text;
  std::vector<Expr> args;
  std::vector<Query> query;  // none or one
};

struct Item {
  Expr expr;
  std::string name;
};

// What stands in FROM: a table, a query, or a join of two.
struct Source {
  std::string table, alias;
  std::vector<Query> query;   // none or one
  std::string join;           // "LEFT JOIN"
  std::vector<Source> sides;  // none or two
  std::vector<Expr> on;       // none or one
};

struct Cte {
  std::string name;
  std::vector<Query> query;  // one
};

struct Query {
  std::vector<Cte> ctes;
  // Either two sides and what joins them ("UNION ALL") …
  std::string op;
  std::vector<Query> sides;
  // … or a SELECT.
  bool distinct = false;
  std::vector<Expr> distinct_on;
  std::vector<Item> items;
  std::vector<Source> from;           // none or one
  std::vector<Expr> where;            // none or one
  std::vector<Expr> group;            // expressions
  std::string grouping;               // "ROLLUP", "CUBE", "GROUPING SETS", or empty
  bool group_all = false;             // GROUP BY ALL instead of the list
  std::vector<Expr> having, qualify;  // none or one
  std::vector<Expr> order;            // with direction
  int64_t limit = -1, offset = 0;
};

std::string Sql(const Query& query);
std::string Sql(const Expr& expr);

// Queries with one part less or simpler, the largest cuts first. Not all of them are
// valid.
std::vector<Query> Simpler(const Query& query);
// Blocks in it: SELECTs, set operations.
int CountBlocks(const Query& query);

// What the grammar may use.
enum class Feature : uint8_t {
  kWhere,
  kDistinct,
  kAggregate,
  kHaving,
  kTop,  // QUALIFY row_number() … <= n
  kDistinctOn,
  kSubquery,      // SELECT in FROM
  kNestedBlocks,  // blocks over blocks that are not row-wise
  kCte,
  kJoin,
  kSetOperation,
  kInSubquery,
  kScalarSubquery,
  kCorrelated,
  kWindow,
  kLimit,
  kGroupingSets,
  kUnnest,
  kManyAggregates,  // count(DISTINCT), list, string_agg, quantiles …
  kQualify,
  kNested,  // lists and structs
  kConstraints,
  kRowErrors,    // casts that fail
  kAsof,         // ASOF JOIN
  kTimeWindows,  // TUMBLE, HOP, CUMULATE, SESSION
  kWatermark,    // conditions on watermark()
  kLateral,      // LATERAL, first rows of a correlated query
  kDecay,        // decay_sum
  kResolve,      // RESOLVE, RESOLVE_HISTORY
  kCdc,          // AUTO CDC
  kMacros,       // calls of macros
};
using Features = std::set<Feature>;

struct Column {
  std::string name;
  Ty type;
  bool constant = false;  // the same in all rows
};
struct Relation {
  std::string name;
  std::vector<Column> columns;
};

// A macro of a project: of values, or of rows (then it gives these columns).
struct Macro {
  std::string name;
  std::vector<Ty> parameters;
  std::string body;  // behind AS
  Ty type = Ty::kInt;
  std::vector<Column> columns;

  std::string Text() const;  // CREATE MACRO …
};

struct Generated {
  Query query;
  std::vector<Column> columns;
  std::set<std::string> approximate;  // columns of any doubles: averages, variances
};

// The clauses of an AUTO CDC flow from this relation: "FROM … STORED AS …". nullopt: it
// lacks the columns. `columns`: of the table it makes.
std::optional<std::string> GenerateCdc(const Relation& relation, bool append_only,
                                       std::mt19937_64& random,
                                       std::vector<Column>* columns);

// A random macro, which may call those before it.
Macro GenerateMacro(const std::vector<Relation>& relations,
                    const std::vector<Macro>& before, const Features& features,
                    std::mt19937_64& random);

// A random query over these relations.
Generated GenerateQuery(const std::vector<Relation>& relations,
                        const std::vector<Macro>& macros, const Features& features,
                        int depth, std::mt19937_64& random);

}  // namespace weir::sqltest
