#include "ingest/verdict.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <sstream>

namespace weir::ingest {
namespace {

using log::Verdict;

constexpr Micros kMinute = 60'000'000;

std::string_view Name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAccepted:
      return "accepted";
    case Verdict::kRejected:
      return "rejected";
    case Verdict::kDuplicate:
      return "duplicate";
    case Verdict::kConflict:
      return "conflict";
    case Verdict::kLate:
      return "late";
    case Verdict::kBlocked:
      return "blocked";
  }
  return "?";
}

VerdictRule Rule(std::optional<Micros> allowance = std::nullopt) {
  return {.has_event_time = true,
          .has_identity = true,
          .lateness = 2880 * kMinute,
          .identity_memory = 4320 * kMinute,
          .future_allowance = allowance};
}

// A record of the text tables: times in minutes.
struct Record {
  std::string id;
  std::optional<int64_t> time;
  int64_t arrival = 0;
  bool rejected = false;
  uint64_t content = 0;  // 0: of the event time, so that another time is other content
};

// One partition, judged in batches. Keeps what a log would hold.
class Partition {
 public:
  explicit Partition(VerdictRule rule)
      : rule_(rule), judge_(rule, state::Identities(rule.identity_memory), kNoTime) {}

  // All of one arrival.
  std::vector<Verdict> Judge(const std::vector<Record>& records) {
    std::vector<uint8_t> rejected;
    std::vector<Hash128> identity;
    std::vector<uint64_t> content;
    std::vector<Micros> time;
    std::vector<int32_t> rows;
    for (const Record& record : records) {
      rows.push_back(static_cast<int32_t>(rows.size()));
      rejected.push_back(record.rejected);
      identity.push_back(HashBytes128(record.id));
      time.push_back(record.time ? *record.time * kMinute : kNoTime);
      content.push_back(record.content != 0
                            ? record.content
                            : HashBytes64(std::to_string(record.time.value_or(-1))));
    }
    std::vector<Verdict> out(records.size());
    const Micros arrival = records.empty() ? 0 : records[0].arrival * kMinute;
    EXPECT_TRUE(
        judge_.Judge({rejected, identity, content, time}, rows, arrival, out).ok());
    Logged batch{arrival, {}};
    for (size_t i = 0; i < records.size(); ++i) {
      log::Record record{"", out[i], {}, content[i], time[i]};
      if (!records[i].rejected) record.identity = identity[i];
      batch.records.push_back(record);
    }
    log_.push_back(std::move(batch));
    return out;
  }

  // The same partition after a restart that has only the log.
  Partition Remembered() const {
    Partition out(rule_);
    for (const Logged& batch : log_)
      EXPECT_TRUE(out.judge_.Remember(batch.records, batch.arrival).ok());
    return out;
  }

  PartitionJudge& judge() { return judge_; }
  Micros watermark() const { return judge_.watermark(); }

 private:
  struct Logged {
    Micros arrival;
    std::vector<log::Record> records;
  };
  VerdictRule rule_;
  PartitionJudge judge_;
  std::vector<Logged> log_;
};

struct Case {
  const char* name;
  const char* records;  // "ID TIME [@ARRIVAL] VERDICT; …", times in minutes, "-" for none
  int64_t watermark;    // in minutes, after the last record
  bool allowance = false;
};

