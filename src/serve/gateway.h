// Events over HTTP.
//   POST /v1/events/{source}   one JSON object, an array of them, or NDJSON; answers when
//   they are durable GET  /v1/sources           the names that can be posted to GET
//   /healthz
#pragma once

#include "ingest/event_sink.h"
#include "net/http.h"

namespace weir::serve {

// Safe for concurrent use. The sink must live until the last reply was made.
class Gateway {
 public:
  explicit Gateway(ingest::EventSink& sink) : sink_(sink) {}

  // 200 {"results":[{"offset","partition","verdict","reason"?,"field"?}…]}, one per
  // record in the order of the body. 404 unknown source or path, 405, 415, 429 with
  // Retry-After when the queue is full and 503 when stopping: nothing was taken. 500, and
  // 503 in the place of an acknowledgement (ServerOptions::may_acknowledge): it is not
  // known what was taken; a retry is safe because an event has an identity.
  void Handle(net::Request request, net::Reply reply);

 private:
  void TakeEvents(std::string source, net::Request request, net::Reply reply);

  ingest::EventSink& sink_;
};

}  // namespace weir::serve
