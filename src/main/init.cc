// weir init: a project that runs, to begin from.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "main/command.h"
#include "main/examples.h"

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

using File = std::pair<std::string, std::string>;  // path in the project, text

Status WriteFiles(io::Io& io, const std::string& dir, const std::vector<File>& files) {
  for (const auto& [file, text] : files) {
    const std::string path = io::Join(dir, file);
    WEIR_TRY(io.CreateDirs(std::string(io::DirName(path))));
    WEIR_TRY(io.WriteNew(path, text));
  }
  return {};
}

// The files of an example, under the name of the new project.
std::vector<File> FilesOf(const std::string& example, const std::string& name) {
  std::vector<File> files;
  for (const ExampleFile& file : ExampleFiles()) {
    if (file.example != example) continue;
    std::string text(file.text);
    const std::string named = "name: " + example + "\n";
    if (const size_t at = text.find(named);
        file.path == "weir.yml" && at != std::string::npos)
      text.replace(at, named.size(), "name: " + name + "\n");
    files.emplace_back(file.path, std::move(text));
  }
  return files;
}

}  // namespace

std::vector<std::string> Templates() {
  std::vector<std::string> names;
  for (const ExampleFile& file : ExampleFiles()) {
    if (names.empty() || names.back() != file.example) names.emplace_back(file.example);
  }
  return names;
}

int Init(io::Io& io, const std::string& dir, const std::string& example) {
  if (io.Exists(io::Join(dir, "weir.yml")))
    return Fail(fmt::format("{} is a Weir project already", dir), kFailed);
  const std::string name(io::BaseName(AbsolutePath(dir)));
  const std::vector<std::string> templates = Templates();
  if (!example.empty() &&
      std::find(templates.begin(), templates.end(), example) == templates.end()) {
    const auto near = project::DidYouMean(example, templates);
    return Fail(
        fmt::format("no template '{}'; {}", example,
                    near ? fmt::format("did you mean {}?", *near)
                         : fmt::format("there are {}", fmt::join(templates, ", "))),
        kWrongCall);
  }
  const Status made =
      example.empty()
          ? WriteFiles(io, dir,
                       {{"weir.yml", fmt::format(fmt::runtime(kProject), name)},
                        {"contracts/page_views.odcs.yaml", kContract},
                        {"models/gold/pages.sql", kModel},
                        {"tests/pages.yml", kTest},
                        {"data/views.ndjson", kData}})
          : WriteFiles(io, dir, FilesOf(example, name));
  if (!made.ok()) return Fail(made.error());
  if (example.empty()) {
    fmt::print(
        "made {0}: a contract, a model, its test and five records to try it on\n\n"
        "next:\n  weir check --project {0}\n  weir test --project {0}\n  weir run --once "
        "--project {0}\n  weir query --project {0} \"SELECT * FROM gold.pages\"\n",
        dir);
    return kFine;
  }
  // Generators write <out>/data/<source>/…, where the contracts look; that of rides
  // writes its events into <out> itself.
  fmt::print(
      "made {0}: the example {1}, told in {0}/README.md\n\nnext:\n  weir test --project "
      "{0}\n  weir generate {1} --out {2}\n  weir run --once --project {0}\n  weir ls "
      "--project {0}\n",
      dir, example, example == "rides" ? io::Join(dir, "data") : dir);
  return kFine;
}

}  // namespace weir::main
