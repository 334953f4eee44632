#include <gmock/gmock.h>
#include <zlib.h>

#include "ingest/source.h"
#include "ingest/testing_internal.h"

namespace weir::ingest {
namespace {

using testing::IsEmpty;
using namespace std::chrono_literals;

// The first half of the text's gzip stream.
std::string HalfOfGzip(std::string text) {
  std::string packed(compressBound(text.size()), '\0');
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  z.next_in = reinterpret_cast<Bytef*>(text.data());
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  packed.resize(z.total_out / 2);
  deflateEnd(&z);
  return packed;
}

class FileSourceTest : public testing::Test {
 protected:
  FileSourceTest() {
    auto io = std::make_unique<io::SimIo>();
    harness_ = std::make_unique<SourceHarness>(std::move(io));
    EXPECT_TRUE(harness_->io().CreateDirs("/in").ok());
  }

  void Put(const std::string& name, const std::vector<std::string>& records) {
    std::string text;
    for (const std::string& record : records) text += record + "\n";
    ASSERT_TRUE(harness_->io().WriteNew("/in/" + name, text).ok());
  }
  void Start(const std::string& location = "/in", bool once = true, Micros quiet = 0) {
    auto source = NewFileSource(harness_->context(),
                                {.location = location, .once = once, .quiet = quiet});
    ASSERT_TRUE(source.ok()) << source.error().message;
    source_ = *std::move(source);
    const Status started = source_->Start();
    ASSERT_TRUE(started.ok()) << started.error().message;
  }
  void Restart(const std::string& location = "/in") {
    source_.reset();
    harness_->Reopen();
    Start(location);
  }

  // All batches up to the end of input; news are counted.
  std::vector<JudgedBatch> ToEnd() {
    std::vector<JudgedBatch> out;
    for (;;) {
      SourceEvent event = harness_->Next();
      if (HasFailure()) return out;
      if (auto* batch = std::get_if<JudgedBatch>(&event.what))
        out.push_back(std::move(*batch));
      if (auto* marker = std::get_if<Marker>(&event.what))
        harness_->Commit(*marker, source_.get());
      if (auto* news = std::get_if<PartitionNews>(&event.what))
        news_.push_back(news->position);
      if (auto* fault = std::get_if<FileFault>(&event.what))
        faults_.push_back(std::move(*fault));
      if (std::holds_alternative<EndOfInput>(event.what)) return out;
    }
  }
  // Takes everything in and commits it.
  std::vector<JudgedBatch> RunOnce(const std::string& location = "/in") {
    Restart(location);
    std::vector<JudgedBatch> out = ToEnd();
    harness_->CommitNext(*source_);
    return out;
  }
  static std::string Ids(const std::vector<JudgedBatch>& batches,
                         data::Batch JudgedBatch::*rows = &JudgedBatch::accepted) {
    std::string out;
    for (const JudgedBatch& batch : batches) {
      const std::string cells = Cells(batch.*rows, "id");
      if (!cells.empty()) out += (out.empty() ? "" : " ") + cells;
    }
    return out;
  }

  std::unique_ptr<SourceHarness> harness_;
  std::unique_ptr<Source> source_;
  // A file as it was found by a run that ended before it read any of it.
  void Find(const std::string& location = "/in") {
    harness_->step_rows = 1;
    Restart(location);
    harness_->NextBatch();
    source_.reset();
    harness_->step_rows = 1000;
  }

