// Where the metadata, manifest lists and manifests of a table are written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "iceberg/table.h"

namespace weir::iceberg {

// Writes new files into the table's metadata folder and forgets them again when the
// change does not come to be.
class MetadataFolder {
 public:
  static Result<MetadataFolder> Open(io::Io& io, const Metadata& metadata);
  MetadataFolder(MetadataFolder&& other) noexcept;
  MetadataFolder& operator=(MetadataFolder&&) = delete;
  ~MetadataFolder();

  // Returns the URI of the new file.
  Result<std::string> Write(const std::string& name, std::string_view bytes);
  // What was written is durable and stays.
  Status Keep();

 private:
  explicit MetadataFolder(io::Io& io) : io_(&io) {}

  io::Io* io_;
  std::string uri_, path_;
  std::vector<std::string> written_;
};

// The name with this UUID for the file that follows the one at `base_location` (empty: the
// first).
std::string MetadataFileName(std::string_view base_location, std::string_view uuid);

}  // namespace weir::iceberg
