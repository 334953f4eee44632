#include "io/io.h"

namespace weir::io {
namespace {

std::string_view WithoutTrailingSlashes(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return path;
}

Status WriteAndSync(File& file, std::string_view bytes) {
  WEIR_TRY(file.Append(bytes));
  return file.Sync();
}

}  // namespace

Result<std::string> Io::ReadAll(const std::string& path) {
  const auto file = WEIR_TRY(Open(path, OpenMode::kRead));
  std::string bytes(WEIR_TRY(file->Size()), '\0');
  bytes.resize(WEIR_TRY(file->ReadAt(0, bytes.size(), bytes.data())));
  return bytes;
}

Status Io::WriteNew(const std::string& path, std::string_view bytes) {
  auto file = WEIR_TRY(Open(path, OpenMode::kCreateNew));
  const Status written = WriteAndSync(*file, bytes);
  if (written.ok()) return {};
  // Half a file must not make the caller's next attempt a conflict.
  file.reset();
  (void)Remove(path);
  return written;
}

Status Io::ReplaceAtomically(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  const Status removed = Remove(temporary);  // what a crash left
  if (!removed.ok() && removed.error().code != Code::kNotFound) return removed;
  WEIR_TRY(WriteNew(temporary, bytes));
  WEIR_TRY(Rename(temporary, path));
  return SyncDir(std::string(DirName(path)));
}

bool Io::Exists(const std::string& path) { return Stat(path).ok(); }

std::string Join(std::string_view dir, std::string_view name) {
  std::string path(dir);
  if (!path.empty() && path.back() != '/') path += '/';
  path += name;
  return path;
}

std::string_view BaseName(std::string_view path) {
  path = WithoutTrailingSlashes(path);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || path.size() == 1) return path;
  return path.substr(slash + 1);
}

std::string_view DirName(std::string_view path) {
  path = WithoutTrailingSlashes(path);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return WithoutTrailingSlashes(path.substr(0, slash + 1));
}

}  // namespace weir::io
