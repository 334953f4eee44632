// weir check, ls, show and explain: what there is and why.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/seal.h"
#include "commit/committer.h"
#include "commit/relocate.h"
#include "flow/frontier.h"
#include "iceberg/catalog.h"
#include "ingest/judged.h"
#include "main/inspect_internal.h"

namespace weir::main {
Result<std::unique_ptr<iceberg::Catalog>> OpenCatalog(io::Io& io,
                                                      const Options& options) {
  const std::string path = commit::CatalogPath(DataDir(options));
  if (!io.Exists(path))
    return NotFound(fmt::format(
        "no lake at {}: `weir run` makes one, or point --data at it", DataDir(options)));
  auto catalog = WEIR_TRY(
      iceberg::Catalog::Open(io, path, commit::kCatalogName, /*read_only=*/true));
  WEIR_TRY(commit::CheckPlace(*catalog, DataDir(options)));
  return catalog;
}

void PrintTable(const std::vector<std::string>& header,
                const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> width(header.size());
  for (size_t i = 0; i < header.size(); ++i) {
    width[i] = header[i].size();
    for (const auto& row : rows) width[i] = std::max(width[i], row[i].size());
  }
  const auto print = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      const bool number = !cells[i].empty() &&
                          cells[i].find_first_not_of("0123456789") == std::string::npos;
      line += number ? fmt::format("{:>{}}  ", cells[i], width[i])
                     : fmt::format("{:<{}}  ", cells[i], width[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  };
  print(header);
  for (const auto& row : rows) print(row);
}

namespace {

using iceberg::SqlRow;
using nlohmann::json;

std::string Text(const iceberg::SqlValue& value) {
  return std::holds_alternative<std::string>(value) ? std::get<std::string>(value) : "";
}
int64_t Integer(const iceberg::SqlValue& value) {
  return std::holds_alternative<int64_t>(value) ? std::get<int64_t>(value) : 0;
}

// A text of catalog.db without its checksum; kCorrupt says what it is `of`.
Result<std::string> Unsealed(const iceberg::SqlValue& value, const std::string& of,
                             const Options& options) {
  auto text = UnsealJson(Text(value));
  if (text.ok()) return text;
  return Corrupt(fmt::format(
      "catalog.db: {} has a bad checksum: bytes of the file were changed; put back a "
      "copy of {}",
      of, DataDir(options)));
}

// Beside the counts: what was never framed is in none of them.
void PrintBrokenFiles(const json& line) {
  const int64_t count = line.value("broken_files", int64_t{0});
  if (count == 0) return;
  const json newest = line.value("newest_broken_files", json::array());
  fmt::print("{} {} not read whole{}:\n", count, count == 1 ? "file was" : "files were",
             count > static_cast<int64_t>(newest.size())
                 ? fmt::format("; the newest {}", newest.size())
                 : "");
  for (const json& file : newest)
    fmt::print("  {}; {}\n", file.value("error", ""), file.value("fix", ""));
}

int ShowLedger(io::Io& io, const Options& options) {
  auto catalog = OpenCatalog(io, options);
  if (!catalog.ok()) return Fail(catalog.error());
  const auto rows =
      (*catalog)->Sql("SELECT source, line FROM weir_ledger ORDER BY source");
  if (!rows.ok()) return Fail(rows.error());
  json lines = json::array();
  bool balanced = true;
  for (const SqlRow& row : *rows) {
    const auto text = Unsealed(row[1], "the ledger of " + Text(row[0]), options);
    if (!text.ok()) return Fail(text.error());
    const auto counts = flow::ParseLedger(*text);
    if (!counts.ok()) return Fail(counts.error());
    balanced &= counts->balanced();
    lines.push_back(json::parse(*text));
  }
  if (options.format == Format::kJson) {
    fmt::print("{}\n", lines.dump(1));
  } else if (options.format == Format::kCsv) {
    fmt::print("source,received,accepted,rejected,duplicate,late,blocked,broken_files\n");
    for (const json& line : lines) {
      fmt::print("{},{},{},{},{},{},{},{}\n", line["source"].get<std::string>(),
                 line["received"].get<int64_t>(), line["accepted"].get<int64_t>(),
                 line["rejected"].get<int64_t>(), line["duplicate"].get<int64_t>(),
                 line["late"].get<int64_t>(), line["blocked"].get<int64_t>(),
                 line.value("broken_files", int64_t{0}));
    }
  } else {
    for (const json& line : lines) {
      const std::string table = "bronze." + line["source"].get<std::string>();
      const bool reference = line.contains("rows");
      std::vector<std::vector<std::string>> cells;
      const auto add = [&](const std::string& what, const char* key,
                           const std::string& where) {
        cells.push_back({what, std::to_string(line[key].get<int64_t>()), where});
      };
      add("received", "received", "");
      add("= accepted", "accepted",
          reference ? fmt::format("{}: the {} rows of the newest content", table,
                                  line["rows"].get<int64_t>())
                    : table);
      add("+ rejected", "rejected", table + "$rejected");
      for (const auto& [reason, count] : line["rejected_by_reason"].items())
        cells.push_back({"    " + reason, std::to_string(count.get<int64_t>()), ""});
      if (!reference) {
        add("+ duplicate", "duplicate", "counted");
        if (line["conflicting"].get<int64_t>() > 0)
          add("    of other content", "conflicting", table + "$duplicate");
        add("+ late", "late", table + "$late");
        add("+ blocked", "blocked", "counted, payload not kept");
      }
      PrintTable({line["source"].get<std::string>(), "records", "stored in"}, cells);
      PrintBrokenFiles(line);
    }
    if (lines.empty()) fmt::print("no source has been read yet\n");
    if (!lines.empty() && balanced)
      fmt::print("balanced: every record received ended in exactly one place\n");
  }
  return balanced ? kFine : Fail("the ledger does not balance", kFailed);
}

int ShowSql(io::Io& io, const Options& options, const std::string& name) {
  int faults = 0;
  const auto loaded = Load(io, options, &faults);
  if (!loaded) return kFailed;
  const plan::ModelPlan* model = loaded->plan->Find(name);
  if (model == nullptr) {
    std::vector<std::string> names;
    for (const plan::ModelPlan& one : loaded->plan->models)
      names.push_back(one.model.name);
    const auto near = project::DidYouMean(name, names);
    return Fail(fmt::format("no model '{}'; {}", name,
                            near ? fmt::format("did you mean {}?", *near)
                                 : fmt::format("there are {}", fmt::join(names, ", "))),
                kWrongCall);
  }
  fmt::print("{};\n", model->completed_sql);
  return kFine;
}

// "fare_sane 12" of what a model's last commit says about its constraints.
std::string ViolationsText(const json& violations) {
  std::string out;
  for (const json& one : violations) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", one.value("constraint", ""),
                       one.value("rows", int64_t{0}));
  }
  return out;
}

int ShowModels(io::Io& io, const Options& options) {
  auto catalog = OpenCatalog(io, options);
  if (!catalog.ok()) return Fail(catalog.error());
  const auto rows = (*catalog)->Sql(
      "SELECT model, lane, halted, inputs, (SELECT work FROM weir_work AS w WHERE "
      "w.model = weir_models.model) FROM weir_models ORDER BY model");
  if (!rows.ok()) return Fail(rows.error());
  json out = json::array();
  std::vector<std::vector<std::string>> cells;
  for (const SqlRow& row : *rows) {
    const auto inputs =
        Unsealed(row[3], "the input versions of " + Text(row[0]), options);
    if (!inputs.ok()) return Fail(inputs.error());
    const json work = json::parse(Text(row[4]), nullptr, /*allow_exceptions=*/false);
    const json violations =
        work.is_object() ? work.value("violations", json::array()) : json::array();
    out.push_back({{"model", Text(row[0])},
                   {"lane", Text(row[1])},
                   {"halted", Text(row[2])},
                   {"violations", violations},
                   {"inputs", json::parse(*inputs)}});
    cells.push_back({Text(row[0]), Text(row[1]),
                     Text(row[2]).empty() ? "up to date with its inputs below"
                                          : "halted: " + Text(row[2]),
                     ViolationsText(violations), *inputs});
  }
  if (options.format == Format::kJson) {
    fmt::print("{}\n", out.dump(1));
  } else {
    PrintTable({"model", "lane", "state", "rows that violate its constraints",
                "versions of its inputs"},
               cells);
  }
  return kFine;
}

int ShowEpochs(io::Io& io, const Options& options) {
  auto catalog = OpenCatalog(io, options);
  if (!catalog.ok()) return Fail(catalog.error());
  const auto rows = (*catalog)->Sql(
      "SELECT epoch, lane, committed_at, frontier FROM weir_epochs ORDER BY epoch DESC "
      "LIMIT 20");
  if (!rows.ok()) return Fail(rows.error());
  json out = json::array();
  std::vector<std::vector<std::string>> cells;
  for (const SqlRow& row : *rows) {
    const auto text = Unsealed(
        row[3], fmt::format("the frontier of epoch {}", Integer(row[0])), options);
    if (!text.ok()) return Fail(text.error());
    const auto frontier = flow::ParseFrontier(*text);
    if (!frontier.ok()) return Fail(frontier.error());
    const std::string summary = flow::FrontierSummary(*frontier);
    out.push_back({{"epoch", Integer(row[0])},
                   {"lane", Text(row[1])},
                   {"committed_at", FormatTimestamp(Integer(row[2]))},
                   {"frontier", json::parse(summary)}});
    cells.push_back({std::to_string(Integer(row[0])), Text(row[1]),
                     FormatTimestamp(Integer(row[2])), summary});
  }
  if (options.format == Format::kJson) {
    fmt::print("{}\n", out.dump(1));
  } else {
    PrintTable({"epoch", "lane", "committed at", "frontier"}, cells);
  }
  return kFine;
}

// What a stage keeps, and what a changed row of its input costs.
std::string_view CostOf(const plan::Stage& stage) {
  switch (stage.kind) {
    case plan::BlockKind::kRowWise:
    case plan::BlockKind::kUnion:
      return "no state; each changed row by itself";
    case plan::BlockKind::kDistinct:
      return "one entry per distinct row; a changed row costs one look-up";
    case plan::BlockKind::kAggregate:
      return stage.aggregate.input_retracts
                 ? "one entry per group, and per distinct value of what min, max and "
                   "arg_* look at; a changed row costs one update of its group"
                 : "one entry per group; a changed row costs one update of its group";
    case plan::BlockKind::kTop:
      return stage.top.input_retracts
                 ? "all rows of each key, in order; a changed row costs one look-up"
                 : "the first rows of each key; a changed row costs one look-up";
    case plan::BlockKind::kJoin:
      return stage.one_group
                 ? "the rows of both sides; a changed row meets all rows of the other"
                 : "the rows of both sides; a changed row meets those with its key";
    case plan::BlockKind::kAsof:
      return "the rows of both sides in order; a changed row on the right costs the left "
             "rows up to the next one";
    case plan::BlockKind::kTemporal:
      return "rows whose time is not over; a row costs once as it comes and once for "
             "each end of its time";
    case plan::BlockKind::kWindow:
      return "all rows of each key, in order; a changed row costs the rows from it to "
             "where results stop changing";
    case plan::BlockKind::kComponents:
      return stage.components.from < 0
                 ? "the rows by record and the records by value, on one shard; a changed "
                   "row costs the components it touches, before and after, whole"
                 : "the rows by record and the records by value, on one shard; a changed "
                   "row costs the rows that were ever linked with it, times the moments "
                   "at which one of them begins or ends";
    case plan::BlockKind::kRecompute:
      return stage.one_group ? "all rows; any change computes all of them again"
                             : "all rows of each key; a changed row costs the rows of "
                               "its key";
    case plan::BlockKind::kFullRefresh:
      return "no state; every refresh reads the inputs whole and writes what differs";
  }
  return "";
}

json StagesJson(const plan::ModelPlan& model) {
  json out = json::array();
  for (const plan::Stage& stage : model.stages) {
    json ports = json::array();
    for (const plan::Port& port : stage.ports) {
      ports.push_back({{"reads", port.stage < 0 ? json(port.table) : json(port.stage)},
                       {"sql", port.sql}});
    }
    out.push_back({{"kind", plan::BlockKindName(stage.kind)},
                   {"inputs", ports},
                   {"recompute_sql", stage.recompute_sql},
                   {"why", stage.why},
                   {"cost", CostOf(stage)}});
  }
  return out;
}

// What the stages of a model did in the process that kept it last, as weir_work has it;
// null: nothing is known of this plan.
Result<json> WorkOf(iceberg::Catalog& catalog, const plan::ModelPlan& model) {
  const auto rows =
      catalog.Sql("SELECT work FROM weir_work WHERE model = ?", {model.model.name});
  if (!rows.ok() || rows->empty()) return json();  // written by an earlier version
  json work = json::parse(Text((*rows)[0][0]), nullptr, /*allow_exceptions=*/false);
  if (!work.is_object() || work.value("fingerprint", "") != model.fingerprint ||
      work.value("stages", json()).size() != model.stages.size())
    return json();
  return work;
}

std::string Seconds(const json& micros) {
  const double value = micros.get<double>();
  return value < 1e6 ? fmt::format("{:.1f} ms", value / 1e3)
                     : fmt::format("{:.1f} s", value / 1e6);
}

void ExplainWork(const json& work) {
  if (work.is_null()) {
    fmt::print("  measured  nothing yet: no process has kept this version of it\n");
    return;
  }
  fmt::print("  measured  since {}: {} steps, {} changed rows in, {} out, {}\n",
             FormatTimestamp(work["since"].get<int64_t>()), work["steps"].dump(),
             work["rows_in"].dump(), work["rows_out"].dump(), Seconds(work["micros"]));
  for (const json& one : work.value("violations", json::array())) {
    fmt::print("  violates  {} ({}): {} rows\n", one.value("constraint", ""),
               one.value("on_violation", ""), one.value("rows", int64_t{0}));
  }
}

void ExplainStage(size_t number, const plan::Stage& stage, const json& work) {
  fmt::print("  stage {}   {}{}\n", number, plan::BlockKindName(stage.kind),
             stage.why.empty() ? "" : ": " + stage.why);
  for (size_t i = 0; i < stage.ports.size(); ++i) {
    const plan::Port& port = stage.ports[i];
    std::vector<std::string> keys;
    for (const int key : port.exchange_keys)
      keys.push_back(port.schema.fields[static_cast<size_t>(key)].name);
    fmt::print("    input   {}{}\n            {}\n",
               port.stage < 0 ? port.table : fmt::format("stage {}", port.stage),
               keys.empty() ? "" : fmt::format(", by {}", fmt::join(keys, ", ")),
               port.sql);
  }
  if (!stage.recompute_sql.empty()) fmt::print("    again   {}\n", stage.recompute_sql);
  fmt::print("    keeps   {}\n", CostOf(stage));
  if (work.is_null()) return;
  const json& did = work["stages"][number];
  fmt::print("    did     {} changed rows in, {} out, {}; {} keys, {} bytes in memory\n",
             did["rows_in"].dump(), did["rows_out"].dump(), Seconds(did["micros"]),
             did["memory_keys"].dump(), did["memory_bytes"].dump());
}

void ExplainOne(const plan::ModelPlan& model, bool analyze, const json& work) {
  if (!model.part_of.empty()) {
    fmt::print("{}\n  rows that {} rejects, by its stages\n", model.model.name,
               model.part_of);
    return;
  }
  fmt::print("{}\n  reads     {}\n  kept by   {}{}\n", model.model.name,
             fmt::join(model.inputs, ", "), plan::BlockKindName(model.kind),
             model.kind == plan::BlockKind::kFullRefresh
                 ? ", on a lane of its own: " + model.why_not_better
                 : "");
  fmt::print("  key       {}\n", model.key.empty()
                                     ? "none known: equal rows are counted"
                                     : fmt::format("{}", fmt::join(model.key, ", ")));
  if (analyze) ExplainWork(work);
  for (size_t i = 0; i < model.stages.size(); ++i) ExplainStage(i, model.stages[i], work);
}

}  // namespace

