#include "flow/sources.h"

#include <fmt/format.h>

#include "project/project.h"

namespace weir::flow {

// Finds the source by name; the rest is the source's.
class Sources::Sink final : public ingest::EventSink {
 public:
  explicit Sink(std::map<std::string, ingest::LogSource*> sources)
      : sources_(std::move(sources)) {}

  void Push(std::string source, std::shared_ptr<std::string> body,
            std::vector<std::string_view> records,
            std::function<void(ingest::PushResult)> done) override {
    const auto found = sources_.find(source);
    if (found == sources_.end()) {
      done({ingest::PushResult::Code::kUnknownSource,
            {},
            fmt::format("no source '{}' takes records over HTTP", source)});
      return;
    }
    found->second->Push(std::move(body), std::move(records), std::move(done));
  }

  std::vector<std::string> sources() const override {
    std::vector<std::string> names;
    for (const auto& [name, source] : sources_) names.push_back(name);
    return names;
  }

 private:
  const std::map<std::string, ingest::LogSource*> sources_;
};

namespace {

// A path given by hand for one run must be there: a typing error must not look like a
// source without news.
Status CheckPath(io::Io& io, const std::string& source, const std::string& location,
                 const std::string& format) {
  const ingest::FilePattern pattern =
      WEIR_TRY(ingest::FilePattern::Parse(location, format));
  const std::string must_exist =
      pattern.literal() ? io::Join(pattern.dir(), pattern.name()) : pattern.dir();
  if (io.Exists(must_exist)) return {};
  return NotFound(
      fmt::format("--source {}={}: there is no {}", source, location, must_exist));
}

}  // namespace

Sources::~Sources() = default;

Result<std::unique_ptr<Sources>> Sources::Open(io::Io& io, Clock& clock,
                                               const project::Project& project,
                                               const Frontier& frontier,
                                               SourcesOptions options) {
  auto out = std::unique_ptr<Sources>(new Sources);
  for (const auto& [name, path] : options.paths) {
    std::vector<std::string> names;
    for (const contract::Contract& contract : project.contracts)
      names.push_back(contract.name);
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const auto near = project::DidYouMean(name, names);
    return Invalid(fmt::format("--source {}: the project has no such source; {}", name,
                               near ? fmt::format("did you mean {}?", *near)
                                    : fmt::format("it has {}", fmt::join(names, ", "))));
  }
  for (size_t i = 0; i < project.contracts.size(); ++i) {
    Status bound = out->Bind(io, clock, project, frontier, options, i);
    if (!bound.ok())
      return std::move(bound).error().Within("source " + project.contracts[i].name);
  }
  std::map<std::string, ingest::LogSource*> live;
  for (const One& one : out->all_) {
    if (one.log != nullptr && options.live) live[one.name] = one.log;
  }
  if (options.live) out->sink_ = std::make_unique<Sink>(std::move(live));
  return out;
}

Status Sources::Bind(io::Io& io, Clock& clock, const project::Project& project,
                     const Frontier& frontier, const SourcesOptions& options,
                     size_t index) {
  const contract::Contract& contract = project.contracts[index];
  const project::Settings& settings = project.settings;
  const auto path = options.paths.find(contract.name);
  const bool has_local = std::any_of(contract.servers.begin(), contract.servers.end(),
                                     [](const auto& s) { return s.type == "local"; });
  std::vector<contract::Server> servers = contract.servers;
  if (path != options.paths.end() && !has_local)
    servers.push_back({.name = "source", .type = "local"});
  for (size_t place = 0; place < servers.size(); ++place) {
    const contract::Server& server = servers[place];
    const int first = static_cast<int>(place) * kPartitionsPerServer;
    ingest::SourceContext context;
    context.index = all_.size();
    context.contract = &contract;
    context.io = &io;
    context.clock = &clock;
    context.journal = options.journal;
    context.queue = options.queue;
    context.store = options.store;
    context.global_watermark = options.global_watermark;
    context.last_marker = frontier.marker;
    context.steps_per_marker = settings.epoch_steps;
    context.step_rows = settings.step_rows;
    context.step_bytes = settings.step_bytes;
    context.identity_bytes = IdentityBytes(settings, project.contracts.size());
    context.record_bytes_max = settings.record_bytes_max;
    if (const auto known = frontier.sources.find(contract.name);
        known != frontier.sources.end()) {
      for (const auto& [number, position] : known->second) {
        if (number >= first && number < first + kPartitionsPerServer)
          context.committed.push_back(position);
      }
    }
    One one{contract.name, index, first};
    if (server.type == "local") {
      std::string location = path != options.paths.end() ? path->second : server.location;
      if (!location.starts_with('/') && path == options.paths.end())
        location = io::Join(project.dir, location);
      if (options.once && path != options.paths.end())
        WEIR_TRY(CheckPath(io, contract.name, location, server.format));
      std::optional<codec::CsvDialect> csv;
      if (server.format == "csv") csv = server.csv;
      const bool parquet = server.format == "parquet";
      const Micros quiet = options.once ? 0 : settings.file_quiet;
      if (contract.kind == contract::SourceKind::kReference) {
        ingest::ReferenceSourceOptions files{
            std::move(location), std::move(csv), parquet, first,
            options.once,        quiet,          nullptr};
        files.committed_rows = [rows = options.rows,
                                table = ingest::TablesOf(contract).bronze] {
          return rows(table);
        };
        one.source =
            WEIR_TRY(ingest::NewReferenceSource(std::move(context), std::move(files)));
        one.first = true;
      } else {
        one.source = WEIR_TRY(ingest::NewFileSource(
            std::move(context),
            {std::move(location), std::move(csv), parquet, first, options.once, quiet}));
      }
    } else if (server.type == "http") {
      ingest::LogSourceOptions log;
      log.dir = io::Join(io::Join(options.data_dir, "log"), contract.name);
      if (!options.live && !io.Exists(log.dir)) continue;  // nothing was ever pushed
      if (contract.raw != contract::RawPolicy::kDrop)
        log.archive_dir = io::Join(io::Join(io::Join(options.data_dir, "log"), "archive"),
                                   contract.name);
      log.first_partition = first;
      log.partitions = settings.partitions;
      log.live = options.live;
      log.waiting_bytes_max = std::max<int64_t>(settings.memory_max / 16, 16 << 20);
      log.owner = options.owner;
      log.lease_valid = options.lease_valid;
      auto source = WEIR_TRY(ingest::NewLogSource(std::move(context), std::move(log)));
      one.log = source.get();
      one.source = std::move(source);
    } else {
      return Invalid(
          fmt::format("server '{}' has type '{}'; this version reads 'local' (files) and "
                      "'http' (the built-in gateway)",
                      server.name, server.type));
    }
    all_.push_back(std::move(one));
  }
  return {};
}

Status Sources::Start() {
  for (One& one : all_) {
    Status found = one.source->Discover();
    if (!found.ok()) return std::move(found).error().Within("source " + one.name);
  }
  // What the others' records are looked up in stands before them.
  for (const bool first : {true, false}) {
    for (One& one : all_) {
      if (one.first != first) continue;
      Status started = one.source->Start();
      if (!started.ok()) return std::move(started).error().Within("source " + one.name);
    }
  }
  return {};
}

void Sources::RequestMarker(int64_t number) {
  for (One& one : all_) one.source->RequestMarker(number);
}

void Sources::StopTaking() {
  for (One& one : all_) one.source->StopTaking();
}

void Sources::Stop() {
  for (One& one : all_) one.source->Stop();
}

void Sources::Committed(const Frontier& frontier) {
  for (One& one : all_) {
    const auto known = frontier.sources.find(one.name);
    if (known == frontier.sources.end()) continue;
    std::map<int, ingest::PartitionPosition> own;
    for (const auto& [number, position] : known->second) {
      if (number >= one.first_partition &&
          number < one.first_partition + kPartitionsPerServer)
        own[number] = position;
    }
    one.source->Committed(own);
  }
}

}  // namespace weir::flow
