#include "state/identities.h"

#include <bit>
#include <cstring>

namespace weir::state {
namespace {

constexpr size_t kSlotsMin = 1024;
constexpr size_t kGenerationEntriesMax = 65'536;
constexpr char kGenerationKey = 'g';
constexpr std::string_view kBeganKey = "began";
constexpr int64_t kErasedMin = 4096;  // below this a rebuild is not worth it
constexpr size_t kPrefetchDistance = 16;

static_assert(sizeof(Identities::Entry) == 40);  // the stored form, docs/formats/state.md
static_assert(std::endian::native == std::endian::little);

// The free mark is taken from the ids: the one id that would equal it stands for its
// neighbour.
Hash128 Canonical(Hash128 id) { return id == Hash128{} ? Hash128{1, 0} : id; }

std::string GenerationKey(uint64_t number) {
  std::string key(1, kGenerationKey);
  for (int shift = 56; shift >= 0; shift -= 8)
    key.push_back(static_cast<char>(number >> shift));
  return key;
}

}  // namespace

Identities::Identities(Micros horizon) : horizon_(horizon), slots_(kSlotsMin) {}

bool Identities::Forgotten(Micros judged, Micros event_time, Micros watermark) const {
  if (judged == kNoTime || watermark == kNoTime) return false;
  Micros advanced;
  const bool far = __builtin_sub_overflow(watermark, judged, &advanced);
  return (far ? watermark > judged : advanced >= horizon_) && watermark > event_time;
}

size_t Identities::FindSlot(Hash128 id) const {
  const size_t mask = slots_.size() - 1;
  size_t at = id.low & mask;
  while (slots_[at].id != Hash128{} && slots_[at].id != id) at = (at + 1) & mask;
  return at;
}

const Identities::Entry* Identities::Lookup(Hash128 id, Micros watermark) {
  if (watermark > watermark_) watermark_ = watermark;
  const Entry& entry = slots_[FindSlot(Canonical(id))];
  if (entry.id == Hash128{} ||
      Forgotten(entry.judged_at_watermark, entry.event_time, watermark))
    return nullptr;
  return &entry;
}

void Identities::Prefetch(std::span<const Hash128> ids) const {
  for (const Hash128& id : ids) __builtin_prefetch(&slots_[id.low & (slots_.size() - 1)]);
}

void Identities::LookupMany(std::span<const Hash128> ids, Micros watermark,
                            std::span<const Entry*> out) {
  Prefetch(ids.first(std::min(kPrefetchDistance, ids.size())));
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i + kPrefetchDistance < ids.size())
      Prefetch(ids.subspan(i + kPrefetchDistance, 1));
    out[i] = Lookup(ids[i], watermark);
  }
}

void Identities::Put(const Entry& entry) {
  if (static_cast<size_t>(count_ + 1) * 4 > slots_.size() * 3) Rebuild();
  Entry& slot = slots_[FindSlot(entry.id)];
  if (slot.id == Hash128{}) ++count_;
  slot = entry;
}

void Identities::Insert(Hash128 id, uint64_t content, Micros judged_watermark,
                        Micros event_time) {
  const Entry entry{Canonical(id), content, judged_watermark, event_time};
  Put(entry);
  fresh_.push_back(entry);
}

// Without the forgotten ones, in a table that is at most half full.
void Identities::Rebuild() {
  std::vector<Entry> old;
  old.swap(slots_);
  size_t live = 1;
  for (const Entry& entry : old) {
    live += entry.id != Hash128{} &&
            !Forgotten(entry.judged_at_watermark, entry.event_time, watermark_);
  }
  slots_.resize(std::max(kSlotsMin, std::bit_ceil(live * 2)));
  count_ = 0;
  erased_ = 0;
  for (const Entry& entry : old) {
    if (entry.id == Hash128{} ||
        Forgotten(entry.judged_at_watermark, entry.event_time, watermark_))
      continue;
    slots_[FindSlot(entry.id)] = entry;
    ++count_;
  }
}

