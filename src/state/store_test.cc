#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <filesystem>
#include <map>
#include <random>

#include "base/hash.h"
#include "io/hooked_io.h"
#include "io/sim_io.h"
#include "io/temp_folder.h"
#include "state/recording_io.h"
#include "state/state.h"

namespace weir::state {
namespace {

using testing::ElementsAre;

class StoreTest : public testing::Test {
 protected:
  std::unique_ptr<Store> Open(int64_t committed,
                              StoreOptions options = {.deterministic = true}) {
    auto store = Store::Open(io_, dir_, Epoch{committed}, options);
    EXPECT_TRUE(store.ok()) << store.error().message;
    return *std::move(store);
  }
  // The code with which opening fails.
  Code OpenFails(int64_t committed) {
    auto store = Store::Open(io_, dir_, Epoch{committed}, {.deterministic = true});
    EXPECT_FALSE(store.ok());
    return store.ok() ? Code::kInternal : store.error().code;
  }
  void Write(const Delta& delta, int64_t epoch) {
    auto written = delta.Write(io_, dir_, Epoch{epoch});
    ASSERT_TRUE(written.ok()) << written.error().message;
  }
  void WriteAndApply(Store& store, const Delta& delta, int64_t epoch) {
    Write(delta, epoch);
    const Status applied = store.Apply(delta, Epoch{epoch});
    ASSERT_TRUE(applied.ok()) << applied.error().message;
  }
  static void WriteAndApplyOn(io::Io& io, Store& store, int64_t epoch) {
    const Delta delta = PutOne("s", "after", "v");
    ASSERT_TRUE(delta.Write(io, "state", Epoch{epoch}).ok());
    const Status applied = store.Apply(delta, Epoch{epoch});
    ASSERT_TRUE(applied.ok()) << applied.error().message;
    const Status flushed = store.Flush();
    ASSERT_TRUE(flushed.ok()) << flushed.error().message;
  }
  // "a=1 b=2", in order.
  static std::string Rows(Store& store, std::string_view space,
                          std::string_view prefix = "") {
    std::string out;
    EXPECT_TRUE(store
                    .Scan(space, prefix,
                          [&](std::string_view key, std::string_view value) {
                            out += (out.empty() ? "" : " ") + std::string(key) + "=" +
                                   std::string(value);
                            return true;
                          })
                    .ok());
    return out;
  }
  static Delta PutOne(std::string_view space, std::string_view key,
                      std::string_view value) {
    Delta delta;
    delta.Put(space, key, value);
    return delta;
  }
  std::vector<std::string> DeltaFiles() {
    std::vector<std::string> out;
    const auto names = io_.List(dir_);
    EXPECT_TRUE(names.ok());
    for (const auto& name : *names) {
      if (name.starts_with("delta-")) out.push_back(name);
    }
    return out;
  }