// lateness 2880, memory 4320, future allowance 5 where arrivals stand.
const Case kCases[] = {
    {"first record is never late", "a 0 accepted", -2880},
    {"exactly on the watermark is not late",
     "a 10000 accepted; b 7120 accepted; c 7119 late", 7120},
    {"an older accepted record does not move the watermark back",
     "a 10000 accepted; b 9000 accepted; c 7119 late", 7120},
    {"a late record does not move the watermark",
     "a 10000 accepted; b 1 late; c 7120 accepted", 7120},
    {"duplicate is judged before late",
     "a 10000 accepted; b 12880 accepted; a 10000 duplicate; c 20000 accepted; b 12880 "
     "late",
     17120},
    {"a late record's identity is remembered too",
     "a 10000 accepted; b 1 late; b 1 duplicate", 7120},
    {"a rejected record leaves no identity", "a - rejected; a 10000 accepted", 7120},
    {"a duplicate does not refresh the memory",
     "a 10000 accepted; b 14000 accepted; a 10000 duplicate; c 14320 accepted; a 10000 "
     "late",
     11440},
    {"memory ends exactly when W has advanced by H",
     "a 10000 accepted; b 14319 accepted; a 10000 duplicate; c 14320 accepted; a 10000 "
     "late",
     11440},
    {"a forgotten late identity comes back late, and is remembered anew",
     "a 10000 accepted; x 1 late; b 14320 accepted; x 1 late; x 1 duplicate", 11440},
    {"W counts after the record's own verdict",
     "a 10000 accepted; b 14000 accepted; c 18319 accepted; b 14000 duplicate; d 18320 "
     "accepted; b 14000 late",
     15440},
    {"far future is accepted and moves no watermark",
     "a 10000 @10000 accepted; f 30000 @10001 accepted; b 7120 @10002 accepted; g 10008 "
     "@10003 accepted; c 7128 @10004 accepted; d 7127 @10005 late",
     7128, true},
    {"exactly on the allowance still moves it",
     "a 10000 @10000 accepted; f 10006 @10001 accepted; b 7125 @10002 late", 7126, true},
    {"a far-future identity is remembered until the watermark has passed its own time",
     "a 10000 @10000 accepted; f 30000 @10001 accepted; b 20000 @20000 accepted; f 30000 "
     "@20001 duplicate; c 32880 @32880 accepted; f 30000 @32881 duplicate; "
     "d 32881 @32881 accepted; f 30000 @32882 late",
     30001, true},
    {"only a far-future record so far: no watermark yet",
     "f 30000 @10000 accepted; a 1 @10001 accepted; f 30000 @10002 duplicate", -2879,
     true},
    {"same identity, other content is a conflict", "a 10000 accepted; a 10001 conflict",
     7120},
};

std::vector<std::pair<Record, std::string>> Parse(const std::string& text) {
  std::vector<std::pair<Record, std::string>> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line, ';');) {
    std::istringstream words(line);
    Record record;
    std::string time, verdict;
    words >> record.id >> time >> verdict;
    if (time != "-") record.time = std::stoll(time);
    if (verdict[0] == '@') {
      record.arrival = std::stoll(verdict.substr(1));
      words >> verdict;
    }
    record.rejected = verdict == "rejected";
    out.emplace_back(record, verdict);
  }
  return out;
}

TEST(VerdictTest, EdgesOfTheRule) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    Partition partition(Rule(c.allowance ? std::optional(5 * kMinute) : std::nullopt));
    for (const auto& [record, verdict] : Parse(c.records))
      EXPECT_EQ(Name(partition.Judge({record})[0]), verdict) << record.id;
    EXPECT_EQ(partition.watermark(), c.watermark * kMinute);
  }
}

TEST(VerdictTest, EdgesOfTheRuleInOneBatch) {
  for (const Case& c : kCases) {
    if (c.allowance) continue;  // a batch has one arrival
    SCOPED_TRACE(c.name);
    Partition partition(Rule());
    std::vector<Record> records;
    for (const auto& [record, verdict] : Parse(c.records)) records.push_back(record);
    const std::vector<Verdict> verdicts = partition.Judge(records);
    size_t i = 0;
    for (const auto& [record, verdict] : Parse(c.records))
      EXPECT_EQ(Name(verdicts[i++]), verdict) << record.id;
    EXPECT_EQ(partition.watermark(), c.watermark * kMinute);
  }
}

TEST(VerdictTest, ARestartRemembersWhatJudgeKnew) {
  for (const Case& c : kCases) {
    const auto records = Parse(c.records);
    for (size_t cut = 0; cut <= records.size(); ++cut) {
      SCOPED_TRACE(fmt::format("{}, restarted after {} records", c.name, cut));
      Partition partition(Rule(c.allowance ? std::optional(5 * kMinute) : std::nullopt));
      for (size_t i = 0; i < cut; ++i) partition.Judge({records[i].first});
      Partition after = partition.Remembered();
      EXPECT_EQ(after.watermark(), partition.watermark());
      for (size_t i = cut; i < records.size(); ++i)
        EXPECT_EQ(Name(after.Judge({records[i].first})[0]), records[i].second)
            << records[i].first.id;
      EXPECT_EQ(after.watermark(), c.watermark * kMinute);
    }
  }
}

