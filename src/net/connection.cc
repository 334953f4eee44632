#include "net/connection_internal.h"

#include <fmt/format.h>

#include <boost/container/static_vector.hpp>

#include "base/event.h"

namespace weir::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

constexpr size_t kHeaderReadBytes = 8 << 10;
constexpr size_t kBodyReadBytes = 64 << 10;
// After an early refusal the client may still be sending; what it sends is read for so
// long, else the reset that closing would cause could overtake the answer.
constexpr std::chrono::seconds kLinger{1};
constexpr size_t kLingerBytesMax = 16 << 20;
constexpr size_t kAnswersPerWrite = 64;

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

std::string_view Reason(int status) {
  const auto text = http::obsolete_reason(static_cast<http::status>(status));
  return View(text);
}

Response ErrorResponse(int status, std::string_view message) {
  Response response{.status = status,
                    .body = fmt::format("{{\"error\":{}}}", JsonQuoted(message))};
  if (status == 503) response.headers["Retry-After"] = "1";
  return response;
}

// Values come from handlers; a line break in one must not become a header.
void AppendHeader(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  for (const char c : value) out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  out += "\r\n";
}

// Lets a reply that nobody made answer 500.
class Ticket {
 public:
  Ticket(std::shared_ptr<Worker> worker, std::weak_ptr<Connection> connection,
         uint64_t request)
      : worker_(std::move(worker)),
        connection_(std::move(connection)),
        request_(request) {}
  ~Ticket() { Answer(ErrorResponse(500, "the request was dropped")); }
  void Answer(Response response) {
    if (!answered_.exchange(true))
      worker_->Answer(connection_, request_, std::move(response));
  }

 private:
  const std::shared_ptr<Worker> worker_;
  const std::weak_ptr<Connection> connection_;
  const uint64_t request_;
  std::atomic<bool> answered_{false};
};

}  // namespace

Connection::Connection(Worker& worker, asio::ip::tcp::socket socket)
    : worker_(worker), options_(worker.state().options), socket_(std::move(socket)) {
  boost::system::error_code ignored;
  socket_.non_blocking(true, ignored);
}

Connection::~Connection() { Close(); }

void Connection::Start() {
  boost::system::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  deadline_ = SteadyClock::now() + options_.read_timeout;
  Pump();
}

void Connection::Refuse() {
  Fail(503, "too many connections");
  Pump();
}

// Does what can be done now: parse what is there, write what is answered, ask for more.
void Connection::Pump() {
  if (closed_ || pumping_) return;
  pumping_ = true;
  do {
    Parse();
  } while (Flush() && !closed_ && !lingering_);
  pumping_ = false;
  Read();
}

void Connection::Read() {
  if (closed_ || reading_) return;
  if (!lingering_ && (no_more_ || !room())) return;
  reading_ = true;
  const size_t bytes = header_done_ ? kBodyReadBytes : kHeaderReadBytes;
  socket_.async_read_some(
      in_.prepare(bytes),
      [self = shared_from_this()](auto error, size_t n) { self->OnRead(error, n); });
}

void Connection::OnRead(boost::system::error_code error, size_t bytes) {
  reading_ = false;
  if (closed_) return;
  if (lingering_) {
    lingered_bytes_ += bytes;
    in_.clear();
    if (error || lingered_bytes_ > kLingerBytesMax) return Close();
    return Read();
  }
  if (error) {
    // A client may close its side once it has asked; it still gets its answers. A request
    // that is not whole is none.
    if (has_slot_) slots_.pop_back();
    if (slots_.empty()) sent_ = 0;
    worker_.state().bodies_bytes -= std::exchange(held_, 0);
    begun_ = has_slot_ = false;
    no_more_ = true;
    if (error != asio::error::eof || slots_.empty()) return Close();
    return Pump();
  }
  in_.commit(bytes);
  Pump();
}

void Connection::Parse() {
  while (!no_more_ && room() && ParseSome()) {
  }
  if (!begun_ && in_.size() == 0 && in_.capacity() > 2 * kHeaderReadBytes)
    in_ = beast::flat_buffer();
}

