#include <gmock/gmock.h>

#include "ingest/source.h"
#include "ingest/testing_internal.h"

namespace weir::ingest {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kZones = R"(
apiVersion: v3.1.0
kind: DataContract
id: zones
name: zones
version: 1.0.0
status: active
customProperties:
  - {property: weir.kind, value: reference}
  - {property: weir.identity, value: [zone]}
servers:
  - {server: files, type: local, path: in/zones*.csv, format: csv}
schema:
  - name: zones
    logicalType: object
    properties:
      - {name: zone, logicalType: integer, required: true}
      - {name: city, logicalType: string, required: true}
)";

class ReferenceSourceTest : public testing::Test {
 protected:
  void Begin(const std::string& yaml = kZones) {
    harness_ = std::make_unique<SourceHarness>(std::make_unique<io::SimIo>(),
                                               TestContract(yaml));
    ASSERT_TRUE(harness_->io().CreateDirs("/in").ok());
  }
  void Put(const std::string& name, const std::string& text) {
    const std::string path = "/in/" + name;
    if (harness_->io().Exists(path)) {
      ASSERT_TRUE(harness_->io().Remove(path).ok());
    }
    ASSERT_TRUE(harness_->io().WriteNew(path, text).ok());
  }
  void Start(const std::string& location = "/in/zones*.csv", bool once = true) {
    source_.reset();
    harness_->Reopen();
    ReferenceSourceOptions options{.location = location,
                                   .csv = codec::CsvDialect{},
                                   .once = once,
                                   .committed_rows = [this] { return table_; }};
    auto source = NewReferenceSource(harness_->context(), std::move(options));
    ASSERT_TRUE(source.ok()) << source.error().message;
    source_ = *std::move(source);
    const Status started = source_->Start();
    ASSERT_TRUE(started.ok()) << started.error().message;
  }
  // A run to its end, committed: what it did, as "+ zone city" a line, and the faults.
  std::string Run(const std::string& location = "/in/zones*.csv") {
    Start(location);
    faults_.clear();
    std::string out;
    for (;;) {
      SourceEvent event = harness_->Next();
      if (HasFailure()) return out;
      if (auto* batch = std::get_if<JudgedBatch>(&event.what)) out += Take(*batch);
      if (auto* fault = std::get_if<FileFault>(&event.what))
        faults_.push_back(fault->error);
      if (std::holds_alternative<EndOfInput>(event.what)) break;
    }
    harness_->CommitNext(*source_);
    return out;
  }
  std::string Take(const JudgedBatch& batch) {
    EXPECT_TRUE(batch.counts.balanced());
    EXPECT_EQ(batch.after.next.value - batch.first.value, batch.counts.received);
    if (batch.accepted.rows) {
      std::vector<data::Batch> both = table_;
      both.push_back(batch.accepted);
      table_ = {*data::Consolidate(*data::Concat(both))};
    }
    std::string out;
    for (int64_t i = 0; i < batch.accepted.num_rows(); ++i) {
      const data::Batch zones =
          data::SelectColumns(batch.accepted, std::vector<int>{0, 1});
      out += std::string(batch.accepted.weight(i) > 0 ? "+" : "-") +
             data::RowText(*zones.rows, i) + "\n";
    }
    if (batch.rejected.rows) {
      out += "rejected " + Cells(batch.rejected, "_offset") + ": " +
             Cells(batch.rejected, "reason") + "\n";
      rejected_ = batch.rejected;
    }
    counts_.Add(batch.counts);
    return out;
  }

  std::unique_ptr<SourceHarness> harness_;
  std::unique_ptr<Source> source_;
  std::vector<data::Batch> table_;
  std::vector<std::string> faults_;
  data::Batch rejected_;
  Counts counts_;
};

TEST_F(ReferenceSourceTest, HandsOverTheDifferenceOfTheNewestContent) {
  Begin();
  Put("zones.csv", "zone,city\n1,Rome\n2,Rome\n3,Oslo\n");
  EXPECT_EQ(Run(), "+1 | Rome\n+2 | Rome\n+3 | Oslo\n");
  EXPECT_EQ(Run(), "") << "the same content";
  Put("zones.csv", "city,zone\nOslo,3\nRome,1\nMilan,2\nBergen,4\n");
  EXPECT_EQ(Run(), "-2 | Rome\n+2 | Milan\n+4 | Bergen\n");
  Put("zones.csv", "zone,city\n");
  EXPECT_EQ(Run(), "-1 | Rome\n-3 | Oslo\n-2 | Milan\n-4 | Bergen\n");
  EXPECT_EQ(counts_.received, 7);
  EXPECT_THAT(faults_, IsEmpty());
}

