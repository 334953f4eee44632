// Columns that are passed on come out as if DuckDB had computed them.
#include "flow/port_rows.h"

#include <arrow/api.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/arrow.h"

namespace weir::flow {
namespace {

using data::Kind;
using data::Simple;
using testing::ElementsAre;

data::Schema TableSchema() {
  return {{{"id", Simple(Kind::kInt64)},
           {"who", Simple(Kind::kString)},
           {"l", data::ListOf(Simple(Kind::kInt32))},
           {"ok", Simple(Kind::kBool)}}};
}

// Rows `first` to `first + rows`, of which every third lacks its text and every fourth
// its list, cut out of a longer batch so that bits and offsets begin anywhere.
data::Batch Rows(int64_t first, int64_t rows, std::vector<int32_t> weights = {}) {
  constexpr int64_t kBefore = 5;
  arrow::Int64Builder id;
  arrow::StringBuilder who;
  auto element = std::make_shared<arrow::Int32Builder>();
  arrow::ListBuilder list(arrow::default_memory_pool(), element,
                          data::ToArrow(data::ListOf(Simple(Kind::kInt32))));
  arrow::BooleanBuilder ok;
  for (int64_t i = first - kBefore; i < first + rows + 3; ++i) {
    EXPECT_TRUE(id.Append(i).ok());
    EXPECT_TRUE((i % 3 == 0 ? who.AppendNull() : who.Append(fmt::format("w{}", i))).ok());
    EXPECT_TRUE((i % 4 == 0 ? list.AppendNull() : list.Append()).ok());
    for (int64_t k = 0; i % 4 != 0 && k < i % 5; ++k)
      EXPECT_TRUE(element->Append(static_cast<int32_t>(i + k)).ok());
    EXPECT_TRUE(ok.Append(i % 7 < 3).ok());
  }
  const auto all = arrow::RecordBatch::Make(
      data::ToArrow(TableSchema()), rows + kBefore + 3,
      {*id.Finish(), *who.Finish(), *list.Finish(), *ok.Finish()});
  return {all->Slice(kBefore, rows), std::move(weights)};
}

// Every row with its weight, in order.
std::vector<std::string> Text(const std::vector<data::Batch>& batches) {
  std::vector<std::string> out;
  for (const data::Batch& batch : batches) {
    EXPECT_TRUE(batch.rows->ValidateFull().ok());
    EXPECT_TRUE(batch.weights.empty() || std::ssize(batch.weights) == batch.num_rows());
    for (int64_t i = 0; i < batch.num_rows(); ++i)
      out.push_back(
          fmt::format("{:+} {}", batch.weight(i), data::RowText(*batch.rows, i)));
  }
  return out;
}

// `select` with all columns through DuckDB, and with those that are passed on beside it.
class PortRowsTest : public testing::Test {
 protected:
  void SetUp() override {
    session_ = *duck::Session::Open({});
    ASSERT_TRUE(session_->DeclareInput("t", WithWeight(TableSchema())).ok());
  }

  std::vector<std::string> Whole(const std::string& sql) {
    duck::RowBatches relation;
    for (const data::Batch& batch : input_) relation.push_back(*WithWeightColumn(batch));
    EXPECT_TRUE(session_->SetInput("t", relation).ok());
    std::vector<data::Batch> out;
    const auto computed = session_->Query(sql, nullptr);
    EXPECT_TRUE(computed.ok());
    for (const auto& rows : *computed) out.push_back(*FromWeightColumn(rows));
    return Text(out);
  }

  std::vector<data::Batch> Passed(const plan::Port& port) {
    duck::RowBatches relation;
    int64_t first = 0;
    for (const data::Batch& batch : input_) {
      relation.push_back(*WithNumberColumn(batch, first));
      first += batch.num_rows();
    }
    EXPECT_TRUE(session_->SetInput("t", relation).ok());
    std::vector<data::Batch> out;
    const auto computed = session_->Query(port.computed_sql, nullptr);
    EXPECT_TRUE(computed.ok());
    EXPECT_TRUE(AddPassed(port, input_, *computed, &out).ok());
    return out;
  }