bool Connection::ParseSome() {
  if (!begun_) {
    // Some clients end a body with a line break that is not part of it.
    const char* p = static_cast<const char*>(in_.data().data());
    while (in_.size() > 0 && (*p == '\r' || *p == '\n')) {
      in_.consume(1);
      ++p;
    }
    if (in_.size() == 0 || worker_.draining()) return false;
    BeginRequest();
  }
  if (in_.size() == 0) return false;
  boost::system::error_code error;
  const bool in_body = header_done_;
  const size_t before = parser_->get().body().size();
  const size_t used = parser_->put(in_.data(), error);
  in_.consume(used);
  if (error && error != http::error::need_more) {
    if (error == http::error::header_limit) {
      FailTooLong();
    } else if (error == http::error::body_limit ||
               error == http::error::buffer_overflow) {
      Fail(413, fmt::format("more than {} body bytes", options_.body_bytes_max));
    } else if (error == http::error::bad_version) {
      Fail(505, "HTTP/1.0 and HTTP/1.1 are spoken here");
    } else {
      Fail(400, "malformed request: " + error.message());
    }
    return false;
  }
  // The parser bounds the parts of a head that it happens to take at once, and neither a
  // chunk's extension nor trailers. So what is no body is counted here.
  const size_t body_bytes = parser_->get().body().size() - before;
  const size_t waiting = error == http::error::need_more ? in_.size() : 0;
  if (!in_body) {
    head_bytes_ += used;
    if (head_bytes_ + waiting > options_.header_bytes_max) return FailTooLong();
  } else if (body_bytes == 0 && std::max(used, waiting) > options_.header_bytes_max) {
    return FailTooLong();
  }
  if (parser_->is_header_done() && !header_done_) {
    header_done_ = true;
    if (!AcceptHeader()) return false;
  }
  Hold(body_bytes);
  if (held_ > 0 && worker_.state().bodies_bytes > options_.bodies_bytes_max) {
    Fail(503, "too many bytes are waiting");
    return false;
  }
  if (parser_->is_done()) {
    Dispatch();
    return !no_more_;
  }
  return used > 0 && error != http::error::need_more;
}

void Connection::BeginRequest() {
  begun_ = true;
  header_done_ = false;
  head_bytes_ = 0;
  deadline_ = SteadyClock::now() + options_.read_timeout;
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(options_.header_bytes_max));
  parser_->body_limit(options_.body_bytes_max);
}

// What the parser lets through and we do not: anything two readers could take for
// different requests.
bool Connection::AcceptHeader() {
  const auto& message = parser_->get();
  const bool http11 = message.version() == 11;
  if (!http11 && message.version() != 10) {
    Fail(505, "HTTP/1.0 and HTTP/1.1 are spoken here");
    return false;
  }
  const size_t lengths = message.count(http::field::content_length);
  const size_t transfers = message.count(http::field::transfer_encoding);
  const size_t hosts = message.count(http::field::host);
  if (lengths + transfers > 1 ||
      View(message[http::field::content_length]).find_first_not_of("0123456789") !=
          std::string_view::npos) {
    Fail(400, "the request gives its length twice");
    return false;
  }
  if (transfers == 1 &&
      (!http11 || !beast::iequals(message[http::field::transfer_encoding], "chunked"))) {
    Fail(400, "the only Transfer-Encoding understood is chunked");
    return false;
  }
  if (hosts > 1 || (http11 && hosts == 0)) {
    Fail(400, "a request names one Host");
    return false;
  }
  auto target = ParseTarget(View(message.target()));
  if (!target) {
    Fail(400, "malformed path");
    return false;
  }
  target_ = *std::move(target);
  coding_ = message.count(http::field::content_encoding) > 1
                ? BodyCoding::kUnknown
                : ParseBodyCoding(View(message[http::field::content_encoding]));
  if (coding_ == BodyCoding::kUnknown) {
    Fail(415, "unknown Content-Encoding; gzip and zstd are understood");
    return false;
  }
  Slot slot{.close = !parser_->keep_alive(),
            .head = message.method() == http::verb::head,
            .http10 = !http11};
  if (const auto expect = message[http::field::expect]; http11 && !expect.empty()) {
    if (!beast::iequals(expect, "100-continue")) {
      Fail(417, "the only Expect understood is 100-continue");
      return false;
    }
    slot.interim = !parser_->is_done() && in_.size() == 0;
  }
  slots_.push_back(std::move(slot));
  has_slot_ = true;
  return true;
}

