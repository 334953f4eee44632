#include <charconv>

#include "iceberg/metadata_folder_internal.h"

namespace weir::iceberg {
namespace {

// "00041-….metadata.json" -> 42; a new table starts at 0.
int NextVersion(std::string_view base_location) {
  if (base_location.empty()) return 0;
  const std::string_view name = io::BaseName(base_location);
  int version = 0;
  const auto [end, error] =
      std::from_chars(name.data(), name.data() + name.size(), version);
  return error == std::errc() && end != name.data() + name.size() && *end == '-'
             ? version + 1
             : 1;
}

}  // namespace

Result<MetadataFolder> MetadataFolder::Open(io::Io& io, const Metadata& metadata) {
  MetadataFolder folder(io);
  folder.uri_ = metadata.location + "/metadata";
  folder.path_ = WEIR_TRY(PathOf(folder.uri_));
  if (!io.Exists(folder.path_)) WEIR_TRY(io.CreateDirs(folder.path_));
  return folder;
}

MetadataFolder::MetadataFolder(MetadataFolder&& other) noexcept
    : io_(other.io_),
      uri_(std::move(other.uri_)),
      path_(std::move(other.path_)),
      written_(std::exchange(other.written_, {})) {}

MetadataFolder::~MetadataFolder() {
  // Nothing names these files yet. When even the removal fails they are garbage, but do
  // no harm.
  for (const std::string& path : written_) static_cast<void>(io_->Remove(path).ok());
}

Result<std::string> MetadataFolder::Write(const std::string& name,
                                          std::string_view bytes) {
  const std::string path = io::Join(path_, name);
  written_.push_back(path);
  WEIR_TRY(io_->WriteNew(path, bytes));
  return uri_ + "/" + name;
}

Status MetadataFolder::Keep() {
  WEIR_TRY(io_->SyncDir(path_));
  written_.clear();
  return {};
}

std::string MetadataFileName(std::string_view base_location, std::string_view uuid) {
  return fmt::format("{:05d}-{}.metadata.json", NextVersion(base_location), uuid);
}

}  // namespace weir::iceberg
