// weir run --once and weir up.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "base/cancel.h"
#include "base/event.h"
#include "commit/lease_term.h"
#include "flow/flow.h"
#include "main/command.h"
#include "serve/gateway.h"

namespace weir::main {
namespace {

const CancelToken& StopSignal() {
  static const CancelToken token;
  return token;
}

void HandleSignals() {
  static_cast<void>(StopSignal());  // made before a handler can need it
  struct sigaction action {};
  action.sa_handler = [](int) { StopSignal().Cancel(); };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

// One line on a terminal that is drawn over itself; nothing elsewhere.
class ProgressLine {
 public:
  void Show(const flow::RunReport& report) {
    if (!terminal_) return;
    const double seconds = static_cast<double>(report.wall) / 1e6;
    fmt::print(stderr, "\r\033[K{:>12} events  {:>9.0f}/s  {} commits  {:.1f} s",
               Grouped(report.received),
               seconds > 0 ? static_cast<double>(report.received) / seconds : 0,
               report.epochs, seconds);
    std::fflush(stderr);
    shown_ = true;
  }
  void Clear() {
    if (shown_) fmt::print(stderr, "\r\033[K");
  }
  static std::string Grouped(int64_t value) {
    std::string text = std::to_string(value);
    for (auto i = static_cast<ptrdiff_t>(text.size()) - 3; i > (value < 0 ? 1 : 0);
         i -= 3)
      text.insert(static_cast<size_t>(i), 1, ',');
    return text;
  }

 private:
  const bool terminal_ = ::isatty(STDERR_FILENO) != 0;
  bool shown_ = false;
};

void PrintReport(const flow::RunReport& report, Format format,
                 const std::string& data_dir) {
  if (format == Format::kJson) {
    fmt::print("{}\n", report.Json());
    return;
  }
  const double seconds = static_cast<double>(report.wall) / 1e6;
  if (report.received == 0) {
    fmt::print("nothing new arrived\n");
  } else {
    fmt::print("{} records in {:.1f} s ({:.0f}/s), {} steps, {} commits\n",
               ProgressLine::Grouped(report.received), seconds,
               seconds > 0 ? static_cast<double>(report.received) / seconds : 0,
               report.steps, report.epochs);
  }
  for (const auto& [source, counts] : report.ledger) {
    fmt::print(
        "{}: {} received = {} accepted + {} rejected + {} duplicate + {} late + {} "
        "blocked\n",
        source, counts.received, counts.accepted, counts.rejected, counts.duplicate,
        counts.late, counts.blocked);
  }
  for (const auto& [model, why] : report.halted)
    fmt::print(stderr, "weir: {} stands still: {}\n", model, why);
  for (const auto& [source, files] : report.file_faults) {
    for (const ingest::FileFault& fault : files.newest)
      fmt::print(stderr, "weir: source {}: {}; {}\n", source, fault.error, fault.fix);
    if (files.count > static_cast<int64_t>(files.newest.size()))
      fmt::print(stderr, "weir: source {}: {} files in all were not read whole\n", source,
                 files.count);
  }
  fmt::print("tables: {}\n", data_dir);
}

flow::FlowOptions FlowOptionsOf(const Options& options) {
  flow::FlowOptions flow;
  flow.data_dir = DataDir(options);
  flow.wait_for_lease = true;
  for (const auto& [name, path] : options.sources)
    flow.source_paths[name] = AbsolutePath(path);
  return flow;
}

// --source names must be sources of the project: a wrong one is a wrong call.
std::optional<std::string> UnknownSource(const Options& options,
                                         const project::Project& project) {
  std::vector<std::string> names;
  for (const contract::Contract& contract : project.contracts)
    names.push_back(contract.name);
  for (const auto& [name, path] : options.sources) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const auto near = project::DidYouMean(name, names);
    return fmt::format("--source {}: no such source; {}", name,
                       near ? fmt::format("did you mean {}?", *near)
                            : fmt::format("the project has {}", fmt::join(names, ", ")));
  }
  return std::nullopt;
}

// How many connections there may be: sockets must leave descriptors for the log and the
// tables, so at most half of what the process may have; the soft limit is raised to the
// hard one.
size_t ConnectionsMax(size_t wanted) {
  constexpr size_t kFiles = 64, kRefused = 64, kMin = 16;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const size_t half = (std::max<size_t>(limit.rlim_cur, kFiles) - kFiles) / 2;
  return std::min(wanted, std::max(kMin, half - std::min(half, kRefused)));
}

// Where the gateway hands records in: the sink of the flow that runs now. Between two
// flows there is none, and callers are told to try again.
class CurrentSink final : public ingest::EventSink {
 public:
  // Returns once no caller is inside the sink that was there.
  void Set(ingest::EventSink* sink) {
    std::unique_lock lock(mutex_);
    sink_ = sink;
    if (sink != nullptr) sources_ = sink->sources();
  }
  void Push(std::string source, std::shared_ptr<std::string> body,
            std::vector<std::string_view> records,
            std::function<void(ingest::PushResult)> done) override {
    std::shared_lock lock(mutex_);
    if (sink_ == nullptr) {
      done({ingest::PushResult::Code::kStopping, {}, "takes no records at the moment"});
      return;
    }
    sink_->Push(std::move(source), std::move(body), std::move(records), std::move(done));
  }
  std::vector<std::string> sources() const override {
    std::shared_lock lock(mutex_);
    return sources_;
  }

