// Which files a source has, in the order they are read, and how far each partition has
// read them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "io/io.h"
#include "log/journal.h"

namespace weir::ingest {

// Partitions of one server's files are numbered below this.
inline constexpr int kFilePartitionsMax = 1000;

// A discovered file. Its identity is path + size + checksum; the ordinal is its place in
// the source's journalled order.
struct SourceFile {
  int64_t ordinal = 0;
  int partition = 0;
  std::string path;
  uint64_t size = 0;
  Micros modified = 0;
  uint64_t checksum = 0;
  Micros found = kNoTime;  // when it was discovered; unknown of files found long ago
};

// Why a file did not enter as a whole.
struct Quarantine {
  int64_t rows = 0, refused = 0;  // in it; of these refused by the contract one by one
  std::string check, actual;      // see GateFailure
};

// A location: a folder, a glob of the last path part, or a pattern with {partition}:
// "data/events-{partition}.ndjson". A folder means the files whose names end as those of
// its format do: *.ndjson, *.jsonl, *.json; *.csv, *.tsv, and their .gz and .zst forms;
// *.parquet.
class FilePattern {
 public:
  static Result<FilePattern> Parse(const std::string& location,
                                   std::string_view format = "ndjson");
  // The partition of a file of this name; -1: not one of ours. Names that begin with . or
  // _ and names ending in .tmp or .part never are.
  int PartitionOf(std::string_view name) const;
  const std::string& dir() const { return dir_; }
  bool literal() const { return literal_; }  // names one file
  const std::string& name() const { return pattern_; }
  std::string endings() const;  // of the format, for messages

 private:
  bool IsRecordFile(std::string_view name) const;

  std::string dir_, pattern_;
  std::string format_;
  bool literal_ = false;
};

// The files of one source. Used by its thread only.
class FileCatalog {
 public:
  // `journal` holds "file" entries {source, server, ordinal, partition, path, size,
  // modified, checksum, found}, and "quarantine" entries {source, server, ordinal, rows,
  // refused, check, actual}. `server` is the place in the contract of the one whose files
  // these are.
  FileCatalog(io::Io& io, std::string source, FilePattern pattern, int server = 0)
      : io_(io),
        source_(std::move(source)),
        server_(server),
        pattern_(std::move(pattern)) {}

  // One entry of the journal, at start, in order.
  Status Replay(const log::Journal::Entry& entry);

  struct ScanResult {
    std::vector<SourceFile> added;     // by name; already given ordinals; the caller
                                       // journals them before reading
    std::vector<std::string> changed;  // paths read earlier that hold other content now
    std::vector<std::string> not_regular;  // folders, FIFOs … whose names match
    struct Unreadable {
      std::string path, error;
    };
    std::vector<Unreadable> unreadable;  // told once as long as the error is the same
    bool waiting = false;  // files were left alone because they are not quiet yet
  };
  // One file that cannot be read stops no other. `quiet`: a file counts, and one that was
  // read is compared with what it was, only when size and mtime have stood still for so
  // long; 0: all count. What stands as it stood is read once, however often it is looked
  // at. Errors: kUnavailable (no descriptors left …); then nothing was added.
  Result<ScanResult> Scan(Micros now, Micros quiet);
  std::string JournalText(const SourceFile& file) const;
  std::string JournalText(int64_t ordinal, const Quarantine& quarantine) const;

  // Other content under the path of a quarantined file is a new file: nothing of the old
  // one entered.
  void SetQuarantined(int64_t ordinal, Quarantine quarantine) {
    quarantined_[ordinal] = std::move(quarantine);
  }
  // Null: it is not.
  const Quarantine* QuarantineOf(int64_t ordinal) const {
    const auto found = quarantined_.find(ordinal);
    return found == quarantined_.end() ? nullptr : &found->second;
  }

  const std::vector<SourceFile>& files() const { return files_; }

 private:
  void TellUnreadable(const std::string& path, const std::string& error, ScanResult* out);
  struct Seen {
    uint64_t size;
    Micros modified, since;
  };

  io::Io& io_;
  const std::string source_;
  const int server_;
  const FilePattern pattern_;
  std::vector<SourceFile> files_;
  std::map<std::string, size_t> by_path_;
  std::map<int64_t, Quarantine> quarantined_;  // by ordinal
  std::map<std::string, Seen> unsettled_;
  std::map<std::string, Seen> compared_;  // files read earlier, since they were touched
  std::map<std::string, uint64_t> reported_;  // changed files told about, by checksum
  std::map<std::string, std::string> unreadable_;  // told about, by error
};

// Whether `file` still holds what was found: by size and modification time, else by the
// checksum of as many bytes as it had. kNotFound: it is gone; kCorrupt: it does not;
// kInvalid: it cannot be read.
Status CheckUnchanged(io::Io& io, const SourceFile& file);

}  // namespace weir::ingest
