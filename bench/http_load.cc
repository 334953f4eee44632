// A load generator for Weir's HTTP door: one thread, epoll, keep-alive connections with
// one request at a time each, bodies of ride events with identities that were never sent.
//
//   http_load --port P [--source ride_events] [--connections 256] [--seconds 10]
//             [--warmup 2] [--rate R] [--records 1] [--first 0]
//
// Closed loop (no rate): every connection asks again as soon as it was answered.
// Open loop (--rate, requests a second): request k is due at k / R, whether or not those
// before were answered, and its latency counts from then; so an answer that takes long
// also counts for those that had to wait behind it (no coordinated omission).
//
// Prints one line of JSON. Exit 1: some answer was not 200 with every record accepted.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Nanos = std::chrono::nanoseconds;

struct Options {
  int port = 0, connections = 256, records = 1;
  double seconds = 10, warmup = 2, rate = 0;
  int64_t first = 0;  // number of the first event: another one for every run
  std::string source = "ride_events";
};

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "http_load: %s\n", what.c_str());
  std::exit(2);
}

Options Parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 >= argc) Die(name + " needs a value");
    const char* value = argv[i + 1];
    if (name == "--port") {
      o.port = std::atoi(value);
    } else if (name == "--connections") {
      o.connections = std::atoi(value);
    } else if (name == "--records") {
      o.records = std::atoi(value);
    } else if (name == "--seconds") {
      o.seconds = std::atof(value);
    } else if (name == "--warmup") {
      o.warmup = std::atof(value);
    } else if (name == "--rate") {
      o.rate = std::atof(value);
    } else if (name == "--first") {
      o.first = std::atoll(value);
    } else if (name == "--source") {
      o.source = value;
    } else {
      Die("unknown option " + name);
    }
  }
  if (o.port <= 0 || o.connections <= 0 || o.records <= 0) Die("--port is needed");
  return o;
}

// ------------------------------------------------------------------------------- events

// The six events of a trip. '#' stands for a digit of the trip's number, '@' for one of
// the milliseconds since 2024-01-01T00:00 (as seconds and thousandths of one day, so that
// the stream stays within the lateness).
constexpr std::string_view kEvents[] = {
    R"({"event_id":"############-trip_requested","event_name":"trip_requested","event_timestamp":"2024-01-01T@@:@@:@@.@@@Z","schema_version":"1.0.0","trip_id":"t-############","rider_id":"r######","pickup_location_id":141,"surge_amount":0.5})",
    R"({"event_id":"############-driver_assigned","event_name":"driver_assigned","event_timestamp":"2024-01-01T@@:@@:@@.@@@Z","schema_version":"1.0.0","trip_id":"t-############","driver_id":"d####"})",
    R"({"event_id":"############-driver_arrived","event_name":"driver_arrived","event_timestamp":"2024-01-01T@@:@@:@@.@@@Z","schema_version":"1.0.0","trip_id":"t-############","driver_id":"d####"})",
    R"({"event_id":"############-trip_started","event_name":"trip_started","event_timestamp":"2024-01-01T@@:@@:@@.@@@Z","schema_version":"1.0.0","trip_id":"t-############"})",
    R"({"event_id":"############-trip_completed","event_name":"trip_completed","event_timestamp":"2024-01-01T@@:@@:@@.@@@Z","schema_version":"1.0.0","trip_id":"t-############","dropoff_location_id":262,"trip_distance":2.31})",
    R"({"event_id":"############-payment_processed","event_name":"payment_processed","event_timestamp":"2024-01-01T@@:@@:@@.@@@Z","schema_version":"1.0.0","trip_id":"t-############","fare_amount":11.5,"tip_amount":2.96,"total_amount":17.76,"payment_type":1})",
};

// The last `count` decimal digits.
void Digits(int64_t number, char* out, int count) {
  for (int i = count - 1; i >= 0; --i, number /= 10)
    out[i] = static_cast<char>('0' + number % 10);
}

