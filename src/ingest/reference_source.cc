// Reference data: a table that equals the newest content of files.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <unordered_map>

#include "base/event.h"
#include "base/json.h"
#include "data/arrow.h"
#include "ingest/arrivals.h"
#include "ingest/file_catalog.h"
#include "ingest/file_gate.h"
#include "ingest/line_reader.h"
#include "ingest/pipeline.h"
#include "ingest/source_thread_internal.h"

namespace weir::ingest {
namespace {

// What the table holds: files by name, and the rules that their records were judged by.
struct Content {
  struct File {
    std::string name;
    uint64_t size = 0, checksum = 0;
    friend bool operator==(const File&, const File&) = default;
  };
  std::string rules;
  std::vector<File> files;    // by name
  std::vector<File> refused;  // by a gate, since then
  bool SameAs(const Content& other) const {
    return rules == other.rules && files == other.files;
  }
};

nlohmann::json FilesJson(const std::vector<Content::File>& list) {
  nlohmann::json files = nlohmann::json::array();
  for (const Content::File& file : list)
    files.push_back(
        {{"name", file.name}, {"size", file.size}, {"checksum", file.checksum}});
  return files;
}

std::vector<Content::File> FilesOf(const nlohmann::json& list) {
  std::vector<Content::File> out;
  for (const auto& file : list)
    out.push_back({file.at("name").get<std::string>(),
                   IntegerOf<uint64_t>(file.at("size")),
                   IntegerOf<uint64_t>(file.at("checksum"))});
  return out;
}

// Another version of the contract, or other columns, judge the same bytes anew.
std::string RulesOf(const contract::Contract& contract) {
  std::string columns;
  for (const data::Field& field : contract.schema.fields)
    columns += fmt::format("{} {},", field.name, data::TypeName(field.type));
  return fmt::format("{} {:016x}", contract.version, HashBytes64(columns));
}

std::string ContentJson(const Content& content) {
  nlohmann::json json{{"rules", content.rules}, {"files", FilesJson(content.files)}};
  if (!content.refused.empty()) json["refused"] = FilesJson(content.refused);
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<Content> ParseContent(const std::string& text) {
  Content out;
  if (text.empty()) return out;
  const auto json = ParseJson(text);
  try {
    out.rules = json.at("rules").get<std::string>();
    out.files = FilesOf(json.at("files"));
    if (json.contains("refused")) out.refused = FilesOf(json.at("refused"));
  } catch (const nlohmann::json::exception& e) {
    return Corrupt(
        fmt::format("the content of reference data in the frontier: {}", e.what()));
  }
  return out;
}

struct Found {
  std::string name;
  io::FileInfo info;
  friend bool operator==(const Found& a, const Found& b) {
    return a.name == b.name && a.info.size == b.info.size &&
           a.info.modified == b.info.modified;
  }
};

// The records of all files, judged.
struct Loaded {
  std::vector<data::Batch> rows, rejected;
  Counts counts;
  int64_t bytes = 0;
  std::vector<Arrival> arrivals;       // of the files
  std::optional<GateFailure> refused;  // then the last of the files
};

class ReferenceSource final : public SourceThread {
 public:
  ReferenceSource(SourceContext context, ReferenceSourceOptions options,
                  std::unique_ptr<Pipeline> pipeline, FilePattern pattern)
      : SourceThread(std::move(context)),
        options_(std::move(options)),
        pipeline_(std::move(pipeline)),
        pattern_(std::move(pattern)),
        table_(pipeline_->tables().bronze) {}

  ~ReferenceSource() override { Join(); }

  Status Start() override {
    position_.partition = options_.partition;
    for (const PartitionPosition& position : context_.committed) {
      if (position.partition == options_.partition) position_ = position;
    }
    content_ = WEIR_TRY(ParseContent(position_.content));
    for (data::Batch& batch : WEIR_TRY(options_.committed_rows()))
      rows_.push_back(AsDeclared(batch));
    WEIR_TRY(Look());
    StartThread();
    return {};
  }

  const SourceTables& tables() const override { return pipeline_->tables(); }

 private:
  Status Loop() override {
    if (options_.once) WEIR_TRY(Push(EndOfInput{}, 0));
    auto next_look = std::chrono::steady_clock::now() + kScanInterval;
    for (;;) {
      if (!Taking()) return {};
      WEIR_TRY(SendMarkers());
      if (!options_.once && std::chrono::steady_clock::now() >= next_look) {
        WEIR_TRY(Look());
        next_look = std::chrono::steady_clock::now() + kScanInterval;
      }
      WaitForMarkerOrStop(options_.once ? std::chrono::milliseconds(1000)
                                        : std::chrono::milliseconds(200));
    }
  }

  Status Fill(Marker& marker) override {
    marker.positions.push_back(position_);
    return {};
  }

  // One look at the files; hands over what changed.
  Status Look() {
    auto found = Find();
    if (!found.ok()) {
      if (found.error().code == Code::kUnavailable)
        return WaitIfLive(std::move(found).error(), options_.once);
      return Hold({}, {pattern_.dir(), found.error().message, "look at the folder"});
    }
    if (looked_ && *looked_ == *found) return {};
    if (!IsQuiet(*found)) return {};
    if (auto fault = Missing(*found)) return Hold(*found, *std::move(fault));
    auto content = ContentOf(*found);
    if (!content.ok()) return HoldFor(*found, content.error());
    if (content->SameAs(content_)) {
      held_.clear();
      looked_ = *std::move(found);
      return {};
    }
    auto loaded = Load(*found, *content);
    if (!loaded.ok()) return HoldFor(*found, loaded.error());
    TroubleIsOver();
    if (loaded->refused) return HoldRefused(*found, *loaded, *content);
    WEIR_TRY(HandOver(*std::move(loaded), *std::move(content)));
    looked_ = *std::move(found);
    return {};
  }

  // The files that count, by name.
  Result<std::vector<Found>> Find() {
    auto names = context_.io->List(pattern_.dir());
    if (!names.ok()) {
      if (names.error().code == Code::kNotFound) return std::vector<Found>();
      return std::move(names).error();
    }
    std::erase_if(
        *names, [&](const std::string& name) { return pattern_.PartitionOf(name) < 0; });
    std::sort(names->begin(), names->end());
    if (context_.contract->newest_file && names->size() > 1)
      names->erase(names->begin(), names->end() - 1);
    std::vector<Found> out;
    for (const std::string& name : *names) {
      auto info = context_.io->Stat(PathOf(name));
      if (!info.ok()) {
        if (info.error().code == Code::kNotFound) continue;  // it went between the two
        return std::move(info).error();
      }
      out.push_back({name, *info});
    }
    return out;
  }

  bool IsQuiet(const std::vector<Found>& found) {
    const Micros now = context_.clock->Now();
    if (seen_ != found) {
      seen_ = found;
      seen_since_ = now;
    }
    return now - seen_since_ >= options_.quiet ||
           std::all_of(found.begin(), found.end(), [&](const Found& file) {
             return now - file.info.modified >= options_.quiet;
           });
  }

  // Why the files that are there are not the content: one that was part of it is gone.
  std::optional<FileFault> Missing(const std::vector<Found>& found) const {
    if (found.empty()) {
      const std::string what =
          pattern_.name().empty() ? pattern_.dir() : PathOf(pattern_.name());
      return FileFault{what, fmt::format("there is no {}: {}", what, KeepsText()),
                       content_.files.empty() ? "put the file there"
                                              : "put it back (a file with a header alone "
                                                "has no rows)"};
    }
    if (pattern_.literal()) return std::nullopt;
    for (const Content::File& file : content_.files) {
      const bool there = std::any_of(found.begin(), found.end(), [&](const Found& one) {
        return one.name == file.name;
      });
      const bool outdated =
          context_.contract->newest_file && found.back().name > file.name;
      if (there || outdated) continue;
      return FileFault{PathOf(file.name),
                       fmt::format("{} is gone: {}", PathOf(file.name), KeepsText()),
                       "put it back; a file that is to add nothing has a header alone"};
    }
    return std::nullopt;
  }

  std::string KeepsText() const {
    return content_.files.empty()
               ? fmt::format("{} stays empty", table_)
               : fmt::format("{} keeps the rows of the last good content", table_);
  }

  Result<Content> ContentOf(const std::vector<Found>& found) const {
    Content out{RulesOf(*context_.contract), {}, {}};
    for (const Found& file : found) {
      const std::string path = PathOf(file.name);
      if (!file.info.is_regular)
        return Invalid(fmt::format("{} is not a regular file", path));
      out.files.push_back({file.name, file.info.size,
                           WEIR_TRY(ChecksumFile(*context_.io, path, file.info.size))});
    }
    return out;
  }

  Result<Loaded> Load(const std::vector<Found>& found, const Content& content) {
    Loaded out;
    Keys keys;
    for (size_t i = 0; i < found.size(); ++i) {
      WEIR_TRY(LoadFile(found[i], content.files[i].checksum, &keys, &out));
      WEIR_TRY(CheckUnchanged(*context_.io,
                              {0, 0, PathOf(found[i].name), content.files[i].size,
                               found[i].info.modified, content.files[i].checksum}));
      if (out.refused) return out;
    }
    return out;
  }

  // Where each key stands first.
  using Keys = std::unordered_map<Hash128, std::string, Hash128Hasher>;

  Status LoadFile(const Found& file, uint64_t checksum, Keys* keys, Loaded* out) {
    FileGates gates = WEIR_TRY(FileGates::New(*context_.contract));
    const Counts before = out->counts;
    const auto reader = WEIR_TRY(LineReader::Open(
        *context_.io, PathOf(file.name), 0,
        {context_.record_bytes_max, file.info.size, options_.csv, options_.parquet}));
    int64_t record = 0;
    for (bool end = false; !end;) {
      const Lines lines = WEIR_TRY(reader->Next(context_.step_rows, context_.step_bytes));
      end = lines.end_of_file;
      Checked checked = WEIR_TRY(pipeline_->Check(lines.records, lines.columns.get()));
      WEIR_TRY(gates.Add(checked));
      RejectRepeated(file.name, record, keys, &checked);
      record += lines.framed;
      std::vector<int32_t> rows(lines.records.size());
      std::iota(rows.begin(), rows.end(), 0);
      std::vector<log::Verdict> verdicts(rows.size(), log::Verdict::kAccepted);
      for (size_t i = 0; i < rows.size(); ++i) {
        if (checked.rejected[i]) verdicts[i] = log::Verdict::kRejected;
      }
      const LogOffset first{position_.next.value + out->counts.received};
      JudgedBatch batch = WEIR_TRY(pipeline_->Build(
          checked, rows, verdicts, options_.partition, first, file.info.modified));
      batch.counts.received = lines.framed;
      out->counts.Add(batch.counts);
      out->bytes += batch.bytes;
      if (batch.accepted.rows) out->rows.push_back(std::move(batch.accepted));
      if (batch.rejected.rows) out->rejected.push_back(std::move(batch.rejected));
    }
    out->refused = gates.Failure();
    Arrival arrival{PathOf(file.name),    -1,       options_.partition,
                    file.info.size,       checksum, file.info.modified,
                    context_.clock->Now()};
    arrival.rows = out->counts.received - before.received;
    arrival.accepted = out->counts.accepted - before.accepted;
    arrival.rejected = out->counts.rejected - before.rejected;
    arrival.state = "read";
    if (out->refused) {
      arrival.state = "quarantined";
      arrival.why = fmt::format("{}: {}", out->refused->check, out->refused->actual);
      arrival.accepted = arrival.rejected = 0;
    }
    out->arrivals.push_back(std::move(arrival));
    return {};
  }

  // A key that stood before: the first place counts. `before`: records of the file before
  // these.
  void RejectRepeated(const std::string& name, int64_t before, Keys* keys,
                      Checked* checked) const {
    const size_t known = checked->rejections.size();
    for (size_t i = 0; i < checked->records.size(); ++i) {
      if (checked->rejected[i]) continue;
      std::string place =
          fmt::format("record {} of {}", before + static_cast<int64_t>(i) + 1, name);
      const auto [it, is_new] = keys->try_emplace(checked->identity[i], place);
      if (is_new) continue;
      checked->rejected[i] = 1;
      checked->rejections.push_back(
          {static_cast<int32_t>(i), contract::Reason::kDuplicateKey,
           fmt::format("{}", fmt::join(context_.contract->identity, ",")),
           fmt::format("each key once; this one stands in {}", it->second),
           std::move(place)});
    }
    std::inplace_merge(checked->rejections.begin(),
                       checked->rejections.begin() + static_cast<ptrdiff_t>(known),
                       checked->rejections.end(),
                       [](const contract::Rejection& a, const contract::Rejection& b) {
                         return a.row < b.row;
                       });
  }

  Status HandOver(Loaded loaded, Content content) {
    std::vector<data::Batch> both;
    for (const data::Batch& batch : rows_) {
      both.push_back(batch);
      both.back().weights.assign(static_cast<size_t>(batch.num_rows()), -1);
    }
    both.insert(both.end(), loaded.rows.begin(), loaded.rows.end());
    JudgedBatch batch;
    batch.first = position_.next;
    if (!both.empty())
      batch.accepted = WEIR_TRY(data::Consolidate(WEIR_TRY(data::Concat(both))));
    if (!loaded.rejected.empty())
      batch.rejected = WEIR_TRY(data::Concat(loaded.rejected));
    const int64_t deleted =
        std::count(batch.accepted.weights.begin(), batch.accepted.weights.end(), -1);
    Event("reference_loaded")
        .With("source", context_.contract->name)
        .With("files", static_cast<int64_t>(content.files.size()))
        .With("rows", loaded.counts.accepted)
        .With("rejected", loaded.counts.rejected)
        .With("inserted", batch.accepted.rows ? batch.accepted.num_rows() - deleted : 0)
        .With("deleted", deleted);
    batch.arrivals = WEIR_TRY(ArrivalRows(*context_.contract, loaded.arrivals));
    batch.counts = loaded.counts;
    batch.bytes = loaded.bytes;
    position_.next.value += loaded.counts.received;
    position_.content = ContentJson(content);
    batch.after = position_;
    content_ = std::move(content);
    held_.clear();
    rows_ = std::move(loaded.rows);
    // The rows are here anyway: they wait for no room in the queue.
    return Push(std::move(batch), 0);
  }

  // A gate refused the last of the arrivals: its row is written once, and it is told.
  Status HoldRefused(const std::vector<Found>& found, const Loaded& loaded,
                     const Content& content) {
    const Arrival& refused = loaded.arrivals.back();
    if (content.files != content_.refused) {
      content_.refused = content.files;
      position_.content = ContentJson(content_);
      JudgedBatch batch;
      batch.first = position_.next;
      batch.after = position_;
      batch.arrivals = WEIR_TRY(ArrivalRows(*context_.contract, std::span(&refused, 1)));
      WEIR_TRY(Push(std::move(batch), 0));
    }
    return Hold(
        found,
        {refused.path,
         fmt::format("{} is quarantined: {}: {}", refused.path, refused.why, KeepsText()),
         "deliver the corrected file under this name"},
        "file_quarantined");
  }

  Status HoldFor(const std::vector<Found>& found, const Error& error) {
    if (error.code == Code::kUnavailable) return WaitIfLive(error, options_.once);
    const std::string path = found.size() == 1 ? PathOf(found[0].name) : pattern_.dir();
    return Hold(found, {path, fmt::format("{}: {}", error.message, KeepsText()),
                        "put a whole file there; it is looked at when it changes"});
  }

  // Told once as long as the files stay as they are.
  Status Hold(std::vector<Found> found, FileFault fault,
              const char* event = "reference_held") {
    looked_ = std::move(found);
    if (held_ == fault.error) return {};
    held_ = fault.error;
    return Tell(event, std::move(fault));
  }

  data::Batch AsDeclared(const data::Batch& batch) const {
    return {arrow::RecordBatch::Make(data::ToArrow(pipeline_->tables().bronze_schema),
                                     batch.num_rows(), batch.rows->columns()),
            batch.weights};
  }

  std::string PathOf(std::string_view name) const {
    return io::Join(pattern_.dir(), std::string(name));
  }

  const ReferenceSourceOptions options_;
  const std::unique_ptr<Pipeline> pipeline_;
  const FilePattern pattern_;
  const std::string table_;
  PartitionPosition position_;
  Content content_;                           // handed over last
  std::vector<data::Batch> rows_;             // those of content_
  std::optional<std::vector<Found>> looked_;  // what the last whole look saw
  std::vector<Found> seen_;
  Micros seen_since_ = 0;
  std::string held_;  // told about last
};

}  // namespace

Result<std::unique_ptr<Source>> NewReferenceSource(SourceContext context,
                                                   ReferenceSourceOptions options) {
  auto pipeline = WEIR_TRY(Pipeline::New(*context.contract, context.record_bytes_max,
                                         options.csv ? &*options.csv : nullptr));
  FilePattern pattern =
      WEIR_TRY(FilePattern::Parse(options.location, options.parquet ? "parquet"
                                                    : options.csv   ? "csv"
                                                                    : "ndjson"));
  return std::unique_ptr<Source>(std::make_unique<ReferenceSource>(
      std::move(context), std::move(options), std::move(pipeline), std::move(pattern)));
}

}  // namespace weir::ingest
