// One connection of the HTTP server, and the io thread it lives on.
#pragma once

#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "net/body_internal.h"
#include "net/http.h"
#include "net/target_internal.h"

namespace weir::net {

using SteadyClock = std::chrono::steady_clock;

// What all io threads of one server share.
struct ServerState {
  ServerOptions options;
  Handler handler;
  std::atomic<size_t> connections{0};
  std::atomic<size_t> bodies_bytes{0};  // of requests begun and not answered
};

class Connection;

// One thread with its own event loop; a connection lives and dies on one of them, so it
// needs no lock.
class Worker : public std::enable_shared_from_this<Worker> {
 public:
  explicit Worker(std::shared_ptr<ServerState> state);
  ~Worker();
  void Run();   // starts the thread
  void Join();  // stops the loop at once, closes what is left

  // From any thread.
  void Adopt(boost::asio::ip::tcp::socket socket);
  void Answer(std::weak_ptr<Connection> connection, uint64_t request, Response response);
  void BeginDrain();

  // On this thread only.
  void Forget(const std::shared_ptr<Connection>& connection);
  bool draining() const { return draining_; }
  const std::string& date() const { return date_; }
  ServerState& state() { return *state_; }
  boost::asio::io_context& context() { return context_; }

 private:
  struct Late {
    std::weak_ptr<Connection> connection;
    uint64_t request;
    Response response;
  };
  void Tick();
  void DeliverAnswers();

  const std::shared_ptr<ServerState> state_;
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  boost::asio::steady_timer tick_;
  std::unordered_set<std::shared_ptr<Connection>> connections_;
  std::string date_;
  bool draining_ = false;
  std::thread thread_;
  std::atomic<std::thread::id> thread_id_;

  std::mutex mutex_;
  std::vector<Late> answers_;  // waiting for this thread
  bool closed_ = false;
};

// Reads requests, hands them on, writes the answers in the order of the requests.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Worker& worker, boost::asio::ip::tcp::socket socket);
  ~Connection();

  void Start();
  void Refuse();  // 503 and away
  void Complete(uint64_t request, Response response);
  void CheckDeadline(SteadyClock::time_point now);
  void Drain();  // takes no new request; closes when those begun are answered
  void Close();

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  struct Slot {
    bool done = false;
    bool close = false;  // nothing follows this answer
    bool head = false;   // HEAD: no body
    bool http10 = false;
    bool interim = false;  // the client waits for 100 Continue before it sends the body
    bool acknowledges = false;
    size_t body_bytes = 0;  // held until the answer
    std::string text;       // of the answer; before it is done, of an interim one
  };

  void Pump();
  void Read();
  void OnRead(boost::system::error_code error, size_t bytes);
  void Parse();
  bool ParseSome();  // false: more bytes are needed, or the connection takes no more
  void BeginRequest();
  bool AcceptHeader();  // false: refused
  void Hold(size_t bytes);
  void Dispatch();
  void Fail(int status, std::string_view message);
  bool FailTooLong();  // false
  void Fill(Slot& slot, const Response& response);
  bool Flush();
  bool Sent(size_t bytes);
  bool Withdraw(size_t count);
  void WaitUntilWritable();
  void Linger();
  // A request whose slot is taken is read to its end.
  bool room() const { return has_slot_ || slots_.size() < options_.pipelined_max; }
  bool idle() const { return !begun_ && slots_.empty(); }

  Worker& worker_;
  const ServerOptions& options_;
  boost::asio::ip::tcp::socket socket_;
  boost::beast::flat_buffer in_;
  std::optional<Parser> parser_;
  Target target_;
  BodyCoding coding_ = BodyCoding::kIdentity;
  std::deque<Slot> slots_;      // requests begun whose answer is not out, in order
  uint64_t first_request_ = 0;  // number of slots_.front()
  size_t sent_ = 0;             // of slots_.front().text
  size_t head_bytes_ = 0;       // parsed of the head of the request being read
  size_t held_ = 0;             // body bytes of the request being read
  bool begun_ = false;          // a request's first byte came
  bool header_done_ = false;
  bool has_slot_ = false;  // and it is slots_.back()
  bool reading_ = false, pumping_ = false;
  bool writing_ = false;  // the socket takes no more at the moment
  bool stalled_ = false;  // write_deadline_ is that of the foremost answer
  bool no_more_ = false;  // no further request is read
  bool lingering_ = false, closed_ = false;
  size_t lingered_bytes_ = 0;
  SteadyClock::time_point deadline_, write_deadline_;
};

}  // namespace weir::net