void AppendEvent(int64_t number, std::string& out) {
  const size_t begin = out.size();
  out += kEvents[number % 6];
  char trip[12], time[9];
  const int64_t ms = number / 8 % 86'400'000;  // 8,000 events a second of event time
  Digits(number / 6, trip, 12);
  Digits(ms / 3'600'000, time, 2);
  Digits(ms / 60'000 % 60, time + 2, 2);
  Digits(ms / 1000 % 60, time + 4, 2);
  Digits(ms % 1000, time + 6, 3);
  size_t next_time = 0;
  for (size_t at = begin; at < out.size();) {
    if (out[at] == '@') {
      out[at++] = time[next_time++];
      continue;
    }
    if (out[at] != '#') {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < out.size() && out[end] == '#') ++end;
    std::memcpy(out.data() + at, trip + 12 - (end - at), end - at);
    at = end;
  }
}

// ------------------------------------------------------------------------- connections

struct Connection {
  int fd = -1;
  std::string out, in;
  size_t sent = 0;
  size_t expected = 0;  // bytes of the whole answer once its header was read; 0: unknown
  int status = 0;
  Clock::time_point due;
  bool busy = false;
};

struct Tally {
  std::vector<uint32_t> latencies_us;
  std::map<int, int64_t> statuses;
  int64_t accepted = 0, not_accepted = 0, requests = 0;
};

class Load {
 public:
  explicit Load(Options o) : o_(std::move(o)), next_event_(o_.first) {}

  int Run() {
    Connect();
    start_ = Clock::now();
    measured_from_ = start_ + Seconds(o_.warmup);
    end_ = measured_from_ + Seconds(o_.seconds);
    for (Connection& connection : connections_) free_.push_back(&connection);
    rusage before{}, after{};
    bool measuring = false;
    for (;;) {
      const auto now = Clock::now();
      if (!measuring && now >= measured_from_) {
        measuring = true;
        getrusage(RUSAGE_SELF, &before);
      }
      if (now < end_) {
        Begin(now);
      } else if (free_.size() == connections_.size() || now > end_ + Seconds(30)) {
        break;
      }
      Wait(now);
    }
    getrusage(RUSAGE_SELF, &after);
    return Print(Cpu(after) - Cpu(before));
  }

 private:
  static Nanos Seconds(double s) { return Nanos(static_cast<int64_t>(s * 1e9)); }
  static double Cpu(const rusage& u) {
    return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
  }

  void Connect() {
    epoll_ = epoll_create1(0);
    connections_.resize(static_cast<size_t>(o_.connections));
    for (Connection& connection : connections_) {
      connection.fd = socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<uint16_t>(o_.port));
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      if (connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address))
        Die(std::string("connect: ") + std::strerror(errno));
      const int one = 1;
      setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      fcntl(connection.fd, F_SETFL, O_NONBLOCK);
      epoll_event event{.events = EPOLLIN, .data = {.ptr = &connection}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    }
  }

  // Sends what is due on connections that are free.
  void Begin(Clock::time_point now) {
    while (!free_.empty()) {
      Clock::time_point due = now;
      if (o_.rate > 0) {
        due = start_ + Seconds(static_cast<double>(begun_) / o_.rate);
        if (due > now) return;
      }
      ++begun_;
      Connection& connection = *free_.front();
      free_.pop_front();
      connection.due = due;
      connection.busy = true;
      Prepare(connection);
      Send(connection);
    }
  }

  void Prepare(Connection& connection) {
    body_.clear();
    for (int i = 0; i < o_.records; ++i) {
      if (i > 0) body_ += '\n';
      AppendEvent(next_event_++, body_);
    }
    connection.out = "POST /v1/events/" + o_.source +
                     " HTTP/1.1\r\nHost: localhost\r\nContent-Type: " +
                     (o_.records == 1 ? "application/json" : "application/x-ndjson") +
                     "\r\nContent-Length: " + std::to_string(body_.size()) + "\r\n\r\n" +
                     body_;
    connection.sent = 0;
    connection.in.clear();
    connection.expected = 0;
  }

  void Send(Connection& connection) {
    while (connection.sent < connection.out.size()) {
      const ssize_t n = send(connection.fd, connection.out.data() + connection.sent,
                             connection.out.size() - connection.sent, MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) {
        Watch(connection, EPOLLIN | EPOLLOUT);
        return;
      }
      if (n < 0) Die(std::string("send: ") + std::strerror(errno));
      connection.sent += static_cast<size_t>(n);
    }
    if (connection.out.size() > 4096) Watch(connection, EPOLLIN);
  }

  void Watch(Connection& connection, uint32_t events) {
    epoll_event event{.events = events, .data = {.ptr = &connection}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
  }

  void Wait(Clock::time_point now) {
    // Wakes for what comes due at most 5,000 times a second: a generator that sleeps for
    // each request would take the processor from the server.
    Nanos wait = std::chrono::milliseconds(100);
    if (now < end_ && o_.rate > 0 && !free_.empty())
      wait = std::chrono::microseconds(200);
    const timespec timeout{.tv_sec = 0, .tv_nsec = wait.count()};
    epoll_event events[256];
    const int n = epoll_pwait2(epoll_, events, 256, &timeout, nullptr);
    for (int i = 0; i < n; ++i) {
      auto& connection = *static_cast<Connection*>(events[i].data.ptr);
      if (events[i].events & EPOLLOUT) Send(connection);
      if (events[i].events & ~static_cast<uint32_t>(EPOLLOUT)) Receive(connection);
    }
  }

  void Receive(Connection& connection) {
    static char buffer[256 << 10];
    const ssize_t n = recv(connection.fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || !connection.busy) Die("the server closed a connection");
    connection.in.append(buffer, static_cast<size_t>(n));
    if (connection.expected == 0) {
      const size_t end = connection.in.find("\r\n\r\n");
      if (end == std::string::npos) return;
      const size_t length = connection.in.find("Content-Length: ");
      if (length == std::string::npos || length > end) Die("an answer without length");
      connection.status = std::atoi(connection.in.c_str() + 9);
      connection.expected =
          end + 4 + static_cast<size_t>(std::atoll(connection.in.c_str() + length + 16));
    }
    if (connection.in.size() < connection.expected) return;
    Answered(connection);
  }

  void Answered(Connection& connection) {
    const auto now = Clock::now();
    connection.busy = false;
    free_.push_back(&connection);
    int64_t accepted = 0;
    const std::string_view text = connection.in;
    constexpr std::string_view kAccepted = R"("verdict":"accepted")";
    for (size_t at = text.find(kAccepted); at != std::string_view::npos;
         at = text.find(kAccepted, at + kAccepted.size()))
      ++accepted;
    ++tally_.statuses[connection.status];
    tally_.accepted += accepted;
    tally_.not_accepted += o_.records - accepted;
    if (connection.due < measured_from_ || connection.due >= end_) return;
    ++tally_.requests;
    const auto took =
        std::chrono::duration_cast<std::chrono::microseconds>(now - connection.due);
    tally_.latencies_us.push_back(static_cast<uint32_t>(
        std::min<int64_t>(took.count(), std::numeric_limits<uint32_t>::max())));
    last_ = now;
  }

  int Print(double cpu_s) {
    auto& all = tally_.latencies_us;
    std::sort(all.begin(), all.end());
    const auto at = [&](double share) {
      if (all.empty()) return 0.0;
      const auto i = static_cast<size_t>(static_cast<double>(all.size()) * share);
      return all[std::min(i, all.size() - 1)] / 1000.0;
    };
    const double seconds =
        std::chrono::duration<double>(std::max(last_, end_) - measured_from_).count();
    const double rate = static_cast<double>(tally_.requests) / seconds;
    std::string statuses;
    int64_t others = 0;
    for (const auto& [status, count] : tally_.statuses) {
      statuses += (statuses.empty() ? "\"" : ",\"") + std::to_string(status) +
                  "\":" + std::to_string(count);
      if (status != 200) others += count;
    }
    const size_t unanswered = connections_.size() - free_.size();
    std::printf(
        "{\"requests\":%lld,\"seconds\":%.3f,\"requests_per_s\":%.1f,\"records_per_s\":"
        "%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f,"
        "\"client_cpu_s\":%.3f,\"client_cpu_us\":%.3f,\"statuses\":{%s},\"accepted\":%"
        "lld,"
        "\"not_accepted\":%lld,\"unanswered\":%zu,\"next\":%lld}\n",
        static_cast<long long>(tally_.requests), seconds, rate, rate * o_.records,
        at(0.5), at(0.99), at(0.999), all.empty() ? 0.0 : all.back() / 1000.0, cpu_s,
        cpu_s * 1e6 / std::max(1.0, static_cast<double>(tally_.requests)),
        statuses.c_str(), static_cast<long long>(tally_.accepted),
        static_cast<long long>(tally_.not_accepted), unanswered,
        static_cast<long long>(next_event_));
    return others == 0 && tally_.not_accepted == 0 && unanswered == 0 ? 0 : 1;
  }

  const Options o_;
  int epoll_ = -1;
  std::vector<Connection> connections_;
  std::deque<Connection*> free_;
  std::string body_;
  int64_t next_event_;
  int64_t begun_ = 0;
  Clock::time_point start_, measured_from_, end_, last_;
  Tally tally_;
};

}  // namespace

// As the server's own threads do (src/base/latency.h): else what is measured is how long
// this program waits for a processor that the server uses.
void PreferShortSlices() {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  attributes.runtime = 200'000;
  if (attributes.policy == 0) syscall(SYS_sched_setattr, 0, &attributes, 0);
}

int main(int argc, char** argv) {
  PreferShortSlices();
  Options options = Parse(argc, argv);
  return Load(std::move(options)).Run();
}
