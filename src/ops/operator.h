// One step of an incremental dataflow.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "data/batch.h"
#include "state/state.h"

namespace weir::ops {

class Emitter {
 public:
  virtual ~Emitter() = default;
  virtual Status Emit(data::Batch changes) = 0;
};

// Inputs and outputs are batches of changes: every row carries a weight, +1 for an insert
// and -1 for a delete.
//
// The scheduler calls an operator from one thread at a time and waits for it to return,
// so operators hold no locks and do no I/O except batched state reads. An error means
// that the flow stops and continues later from its last commit.
class Operator {
 public:
  virtual ~Operator() = default;

  // Consumes changes that arrive on input `port`; may emit any number of batches, or keep
  // them until Flush.
  virtual Status Process(int port, data::Batch changes, Emitter& out) = 0;

  // The step is over: emit what the step changed. Called once a step, after all Process
  // calls.
  virtual Status Flush(Emitter& out) { return {}; }

  // No row older than `time` will arrive any more.
  virtual Status Advance(Micros time, Emitter& out) { return {}; }

  // Adds to `delta` all that is needed to continue exactly after this epoch, as absolute
  // values of what changed since the last call. Called between steps.
  virtual Status Checkpoint(state::Delta& delta) { return {}; }

  // What the last Checkpoint added is committed: the store has it. Called between steps
  // and before the next Checkpoint, but steps may have come in between, since an epoch is
  // committed beside the next one: what they touched stays in memory. Everything else can
  // be read back, so an operator over its memory budget drops of it. Nothing that the
  // Checkpoint added may be dropped before: until then no store has it.
  virtual void Committed() {}

  // Committed keeps no more than this from now on. Called between steps.
  virtual void SetMemory(int64_t bytes_max) {}

  // Bytes and keys held in memory.
  virtual int64_t state_bytes() const { return 0; }
  virtual int64_t state_keys() const { return 0; }
};

}  // namespace weir::ops