  io::SimIo io_;
  const std::string dir_ = "state";
};

TEST_F(StoreTest, GivesBackWhatDeltasPutAndErased) {
  auto store = Open(0);
  Delta first;
  first.Put("op/a", "k1", "1");
  first.Put("op/a", "k2", "2");
  first.Put("op/b", "k1", "other");
  WriteAndApply(*store, first, 1);
  Delta second;
  second.Erase("op/a", "k1");
  second.Put("op/a", std::string("k\0z", 3), std::string("\0", 1));
  WriteAndApply(*store, second, 2);

  const std::string_view keys[] = {"k1", "k2", std::string_view("k\0z", 3), ""};
  auto got = store->GetMany("op/a", keys);
  ASSERT_TRUE(got.ok());
  EXPECT_THAT(*got, ElementsAre(std::nullopt, "2", std::string("\0", 1), std::nullopt));
  EXPECT_EQ(Rows(*store, "op/b"), "k1=other");
  EXPECT_EQ(Rows(*store, "op"), "") << "a space is not a prefix of another";
  EXPECT_EQ(store->applied(), Epoch{2});
}

TEST_F(StoreTest, ScansAPrefixInByteOrderUntilTheVisitorHasEnough) {
  auto store = Open(0);
  Delta delta;
  for (const char* key : {"b", "a\xff\xff", "a\xff", "a", "aa"}) delta.Put("s", key, "");
  delta.Put("t", "a", "");
  WriteAndApply(*store, delta, 1);
  EXPECT_EQ(Rows(*store, "s", "a"), "a= aa= a\xff= a\xff\xff=");
  EXPECT_EQ(Rows(*store, "s", "a\xff"), "a\xff= a\xff\xff=");
  int visits = 0;
  ASSERT_TRUE(store->Scan("s", "", [&](auto, auto) { return ++visits < 2; }).ok());
  EXPECT_EQ(visits, 2);
}

TEST_F(StoreTest, ClearDropsASpaceAndWhatFollowsInTheDeltaStays) {
  auto store = Open(0);
  Delta fill;
  fill.Put("s", "old", "1");
  fill.Put("s", "", "1");
  fill.Put("s\x01", "near", "1");
  WriteAndApply(*store, fill, 1);
  Delta delta;
  delta.Clear("s");
  delta.Put("s", "new", "2");
  WriteAndApply(*store, delta, 2);
  EXPECT_EQ(Rows(*store, "s"), "new=2");
  EXPECT_EQ(Rows(*store, "s\x01"), "near=1");
}

TEST_F(StoreTest, AppendedDeltasApplyOneAfterTheOther) {
  Delta all = PutOne("s", "a", "1");
  Delta second = PutOne("t", "b", "2");
  second.Put("s", "a", "3");
  all.Append(std::move(second));
  all.Put("t", "c", "4");
  auto store = Open(0);
  WriteAndApply(*store, all, 1);
  EXPECT_EQ(Rows(*store, "s"), "a=3");
  EXPECT_EQ(Rows(*store, "t"), "b=2 c=4");
}

TEST_F(StoreTest, ListsSpacesWithTheirRows) {
  auto store = Open(0);
  Delta delta;
  delta.Put("ids/x", "a", "1234");
  delta.Put("op/y", "a", "1");
  delta.Put("op/y", "b", "1");
  WriteAndApply(*store, delta, 1);
  const auto spaces = store->Spaces();
  ASSERT_TRUE(spaces.ok());
  ASSERT_EQ(spaces->size(), 2u);
  EXPECT_EQ((*spaces)[0].space, "ids/x");
  EXPECT_EQ((*spaces)[1].keys, 2);
}

TEST_F(StoreTest, RedoesCommittedDeltasThatWereNotFlushed) {
  {
    auto store = Open(0);
    WriteAndApply(*store, PutOne("s", "a", "1"), 1);
    WriteAndApply(*store, PutOne("s", "b", "2"), 2);
  }
  EXPECT_THAT(DeltaFiles(), ElementsAre("delta-1", "delta-2"));
  EXPECT_EQ(Rows(*Open(2), "s"), "a=1 b=2");
}

TEST_F(StoreTest, NeverShowsADeltaThatWasNotCommitted) {
  {
    auto store = Open(0);
    WriteAndApply(*store, PutOne("s", "a", "1"), 1);
  }
  Write(PutOne("s", "a", "lost"), 2);
  auto store = Open(1);
  EXPECT_EQ(Rows(*store, "s"), "a=1");
  EXPECT_THAT(DeltaFiles(), ElementsAre("delta-1"));
  WriteAndApply(*store, PutOne("s", "a", "2"), 2);
  EXPECT_EQ(Rows(*store, "s"), "a=2");
}

TEST_F(StoreTest, RedoesACommittedDeltaThatTheProcessDidNotLiveToApply) {
  {
    auto store = Open(0);
    WriteAndApply(*store, PutOne("s", "a", "1"), 1);
    ASSERT_TRUE(store->Flush().ok());
    Write(PutOne("s", "b", "2"), 2);
  }
  auto store = Open(2);
  EXPECT_EQ(Rows(*store, "s"), "a=1 b=2");
  EXPECT_EQ(store->applied(), Epoch{2});
}

TEST_F(StoreTest, DropsDeltaFilesOnlyAfterTheFlushThatHoldsThem) {
  auto store = Open(0);
  for (int64_t epoch = 1; epoch <= 15; ++epoch)
    WriteAndApply(*store, PutOne("s", "a", std::to_string(epoch)), epoch);
  EXPECT_EQ(DeltaFiles().size(), 15u);
  WriteAndApply(*store, PutOne("s", "a", "16"), 16);
  EXPECT_TRUE(DeltaFiles().empty()) << "16 waiting deltas flush by themselves";
  store.reset();
  EXPECT_EQ(Rows(*Open(16), "s"), "a=16");
}

TEST_F(StoreTest, FlushesWhenTheWriteBufferIsFull) {
  auto store = Open(0, {.write_buffer_bytes = 1000, .deterministic = true});
  WriteAndApply(*store, PutOne("s", "a", std::string(999, 'x')), 1);
  EXPECT_TRUE(DeltaFiles().empty());
}

TEST_F(StoreTest, AppliesADeltaLargerThanOneWriteBatch) {
  Delta delta;
  for (int i = 0; i < 200; ++i)
    delta.Put("s", fmt::format("{:03}", i), std::string(100'000, 'x'));
  auto store = Open(0);
  WriteAndApply(*store, delta, 1);
  store.reset();
  store = Open(1);
  const std::string_view keys[] = {"000", "199"};
  auto got = store->GetMany("s", keys);
  ASSERT_TRUE(got.ok());
  EXPECT_TRUE((*got)[0].has_value() && (*got)[1].has_value());
}

TEST_F(StoreTest, NamesDamage) {
  {
    auto store = Open(0);
    WriteAndApply(*store, PutOne("s", "a", "1"), 1);
  }
  EXPECT_EQ(OpenFails(2), Code::kCorrupt) << "the delta of epoch 2 is missing";
  EXPECT_EQ(Rows(*Open(1), "s"), "a=1") << "the failed attempt did no harm";

  const std::string path = io::Join(dir_, "delta-1");
  const std::string bytes = *io_.ReadAll(path);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string bad = bytes;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    ASSERT_TRUE(io_.ReplaceAtomically(path, bad).ok());
    EXPECT_FALSE(Delta::Read(io_, dir_, Epoch{1}).ok()) << "byte " << i;
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_TRUE(io_.ReplaceAtomically(path, bytes.substr(0, size)).ok());
    EXPECT_FALSE(Delta::Read(io_, dir_, Epoch{1}).ok()) << size << " bytes";
  }
  EXPECT_EQ(OpenFails(1), Code::kCorrupt);
}

// Right checksums over records that cannot be.
TEST_F(StoreTest, NamesADeltaThatIsNone) {
  const auto write = [&](int64_t count, std::string_view records) {
    std::string bytes = "WEIRDLT1";
    const auto put = [&](const auto& value) {
      bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    };
    put(int64_t{1});
    put(count);
    put(static_cast<uint64_t>(records.size()));
    bytes += records;
    put(Crc32c(bytes));
    EXPECT_TRUE(io_.CreateDirs(dir_).ok());
    EXPECT_TRUE(io_.ReplaceAtomically(io::Join(dir_, "delta-1"), bytes).ok());
    const auto delta = Delta::Read(io_, dir_, Epoch{1});
    EXPECT_TRUE(delta.ok());
    return delta->ForEach([](const Delta::Record&) { return Status(); });
  };
  EXPECT_TRUE(write(1, std::string_view("\1\1s\4", 4)).ok());
  EXPECT_FALSE(write(2, std::string_view("\1\1s\4", 4)).ok()) << "count";
  EXPECT_FALSE(write(1, std::string_view("\1\3s\0t\4", 6)).ok()) << "NUL in a space";
  EXPECT_FALSE(write(1, std::string_view("\4", 1)).ok()) << "no space";
  EXPECT_FALSE(write(1, std::string_view("\1\1s\3\x7fk", 6)).ok()) << "length";
}

TEST_F(StoreTest, AStoreAheadOfTheCatalogIsDamageToo) {
  {
    auto store = Open(0);
    WriteAndApply(*store, PutOne("s", "a", "1"), 1);
    ASSERT_TRUE(store->Flush().ok());
  }
  EXPECT_EQ(OpenFails(0), Code::kCorrupt);
}

TEST_F(StoreTest, ResetStartsEmptyAtTheCommittedEpoch) {
  {
    auto store = Open(0);
    WriteAndApply(*store, PutOne("s", "a", "1"), 1);
  }
  {
    auto store =
        Store::Reset(io_, dir_, Epoch{7}, {.deterministic = true}, "it was eaten");
    ASSERT_TRUE(store.ok()) << store.error().message;
    EXPECT_EQ(Rows(**store, "s"), "");
    WriteAndApply(**store, PutOne("s", "b", "2"), 8);
  }
  EXPECT_EQ(Rows(*Open(8), "s"), "b=2");
  EXPECT_EQ(Rows(*Open(8), kRebuildSpace), "lost=it was eaten")
      << "until somebody says that all of it is back";
}

TEST_F(StoreTest, NotedDamageIsFoundByTheNextOpen) {
  {
    auto store = Open(0);
    WriteAndApply(*store, PutOne("s", "a", "1"), 1);
    EXPECT_FALSE(store->damaged());
    store->NoteDamage("one thing");
    store->NoteDamage("another");
    EXPECT_TRUE(store->damaged());
  }
  const auto store = Store::Open(io_, dir_, Epoch{1}, {.deterministic = true});
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code, Code::kCorrupt);
  EXPECT_EQ(store.error().message, "one thing");
  ASSERT_TRUE(Store::Reset(io_, dir_, Epoch{1}, {.deterministic = true}, "").ok());
  EXPECT_EQ(Rows(*Open(1), "s"), "");
}

TEST_F(StoreTest, RefusesTheStoreOfAnotherDirectory) {
  const StoreOptions ours{.deterministic = true, .directory = "ours"},
      theirs{.deterministic = true, .directory = "theirs"},
      adopting{.deterministic = true, .directory = "ours", .adopt = true};
  {
    auto store = Open(0);  // of a Weir that gave no names
    WriteAndApply(*store, PutOne("s", "a", "1"), 1);
    ASSERT_TRUE(store->Flush().ok());
  }
  const auto error = [&](const StoreOptions& options) {
    const auto store = Store::Open(io_, dir_, Epoch{1}, options);
    if (store.ok()) return std::string("none");
    EXPECT_EQ(store.error().code, Code::kCorrupt);
    return store.error().message;
  };
  EXPECT_THAT(error(ours), testing::HasSubstr("does not say which data directory"));
  EXPECT_EQ(error(adopting), "none");
  EXPECT_EQ(error(ours), "none") << "it has the name now";
  EXPECT_THAT(error(theirs), testing::HasSubstr("belongs to another data directory"));
}

TEST_F(StoreTest, RefusesADeltaThatWasNotTheCommittedOne) {
  { auto store = Open(0); }
  Write(PutOne("s", "a", "1"), 1);
  const auto open = [&](std::optional<uint32_t> checksum) {
    return Store::Open(
        io_, dir_, Epoch{1},
        {.deterministic = true, .checksum_of = [=](Epoch) { return checksum; }});
  };
  const auto refused = open(12345);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, testing::HasSubstr("not the one that was"));
  EXPECT_TRUE(open(std::nullopt).ok()) << "the row of the epoch is gone";
}

TEST_F(StoreTest, RefusesAGapBetweenEpochs) {
  auto store = Open(0);
  const Status status = store->Apply(PutOne("s", "a", "1"), Epoch{2});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kInternal);
}

