#include "state/identities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <sstream>

#include "io/sim_io.h"

namespace weir::state {
namespace {

constexpr Micros kLateness = 2880, kHorizon = 4320;

// The verdict around the memory, in minutes: known identities are duplicates, records
// before the watermark late, the others accepted.
class Partition {
 public:
  explicit Partition(Identities identities) : identities_(std::move(identities)) {}

  std::string Judge(std::string_view name, Micros event_time,
                    std::optional<Micros> latest_allowed) {
    const Hash128 id = HashBytes128(name);
    if (identities_.Lookup(id, watermark_) != nullptr) return "duplicate";
    const bool late = watermark_ != kNoTime && event_time < watermark_;
    if (!late && (!latest_allowed || event_time <= *latest_allowed)) {
      const bool begins = watermark_ == kNoTime;
      watermark_ = std::max(watermark_, event_time - kLateness);
      if (begins) identities_.WatermarkBegan(watermark_);
    }
    identities_.Insert(id, 0, watermark_, event_time);
    return late ? "late" : "accepted";
  }

  Identities& identities() { return identities_; }

 private:
  Identities identities_;
  Micros watermark_ = kNoTime;
};

struct MemoryCase {
  const char* name;
  const char* records;  // identity, event time[/arrival], verdict; minutes; an arrival
                        // means: 5 minutes of future are allowed
};

class IdentityMemoryTest : public testing::TestWithParam<MemoryCase> {};

TEST_P(IdentityMemoryTest, RemembersExactlyAsLongAsTheRuleSays) {
  Partition partition{Identities(kHorizon)};
  std::istringstream records(GetParam().records);
  std::string id, time, verdict;
  for (int i = 0; records >> id >> time >> verdict; ++i) {
    const size_t slash = time.find('/');
    std::optional<Micros> latest_allowed;
    if (slash != std::string::npos)
      latest_allowed = std::stoll(time.substr(slash + 1)) + 5;
    EXPECT_EQ(partition.Judge(id, std::stoll(time), latest_allowed), verdict)
        << "record " << i << ": " << id << " " << time;
  }
}

INSTANTIATE_TEST_SUITE_P(
    , IdentityMemoryTest,
    testing::Values(
        MemoryCase{"DuplicateIsJudgedBeforeLate",
                   "a 10000 accepted  b 12880 accepted  a 10000 duplicate  c 20000 "
                   "accepted  b 12880 late"},
        MemoryCase{"ALateRecordIsRememberedToo",
                   "a 10000 accepted  b 1 late  b 1 duplicate"},
        MemoryCase{"ADuplicateDoesNotRefreshTheMemory",
                   "a 10000 accepted  b 14000 accepted  a 10000 duplicate  c 14320 "
                   "accepted  a 10000 late"},
        MemoryCase{"EndsExactlyWhenTheWatermarkHasAdvancedByTheHorizon",
                   "a 10000 accepted  b 14319 accepted  a 10000 duplicate  c 14320 "
                   "accepted  a 10000 late"},
        MemoryCase{
            "AForgottenOneIsRememberedAnew",
            "a 10000 accepted  x 1 late  b 14320 accepted  x 1 late  x 1 duplicate"},
        MemoryCase{"CountsFromTheWatermarkAfterTheRecordsOwnVerdict",
                   "a 10000 accepted  b 14000 accepted  c 18319 accepted  b 14000 "
                   "duplicate  d 18320 accepted  b 14000 late"},
        MemoryCase{"AFarFutureOneStaysUntilTheWatermarkHasPassedIt",
                   "a 10000/10000 accepted  f 30000/10001 accepted  b 20000/20000 "
                   "accepted  f 30000/20001 duplicate "
                   "c 32880/32880 accepted  f 30000/32881 duplicate  d 32881/32881 "
                   "accepted  f 30000/32882 late"},
        MemoryCase{"WithoutAWatermarkNothingIsForgotten",
                   "f 30000/10000 accepted  a 1/10001 accepted  f 30000/10002 duplicate"},
        MemoryCase{"AnEntryWithoutWatermarkTakesTheFirst",
                   "f 100/50 accepted  a 50/50 accepted  b 4369/4369 accepted  f "
                   "100/4370 duplicate  c 4370/4370 accepted "
                   "f 100/4371 late"}),
    [](const auto& info) { return info.param.name; });

class StoredIdentitiesTest : public testing::Test {
 protected:
  StoredIdentitiesTest()
      : store_(*Store::Open(io_, "state", Epoch{0}, {.deterministic = true})) {}
  void Checkpoint(Identities& identities) {
    Delta delta;
    identities.Checkpoint(delta, "ids/s/0");
    ASSERT_TRUE(store_->Apply(delta, Next(store_->applied())).ok());
  }
  Identities Load() {
    auto loaded = Identities::Load(*store_, "ids/s/0", kHorizon);
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return *std::move(loaded);
  }
  int Generations() {
    int count = 0;
    EXPECT_TRUE(
        store_->Scan("ids/s/0", "g", [&](auto, auto) { return ++count, true; }).ok());
    return count;
  }