  std::unique_ptr<duck::Session> session_;
  std::vector<data::Batch> input_;
};

plan::Port PortOf(std::vector<std::string> names, std::vector<int> passed,
                  std::string computed_sql) {
  plan::Port port;
  for (std::string& name : names)
    port.schema.fields.push_back({std::move(name), Simple(Kind::kInt64)});
  port.passed = std::move(passed);
  port.computed_sql = std::move(computed_sql);
  return port;
}

TEST_F(PortRowsTest, ManyBatchesOfManyRows) {
  std::vector<int32_t> weights(4100, 1);
  for (size_t i = 0; i < weights.size(); i += 3) weights[i] = i % 2 == 0 ? -1 : 2;
  input_ = {Rows(0, 0), Rows(10, 3000), Rows(0, 0), Rows(4001, 4100, weights),
            Rows(9000, 1)};
  const std::pair<plan::Port, std::string> cases[] = {
      {PortOf({"u", "l", "who", "w"}, {-1, 2, 1, 1},
              "SELECT id + 1 AS u, _weight FROM t"),
       "SELECT id + 1 AS u, l, who, who AS w, _weight FROM t"},
      {PortOf({"l", "u", "ok", "x", "id"}, {2, -1, 3, -1, 0},
              "SELECT who || '!' AS u, NOT ok AS x, _weight FROM t WHERE id % 11 <> 3"),
       "SELECT l, who || '!' AS u, ok, NOT ok AS x, id, _weight FROM t WHERE id % 11 <> "
       "3"},
      {PortOf({"who", "id"}, {1, 0}, "SELECT _weight FROM t WHERE ok"),
       "SELECT who, id, _weight FROM t WHERE ok"},
      {PortOf({"who", "id"}, {1, 0}, "SELECT _weight FROM t WHERE id > 4500"),
       "SELECT who, id, _weight FROM t WHERE id > 4500"},
      {PortOf({"who", "id"}, {1, 0}, "SELECT _weight FROM t WHERE id < 0"),
       "SELECT who, id, _weight FROM t WHERE id < 0"},
      {PortOf({"id", "e", "l"}, {0, -1, 2}, "SELECT unnest(l) AS e, _weight FROM t"),
       "SELECT id, unnest(l) AS e, l, _weight FROM t"},
      {PortOf({"id", "b"}, {0, -1},
              "SELECT NOT ok AS b, _weight FROM t ORDER BY id DESC"),
       "SELECT id, NOT ok AS b, _weight FROM t ORDER BY id DESC"}};
  for (const auto& [port, whole] : cases) {
    SCOPED_TRACE(whole);
    const std::vector<data::Batch> out = Passed(port);
    EXPECT_EQ(Text(out), Whole(whole));
    for (const data::Batch& batch : out) {
      for (size_t i = 0; i < port.passed.size(); ++i)
        EXPECT_EQ(batch.rows->schema()->field(static_cast<int>(i))->name(),
                  port.schema.fields[i].name);
    }
  }
}

TEST_F(PortRowsTest, RowsInTurnShareTheInputsBuffers) {
  input_ = {Rows(0, 10)};
  const auto out =
      Passed(PortOf({"id", "b"}, {0, -1}, "SELECT NOT ok AS b, _weight FROM t"));
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].rows->column(0)->data()->buffers[1],
            input_[0].rows->column(0)->data()->buffers[1]);
}

TEST_F(PortRowsTest, WeightsOfOneAreNone) {
  input_ = {Rows(0, 4, {1, -1, 1, 2}), Rows(8, 2, {1, 1})};
  const auto weights = [&](const std::string& condition) {
    std::vector<std::vector<int32_t>> out;
    for (data::Batch& batch :
         Passed(PortOf({"id"}, {0}, "SELECT _weight FROM t WHERE " + condition)))
      out.push_back(std::move(batch.weights));
    return out;
  };
  using W = std::vector<int32_t>;
  EXPECT_THAT(weights("id < 100"), ElementsAre(W{1, -1, 1, 2}, W{}));
  EXPECT_THAT(weights("id IN (0, 2)"), ElementsAre(W{}));
  EXPECT_THAT(weights("id IN (0, 3, 9)"), ElementsAre(W{1, 2}, W{}));
  EXPECT_THAT(weights("id IN (1, 2)"), ElementsAre(W{-1, 1}));
}

}  // namespace
}  // namespace weir::flow