 private:
  mutable std::shared_mutex mutex_;
  ingest::EventSink* sink_ = nullptr;
  std::vector<std::string> sources_;
};

// Whether a new flow on the same directory may succeed where this one failed: a full
// disk, no descriptors left, an outcome that only looking again can tell.
bool PassesByItself(const Error& error) {
  return error.code == Code::kUnavailable || error.code == Code::kUnknownOutcome;
}

// Opens a flow again and again until it opens, the error is none that passes, or the
// process is to stop (kCancelled).
Result<std::unique_ptr<flow::Flow>> Reopen(
    Error why, const std::function<Result<std::unique_ptr<flow::Flow>>()>& open) {
  std::string told;
  for (;;) {
    if (told != why.message) {
      Event("up_waits", Severity::kError)
          .With("error", why.message)
          .With("meaning",
                "the tables stand at their last commit, nothing that was acknowledged is "
                "lost, new records get 503")
          .With("fix", "remove the cause; it is tried again every second");
      told = why.message;
    }
    for (int i = 0; i < 10; ++i) {
      if (StopSignal().cancelled()) return Cancelled();
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    auto flow = open();
    if (flow.ok() || !PassesByItself(flow.error())) return flow;
    why = std::move(flow).error();
  }
}

}  // namespace

int RunOnce(io::Io& io, const Options& options) {
  int faults = 0;
  auto loaded = Load(io, options, &faults);
  if (!loaded) return kFailed;
  if (auto wrong = UnknownSource(options, *loaded->project))
    return Fail(*wrong, kWrongCall);
  HandleSignals();
  SystemClock clock;
  flow::FlowOptions flow_options = FlowOptionsOf(options);
  const std::string data_dir = flow_options.data_dir;
  ProgressLine line;
  const auto run = [&](std::unique_ptr<flow::Flow>& flow) {
    return flow->Run(StopSignal(),
                     [&](const flow::RunReport& so_far) { line.Show(so_far); });
  };
  const auto open = [&] {
    return flow::Flow::Open(io, clock, *loaded->project, *loaded->plan, flow_options);
  };
  auto flow = open();
  if (!flow.ok()) return FailIn(data_dir, flow.error());
  auto report = run(*flow);
  if (!report.ok() && (*flow)->state_is_damaged()) {
    flow->reset();
    flow = open();
    if (!flow.ok()) return FailIn(data_dir, flow.error());
    report = run(*flow);
  }
  line.Clear();
  if (!report.ok()) return FailIn(data_dir, report.error());
  PrintReport(*report, options.format, data_dir);
  return report->halted.empty() && report->file_faults.empty() ? kFine : kFailed;
}

int Up(io::Io& io, const Options& options, const RunFlags& flags) {
  int faults = 0;
  auto loaded = Load(io, options, &faults);
  if (!loaded) return kFailed;
  if (auto wrong = UnknownSource(options, *loaded->project))
    return Fail(*wrong, kWrongCall);
  HandleSignals();
  SystemClock clock;
  const auto lease_term = std::make_shared<commit::LeaseTerm>(clock);
  flow::FlowOptions flow_options = FlowOptionsOf(options);
  flow_options.once = false;
  flow_options.live = true;
  flow_options.lease_term = lease_term;
  const std::string data_dir = flow_options.data_dir;
  const auto open = [&] {
    return flow::Flow::Open(io, clock, *loaded->project, *loaded->plan, flow_options);
  };
  auto flow = open();
  if (!flow.ok()) return FailIn(data_dir, flow.error());
  CurrentSink sink;
  sink.Set((*flow)->sink());
  serve::Gateway gateway(sink);
  net::ServerOptions server_options;
  server_options.address = flags.address;
  server_options.port = flags.port;
  server_options.connections_max = ConnectionsMax(server_options.connections_max);
  server_options.may_acknowledge = [lease_term] { return lease_term->holds(); };
  auto server =
      net::Server::Listen(server_options, [&](net::Request request, net::Reply reply) {
        gateway.Handle(std::move(request), std::move(reply));
      });
  if (!server.ok()) return Fail(server.error());
  fmt::print("weir {} keeps {} in {}\n", WEIR_VERSION, loaded->project->name, data_dir);
  fmt::print("send events to http://{}:{}/v1/events/<source>; sources: {}\n",
             flags.address, (*server)->port(), fmt::join(sink.sources(), ", "));
  std::fflush(stdout);
  auto report = (*flow)->Run(StopSignal(), [&](const flow::RunReport&) {});
  while (!report.ok() &&
         (PassesByItself(report.error()) || (*flow)->state_is_damaged())) {
    sink.Set(nullptr);
    (*flow).reset();
    flow = Reopen(report.error(), open);
    if (!flow.ok()) {
      if (flow.error().code != Code::kCancelled) report = std::move(flow).error();
      break;
    }
    Event("up_goes_on", Severity::kWarning);
    sink.Set((*flow)->sink());
    report = (*flow)->Run(StopSignal(), [&](const flow::RunReport&) {});
  }
  (*server)->Stop(std::chrono::seconds(5));
  sink.Set(nullptr);
  if (!report.ok()) return FailIn(data_dir, report.error());
  PrintReport(*report, options.format, data_dir);
  return kFine;
}

}  // namespace weir::main
