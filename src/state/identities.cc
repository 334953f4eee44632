#include "state/identities.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "base/event.h"
#include "state/state_internal.h"

namespace weir::state {
namespace {

constexpr size_t kSlotsMin = 1024;
constexpr size_t kGenerationEntriesMax = 65'536;
constexpr char kGenerationKey = 'g', kRunKey = 'r';
constexpr size_t kRunValueBytes = 32;
constexpr std::string_view kBeganKey = "began";
constexpr int64_t kErasedMin = 4096;  // below this a rebuild is not worth it

// The free mark is taken from the ids: the one id that would equal it stands for its
// neighbour.
Hash128 Canonical(Hash128 id) { return id == Hash128{} ? Hash128{1, 0} : id; }

std::string NumberedKey(char kind, uint64_t number) {
  std::string key(1, kind);
  for (int shift = 56; shift >= 0; shift -= 8)
    key.push_back(static_cast<char>(number >> shift));
  return key;
}

uint64_t NumberIn(std::string_view key) {
  uint64_t number = 0;
  for (const char byte : key.substr(1)) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

}  // namespace

Identities::Identities(Micros horizon) : horizon_(horizon), slots_(kSlotsMin) {}

bool Identities::Forgotten(Micros judged, Micros event_time, Micros watermark) const {
  if (judged == kNoTime || watermark == kNoTime) return false;
  Micros advanced;
  const bool far = __builtin_sub_overflow(watermark, judged, &advanced);
  return (far ? watermark > judged : advanced >= horizon_) && watermark > event_time;
}

size_t Identities::FindSlot(std::span<const Entry> table, Hash128 id) {
  const size_t mask = table.size() - 1;
  size_t at = id.low & mask;
  while (table[at].id != Hash128{} && table[at].id != id) at = (at + 1) & mask;
  return at;
}

const Identities::Entry* Identities::Lookup(Hash128 id, Micros watermark) {
  if (watermark > watermark_) watermark_ = watermark;
  id = Canonical(id);
  const auto remembered = [&](const Entry& entry) {
    const Micros judged =
        entry.judged_at_watermark == kNoTime ? began_ : entry.judged_at_watermark;
    return entry.id != Hash128{} && !Forgotten(judged, entry.event_time, watermark);
  };
  // The newest entry decides: when it is forgotten, so are all that went before it.
  if (const Entry& entry = slots_[FindSlot(slots_, id)]; remembered(entry)) return &entry;
  if (sealing_ != nullptr) {
    const Entry& entry = (*sealing_->table)[FindSlot(*sealing_->table, id)];
    if (remembered(entry)) return &entry;
  }
  if (recalled_.empty()) return nullptr;
  const auto found = recalled_.find(id);
  return found != recalled_.end() && remembered(found->second) ? &found->second : nullptr;
}

void Identities::Prefetch(std::span<const Hash128> ids) const {
  for (const Hash128& id : ids) __builtin_prefetch(&slots_[id.low & (slots_.size() - 1)]);
}

Status Identities::Recall(std::span<const Hash128> ids) {
  recalled_.clear();
  WEIR_TRY(MakeRoom(ids.size()));
  if (runs_.empty()) return {};
  if (std::find(ids.begin(), ids.end(), Hash128{}) != ids.end()) {
    std::vector<Hash128> canonical(ids.begin(), ids.end());
    std::replace(canonical.begin(), canonical.end(), Hash128{}, Canonical({}));
    return Recall(canonical);
  }
  std::vector<size_t> candidates;
  for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
    candidates.clear();
    run->run.Probe(ids, [&](size_t i) { candidates.push_back(i); });
    for (const size_t i : candidates) {
      if (recalled_.contains(ids[i])) continue;  // a newer run knows it
      if (const auto entry = WEIR_TRY(run->run.Find(ids[i])))
        recalled_.emplace(ids[i], *entry);
    }
  }
  return {};
}

Status Identities::MakeRoom(size_t entries) {
  if (sealing_ != nullptr &&
      sealing_->written.wait_for(std::chrono::seconds(0)) == std::future_status::ready)
    WEIR_TRY(Install());
  const size_t wanted = static_cast<size_t>(count_) + entries;
  if (count_ == 0 || wanted * 4 <= slots_max_ * 3) return {};
  Rebuild();
  // What remains after forgetting must leave the table room for a while.
  if (static_cast<size_t>(count_) * 8 > slots_max_ * 3 ||
      (static_cast<size_t>(count_) + entries) * 4 > slots_max_ * 3)
    return Seal();
  return {};
}

void Identities::Put(const Entry& entry) {
  if (static_cast<size_t>(count_ + 1) * 4 > slots_.size() * 3) Rebuild();
  Entry& slot = slots_[FindSlot(slots_, entry.id)];
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
    slots_[FindSlot(slots_, entry.id)] = entry;
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
  const auto judge_all = [&](Generation& generation) {
    if (generation.unjudged)
      generation.judged_max = std::max(generation.judged_max, watermark);
    generation.unjudged = false;
  };
  // What is on its way to disk, or there, keeps its entries; Lookup reads them so.
  for (Generation& generation : generations_) judge_all(generation);
  for (Run& run : runs_) judge_all(run.about);
  if (sealing_ != nullptr) judge_all(sealing_->about);
}

std::string Identities::RunPath(uint64_t number) const {
  return fmt::format("{}{}", run_prefix_, number);
}

// The whole table begins its way to disk, and a new one begins.
Status Identities::Seal() {
  if (sealing_ != nullptr) WEIR_TRY(Install());
  auto sealing = std::make_unique<Sealing>();
  for (const Entry& entry : slots_) {
    if (entry.id != Hash128{}) Note(entry, sealing->about);
  }
  auto table = std::make_shared<std::vector<Entry>>(slots_.size());
  table->swap(slots_);
  sealing->table = table;
  sealing->about.number = next_generation_++;
  count_ = erased_ = 0;
  fresh_.clear();
  sealed_.insert(sealed_.end(), generations_.begin(), generations_.end());
  generations_.clear();

  io::Io& io = store_->io();
  auto write = [&io, table,
                path = RunPath(sealing->about.number)]() -> Result<IdentityRun> {
    WEIR_TRY(IdentityRun::Write(io, path, *table));
    WEIR_TRY(io.SyncDir(std::string(io::DirName(path))));
    return IdentityRun::Open(io, path);
  };
  sealing->written = std::async(
      store_->deterministic() ? std::launch::deferred : std::launch::async, write);
  if (store_->deterministic()) sealing->written.wait();
  sealing_ = std::move(sealing);
  return {};
}

// Waits until the run is on disk; from now on its filter stands for it.
Status Identities::Install() {
  const std::unique_ptr<Sealing> sealing = std::move(sealing_);
  auto run = sealing->written.get();
  if (!run.ok()) {
    return std::move(run).error().Within(
        fmt::format("write identity memory {}", RunPath(sealing->about.number)));
  }
  runs_.push_back({sealing->about, *std::move(run)});
  ++unannounced_;
  return {};
}

void Identities::Note(const Entry& entry, Generation& generation) const {
  ++generation.count;
  generation.unjudged |= entry.judged_at_watermark == kNoTime;
  generation.judged_max = std::max(generation.judged_max, entry.judged_at_watermark);
  generation.event_time_max = std::max(generation.event_time_max, entry.event_time);
}

Status Identities::Checkpoint(Delta& delta, std::string_view space) {
  recalled_.clear();
  if (began_changed_) {
    delta.Put(space, kBeganKey, {reinterpret_cast<const char*>(&began_), sizeof began_});
    began_changed_ = false;
  }
  if (sealing_ != nullptr) WEIR_TRY(Install());
  for (; unannounced_ > 0; --unannounced_) {
    const Generation& about = runs_[runs_.size() - unannounced_].about;
    const int64_t value[] = {about.count, about.judged_max, about.event_time_max,
                             about.unjudged};
    static_assert(sizeof value == kRunValueBytes);
    delta.Put(space, NumberedKey(kRunKey, about.number),
              {reinterpret_cast<const char*>(value), sizeof value});
  }
  for (const Generation& generation : sealed_)
    delta.Erase(space, NumberedKey(kGenerationKey, generation.number));
  sealed_.clear();
  for (size_t begin = 0; begin < fresh_.size(); begin += kGenerationEntriesMax) {
    const auto entries = std::span(fresh_).subspan(
        begin, std::min(kGenerationEntriesMax, fresh_.size() - begin));
    Generation generation{next_generation_++};
    for (const Entry& entry : entries) Note(entry, generation);
    delta.Put(space, NumberedKey(kGenerationKey, generation.number),
              {reinterpret_cast<const char*>(entries.data()), entries.size_bytes()});
    generations_.push_back(generation);
  }
  fresh_.clear();

  const auto forgotten = [&](const Generation& generation) {
    return !generation.unjudged &&
           Forgotten(generation.judged_max, generation.event_time_max, watermark_);
  };
  std::erase_if(generations_, [&](const Generation& generation) {
    if (!forgotten(generation)) return false;
    delta.Erase(space, NumberedKey(kGenerationKey, generation.number));
    erased_ += generation.count;
    return true;
  });
  std::erase_if(runs_, [&](const Run& run) {
    if (!forgotten(run.about)) return false;
    delta.Erase(space, NumberedKey(kRunKey, run.about.number));
    dropped_.push_back({run.about.number, false});
    return true;
  });
  if (erased_ >= kErasedMin && erased_ * 4 >= count_) Rebuild();
  return RemoveDropped(space);
}

// The store is the witness: once it named a run and names it no more, the epoch that
// erased it is committed.
Status Identities::RemoveDropped(std::string_view space) {
  if (dropped_.empty()) return {};
  std::vector<std::string> keys;
  for (const Dropped& dropped : dropped_)
    keys.push_back(NumberedKey(kRunKey, dropped.number));
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  const auto values = WEIR_TRY(store_->GetMany(space, views));
  std::vector<Dropped> kept;
  for (size_t i = 0; i < dropped_.size(); ++i) {
    if (values[i] || !dropped_[i].in_store) {
      kept.push_back({dropped_[i].number, values[i].has_value()});
      continue;
    }
    const Status removed = store_->io().Remove(RunPath(dropped_[i].number));
    if (!removed.ok() && removed.error().code != Code::kNotFound) return removed;
  }
  dropped_ = std::move(kept);
  return {};
}

Status Identities::LoadGeneration(std::string_view key, std::string_view value) {
  if (key.size() != 9 || value.size() % sizeof(Entry) != 0)
    return Corrupt("identity memory: malformed generation");
  Generation generation{NumberIn(key)};
  for (size_t at = 0; at < value.size(); at += sizeof(Entry)) {
    Entry entry;
    std::memcpy(&entry, value.data() + at, sizeof entry);
    if (entry.judged_at_watermark == kNoTime) entry.judged_at_watermark = began_;
    Put(entry);  // a later generation replaces what was forgotten and seen again
    Note(entry, generation);
  }
  next_generation_ = std::max(next_generation_, generation.number + 1);
  generations_.push_back(generation);
  return {};
}

Status Identities::LoadRun(std::string_view key, std::string_view value) {
  int64_t numbers[4];
  if (key.size() != 9 || value.size() != sizeof numbers)
    return Corrupt("identity memory: malformed run");
  std::memcpy(numbers, value.data(), sizeof numbers);
  Generation about{NumberIn(key), numbers[0], numbers[1], numbers[2], numbers[3] != 0};
  if (about.unjudged && began_ != kNoTime) {
    about.judged_max = std::max(about.judged_max, began_);
    about.unjudged = false;
  }
  auto run = IdentityRun::Open(store_->io(), RunPath(about.number));
  if (!run.ok()) {
    if (run.error().code != Code::kNotFound) return std::move(run).error();
    return Corrupt(fmt::format("identity memory: {} is missing", RunPath(about.number)));
  }
  if (run->count() != about.count)
    return Corrupt(
        fmt::format("identity memory: {} is another run", RunPath(about.number)));
  next_generation_ = std::max(next_generation_, about.number + 1);
  runs_.push_back({about, *std::move(run)});
  return {};
}

// Runs of epochs that were never committed, and such whose going was committed.
Status Identities::RemoveOrphans() const {
  const std::string dir(io::DirName(run_prefix_));
  const std::string_view prefix = io::BaseName(run_prefix_);
  for (const std::string& name : WEIR_TRY(store_->io().List(dir))) {
    if (!name.starts_with(prefix)) continue;
    uint64_t number = 0;
    const char* end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + prefix.size(), end, number);
    if (error != std::errc() || rest != end) continue;
    const bool named = std::any_of(runs_.begin(), runs_.end(), [&](const Run& run) {
      return run.about.number == number;
    });
    if (!named) WEIR_TRY(store_->io().Remove(io::Join(dir, name)));
  }
  return {};
}

