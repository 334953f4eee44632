#include "state/identities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <random>
#include <sstream>

#include "io/forwarding_io.h"
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
    ASSERT_TRUE(identities.Checkpoint(delta, "ids/s/0").ok());
    ASSERT_TRUE(store_->Apply(delta, Next(store_->applied())).ok());
  }
  Identities Load(int64_t table_bytes = 1 << 20) {
    auto loaded = Identities::Load(*store_, "ids/s/0", kHorizon, table_bytes);
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return *std::move(loaded);
  }
  int Generations() {
    int count = 0;
    EXPECT_TRUE(
        store_->Scan("ids/s/0", "g", [&](auto, auto) { return ++count, true; }).ok());
    return count;
  }

  size_t RunFiles() { return io_.List("state/ids")->size(); }

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

// The smallest table holds 768 entries; the rest must come from runs.
TEST_F(StoredIdentitiesTest, AgreesWithAPlainMapThroughRunsAndRestarts) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  Identities identities = Load(0);
  std::map<uint64_t, Identities::Entry> model;
  Micros watermark = kNoTime;
  size_t runs_max = 0;
  for (int batch = 0; batch < 600; ++batch) {
    std::vector<uint64_t> numbers(random() % 200);
    std::vector<Hash128> ids;
    for (uint64_t& number : numbers) {
      number = random() % 20'000;
      ids.push_back(HashBytes128(std::to_string(number)));
    }
    ASSERT_TRUE(identities.Recall(ids).ok());
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto known = model.find(numbers[i]);
      const bool expected =
          known != model.end() &&
          !(watermark != kNoTime && known->second.judged_at_watermark != kNoTime &&
            watermark - known->second.judged_at_watermark >= kHorizon &&
            watermark > known->second.event_time);
      const auto* found = identities.Lookup(ids[i], watermark);
      ASSERT_EQ(found != nullptr, expected) << "batch " << batch << " id " << numbers[i];
      if (found != nullptr) {
        ASSERT_EQ(found->content, known->second.content);
      } else {
        const Identities::Entry entry{ids[i], random(), watermark,
                                      batch * 60 + static_cast<Micros>(random() % 5000)};
        identities.Insert(ids[i], entry.content, entry.judged_at_watermark,
                          entry.event_time);
        model[numbers[i]] = entry;
      }
      if (batch == 40 && i == 0) {
        watermark = 0;
        identities.WatermarkBegan(0);
        for (auto& [_, known_entry] : model) known_entry.judged_at_watermark = 0;
      } else if (watermark != kNoTime) {
        watermark += random() % 10 == 0;
      }
    }
    runs_max = std::max(runs_max, identities.runs());
    if (random() % 5 == 0) Checkpoint(identities);
    if (random() % 50 == 0) {
      Checkpoint(identities);
      identities = Load(0);
    }
  }
  EXPECT_GT(runs_max, 5u);
}