int Check(io::Io& io, const Options& options) {
  int faults = 0;
  const auto loaded = Load(io, options, &faults);
  if (!loaded) {
    fmt::print(stderr, "{} {} found\n", faults, faults == 1 ? "fault" : "faults");
    return kFailed;
  }
  if (options.format == Format::kJson) {
    fmt::print("{}\n", json{{"faults", 0},
                            {"contracts", loaded->project->contracts.size()},
                            {"models", loaded->plan->models.size()}}
                           .dump());
  } else {
    const size_t contracts = loaded->project->contracts.size(),
                 models = loaded->plan->models.size();
    fmt::print("{}: {} contract{} and {} model{}, no faults\n", loaded->project->name,
               contracts, contracts == 1 ? "" : "s", models, models == 1 ? "" : "s");
  }
  return kFine;
}

int List(io::Io& io, const Options& options) {
  auto catalog = OpenCatalog(io, options);
  if (!catalog.ok()) return Fail(catalog.error());
  const auto tables = (*catalog)->List();
  if (!tables.ok()) return Fail(tables.error());
  json out = json::array();
  std::vector<std::vector<std::string>> cells;
  for (const iceberg::TableRef& ref : *tables) {
    const auto metadata = iceberg::ReadMetadata(io, ref.metadata_location);
    if (!metadata.ok()) return Fail(metadata.error());
    const iceberg::Snapshot* snapshot = metadata->current();
    const auto total = [&](const char* key) -> std::string {
      if (snapshot == nullptr) return "0";
      const auto found = snapshot->summary.find(key);
      return found == snapshot->summary.end() ? "0" : found->second;
    };
    // total-records counts the rows of all data files; deletion vectors take some away
    // again.
    const int64_t rows = std::atoll(total("total-records").c_str()) -
                         std::atoll(total("total-position-deletes").c_str());
    const std::string committed =
        snapshot == nullptr ? "" : FormatTimestamp(snapshot->timestamp);
    out.push_back({{"table", ref.name},
                   {"rows", rows},
                   {"files", std::atoll(total("total-data-files").c_str())},
                   {"bytes", std::atoll(total("total-files-size").c_str())},
                   {"committed_at", committed},
                   {"metadata", ref.metadata_location}});
    cells.push_back({ref.name, std::to_string(rows), total("total-data-files"),
                     total("total-files-size"), committed});
  }
  if (options.format == Format::kJson) {
    fmt::print("{}\n", out.dump(1));
  } else if (options.format == Format::kCsv) {
    fmt::print("table,rows,files,bytes,committed_at\n");
    for (const auto& row : cells) fmt::print("{}\n", fmt::join(row, ","));
  } else {
    PrintTable({"table", "rows", "files", "bytes", "last change"}, cells);
  }
  return kFine;
}

