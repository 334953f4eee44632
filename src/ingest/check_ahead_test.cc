#include "ingest/check_ahead.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ingest/testing_internal.h"
#include "io/sim_io.h"

namespace weir::ingest {
namespace {

// Hands out one line after the other, then fails.
class Numbers final : public LineReader {
 public:
  Numbers(int from, int count) : next_(from), end_(from + count) {}
  Result<Lines> Next(int64_t, int64_t) override {
    if (next_ == end_) return Corrupt("broken here");
    Lines out;
    out.storage =
        std::make_shared<std::string>(fmt::format("{{\"event_id\":\"{}\"}}", next_++));
    out.records = {*out.storage};
    out.framed = 1;
    out.end = static_cast<uint64_t>(next_);
    return out;
  }

 private:
  int next_;
  const int end_;
};

class CheckAheadTest : public testing::Test {
 protected:
  CheckAheadTest() {
    auto pipeline = Pipeline::New(contract_, 1 << 20);
    EXPECT_TRUE(pipeline.ok());
    pipeline_ = *std::move(pipeline);
    ahead_ = std::make_unique<CheckAhead>(*pipeline_, 100, 1 << 20);
  }
  // The line, checked; the error's text.
  std::string Take(LineReader& reader) {
    bool check_failed = false;
    auto lines = ahead_->Take(reader, &check_failed);
    EXPECT_FALSE(check_failed);
    if (!lines.ok()) return lines.error().message;
    EXPECT_EQ(lines->checked.records.size(), 1u);
    return std::string(lines->checked.records[0]);
  }

  const contract::Contract contract_ = TestContract();
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<CheckAhead> ahead_;
};

TEST_F(CheckAheadTest, GivesTheSameLinesInTheSameOrderAheadOrNot) {
  for (const bool ahead : {false, true}) {
    Numbers reader(0, 20);
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(Take(reader), fmt::format("{{\"event_id\":\"{}\"}}", i));
      if (ahead) ahead_->Begin(reader);
    }
    EXPECT_EQ(Take(reader), "broken here") << "in its place, not before";
  }
}

TEST_F(CheckAheadTest, AStepOfOneReaderWaitsWhileAnotherIsRead) {
  Numbers a(0, 9), b(100, 9);
  ahead_->Begin(a);
  ahead_->Begin(b);  // there is one ahead already
  EXPECT_EQ(Take(b), "{\"event_id\":\"100\"}");
  EXPECT_EQ(Take(b), "{\"event_id\":\"101\"}");
  EXPECT_EQ(Take(a), "{\"event_id\":\"0\"}");
  EXPECT_EQ(Take(a), "{\"event_id\":\"1\"}");
}

TEST_F(CheckAheadTest, EndsWithAStepAhead) {
  Numbers reader(0, 9);
  ahead_->Begin(reader);
  ahead_.reset();
}

}  // namespace
}  // namespace weir::ingest