TEST_F(StoredIdentitiesTest, RunsGoWithTheirFilesOnceAllIsForgotten) {
  Identities identities = Load(0);
  uint64_t next = 0;
  size_t files_max = 0;
  int64_t bytes_max = 0;
  for (Micros watermark = 0; watermark < 10 * kHorizon; watermark += kHorizon / 8) {
    for (int batch = 0; batch < 4; ++batch) {
      ASSERT_TRUE(identities.MakeRoom(500).ok());
      for (int i = 0; i < 500; ++i)
        identities.Insert(HashBytes128(std::to_string(next++)), 0, watermark, watermark);
    }
    identities.Lookup({1, 1}, watermark);
    Checkpoint(identities);
    files_max = std::max(files_max, RunFiles());
    bytes_max = std::max(bytes_max, identities.bytes());
  }
  EXPECT_GT(files_max, 10u);
  EXPECT_LT(files_max, 40u);
  EXPECT_LT(bytes_max, 400'000) << "16,000 live entries in runs, at most 1,000 in memory";
  Checkpoint(identities);
  const size_t before = RunFiles();
  identities.Lookup({1, 1}, 12 * kHorizon);
  Checkpoint(identities);  // drops them from the store …
  EXPECT_EQ(RunFiles(), before) << "… whose files may not go before that is committed";
  Checkpoint(identities);
  EXPECT_EQ(identities.runs(), 0u);
  EXPECT_EQ(RunFiles(), 0u);
}

TEST_F(StoredIdentitiesTest, ADamagedRunIsNamedAndNeverBelieved) {
  {
    Identities identities = Load(0);
    for (int batch = 0; batch < 4; ++batch) {
      ASSERT_TRUE(identities.MakeRoom(500).ok());
      for (int i = 0; i < 500; ++i)
        identities.Insert(HashBytes128(std::to_string(batch * 500 + i)), 7, 0, 0);
    }
    Checkpoint(identities);
    ASSERT_GE(identities.runs(), 1u);
  }
  const std::string path = "state/ids/" + io_.List("state/ids")->at(0);
  const uint64_t size = io_.Stat(path)->size;
  std::vector<Hash128> ids;
  for (int i = 0; i < 2000; ++i) ids.push_back(HashBytes128(std::to_string(i)));
  int named = 0;
  for (uint64_t byte = 0; byte < size; byte += 97) {
    ASSERT_TRUE(io_.FlipBit(path, byte, static_cast<int>(byte % 8)).ok());
    auto loaded = Identities::Load(*store_, "ids/s/0", kHorizon, 0);
    Status status = loaded.ok() ? loaded->Recall(ids) : Status(loaded.error());
    if (!status.ok()) {
      EXPECT_EQ(status.error().code, Code::kCorrupt);
      EXPECT_NE(status.error().message.find(path), std::string::npos);
      ++named;
    } else {
      for (const Hash128& id : ids) {
        const auto* found = loaded->Lookup(id, 0);
        ASSERT_TRUE(found != nullptr && found->content == 7u) << "byte " << byte;
      }
    }
    ASSERT_TRUE(io_.FlipBit(path, byte, static_cast<int>(byte % 8)).ok());
  }
  EXPECT_EQ(named, static_cast<int>((size + 96) / 97));
}

// Stops whoever makes a run's file until the gate is opened.
class GatedIo final : public io::ForwardingIo {
 public:
  using ForwardingIo::ForwardingIo;
  void OpenGate() {
    std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }

  Result<std::unique_ptr<io::File>> Open(const std::string& path,
                                         io::OpenMode mode) override {
    if (mode == io::OpenMode::kCreateNew && path.starts_with("state/ids/")) {
      std::unique_lock lock(mutex_);
      opened_.wait(lock, [&] { return open_; });
    }
    return ForwardingIo::Open(path, mode);
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

// The thread that judges never waits for the disk: what a run does not stand for yet is
// in the checkpoint, and goes from the store once the run stands for it.
TEST(IdentityRunTest, ACheckpointDoesNotWaitForARunThatIsBeingWritten) {
  io::SimIo io;
  GatedIo gated(io);
  auto store = *Store::Open(gated, "state", Epoch{0}, {});
  const auto stored = [&](const char* kind) {
    int count = 0;
    EXPECT_TRUE(
        store->Scan("ids/s/0", kind, [&](auto, auto) { return ++count, true; }).ok());
    return count;
  };
  const auto ids = [](int from, int to) {
    std::vector<Hash128> out;
    for (int i = from; i < to; ++i) out.push_back(HashBytes128(std::to_string(i)));
    return out;
  };
  auto identities = *Identities::Load(*store, "ids/s/0", kHorizon, 0);
  const auto insert = [&](int from, int to) {
    ASSERT_TRUE(identities.MakeRoom(static_cast<size_t>(to - from)).ok());
    for (const Hash128& id : ids(from, to)) identities.Insert(id, 1, 0, 0);
  };
  const auto checkpoint = [&] {
    Delta delta;
    ASSERT_TRUE(identities.Checkpoint(delta, "ids/s/0").ok());
    ASSERT_TRUE(store->Apply(delta, Next(store->applied())).ok());
  };
  const auto knows_all = [&](Identities& one, int count) {
    const auto all = ids(0, count);
    ASSERT_TRUE(one.Recall(all).ok());
    for (const Hash128& id : all) ASSERT_NE(one.Lookup(id, 0), nullptr);
  };
  insert(0, 300);
  checkpoint();
  insert(300, 600);
  insert(600, 900);  // more than the table takes: a run of 600 is begun
  EXPECT_EQ(identities.runs(), 0u);
  checkpoint();
  EXPECT_EQ(stored("g"), 3);
  EXPECT_EQ(stored("r"), 0);
  {
    auto after_a_crash = *Identities::Load(*store, "ids/s/0", kHorizon, 1 << 20);
    knows_all(after_a_crash, 900);
  }
  gated.OpenGate();
  while (identities.runs() == 0) ASSERT_TRUE(identities.MakeRoom(0).ok());
  checkpoint();
  EXPECT_EQ(stored("g"), 1);
  EXPECT_EQ(stored("r"), 1);
  knows_all(identities, 900);
  auto after_a_stop = *Identities::Load(*store, "ids/s/0", kHorizon, 1 << 20);
  EXPECT_EQ(after_a_stop.runs(), 1u);
  knows_all(after_a_stop, 900);
}

// All parts of a table grow at other moments: no insert moves more than a small part.
TEST(IdentityTableTest, NoInsertMovesMuch) {
  IdentityTable table(1 << 20);
  const auto none = [](const IdentityEntry&) { return false; };
  int64_t before = table.bytes(), grown_max = 0;
  constexpr int kCount = 700'000;
  for (int i = 0; i < kCount; ++i) {
    table.Put({HashBytes128({reinterpret_cast<const char*>(&i), sizeof i}), 1, 0, 0},
              none);
    if (i % 100 != 99) continue;
    grown_max = std::max(grown_max, table.bytes() - before);
    before = table.bytes();
  }
  EXPECT_EQ(table.size(), size_t{kCount});
  EXPECT_LE(table.bytes(), int64_t{42} << 20) << "the slots it was given, and no more";
  EXPECT_LT(grown_max, int64_t{3} << 20) << "of 40 MiB, in the course of 100 inserts";
  for (int i = 0; i < kCount; i += 7)
    ASSERT_NE(table.Find(HashBytes128({reinterpret_cast<const char*>(&i), sizeof i})),
              nullptr);
}

TEST(IdentityTableTest, ASweepComesRoundAndDropsWhatIsGone) {
  IdentityTable table(1 << 20);
  const auto gone = [](const IdentityEntry& entry) { return entry.content % 3 != 0; };
  const auto none = [](const IdentityEntry&) { return false; };
  for (uint64_t i = 0; i < 30'000; ++i)
    table.Put({HashBytes128(std::to_string(i)), i, 0, 0}, none);
  int calls = 1;
  while (!table.Sweep(1000, gone)) ++calls;
  EXPECT_GT(calls, 10);
  EXPECT_EQ(table.size(), 10'000u);
  for (uint64_t i = 0; i < 30'000; ++i)
    ASSERT_EQ(table.Find(HashBytes128(std::to_string(i))) != nullptr, i % 3 == 0) << i;
}

// Power cuts after every operation of a history with runs: what was committed is
// remembered, what was not is not.
TEST(IdentityRunCrashTest, EveryPowerCutLeavesWhatWasCommitted) {
  constexpr int kEpochs = 6, kPerEpoch = 700;
  const auto history = [&](io::SimIo& io, int* committed) -> Status {
    auto store =
        WEIR_TRY(Store::Open(io, "state", Epoch{*committed}, {.deterministic = true}));
    auto identities = WEIR_TRY(Identities::Load(*store, "ids/s/0", kHorizon, 0));
    for (int epoch = *committed; epoch < kEpochs; ++epoch) {
      WEIR_TRY(identities.MakeRoom(kPerEpoch));
      for (int i = 0; i < kPerEpoch; ++i) {
        identities.Insert(HashBytes128(std::to_string(epoch * kPerEpoch + i)), 1,
                          epoch * kHorizon / 4, 0);
      }
      identities.Lookup({1, 1}, epoch * kHorizon / 4);
      Delta delta;
      WEIR_TRY(identities.Checkpoint(delta, "ids/s/0"));
      WEIR_TRY(delta.Write(io, "state", Epoch{epoch + 1}));
      *committed = epoch + 1;  // the epoch row
      WEIR_TRY(store->Apply(delta, Epoch{epoch + 1}));
    }
    return store->Flush();
  };
  uint64_t operations = 0;
  {
    io::SimIo io;
    int committed = 0;
    ASSERT_TRUE(history(io, &committed).ok());
    operations = io.operations();
  }
  ASSERT_GT(operations, 50u);
  for (const io::AfterCut mode :
       {io::AfterCut::kDropUnsynced, io::AfterCut::kKeepAll, io::AfterCut::kRandom}) {
    for (uint64_t cut = 0; cut <= operations; ++cut) {
      SCOPED_TRACE(testing::Message()
                   << "cut " << cut << " mode " << static_cast<int>(mode));
      io::SimIo io;
      io.SetFaults({.cut_power_after = cut});
      int committed = 0;
      static_cast<void>(history(io, &committed).ok());
      io.PowerOn(cut, mode);
      auto store = Store::Open(io, "state", Epoch{committed}, {.deterministic = true});
      ASSERT_TRUE(store.ok()) << store.error().message;
      auto identities = Identities::Load(**store, "ids/s/0", kHorizon, 0);
      ASSERT_TRUE(identities.ok()) << identities.error().message;
      for (int epoch = 0; epoch < kEpochs; ++epoch) {
        std::vector<Hash128> ids;
        for (int i = 0; i < kPerEpoch; i += 7)
          ids.push_back(HashBytes128(std::to_string(epoch * kPerEpoch + i)));
        ASSERT_TRUE(identities->Recall(ids).ok());
        const Micros now = std::max(0, committed - 1) * kHorizon / 4;
        const bool expected = epoch < committed && now - epoch * kHorizon / 4 < kHorizon;
        for (const Hash128& id : ids)
          ASSERT_EQ(identities->Lookup(id, now) != nullptr, expected) << epoch;
      }
    }
  }
}

}  // namespace
}  // namespace weir::state