int Show(io::Io& io, const Options& options, const std::string& what,
         const std::string& name) {
  if (what == "ledger") return ShowLedger(io, options);
  if (what == "models") return ShowModels(io, options);
  if (what == "epochs") return ShowEpochs(io, options);
  if (what == "sql") {
    if (name.empty())
      return Fail("show sql needs a model: weir show sql silver.trips", kWrongCall);
    return ShowSql(io, options, name);
  }
  if (what == "state") return ShowState(io, options, name);
  if (what == "arrivals") return ShowArrivals(io, options, name);
  if (what == "tags") return ShowTags(io, options, name);
  if (what == "table") return ShowTable(io, options, name);
  const auto near = project::DidYouMean(
      what, {"ledger", "models", "epochs", "state", "sql", "arrivals", "table", "tags"});
  return Fail(fmt::format("nothing called '{}' to show; {}", what,
                          near ? fmt::format("did you mean {}?", *near)
                               : "there are ledger, models, epochs, state, sql MODEL, "
                                 "arrivals SOURCE, table TABLE and tags"),
              kWrongCall);
}

int Explain(io::Io& io, const Options& options, const std::string& name, bool analyze) {
  int faults = 0;
  const auto loaded = Load(io, options, &faults);
  if (!loaded) return kFailed;
  std::vector<std::string> names;
  for (const plan::ModelPlan& model : loaded->plan->models)
    names.push_back(model.model.name);
  if (!name.empty() && loaded->plan->Find(name) == nullptr) {
    const auto near = project::DidYouMean(name, names);
    return Fail(fmt::format("no model '{}'; {}", name,
                            near ? fmt::format("did you mean {}?", *near)
                                 : fmt::format("there are {}", fmt::join(names, ", "))),
                kWrongCall);
  }
  std::map<std::string, json> work;
  if (analyze) {
    auto catalog = OpenCatalog(io, options);
    if (!catalog.ok()) return Fail(catalog.error());
    for (const plan::ModelPlan& model : loaded->plan->models) {
      auto one = WorkOf(**catalog, model);
      if (!one.ok()) return Fail(one.error());
      work[model.model.name] = *std::move(one);
    }
  }
  if (options.format == Format::kJson) {
    json out = json::array();
    for (const plan::ModelPlan& model : loaded->plan->models) {
      if (!name.empty() && model.model.name != name) continue;
      out.push_back({{"model", model.model.name},
                     {"kind", plan::BlockKindName(model.kind)},
                     {"key", model.key},
                     {"inputs", model.inputs},
                     {"why_not_better", model.why_not_better},
                     {"stages", StagesJson(model)},
                     {"completed_sql", model.completed_sql}});
      if (analyze) out.back()["measured"] = work[model.model.name];
    }
    fmt::print("{}\n", out.dump(1));
    return kFine;
  }
  for (const plan::ModelPlan& model : loaded->plan->models) {
    if (name.empty() || model.model.name == name)
      ExplainOne(model, analyze, work[model.model.name]);
  }
  return kFine;
}

}  // namespace weir::main
