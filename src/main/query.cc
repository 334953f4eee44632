// weir query: SQL over the lake.
#include "query/query.h"

#include <fmt/format.h>

#include <cstdio>

#include "commit/committer.h"
#include "commit/relocate.h"
#include "main/command.h"
#include "query/print.h"

namespace weir::main {

int RunQuery(io::Io& io, const Options& options, const std::string& sql,
             const std::string& as_of) {
  const std::string data_dir = DataDir(options);
  query::QueryOptions query;
  query.catalog_path = commit::CatalogPath(data_dir);
  query.as_of = as_of;
  query.duck.threads = 2;
  query.duck.memory_bytes_max = int64_t{1} << 30;
  query.duck.temp_dir = io::Join(data_dir, "tmp");
  if (!io.Exists(query.catalog_path))
    return Fail(fmt::format("no lake at {}: `weir run` makes one, or point --data at it",
                            data_dir),
                kFailed);
  const auto catalog = iceberg::Catalog::Open(io, query.catalog_path,
                                              commit::kCatalogName, /*read_only=*/true);
  if (!catalog.ok()) return Fail(catalog.error());
  if (Status place = commit::CheckPlace(**catalog, data_dir); !place.ok())
    return Fail(place.error());
  const query::Format format = options.format == Format::kJson  ? query::Format::kJson
                               : options.format == Format::kCsv ? query::Format::kCsv
                                                                : query::Format::kText;
  const auto printer = query::NewPrinter(format, [](std::string_view text) -> Status {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
      return Unavailable("cannot write to standard output");
    return {};
  });
  SystemClock clock;
  const auto report = query::RunQuery(
      io, clock, sql, query, CancelToken(),
      [&](const data::Schema& schema) { return printer->Begin(schema); },
      [&](std::shared_ptr<arrow::RecordBatch> rows) -> Result<bool> {
        WEIR_TRY(printer->Rows(*rows));
        return true;
      });
  if (!report.ok()) return Fail(report.error());
  if (Status ended = printer->End(); !ended.ok()) return Fail(ended.error());
  for (const std::string& note : report->notes) fmt::print(stderr, "weir: {}\n", note);
  return kFine;
}

}  // namespace weir::main