TEST(VerdictTest, AWakingPartitionBeginsAtTheFloor) {
  Partition partition(Rule());
  partition.Judge({{"a", 10000}});
  partition.judge().Wake(8000 * kMinute);
  EXPECT_EQ(partition.watermark(), 8000 * kMinute);
  EXPECT_EQ(Name(partition.Judge({{"b", 7999}})[0]), "late");
  EXPECT_EQ(Name(partition.Judge({{"c", 8000}})[0]), "accepted");
}

TEST(VerdictTest, AFloorBelowTheWatermarkOrNoFloorChangesNothing) {
  Partition partition(Rule());
  partition.Judge({{"a", 10000}});
  partition.judge().Wake(7119 * kMinute);
  partition.judge().Wake(kNoTime);
  EXPECT_EQ(partition.watermark(), 7120 * kMinute);
  Partition fresh(Rule());
  fresh.judge().Wake(kNoTime);
  EXPECT_EQ(fresh.watermark(), kNoTime);
}

TEST(VerdictTest, AFloorEndsMemoryToo) {
  Partition partition(Rule());
  partition.Judge({{"a", 10000}});
  partition.judge().Wake((7120 + 4319) * kMinute);
  EXPECT_EQ(Name(partition.Judge({{"a", 10000}})[0]), "duplicate");
  partition.judge().Wake((7120 + 4320) * kMinute);
  EXPECT_EQ(Name(partition.Judge({{"a", 10000}})[0]), "late");
}

TEST(VerdictTest, APartitionThatBeginsByWakingCountsItsMemoryFromTheFloor) {
  Partition partition(Rule(5 * kMinute));
  EXPECT_EQ(Name(partition.Judge({{"f", 500, 0}})[0]),
            "accepted");  // too far ahead to begin a watermark
  partition.judge().Wake(1000 * kMinute);
  EXPECT_EQ(Name(partition.Judge({{"f", 500, 0}})[0]), "duplicate");
  partition.judge().Wake((1000 + 4319) * kMinute);
  EXPECT_EQ(Name(partition.Judge({{"f", 500, 0}})[0]), "duplicate");
  partition.judge().Wake((1000 + 4320) * kMinute);
  EXPECT_EQ(Name(partition.Judge({{"f", 500, 0}})[0]), "late");
}

TEST(VerdictTest, WithoutIdentityNothingIsADuplicateAndWithoutEventTimeNothingIsLate) {
  VerdictRule rule = Rule();
  rule.has_identity = false;
  Partition plain(rule);
  EXPECT_EQ(Name(plain.Judge({{"a", 10000}})[0]), "accepted");
  EXPECT_EQ(Name(plain.Judge({{"a", 10000}})[0]), "accepted");
  EXPECT_EQ(Name(plain.Judge({{"a", 1}})[0]), "late");

  rule = Rule();
  rule.has_event_time = false;
  Partition timeless(rule);
  EXPECT_EQ(Name(timeless.Judge({{"a", std::nullopt}})[0]), "accepted");
  EXPECT_EQ(Name(timeless.Judge({{"a", std::nullopt}})[0]), "duplicate");
  EXPECT_EQ(timeless.watermark(), kNoTime);
}

// The rule as DESIGN's sentences say it, with all of history in a list.
class Model {
 public:
  explicit Model(VerdictRule rule) : rule_(rule) {}

  Verdict Judge(const Record& record) {
    if (record.rejected) return Verdict::kRejected;
    const Micros time = *record.time * kMinute;
    if (const auto known = memory_.find(record.id); known != memory_.end()) {
      const Known& k = known->second;
      const Micros judged = k.judged == kNoTime ? began_ : k.judged;
      const bool forgotten = watermark_ != kNoTime &&
                             watermark_ - judged >= rule_.identity_memory &&
                             watermark_ > k.time;
      if (!forgotten)
        return k.content == record.content ? Verdict::kDuplicate : Verdict::kConflict;
    }
    const bool late = watermark_ != kNoTime && time < watermark_;
    const bool too_far = rule_.future_allowance &&
                         time > record.arrival * kMinute + *rule_.future_allowance;
    if (!late && !too_far) Raise(time - rule_.lateness);
    memory_[record.id] = {record.content, watermark_, time};
    return late ? Verdict::kLate : Verdict::kAccepted;
  }
  void Raise(Micros to) {
    if (watermark_ == kNoTime) began_ = to;
    watermark_ = std::max(watermark_, to);
  }
  Micros watermark() const { return watermark_; }

