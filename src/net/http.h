// An HTTP/1.1 server with bounds on everything: connections, header and body bytes, time.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::net {

struct Request {
  std::string method;  // "POST"
  std::string path;    // normalised, percent-decoded, without query
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;  // chunks joined and decoded: gzip and zstd Content-Encoding are
                     // taken off here, within body_bytes_max (else 413)
};
struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::map<std::string, std::string> headers;
  std::string body;
  bool acknowledges = false;  // see ServerOptions::may_acknowledge
};
// Answers later, from any thread, exactly once. Let go without a call, it answers 500. A
// late one (the connection or the server is gone) does nothing.
using Reply = std::function<void(Response)>;
// Called on an io thread: must not wait.
using Handler = std::function<void(Request, Reply)>;

struct ServerOptions {
  std::string address = "127.0.0.1";
  int port = 0;  // 0: any; see port()
  int threads = 1;
  size_t connections_max = 4096;
  size_t header_bytes_max = 16 << 10;  // of a head, a chunk's extension, all trailers
  size_t body_bytes_max = 64 << 20;    // as sent, and again after decoding
  size_t bodies_bytes_max =
      512 << 20;  // of all requests that are not answered yet; beyond it 503
  size_t pipelined_max =
      64;  // requests of one connection that wait for their answer; the next is not read
  std::chrono::milliseconds read_timeout =
      std::chrono::seconds(30);  // for one whole request once its first byte came
                                 // (slow-loris), and for idle keep-alive
  // Whether an answer that acknowledges may go out now. Asked on an io thread right
  // before each call that hands bytes of such answers to the kernel; must not wait. When
  // it may not, 503 goes out in its place, and one that is out in part is cut off there
  // and the connection closed. Empty: always.
  std::function<bool()> may_acknowledge;
};

// Keep-alive and pipelining in order. By itself it answers 400 malformed or ambiguous
// (two lengths, a length and chunks), 408, 413, 415 unknown Content-Encoding, 417, 431,
// 503 with Retry-After when connections_max or bodies_bytes_max is reached, 505.
class Server {
 public:
  virtual ~Server() = default;  // as Stop with 5 s
  static Result<std::unique_ptr<Server>> Listen(ServerOptions options, Handler handler);
  virtual int port() const = 0;
  // Takes no new request, answers those begun (bounded by `grace`), closes. Not from a
  // handler.
  virtual void Stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace weir::net
