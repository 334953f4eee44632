#include "serve/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <random>

#include "serve/framing.h"

namespace weir::serve {
namespace {

using ingest::PushResult;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

struct SplitCase {
  const char* name;
  BodyFormat format;
  std::string body;
  std::vector<std::string> records;
};
class SplitTest : public testing::TestWithParam<SplitCase> {};
TEST_P(SplitTest, GivesTheBytesOfEachRecord) {
  EXPECT_THAT(SplitBody(GetParam().format, GetParam().body),
              ElementsAreArray(GetParam().records));
}
constexpr BodyFormat kJson = BodyFormat::kJson, kLines = BodyFormat::kNdjson,
                     kSniff = BodyFormat::kSniff;
INSTANTIATE_TEST_SUITE_P(
    , SplitTest,
    testing::Values(
        SplitCase{"Object", kJson, R"( {"a": 1} )", {R"({"a": 1})"}},
        SplitCase{"ObjectOverLines", kJson, "{\n\"a\": 1\n}\n", {"{\n\"a\": 1\n}"}},
        SplitCase{"Array",
                  kJson,
                  "[{\"a\":1} ,\n {\"b\":[1,{\"c\":2}]}]\n",
                  {R"({"a":1})", R"({"b":[1,{"c":2}]})"}},
        SplitCase{"NumbersAsWritten",
                  kJson,
                  "[1.0e+01,-0,12345678901234567890]",
                  {"1.0e+01", "-0", "12345678901234567890"}},
        SplitCase{"BracketsInStrings",
                  kJson,
                  R"([{"a":"],[}{\"\\"},{"b":","}])",
                  {R"({"a":"],[}{\"\\"})", R"({"b":","})"}},
        SplitCase{"EmptyArray", kJson, " [ ] ", {}},
        SplitCase{"NestedArrays", kJson, "[[],[1,2]]", {"[]", "[1,2]"}},
        SplitCase{"BadElementAlone",
                  kJson,
                  R"([{"a":1},nonsense,{"b"}])",
                  {R"({"a":1})", "nonsense", R"({"b"})"}},
        SplitCase{"NotClosed", kJson, R"([{"a":1},{"b":2})", {R"([{"a":1},{"b":2})"}},
        SplitCase{
            "StringNotClosed", kJson, R"([{"a":"x},{"b":2}])", {R"([{"a":"x},{"b":2}])"}},
        SplitCase{"EndsInAnEscape", kJson, R"(["a\)", {R"(["a\)"}},
        SplitCase{"ClosedByABrace", kJson, R"([{"a":1}})", {R"([{"a":1}})"}},
        SplitCase{
            "SomethingFollows", kJson, "\xEF\xBB\xBF[1] [2] ", {"\xEF\xBB\xBF[1] [2] "}},
        SplitCase{"TrailingComma", kJson, "[1,]", {"[1,]"}},
        SplitCase{"MissingElement", kJson, "[1,,2]", {"[1,,2]"}},
        SplitCase{"OnlyAComma", kJson, "[,]", {"[,]"}},
        SplitCase{"NotJson", kJson, "hello", {"hello"}},
        SplitCase{"NoBody", kJson, "", {}},
        SplitCase{"ByteOrderMark", kJson, "\xEF\xBB\xBF{}", {"{}"}},
        SplitCase{
            "Lines", kLines, "{\"a\":1}\n{\"b\":2}\n", {R"({"a":1})", R"({"b":2})"}},
        SplitCase{"LastLineOpen", kLines, "1\n2", {"1", "2"}},
        SplitCase{"CrLf", kLines, "1\r\n\r\n2\r\n", {"1", "2"}},
        SplitCase{"BlankLines", kLines, "\n \t\n1\n\n\n", {"1"}},
        SplitCase{"BlanksBelongToTheRecord", kLines, " 1 \n", {" 1 "}},
        SplitCase{"LinesAfterAMark", kLines, "\xEF\xBB\xBF\n1\n", {"1"}},
        SplitCase{"ALineMayBeAnArray", kLines, "[1,2]\n", {"[1,2]"}},
        SplitCase{"SniffedArray", kSniff, " [1,\n2]", {"1", "2"}},
        SplitCase{"SniffedLines", kSniff, "{}\n{}", {"{}", "{}"}},
        SplitCase{"SniffedNothing", kSniff, " \n ", {}}),
    [](const auto& info) { return info.param.name; });