 private:
  struct Known {
    uint64_t content;
    Micros judged, time;
  };
  VerdictRule rule_;
  Micros watermark_ = kNoTime, began_ = kNoTime;
  std::map<std::string, Known> memory_;
};

TEST(VerdictTest, RandomHistoriesAgreeWithANaiveModel) {
  const uint64_t seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  std::map<Verdict, int> seen;
  for (int round = 0; round < 300; ++round) {
    VerdictRule rule =
        Rule(below(2) == 0 ? std::nullopt : std::optional(below(50) * kMinute));
    rule.lateness = below(100) * kMinute;
    rule.identity_memory = rule.lateness + below(100) * kMinute;
    Partition partition(rule);
    Model model(rule);
    int64_t now = 0;
    for (int step = 0; step < 60; ++step) {
      if (below(20) == 0) {
        const Micros floor = (now + below(200) - 100) * kMinute;
        partition.judge().Wake(floor);
        model.Raise(floor);
      }
      if (below(15) == 0) {
        state::Delta delta;
        EXPECT_TRUE(partition.judge().identities().Checkpoint(delta, "ids").ok());
      }
      std::vector<Record> batch;
      std::vector<Verdict> expected;
      now += below(40);
      for (int64_t i = below(6); i >= 0; --i) {
        Record record{std::to_string(below(40)), now + below(300) - 200, now,
                      below(10) == 0, 1 + static_cast<uint64_t>(below(2))};
        batch.push_back(record);
        expected.push_back(model.Judge(record));
        ++seen[expected.back()];
      }
      ASSERT_EQ(partition.Judge(batch), expected)
          << "seed " << seed << ", round " << round << ", step " << step;
      ASSERT_EQ(partition.watermark(), model.watermark())
          << "seed " << seed << ", round " << round << ", step " << step;
    }
  }
  for (const Verdict verdict : {Verdict::kAccepted, Verdict::kRejected,
                                Verdict::kDuplicate, Verdict::kConflict, Verdict::kLate})
    EXPECT_GT(seen[verdict], 100);
}

TEST(VerdictTest, ARandomHistoryGoesOnAfterARestartAsIfThereHadBeenNone) {
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  for (int round = 0; round < 200; ++round) {
    VerdictRule rule =
        Rule(below(2) == 0 ? std::nullopt : std::optional(below(50) * kMinute));
    rule.lateness = below(60) * kMinute;
    rule.identity_memory = rule.lateness + below(60) * kMinute;
    Partition stays(rule), restarts(rule);
    int64_t now = 0;
    for (int step = 0; step < 40; ++step) {
      now += below(40);
      std::vector<Record> batch;
      for (int64_t i = below(5); i >= 0; --i)
        batch.push_back(
            {std::to_string(below(30)), now + below(200) - 130, now, below(10) == 0});
      ASSERT_EQ(restarts.Judge(batch), stays.Judge(batch))
          << "seed " << seed << ", round " << round << ", step " << step;
      if (below(8) == 0) {
        Partition again = stays.Remembered();
        ASSERT_EQ(again.watermark(), stays.watermark()) << "seed " << seed;
        ASSERT_EQ(again.Judge({{"probe", now, now}}),
                  Partition(stays.Remembered()).Judge({{"probe", now, now}}));
      }
    }
    // From the log alone every further verdict is the same.
    Partition again = stays.Remembered();
    for (int i = 0; i < 30; ++i) {
      const Record record{std::to_string(i), now - below(100), now};
      ASSERT_EQ(again.Judge({record}), stays.Judge({record}))
          << "seed " << seed << ", round " << round << ", id " << i;
    }
  }
}

}  // namespace
}  // namespace weir::ingest
