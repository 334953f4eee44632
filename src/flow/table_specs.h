// What the tables of a flow look like: of a source by its contract, of a model by its
// plan.
#pragma once

#include "base/result.h"
#include "contract/contract.h"
#include "flow/table_set.h"
#include "ingest/judged.h"
#include "plan/plan.h"

namespace weir::flow {

// kInvalid: a partition term that is none.
Result<TableSpec> BronzeSpec(const contract::Contract& contract,
                             const ingest::SourceTables& tables);
TableSpec SpecOf(const plan::ModelPlan& plan);

}  // namespace weir::flow