void Connection::Hold(size_t bytes) {
  held_ += bytes;
  worker_.state().bodies_bytes += bytes;
}

void Connection::Dispatch() {
  auto message = parser_->release();
  begun_ = header_done_ = has_slot_ = false;
  deadline_ = SteadyClock::now() + options_.read_timeout;
  Slot& slot = slots_.back();
  slot.interim = false;
  if (slot.close) no_more_ = true;
  const uint64_t number = first_request_ + slots_.size() - 1;

  Request request;
  request.method = View(message.method_string());
  request.path = std::move(target_.path);
  request.query = std::move(target_.query);
  for (const auto& field : message) {
    std::string name(View(field.name_string()));
    for (char& c : name)
      c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    auto [at, is_new] = request.headers.try_emplace(std::move(name), View(field.value()));
    if (!is_new) at->second.append(", ").append(View(field.value()));
  }
  request.body = std::move(message.body());
  if (coding_ != BodyCoding::kIdentity && !request.body.empty()) {
    const size_t sent = request.body.size();
    DecodedBody decoded = DecodeBody(coding_, request.body, options_.body_bytes_max);
    if (decoded.status != 200) {
      slot.body_bytes = std::exchange(held_, 0);
      return Complete(number, ErrorResponse(decoded.status, decoded.message));
    }
    request.body = std::move(decoded.body);
    if (request.body.size() > sent) Hold(request.body.size() - sent);
  }
  slot.body_bytes = std::exchange(held_, 0);
  auto ticket =
      std::make_shared<Ticket>(worker_.shared_from_this(), weak_from_this(), number);
  worker_.state().handler(std::move(request), [ticket](Response response) {
    ticket->Answer(std::move(response));
  });
}

// Answers and reads no more, because where the next request begins is no longer known.
void Connection::Fail(int status, std::string_view message) {
  if (!has_slot_) slots_.emplace_back();
  Slot& slot = slots_.back();
  slot.close = true;
  slot.interim = false;
  slot.body_bytes = std::exchange(held_, 0);
  begun_ = has_slot_ = false;
  no_more_ = true;
  Complete(first_request_ + slots_.size() - 1, ErrorResponse(status, message));
}

bool Connection::FailTooLong() {
  Fail(431, fmt::format("more than {} bytes of headers, of a chunk's extension or of "
                        "trailers",
                        options_.header_bytes_max));
  return false;
}

void Connection::Complete(uint64_t request, Response response) {
  if (closed_ || request < first_request_ || request >= first_request_ + slots_.size())
    return;
  Slot& slot = slots_[request - first_request_];
  if (slot.done) return;
  if (worker_.draining() && request + 1 == first_request_ + slots_.size() && !begun_)
    slot.close = true;
  Fill(slot, response);
  Pump();
}

void Connection::Fill(Slot& slot, const Response& response) {
  std::string& text = slot.text;
  text.reserve(256 + response.body.size());
  text += fmt::format("HTTP/1.1 {} {}\r\n", response.status, Reason(response.status));
  AppendHeader(text, "Date", worker_.date());
  const bool bodiless =
      response.status == 204 || response.status == 304 || response.status < 200;
  if (!bodiless) {
    AppendHeader(text, "Content-Type", response.content_type);
    text += fmt::format("Content-Length: {}\r\n", response.body.size());
  }
  for (const auto& [name, value] : response.headers) AppendHeader(text, name, value);
  if (slot.close) {
    text += "Connection: close\r\n";
  } else if (slot.http10) {
    text += "Connection: keep-alive\r\n";
  }
  text += "\r\n";
  if (!slot.head && !bodiless) text += response.body;
  slot.done = true;
  slot.acknowledges = response.acknowledges;
  worker_.state().bodies_bytes -= std::exchange(slot.body_bytes, 0);
}

