#include "io/io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "io/sim_io.h"
#include "io/temp_folder.h"

namespace weir::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class PosixIoTest : public testing::Test {
 protected:
  std::string Path(std::string_view name) { return Join(dir_, name); }

  const TempFolder folder_;
  const std::string dir_ = folder_.path();
  const std::unique_ptr<Io> io_ = NewPosixIo();
};

// What both implementations promise.
class IoTest : public testing::TestWithParam<const char*> {
 protected:
  IoTest() {
    if (GetParam() == std::string_view("Sim")) io_ = std::make_unique<SimIo>();
    EXPECT_TRUE(io_->CreateDirs(dir_).ok());
  }
  std::string Path(std::string_view name) { return Join(dir_, name); }
  std::unique_ptr<File> Create(std::string_view name) {
    return *io_->Open(Path(name), OpenMode::kCreateNew);
  }

  const TempFolder folder_;
  const std::string dir_ = folder_.path();
  std::unique_ptr<Io> io_ = NewPosixIo();
};
INSTANTIATE_TEST_SUITE_P(, IoTest, testing::Values("Posix", "Sim"),
                         [](const auto& info) { return info.param; });

template <class T>
Code CodeOf(const Result<T>& result) {
  return result.ok() ? Code::kInternal : result.error().code;
}

TEST_P(IoTest, WritesAppendsAndReadsBack) {
  auto file = Create("a");
  ASSERT_TRUE(file->Append("hello").ok());
  ASSERT_TRUE(file->Append(" world").ok());
  ASSERT_TRUE(file->WriteAt(0, "J").ok());
  ASSERT_TRUE(file->Truncate(10).ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(*file->Size(), 10u);
  char buffer[100];
  EXPECT_EQ(*file->ReadAt(6, sizeof(buffer), buffer), 4u);
  EXPECT_EQ(std::string_view(buffer, 4), "worl");
  EXPECT_EQ(*io_->ReadAll(Path("a")), "Jello worl");
}

TEST_P(IoTest, AppendGoesToTheEndThatAnotherFileMoved) {
  auto one = Create("a");
  auto two = *io_->Open(Path("a"), OpenMode::kReadWrite);
  ASSERT_TRUE(one->Append("one ").ok());
  ASSERT_TRUE(two->Append("two ").ok());
  ASSERT_TRUE(one->Append("three").ok());
  EXPECT_EQ(*io_->ReadAll(Path("a")), "one two three");
}

TEST_P(IoTest, ErrorsSayWhatTheCallerCanDo) {
  ASSERT_TRUE(io_->CreateDirs(Path("folder/inner")).ok());
  ASSERT_TRUE(io_->WriteNew(Path("file"), "x").ok());
  EXPECT_EQ(CodeOf(io_->Open(Path("missing"), OpenMode::kRead)), Code::kNotFound);
  EXPECT_EQ(CodeOf(io_->Open(Path("missing"), OpenMode::kReadWrite)), Code::kNotFound);
  EXPECT_EQ(CodeOf(io_->Open(Path("file"), OpenMode::kCreateNew)), Code::kConflict);
  EXPECT_EQ(CodeOf(io_->Open(Path("folder"), OpenMode::kRead)), Code::kInvalid);
  EXPECT_EQ(CodeOf(io_->Open(Path("folder"), OpenMode::kReadWrite)), Code::kInvalid);
  EXPECT_EQ(CodeOf(io_->Rename(Path("file"), Path("folder"))), Code::kInvalid);
  EXPECT_EQ(CodeOf(io_->Rename(Path("folder"), Path("folder/inner/x"))), Code::kInvalid);
  EXPECT_EQ(CodeOf((*io_->Open(Path("file"), OpenMode::kRead))->WriteAt(0, "y")),
            Code::kInvalid);
  EXPECT_EQ(CodeOf(io_->Open(Path("missing/file"), OpenMode::kCreate)), Code::kNotFound);
  EXPECT_EQ(CodeOf(io_->Open(Path("file/inner"), OpenMode::kCreate)), Code::kInvalid);
  EXPECT_EQ(CodeOf(io_->WriteNew(Path("file"), "y")), Code::kConflict);
  EXPECT_EQ(CodeOf(io_->CreateDirs(Path("file"))), Code::kInvalid);
  EXPECT_EQ(CodeOf(io_->CreateDirs(Path("file/inner"))), Code::kInvalid);
  EXPECT_EQ(CodeOf(io_->Remove(Path("folder"))), Code::kConflict);
  EXPECT_EQ(CodeOf(io_->Remove(Path("missing"))), Code::kNotFound);
  EXPECT_EQ(CodeOf(io_->Rename(Path("missing"), Path("b"))), Code::kNotFound);
  EXPECT_EQ(CodeOf(io_->List(Path("missing"))), Code::kNotFound);
  EXPECT_EQ(CodeOf(io_->Stat(Path("missing"))), Code::kNotFound);
  EXPECT_EQ(CodeOf(io_->SyncDir(Path("missing"))), Code::kNotFound);
  EXPECT_THAT(io_->Stat(Path("missing")).error().message,
              HasSubstr("stat " + Path("missing") + ": "));
  EXPECT_EQ(*io_->ReadAll(Path("file")), "x");
}

TEST_F(PosixIoTest, NoDescriptorsLeftIsUnavailable) {
  rlimit old;
  getrlimit(RLIMIT_NOFILE, &old);
  rlimit tight{.rlim_cur = 0, .rlim_max = old.rlim_max};
  setrlimit(RLIMIT_NOFILE, &tight);
  const auto opened = io_->Open(Path("a"), OpenMode::kCreate);
  setrlimit(RLIMIT_NOFILE, &old);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::kUnavailable);
}

