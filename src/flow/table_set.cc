#include "flow/table_set.h"

#include <fmt/format.h>

#include <atomic>
#include <future>

#include "base/event.h"
#include "base/latency.h"
#include "data/type.h"

namespace weir::flow {
namespace {

constexpr int64_t kQueueBytes = 64 << 20;

// Fields of `wanted` as the table has them (ids), for those it has.
bool SameColumns(const data::Schema& have, const data::Schema& wanted) {
  if (have.fields.size() != wanted.fields.size()) return false;
  for (size_t i = 0; i < have.fields.size(); ++i) {
    if (!data::SameName(have.fields[i].name, wanted.fields[i].name)) return false;
    if (data::TypeName(have.fields[i].type) != data::TypeName(wanted.fields[i].type))
      return false;
  }
  return true;
}

// Ascending, NULLs last, as ORDER BY has it.
std::vector<iceberg::SortField> SortOf(const data::Schema& schema,
                                       const TableSpec& spec) {
  std::vector<iceberg::SortField> out;
  for (const std::string& column : spec.cluster_by) {
    if (const data::Field* field = schema.Find(column)) out.push_back({field->id});
  }
  return out;
}

// What the model says of its table wins over what the table has; tags (docs/sql.md) that
// it does not say any more go. Whether something changed.
bool SetProperties(const TableSpec& spec, std::map<std::string, std::string>* out) {
  const std::map<std::string, std::string> before = *out;
  std::erase_if(*out, [](const auto& property) {
    return property.first.starts_with("weir.tag.") ||
           property.first.starts_with("weir.column-tag.");
  });
  for (const auto& [key, value] : spec.properties) (*out)[key] = value;
  if (!spec.comment.empty()) (*out)["comment"] = spec.comment;
  return *out != before;
}

std::string TableDir(const std::string& data_dir, const std::string& table) {
  const size_t dot = table.find('.');
  return io::Join(io::Join(commit::WarehouseDir(data_dir), table.substr(0, dot)),
                  table.substr(dot + 1));
}

}  // namespace

TableSet::TableSet(io::Io& io, Clock& clock, commit::Committer& committer,
                   std::string data_dir, MemoryBudget& memory, int64_t file_bytes,
                   bool gives_way)
    : io_(io),
      clock_(clock),
      committer_(committer),
      data_dir_(std::move(data_dir)),
      memory_(memory),
      file_bytes_(file_bytes),
      queue_(kQueueBytes),
      gives_way_(gives_way),
      chores_(kQueueBytes) {
  encoder_ = std::thread([this, gives_way] {
    if (gives_way) GiveWay();
    EncodeLoop();
  });
  if (!gives_way_) return;
  maintainer_ = std::thread([this] {
    GiveWay();
    GiveWay();  // behind those for whose work readers wait, too
    while (auto chore = chores_.Pop()) (*chore)();
  });
}

TableSet::~TableSet() {
  queue_.Close();
  encoder_.join();
  slots_.clear();  // a writer waits for its chore
  chores_.Close();
  if (maintainer_.joinable()) maintainer_.join();
}

void TableSet::EncodeLoop() {
  while (auto task = queue_.Pop()) {
    if (task->barrier) {
      task->barrier();
      continue;
    }
    if (task->slot->error) continue;
    Status status = task->slot->writer->Append(std::move(task->changes));
    if (!status.ok()) task->slot->error = std::move(status).error();
    task->slot->claim.Resize(task->slot->writer->buffered_bytes());
  }
}

void TableSet::Quiesce() {
  std::promise<void> done;
  queue_.Push({nullptr, {}, [&] { done.set_value(); }}, 0);
  done.get_future().wait();
}

iceberg::Metadata TableSet::Fresh(const TableSpec& spec,
                                  const std::string& location) const {
  iceberg::NewTable table;
  table.location = iceberg::UriOf(location);
  table.format_version = spec.keyed ? 3 : 2;
  table.schema = spec.schema;
  data::ClearFieldIds(
      table.schema);  // a contract numbers its own fields; the table's columns are more
  data::AssignFieldIds(table.schema, 0);
  for (const auto& [transform, column] : spec.partition_by) {
    const data::Field* field = table.schema.Find(column);
    if (field != nullptr) table.partition.push_back({field->id, 0, "", transform});
  }
  table.sort = SortOf(table.schema, spec);
  table.properties["write.metadata.delete-after-commit.enabled"] = "true";
  table.properties["write.metadata.previous-versions-max"] = "20";
  SetProperties(spec, &table.properties);
  if (!spec.key.empty())
    table.properties["weir.key"] = fmt::format("{}", fmt::join(spec.key, ","));
  return iceberg::MakeMetadata(table, clock_.Now());
}

Status TableSet::OpenWriter(Slot& slot) {
  publish::TableWriterOptions options;
  options.name = slot.spec.name;
  options.metadata = slot.metadata;
  options.keyed = slot.spec.keyed;
  options.key = slot.spec.key;
  options.store = slot.spec.keyed ? &committer_.store() : nullptr;
  options.memory = &memory_.Child("indexes", memory_.bytes_max() / 2);
  options.index_bytes_max = options.memory->bytes_max();
  options.file_bytes_target = file_bytes_;
  if (gives_way_) {
    options.beside = [this](std::function<void()> chore) {
      chores_.Push(std::move(chore), 0);
    };
  }
  slot.writer = WEIR_TRY(publish::TableWriter::Open(io_, std::move(options)));
  slot.claim = MemoryClaim(memory_.Child("buffers", memory_.bytes_max() / 2), 0);
  return {};
}

Status TableSet::Open(const TableSpec& spec) {
  slots_.erase(spec.name);
  Slot& slot = slots_[spec.name];
  slot.spec = spec;
  const auto found = WEIR_TRY(committer_.catalog().Find(spec.name));
  if (!found) {
    // Another folder when an older table of this name left one: no file name is ever used
    // again.
    const std::string dir = TableDir(data_dir_, spec.name);
    slot.metadata =
        Fresh(spec, io_.Exists(dir) ? dir + "-" + iceberg::NewUuid().substr(0, 8) : dir);
    return OpenWriter(slot);
  }
  slot.location = found->metadata_location;
  slot.metadata = WEIR_TRY(iceberg::ReadMetadata(io_, slot.location));
  if (!SameColumns(slot.metadata.schema(), spec.schema)) {
    auto changed = iceberg::WithSchema(slot.metadata, spec.schema);
    if (!changed.ok()) return std::move(changed).error().Within("table " + spec.name);
    slot.metadata = *std::move(changed);
    slot.metadata_changed = true;
    if (!SameColumns(slot.metadata.schema(), spec.schema)) {
      return Invalid(
          fmt::format("table {}: its columns cannot become those declared now; a column "
                      "may be added at the end, none removed or reordered",
                      spec.name));
    }
  }
  slot.metadata_changed |= SetProperties(spec, &slot.metadata.properties);
  iceberg::Metadata ordered =
      iceberg::WithSortOrder(slot.metadata, SortOf(slot.metadata.schema(), slot.spec));
  if (ordered.default_sort_order_id != slot.metadata.default_sort_order_id) {
    slot.metadata = std::move(ordered);
    slot.metadata_changed = true;
  }
  return OpenWriter(slot);
}

SnapshotId TableSet::Version(const std::string& table) const {
  const auto found = slots_.find(table);
  if (found == slots_.end() || !found->second.metadata.current_snapshot) return {0};
  return *found->second.metadata.current_snapshot;
}

const iceberg::Metadata& TableSet::metadata(const std::string& table) const {
  return slots_.at(table).metadata;
}

void TableSet::Append(const std::string& table, data::Batch changes) {
  if (changes.num_rows() == 0) return;
  const auto bytes = static_cast<size_t>(data::ByteSize(changes));
  queue_.Push({&slots_.at(table), std::move(changes), nullptr}, bytes);
}

Result<std::optional<iceberg::Staged>> TableSet::Close(
    const std::string& table, Epoch epoch,
    const std::map<std::string, std::string>& summary,
    const std::vector<SnapshotId>& keep, state::Delta& delta) {
  Slot& slot = slots_.at(table);
  const auto close = [&]() -> Result<std::optional<iceberg::Staged>> {
    if (slot.error) return *slot.error;
    state::Delta own;
    std::optional<iceberg::FileChange> change = WEIR_TRY(slot.writer->Finish(epoch, own));
    if (!change && !slot.location.empty() && !slot.metadata_changed)
      return std::optional<iceberg::Staged>();
    const Micros now = clock_.Now();
    std::optional<iceberg::Staged> staged;
    if (change) {
      change->summary.insert(summary.begin(), summary.end());
      iceberg::MaintenanceOptions maintenance;
      maintenance.keep = keep;
      staged = WEIR_TRY(iceberg::Stage(io_, table, slot.metadata, slot.location, *change,
                                       now, maintenance));
    } else {
      staged =
          WEIR_TRY(iceberg::StageMetadata(io_, table, slot.metadata, slot.location, now));
    }
    delta.Append(std::move(own));
    return staged;
  };
  auto result = close();
  slot.claim.Resize(slot.writer->buffered_bytes());
  if (!result.ok()) {
    Abandon(table);
    return std::move(result).error().Within("table " + table);
  }
  return result;
}

std::vector<TableSet::Closed> TableSet::CloseAll(
    std::span<const std::string> tables, Epoch epoch,
    const std::map<std::string, std::string>& summary,
    const std::vector<SnapshotId>& keep) {
  std::vector<std::optional<Closed>> closed(tables.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < tables.size(); i = next++) {
      state::Delta delta;
      auto staged = Close(tables[i], epoch, summary, keep, delta);
      closed[i].emplace(Closed{std::move(staged), std::move(delta)});
    }
  };
  // The encoding thread is idle since Quiesce. A simulated disk wants its operations in
  // one order.
  const bool together = tables.size() > 1 && !committer_.store().deterministic();
  std::promise<void> done;
  if (together) {
    queue_.Push({nullptr,
                 {},
                 [&] {
                   work();
                   done.set_value();
                 }},
                0);
  }
  work();
  if (together) done.get_future().wait();
  std::vector<Closed> out;
  for (std::optional<Closed>& one : closed) out.push_back(*std::move(one));
  return out;
}

void TableSet::Abandon(const std::string& table) {
  Slot& slot = slots_.at(table);
  slot.writer->Abandon();
  slot.claim.Resize(0);
  slot.error.reset();
}

void TableSet::Committed(const std::vector<iceberg::Staged>& staged) {
  for (const iceberg::Staged& one : staged) {
    Slot& slot = slots_.at(one.table);
    slot.metadata = one.metadata;
    slot.location = one.metadata_location;
    slot.metadata_changed = false;
    slot.writer->Committed(one.metadata);
  }
}

publish::TableWriter::Counters TableSet::counters() const {
  publish::TableWriter::Counters sum;
  for (const auto& [name, slot] : slots_) {
    const auto& one = slot.writer->counters();
    sum.rows_written += one.rows_written;
    sum.rows_deleted += one.rows_deleted;
    sum.files_written += one.files_written;
    sum.files_merged += one.files_merged;
    sum.rows_rewritten += one.rows_rewritten;
  }
  return sum;
}

}  // namespace weir::flow
