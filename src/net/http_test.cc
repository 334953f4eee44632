#include "net/http.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <future>

#include "base/guarded.h"

namespace weir::net {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// A blocking client that sends exactly the bytes it is given.
class Client {
 public:
  explicit Client(const Server& server) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(server.port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const timeval timeout{5, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  }
  ~Client() { close(fd_); }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  void EndSending() { shutdown(fd_, SHUT_WR); }

  // "200 body"; "closed" at the end of the stream, "nothing" when nothing came for 5 s.
  std::string Next() {
    size_t head;
    while ((head = in_.find("\r\n\r\n")) == std::string::npos) {
      if (const char* why = Receive()) return why;
    }
    headers_ = in_.substr(0, head + 2);
    in_.erase(0, head + 4);
    const std::string status = headers_.substr(9, 3);
    size_t length = 0;
    if (const size_t at = headers_.find("Content-Length: "); at != std::string::npos) {
      length = std::stoul(headers_.substr(at + 16));
    }
    while (in_.size() < length && !head_request) {
      if (const char* why = Receive()) return why;
    }
    if (head_request) length = 0;
    const std::string body = in_.substr(0, length);
    in_.erase(0, length);
    return body.empty() ? status : status + " " + body;
  }
  const std::string& headers() const { return headers_; }
  bool HasInput(milliseconds wait) {
    pollfd p{fd_, POLLIN, 0};
    return !in_.empty() || poll(&p, 1, static_cast<int>(wait.count())) > 0;
  }
  bool head_request = false;

 private:
  const char* Receive() {
    char bytes[65536];
    const ssize_t n = recv(fd_, bytes, sizeof bytes, 0);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) return "closed";
    if (n < 0) return "nothing";
    in_.append(bytes, static_cast<size_t>(n));
    return nullptr;
  }

  const int fd_;
  std::string in_, headers_;
};

std::string Get(std::string_view path) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", path);
}
std::string Post(std::string_view body, std::string_view headers = "") {
  return fmt::format("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n{}\r\n{}",
                     body.size(), headers, body);
}

void Echo(Request request, Reply reply) {
  std::string text = request.method + " " + request.path;
  for (const auto& [name, value] : request.query)
    text += fmt::format(" {}={}", name, value);
  if (!request.body.empty()) text += fmt::format(" <{}>", request.body);
  reply({.content_type = "text/plain", .body = text});
}

std::unique_ptr<Server> Serve(ServerOptions options = {}, Handler handler = Echo) {
  auto server = Server::Listen(options, std::move(handler));
  EXPECT_TRUE(server.ok()) << server.error().message;
  return *std::move(server);
}

