#include "ingest/file_catalog.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "base/json.h"
#include "ingest/line_reader.h"

namespace weir::ingest {
namespace {

constexpr std::string_view kPartition = "{partition}";
constexpr std::string_view kJsonEndings[] = {".ndjson", ".jsonl", ".json"};
constexpr std::string_view kCsvEndings[] = {".csv", ".tsv"};

constexpr std::string_view kParquetEndings[] = {".parquet"};

std::span<const std::string_view> EndingsOf(std::string_view format) {
  if (format == "csv") return kCsvEndings;
  if (format == "parquet") return kParquetEndings;
  return kJsonEndings;
}

}  // namespace

bool FilePattern::IsRecordFile(std::string_view name) const {
  for (const std::string_view packed : {".gz", ".zst"}) {
    if (format_ != "parquet" && name.ends_with(packed)) name.remove_suffix(packed.size());
  }
  for (const std::string_view ending : EndingsOf(format_)) {
    if (name.ends_with(ending)) return true;
  }
  return false;
}

std::string FilePattern::endings() const {
  return fmt::format("{}", fmt::join(EndingsOf(format_), ", "));
}

Result<FilePattern> FilePattern::Parse(const std::string& location,
                                       std::string_view format) {
  FilePattern out;
  out.format_ = format;
  const std::string_view name = io::BaseName(location);
  const bool special = name.find_first_of("*?[{") != std::string_view::npos;
  const bool is_file = special || out.IsRecordFile(name);
  out.dir_ = is_file ? std::string(io::DirName(location)) : location;
  if (out.dir_.empty()) out.dir_ = ".";
  while (out.dir_.size() > 1 && out.dir_.back() == '/') out.dir_.pop_back();
  out.pattern_ = is_file ? std::string(name) : "";
  out.literal_ = is_file && !special;
  if (out.dir_.find_first_of("*?[{") != std::string::npos) {
    return Invalid(
        fmt::format("'{}': only the last part of a location may be a pattern", location));
  }
  return out;
}

int FilePattern::PartitionOf(std::string_view name) const {
  if (name.empty() || name[0] == '.' || name[0] == '_' || name.ends_with(".tmp") ||
      name.ends_with(".part"))
    return -1;
  if (pattern_.empty()) return IsRecordFile(name) ? 0 : -1;
  const size_t at = pattern_.find(kPartition);
  if (at == std::string::npos)
    return ::fnmatch(pattern_.c_str(), std::string(name).c_str(), 0) == 0 ? 0 : -1;
  // Tries each run of digits of the name as the partition number.
  const std::string before = pattern_.substr(0, at),
                    after = pattern_.substr(at + kPartition.size());
  for (size_t i = 0; i < name.size(); ++i) {
    size_t end = i;
    while (end < name.size() && end - i < 6 && name[end] >= '0' && name[end] <= '9')
      ++end;
    if (end == i) continue;
    const std::string with_number = before + std::string(name.substr(i, end - i)) + after;
    if (::fnmatch(with_number.c_str(), std::string(name).c_str(), 0) == 0)
      return std::stoi(std::string(name.substr(i, end - i)));
    i = end - 1;
  }
  return -1;
}

std::string FileCatalog::JournalText(const SourceFile& file) const {
  return nlohmann::json{{"source", source_},         {"server", server_},
                        {"ordinal", file.ordinal},   {"partition", file.partition},
                        {"path", file.path},         {"size", file.size},
                        {"modified", file.modified}, {"checksum", file.checksum},
                        {"found", file.found}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string FileCatalog::JournalText(int64_t ordinal,
                                     const Quarantine& quarantine) const {
  return nlohmann::json{{"source", source_},
                        {"server", server_},
                        {"ordinal", ordinal},
                        {"rows", quarantine.rows},
                        {"refused", quarantine.refused},
                        {"check", quarantine.check},
                        {"actual", quarantine.actual}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Status FileCatalog::Replay(const log::Journal::Entry& entry) {
  if (entry.kind != "file" && entry.kind != "quarantine") return {};
  const auto json = ParseJson(entry.json);
  SourceFile file;
  try {
    if (json.at("source").get_ref<const std::string&>() != source_) return {};
    // Entries of earlier versions do not tell their server.
    if (json.contains("server") && IntegerOf<int>(json.at("server")) != server_)
      return {};
    if (entry.kind == "quarantine") {
      SetQuarantined(
          IntegerOf<int64_t>(json.at("ordinal")),
          {IntegerOf<int64_t>(json.at("rows")), IntegerOf<int64_t>(json.at("refused")),
           json.at("check").get<std::string>(), json.at("actual").get<std::string>()});
      return {};
    }
    file = {
        IntegerOf<int64_t>(json.at("ordinal")), IntegerOf<int>(json.at("partition")),
        json.at("path").get<std::string>(),     IntegerOf<uint64_t>(json.at("size")),
        IntegerOf<Micros>(json.at("modified")), IntegerOf<uint64_t>(json.at("checksum"))};
    if (json.contains("found")) file.found = IntegerOf<Micros>(json.at("found"));
  } catch (const nlohmann::json::exception& e) {
    return Corrupt(
        fmt::format("journal entry {}, a {}: {}", entry.number, entry.kind, e.what()));
  }
  by_path_[file.path] = files_.size();
  files_.push_back(std::move(file));
  return {};
}

void FileCatalog::TellUnreadable(const std::string& path, const std::string& error,
                                 ScanResult* out) {
  std::string& told = unreadable_[path];
  if (told == error) return;
  told = error;
  out->unreadable.push_back({path, error});
}

Result<FileCatalog::ScanResult> FileCatalog::Scan(Micros now, Micros quiet) {
  ScanResult out;
  auto names = io_.List(pattern_.dir());
  if (!names.ok()) {
    if (names.error().code == Code::kNotFound) return out;  // the folder may come later
    if (names.error().code == Code::kUnavailable) return std::move(names).error();
    const auto info = io_.Stat(pattern_.dir());
    const bool is_file = info.ok() && !info->is_dir;
    TellUnreadable(pattern_.dir(),
                   is_file ? fmt::format("{} is no folder, and its name ends in none of "
                                         "{} (also with .gz, .zst)",
                                         pattern_.dir(), pattern_.endings())
                           : names.error().message,
                   &out);
    return out;
  }
  for (const std::string& name : *names) {
    const int partition = pattern_.PartitionOf(name);
    if (partition < 0) continue;
    const std::string path = io::Join(pattern_.dir(), name);
    if (partition >= kFilePartitionsMax) {
      TellUnreadable(
          path,
          fmt::format("{}: its name says partition {}; partitions are numbered below {}",
                      path, partition, kFilePartitionsMax),
          &out);
      continue;
    }
    const auto info = io_.Stat(path);
    if (!info.ok()) {
      if (info.error().code == Code::kUnavailable) return info.error();
      if (info.error().code != Code::kNotFound) {
        TellUnreadable(path, info.error().message, &out);
      } else if (const auto again = io_.List(pattern_.dir());
                 again.ok() &&
                 std::find(again->begin(), again->end(), name) != again->end()) {
        TellUnreadable(path, path + " is a link that leads nowhere", &out);
      }  // else it went between the two calls
      continue;
    }
    if (!info->is_regular) {
      if (reported_.emplace(path, 0).second) out.not_regular.push_back(path);
      continue;
    }
    const auto known = by_path_.find(path);
    const SourceFile* before = known == by_path_.end() ? nullptr : &files_[known->second];
    if (before != nullptr && before->size == info->size &&
        before->modified == info->modified)
      continue;
    if (const auto compared = compared_.find(path);
        compared != compared_.end() && compared->second.size == info->size &&
        compared->second.modified == info->modified)
      continue;
    if (quiet > 0) {
      const auto [it, is_new] =
          unsettled_.try_emplace(path, Seen{info->size, info->modified, now});
      Seen& seen = it->second;
      if (!is_new && (seen.size != info->size || seen.modified != info->modified))
        seen = {info->size, info->modified, now};
      if (now - seen.since < quiet && now - info->modified < quiet) {
        out.waiting = true;
        continue;
      }
      unsettled_.erase(path);
    }
    if (before != nullptr) {
      const auto checksum = ChecksumFile(io_, path, info->size);
      if (!checksum.ok()) {
        if (checksum.error().code == Code::kUnavailable) return checksum.error();
        TellUnreadable(path, checksum.error().message, &out);
        continue;
      }
      const bool same = before->size == info->size && before->checksum == *checksum;
      if (same || QuarantineOf(before->ordinal) == nullptr) {
        compared_[path] = {info->size, info->modified, now};
        const auto told = reported_.find(path);
        if (same || (told != reported_.end() && told->second == *checksum)) continue;
        reported_[path] = *checksum;
        out.changed.push_back(path);
        continue;
      }
    }
    const auto checksum = ChecksumFile(io_, path, info->size);
    if (!checksum.ok()) {
      if (checksum.error().code == Code::kUnavailable) return checksum.error();
      // Gone since it was listed, or cut since: the next scan sees what it is then.
      if (checksum.error().code == Code::kInvalid)
        TellUnreadable(path, checksum.error().message, &out);
      continue;
    }
    unreadable_.erase(path);
    out.added.push_back({0, partition, path, info->size, info->modified, *checksum, now});
  }
  for (SourceFile& file : out.added) {
    file.ordinal = static_cast<int64_t>(files_.size());
    by_path_[file.path] = files_.size();
    files_.push_back(file);
  }
  return out;
}

Status CheckUnchanged(io::Io& io, const SourceFile& file) {
  const io::FileInfo info = WEIR_TRY(io.Stat(file.path));
  if (!info.is_regular)
    return Corrupt(fmt::format("{} is not a regular file any more", file.path));
  if (info.size == file.size && info.modified == file.modified) return {};
  const uint64_t checksum = WEIR_TRY(ChecksumFile(io, file.path, file.size));
  if (checksum == file.checksum) return {};
  return Corrupt(fmt::format("{} changed after it was found", file.path));
}

}  // namespace weir::ingest
