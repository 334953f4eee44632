#include "state/identities.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "base/event.h"
#include "base/latency.h"
#include "state/state_internal.h"

namespace weir::state {
namespace {

constexpr size_t kTableSlotsMin = 1024;
constexpr size_t kGenerationEntriesMax = 65'536;
constexpr char kGenerationKey = 'g', kRunKey = 'r';
constexpr size_t kRunValueBytes = 32;
constexpr std::string_view kBeganKey = "began";
constexpr int64_t kErasedMin = 4096;    // below this a sweep is not worth it
constexpr size_t kSweepSlots = 32'768;  // of one call; a fraction of a millisecond

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

Identities::Identities(Micros horizon) : horizon_(horizon), table_(SIZE_MAX) {}

bool Identities::Forgotten(Micros judged, Micros event_time, Micros watermark) const {
  if (judged == kNoTime || watermark == kNoTime) return false;
  Micros advanced;
  const bool far = __builtin_sub_overflow(watermark, judged, &advanced);
  return (far ? watermark > judged : advanced >= horizon_) && watermark > event_time;
}

bool Identities::Gone(const Entry& entry) const {
  return Forgotten(entry.judged_at_watermark, entry.event_time, watermark_);
}

const Identities::Entry* Identities::Lookup(Hash128 id, Micros watermark) {
  if (watermark > watermark_) watermark_ = watermark;
  id = Canonical(id);
  const auto remembered = [&](const Entry* entry) {
    if (entry == nullptr) return false;
    const Micros judged =
        entry->judged_at_watermark == kNoTime ? began_ : entry->judged_at_watermark;
    return !Forgotten(judged, entry->event_time, watermark);
  };
  // The newest entry decides: when it is forgotten, so are all that went before it.
  if (const Entry* entry = table_.Find(id); remembered(entry)) return entry;
  if (sealing_ != nullptr) {
    if (const Entry* entry = sealing_->table->Find(id); remembered(entry)) return entry;
  }
  if (recalled_.empty()) return nullptr;
  const auto found = recalled_.find(id);
  return found != recalled_.end() && remembered(&found->second) ? &found->second
                                                                : nullptr;
}

void Identities::Prefetch(std::span<const Hash128> ids) const {
  for (const Hash128& id : ids) table_.Prefetch(id);
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
      auto entry = run->run.Find(ids[i]);
      if (!entry.ok()) {
        if (entry.error().code == Code::kCorrupt)
          store_->NoteDamage(entry.error().message);
        return std::move(entry).error();
      }
      if (*entry) recalled_.emplace(ids[i], **entry);
    }
  }
  return {};
}

Status Identities::MakeRoom(size_t entries) {
  WEIR_TRY(InstallIfWritten());
  if (sweeping_) Sweep(kSweepSlots + 8 * entries);
  const size_t wanted = table_.size() + entries;
  if (table_.size() == 0 || wanted * 4 <= slots_max_ * 3) return {};
  // What remains after forgetting must leave the table room for a while.
  const int64_t live = size() - erased_;
  if (live <= 0 || static_cast<size_t>(live) * 8 <= slots_max_ * 3) {
    Sweep(SIZE_MAX);
    if (table_.size() * 8 <= slots_max_ * 3 &&
        (table_.size() + entries) * 4 <= slots_max_ * 3)
      return {};
  }
  return Seal();
}

// Drops the forgotten ones, a part of the table at a time.
void Identities::Sweep(size_t slots) {
  if (!sweeping_) erased_ = 0;
  sweeping_ = !table_.Sweep(slots, [this](const Entry& entry) { return Gone(entry); });
}

void Identities::Put(const Entry& entry) {
  Note(entry, about_);
  table_.Put(entry, [this](const Entry& other) { return Gone(other); });
}

void Identities::Insert(Hash128 id, uint64_t content, Micros judged_watermark,
                        Micros event_time) {
  const Entry entry{Canonical(id), content, judged_watermark, event_time};
  Put(entry);
  if (fresh_.empty() || fresh_.back().entries.size() == kGenerationEntriesMax)
    fresh_.emplace_back();
  Note(entry, fresh_.back().about);
  fresh_.back().entries.push_back(entry);
}