TEST_F(StoreTest, AFailedDeltaCanBeWrittenAgain) {
  auto store = Open(0);
  io_.SetFaults({.fail_sync_after = 0});
  EXPECT_FALSE(PutOne("s", "a", "1").Write(io_, dir_, Epoch{1}).ok());
  WriteAndApply(*store, PutOne("s", "a", "2"), 1);
  store.reset();
  EXPECT_EQ(Rows(*Open(1), "s"), "a=2");
}

TEST_F(StoreTest, ALargeDeltaBecomesATable) {
  const StoreOptions options{.table_bytes_min = 200, .deterministic = true};
  auto store = Open(0, options);
  WriteAndApply(*store, PutOne("s", "a", "small"), 1);
  WriteAndApply(*store, PutOne("s", "b", "small"), 2);
  EXPECT_EQ(DeltaFiles().size(), 2u);
  Delta delta;
  delta.Put("t", "z", std::string(200, 'x'));
  delta.Put("s", "b", "first");
  delta.Put("s", "c", "1");
  delta.Erase("s", "a");
  delta.Put("s", "b", "last");
  delta.Put("s", "d", "gone");
  delta.Erase("s", "d");
  WriteAndApply(*store, delta, 3);
  EXPECT_TRUE(DeltaFiles().empty()) << "all of it is durable in the store";
  EXPECT_EQ(Rows(*store, "s"), "b=last c=1");
  WriteAndApply(*store, PutOne("s", "c", "2"), 4);
  store.reset();
  store = Open(4, options);
  EXPECT_EQ(Rows(*store, "s"), "b=last c=2");
  EXPECT_EQ(Rows(*store, "t").size(), 202u);
}

