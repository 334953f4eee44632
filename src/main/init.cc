// weir init: a project that runs, to begin from.
#include <fmt/format.h>

#include "main/command.h"

namespace weir::main {
namespace {

constexpr const char* kProject = R"(name: {}
libraries:
  - glob: {{include: models/**}}
catalog: weir

configuration:
  weir.epoch.interval: 5 seconds
)";

constexpr const char* kContract = R"(apiVersion: v3.1.0
kind: DataContract
id: page-views
name: page_views
version: 1.0.0
status: active
description:
  purpose: One record per page somebody looked at.
servers:
  - server: files
    type: local
    path: data
    format: ndjson
  - server: gateway
    type: http
customProperties:
  - {property: weir.eventTime, value: viewed_at}
  - {property: weir.lateness, value: PT1H}
  - {property: weir.identity, value: [view_id]}
schema:
  - name: page_views
    logicalType: object
    properties:
      - {name: view_id, logicalType: string, required: true}
      - {name: viewed_at, logicalType: timestamp, required: true}
      - {name: page, logicalType: string, required: true}
      - {name: visitor_id, logicalType: string}
)";

constexpr const char* kModel =
    R"(-- Views and visitors of each page, kept up to date while views arrive.
CREATE MATERIALIZED VIEW gold.pages
AS SELECT page,
          count(*)                       AS views,
          min(viewed_at)                 AS first_viewed_at,
          arg_max(visitor_id, viewed_at) AS latest_visitor_id
     FROM bronze.page_views
    GROUP BY page;
)";

constexpr const char* kTest =
    R"(unit_tests:
  - name: a page counts its views and knows its first one
    model: gold.pages
    given:
      - input: bronze.page_views
        rows:
          - {page: /, viewed_at: 2026-01-01T10:05:00Z, visitor_id: bob}
          - {page: /, viewed_at: 2026-01-01T10:00:00Z, visitor_id: ann}
    expect:
      rows:
        - {page: /, views: 2, first_viewed_at: 2026-01-01T10:00:00Z, latest_visitor_id: bob}
)";

constexpr const char* kData =
    R"({"view_id": "v1", "viewed_at": "2026-01-01T10:00:00Z", "page": "/", "visitor_id": "ann"}
{"view_id": "v2", "viewed_at": "2026-01-01T10:00:05Z", "page": "/prices", "visitor_id": "ann"}
{"view_id": "v3", "viewed_at": "2026-01-01T10:01:00Z", "page": "/", "visitor_id": "bob"}
{"view_id": "v3", "viewed_at": "2026-01-01T10:01:00Z", "page": "/", "visitor_id": "bob"}
{"view_id": "v4", "page": "/prices"}
)";

}  // namespace

int Init(io::Io& io, const std::string& dir) {
  if (io.Exists(io::Join(dir, "weir.yml")))
    return Fail(fmt::format("{} is a Weir project already", dir), kFailed);
  const std::string name(io::BaseName(AbsolutePath(dir)));
  const std::pair<const char*, std::string> files[] = {
      {"weir.yml", fmt::format(fmt::runtime(kProject), name)},
      {"contracts/page_views.odcs.yaml", kContract},
      {"models/gold/pages.sql", kModel},
      {"tests/pages.yml", kTest},
      {"data/views.ndjson", kData}};
  for (const auto& [file, text] : files) {
    const std::string path = io::Join(dir, file);
    Status made = io.CreateDirs(std::string(io::DirName(path)));
    if (made.ok()) made = io.WriteNew(path, text);
    if (!made.ok()) return Fail(made.error());
  }
  fmt::print(
      "made {0}: a contract, a model, its test and five records to try it on\n\n"
      "next:\n  weir check --project {0}\n  weir test --project {0}\n  weir run --once "
      "--project {0}\n  weir query --project {0} \"SELECT * FROM gold.pages\"\n",
      dir);
  return kFine;
}

}  // namespace weir::main