  io::SimIo io_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoredIdentitiesTest, ComesBackFromTheStore) {
  Identities before(kHorizon);
  before.Insert({1, 1}, 11, 5, 6);
  Checkpoint(before);
  before.Insert({0, 0}, 22, 7, 8);
  Checkpoint(before);
  before.Insert({3, 3}, 33, 9, 9);  // never committed

  Identities after = Load();
  EXPECT_EQ(after.size(), 2);
  const auto* entry = after.Lookup({1, 1}, 10);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->content, 11u);
  EXPECT_EQ(entry->judged_at_watermark, 5);
  EXPECT_EQ(entry->event_time, 6);
  EXPECT_NE(after.Lookup({0, 0}, 10), nullptr);
  EXPECT_EQ(after.Lookup({3, 3}, 10), nullptr);
}

TEST_F(StoredIdentitiesTest, TheFirstWatermarkHoldsForStoredEntriesToo) {
  Identities before(kHorizon);
  before.Insert({1, 1}, 0, kNoTime, 500);
  Checkpoint(before);
  before.WatermarkBegan(100);
  Checkpoint(before);

  EXPECT_EQ(before.Lookup({1, 1}, 100)->judged_at_watermark, 100);
  Identities after = Load();
  EXPECT_NE(after.Lookup({1, 1}, 100 + kHorizon - 1), nullptr);
  EXPECT_EQ(after.Lookup({1, 1}, 100 + kHorizon), nullptr);
}

TEST_F(StoredIdentitiesTest, ErasesGenerationsThatAreForgottenAsAWhole) {
  Identities identities(kHorizon);
  identities.Insert({1, 1}, 0, 0, 10);
  identities.Insert({2, 1}, 0, 5, 10);
  Checkpoint(identities);
  identities.Insert({3, 1}, 0, 5, 99'999);
  Checkpoint(identities);
  identities.Lookup({1, 1}, kHorizon + 4);
  Checkpoint(identities);
  EXPECT_EQ(Generations(), 2);
  identities.Lookup({1, 1}, kHorizon + 5);
  Checkpoint(identities);
  EXPECT_EQ(Generations(), 1) << "a far-future entry keeps its generation";
}

TEST_F(StoredIdentitiesTest, MemoryStaysBoundedWhileTheWatermarkMoves) {
  Identities identities(kHorizon);
  uint64_t next = 1;
  int64_t bytes_max = 0;
  for (Micros watermark = 0; watermark < 40 * kHorizon; watermark += kHorizon / 8) {
    for (int i = 0; i < 2000; ++i)
      identities.Insert({next++ * 0x9e3779b97f4a7c15u, 1}, 0, watermark, watermark);
    identities.Lookup({1, 1}, watermark);
    Checkpoint(identities);
    bytes_max = std::max(bytes_max, identities.bytes());
  }
  EXPECT_LE(Generations(), 10);
  EXPECT_LT(identities.size(), 30'000);
  EXPECT_LT(bytes_max, 8'000'000);
}

TEST_F(StoredIdentitiesTest, AgreesWithAPlainMapThroughRestarts) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  Identities identities(kHorizon);
  std::map<uint64_t, Identities::Entry> model;
  Micros watermark = kNoTime;
  for (int step = 0; step < 30'000; ++step) {
    const uint64_t number = random() % 3000;
    const Hash128 id{number, number * 7};
    const auto known = model.find(number);
    const bool expected =
        known != model.end() &&
        !(watermark != kNoTime && known->second.judged_at_watermark != kNoTime &&
          watermark - known->second.judged_at_watermark >= kHorizon &&
          watermark > known->second.event_time);
    const auto* found = identities.Lookup(id, watermark);
    ASSERT_EQ(found != nullptr, expected) << "step " << step;
    if (found != nullptr) {
      ASSERT_EQ(found->content, known->second.content);
    } else {
      const Identities::Entry entry{id, random(), watermark,
                                    static_cast<Micros>(step + random() % 5000)};
      identities.Insert(id, entry.content, entry.judged_at_watermark, entry.event_time);
      model[number] = entry;
    }
    if (step == 500) {
      watermark = 0;
      identities.WatermarkBegan(0);
      for (auto& [_, entry] : model) entry.judged_at_watermark = 0;
    } else if (watermark != kNoTime) {
      watermark += static_cast<Micros>(random() % 3);
    }
    if (random() % 500 == 0) Checkpoint(identities);
    if (random() % 2000 == 0) {
      Checkpoint(identities);
      identities = Load();
    }
  }
}

TEST(IdentitiesTest, LookupManyIsLookupOfEach) {
  Identities identities(kHorizon);
  std::vector<Hash128> ids;
  for (uint64_t i = 0; i < 100; ++i) {
    ids.push_back({i * 1'000'003, i});
    if (i % 3 == 0) identities.Insert(ids.back(), i, 0, 0);
  }
  std::vector<const Identities::Entry*> found(ids.size());
  identities.LookupMany(ids, 10, found);
  for (size_t i = 0; i < ids.size(); ++i)
    EXPECT_EQ(found[i], identities.Lookup(ids[i], 10)) << i;
  EXPECT_EQ(found[3]->content, 3u);
}

}  // namespace
}  // namespace weir::state