TEST_F(PosixIoTest, AFullDiskIsUnavailable) {
  auto file = *io_->Open("/dev/full", OpenMode::kReadWrite);
  EXPECT_EQ(file->WriteAt(0, "x").error().code, Code::kUnavailable);
}

TEST_F(PosixIoTest, AFailedSyncMakesTheFileDead) {
  auto file = *io_->Open("/dev/full", OpenMode::kReadWrite);  // a device cannot be synced
  EXPECT_EQ(file->Sync().error().code, Code::kUnavailable);
  char byte;
  EXPECT_FALSE(file->ReadAt(0, 1, &byte).ok());
  EXPECT_FALSE(file->WriteAt(0, "x").ok());
  EXPECT_FALSE(file->Append("x").ok());
  EXPECT_FALSE(file->Truncate(0).ok());
  EXPECT_FALSE(file->Size().ok());
  EXPECT_THAT(file->Sync().error().message, HasSubstr("an earlier sync failed"));
}

TEST_P(IoTest, RenameReplacesAndListIsSorted) {
  ASSERT_TRUE(io_->WriteNew(Path("b"), "old").ok());
  ASSERT_TRUE(io_->WriteNew(Path("c"), "new").ok());
  ASSERT_TRUE(io_->CreateDirs(Path("a")).ok());
  ASSERT_TRUE(io_->Rename(Path("c"), Path("b")).ok());
  ASSERT_TRUE(io_->SyncDir(dir_).ok());
  EXPECT_EQ(*io_->ReadAll(Path("b")), "new");
  EXPECT_THAT(*io_->List(dir_), ElementsAre("a", "b"));
  ASSERT_TRUE(io_->Remove(Path("a")).ok());
  EXPECT_THAT(*io_->List(dir_), ElementsAre("b"));
}

TEST_P(IoTest, ALinkIsASecondNameThatOutlivesTheFirst) {
  ASSERT_TRUE(io_->WriteNew(Path("a"), "bytes").ok());
  ASSERT_TRUE(io_->Link(Path("a"), Path("b")).ok());
  EXPECT_EQ(io_->Link(Path("a"), Path("b")).error().code, Code::kConflict);
  EXPECT_EQ(io_->Link(Path("missing"), Path("c")).error().code, Code::kNotFound);
  ASSERT_TRUE((*io_->Open(Path("a"), OpenMode::kReadWrite))->Append("!").ok());
  ASSERT_TRUE(io_->Remove(Path("a")).ok());
  EXPECT_EQ(*io_->ReadAll(Path("b")), "bytes!");
}

TEST_P(IoTest, ReplaceAtomicallyLeavesOnlyTheNewFileAndSurvivesAnOldTemporary) {
  ASSERT_TRUE(io_->WriteNew(Path("current.tmp"), "left by a crash").ok());
  ASSERT_TRUE(io_->ReplaceAtomically(Path("current"), "1").ok());
  ASSERT_TRUE(io_->ReplaceAtomically(Path("current"), "2").ok());
  EXPECT_EQ(*io_->ReadAll(Path("current")), "2");
  EXPECT_THAT(*io_->List(dir_), ElementsAre("current"));
}