TEST_F(StoreTest, ALargeDeltaThatClearsASpaceIsAppliedInItsOrder) {
  const StoreOptions options{.table_bytes_min = 100, .deterministic = true};
  auto store = Open(0, options);
  WriteAndApply(*store, PutOne("s", "a", std::string(100, 'x')), 1);
  Delta delta;
  delta.Put("s", "b", std::string(100, 'x'));
  delta.Clear("s");
  delta.Put("s", "c", "1");
  WriteAndApply(*store, delta, 2);
  EXPECT_EQ(Rows(*store, "s"), "c=1");
  store.reset();
  EXPECT_EQ(Rows(*Open(2, options), "s"), "c=1");
}

// Random deltas on a real disk, applied behind, against a map: what is read while a delta
// is on its way is what it says.
TEST(StoreBehindTest, ReadsSeeTheDeltaThatIsOnItsWay) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  const io::TempFolder folder;
  const std::string dir = io::Join(folder.path(), "state");
  const auto posix = io::NewPosixIo();
  const auto number = [&](int n) { return static_cast<int>(random() % n); };
  // Keys as operators make them (a kind and a hash, which ranges go on behind) and
  // others.
  const auto some_key = [&] {
    std::string key(1, "gx"[number(2)]);
    key += std::string(16, static_cast<char>('a' + number(6)));
    if (key[0] == 'x') key += std::to_string(number(20));
    return number(8) == 0 ? key.substr(0, 1 + number(16)) : key;
  };
  std::map<std::string, std::map<std::string, std::string>> truth;
  auto store = Store::Open(*posix, dir, Epoch{0}, {.table_bytes_min = 20'000});
  ASSERT_TRUE(store.ok());
  for (int64_t epoch = 1; epoch <= 60; ++epoch) {
    Delta delta;
    for (int i = number(1500); i >= 0; --i) {
      const std::string space = number(2) == 0 ? "s" : "op/t", key = some_key();
      if (number(4) == 0) {
        delta.Erase(space, key);
        truth[space].erase(key);
      } else {
        delta.Put(space, key, fmt::format("{} {}", epoch, i));
        truth[space][key] = fmt::format("{} {}", epoch, i);
      }
    }
    if (number(8) == 0) {
      delta.Clear("s");
      truth["s"].clear();
      for (int i = number(30); i > 0; --i) {
        const std::string key = some_key();
        delta.Put("s", key, "after");
        truth["s"][key] = "after";
      }
    }
    ASSERT_TRUE(delta.Write(*posix, dir, Epoch{epoch}).ok());
    ASSERT_TRUE((*store)->ApplyBehind(std::move(delta), Epoch{epoch}).ok());
    for (int i = 0; i < 20; ++i) {
      const std::string space = std::array{"s", "op/t", "op/u"}[number(3)];
      const std::string a = some_key(), b = some_key();
      const std::string_view keys[] = {a, b};
      const auto got = (*store)->GetMany(space, keys);
      ASSERT_TRUE(got.ok());
      for (int k = 0; k < 2; ++k) {
        const auto known = truth[space].find(std::string(keys[k]));
        ASSERT_EQ((*got)[k].has_value(), known != truth[space].end()) << keys[k];
        if ((*got)[k]) {
          ASSERT_EQ(*(*got)[k], known->second) << keys[k];
        }
      }
      std::string prefix = some_key();
      if (number(3) == 0) prefix.resize(std::min<size_t>(prefix.size(), 17));
      if (number(6) == 0) prefix.resize(static_cast<size_t>(number(2)));
      // All of it, or from a place on, or back from there.
      const int way = number(3);
      std::string place = some_key();
      place = way > 0 && place.starts_with(prefix) ? place.substr(prefix.size()) : "";
      std::vector<std::string> seen, wanted;
      const size_t enough = number(4) == 0 ? 2 : 1 << 30;
      const auto visit = [&](std::string_view key, std::string_view value) {
        seen.push_back(fmt::format("{}={}", key, value));
        return seen.size() < enough;
      };
      ASSERT_TRUE((way < 2 ? (*store)->ScanFrom(space, prefix, place, visit)
                           : (*store)->ScanBack(space, prefix, place, visit))
                      .ok());
      for (const auto& [key, value] : truth[space]) {
        if (key.starts_with(prefix) &&
            (way < 2 ? key >= prefix + place : key < prefix + place))
          wanted.push_back(fmt::format("{}={}", key, value));
      }
      if (way == 2) std::reverse(wanted.begin(), wanted.end());
      wanted.resize(std::min(wanted.size(), enough));
      ASSERT_EQ(seen, wanted) << "epoch " << epoch << ", prefix " << prefix << ", way "
                              << way << ", place " << place;
    }
  }
  store->reset();  // its threads remove files of their own
}

// 40 epochs with flushes by count and by hand, a reopening in between.
void Workload(io::Io& io) {
  int64_t epoch = 0;
  for (int round = 0; round < 2; ++round) {
    auto store = Store::Open(
        io, "state", Epoch{epoch},
        {.write_buffer_bytes = 20'000, .table_bytes_min = 1'400, .deterministic = true});
    ASSERT_TRUE(store.ok()) << store.error().message;
    for (int i = 0; i < 20; ++i) {
      Delta delta;
      const int keys = i % 3 == 0 ? 120 : 50;  // of a third a table is made
      for (int key = 0; key < keys; ++key)
        delta.Put("s", fmt::format("{}", (epoch * 31 + key) % 997),
                  fmt::format("value {}", epoch));
      delta.Erase("s", fmt::format("{}", epoch));
      if (epoch == 25) delta.Clear("other");
      ++epoch;
      ASSERT_TRUE(delta.Write(io, "state", Epoch{epoch}).ok());
      ASSERT_TRUE((*store)->Apply(delta, Epoch{epoch}).ok());
      if (epoch % 7 == 0) {
        ASSERT_TRUE((*store)->Flush().ok());
      }
    }
  }
}

// Verified here: kind, path and byte count of every write, sync, rename and removal, in
// order, over opening, applying, flushing, closing and recovering.
TEST_F(StoreTest, DeterministicRunsDoTheSameOperationsInTheSameOrder) {
  std::vector<std::string> first;
  for (int run = 0; run < 10; ++run) {
    io::SimIo sim;
    RecordingIo io(sim);
    Workload(io);
    if (run == 0) first = io.operations;
    ASSERT_EQ(io.operations, first) << "run " << run;
  }
  EXPECT_GT(first.size(), 300u);
}

TEST_F(StoreTest, RocksDbMakesNoFilesBesideIo) {
  const io::TempFolder folder;
  const std::string& root = folder.path();
  const auto posix = io::NewPosixIo();
  RecordingIo io(*posix);
  const std::string dir = io::Join(root, "state");
  {
    auto store = Store::Open(io, dir, Epoch{0}, {});
    ASSERT_TRUE(store.ok()) << store.error().message;
    const Delta delta = PutOne("s", "a", "1");
    ASSERT_TRUE(delta.Write(io, dir, Epoch{1}).ok());
    ASSERT_TRUE((*store)->Apply(delta, Epoch{1}).ok());
    ASSERT_TRUE((*store)->Flush().ok());
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::string path = entry.path().string();
    EXPECT_FALSE(io::BaseName(path).starts_with("LOG") || io::BaseName(path) == "LOCK")
        << path;
    if (!entry.is_regular_file()) continue;
    EXPECT_TRUE(std::any_of(io.operations.begin(), io.operations.end(),
                            [&](const std::string& operation) {
                              return operation == "open " + path ||
                                     (operation.starts_with("rename") &&
                                      operation.ends_with(" " + path));
                            }))
        << path << " came into being without io";
  }
}

// What a later Weir wrote is not guessed at; who opens it rebuilds it from the tables.
TEST_F(StoreTest, RefusesAFormatItDoesNotKnow) {
  const io::TempFolder folder;
  const std::string& root = folder.path();
  const auto io = io::NewPosixIo();
  const std::string dir = io::Join(root, "state");
  {
    auto store = Store::Open(*io, dir, Epoch{0}, {});
    ASSERT_TRUE(store.ok()) << store.error().message;
    const Delta delta = PutOne("s", "a", "1");
    ASSERT_TRUE(delta.Write(*io, dir, Epoch{1}).ok());
    ASSERT_TRUE((*store)->Apply(delta, Epoch{1}).ok());
    ASSERT_TRUE((*store)->Flush().ok());
  }
  {
    rocksdb::DB* db = nullptr;
    const auto opened = rocksdb::DB::Open({}, io::Join(dir, "rocks"), &db);
    ASSERT_TRUE(opened.ok()) << opened.ToString();
    const std::unique_ptr<rocksdb::DB> later(db);
    ASSERT_TRUE(later->Put({}, std::string("\0format", 7), "9").ok());
  }
  const auto store = Store::Open(*io, dir, Epoch{1}, {});
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code, Code::kCorrupt);
  EXPECT_THAT(store.error().message, testing::HasSubstr("written in format 9"));
}

