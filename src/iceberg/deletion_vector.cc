#include "iceberg/deletion_vector.h"

#include <roaring/roaring.h>

#include <bit>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/json.h"
#include "iceberg/roaring_internal.h"

namespace weir::iceberg {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kVectorMagic("\xd1\xd3\x39\x64", 4);
constexpr std::string_view kPuffinMagic = "PFA1";
constexpr int kPositionFieldId = 2147483645;  // _pos
constexpr const char* kReferencedFile = "referenced-data-file";
constexpr size_t kBlobOverhead = 12;  // length, magic, checksum

struct FreeBitmap {
  void operator()(roaring_bitmap_t* bitmap) const { roaring_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<roaring_bitmap_t, FreeBitmap>;

Bitmap Copy(const Bitmap& bitmap) { return Bitmap(roaring_bitmap_copy(bitmap.get())); }

uint32_t High(int64_t position) {
  return static_cast<uint32_t>(static_cast<uint64_t>(position) >> 32);
}
uint32_t Low(int64_t position) { return static_cast<uint32_t>(position); }
int64_t Join(uint32_t high, uint32_t low) {
  return static_cast<int64_t>((static_cast<uint64_t>(high) << 32) | low);
}

std::string BigEndian(uint32_t value) {
  const uint32_t swapped = __builtin_bswap32(value);
  return std::string(reinterpret_cast<const char*>(&swapped), 4);
}

template <class T>
T Load(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

template <class T>
void Append(std::string* out, T value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}

void AppendFooter(const std::string& json, std::string* out) {
  *out += kPuffinMagic;
  *out += json;
  Append(out, static_cast<int32_t>(json.size()));
  Append(out, uint32_t{0});  // flags: the footer is not compressed
  *out += kPuffinMagic;
}

// Where the blobs of a Puffin file end, and its footer.
struct PuffinParts {
  std::string_view blobs, footer;
};
Result<PuffinParts> SplitPuffin(std::string_view bytes) {
  constexpr size_t kTail = 12;  // size, flags, magic
  if (bytes.size() < kTail + 2 * kPuffinMagic.size() ||
      !bytes.starts_with(kPuffinMagic) || !bytes.ends_with(kPuffinMagic))
    return Corrupt("not a Puffin file");
  const std::string_view tail = bytes.substr(bytes.size() - kTail);
  const auto size = static_cast<size_t>(Load<uint32_t>(tail));
  if (Load<uint32_t>(tail.substr(4)) != 0)
    return Invalid(
        "the footer of this Puffin file is compressed, which Weir does not read");
  if (size > bytes.size() - kTail - kPuffinMagic.size())
    return Corrupt("a Puffin file whose footer is longer than it");
  const size_t footer = bytes.size() - kTail - size;
  if (!bytes.substr(0, footer).ends_with(kPuffinMagic))
    return Corrupt("a Puffin file without its footer");
  return PuffinParts{bytes.substr(0, footer - kPuffinMagic.size()),
                     bytes.substr(footer, size)};
}

}  // namespace

// 32-bit bitmaps by the high half of the position, ascending. Nearly always there is one.
struct Positions::Impl {
  std::vector<std::pair<uint32_t, Bitmap>> bitmaps;

  const roaring_bitmap_t* Find(uint32_t high) const {
    for (const auto& [key, bitmap] : bitmaps) {
      if (key == high) return bitmap.get();
    }
    return nullptr;
  }
  roaring_bitmap_t* FindOrAdd(uint32_t high) {
    auto it = bitmaps.begin();
    while (it != bitmaps.end() && it->first < high) ++it;
    if (it == bitmaps.end() || it->first != high)
      it = bitmaps.emplace(it, high, Bitmap(roaring_bitmap_create()));
    return it->second.get();
  }
};

Positions::Positions() : impl_(std::make_unique<Impl>()) {}
Positions::Positions(const Positions& other) : impl_(std::make_unique<Impl>()) {
  for (const auto& [key, bitmap] : other.impl_->bitmaps)
    impl_->bitmaps.emplace_back(key, Copy(bitmap));
}
Positions::Positions(Positions&& other) noexcept : Positions() {
  std::swap(impl_, other.impl_);
}
Positions& Positions::operator=(Positions other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}
Positions::~Positions() = default;

bool Positions::Add(int64_t position) {
  WEIR_CHECK(position >= 0);
  return roaring_bitmap_add_checked(impl_->FindOrAdd(High(position)), Low(position));
}

bool Positions::Contains(int64_t position) const {
  const roaring_bitmap_t* bitmap = impl_->Find(High(position));
  return bitmap != nullptr && roaring_bitmap_contains(bitmap, Low(position));
}

int64_t Positions::size() const {
  int64_t size = 0;
  for (const auto& [key, bitmap] : impl_->bitmaps)
    size += static_cast<int64_t>(roaring_bitmap_get_cardinality(bitmap.get()));
  return size;
}

std::vector<int64_t> Positions::ToVector() const {
  std::vector<int64_t> out;
  out.reserve(static_cast<size_t>(size()));
  for (const auto& [key, bitmap] : impl_->bitmaps) {
    std::vector<uint32_t> low(roaring_bitmap_get_cardinality(bitmap.get()));
    roaring_bitmap_to_uint32_array(bitmap.get(), low.data());
    for (const uint32_t value : low) out.push_back(Join(key, value));
  }
  return out;
}

void Positions::FillMask(int64_t first, int64_t count, bool* out) const {
  std::fill_n(out, count, false);
  for (const auto& [key, bitmap] : impl_->bitmaps) {
    const int64_t begin = std::max(first, Join(key, 0));
    const int64_t end = std::min(first + count, Join(key, UINT32_MAX) + 1);
    if (begin >= end) continue;
    const Bitmap range(
        roaring_bitmap_from_range(static_cast<uint64_t>(begin - Join(key, 0)),
                                  static_cast<uint64_t>(end - Join(key, 0)), 1));
    const Bitmap hit(roaring_bitmap_and(bitmap.get(), range.get()));
    std::vector<uint32_t> low(roaring_bitmap_get_cardinality(hit.get()));
    roaring_bitmap_to_uint32_array(hit.get(), low.data());
    for (const uint32_t value : low) out[Join(key, value) - first] = true;
  }
}

std::string Positions::ToBlob() const {
  std::string body(kVectorMagic);
  Append(&body, static_cast<uint64_t>(impl_->bitmaps.size()));
  for (const auto& [key, bitmap] : impl_->bitmaps) {
    const Bitmap packed = Copy(bitmap);
    roaring_bitmap_run_optimize(packed.get());
    Append(&body, key);
    const size_t at = body.size();
    body.resize(at + roaring_bitmap_portable_size_in_bytes(packed.get()));
    roaring_bitmap_portable_serialize(packed.get(), body.data() + at);
  }
  return BigEndian(static_cast<uint32_t>(body.size())) + body + BigEndian(Crc32(body));
}

Result<Positions> Positions::FromBlob(std::string_view blob) {
  if (blob.size() < kBlobOverhead + sizeof(uint64_t))
    return Corrupt("deletion vector: too short");
  std::string_view body = blob.substr(4, blob.size() - 8);
  if (blob.substr(0, 4) != BigEndian(static_cast<uint32_t>(body.size())))
    return Corrupt("deletion vector: wrong length");
  if (!body.starts_with(kVectorMagic))
    return Corrupt("deletion vector: wrong magic bytes");
  if (blob.substr(blob.size() - 4) != BigEndian(Crc32(body)))
    return Corrupt("deletion vector: wrong checksum");

  body.remove_prefix(kVectorMagic.size());
  const auto count = Load<uint64_t>(body);
  body.remove_prefix(sizeof count);
  Positions out;
  for (uint64_t i = 0; i < count; ++i) {
    if (body.size() < sizeof(uint32_t))
      return Corrupt("deletion vector: a bitmap is missing");
    const auto key = Load<uint32_t>(body);
    body.remove_prefix(sizeof key);
    const bool ascending =
        out.impl_->bitmaps.empty() || out.impl_->bitmaps.back().first < key;
    const std::optional<size_t> size = SoundBitmapBytes(body);
    if (!size || !ascending || key > INT32_MAX)
      return Corrupt("deletion vector: a bitmap is broken");
    Bitmap bitmap(roaring_bitmap_portable_deserialize_safe(body.data(), *size));
    if (!bitmap) return Corrupt("deletion vector: a bitmap is broken");
    body.remove_prefix(*size);
    out.impl_->bitmaps.emplace_back(key, std::move(bitmap));
  }
  if (!body.empty()) return Corrupt("deletion vector: bytes are left over");
  return out;
}

Result<std::vector<DataFile>> WriteVectors(io::Io& io, const std::string& path,
                                           const std::vector<VectorToWrite>& vectors) {
  const std::string local = WEIR_TRY(PathOf(path));
  std::string bytes(kPuffinMagic);
  std::vector<DataFile> out;
  nlohmann::json blobs = nlohmann::json::array();
  for (const VectorToWrite& vector : vectors) {
    DataFile entry;
    entry.is_deletion_vector = true;
    entry.path = UriOf(local);
    entry.spec_id = vector.data_file->spec_id;
    entry.partition = vector.data_file->partition;
    entry.record_count = vector.positions->size();
    if (entry.record_count == 0)
      return Invalid("a deletion vector must delete something: " +
                     vector.data_file->path);
    const std::string blob = vector.positions->ToBlob();
    entry.referenced_data_file = vector.data_file->path;
    entry.content_offset = static_cast<int64_t>(bytes.size());
    entry.content_bytes = static_cast<int64_t>(blob.size());
    bytes += blob;
    blobs.push_back({{"type", "deletion-vector-v1"},
                     {"fields", {kPositionFieldId}},
                     {"snapshot-id", -1},
                     {"sequence-number", -1},
                     {"offset", entry.content_offset},
                     {"length", entry.content_bytes},
                     {"properties",
                      {{kReferencedFile, entry.referenced_data_file},
                       {"cardinality", std::to_string(entry.record_count)}}}});
    out.push_back(std::move(entry));
  }
  AppendFooter(nlohmann::json{{"blobs", std::move(blobs)},
                              {"properties", {{"created-by", "Weir"}}}}
                   .dump(),
               &bytes);
  for (DataFile& entry : out) entry.file_bytes = static_cast<int64_t>(bytes.size());
  WEIR_TRY(io.WriteNew(local, bytes));
  WEIR_TRY(io.SyncDir(std::string(io::DirName(local))));
  return out;
}

Result<int64_t> CopyVectors(
    io::Io& io, const std::string& from, const std::string& to,
    const std::function<std::string(const std::string&)>& renamed) {
  const std::string source = WEIR_TRY(PathOf(from)), target = WEIR_TRY(PathOf(to));
  const std::string bytes = WEIR_TRY(io.ReadAll(source));
  Result<PuffinParts> parts = SplitPuffin(bytes);
  if (!parts.ok()) return std::move(parts).error().Within(source);
  nlohmann::json footer = ParseJson(parts->footer);
  try {
    for (nlohmann::json& blob : footer.at("blobs")) {
      const auto properties = blob.find("properties");
      if (properties == blob.end() || !properties->contains(kReferencedFile)) continue;
      nlohmann::json& name = (*properties)[kReferencedFile];
      name = renamed(name.get<std::string>());
    }
  } catch (const nlohmann::json::exception& e) {
    return Corrupt(
        fmt::format("{}: the footer of the Puffin file: {}", source, e.what()));
  }
  std::string out(parts->blobs);
  AppendFooter(footer.dump(), &out);
  WEIR_TRY(io.WriteNew(target, out));
  WEIR_TRY(io.SyncDir(std::string(io::DirName(target))));
  return static_cast<int64_t>(out.size());
}

Result<Positions> ReadVector(io::Io& io, const DataFile& vector) {
  const std::string path = WEIR_TRY(PathOf(vector.path));
  if (!vector.is_deletion_vector || vector.content_offset < 0 ||
      vector.content_bytes < 0) {
    return Invalid("not a deletion vector: " + vector.path);
  }
  const std::unique_ptr<io::File> file = WEIR_TRY(io.Open(path, io::OpenMode::kRead));
  const uint64_t size = WEIR_TRY(file->Size());
  if (static_cast<uint64_t>(vector.content_offset) +
          static_cast<uint64_t>(vector.content_bytes) >
      size) {
    return Corrupt("deletion vector beyond the end of " + path);
  }
  std::string blob(static_cast<size_t>(vector.content_bytes), '\0');
  const size_t read = WEIR_TRY(file->ReadAt(static_cast<uint64_t>(vector.content_offset),
                                            blob.size(), blob.data()));
  if (read != blob.size()) return Corrupt("deletion vector cut short in " + path);
  Result<Positions> positions = Positions::FromBlob(blob);
  if (!positions.ok()) return Error(positions.error()).Within(path);
  if (positions->size() != vector.record_count)
    return Corrupt("deletion vector of another size than its manifest says: " + path);
  return positions;
}

}  // namespace weir::iceberg
