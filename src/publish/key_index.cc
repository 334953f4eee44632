#include <algorithm>
#include <bit>
#include <cstring>

#include "publish/key_index_internal.h"

namespace weir::publish {
namespace {

constexpr size_t kFetchAtOnce = 16 << 10;
static_assert(sizeof(Location) == 8 && sizeof(Hash128) == 16 &&
              std::endian::native == std::endian::little);

template <class T>
void AppendInteger(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

const LocationMap::Slot* LocationMap::SlotOf(const Hash128& key) const {
  if (slots_.empty()) return nullptr;
  const size_t mask = slots_.size() - 1;
  for (size_t i = key.low & mask;; i = (i + 1) & mask) {
    if (slots_[i].at.file == kEmpty) return nullptr;
    if (slots_[i].key == key) return &slots_[i];
  }
}

std::span<const Location> LocationMap::LocationsOf(const Slot& slot) const {
  if (slot.at.file == kNone) return {};
  if (slot.at.file != kMany) return {&slot.at, 1};
  return many_.at(slot.key);
}

std::span<const Location> LocationMap::Find(const Hash128& key) const {
  const Slot* slot = SlotOf(key);
  return slot == nullptr ? std::span<const Location>() : LocationsOf(*slot);
}

void LocationMap::Reserve(size_t keys) {
  const size_t slots = std::bit_ceil(keys + keys / 3 + 1);
  if (slots > slots_.size()) Resize(slots);
}

void LocationMap::Resize(size_t slots) {
  std::vector<Slot> old = std::move(slots_);
  slots_ = std::vector<Slot>(slots);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.at.file == kEmpty) continue;
    size_t i = slot.key.low & mask;
    while (slots_[i].at.file != kEmpty) i = (i + 1) & mask;
    slots_[i] = slot;
  }
}

void LocationMap::Set(const Hash128& key, std::span<const Location> locations) {
  Slot* slot = const_cast<Slot*>(SlotOf(key));
  if (slot == nullptr) {
    if ((used_ + 1) * 4 > slots_.size() * 3)
      Resize(std::max<size_t>(64, slots_.size() * 2));
    const size_t mask = slots_.size() - 1;
    size_t i = key.low & mask;
    while (slots_[i].at.file != kEmpty) i = (i + 1) & mask;
    slot = &slots_[i];
    slot->key = key;
    ++used_;
  } else if (slot->at.file == kMany && locations.size() < 2) {
    many_.erase(key);
  }
  if (locations.size() > 1) {
    many_[key] = {locations.begin(), locations.end()};
    slot->at = {kMany, 0};
  } else {
    slot->at = locations.empty() ? Location{kNone, 0} : locations[0];
  }
}

void LocationMap::Clear() {
  slots_ = {};
  many_.clear();
  used_ = 0;
}

int64_t LocationMap::bytes() const {
  return static_cast<int64_t>(slots_.capacity() * sizeof(Slot) + many_.size() * 96);
}

KeyIndex::KeyIndex(state::Store* store, std::string space, int64_t bytes_max,
                   MemoryBudget* memory)
    : store_(store), space_(std::move(space)), bytes_max_(bytes_max) {
  budget_ = memory;
  if (memory != nullptr) claim_ = MemoryClaim(*memory, 0);
}

Status KeyIndex::Load(int64_t rows) {
  if (store_ == nullptr || rows == 0) return {};
  if (rows * static_cast<int64_t>(sizeof(Location) + sizeof(Hash128)) * 2 > bytes_max_) {
    complete_ = false;
    return {};
  }
  Status parsed;
  WEIR_TRY(store_->Scan(space_, "", [&](std::string_view key, std::string_view value) {
    const Result<std::vector<Location>> locations = ParseIndexValue(value);
    if (!locations.ok() || key.size() != sizeof(Hash128)) {
      parsed = Corrupt("key index " + space_ + " holds a record that is none");
      return false;
    }
    Hash128 hash;
    std::memcpy(&hash, key.data(), sizeof(hash));
    memory_.Set(hash, *locations);
    return true;
  }));
  claim_.Resize(memory_.bytes());
  return parsed;
}

Status KeyIndex::Fetch(std::span<const Hash128> keys) {
  if (complete_) return {};
  std::vector<Hash128> missing;
  for (const Hash128& key : keys) {
    if (!staged_.Contains(key) && !memory_.Contains(key)) missing.push_back(key);
  }
  std::vector<std::string_view> names;
  for (size_t first = 0; first < missing.size(); first += kFetchAtOnce) {
    const size_t last = std::min(missing.size(), first + kFetchAtOnce);
    names.clear();
    for (size_t i = first; i < last; ++i) names.push_back(IndexKey(missing[i]));
    const auto values = WEIR_TRY(store_->GetMany(space_, names));
    for (size_t i = first; i < last; ++i) {
      const std::optional<std::string>& value = values[i - first];
      memory_.Set(missing[i],
                  value ? WEIR_TRY(ParseIndexValue(*value)) : std::vector<Location>());
    }
  }
  claim_.Resize(memory_.bytes() + staged_.bytes());
  return {};
}

std::span<const Location> KeyIndex::At(const Hash128& key) const {
  return staged_.Contains(key) ? staged_.Find(key) : memory_.Find(key);
}

void KeyIndex::WriteTo(state::Delta* delta) const {
  // In the store's key order, which its memtable takes in several times faster than hash
  // order.
  std::vector<std::pair<uint64_t, Hash128>> order;
  order.reserve(staged_.size());
  staged_.ForEach([&](const Hash128& key, std::span<const Location>) {
    order.emplace_back(__builtin_bswap64(key.low), key);
  });
  std::sort(order.begin(), order.end());
  for (const auto& [first_bytes, key] : order) {
    const std::span<const Location> locations = staged_.Find(key);
    if (locations.empty()) {
      delta->Erase(space_, IndexKey(key));
    } else {
      delta->Put(
          space_, IndexKey(key),
          {reinterpret_cast<const char*>(locations.data()), locations.size_bytes()});
    }
  }
}

void KeyIndex::Apply() {
  memory_.Reserve(memory_.size() + staged_.size());
  staged_.ForEach([&](const Hash128& key, std::span<const Location> locations) {
    memory_.Set(key, locations);
  });
  staged_.Clear();
  claim_.Resize(memory_.bytes());
  // Where several share a budget, the large ones make room.
  const bool makes_room = budget_ != nullptr && budget_->used() > bytes_max_ &&
                          memory_.bytes() > bytes_max_ / 4;
  if (store_ != nullptr && (memory_.bytes() > bytes_max_ || makes_room)) {
    memory_.Clear();  // all of it is in the store by now
    complete_ = false;
  }
  claim_.Resize(memory_.bytes());
}

std::string_view IndexKey(const Hash128& key) {
  return {reinterpret_cast<const char*>(&key), sizeof(key)};
}

std::string IndexValue(std::span<const Location> locations) {
  return {reinterpret_cast<const char*>(locations.data()), locations.size_bytes()};
}

Result<std::vector<Location>> ParseIndexValue(std::string_view value) {
  if (value.empty() || value.size() % sizeof(Location) != 0)
    return Corrupt("a key index record of a wrong length");
  std::vector<Location> out(value.size() / sizeof(Location));
  std::memcpy(out.data(), value.data(), value.size());
  return out;
}

std::string IndexSpace(std::string_view table) { return fmt::format("index/{}", table); }
std::string FilesSpace(std::string_view table) { return fmt::format("files/{}", table); }

std::string PathInTable(std::string_view location, std::string_view path) {
  if (path.starts_with(location) && path.substr(location.size()).starts_with('/'))
    path.remove_prefix(location.size() + 1);
  return std::string(path);
}

std::string HashedColumns(const data::Schema& schema, std::span<const int> columns) {
  std::string out;
  for (const int column : columns) {
    const data::Field& field = schema.fields[static_cast<size_t>(column)];
    out += fmt::format("{}{}:{}", out.empty() ? "" : ",", field.id,
                       data::TypeName(field.type));
  }
  return out;
}

std::string FileKey(uint32_t file) {
  std::string out(4, '\0');
  for (int i = 0; i < 4; ++i)
    out[static_cast<size_t>(i)] = static_cast<char>(file >> (24 - 8 * i));
  return out;
}

std::string FileValue(const IndexedFile& file) {
  std::string out;
  AppendInteger(file.rows, &out);
  AppendInteger(file.deleted, &out);
  return out + file.path;
}

Result<uint32_t> ParseFileKey(std::string_view key) {
  if (key.size() != 4) return Corrupt("a file number of a wrong length");
  uint32_t out = 0;
  for (const char c : key) out = out << 8 | static_cast<unsigned char>(c);
  return out;
}

Result<IndexedFile> ParseFileValue(std::string_view value) {
  if (value.size() < 16) return Corrupt("a file record of a wrong length");
  IndexedFile out;
  std::memcpy(&out.rows, value.data(), 8);
  std::memcpy(&out.deleted, value.data() + 8, 8);
  out.path = value.substr(16);
  return out;
}

}  // namespace weir::publish