Result<Identities> Identities::Load(Store& store, std::string_view space, Micros horizon,
                                    int64_t table_bytes) {
  Identities out(horizon);
  out.store_ = &store;
  out.slots_max_ = std::max(
      kSlotsMin, std::bit_floor(static_cast<size_t>(table_bytes) / sizeof(Entry)));
  const std::string dir = io::Join(store.dir(), kRunsDir);
  WEIR_TRY(store.io().CreateDirs(dir));
  out.run_prefix_ = io::Join(dir, fmt::format("{:016x}-", HashBytes64(space)));
  const std::string_view began_key[] = {kBeganKey};
  if (const auto began = WEIR_TRY(store.GetMany(space, began_key));
      began[0].has_value()) {
    if (began[0]->size() != sizeof out.began_)
      return Corrupt("identity memory: malformed first watermark");
    std::memcpy(&out.began_, began[0]->data(), sizeof out.began_);
  }
  for (const char kind : {kRunKey, kGenerationKey}) {
    Status loaded;
    WEIR_TRY(store.Scan(space, std::string_view(&kind, 1),
                        [&](std::string_view key, std::string_view value) {
                          loaded = kind == kRunKey ? out.LoadRun(key, value)
                                                   : out.LoadGeneration(key, value);
                          return loaded.ok();
                        }));
    WEIR_TRY(std::move(loaded));
  }
  WEIR_TRY(out.RemoveOrphans());
  return out;
}

int64_t Identities::bytes() const {
  int64_t bytes = static_cast<int64_t>(slots_.capacity() * sizeof(Entry) +
                                       fresh_.capacity() * sizeof(Entry) +
                                       generations_.size() * sizeof(Generation));
  if (sealing_ != nullptr)
    bytes += static_cast<int64_t>(sealing_->table->size() * sizeof(Entry));
  for (const Run& run : runs_) bytes += run.run.bytes();
  return bytes;
}

}  // namespace weir::state