// Hands to the kernel what is answered, as far as it takes it at once, so that nothing
// that was looked at waits for its way out. Returns whether a whole answer went.
bool Connection::Flush() {
  bool progress = false;
  while (!closed_ && !writing_ && !lingering_) {
    if (!slots_.empty() && slots_.front().interim) {
      slots_.front().interim = false;
      deadline_ = SteadyClock::now() + options_.read_timeout;
      slots_.front().text = "HTTP/1.1 100 Continue\r\n\r\n";
    }
    boost::container::static_vector<asio::const_buffer, kAnswersPerWrite> buffers;
    bool acknowledges = false;
    for (const Slot& slot : slots_) {
      if (slot.text.empty() || buffers.size() == buffers.capacity()) break;
      buffers.push_back(asio::buffer(slot.text) + (buffers.empty() ? sent_ : 0));
      acknowledges |= slot.acknowledges;
      if (!slot.done || slot.close) break;
    }
    if (buffers.empty()) break;
    if (acknowledges && options_.may_acknowledge && !options_.may_acknowledge()) {
      if (!Withdraw(buffers.size())) Close();
      continue;
    }
    boost::system::error_code error;
    const size_t written = socket_.write_some(buffers, error);
    if (error == asio::error::would_block) {
      WaitUntilWritable();
    } else if (error) {
      Close();
    } else if (Sent(written)) {
      progress = true;
      if (!begun_ && !lingering_) deadline_ = SteadyClock::now() + options_.read_timeout;
    }
  }
  if (closed_ || writing_ || lingering_ || !slots_.empty() || begun_) return progress;
  if (no_more_) {
    Close();
  } else if (worker_.draining()) {
    Linger();
  }
  return progress;
}

// Whether a whole answer is out.
bool Connection::Sent(size_t bytes) {
  bool whole = false;
  while (bytes > 0) {
    Slot& slot = slots_.front();
    const size_t rest = slot.text.size() - sent_;
    if (bytes < rest) {
      sent_ += bytes;
      break;
    }
    bytes -= rest;
    sent_ = 0;
    stalled_ = false;
    if (!slot.done) {
      slot.text.clear();
      break;
    }
    const bool close = slot.close;
    slots_.pop_front();
    ++first_request_;
    whole = true;
    if (close) Linger();
  }
  return whole;
}

// Of the first `count` answers those that acknowledge become 503. False: one of them is
// out in part.
bool Connection::Withdraw(size_t count) {
  static const Response kWithdrawn = ErrorResponse(
      503,
      "it is not known whether the records are durable: this process was stopped for too "
      "long to say so; send them again");
  for (size_t i = 0; i < count; ++i) {
    Slot& slot = slots_[i];
    if (!slot.acknowledges) continue;
    if (i == 0 && sent_ > 0) return false;
    slot.text.clear();
    Fill(slot, kWithdrawn);
  }
  return true;
}

void Connection::WaitUntilWritable() {
  writing_ = true;
  if (!std::exchange(stalled_, true))
    write_deadline_ = SteadyClock::now() + options_.read_timeout;
  socket_.async_wait(asio::ip::tcp::socket::wait_write,
                     [self = shared_from_this()](auto error) {
                       self->writing_ = false;
                       if (self->closed_) return;
                       if (error) return self->Close();
                       self->Pump();
                     });
}

void Connection::Linger() {
  boost::system::error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  lingering_ = true;
  in_.clear();
  deadline_ = SteadyClock::now() + kLinger;
  Read();
}

void Connection::CheckDeadline(SteadyClock::time_point now) {
  if (closed_) return;
  if (writing_) {
    if (now > write_deadline_) Close();
    return;
  }
  if (now <= deadline_) return;
  if (lingering_ || idle()) return Close();
  const bool waits_for_us = has_slot_ && slots_.back().interim;
  if (begun_ && reading_ && !waits_for_us) {
    Fail(408, fmt::format("the request was not whole after {} ms",
                          options_.read_timeout.count()));
  }
}

void Connection::Drain() {
  if (idle()) Close();
}

void Connection::Close() {
  if (closed_) return;
  closed_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
  size_t held = std::exchange(held_, 0);
  for (Slot& slot : slots_) held += std::exchange(slot.body_bytes, 0);
  worker_.state().bodies_bytes -= held;
  --worker_.state().connections;
  if (auto self = weak_from_this().lock()) worker_.Forget(self);
}

}  // namespace weir::net
