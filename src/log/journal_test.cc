#include "log/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/sim_io.h"

namespace weir::log {
namespace {

using io::SimIo;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;

std::vector<std::string> Show(Journal& journal, int64_t from = 1) {
  std::vector<std::string> lines;
  const Status status = journal.Read(from, [&](const Journal::Entry& entry) -> Status {
    lines.push_back(fmt::format("{} {} {}", entry.number, entry.kind, entry.json));
    return {};
  });
  if (!status.ok()) lines.push_back(status.error().message);
  return lines;
}

TEST(JournalTest, EntriesAreNumberedFromOneAndComeBackInOrder) {
  SimIo io;
  {
    auto journal = *Journal::Open(io, "journal");
    EXPECT_EQ(journal->last(), 0);
    EXPECT_EQ(*journal->Append("file", R"({"path":"a"})"), 1);
    EXPECT_EQ(*journal->Append("cut", "{}"), 2);
    ASSERT_TRUE(journal->Sync().ok());
  }
  auto journal = *Journal::Open(io, "journal");
  EXPECT_EQ(journal->last(), 2);
  EXPECT_EQ(*journal->Append("idle", ""), 3);
  ASSERT_TRUE(journal->Sync().ok());
  EXPECT_THAT(Show(*journal),
              ElementsAre(R"(1 file {"path":"a"})", "2 cut {}", "3 idle "));
  EXPECT_THAT(Show(*journal, 3), ElementsAre("3 idle "));
  EXPECT_FALSE(journal->Append("", "{}").ok());
}

TEST(JournalTest, SyncedEntriesSurviveEveryCut) {
  const auto live = [](io::Io& io) {
    std::vector<std::string> acked, pending;
    auto journal = Journal::Open(io, "journal");
    for (int i = 1; journal.ok() && i <= 20; ++i) {
      if (!(*journal)->Append("cut", std::to_string(i)).ok()) break;
      pending.push_back(fmt::format("{} cut {}", i, i));
      if (i % 3 == 0) continue;
      if (!(*journal)->Sync().ok()) break;
      acked.insert(acked.end(), pending.begin(), pending.end());
      pending.clear();
    }
    return acked;
  };
  SimIo whole;
  const std::vector<std::string> all = live(whole);
  const auto survivor = whole.Survivor(0, io::AfterCut::kDropUnsynced);
  const auto synced = Journal::Open(*survivor, "journal");
  ASSERT_TRUE(synced.ok());
  ASSERT_EQ(Show(**synced), all);
  for (uint64_t cut = 0; cut <= whole.operations(); ++cut) {
    SimIo io({.cut_power_after = cut});
    const std::vector<std::string> acked = live(io);
    io.PowerOn(cut, io::AfterCut::kRandom);
    auto journal = Journal::Open(io, "journal");
    ASSERT_TRUE(journal.ok()) << "cut after operation " << cut;
    const auto found = Show(**journal);
    ASSERT_GE(found.size(), acked.size()) << "cut after operation " << cut;
    ASSERT_THAT(found, ElementsAreArray(std::span(all).first(found.size())))
        << "cut after operation " << cut;
  }
}

TEST(JournalTest, DamageInTheMiddleIsNamed) {
  SimIo io;
  {
    auto journal = *Journal::Open(io, "journal");
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(journal->Append("cut", "{}").ok());
      ASSERT_TRUE(journal->Sync().ok());
    }
  }
  ASSERT_TRUE(io.FlipBit("journal/00000000000000000000.log", 40, 1).ok());
  auto journal = *Journal::Open(io, "journal");
  EXPECT_THAT(Show(*journal), ElementsAre(HasSubstr("at byte 32: bad checksum")));
  EXPECT_THAT(Show(*journal, 2), ElementsAre("2 cut {}", "3 cut {}"));
}

}  // namespace
}  // namespace weir::log
