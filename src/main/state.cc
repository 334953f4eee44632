// weir show state: what is kept to continue, by operator.
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include <charconv>

#include "commit/committer.h"
#include "main/inspect_internal.h"
#include "ops/temporal.h"
#include "state/state.h"

namespace weir::main {
namespace {

using iceberg::SqlRow;
using nlohmann::json;

// One line of the answer.
struct Kept {
  std::string owner;  // the model, table or source
  std::string what;  // "stage 1: aggregate", "index of rows", "identities of partition 0"
  int64_t entries = 0, bytes = 0;
  Micros oldest = kNoTime;  // of rows that wait for their time
};

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// The kinds of the stages of each model, by its fingerprint.
Result<std::map<std::string, json>> Stages(iceberg::Catalog& catalog) {
  std::map<std::string, json> out;
  const auto rows = catalog.Sql("SELECT work FROM weir_work");
  if (!rows.ok()) return out;  // written by an earlier version
  for (const SqlRow& row : *rows) {
    const auto* text = std::get_if<std::string>(&row[0]);
    json work = json::parse(text == nullptr ? "" : *text, nullptr, false);
    if (work.is_object()) out[work.value("fingerprint", "")] = work["stages"];
  }
  return out;
}

// What a space of the store is (docs/formats/state.md).
Result<Kept> Describe(state::Store& store, const state::Store::SpaceInfo& space,
                      const std::map<std::string, json>& stages) {
  const std::vector<std::string> parts = Split(space.space);
  Kept kept{parts.size() > 1 ? parts[1] : "", space.space, space.keys, space.bytes,
            kNoTime};
  if (parts[0] == "op" && parts.size() == 4 && parts[3] == "violations") {
    kept.what = "rows that violate its constraints";
  } else if (parts[0] == "op" && parts.size() == 4) {
    kept.what = "stage " + parts[3];
    const auto model = stages.find(parts[2]);
    size_t number = 0;
    std::from_chars(parts[3].data(), parts[3].data() + parts[3].size(), number);
    if (model == stages.end()) {
      kept.what += " of another version of the model";
    } else if (number < model->second.size()) {
      const std::string kind = model->second[number].value("kind", "");
      kept.what += ": " + kind;
      if (kind == plan::BlockKindName(plan::BlockKind::kTemporal))
        kept.oldest = WEIR_TRY(ops::OldestTime(store, space.space));
    }
  } else if (parts[0] == "index") {
    kept.what = "where each row stands";
  } else if (parts[0] == "files") {
    kept.what = "live rows of each data file";
  } else if (parts[0] == "ids" && parts.size() == 3) {
    kept.what = "identities of partition " + parts[2];
  }
  return kept;
}

Result<std::vector<Kept>> ReadState(io::Io& io, const Options& options) {
  auto catalog = WEIR_TRY(OpenCatalog(io, options));
  const auto committed = [&]() -> Result<Epoch> {
    const auto rows = WEIR_TRY(catalog->Sql("SELECT max(epoch) FROM weir_epochs"));
    const auto* epoch = std::get_if<int64_t>(&rows[0][0]);
    return Epoch{epoch == nullptr ? 0 : *epoch};
  };
  const auto stages = WEIR_TRY(Stages(*catalog));
  const std::string copy =
      io::Join(DataDir(options), fmt::format("tmp/state-{}", ::getpid()));
  std::vector<Kept> out;
  const auto read = [&]() -> Status {
    const auto store = WEIR_TRY(state::Store::OpenCopy(
        io, commit::StateDir(DataDir(options)), copy, committed, {}));
    for (const auto& space : WEIR_TRY(store->Spaces()))
      out.push_back(WEIR_TRY(Describe(*store, space, stages)));
    return {};
  };
  const Status status = read();
  WEIR_TRY(state::RemoveTree(io, copy));
  WEIR_TRY(status);
  return out;
}

}  // namespace

int ShowState(io::Io& io, const Options& options, const std::string& model) {
  auto kept = ReadState(io, options);
  if (!kept.ok()) return FailIn(DataDir(options), kept.error());
  if (!model.empty()) {
    std::erase_if(*kept, [&](const Kept& one) { return one.owner != model; });
    if (kept->empty())
      return Fail(
          fmt::format("nothing is kept for '{}'; `weir show state` lists all", model),
          kWrongCall);
  }
  if (options.format == Format::kJson) {
    json out = json::array();
    for (const Kept& one : *kept) {
      out.push_back(
          {{"of", one.owner},
           {"what", one.what},
           {"entries", one.entries},
           {"bytes", one.bytes},
           {"oldest",
            one.oldest == kNoTime ? json() : json(FormatTimestamp(one.oldest))}});
    }
    fmt::print("{}\n", out.dump(1));
    return kFine;
  }
  std::vector<std::vector<std::string>> cells;
  for (const Kept& one : *kept) {
    cells.push_back({one.owner, one.what, std::to_string(one.entries),
                     std::to_string(one.bytes),
                     one.oldest == kNoTime ? "" : FormatTimestamp(one.oldest)});
  }
  if (options.format == Format::kCsv) {
    fmt::print("of,what,entries,bytes,oldest\n");
    for (const auto& row : cells) fmt::print("{}\n", fmt::join(row, ","));
  } else {
    PrintTable({"of", "what", "entries", "bytes", "oldest time"}, cells);
  }
  return kFine;
}

}  // namespace weir::main
