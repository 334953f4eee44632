// Deletion vectors: a blob that is taken is a set of positions whatever is asked of it,
// and goes through a Puffin file unchanged.
#include <algorithm>
#include <memory>
#include <vector>

#include "fuzz/fuzz.h"
#include "fuzz/log_repair.h"
#include "iceberg/deletion_vector.h"
#include "io/sim_io.h"

namespace weir::fuzz {
namespace {

constexpr int64_t kListedMax = 1 << 20;

// Length and checksum of a blob, or of the first blob of a file.
void Repair(std::string* bytes) {
  const size_t begin = bytes->starts_with("PFA1") ? 4 : 0;
  if (bytes->size() < begin + 20) return;
  const auto size = begin == 0
                        ? static_cast<uint32_t>(bytes->size() - 8)
                        : std::min(__builtin_bswap32(LoadAt<uint32_t>(*bytes, begin)),
                                   static_cast<uint32_t>(bytes->size() - begin - 8));
  StoreAt(bytes, begin, __builtin_bswap32(size));
  StoreAt(bytes, begin + 4, uint32_t{0x6439d3d1});
  StoreAt(bytes, begin + 4 + size,
          __builtin_bswap32(Crc32(std::string_view(*bytes).substr(begin + 4, size))));
}

void CheckSet(const iceberg::Positions& positions) {
  WEIR_CHECK(positions.size() >= 0);
  const auto mask = std::make_unique<bool[]>(1000);
  positions.FillMask(0, 1000, mask.get());
  for (int64_t i = 0; i < 1000; ++i) WEIR_CHECK(mask[i] == positions.Contains(i));
  positions.FillMask((int64_t{1} << 32) - 500, 1000, mask.get());
  for (int64_t i = 0; i < 1000; ++i)
    WEIR_CHECK(mask[i] == positions.Contains((int64_t{1} << 32) - 500 + i));
  iceberg::Positions copy = positions;
  const auto reread = iceberg::Positions::FromBlob(copy.ToBlob());
  WEIR_CHECK(reread.ok() && reread->size() == positions.size());
  if (positions.size() > kListedMax) return;
  const std::vector<int64_t> listed = positions.ToVector();
  WEIR_CHECK(static_cast<int64_t>(listed.size()) == positions.size());
  WEIR_CHECK(std::adjacent_find(listed.begin(), listed.end(), std::greater_equal<>()) ==
             listed.end());
  WEIR_CHECK(reread->ToVector() == listed);
  for (size_t i = 0; i < listed.size(); i += 1 + listed.size() / 64)
    WEIR_CHECK(positions.Contains(listed[i]));
  WEIR_CHECK(!copy.Contains(777'777) == copy.Add(777'777));
}

}  // namespace

WEIR_FUZZER(puffin)(std::string_view bytes) {
  const auto positions = iceberg::Positions::FromBlob(bytes);
  if (positions.ok()) {
    CheckSet(*positions);
  } else {
    CheckError(positions.error());
  }
  io::SimIo io;
  Must(io.WriteNew("/v.puffin", bytes));
  const auto copied =
      iceberg::CopyVectors(io, "file:///v.puffin", "file:///w.puffin",
                           [](const std::string& name) { return name + "2"; });
  if (!copied.ok()) {
    CheckError(copied.error());
  } else {
    WEIR_CHECK(Must(io.ReadAll("/w.puffin")).size() == static_cast<size_t>(*copied));
  }
  iceberg::DataFile vector;
  vector.is_deletion_vector = true;
  vector.path = "file:///v.puffin";
  vector.content_offset = 4;
  vector.content_bytes = static_cast<int64_t>(Choice(bytes, 1, bytes.size() + 2));
  if (bytes.size() >= 8 && bytes.starts_with("PFA1"))
    vector.content_bytes =
        8 + int64_t{__builtin_bswap32(LoadAt<uint32_t>(std::string(bytes), 4))};
  vector.record_count = 1;
  const auto read = iceberg::ReadVector(io, vector);
  if (!read.ok()) CheckError(read.error());
}

}  // namespace weir::fuzz

WEIR_FUZZER_REPAIR(weir::fuzz::Repair)