TEST(SplitRandomTest, RandomElementsComeBackAsTheyWere) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  const std::vector<std::string> parts = {
      R"("a\"b")", "1", "[]", R"({"x":[1,"]"],"y":{}})", R"("\\")", "null", R"("[,")"};
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> elements(random() % 8);
    std::string body = "[";
    for (size_t i = 0; i < elements.size(); ++i) {
      elements[i] = parts[random() % parts.size()];
      body += (i > 0 ? "," : "") + std::string(random() % 3, ' ') + elements[i] +
              std::string(random() % 2, '\n');
    }
    body += "]";
    ASSERT_THAT(SplitBody(kJson, body), ElementsAreArray(elements)) << body;
    // Cut anywhere it is one record.
    const std::string cut = body.substr(0, 1 + random() % (body.size() - 1));
    if (cut != body) {
      ASSERT_THAT(SplitBody(kJson, cut), ElementsAre(cut));
    }
  }
}

TEST(ContentTypeTest, KnowsWhatHoldsEvents) {
  EXPECT_EQ(ParseContentType("application/json"), kJson);
  EXPECT_EQ(ParseContentType("Application/JSON; charset=utf-8"), kJson);
  EXPECT_EQ(ParseContentType("application/cloudevents+json"), kJson);
  EXPECT_EQ(ParseContentType("application/x-ndjson"), kLines);
  EXPECT_EQ(ParseContentType(""), kSniff);
  EXPECT_EQ(ParseContentType("text/plain"), kSniff);
  EXPECT_EQ(ParseContentType("application/x-www-form-urlencoded"), kSniff);
  EXPECT_EQ(ParseContentType("application/xml"), std::nullopt);
  EXPECT_EQ(ParseContentType("image/png"), std::nullopt);
}

// Answers as told; accepts with rising offsets when told nothing.
class FakeSink final : public ingest::EventSink {
 public:
  void Push(std::string source, std::shared_ptr<std::string> body,
            std::vector<std::string_view> records,
            std::function<void(PushResult)> done) override {
    if (source != "clicks" && source != "orders")
      return done({PushResult::Code::kUnknownSource, {}, "unknown"});
    for (const std::string_view record : records) {
      EXPECT_GE(record.data(), body->data());
      taken.emplace_back(record);
    }
    if (next) return done(*next);
    PushResult result;
    for (size_t i = 0; i < records.size(); ++i)
      result.records.push_back({static_cast<int64_t>(i), 2, "accepted", "", ""});
    done(std::move(result));
  }
  std::vector<std::string> sources() const override { return {"clicks", "orders"}; }

  std::vector<std::string> taken;
  std::optional<PushResult> next;
};

net::Response Ask(FakeSink& sink, net::Request request) {
  std::optional<net::Response> answer;
  Gateway(sink).Handle(std::move(request),
                       [&](net::Response response) { answer = std::move(response); });
  EXPECT_TRUE(answer.has_value());
  return answer.value_or(net::Response{.status = 0});
}

net::Response Post(FakeSink& sink, std::string source, std::string body,
                   std::string type = "application/json") {
  return Ask(sink, {.method = "POST",
                    .path = "/v1/events/" + source,
                    .headers = {{"content-type", type}},
                    .body = std::move(body)});
}

TEST(GatewayTest, EachRecordGetsItsVerdictAndOffset) {
  FakeSink sink;
  const auto response = Post(sink, "clicks", R"([{"a":1},{"b":2}])");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "application/json");
  EXPECT_EQ(
      response.body,
      R"({"results":[{"offset":0,"partition":2,"verdict":"accepted"},{"offset":1,"partition":2,"verdict":"accepted"}]})");
  EXPECT_THAT(sink.taken, ElementsAre(R"({"a":1})", R"({"b":2})"));
}

TEST(GatewayTest, WhatSaysThatRecordsAreDurableIsAnAcknowledgement) {
  FakeSink sink;
  EXPECT_TRUE(Post(sink, "clicks", "{}").acknowledges);
  EXPECT_FALSE(Post(sink, "clicks", "").acknowledges);
  EXPECT_FALSE(Ask(sink, {.method = "GET", .path = "/v1/sources"}).acknowledges);
  sink.next = PushResult{PushResult::Code::kFull, {}, ""};
  EXPECT_FALSE(Post(sink, "clicks", "{}").acknowledges);
}