std::string Gzip(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

struct RequestCase {
  const char* name;
  std::string request;
  std::string answer;
  bool closes = false;
};
class RequestTest : public testing::TestWithParam<RequestCase> {};
TEST_P(RequestTest, IsAnsweredAsDocumented) {
  const auto server = Serve({.header_bytes_max = 1000, .body_bytes_max = 100});
  Client client(*server);
  client.Send(GetParam().request);
  EXPECT_THAT(client.Next(), StartsWith(GetParam().answer));
  if (GetParam().closes) {
    EXPECT_THAT(client.headers(), HasSubstr("Connection: close"));
    client.Send(Get("/more"));
    EXPECT_EQ(client.Next(), "closed");
  } else {
    client.Send(Get("/more"));
    EXPECT_EQ(client.Next(), "200 GET /more");
  }
}
INSTANTIATE_TEST_SUITE_P(
    , RequestTest,
    testing::Values(
        RequestCase{"Get", Get("/a/b"), "200 GET /a/b"},
        RequestCase{"Query", Get("/a?x=1&y=a%20b+c&z"), "200 GET /a x=1 y=a b c z="},
        RequestCase{"Escaped", Get("/caf%C3%A9"), "200 GET /café"},
        RequestCase{"DotSegments", Get("/a/./b//../c/"), "200 GET /a/c"},
        RequestCase{"AbsoluteForm", Get("http://h:80/a?x=1"), "200 GET /a x=1"},
        RequestCase{"AboveTheRoot", Get("/a/../../b"), "400", true},
        RequestCase{"EscapedDotsAboveTheRoot", Get("/%2e%2e/b"), "400", true},
        RequestCase{"EscapedSlash", Get("/a%2Fb"), "400", true},
        RequestCase{"EscapedNul", Get("/a%00b"), "400", true},
        RequestCase{"BadEscape", Get("/a%2"), "400", true},
        RequestCase{"Body", Post("hello"), "200 POST / <hello>"},
        RequestCase{"EmptyBody", Post(""), "200 POST /"},
        RequestCase{"LineBreakAfterTheBody", Post("hello") + "\r\n",
                    "200 POST / <hello>"},
        RequestCase{"Chunked",
                    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
                    "200 POST / <hello>"},
        RequestCase{"Http10Closes", "GET /a HTTP/1.0\r\n\r\n", "200 GET /a", true},
        RequestCase{"Http10KeepAlive",
                    "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200 GET /a"},
        RequestCase{"AskedToClose",
                    "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                    "200 GET /a", true},
        RequestCase{"NoHost", "GET / HTTP/1.1\r\n\r\n", "400", true},
        RequestCase{"TwoHosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400",
                    true},
        RequestCase{"NotHttp", "hello there\r\n\r\n", "400", true},
        RequestCase{"Tls",
                    std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),
                    "400", true},
        RequestCase{"Http2", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505", true},
        RequestCase{"LengthAndChunks",
                    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: "
                    "3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                    "400", true},
        RequestCase{"ChunksAndLength",
                    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                    "chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
                    "400", true},
        RequestCase{"TwoLengths",
                    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: "
                    "4\r\n\r\nabc",
                    "400", true},
        RequestCase{"SameLengthTwice",
                    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: "
                    "3\r\n\r\nabc",
                    "400", true},
        RequestCase{"LengthList",
                    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc",
                    "400", true},
        RequestCase{"NegativeLength",
                    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\n", "400",
                    true},
        RequestCase{"PlusLength",
                    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc", "400",
                    true},
        RequestCase{"HugeLength",
                    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: "
                    "99999999999999999999999\r\n\r\n",
                    "400", true},
        RequestCase{"OtherTransferEncoding",
                    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
                    "400", true},
        RequestCase{"ChunkedInHttp10",
                    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                    "400", true},
        RequestCase{
            "BadChunk",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "400", true},
        RequestCase{"BlankBeforeColon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", "400",
                    true},
        RequestCase{
            "HeadersTooLong",
            "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(2000, 'x') + "\r\n\r\n",
            "431", true},
        RequestCase{"FirstLineAndHeadersTooLong",
                    "GET /" + std::string(900, 'x') + " HTTP/1.1\r\nHost: h\r\nX: " +
                        std::string(900, 'x') + "\r\n\r\n",
                    "431", true},
        RequestCase{"ChunkExtensionTooLong",
                    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n1;x=" +
                        std::string(1000, 'y') + "\r\na\r\n0\r\n\r\n",
                    "431", true},
        RequestCase{"ChunkExtensionWithoutEnd",
                    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n1;x=" +
                        std::string(1000, 'y'),
                    "431", true},
        RequestCase{"TrailersTooLong",
                    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n1\r\na\r\n0\r\nX: " +
                        std::string(1000, 'x') + "\r\n\r\n",
                    "431", true},
        RequestCase{"TrailersWithoutEnd",
                    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n1\r\na\r\n0\r\nX: " +
                        std::string(1000, 'x'),
                    "431", true},
        RequestCase{"Trailers",
                    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n1;x=y\r\na\r\n0\r\nX: x\r\n\r\n",
                    "200 POST / <a>"},
        RequestCase{"BodyTooLong", Post(std::string(101, 'x')), "413", true},
        RequestCase{"BodyAtTheLimit", Post(std::string(100, 'x')), "200 POST / <xxx"},
        RequestCase{
            "ChunksTooLong",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" +
                std::string(101, 'x') + "\r\n0\r\n\r\n",
            "413", true},
        RequestCase{"Gzip", Post(Gzip("hello"), "Content-Encoding: gzip\r\n"),
                    "200 POST / <hello>"},
        RequestCase{"GzipMembers",
                    Post(Gzip("hel") + Gzip("lo"), "Content-Encoding: GZIP\r\n"),
                    "200 POST / <hello>"},
        RequestCase{"GzipCutShort",
                    Post(Gzip("hello").substr(0, 15), "Content-Encoding: gzip\r\n"),
                    "400"},
        RequestCase{"GzipWithTail",
                    Post(Gzip("hello") + "tail", "Content-Encoding: gzip\r\n"), "400"},
        RequestCase{"NotGzip", Post("hello", "Content-Encoding: gzip\r\n"), "400"},
        RequestCase{"GzipBomb",
                    Post(Gzip(std::string(20'000, 'x')), "Content-Encoding: gzip\r\n"),
                    "413"},
        RequestCase{"GzipAtTheLimit",
                    Post(Gzip(std::string(100, 'x')), "Content-Encoding: gzip\r\n"),
                    "200 POST / <xxx"},
        RequestCase{"Zstd", Post(Zstd("hello"), "Content-Encoding: zstd\r\n"),
                    "200 POST / <hello>"},
        RequestCase{"ZstdFrames",
                    Post(Zstd("hel") + Zstd("lo"), "Content-Encoding: zstd\r\n"),
                    "200 POST / <hello>"},
        RequestCase{"ZstdCutShort",
                    Post(Zstd("hello").substr(0, 10), "Content-Encoding: zstd\r\n"),
                    "400"},
        RequestCase{"ZstdWithTail",
                    Post(Zstd("hello") + "tail", "Content-Encoding: zstd\r\n"), "400"},
        RequestCase{"ZstdBomb",
                    Post(Zstd(std::string(100'000, 'x')), "Content-Encoding: zstd\r\n"),
                    "413"},
        RequestCase{"ZstdAtTheLimit",
                    Post(Zstd(std::string(100, 'x')), "Content-Encoding: zstd\r\n"),
                    "200 POST / <xxx"},
        RequestCase{"Identity", Post("hello", "Content-Encoding: identity\r\n"),
                    "200 POST / <hello>"},
        RequestCase{"UnknownCoding", Post("hello", "Content-Encoding: br\r\n"), "415",
                    true},
        RequestCase{"TwoCodings", Post("hello", "Content-Encoding: gzip, zstd\r\n"),
                    "415", true},
        RequestCase{"UnknownExpect", Post("hello", "Expect: tea\r\n"), "417", true}),
    [](const auto& info) { return info.param.name; });

TEST(HttpTest, HeadersArriveInLowerCaseAndRepeatedOnesTogether) {
  std::map<std::string, std::string> headers;
  const auto server = Serve({}, [&](Request request, Reply reply) {
    headers = request.headers;
    reply({});
  });
  Client client(*server);
  client.Send("GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a:  2 \r\n\r\n");
  EXPECT_EQ(client.Next(), "200");
  EXPECT_THAT(headers, ElementsAre(std::pair("host", "h"), std::pair("x-a", "1, 2")));
}

TEST(HttpTest, AnswersCarryTypeDateAndTheHandlersHeaders) {
  const auto server = Serve({}, [](Request, Reply reply) {
    reply({.status = 429,
           .headers = {{"Retry-After", "1"}, {"X-Evil", "a\r\nSet-Cookie: b"}},
           .body = "{}"});
  });
  Client client(*server);
  client.Send(Get("/"));
  EXPECT_EQ(client.Next(), "429 {}");
  EXPECT_THAT(client.headers(), StartsWith("HTTP/1.1 429 Too Many Requests\r\nDate: "));
  EXPECT_THAT(client.headers(), HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(client.headers(), HasSubstr("Retry-After: 1\r\n"));
  EXPECT_THAT(client.headers(), HasSubstr("X-Evil: a  Set-Cookie: b\r\n"));
}

// ------------------------------------------------- answers that acknowledge

// A server whose answers acknowledge while `may` says so; their body is `bytes` long.
class AcknowledgementTest : public testing::Test {
 protected:
  std::unique_ptr<Server> Start(size_t bytes) {
    ServerOptions options;
    options.may_acknowledge = [this] {
      ++asked;
      return may.load();
    };
    return Serve(options, [this, bytes](Request request, Reply reply) {
      if (request.path == "/later")
        return held.With([&](auto& replies) { replies.push_back(std::move(reply)); });
      Response response{.body = std::string(bytes, 'y'), .acknowledges = true};
      if (request.path == "/other") response = {.body = "other"};
      reply(std::move(response));
      ++replied;
    });
  }
  template <typename Condition>
  static void Await(Condition condition) {
    while (!condition()) std::this_thread::sleep_for(milliseconds(1));
  }

  std::atomic<bool> may = true;
  std::atomic<int> asked = 0, replied = 0;
  Guarded<std::vector<Reply>> held;
};

TEST_F(AcknowledgementTest, GoesOutOnlyWhileItMay) {
  const auto server = Start(3);
  Client client(*server);
  client.Send(Get("/"));
  EXPECT_EQ(client.Next(), "200 yyy");
  may = false;
  client.Send(Get("/") + Get("/other"));
  EXPECT_THAT(client.Next(), AllOf(StartsWith("503 "), HasSubstr("send them again")));
  EXPECT_THAT(client.headers(), HasSubstr("Retry-After: 1"));
  EXPECT_EQ(client.Next(), "200 other") << "what acknowledges nothing is not held back";
  may = true;
  client.Send(Get("/"));
  EXPECT_EQ(client.Next(), "200 yyy");
  EXPECT_EQ(asked, 3) << "once a write";
}

TEST_F(AcknowledgementTest, IsLookedAtWhenItsTurnComesNotWhenItWasDecided) {
  const auto server = Start(3);
  Client client(*server);
  client.Send(Get("/later") + Get("/") + Get("/"));
  Await([&] { return replied == 2; });
  EXPECT_EQ(asked, 0);
  may = false;
  held.With([](auto& replies) { replies[0]({.body = "first"}); });
  EXPECT_EQ(client.Next(), "200 first");
  EXPECT_THAT(client.Next(), StartsWith("503 "));
  EXPECT_THAT(client.Next(), StartsWith("503 "));
}

// Whatever the socket does not take at once is looked at again before it goes.
TEST_F(AcknowledgementTest, WhatTheKernelHasNotTakenIsCutOff) {
  constexpr size_t kBytes = 64 << 20;  // more than any socket holds
  const auto server = Start(kBytes);
  Client client(*server);
  client.Send(Get("/"));
  ASSERT_TRUE(client.HasInput(milliseconds(5000)));
  may = false;
  const std::string end = client.Next();
  EXPECT_EQ(end, "closed");
  EXPECT_THAT(client.headers(), StartsWith("HTTP/1.1 200"));
}

TEST_F(AcknowledgementTest, BehindOneThatTheSocketHasNotTakenBecomes503) {
  constexpr size_t kBytes = 64 << 20;  // more than any socket holds
  const auto server = Start(3);
  Client client(*server);
  client.Send(Get("/later") + Get("/"));
  Await([&] { return replied == 1; });
  held.With([](auto& replies) { replies[0]({.body = std::string(kBytes, 'n')}); });
  ASSERT_TRUE(client.HasInput(milliseconds(5000)));
  may = false;
  EXPECT_EQ(client.Next().size(), 4 + kBytes);
  EXPECT_THAT(client.Next(), StartsWith("503 "));
}

TEST_F(AcknowledgementTest, LargeAnswersArriveWholeThoughTheClientIsSlow) {
  const auto server = Start(5 << 20);
  Client client(*server);
  for (int i = 0; i < 8; ++i) client.Send(Get("/"));
  ASSERT_TRUE(client.HasInput(milliseconds(5000)));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(client.Next().size(), 4u + (5 << 20));
  client.Send(Get("/other"));
  EXPECT_EQ(client.Next(), "200 other");
}

TEST(HttpTest, HeadHasTheHeadersWithoutTheBody) {
  const auto server = Serve();
  Client client(*server);
  client.head_request = true;
  client.Send("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.Next(), "200");
  EXPECT_THAT(client.headers(), HasSubstr("Content-Length: 7\r\n"));
  client.head_request = false;
  client.Send(Get("/b"));
  EXPECT_EQ(client.Next(), "200 GET /b");
}

TEST(HttpTest, OneByteAtATimeIsFine) {
  const auto server = Serve();
  Client client(*server);
  for (const char c : Post("hello") + Get("/a")) client.Send(std::string_view(&c, 1));
  EXPECT_EQ(client.Next(), "200 POST / <hello>");
  EXPECT_EQ(client.Next(), "200 GET /a");
}

TEST(HttpTest, ALargeBodyArrivesWhole) {
  std::string got;
  const auto server = Serve({}, [&](Request request, Reply reply) {
    got = std::move(request.body);
    reply({});
  });
  std::string body(20'000'000, '\0');
  for (size_t i = 0; i < body.size(); ++i)
    body[i] = static_cast<char>(i * 31 + (i >> 12));
  Client client(*server);
  client.Send(Post(body));
  EXPECT_EQ(client.Next(), "200");
  EXPECT_TRUE(got == body);
}

// Replies come in any order, from any thread; answers go out in the order of the
// requests.
TEST(HttpTest, PipelinedRequestsAreAnsweredInOrder) {
  Guarded<std::vector<std::pair<std::string, Reply>>> waiting;
  const auto server = Serve({.pipelined_max = 4}, [&](Request request, Reply reply) {
    waiting.With([&](auto& list) { list.emplace_back(request.path, std::move(reply)); });
  });
  Client client(*server);
  std::string requests;
  for (int i = 0; i < 20; ++i) requests += Get(fmt::format("/{}", i));
  client.Send(requests);
  for (int answered = 0; answered < 20;) {
    const auto batch = waiting.With([](auto& list) { return std::exchange(list, {}); });
    EXPECT_LE(batch.size(), 4u) << "no more are read than may wait";
    for (auto it = batch.rbegin(); it != batch.rend(); ++it) {
      it->second({.body = it->first});
      ++answered;
    }
    std::this_thread::yield();
  }
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.Next(), fmt::format("200 /{}", i));
}

TEST(HttpTest, AnErrorWaitsForTheAnswersBeforeIt) {
  Reply first;
  std::promise<void> begun;
  const auto server = Serve({}, [&](Request, Reply reply) {
    first = std::move(reply);
    begun.set_value();
  });
  Client client(*server);
  client.Send(Get("/slow") + "garbage\r\n\r\n" + Get("/never"));
  begun.get_future().wait();
  EXPECT_FALSE(client.HasInput(milliseconds(30)));
  first({.body = "slow"});
  EXPECT_EQ(client.Next(), "200 slow");
  EXPECT_THAT(client.Next(), StartsWith("400"));
  EXPECT_EQ(client.Next(), "closed");
}

TEST(HttpTest, ContinueIsSentInItsTurn) {
  Reply first;
  std::promise<void> begun;
  const auto server = Serve({}, [&](Request request, Reply reply) {
    if (request.path == "/slow") {
      first = std::move(reply);
      begun.set_value();
    } else {
      Echo(std::move(request), std::move(reply));
    }
  });
  Client client(*server);
  client.Send(
      Get("/slow") +
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  begun.get_future().wait();
  EXPECT_FALSE(client.HasInput(milliseconds(30)));
  first({.body = "slow"});
  EXPECT_EQ(client.Next(), "200 slow");
  EXPECT_EQ(client.Next(), "100");
  client.Send("hello");
  EXPECT_EQ(client.Next(), "200 POST / <hello>");
}

TEST(HttpTest, NoContinueForABodyThatIsTooLarge) {
  const auto server = Serve({.body_bytes_max = 10});
  Client client(*server);
  client.Send(
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(client.Next(), StartsWith("413"));
}

TEST(HttpTest, ARequestThatTrickles408sAndAnIdleConnectionIsClosed) {
  const auto server = Serve({.read_timeout = milliseconds(100)});
  Client idle(*server), slow_head(*server), slow_body(*server);
  slow_head.Send("GET / HT");
  slow_body.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
  EXPECT_EQ(idle.Next(), "closed");
  EXPECT_THAT(slow_head.Next(), StartsWith("408"));
  EXPECT_EQ(slow_head.Next(), "closed");
  EXPECT_THAT(slow_body.Next(), StartsWith("408"));
  EXPECT_EQ(slow_body.Next(), "closed");
}

TEST(HttpTest, AHandlerMayTakeLongerThanTheReadTimeout) {
  std::thread later;
  const auto server =
      Serve({.read_timeout = milliseconds(50)}, [&](Request, Reply reply) {
        later = std::thread([reply] {
          std::this_thread::sleep_for(milliseconds(200));
          reply({.body = "late"});
        });
      });
  Client client(*server);
  client.Send(Get("/"));
  EXPECT_EQ(client.Next(), "200 late");
  later.join();
}

TEST(HttpTest, AHalfSentRequestNeverReachesTheHandler) {
  std::atomic<int> calls = 0;
  const auto server = Serve({}, [&](Request, Reply reply) {
    ++calls;
    reply({});
  });
  {
    Client client(*server);
    client.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
    client.EndSending();
    EXPECT_EQ(client.Next(), "closed");
  }
  EXPECT_EQ(calls, 0);
}

TEST(HttpTest, AClientThatClosesItsSideStillGetsItsAnswers) {
  Reply late;
  std::promise<void> begun;
  const auto server = Serve({}, [&](Request, Reply reply) {
    late = std::move(reply);
    begun.set_value();
  });
  Client client(*server);
  client.Send(Get("/"));
  begun.get_future().wait();
  client.EndSending();
  EXPECT_FALSE(client.HasInput(milliseconds(30)));
  late({.body = "late"});
  EXPECT_EQ(client.Next(), "200 late");
  EXPECT_EQ(client.Next(), "closed");
}

TEST(HttpTest, ADroppedReplyAnswers500AndASecondOneDoesNothing) {
  const auto server = Serve({}, [](Request request, Reply reply) {
    if (request.path == "/drop") return;
    reply({.body = "one"});
    reply({.body = "two"});
  });
  Client client(*server);
  client.Send(Get("/drop") + Get("/twice") + Get("/twice"));
  EXPECT_THAT(client.Next(), StartsWith("500"));
  EXPECT_EQ(client.Next(), "200 one");
  EXPECT_EQ(client.Next(), "200 one");
}

TEST(HttpTest, TooManyConnectionsAreTurnedAwayUntilSomeAreGone) {
  const auto server = Serve({.connections_max = 2});
  auto first = std::make_unique<Client>(*server);
  Client second(*server);
  first->Send(Get("/a"));
  EXPECT_EQ(first->Next(), "200 GET /a");
  second.Send(Get("/b"));
  EXPECT_EQ(second.Next(), "200 GET /b");
  {
    Client third(*server);
    EXPECT_THAT(third.Next(), StartsWith("503"));
    EXPECT_THAT(third.headers(), HasSubstr("Retry-After"));
    EXPECT_EQ(third.Next(), "closed");
  }
  first.reset();
  for (int i = 0; i < 100; ++i) {
    Client fourth(*server);
    fourth.Send(Get("/c"));
    if (fourth.Next() == "200 GET /c") return;
    std::this_thread::sleep_for(milliseconds(20));
  }
  FAIL() << "a place that became free was never given away";
}

TEST(HttpTest, BodiesThatWaitAreBoundedTogether) {
  Guarded<std::vector<Reply>> waiting;
  const auto server =
      Serve({.bodies_bytes_max = 1000}, [&](Request request, Reply reply) {
        if (request.body.empty()) return reply({.body = "alive"});
        waiting.With([&](auto& list) { list.push_back(std::move(reply)); });
      });
  Client first(*server), second(*server), third(*server);
  first.Send(Post(std::string(900, 'x')));
  while (waiting.With([](auto& list) { return list.empty(); })) std::this_thread::yield();
  second.Send(Post(std::string(900, 'x')));
  EXPECT_THAT(second.Next(), StartsWith("503"));
  third.Send(Get("/healthz"));
  EXPECT_EQ(third.Next(), "200 alive");
  waiting.With([](auto& list) { list[0]({.body = "ok"}); });
  EXPECT_EQ(first.Next(), "200 ok");
  third.Send(Post(std::string(900, 'x')));
  while (waiting.With([](auto& list) { return list.size() < 2; }))
    std::this_thread::yield();
  waiting.With([](auto& list) { list[1]({.body = "ok"}); });
  EXPECT_EQ(third.Next(), "200 ok");
}

TEST(HttpTest, StopAnswersWhatHasBegunAndTakesNothingNew) {
  Reply late;
  std::promise<void> begun;
  const auto server = Serve({.threads = 2}, [&](Request request, Reply reply) {
    if (request.body.empty()) return Echo(std::move(request), std::move(reply));
    late = std::move(reply);
    begun.set_value();
  });
  Client idle(*server), waiting(*server), half(*server);
  idle.Send(Get("/a"));
  EXPECT_EQ(idle.Next(), "200 GET /a");
  // One packet: when the first is answered, the second has begun.
  half.Send(Get("/whole") + "GET /half HTTP/1.1\r\n");
  EXPECT_EQ(half.Next(), "200 GET /whole");
  waiting.Send(Post("x"));
  begun.get_future().wait();
  std::thread stop([&] { server->Stop(milliseconds(5000)); });
  EXPECT_EQ(idle.Next(), "closed");
  half.Send("Host: h\r\n\r\n" + Get("/new"));
  EXPECT_EQ(half.Next(), "200 GET /half");
  EXPECT_THAT(half.headers(), HasSubstr("Connection: close"));
  EXPECT_EQ(half.Next(), "closed");
  late({.body = "late"});
  EXPECT_EQ(waiting.Next(), "200 late");
  EXPECT_EQ(waiting.Next(), "closed");
  stop.join();
}

TEST(HttpTest, StopDoesNotWaitLongerThanItsGrace) {
  Reply never;
  std::promise<void> begun;
  const auto server = Serve({}, [&](Request, Reply reply) {
    never = std::move(reply);
    begun.set_value();
  });
  Client client(*server);
  client.Send(Get("/"));
  begun.get_future().wait();
  const auto before = std::chrono::steady_clock::now();
  server->Stop(milliseconds(50));
  EXPECT_LT(std::chrono::steady_clock::now() - before, milliseconds(2000));
  EXPECT_EQ(client.Next(), "closed");
  never({.body = "into the void"});
}

TEST(HttpTest, ManyConnectionsOnSeveralThreads) {
  const auto server = Serve({.threads = 3});
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int c = 0; c < 5; ++c) {
        Client client(*server);
        for (int i = 0; i < 50; ++i) {
          const std::string body = fmt::format("{}-{}-{}", t, c, i);
          client.Send(Post(body));
          ASSERT_EQ(client.Next(), fmt::format("200 POST / <{}>", body));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(HttpTest, SaysWhyItCannotListen) {
  const auto server = Serve();
  const auto taken = Server::Listen({.port = server->port()}, Echo);
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().message, HasSubstr("Address already in use"));
  EXPECT_FALSE(Server::Listen({.address = "nowhere"}, Echo).ok());
}

}  // namespace
}  // namespace weir::net