void Identities::WatermarkBegan(Micros watermark) {
  began_ = watermark;
  began_changed_ = true;
  watermark_ = std::max(watermark_, watermark);
  const auto judge = [&](Entry& entry) {
    if (entry.judged_at_watermark == kNoTime) entry.judged_at_watermark = watermark;
  };
  table_.ForEach(judge);
  const auto judge_all = [&](Generation& generation) {
    if (generation.unjudged)
      generation.judged_max = std::max(generation.judged_max, watermark);
    generation.unjudged = false;
  };
  judge_all(about_);
  for (Fresh& fresh : fresh_) {
    std::for_each(fresh.entries.begin(), fresh.entries.end(), judge);
    judge_all(fresh.about);
  }
  for (Generation& generation : generations_) judge_all(generation);
  // What is on its way to disk, or there, keeps its entries; Lookup reads them so.
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
  const auto table = std::make_shared<const IdentityTable>(
      std::exchange(table_, IdentityTable(slots_max_)));
  sealing->table = table;
  sealing->about = std::exchange(about_, {});
  sealing->about.count = static_cast<int64_t>(table->size());
  sealing->about.number = next_generation_++;
  sealing->fresh = std::exchange(fresh_, {});
  sealing->covered.assign(generations_.begin(), generations_.end());
  generations_.clear();
  erased_ = 0;
  sweeping_ = false;

  io::Io& io = store_->io();
  const bool gives_way = !store_->deterministic();  // then a thread of its own writes
  auto write = [&io, table, gives_way,
                path = RunPath(sealing->about.number)]() -> Result<IdentityRun> {
    if (gives_way) GiveWay();
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
  runs_.push_back({sealing->about, *std::move(run), std::move(sealing->covered)});
  ++unannounced_;
  return {};
}

Status Identities::InstallIfWritten() {
  const bool written =
      sealing_ != nullptr &&
      sealing_->written.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  return written ? Install() : Status();
}

void Identities::Note(const Entry& entry, Generation& generation) {
  ++generation.count;
  generation.unjudged |= entry.judged_at_watermark == kNoTime;
  generation.judged_max = std::max(generation.judged_max, entry.judged_at_watermark);
  generation.event_time_max = std::max(generation.event_time_max, entry.event_time);
}

void Identities::Changes::AddTo(Delta& delta, std::string_view space) const {
  if (began_) {
    delta.Put(space, kBeganKey,
              {reinterpret_cast<const char*>(&*began_), sizeof *began_});
  }
  for (const auto& [key, value] : put_) delta.Put(space, key, value);
  for (const auto& [number, entries] : generations_) {
    const auto bytes = std::as_bytes(std::span(entries));
    delta.Put(space, NumberedKey(kGenerationKey, number),
              {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  for (const std::string& key : erased_) delta.Erase(space, key);
}

// Each becomes a generation of the store.
void Identities::Name(std::vector<Fresh>& fresh, Changes& changes,
                      std::vector<Generation>& named) {
  for (Fresh& one : fresh) {
    one.about.number = next_generation_++;
    named.push_back(one.about);
    changes.generations_.emplace_back(one.about.number, std::move(one.entries));
  }
  fresh.clear();
}

Result<Identities::Changes> Identities::Checkpoint(std::string_view space) {
  Changes changes;
  recalled_.clear();
  if (std::exchange(began_changed_, false)) changes.began_ = began_;
  WEIR_TRY(InstallIfWritten());
  for (; unannounced_ > 0; --unannounced_) {
    Run& run = runs_[runs_.size() - unannounced_];
    const Generation& about = run.about;
    const int64_t value[] = {about.count, about.judged_max, about.event_time_max,
                             about.unjudged};
    static_assert(sizeof value == kRunValueBytes);
    changes.put_.emplace_back(
        NumberedKey(kRunKey, about.number),
        std::string(reinterpret_cast<const char*>(value), sizeof value));
    for (const Generation& generation : std::exchange(run.covered, {}))
      changes.erased_.push_back(NumberedKey(kGenerationKey, generation.number));
  }
  // A run that is not written yet cannot stand for its newest entries.
  if (sealing_ != nullptr) Name(sealing_->fresh, changes, sealing_->covered);
  std::vector<Generation> named;
  Name(fresh_, changes, named);
  generations_.insert(generations_.end(), named.begin(), named.end());

  const auto forgotten = [&](const Generation& generation) {
    return !generation.unjudged &&
           Forgotten(generation.judged_max, generation.event_time_max, watermark_);
  };
  std::erase_if(generations_, [&](const Generation& generation) {
    if (!forgotten(generation)) return false;
    changes.erased_.push_back(NumberedKey(kGenerationKey, generation.number));
    erased_ += generation.count;
    return true;
  });
  std::erase_if(runs_, [&](const Run& run) {
    if (!forgotten(run.about)) return false;
    changes.erased_.push_back(NumberedKey(kRunKey, run.about.number));
    dropped_.push_back({run.about.number, false});
    return true;
  });
  if (sweeping_ || (erased_ >= kErasedMin && erased_ * 4 >= size())) Sweep(kSweepSlots);
  WEIR_TRY(RemoveDropped(space));
  return changes;
}

Status Identities::Checkpoint(Delta& delta, std::string_view space) {
  WEIR_TRY(Checkpoint(space)).AddTo(delta, space);
  return {};
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
  auto loaded = LoadFrom(store, space, horizon, table_bytes);
  if (!loaded.ok() && loaded.error().code == Code::kCorrupt)
    store.NoteDamage(loaded.error().message);
  return loaded;
}

Result<Identities> Identities::LoadFrom(Store& store, std::string_view space,
                                        Micros horizon, int64_t table_bytes) {
  Identities out(horizon);
  out.store_ = &store;
  out.slots_max_ = std::max(
      kTableSlotsMin, std::bit_floor(static_cast<size_t>(table_bytes) / sizeof(Entry)));
  out.table_ = IdentityTable(out.slots_max_);
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
  const auto of = [](const std::vector<Fresh>& fresh) {
    int64_t bytes = 0;
    for (const Fresh& one : fresh)
      bytes += static_cast<int64_t>(one.entries.capacity() * sizeof(Entry));
    return bytes;
  };
  int64_t bytes = table_.bytes() + of(fresh_) +
                  static_cast<int64_t>(generations_.size() * sizeof(Generation));
  if (sealing_ != nullptr) bytes += sealing_->table->bytes() + of(sealing_->fresh);
  for (const Run& run : runs_) bytes += run.run.bytes();
  return bytes;
}

}  // namespace weir::state