// Four epochs with two flushes. Returns how many were committed: their delta was durable.
int64_t RunUntilThePowerGoes(io::Io& io, const StoreOptions& options) {
  int64_t committed = 0;
  auto store = Store::Open(io, "state", Epoch{0}, options);
  if (!store.ok()) return 0;
  while (committed < 4) {
    Delta delta;
    delta.Put("s", fmt::format("k{}", committed + 1), "v");
    delta.Put("s", "epoch", std::to_string(committed + 1));
    if (committed % 2 == 0) delta.Put("t", "", std::string(100, 'x'));
    if (!delta.Write(io, "state", Epoch{committed + 1}).ok()) return committed;
    ++committed;
    if (!(*store)->Apply(delta, Epoch{committed}).ok()) return committed;
    if (committed % 2 == 0 && !(*store)->Flush().ok()) return committed;
  }
  return committed;
}

class StoreCrashTest : public StoreTest, public testing::WithParamInterface<int64_t> {};
// The least bytes of a delta that becomes a table: none does, every second one, all.
INSTANTIATE_TEST_SUITE_P(, StoreCrashTest, testing::Values(1 << 20, 100, 0));

TEST_P(StoreCrashTest, HoldsTheCommittedEpochsWhereverThePowerIsCut) {
  const StoreOptions options{.table_bytes_min = GetParam(), .deterministic = true};
  uint64_t seed = 0;
  using enum io::AfterCut;
  for (const io::AfterCut mode :
       {kDropUnsynced, kKeepAll, kRandom, kRandom, kRandom, kRandom}) {
    ++seed;
    for (uint64_t cut = 0;; ++cut) {
      io::SimIo io({.cut_power_after = cut});
      const int64_t committed = RunUntilThePowerGoes(io, options);
      if (!io.power_is_off()) break;
      const std::string when = fmt::format("cut after operation {} ({}), mode {}", cut,
                                           io.last_operation(), static_cast<int>(mode));
      io.PowerOn(seed * 1000 + cut, mode);
      auto store = Store::Open(io, "state", Epoch{committed}, options);
      ASSERT_TRUE(store.ok()) << when << ": " << store.error().message;
      std::string expected;
      if (committed > 0) expected = fmt::format("epoch={}", committed);
      for (int64_t i = 1; i <= committed; ++i) expected += fmt::format(" k{}=v", i);
      ASSERT_EQ(Rows(**store, "s"), expected) << when;
      WriteAndApplyOn(io, **store, committed + 1);
    }
  }
}

