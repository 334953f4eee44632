#include "serve/gateway.h"

#include <fmt/format.h>

#include "base/event.h"
#include "project/project.h"
#include "serve/framing.h"

namespace weir::serve {
namespace {

constexpr std::string_view kEvents = "/v1/events/";
constexpr size_t kResultBytes = 64;  // what the text of one result takes, about

net::Response ErrorResponse(int status, std::string_view message) {
  net::Response response{.status = status,
                         .body = fmt::format("{{\"error\":{}}}", JsonQuoted(message))};
  if (status == 429 || status == 503) response.headers["Retry-After"] = "1";
  return response;
}

net::Response NotAllowed(std::string_view allowed) {
  net::Response response =
      ErrorResponse(405, fmt::format("only {} is possible here", allowed));
  response.headers["Allow"] = allowed;
  return response;
}

std::string JsonList(const std::vector<std::string>& names) {
  std::string out = "[";
  for (const std::string& name : names) {
    if (out.size() > 1) out += ',';
    out += JsonQuoted(name);
  }
  return out + "]";
}

net::Response UnknownSource(const std::string& name,
                            const std::vector<std::string>& sources) {
  const auto near = project::DidYouMean(name, sources);
  std::string message = fmt::format("no source '{}' takes events", name);
  if (near) message += fmt::format("; did you mean '{}'?", *near);
  net::Response response{.status = 404};
  response.body = fmt::format("{{\"error\":{},\"did_you_mean\":{},\"sources\":{}}}",
                              JsonQuoted(message), near ? JsonList({*near}) : "[]",
                              JsonList(sources));
  return response;
}

net::Response Results(const std::vector<ingest::RecordResult>& records) {
  net::Response response;
  std::string& body = response.body;
  body.reserve(16 + records.size() * kResultBytes);
  body = "{\"results\":[";
  for (const ingest::RecordResult& record : records) {
    if (body.back() == '}') body += ',';
    body += "{\"offset\":";
    const fmt::format_int offset(record.offset);
    body.append(offset.data(), offset.size());
    body += ",\"partition\":";
    const fmt::format_int partition(record.partition);
    body.append(partition.data(), partition.size());
    body += ",\"verdict\":\"";
    body += record.verdict;
    body += '"';
    if (!record.reason.empty()) {
      body += ",\"reason\":\"";
      body += record.reason;
      body += '"';
    }
    if (!record.field.empty()) body += ",\"field\":" + JsonQuoted(record.field);
    body += '}';
  }
  body += "]}";
  return response;
}

}  // namespace

void Gateway::Handle(net::Request request, net::Reply reply) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (request.path == "/healthz") {
    return reply(reads ? net::Response{.body = R"({"status":"ok"})"}
                       : NotAllowed("GET, HEAD"));
  }
  if (request.path == "/v1/sources") {
    if (!reads) return reply(NotAllowed("GET, HEAD"));
    return reply({.body = fmt::format("{{\"sources\":{}}}", JsonList(sink_.sources()))});
  }
  if (request.path.starts_with(kEvents)) {
    std::string source = request.path.substr(kEvents.size());
    if (source.find('/') == std::string::npos) {
      if (request.method != "POST") return reply(NotAllowed("POST"));
      return TakeEvents(std::move(source), std::move(request), std::move(reply));
    }
  }
  reply(ErrorResponse(404, "nothing is here; events go to POST /v1/events/{source}"));
}

void Gateway::TakeEvents(std::string source, net::Request request, net::Reply reply) {
  const auto type = request.headers.find("content-type");
  const auto format = ParseContentType(type == request.headers.end() ? "" : type->second);
  if (!format) {
    return reply(
        ErrorResponse(415, fmt::format("Content-Type {} is not understood; "
                                       "application/json and application/x-ndjson are",
                                       type->second)));
  }
  auto body = std::make_shared<std::string>(std::move(request.body));
  std::vector<std::string_view> records = SplitBody(*format, *body);
  if (records.empty()) {
    const std::vector<std::string> sources = sink_.sources();
    const bool known = std::find(sources.begin(), sources.end(), source) != sources.end();
    return reply(known ? Results({}) : UnknownSource(source, sources));
  }
  auto answer = [this, source, reply = std::move(reply)](ingest::PushResult result) {
    using Code = ingest::PushResult::Code;
    switch (result.code) {
      case Code::kOk: {
        // The process may be stopped between here and the socket, and replaced.
        net::Response response = Results(result.records);
        response.acknowledges = true;
        return reply(std::move(response));
      }
      case Code::kUnknownSource:
        return reply(UnknownSource(source, sink_.sources()));
      case Code::kFull:
        return reply(ErrorResponse(
            429, result.message.empty() ? "the queue is full" : result.message));
      case Code::kStopping:
        return reply(
            ErrorResponse(503, result.message.empty() ? "stopping" : result.message));
      case Code::kFailed:
        break;
    }
    reply(ErrorResponse(500, result.message));
  };
  sink_.Push(std::move(source), std::move(body), std::move(records), std::move(answer));
}

}  // namespace weir::serve
