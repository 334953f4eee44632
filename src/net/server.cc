#include <fmt/format.h>

#include <ctime>

#include "base/event.h"
#include "base/latency.h"
#include "net/connection_internal.h"

namespace weir::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// Refused connections get their 503, but no more of them than this at a time.
constexpr size_t kRefusedMax = 64;
constexpr std::chrono::milliseconds kTickMax{250};
constexpr std::chrono::seconds kDestructorGrace{5};

// IMF-fixdate, whatever the locale: "Sun, 06 Nov 1994 08:49:37 GMT".
std::string HttpDate() {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed",
                                          "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm tm;
  gmtime_r(&now, &tm);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[tm.tm_wday],
                     tm.tm_mday, kMonths[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
                     tm.tm_min, tm.tm_sec);
}

}  // namespace

Worker::Worker(std::shared_ptr<ServerState> state)
    : state_(std::move(state)),
      guard_(asio::make_work_guard(context_)),
      tick_(context_) {}

Worker::~Worker() { Join(); }

void Worker::Run() {
  Tick();
  thread_ = std::thread([this] {
    PreferShortSlices();
    thread_id_ = std::this_thread::get_id();
    context_.run();
  });
}

void Worker::Join() {
  context_.stop();
  if (thread_.joinable()) thread_.join();
  thread_id_ = std::thread::id();
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    answers_.clear();
  }
  const auto left = std::exchange(connections_, {});
  for (const auto& connection : left) connection->Close();
}

// One timer for all connections: a timer each would be set and cleared with every
// request.
void Worker::Tick() {
  date_ = HttpDate();
  const auto now = SteadyClock::now();
  const auto all = std::vector(connections_.begin(), connections_.end());
  for (const auto& connection : all) connection->CheckDeadline(now);
  tick_.expires_after(std::clamp(state_->options.read_timeout / 8,
                                 std::chrono::milliseconds(1), kTickMax));
  tick_.async_wait([this](boost::system::error_code error) {
    if (!error) Tick();
  });
}

void Worker::Adopt(tcp::socket socket) {
  asio::post(context_, [this, socket = std::move(socket)]() mutable {
    const size_t count = ++state_->connections;
    const size_t max = state_->options.connections_max;
    auto connection = std::make_shared<Connection>(*this, std::move(socket));
    if (draining_ || count > max + kRefusedMax) return;  // closed by its destructor
    connections_.insert(connection);
    if (count > max) {
      connection->Refuse();
    } else {
      connection->Start();
    }
  });
}

void Worker::Answer(std::weak_ptr<Connection> connection, uint64_t request,
                    Response response) {
  if (std::this_thread::get_id() == thread_id_) {
    if (const auto alive = connection.lock())
      alive->Complete(request, std::move(response));
    return;
  }
  std::lock_guard lock(mutex_);
  if (closed_) return;
  answers_.push_back({std::move(connection), request, std::move(response)});
  // The loop is woken once for all answers that come until it looks.
  if (answers_.size() == 1) {
    asio::post(context_, [self = shared_from_this()] { self->DeliverAnswers(); });
  }
}

void Worker::DeliverAnswers() {
  std::vector<Late> answers;
  {
    std::lock_guard lock(mutex_);
    answers.swap(answers_);
  }
  for (Late& late : answers) {
    if (const auto alive = late.connection.lock())
      alive->Complete(late.request, std::move(late.response));
  }
}

void Worker::BeginDrain() {
  asio::post(context_, [this] {
    draining_ = true;
    const auto all = std::vector(connections_.begin(), connections_.end());
    for (const auto& connection : all) connection->Drain();
  });
}

void Worker::Forget(const std::shared_ptr<Connection>& connection) {
  connections_.erase(connection);
}

namespace {

class AsioServer final : public Server {
 public:
  AsioServer(ServerOptions options, Handler handler)
      : state_(std::make_shared<ServerState>()) {
    state_->options = std::move(options);
    state_->handler = std::move(handler);
  }
  ~AsioServer() override { Stop(kDestructorGrace); }

  Status Start();
  int port() const override { return port_; }
  void Stop(std::chrono::milliseconds grace) override;

 private:
  void Accept();

  const std::shared_ptr<ServerState> state_;
  std::vector<std::shared_ptr<Worker>> workers_;
  std::optional<tcp::acceptor> acceptor_;
  std::optional<asio::steady_timer> retry_;
  size_t next_worker_ = 0;
  int port_ = 0;
  bool stopped_ = false;
  bool accept_fails_ = false;  // and it was said
};

Status AsioServer::Start() {
  const ServerOptions& options = state_->options;
  boost::system::error_code error;
  const std::string address =
      options.address == "localhost" ? "127.0.0.1" : options.address;
  const auto ip = asio::ip::make_address(address, error);
  if (error) return Invalid(fmt::format("{} is not an IP address", options.address));
  if (options.port < 0 || options.port > 65535)
    return Invalid(fmt::format("{} is not a port", options.port));
  for (int i = 0; i < std::max(1, options.threads); ++i)
    workers_.push_back(std::make_shared<Worker>(state_));

  const tcp::endpoint endpoint(ip, static_cast<uint16_t>(options.port));
  acceptor_.emplace(workers_[0]->context());
  retry_.emplace(workers_[0]->context());
  acceptor_->open(endpoint.protocol(), error);
  if (!error) acceptor_->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_->bind(endpoint, error);
  if (!error) acceptor_->listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return Unavailable(fmt::format("listen on {}:{}: {}", options.address, options.port,
                                   error.message()));
  }
  port_ = acceptor_->local_endpoint(error).port();
  Accept();
  for (const auto& worker : workers_) worker->Run();
  return {};
}

void AsioServer::Accept() {
  Worker& worker = *workers_[next_worker_++ % workers_.size()];
  acceptor_->async_accept(
      worker.context(),
      [this, &worker](boost::system::error_code error, tcp::socket socket) {
        if (error == asio::error::operation_aborted) return;
        if (!error) {
          accept_fails_ = false;
          worker.Adopt(std::move(socket));
          return Accept();
        }
        // Out of descriptors, most likely: those who wait in the backlog are served when
        // some are free.
        if (!std::exchange(accept_fails_, true)) {
          Event("accept_failed", Severity::kWarning)
              .With("error", error.message())
              .With("meaning", "connections that stand go on; new ones wait");
        }
        retry_->expires_after(std::chrono::milliseconds(100));
        retry_->async_wait([this](boost::system::error_code aborted) {
          if (!aborted) Accept();
        });
      });
}

void AsioServer::Stop(std::chrono::milliseconds grace) {
  if (std::exchange(stopped_, true) || workers_.empty()) return;
  asio::post(workers_[0]->context(), [this] {
    boost::system::error_code ignored;
    acceptor_->close(ignored);
    retry_->cancel();
  });
  for (const auto& worker : workers_) worker->BeginDrain();
  const auto deadline = SteadyClock::now() + grace;
  while (state_->connections > 0 && SteadyClock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (const auto& worker : workers_) worker->Join();
}

}  // namespace

Result<std::unique_ptr<Server>> Server::Listen(ServerOptions options, Handler handler) {
  auto server = std::make_unique<AsioServer>(std::move(options), std::move(handler));
  WEIR_TRY(server->Start());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace weir::net