// ------------------------------------------------------------------ owners

// What an owner before the takeover could commit; afterwards nothing of it counts.
struct Truth {
  int64_t committed = 0;
  bool taken_over = false;

  std::string Rows() const {
    std::string rows = committed > 0 ? fmt::format("epoch={}", committed) : "";
    for (int64_t i = 1; i <= committed; ++i) rows += fmt::format(" k{}=v", i);
    return rows;
  }
};

Result<std::unique_ptr<Store>> OpenAs(io::Io& io, int64_t owner, int64_t committed,
                                      int64_t alive = -1) {
  StoreOptions options{.deterministic = true, .owner = owner};
  options.may_live = [alive](int64_t other) { return other == alive; };
  return Store::Open(io, "state", Epoch{committed}, options);
}

// Writes, commits and applies one epoch.
Status OneEpoch(io::Io& io, Store& store, Truth& truth, bool is_owner) {
  const int64_t epoch = store.applied().value + 1;
  Delta delta;
  delta.Put("s", fmt::format("k{}", epoch), is_owner ? "v" : "never");
  delta.Put("s", "epoch", std::to_string(epoch));
  WEIR_TRY(io.CreateDirs(io::Join(store.dir(), "ids")));
  const std::string run = io::Join(store.dir(), fmt::format("ids/run-{}", epoch));
  static_cast<void>(io.Remove(run).ok());  // of an epoch that was not committed
  WEIR_TRY(io.WriteNew(run, "run"));
  WEIR_TRY(io.SyncDir(io::Join(store.dir(), "ids")));
  WEIR_TRY(delta.Write(io, store.dir(), Epoch{epoch}));
  if (is_owner) truth.committed = epoch;
  return store.Apply(delta, Epoch{epoch});
}