  std::vector<PartitionPosition> news_;
  std::vector<FileFault> faults_;
};

TEST_F(FileSourceTest, ReadsTheFilesOfOneScanInNameOrderEachOnce) {
  Put("b.ndjson", {Ride("3", "10:00"), "broken", Ride("1", "10:00")});
  Put("a.ndjson", {Ride("1", "10:00"), "", Ride("2", "10:00")});
  const std::vector<JudgedBatch> batches = RunOnce();
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(Ids(batches), "1 2 3");
  EXPECT_EQ(batches[0].counts.received, 2);  // the blank line is no record
  EXPECT_EQ(batches[1].first.value, 2);
  EXPECT_EQ(batches[1].counts.rejected, 1);
  EXPECT_EQ(batches[1].counts.duplicate, 1);
  EXPECT_EQ(batches[1].after.next.value, 5);
  EXPECT_TRUE(batches[1].after.idle);
  EXPECT_THAT(RunOnce(), IsEmpty());
  Put("0.ndjson", {Ride("4", "10:00"), Ride("2", "10:00")});
  const std::vector<JudgedBatch> more = RunOnce();
  EXPECT_EQ(Ids(more), "4");
  EXPECT_EQ(more[0].first.value, 5);
  EXPECT_EQ(more[0].counts.duplicate, 1);  // the memory was committed with the positions
}

TEST_F(FileSourceTest, ContinuesInsideAFileWhereverItWasCommitted) {
  std::vector<std::string> records;
  for (int i = 0; i < 9; ++i) records.push_back(Ride(std::to_string(i), "10:00"));
  Put("a.ndjson", {records.begin(), records.begin() + 5});
  Put("b.ndjson", {records.begin() + 5, records.end()});
  harness_->step_rows = 2;
  std::string all;
  int64_t next = 0;
  // One step is committed per run; whatever was read beyond it is forgotten.
  for (int run = 0; run < 5; ++run) {
    source_.reset();
    harness_->Reopen();
    SourceContext context = harness_->context();
    context.steps_per_marker = 1;
    source_ = *NewFileSource(std::move(context), {.location = "/in"});
    ASSERT_TRUE(source_->Start().ok());
    for (bool committed = false; !committed;) {
      SourceEvent event = harness_->Next();
      ASSERT_FALSE(HasFailure());
      if (auto* batch = std::get_if<JudgedBatch>(&event.what)) {
        EXPECT_EQ(batch->first.value, next);
        next = batch->after.next.value;
        all += Cells(batch->accepted, "id") + ";";
      }
      if (auto* marker = std::get_if<Marker>(&event.what)) {
        harness_->Commit(*marker, source_.get());
        committed = true;
      }
    }
  }
  EXPECT_EQ(all, "0 1;2 3;4;5 6;7 8;");
  EXPECT_THAT(RunOnce(), IsEmpty());
}

TEST_F(FileSourceTest, PartitionsOfTheNameAreReadInTurn) {
  for (int i = 0; i < 2; ++i)
    Put(fmt::format("p{}.ndjson", i),
        {Ride(fmt::format("{}a", i), "10:00"), Ride(fmt::format("{}b", i), "10:00"),
         Ride("same", "10:00")});
  harness_->step_rows = 1;
  const std::vector<JudgedBatch> batches = RunOnce("/in/p{partition}.ndjson");
  std::string order;
  for (const JudgedBatch& batch : batches) order += std::to_string(batch.after.partition);
  EXPECT_EQ(order, "010101");
  EXPECT_EQ(Ids(batches), "0a 1a 0b 1b same same");  // identity counts within a partition
  EXPECT_EQ(harness_->committed.at(0).next.value, 3);
  EXPECT_EQ(harness_->committed.at(1).next.value, 3);
}

TEST_F(FileSourceTest, AWakingPartitionBeginsAtTheFloorAndARestartRepeatsIt) {
  Put("p0-1.ndjson", {Ride("a", "10:00")});
  RunOnce("/in/p{partition}-*.ndjson");
  EXPECT_EQ(harness_->committed.at(0).watermark, At("09:00"));
  Put("p0-2.ndjson", {Ride("b", "09:29"), Ride("c", "09:30")});
  harness_->watermark = At("09:30");
  Restart("/in/p{partition}-*.ndjson");
  EXPECT_EQ(Ids(ToEnd(), &JudgedBatch::late), "b");

  // Nothing of that was committed; the decision stands in the journal.
  harness_->watermark = kNoTime;
  Restart("/in/p{partition}-*.ndjson");
  const std::vector<JudgedBatch> again = ToEnd();
  EXPECT_EQ(Ids(again, &JudgedBatch::late), "b");
  EXPECT_EQ(Ids(again), "c");
  EXPECT_EQ(again.back().after.watermark, At("09:30"));
}

TEST_F(FileSourceTest, ABrokenFileIsLeftOutFromWhereItBreaksAndTheNextOneIsRead) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += Ride(std::to_string(i), "10:00") + "\n";
  const std::string packed = HalfOfGzip(text);
  ASSERT_TRUE(harness_->io().WriteNew("/in/a.ndjson.gz", packed).ok());
  Put("b.ndjson", {Ride("next", "10:00")});
  const std::vector<JudgedBatch> batches = RunOnce();
  int64_t received = 0;
  for (const JudgedBatch& batch : batches) {
    EXPECT_EQ(batch.first.value, received);
    received += batch.counts.received;
    EXPECT_EQ(batch.counts.rejected, 0);
  }
  EXPECT_GT(received, 2000);
  EXPECT_LT(received, 3500);
  EXPECT_EQ(Cells(batches.back().accepted, "id"), "next");
  ASSERT_EQ(faults_.size(), 1u);
  EXPECT_EQ(faults_[0].path, "/in/a.ndjson.gz");
  EXPECT_TRUE(faults_[0].journalled);
  EXPECT_EQ(faults_[0].bytes_taken, batches[batches.size() - 3].after.file_byte);
  EXPECT_THAT(RunOnce(), IsEmpty());
  EXPECT_EQ(faults_.size(), 1u);  // told once, and kept by the ledger
}

// Files are found, and their order is journalled, before they are read: a run may end in
// between.
TEST_F(FileSourceTest, AFileThatIsGoneBeforeItWasReadIsPassedOver) {
  Put("a.ndjson", {Ride("a1", "10:00"), Ride("a2", "10:00")});
  Put("b.ndjson", {Ride("b", "10:00")});
  Find();
  ASSERT_TRUE(harness_->io().Remove("/in/a.ndjson").ok());
  EXPECT_EQ(Ids(RunOnce()), "b");
  ASSERT_EQ(faults_.size(), 1u);
  EXPECT_THAT(faults_[0].error, testing::HasSubstr("/in/a.ndjson"));
  EXPECT_TRUE(faults_[0].journalled);
  EXPECT_THAT(RunOnce(), IsEmpty());
  EXPECT_EQ(faults_.size(), 1u);
}

TEST_F(FileSourceTest, AFileThatWasReplacedBeforeItWasReadIsPassedOver) {
  Put("a.ndjson", {Ride("a1", "10:00"), Ride("a2", "10:00")});
  Put("b.ndjson", {Ride("b", "10:00")});
  Find();
  ASSERT_TRUE(harness_->io().Remove("/in/a.ndjson").ok());
  Put("a.ndjson", {Ride("x1", "10:00"), Ride("x2", "10:00")});
  EXPECT_EQ(Ids(RunOnce()), "b");
  // One fault for what was found and is not there, one for what is there and not read.
  ASSERT_EQ(faults_.size(), 2u);
  EXPECT_FALSE(faults_[0].journalled);
  EXPECT_TRUE(faults_[1].journalled);
}

TEST_F(FileSourceTest, WhatIsAppendedToAFileLaterIsNotReadButTheRestIs) {
  Put("a.ndjson", {Ride("a1", "10:00"), Ride("a2", "10:00")});
  Find();
  auto file = harness_->io().Open("/in/a.ndjson", io::OpenMode::kReadWrite);
  ASSERT_TRUE((*file)->Append(Ride("a3", "10:00").substr(0, 9)).ok());
  EXPECT_EQ(Ids(RunOnce()), "a1 a2");
  ASSERT_EQ(faults_.size(), 1u);
  EXPECT_FALSE(faults_[0].journalled);
  EXPECT_THAT(faults_[0].error, testing::HasSubstr("/in/a.ndjson changed"));
}

TEST_F(FileSourceTest, AFileThatWasCutBeforeItWasReadIsPassedOver) {
  Put("a.ndjson", {Ride("a1", "10:00"), Ride("a2", "10:00")});
  Put("b.ndjson", {Ride("b", "10:00")});
  Find();
  auto file = harness_->io().Open("/in/a.ndjson", io::OpenMode::kReadWrite);
  ASSERT_TRUE((*file)->Truncate(Ride("a1", "10:00").size() + 1).ok());
  EXPECT_EQ(Ids(RunOnce()), "b");
  ASSERT_EQ(faults_.size(), 2u);
  EXPECT_TRUE(faults_[1].journalled);
  EXPECT_THAT(faults_[1].error, testing::HasSubstr("it was cut"));
}

TEST_F(FileSourceTest, AFolderThatIsGoneAsAWholeIsNoReasonToPassFilesOver) {
  Put("a.ndjson", {Ride("a1", "10:00"), Ride("a2", "10:00")});
  Find();
  ASSERT_TRUE(harness_->io().Rename("/in", "/away").ok());
  Restart();
  for (bool failed = false; !failed;) {
    auto event = harness_->NextWithin(10s);
    ASSERT_TRUE(event);
    const auto* error = std::get_if<Error>(&event->what);
    ASSERT_FALSE(std::holds_alternative<EndOfInput>(event->what));
    if (error == nullptr) continue;
    failed = true;
    EXPECT_EQ(error->code, Code::kUnavailable);
    EXPECT_THAT(error->message, testing::HasSubstr("the folder /in is gone"));
  }
  ASSERT_TRUE(harness_->io().Rename("/away", "/in").ok());
  EXPECT_EQ(Ids(RunOnce()), "a1 a2");
  EXPECT_THAT(faults_, IsEmpty());
}

TEST_F(FileSourceTest, ArrivalIsTheFilesTimeOnceAndForAll) {
  Put("a.ndjson", {Ride("a", "10:00")});
  const Micros modified = harness_->io().Stat("/in/a.ndjson")->modified;
  const std::vector<JudgedBatch> batches = RunOnce();
  const auto& column = static_cast<const arrow::TimestampArray&>(
      *batches[0].accepted.rows->GetColumnByName("_received_at"));
  EXPECT_EQ(column.Value(0), modified);
}

TEST_F(FileSourceTest, ARunningSourceFindsFilesThatComeLater) {
  Start("/in", /*once=*/false);
  EXPECT_FALSE(harness_->NextWithin(100ms));
  Put("a.ndjson", {Ride("a", "10:00")});
  SourceEvent event = harness_->Next();
  ASSERT_TRUE(std::holds_alternative<PartitionNews>(event.what));
  EXPECT_FALSE(std::get<PartitionNews>(event.what).position.idle);
  EXPECT_EQ(Cells(harness_->NextBatch().accepted, "id"), "a");
  source_->StopTaking();
  EXPECT_THAT(harness_->CommitNext(*source_), IsEmpty());
}

TEST_F(FileSourceTest, MarkersAreAnsweredAfterTheEndOfInput) {
  Start();
  EXPECT_THAT(ToEnd(), IsEmpty());
  harness_->CommitNext(*source_);
  harness_->CommitNext(*source_);
  EXPECT_EQ(harness_->marker, 2);
}

class FileGateTest : public FileSourceTest {
 protected:
  FileGateTest() {
    std::string yaml = kTestContract;
    const std::string trip = "      - {name: trip, logicalType: string}\n";
    yaml.replace(
        yaml.find(trip), trip.size(),
        "      - name: trip\n        logicalType: string\n        quality:\n"
        "          - {metric: nullValues, unit: percent, mustBeLessOrEqualTo: 10, "
        "customProperties: [{property: weir.gate, value: file}]}\n");
    harness_ = std::make_unique<SourceHarness>(std::make_unique<io::SimIo>(),
                                               TestContract(yaml));
    EXPECT_TRUE(harness_->io().CreateDirs("/in").ok());
  }
  static std::string States(const std::vector<JudgedBatch>& batches) {
    std::string out;
    for (const JudgedBatch& batch : batches) {
      if (batch.arrivals.rows)
        out += Cells(batch.arrivals, "path") + " " + Cells(batch.arrivals, "state") +
               " " + Cells(batch.arrivals, "rows") + "\n";
    }
    return out;
  }
  const std::string kNoTrip = R"({"id":"2","at":"2024-01-01T10:00:00Z"})";
};

TEST_F(FileGateTest, NothingOfAFileThatFailsEnters) {
  Put("a.ndjson", {Ride("1", "10:00"), kNoTrip});
  Put("b.ndjson", {Ride("3", "10:00")});
  const auto batches = RunOnce();
  EXPECT_EQ(Ids(batches), "3");
  EXPECT_EQ(States(batches), "/in/a.ndjson quarantined 2\n/in/b.ndjson read 1\n");
  ASSERT_EQ(faults_.size(), 1u);
  EXPECT_THAT(faults_[0].error,
              testing::HasSubstr("nullValues of trip: 50 % null, expected <= 10 %"));
  EXPECT_FALSE(faults_[0].journalled);
  EXPECT_EQ(States(RunOnce()), "") << "it is judged once";
  EXPECT_EQ(faults_.size(), 1u);
  ASSERT_TRUE(harness_->io().Remove("/in/a.ndjson").ok());
  Put("a.ndjson", {Ride("1", "10:00"), Ride("2", "10:00")});
  EXPECT_EQ(Ids(RunOnce()), "1 2") << "corrected under its name";
  ASSERT_TRUE(harness_->io().Remove("/in/a.ndjson").ok());
  Put("a.ndjson", {Ride("9", "10:00")});
  EXPECT_EQ(Ids(RunOnce()), "") << "its content entered, so it is final";
}

TEST_F(FileGateTest, WhatWasDecidedAndNotCommittedIsDecidedTheSame) {
  Put("a.ndjson", {Ride("1", "10:00"), kNoTrip});
  Start();
  EXPECT_EQ(Cells(harness_->NextBatch().arrivals, "state"), "quarantined");
  // The process ends, and the file is corrected before the next one begins.
  source_.reset();
  ASSERT_TRUE(harness_->io().Remove("/in/a.ndjson").ok());
  Put("a.ndjson", {Ride("1", "10:00"), Ride("2", "10:00")});
  const auto batches = RunOnce();
  EXPECT_EQ(Ids(batches), "1 2");
  EXPECT_EQ(States(batches), "/in/a.ndjson quarantined 2\n/in/a.ndjson read 2\n");
}

TEST_F(FileGateTest, AFileThatCannotBeReadWholeDoesNotEnter) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += Ride(std::to_string(i), "10:00") + "\n";
  ASSERT_TRUE(harness_->io().WriteNew("/in/a.ndjson.gz", HalfOfGzip(text)).ok());
  const auto batches = RunOnce();
  EXPECT_EQ(Ids(batches), "");
  EXPECT_EQ(States(batches), "/in/a.ndjson.gz broken 0\n");
  ASSERT_EQ(faults_.size(), 1u);
  EXPECT_EQ(faults_[0].bytes_taken, 0);
}

}  // namespace
}  // namespace weir::ingest