TEST_P(IoTest, StatTellsWhatItIs) {
  ASSERT_TRUE(io_->WriteNew(Path("a"), "abc").ok());
  const FileInfo file = *io_->Stat(Path("a"));
  EXPECT_TRUE(file.is_regular);
  EXPECT_FALSE(file.is_dir);
  EXPECT_EQ(file.size, 3u);
  EXPECT_TRUE(io_->Stat(dir_)->is_dir);
  EXPECT_FALSE(io_->Stat(dir_)->is_regular);
}

TEST_F(PosixIoTest, APipeIsNoFileAndOpeningItDoesNotWait) {
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_FALSE(io_->Stat(Path("pipe"))->is_regular);
  EXPECT_EQ(CodeOf(io_->Open(Path("pipe"), OpenMode::kRead)), Code::kInvalid);
}

TEST_F(PosixIoTest, StatTellsWhenAFileWasModified) {
  ASSERT_TRUE(io_->WriteNew(Path("a"), "abc").ok());
  EXPECT_NEAR(io_->Stat(Path("a"))->modified, SystemClock().Now(), 60'000'000);
}

TEST_P(IoTest, LocksOfTwoFilesConflictInOneProcess) {
  auto one = Create("a");
  auto two = *io_->Open(Path("a"), OpenMode::kReadWrite);
  using Kind = File::LockKind;
  ASSERT_TRUE(one->LockRange(Kind::kShared, 0, 10).ok());
  EXPECT_TRUE(two->LockRange(Kind::kShared, 5, 10).ok());
  EXPECT_EQ(two->LockRange(Kind::kExclusive, 9, 1).error().code, Code::kConflict);
  EXPECT_TRUE(two->LockRange(Kind::kExclusive, 10, 1).ok());
  EXPECT_TRUE(*two->IsLockedByOther(0, 1));
  EXPECT_FALSE(*two->IsLockedByOther(10, 10));
  ASSERT_TRUE(one->LockRange(Kind::kNone, 0, 10).ok());
  EXPECT_TRUE(two->LockRange(Kind::kExclusive, 9, 1).ok());
  EXPECT_TRUE(*one->IsLockedByOther(9, 1));
  two.reset();
  EXPECT_FALSE(*one->IsLockedByOther(0, 20));
}

TEST_F(PosixIoTest, TraceHasALineForEveryChange) {
  {
    auto io = NewPosixIo(Path("trace"));
    ASSERT_TRUE(io->CreateDirs(Path("d")).ok());
    ASSERT_TRUE(io->WriteNew(Path("d/a"), "abc").ok());
    ASSERT_TRUE(io->Rename(Path("d/a"), Path("d/b")).ok());
    ASSERT_TRUE((*io->Open(Path("d/b"), OpenMode::kReadWrite))->Truncate(1).ok());
    ASSERT_TRUE(io->Remove(Path("d/b")).ok());
  }
  const std::string d = Path("d");
  EXPECT_EQ(*io_->ReadAll(Path("trace")),
            fmt::format("syncdir\t{2}\nmkdir\t{0}\nsyncdir\t{1}\nwrite\t{0}/"
                        "a\t3\nsync\t{0}/a\nrename\t{0}/a\t{0}/b\n"
                        "truncate\t{0}/b\t1\nremove\t{0}/b\n",
                        d, dir_, DirName(dir_)));
}

struct PathCase {
  const char *name, *path, *dir, *base;
};
class PathTest : public testing::TestWithParam<PathCase> {};
TEST_P(PathTest, SplitsIntoFolderAndName) {
  EXPECT_EQ(DirName(GetParam().path), GetParam().dir);
  EXPECT_EQ(BaseName(GetParam().path), GetParam().base);
}
INSTANTIATE_TEST_SUITE_P(, PathTest,
                         testing::Values(PathCase{"Nested", "a/b/c", "a/b", "c"},
                                         PathCase{"Alone", "c", ".", "c"},
                                         PathCase{"UnderRoot", "/c", "/", "c"},
                                         PathCase{"Root", "/", "/", "/"},
                                         PathCase{"TrailingSlash", "a/b/", "a", "b"},
                                         PathCase{"DoubleSlash", "a//b", "a", "b"}),
                         [](const auto& info) { return info.param.name; });

TEST(JoinTest, PutsOneSlashBetween) {
  EXPECT_EQ(Join("a/b", "c"), "a/b/c");
  EXPECT_EQ(Join("/", "c"), "/c");
  EXPECT_EQ(Join("", "c"), "c");
}

}  // namespace
}  // namespace weir::io