TEST_F(ReferenceSourceTest, AllFilesTogetherAreTheContent) {
  Begin();
  Put("zones-a.csv", "zone,city\n1,Rome\n");
  Put("zones-b.csv", "zone,city\n2,Oslo\n");
  EXPECT_EQ(Run(), "+1 | Rome\n+2 | Oslo\n");
  Put("zones-c.csv", "zone,city\n3,Bonn\n");
  EXPECT_EQ(Run(), "+3 | Bonn\n");
}

TEST_F(ReferenceSourceTest, OrTheNewestByName) {
  std::string yaml = kZones;
  yaml.replace(yaml.find("servers:"), 0, "  - {property: weir.files, value: newest}\n");
  Begin(yaml);
  Put("zones-1.csv", "zone,city\n1,Rome\n");
  EXPECT_EQ(Run(), "+1 | Rome\n");
  Put("zones-2.csv", "zone,city\n2,Oslo\n");
  EXPECT_EQ(Run(), "-1 | Rome\n+2 | Oslo\n");
  ASSERT_TRUE(harness_->io().Remove("/in/zones-2.csv").ok());
  EXPECT_EQ(Run(), "");
  EXPECT_THAT(faults_, testing::ElementsAre(HasSubstr("zones-2.csv is gone")));
}

TEST_F(ReferenceSourceTest, RefusesBadRecordsAndRepeatedKeys) {
  Begin();
  Put("zones-a.csv", "zone,city\n1,Rome\nx,Oslo\n1,Bonn\n");
  Put("zones-b.csv", "zone,city\n1,Riga\n2,\n3,Oslo\n");
  EXPECT_EQ(Run(),
            "+1 | Rome\n+3 | Oslo\n"
            "rejected 1 2 3 4: wrong_type duplicate_key duplicate_key missing_field\n");
  EXPECT_EQ(Cells(rejected_, "field"), "zone zone zone city");
  EXPECT_THAT(Cells(rejected_, "expected"),
              HasSubstr("each key once; this one stands in record 1 of zones-a.csv"));
  EXPECT_THAT(Cells(rejected_, "actual"), HasSubstr("record 1 of zones-b.csv"));
  EXPECT_EQ(Cells(rejected_, "_raw"), "x,Oslo 1,Bonn 1,Riga 2,");
}

TEST_F(ReferenceSourceTest, HoldsTheLastGoodContent) {
  Begin();
  EXPECT_EQ(Run(), "");
  EXPECT_THAT(faults_, testing::ElementsAre(HasSubstr("bronze.zones stays empty")));
  Put("zones.csv", "zone,city\n1,Rome\n");
  Run();
  ASSERT_TRUE(harness_->io().Remove("/in/zones.csv").ok());
  EXPECT_EQ(Run(), "");
  EXPECT_THAT(faults_,
              testing::ElementsAre(HasSubstr("keeps the rows of the last good")));
  Put("zones.csv", "zone,\"city\n1,Oslo\n");
  EXPECT_EQ(Run(), "");
  EXPECT_THAT(faults_, testing::ElementsAre(HasSubstr("the header is not CSV")));
  Put("zones.csv", "zone,city\n1,Oslo\n");
  EXPECT_EQ(Run(), "-1 | Rome\n+1 | Oslo\n");
  EXPECT_THAT(faults_, IsEmpty());
}

TEST_F(ReferenceSourceTest, WhatWasNotCommittedIsHandedOverAgain) {
  Begin();
  Put("zones.csv", "zone,city\n1,Rome\n");
  Run();
  Put("zones.csv", "zone,city\n1,Oslo\n");
  Start();
  EXPECT_EQ(harness_->NextBatch().accepted.num_rows(), 2);  // and the process ends
  EXPECT_EQ(Run(), "-1 | Rome\n+1 | Oslo\n");
}

TEST_F(ReferenceSourceTest, FollowsTheFilesWhileItRuns) {
  Begin();
  Put("zones.csv", "zone,city\n1,Rome\n");
  Start("/in/zones.csv", /*once=*/false);
  EXPECT_EQ(Take(harness_->NextBatch()), "+1 | Rome\n");
  Put("zones.csv", "zone,city\n1,Rome\n2,Oslo\n");
  EXPECT_EQ(Take(harness_->NextBatch()), "+2 | Oslo\n");
  ASSERT_TRUE(harness_->io().Remove("/in/zones.csv").ok());
  EXPECT_THAT(harness_->NextOf<FileFault>().error,
              HasSubstr("there is no /in/zones.csv"));
  harness_->CommitNext(*source_);
}

}  // namespace
}  // namespace weir::ingest