// The life of owner 2. It believes to be the owner to its end, so it even applies what it
// could not commit: nothing of that may reach the next owner.
void OldLife(io::Io& io, Truth& truth) {
  auto store = OpenAs(io, 2, truth.committed);
  if (!store.ok()) return;
  for (int i = 0; i < 4; ++i) {
    if (!OneEpoch(io, **store, truth, !truth.taken_over).ok()) return;
    if (i % 2 == 1 && !(*store)->Flush().ok()) return;
  }
}

void Begin(io::Io& io, int64_t owner, Truth& truth) {
  auto store = OpenAs(io, owner, 0);
  ASSERT_TRUE(store.ok()) << store.error().message;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(OneEpoch(io, **store, truth, true).ok());
    if (i == 1) {
      ASSERT_TRUE((*store)->Flush().ok());
    }
  }
}

void ExpectRows(io::Io& io, int64_t owner, const Truth& truth, const std::string& where) {
  const auto store = OpenAs(io, owner, truth.committed);
  ASSERT_TRUE(store.ok()) << where << ": " << store.error().message;
  std::string rows;
  ASSERT_TRUE((*store)
                  ->Scan("s", "",
                         [&](std::string_view key, std::string_view value) {
                           rows += fmt::format("{}{}={}", rows.empty() ? "" : " ", key,
                                               value);
                           return true;
                         })
                  .ok());
  ASSERT_EQ(rows, truth.Rows()) << where;
  for (int64_t epoch = 1; epoch <= truth.committed; ++epoch)
    ASSERT_TRUE(io.Exists(io::Join((*store)->dir(), fmt::format("ids/run-{}", epoch))))
        << where;
}

TEST(StoreOwnerTest, TheNextOwnerOfADeadOneGetsItsFolder) {
  io::SimIo io;
  Truth truth;
  Begin(io, 1, truth);
  ExpectRows(io, 2, truth, "owner 2");
  EXPECT_THAT(*io.List("state"), ElementsAre("owner-2"));
}

TEST(StoreOwnerTest, AStoreOfBeforeOwnersWereCountedIsTakenOver) {
  io::SimIo io;
  Truth truth;
  Begin(io, 0, truth);
  EXPECT_THAT(*io.List("state"), ElementsAre("delta-3", "ids", "rocks"));
  ExpectRows(io, 1, truth, "owner 1");
  EXPECT_THAT(*io.List("state"), ElementsAre("owner-1"));
}

TEST(StoreOwnerTest, TheFolderOfAnOwnerThatMayLiveStaysUntilItIsGone) {
  io::SimIo io;
  Truth truth;
  Begin(io, 1, truth);
  {
    const auto store = OpenAs(io, 2, truth.committed, /*alive=*/1);
    ASSERT_TRUE(store.ok()) << store.error().message;
    EXPECT_THAT(*io.List("state"), ElementsAre("owner-1", "owner-2"));
  }
  ExpectRows(io, 3, truth, "owner 3");
  EXPECT_THAT(*io.List("state"), ElementsAre("owner-3"));
}

