// Deletion vectors: which rows of a data file are gone, as Puffin `deletion-vector-v1`
// blobs (Puffin spec).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "iceberg/table.h"
#include "io/io.h"

namespace weir::iceberg {

// A set of row positions (64-bit roaring). A value type.
class Positions {
 public:
  Positions();
  Positions(const Positions&);
  Positions(Positions&&) noexcept;
  Positions& operator=(Positions) noexcept;
  ~Positions();
  bool Add(int64_t position);  // false if it was in already
  bool Contains(int64_t position) const;
  int64_t size() const;
  std::vector<int64_t> ToVector() const;  // ascending
  // positions in [first, first + count) as bits: out[i] = deleted
  void FillMask(int64_t first, int64_t count, bool* out) const;
  std::string ToBlob() const;  // the whole Puffin blob with length, magic and CRC
  static Result<Positions> FromBlob(std::string_view blob);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct VectorToWrite {
  const DataFile* data_file;
  const Positions* positions;
};

// Writes one Puffin file (synced, with its folder) with a blob per entry; returns the
// manifest entries (spec and partition of their data file). `path` is a path or a file
// URI. kInvalid: a vector without positions.
Result<std::vector<DataFile>> WriteVectors(io::Io& io, const std::string& path,
                                           const std::vector<VectorToWrite>& vectors);
// Copies a Puffin file of vectors (URIs), naming other data files: `renamed` gives the
// new name. The blobs keep their offsets. The copy is synced, its folder too. Returns its
// size.
Result<int64_t> CopyVectors(
    io::Io& io, const std::string& from, const std::string& to,
    const std::function<std::string(const std::string&)>& renamed);
Result<Positions> ReadVector(io::Io& io, const DataFile& vector);

}  // namespace weir::iceberg
