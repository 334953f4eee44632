#include "ingest/pipeline.h"

#include <gmock/gmock.h>

#include <numeric>

#include "ingest/testing_internal.h"

namespace weir::ingest {
namespace {

using log::Verdict;
using testing::ElementsAre;

class PipelineTest : public testing::Test {
 protected:
  Checked Check(const std::vector<std::string>& records) {
    kept_ = records;
    const std::vector<std::string_view> views(kept_.begin(), kept_.end());
    auto checked = pipeline_->Check(views);
    EXPECT_TRUE(checked.ok()) << (checked.ok() ? "" : checked.error().message);
    return *std::move(checked);
  }

  const contract::Contract contract_ = TestContract();
  const std::unique_ptr<Pipeline> pipeline_ = *Pipeline::New(contract_, 200);
  std::vector<std::string> kept_;
};

TEST_F(PipelineTest, SaysWhatTheVerdictNeedsToKnow) {
  const Checked checked =
      Check({Ride("a", "10:00"), "{", Ride("a", "10:01"), R"({"id":"b"})"});
  EXPECT_THAT(checked.rejected, ElementsAre(0, 1, 0, 1));
  EXPECT_EQ(checked.identity[0], checked.identity[2]);
  EXPECT_NE(checked.content[0], checked.content[2]);
  EXPECT_EQ(checked.event_time[0], At("10:00"));
  EXPECT_EQ(checked.event_time[3], kNoTime);
}

TEST_F(PipelineTest, RoutesByTheCrc32OfThePartitionKeysText) {
  std::vector<std::string> records;
  std::vector<int> expected;
  for (int i = 0; i < 50; ++i) {
    const std::string trip = "trip-" + std::to_string(i);
    records.push_back(Ride("e" + std::to_string(i), "10:00", trip));
    expected.push_back(static_cast<int>(Crc32(trip) % 4));
  }
  EXPECT_EQ(*pipeline_->Route(Check(records), 4), expected);
  EXPECT_EQ(Crc32("123456789"), 0xCBF43926u);
}

TEST_F(PipelineTest, RoutesRecordsWithoutAKeyByTheirBytes) {
  const std::vector<std::string> records = {"not json",
                                            R"({"id":"a","at":"2024-01-01T10:00:00Z"})",
                                            R"({"id":"b","at":"never","trip":"t"})"};
  const Checked checked = Check(records);
  std::vector<int> expected;
  for (const std::string& record : records)
    expected.push_back(static_cast<int>(Crc32(record) % 7));
  EXPECT_EQ(*pipeline_->Route(checked, 7), expected);
  EXPECT_THAT(*pipeline_->Route(checked, 1), ElementsAre(0, 0, 0));
}

TEST_F(PipelineTest, WithoutAPartitionKeyTheIdentityRoutes) {
  contract::Contract contract = TestContract();
  contract.partition_key.clear();
  const auto pipeline = *Pipeline::New(contract, 200);
  const std::string record = Ride("some id", "10:00");
  const std::string_view views[] = {record};
  EXPECT_THAT(*pipeline->Route(*pipeline->Check(views), 5),
              ElementsAre(static_cast<int>(Crc32("some id") % 5)));
}

TEST_F(PipelineTest, EveryVerdictHasItsTableAndItsCount) {
  const Checked checked =
      Check({Ride("a", "10:00", "t", R"(,"fare":1.5,"extra":7)"),
             R"({"id":"b","at":"no time"})", Ride("a", "10:00"), Ride("a", "11:00"),
             Ride("late", "01:00"), Ride("blocked", "10:00")});
  std::vector<int32_t> rows(6);
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<Verdict> verdicts = {Verdict::kAccepted,  Verdict::kRejected,
                                         Verdict::kDuplicate, Verdict::kConflict,
                                         Verdict::kLate,      Verdict::kBlocked};
  JudgedBatch batch =
      *pipeline_->Build(checked, rows, verdicts, 3, LogOffset{100}, At("12:00"));
  batch.counts.received = 6;
  EXPECT_TRUE(batch.counts.balanced());
  EXPECT_EQ(batch.counts.accepted, 1);
  EXPECT_EQ(batch.counts.duplicate, 2);  // one of which is
  EXPECT_EQ(batch.counts.conflicting, 1);
  EXPECT_EQ(batch.counts.blocked, 1);
  EXPECT_EQ(
      batch.counts.rejected_by_reason[static_cast<size_t>(contract::Reason::kWrongType)],
      1);

  EXPECT_EQ(Cells(batch.accepted, "id"), "a");
  EXPECT_EQ(Cells(batch.accepted, "fare"), "1.5");
  EXPECT_EQ(Cells(batch.accepted, "_extra"), R"({"extra":7})");
  EXPECT_EQ(Cells(batch.accepted, "_partition"), "3");
  EXPECT_EQ(Cells(batch.accepted, "_offset"), "100");
  EXPECT_EQ(Cells(batch.rejected, "_offset"), "101");
  EXPECT_EQ(Cells(batch.rejected, "reason"), "wrong_type");
  EXPECT_EQ(Cells(batch.rejected, "field"), "at");
  EXPECT_EQ(Cells(batch.rejected, "_source"), "rides");
  EXPECT_EQ(Cells(batch.rejected, "contract_version"), "1.2.0");
  EXPECT_EQ(Cells(batch.rejected, "producer"), "-");
  EXPECT_EQ(Cells(batch.conflicting, "_offset"), "103");
  EXPECT_EQ(Cells(batch.late, "_offset"), "104");
  EXPECT_EQ(Cells(batch.late, "id"), "late");
  const auto raw = std::static_pointer_cast<arrow::BinaryArray>(
      batch.late.rows->GetColumnByName("_raw"));
  EXPECT_EQ(raw->GetString(0), Ride("late", "01:00"));
}

TEST_F(PipelineTest, BuildsOnlyTheRowsItIsGivenWithOffsetsInTheirOrder) {
  const Checked checked =
      Check({Ride("a", "10:00"), Ride("b", "10:00"), "{", Ride("c", "10:00"), "["});
  const std::vector<int32_t> rows = {1, 2, 3};
  const std::vector<Verdict> verdicts = {Verdict::kLate, Verdict::kAccepted,
                                         Verdict::kRejected, Verdict::kAccepted,
                                         Verdict::kRejected};
  const JudgedBatch batch =
      *pipeline_->Build(checked, rows, verdicts, 0, LogOffset{7}, 0);
  EXPECT_EQ(Cells(batch.accepted, "id"), "b c");
  EXPECT_EQ(Cells(batch.accepted, "_offset"), "7 9");
  EXPECT_EQ(Cells(batch.rejected, "_offset"), "8");
  EXPECT_EQ(batch.late.rows, nullptr);
  EXPECT_EQ(batch.conflicting.rows, nullptr);
}

TEST_F(PipelineTest, RowsHaveTheColumnsOfTheirTables) {
  const SourceTables& tables = pipeline_->tables();
  EXPECT_EQ(tables.bronze, "bronze.rides");
  EXPECT_EQ(tables.rejected, "bronze.rides$rejected");
  EXPECT_EQ(tables.late, "bronze.rides$late");
  EXPECT_EQ(tables.duplicate, "bronze.rides$duplicate");
  const auto names = [](const data::Schema& schema) {
    std::string out;
    for (const data::Field& field : schema.fields)
      out += (out.empty() ? "" : " ") + field.name;
    return out;
  };
  // docs/formats/system_tables.md
  EXPECT_EQ(names(tables.bronze_schema),
            "id at trip fare _extra _absent _partition _offset _received_at");
  EXPECT_EQ(
      names(tables.late_schema),
      "id at trip fare _extra _absent _source _partition _offset _received_at _raw");
  EXPECT_EQ(names(tables.rejected_schema),
            "_source _partition _offset _received_at _raw reason field expected actual "
            "contract_version producer deployment");
  const Checked checked = Check({Ride("a", "10:00"), "{"});
  const std::vector<int32_t> rows = {0, 1};
  const JudgedBatch batch = *pipeline_->Build(
      checked, rows, std::vector<Verdict>{Verdict::kAccepted, Verdict::kRejected}, 0, {},
      0);
  EXPECT_EQ(batch.accepted.rows->num_columns(),
            static_cast<int>(tables.bronze_schema.fields.size()));
  EXPECT_EQ(batch.rejected.rows->num_columns(),
            static_cast<int>(tables.rejected_schema.fields.size()));
}

TEST_F(PipelineTest, TheFutureAllowanceIsForLiveSourcesUnlessDeclared) {
  EXPECT_TRUE(pipeline_->rule(/*live=*/true).future_allowance);
  EXPECT_FALSE(pipeline_->rule(/*live=*/false).future_allowance);
  contract::Contract declared = TestContract();
  declared.future_allowance_declared = true;
  EXPECT_TRUE((*Pipeline::New(declared, 200))->rule(false).future_allowance);
  declared.future_allowance.reset();
  EXPECT_FALSE((*Pipeline::New(declared, 200))->rule(true).future_allowance);
}

TEST(CountsTest, BalanceOnlyWhenEveryRecordEndedSomewhere) {
  Counts counts{.received = 10,
                .accepted = 4,
                .rejected = 2,
                .duplicate = 2,
                .conflicting = 1,
                .late = 1,
                .blocked = 1};
  EXPECT_FALSE(counts.balanced());  // no reasons
  counts.rejected_by_reason[0] = 1;
  counts.rejected_by_reason[3] = 1;
  EXPECT_TRUE(counts.balanced());
  Counts twice = counts;
  twice.Add(counts);
  EXPECT_TRUE(twice.balanced());
  EXPECT_EQ(twice.received, 20);
  EXPECT_EQ(twice.rejected_by_reason[3], 2);
  ++counts.received;
  EXPECT_FALSE(counts.balanced());
}

}  // namespace
}  // namespace weir::ingest