// Owner 2 is stopped before each of its calls, owner 3 takes over and commits, owner 2
// goes on to its end, owner 3 commits more; then owner 4 opens, on what a power cut left
// too.
TEST(StoreOwnerTest, AnOwnerThatWakesAfterATakeoverAtAnyCallChangesNothing) {
  uint64_t calls = 0;
  {
    io::SimIo io;
    Truth truth;
    Begin(io, 1, truth);
    io::HookedIo hooked(io, UINT64_MAX, [] {});
    OldLife(hooked, truth);
    calls = hooked.calls();
    ASSERT_EQ(truth.committed, 7);
  }
  ASSERT_GT(calls, 100u);
  for (uint64_t at = 0; at < calls; ++at) {
    io::SimIo io;
    Truth truth;
    Begin(io, 1, truth);
    std::unique_ptr<Store> next;
    io::HookedIo hooked(io, at, [&] {
      truth.taken_over = true;
      auto opened = OpenAs(io, 3, truth.committed, /*alive=*/2);
      ASSERT_TRUE(opened.ok()) << "call " << at << ": " << opened.error().message;
      next = *std::move(opened);
      ASSERT_TRUE(OneEpoch(io, *next, truth, true).ok());
      if (at % 2 == 0) {
        ASSERT_TRUE(next->Flush().ok());
      }
    });
    OldLife(hooked, truth);
    const std::string where =
        fmt::format("stopped before call {} ({})", at, hooked.stopped_before());
    ASSERT_NE(next, nullptr) << where;
    ASSERT_TRUE(OneEpoch(io, *next, truth, true).ok()) << where;
    const auto survivor = io.Survivor(at, io::AfterCut::kDropUnsynced);
    next.reset();
    ExpectRows(io, 4, truth, where);
    ExpectRows(*survivor, 4, truth, "after a power cut, " + where);
    if (HasFatalFailure()) return;
  }
}

// A copy to look at, made before each call of an owner at work, has what is committed
// then, and costs the owner nothing.
TEST(StoreOwnerTest, ACopyHasWhatIsCommittedAtAnyCallOfTheOwner) {
  uint64_t calls = 0;
  for (uint64_t at = UINT64_MAX; calls == 0 || at < calls; ++at) {
    io::SimIo io;
    Truth truth;
    Begin(io, 1, truth);
    io::HookedIo hooked(io, at, [&] {
      const auto copy =
          Store::OpenCopy(io, "state", "tmp/copy",
                          [&]() -> Result<Epoch> { return Epoch{truth.committed}; },
                          {.deterministic = true});
      ASSERT_TRUE(copy.ok()) << "call " << at << ": " << copy.error().message;
      std::string rows;
      ASSERT_TRUE((*copy)
                      ->Scan("s", "",
                             [&](std::string_view key, std::string_view value) {
                               rows += fmt::format("{}{}={}", rows.empty() ? "" : " ",
                                                   key, value);
                               return true;
                             })
                      .ok());
      ASSERT_EQ(rows, truth.Rows()) << "call " << at;
    });
    OldLife(hooked, truth);
    ASSERT_EQ(truth.committed, 7) << "call " << at;
    ASSERT_TRUE(RemoveTree(io, "tmp/copy").ok());
    ExpectRows(io, 3, truth, fmt::format("copied before call {}", at));
    if (HasFatalFailure()) return;
    calls = hooked.calls();
  }
  EXPECT_GT(calls, 100u);
}

TEST(StoreOwnerTest, ACopyOfNothingSaysSo) {
  io::SimIo io;
  const auto committed = []() -> Result<Epoch> { return Epoch{0}; };
  ASSERT_TRUE(io.CreateDirs("state").ok());
  const auto copy =
      Store::OpenCopy(io, "state", "tmp/copy", committed, {.deterministic = true});
  ASSERT_FALSE(copy.ok());
  EXPECT_EQ(copy.error().code, Code::kNotFound) << copy.error().message;
}

// The takeover itself under power cuts, of a dead owner (its folder is moved) and of one
// that may live (it is copied).
TEST(StoreOwnerTest, ATakeoverIsWholeWhereverThePowerIsCut) {
  for (const int64_t alive : {-1, 1}) {
    for (uint64_t cut = 0;; ++cut) {
      io::SimIo io;
      Truth truth;
      Begin(io, 1, truth);
      io.SetFaults({.cut_power_after = cut});
      {
        auto store = OpenAs(io, 2, truth.committed, alive);
        if (store.ok()) {
          static_cast<void>(OneEpoch(io, **store, truth, false).ok());
          truth.committed = 3;
        }
      }
      if (!io.power_is_off()) break;
      for (const auto mode :
           {io::AfterCut::kDropUnsynced, io::AfterCut::kKeepAll, io::AfterCut::kRandom}) {
        const std::string where =
            fmt::format("cut after operation {} ({}), mode {}, owner {} lives", cut,
                        io.last_operation(), static_cast<int>(mode), alive);
        ExpectRows(*io.Survivor(cut, mode), 3, truth, where);
        if (HasFatalFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace weir::state
