// For tests: operators fed with rows as text, "+ 1 ann, -2 2 bob": a sign or a signed
// weight, then the values. NULL, nan and inf are written so; stamps and dates are plain
// numbers; '' is the empty text.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/batch.h"
#include "data/type.h"
#include "io/sim_io.h"
#include "ops/operator.h"

namespace weir::ops {

data::Batch BatchFromText(const data::Schema& schema, std::string_view rows);
// In the order of the batch.
std::string TextFromBatch(const data::Schema& schema, const data::Batch& batch);

// "id int, name string, amount decimal(10,2)"; int is int64.
data::Schema SchemaFromText(std::string_view columns);

class OperatorTest {
 public:
  using Make = std::function<Result<std::unique_ptr<Operator>>(state::Store*)>;

  OperatorTest(data::Schema input, data::Schema output, Make make);
  // Of several ports.
  OperatorTest(std::vector<data::Schema> inputs, data::Schema output, Make make);
  ~OperatorTest();

  // One step of the rows, and what it emitted: "- 1 ann, + 1 bob". An error's message if
  // there was one.
  std::string Feed(std::string_view rows);
  // The same with rows for each port in turn, and what it emitted consolidated and
  // sorted.
  std::string Step(std::initializer_list<std::string_view> ports);
  // What moving the time on emits, consolidated and sorted.
  std::string Advance(Micros time);
  // One batch without the end of the step.
  Status Process(data::Batch batch);
  Status Process(int port, data::Batch batch);
  Status Flush();
  std::vector<data::Batch> TakeEmitted();

  // Makes what was fed so far part of the store: Checkpoint, then Committed. Steps may
  // come between the two.
  void Commit();
  void Checkpoint();
  void Committed();
  // Goes on from the last commit in a new operator; a checkpoint that is not committed
  // is lost.
  void Restart();

  Operator& op() { return *op_; }
  state::Store& store() { return *store_; }

 private:
  class Collector;

  std::string EmittedText();

  const std::vector<data::Schema> inputs_;
  const data::Schema output_;
  const Make make_;
  io::SimIo io_;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<Collector> collector_;
  std::unique_ptr<Operator> op_;
  state::Delta checkpoint_;  // not committed yet
};

}  // namespace weir::ops