TEST(GatewayTest, ARejectedRecordSaysWhyAndWhere) {
  FakeSink sink;
  sink.next = PushResult{.records = {{7, 0, "rejected", "wrong_type", "a.\"b\""},
                                     {8, 0, "duplicate", "", ""}}};
  EXPECT_EQ(
      Post(sink, "clicks", "1\n2\n", "application/x-ndjson").body,
      R"({"results":[{"offset":7,"partition":0,"verdict":"rejected","reason":"wrong_type","field":"a.\"b\""},)"
      R"({"offset":8,"partition":0,"verdict":"duplicate"}]})");
}

TEST(GatewayTest, WithoutAContentTypeTheBodyIsSniffed) {
  FakeSink sink;
  EXPECT_EQ(
      Ask(sink, {.method = "POST", .path = "/v1/events/clicks", .body = "{}\n{}"}).status,
      200);
  EXPECT_THAT(sink.taken, ElementsAre("{}", "{}"));
}

TEST(GatewayTest, NoRecordsIsNoError) {
  FakeSink sink;
  EXPECT_EQ(Post(sink, "clicks", "[]").body, R"({"results":[]})");
  EXPECT_EQ(Post(sink, "clicks", "").status, 200);
  EXPECT_EQ(Post(sink, "nobody", "[]").status, 404);
  EXPECT_THAT(sink.taken, IsEmpty());
}

TEST(GatewayTest, AnUnknownSourceIsToldItsNeighbour) {
  FakeSink sink;
  const auto response = Post(sink, "clikcs", "{}");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(
      response.body,
      R"({"error":"no source 'clikcs' takes events; did you mean 'clicks'?","did_you_mean":["clicks"],"sources":["clicks","orders"]})");
  EXPECT_THAT(Post(sink, "something_else", "{}").body,
              HasSubstr(R"("did_you_mean":[],)"));
}

TEST(GatewayTest, RefusalsSayWhetherToTryAgain) {
  using Code = PushResult::Code;
  FakeSink sink;
  const struct {
    Code code;
    int status;
    bool retry;
  } cases[] = {{Code::kFull, 429, true},
               {Code::kStopping, 503, true},
               {Code::kFailed, 500, false}};
  for (const auto& c : cases) {
    sink.next = PushResult{.code = c.code, .message = "because \"of\" it"};
    const auto response = Post(sink, "clicks", "{}");
    EXPECT_EQ(response.status, c.status);
    EXPECT_EQ(response.headers.contains("Retry-After"), c.retry);
    EXPECT_EQ(response.body, R"({"error":"because \"of\" it"})");
  }
}

TEST(GatewayTest, OtherContentTypesAreRefusedBeforeAnythingIsTaken) {
  FakeSink sink;
  EXPECT_EQ(Post(sink, "clicks", "<a/>", "application/xml").status, 415);
  EXPECT_THAT(sink.taken, IsEmpty());
}

TEST(GatewayTest, OtherRoutes) {
  FakeSink sink;
  EXPECT_EQ(Ask(sink, {.method = "GET", .path = "/healthz"}).body, R"({"status":"ok"})");
  EXPECT_EQ(Ask(sink, {.method = "GET", .path = "/v1/sources"}).body,
            R"({"sources":["clicks","orders"]})");
  EXPECT_EQ(Ask(sink, {.method = "POST", .path = "/v1/sources"}).status, 405);
  const auto get = Ask(sink, {.method = "GET", .path = "/v1/events/clicks"});
  EXPECT_EQ(get.status, 405);
  EXPECT_EQ(get.headers.at("Allow"), "POST");
  EXPECT_EQ(Ask(sink, {.method = "GET", .path = "/"}).status, 404);
  EXPECT_EQ(Ask(sink, {.method = "POST", .path = "/v1/events/a/b"}).status, 404);
}

TEST(GatewayTest, TheAnswerMayComeFromAnotherThread) {
  class SlowSink final : public ingest::EventSink {
   public:
    void Push(std::string, std::shared_ptr<std::string>, std::vector<std::string_view>,
              std::function<void(PushResult)> done) override {
      thread = std::thread([done = std::move(done)] {
        done({.records = {{5, 0, "accepted", "", ""}}});
      });
    }
    std::vector<std::string> sources() const override { return {}; }
    std::thread thread;
  } sink;
  Gateway gateway(sink);
  std::promise<std::string> answer;
  gateway.Handle({.method = "POST", .path = "/v1/events/clicks", .body = "{}"},
                 [&](net::Response response) { answer.set_value(response.body); });
  EXPECT_EQ(answer.get_future().get(),
            R"({"results":[{"offset":5,"partition":0,"verdict":"accepted"}]})");
  sink.thread.join();
}

}  // namespace
}  // namespace weir::serve
