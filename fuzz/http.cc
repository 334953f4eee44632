// The HTTP server, as one connection sees it: the same requests are served and answered
// however the bytes are cut into packets, and the server goes on.
//
// One thing does depend on the packets: how a head that is refused is refused. The parser
// (Beast) judges the lines of a head's first packet at once; of a head that comes in
// several it first waits for the empty line that ends it. So the same bytes are malformed
// in one packet, and in two too long, or not a whole request when the client has ended.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <vector>

#include "fuzz/fuzz.h"
#include "net/http.h"

namespace weir::fuzz {
namespace {

constexpr size_t kBodyBytesMax = 4096;

class TestServer {
 public:
  TestServer() {
    net::ServerOptions options;
    options.header_bytes_max = 2048;
    options.body_bytes_max = kBodyBytesMax;
    options.bodies_bytes_max = 1 << 20;
    options.pipelined_max = 4;
    server_ =
        Must(net::Server::Listen(options, [](net::Request request, net::Reply reply) {
          WEIR_CHECK(request.path.starts_with('/'));
          WEIR_CHECK(request.body.size() <= kBodyBytesMax);
          std::string seen = request.method + " " + request.path;
          for (const auto& [name, value] : request.query)
            seen += "\n?" + name + "=" + value;
          for (const auto& [name, value] : request.headers)
            seen += "\n" + name + ": " + value;
          // Of letters that spell no part of an answer's head.
          reply({.body = std::to_string(HashBytes64(seen + "\n\n" + request.body))});
        }));
  }
  int port() const { return server_->port(); }

 private:
  std::unique_ptr<net::Server> server_;
};

// A system call's result; libFuzzer's alarm interrupts each from time to time.
template <class Call>
auto Uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  WEIR_CHECK(fd >= 0);
  // Closing resets at once; else tens of thousands of ports would be waiting.
  const linger at_once{1, 0};
  WEIR_CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  WEIR_CHECK(Uninterrupted([&] {
               return connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
             }) == 0);
  return fd;
}

// Takes what there is, or all up to the end. False at the end.
bool Drain(int fd, std::string* out, bool wait) {
  char buffer[8192];
  while (true) {
    pollfd ready{fd, POLLIN, 0};
    const int n = Uninterrupted([&] { return poll(&ready, 1, wait ? 60'000 : 0); });
    WEIR_CHECK(n > 0 || !wait);  // the server answers or closes
    if (n <= 0) return true;
    const ssize_t got = Uninterrupted([&] { return recv(fd, buffer, sizeof buffer, 0); });
    if (got <= 0) return false;
    out->append(buffer, static_cast<size_t>(got));
  }
}

// Takes out every part that begins with `begin`, up to and with `end`.
void Remove(std::string* text, std::string_view begin, std::string_view end) {
  for (size_t i = text->find(begin); i != std::string::npos; i = text->find(begin, i))
    text->erase(i, text->find(end, i + begin.size()) + end.size() - i);
}

// All answers to `bytes` sent in pieces, but what depends on time and packets.
std::string Talk(int port, std::string_view bytes, const std::vector<size_t>& cuts) {
  const int fd = Connect(port);
  std::string out;
  bool open = true;
  for (size_t at = 0, i = 0; i <= cuts.size(); ++i) {
    const size_t end = i < cuts.size() ? cuts[i] : bytes.size();
    while (at < end && open) {
      const ssize_t sent = Uninterrupted(
          [&] { return send(fd, bytes.data() + at, end - at, MSG_NOSIGNAL); });
      if (sent > 0) at += static_cast<size_t>(sent);
      open = sent > 0 && Drain(fd, &out, false);
    }
  }
  shutdown(fd, SHUT_WR);
  Drain(fd, &out, true);
  close(fd);
  Remove(&out, "Date: ", "\r\n");
  // An interim answer is given when the body does not come with the head.
  Remove(&out, "HTTP/1.1 100 ", "\r\n\r\n");
  // The refusal of a head is the last answer.
  for (const std::string_view refusal :
       {"HTTP/1.1 400 Bad Request", "HTTP/1.1 431 ", "HTTP/1.1 505 "}) {
    const size_t begin = out.rfind(refusal);
    if (begin != std::string::npos &&
        (refusal[9] != '4' || refusal[10] != '0' ||
         out.find("malformed request: ", begin) != std::string::npos))
      out.erase(begin);
  }
  return out;
}

}  // namespace

WEIR_FUZZER(http)(std::string_view bytes) {
  static const TestServer* const server = new TestServer();
  if (bytes.size() > 32 << 10) return;
  const std::string whole = Talk(server->port(), bytes, {});
  std::vector<size_t> cuts;
  for (uint64_t i = 0; i < 4 && !bytes.empty(); ++i)
    cuts.push_back(Choice(bytes, i, bytes.size()));
  std::sort(cuts.begin(), cuts.end());
  WEIR_CHECK(Talk(server->port(), bytes, cuts) == whole);
}

}  // namespace weir::fuzz
