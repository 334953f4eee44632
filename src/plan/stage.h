// The graph of incremental work that keeps one model.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/type.h"
#include "ops/aggregate.h"
#include "ops/asof.h"
#include "ops/components.h"
#include "ops/join.h"
#include "ops/temporal.h"
#include "ops/window.h"

namespace weir::plan {

// How a stage, or a model by its last stage that is more than row by row, is kept.
enum class BlockKind : uint8_t {
  kRowWise,     // each row by itself
  kUnion,       // rows of several inputs, of some taken away
  kDistinct,    // rows with their number
  kAggregate,   // groups, from what changed in them
  kTop,         // the first rows of each key
  kJoin,        // pairs, from the rows that changed and those they meet
  kAsof,        // pairs of a row and the one next to it in time
  kTemporal,    // rows that are there while the watermark is in their interval
  kWindow,      // window functions, from the place of a change to where it ends
  kComponents,  // records that share values, those that a change reaches
  kRecompute,   // all rows of a key whose rows changed, again by SQL
  kFullRefresh
};
std::string_view BlockKindName(BlockKind kind);

// One input of a stage: the rows of a table or of an earlier stage, as the stage takes
// them.
struct Port {
  std::string table;  // the input table; empty: `stage`
  int stage = -1;
  // Gives the columns of `schema` and `_weight`. Reads the table by its own name, a stage
  // as `_s<number>`: a relation with all its columns and `_weight` (INTEGER).
  std::string sql;
  // Gives the same rows, unless it fails where `sql` leaves failing rows out; tried
  // first. Empty: there is none.
  std::string fast_sql;
  // The port whose fast_sql fails whenever this one gives a row, if one does; -1: none.
  int empty_unless_stage = -1, empty_unless_port = -1;
  // By column of `schema`, which column of the input it is as it stands; -1: none, it is
  // computed. `computed_sql` and `computed_fast_sql` are `sql` and `fast_sql` without
  // those columns: rows need not go through DuckDB to stay what they are. Empty when all
  // columns are computed, and where `_weight` is not the input's.
  std::vector<int> passed;
  std::string computed_sql, computed_fast_sql;
  bool is_projection =
      false;  // sql only picks columns: `columns` of the input, no SQL needed
  std::vector<int> columns;
  data::Schema schema;             // without _weight
  std::vector<int> exchange_keys;  // columns that decide the shard
};

// Stages read tables and earlier stages. What a stage gives stands in the stored types
// of its columns (docs/types.md).
struct Stage {
  BlockKind kind = BlockKind::kRowWise;
  // Two for joins, some for kUnion and kRecompute (none for what is constant), else one.
  std::vector<Port> ports;
  ops::AggregateSpec aggregate;    // kAggregate
  ops::TopSpec top;                // kTop
  ops::JoinSpec join;              // kJoin
  ops::AsofSpec asof;              // kAsof
  ops::TemporalSpec temporal;      // kTemporal: columns of the port
  ops::WindowSpec window;          // kWindow: columns of the port
  ops::ComponentsSpec components;  // kComponents: columns of the port
  // kRecompute: the keys are the ports' exchange keys; reads `_p<stage>_<port>`: all rows
  // of the keys on each port, a row as often as it is there.
  std::string recompute_sql;
  data::Schema output;
  bool append_only = false;  // gives only inserts
  bool of_rows = true;  // the model's rows need it; false: only those that it rejects do
  // All rows belong on one shard, which may give rows even over no input.
  bool one_group = false;
  std::string why;  // for kRecompute: what needs the rows of the key again
};

}  // namespace weir::plan