void Identities::WatermarkBegan(Micros watermark) {
  began_ = watermark;
  began_changed_ = true;
  watermark_ = std::max(watermark_, watermark);
  const auto judge = [&](Entry& entry) {
    if (entry.judged_at_watermark == kNoTime) entry.judged_at_watermark = watermark;
  };
  for (Entry& entry : slots_) judge(entry);
  for (Entry& entry : fresh_) judge(entry);
  for (Generation& generation : generations_) {
    if (generation.unjudged)
      generation.judged_max = std::max(generation.judged_max, watermark);
    generation.unjudged = false;
  }
}

void Identities::Note(const Entry& entry, Generation& generation) {
  ++generation.count;
  generation.unjudged |= entry.judged_at_watermark == kNoTime;
  generation.judged_max = std::max(generation.judged_max, entry.judged_at_watermark);
  generation.event_time_max = std::max(generation.event_time_max, entry.event_time);
}

void Identities::Checkpoint(Delta& delta, std::string_view space) {
  if (began_changed_) {
    delta.Put(space, kBeganKey, {reinterpret_cast<const char*>(&began_), sizeof began_});
    began_changed_ = false;
  }
  for (size_t begin = 0; begin < fresh_.size(); begin += kGenerationEntriesMax) {
    const auto entries = std::span(fresh_).subspan(
        begin, std::min(kGenerationEntriesMax, fresh_.size() - begin));
    Generation generation{next_generation_++};
    for (const Entry& entry : entries) Note(entry, generation);
    delta.Put(space, GenerationKey(generation.number),
              {reinterpret_cast<const char*>(entries.data()), entries.size_bytes()});
    generations_.push_back(generation);
  }
  fresh_.clear();

  std::erase_if(generations_, [&](const Generation& generation) {
    if (generation.unjudged ||
        !Forgotten(generation.judged_max, generation.event_time_max, watermark_))
      return false;
    delta.Erase(space, GenerationKey(generation.number));
    erased_ += generation.count;
    return true;
  });
  if (erased_ >= kErasedMin && erased_ * 4 >= count_) Rebuild();
}

Status Identities::LoadGeneration(std::string_view key, std::string_view value) {
  if (key.size() != 9 || value.size() % sizeof(Entry) != 0)
    return Corrupt("identity memory: malformed generation");
  Generation generation;
  for (const char byte : key.substr(1))
    generation.number = generation.number << 8 | static_cast<uint8_t>(byte);
  for (size_t at = 0; at < value.size(); at += sizeof(Entry)) {
    Entry entry;
    std::memcpy(&entry, value.data() + at, sizeof entry);
    if (entry.judged_at_watermark == kNoTime) entry.judged_at_watermark = began_;
    Put(entry);  // a later generation replaces what was forgotten and seen again
    Note(entry, generation);
  }
  next_generation_ = generation.number + 1;
  generations_.push_back(generation);
  return {};
}

Result<Identities> Identities::Load(Store& store, std::string_view space,
                                    Micros horizon) {
  Identities out(horizon);
  const std::string_view began_key[] = {kBeganKey};
  if (const auto began = WEIR_TRY(store.GetMany(space, began_key));
      began[0].has_value()) {
    if (began[0]->size() != sizeof out.began_)
      return Corrupt("identity memory: malformed first watermark");
    std::memcpy(&out.began_, began[0]->data(), sizeof out.began_);
  }
  Status loaded;
  WEIR_TRY(store.Scan(space, std::string_view(&kGenerationKey, 1),
                      [&](std::string_view key, std::string_view value) {
                        loaded = out.LoadGeneration(key, value);
                        return loaded.ok();
                      }));
  WEIR_TRY(std::move(loaded));
  return out;
}

int64_t Identities::bytes() const {
  return static_cast<int64_t>(slots_.capacity() * sizeof(Entry) +
                              fresh_.capacity() * sizeof(Entry) +
                              generations_.size() * sizeof(Generation));
}

}  // namespace weir::state
