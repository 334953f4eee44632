#include "query/query.h"

#include <arrow/api.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "iceberg/catalog.h"
#include "query/lease_internal.h"
#include "query/tables_internal.h"
#include "sql/decay.h"
#include "sql/token.h"

namespace weir::query {
namespace {

// A table at one version, as DuckDB sees it.
struct Relation {
  std::string table;     // "silver.trips"
  std::string declared;  // its name in the SQL that runs
  std::optional<AsOf> as_of;
  iceberg::Metadata metadata;
  data::Schema schema;
  std::vector<iceberg::LiveFile> files;
  std::vector<scan::Predicate> predicates;
  int mentions = 0;

  std::mutex mutex;
  TableRead read;  // under `mutex`: scans may end on any of DuckDB's threads
};

class ScanSource final : public duck::BatchSource {
 public:
  ScanSource(std::unique_ptr<scan::TableScan> scan, Relation& relation)
      : scan_(std::move(scan)), relation_(relation) {}
  ~ScanSource() override {
    const scan::ScanStatistics& mine = scan_->statistics();
    const std::lock_guard lock(relation_.mutex);
    scan::ScanStatistics& all = relation_.read.scan;
    all.files += mine.files;
    all.files_pruned += mine.files_pruned;
    all.row_groups += mine.row_groups;
    all.row_groups_pruned += mine.row_groups_pruned;
    all.rows += mine.rows;
    all.rows_deleted += mine.rows_deleted;
  }
  Result<std::shared_ptr<arrow::RecordBatch>> Next() override { return scan_->Next(); }

 private:
  std::unique_ptr<scan::TableScan> scan_;
  Relation& relation_;
};

class Runner {
 public:
  Runner(io::Io& io, const QueryOptions& options, duck::Session& session,
         const std::vector<iceberg::TableRef>& tables)
      : io_(io), options_(options), session_(session), tables_(tables) {}

  // Declares what the statement reads; the SQL to run.
  Result<std::string> Prepare(const std::string& sql) {
    if (sql::Tokenize(sql)[0].kind == sql::TokenKind::kEnd)
      return Invalid("the query is empty: write a SELECT");
    if (!options_.as_of.empty()) default_as_of_ = WEIR_TRY(ParseAsOf(options_.as_of));
    Json tree;
    if (const Result<std::string> parsed = session_.ParseToJson(sql); parsed.ok()) {
      tree = Json::parse(*parsed, nullptr, false);
      if (tree.is_discarded()) return Internal("DuckDB's parse tree is no JSON");
      if (const auto statements = tree.find("statements");
          statements != tree.end() && statements->size() > 1) {
        return Invalid("a query is one statement; this text has several");
      }
    } else if (!ReadsUnseen(sql)) {
      return Unreadable(sql, parsed.error());
    }
    if (tree.is_null() || HasHiddenTables(tree)) {
      for (const iceberg::TableRef& table : tables_)
        WEIR_TRY(Mention(table, default_as_of_, table.name));
      WEIR_TRY(DeclareAll());
      return sql;
    }
    std::vector<TableMention> mentions = WEIR_TRY(FindTables(tree));
    bool rewritten = false;
    std::vector<Relation*> of_mention;
    for (TableMention& mention : mentions) {
      const iceberg::TableRef& table = *WEIR_TRY(Lookup(mention));
      const bool rename = mention.as_of || !mention.catalog.empty();
      Relation& relation = *WEIR_TRY(Mention(
          table, mention.as_of ? mention.as_of : default_as_of_,
          rename ? fmt::format("{}@{}", table.name, relations_.size()) : table.name));
      ++relation.mentions;
      of_mention.push_back(&relation);
      rewritten |= rename;
    }
    CollectPredicates(tree, mentions, of_mention);
    WEIR_TRY(DeclareAll());
    if (!rewritten) return sql;
    for (size_t i = 0; i < mentions.size(); ++i)
      Rename(*mentions[i].node, of_mention[i]->declared);
    return session_.JsonToSql(tree.dump());
  }

  std::vector<TableRead> Reads() {
    std::vector<TableRead> out;
    for (const auto& relation : relations_) {
      const std::lock_guard lock(relation->mutex);
      out.push_back(relation->read);
    }
    return out;
  }

 private:
  // Statements that only read but have no serialisable tree.
  static bool ReadsUnseen(std::string_view sql) {
    const std::vector<sql::Token> tokens = sql::Tokenize(sql);
    constexpr std::array<std::string_view, 5> kVerbs = {"pivot", "unpivot", "describe",
                                                        "summarize", "show"};
    return std::any_of(kVerbs.begin(), kVerbs.end(), [&](std::string_view verb) {
      return data::SameName(tokens[0].In(sql), verb);
    });
  }

  static Error Unreadable(std::string_view sql, const Error& parsed) {
    const std::vector<sql::Token> tokens = sql::Tokenize(sql);
    if (parsed.message.find("Only SELECT") == std::string::npos) return parsed;
    std::string verb(tokens[0].In(sql));
    for (char& c : verb) c = static_cast<char>(std::toupper(static_cast<uint8_t>(c)));
    return Invalid(fmt::format(
        "a query only reads, and {} does more: write a SELECT (tables change by what "
        "their sources bring and their models say)",
        verb));
  }

  Result<const iceberg::TableRef*> Lookup(const TableMention& mention) const {
    for (const iceberg::TableRef& table : tables_) {
      const bool catalog_fits = mention.catalog.empty() ||
                                data::SameName(mention.catalog, options_.catalog_name);
      if (catalog_fits && data::SameName(table.name, mention.name())) return &table;
    }
    if (tables_.empty())
      return NotFound(
          fmt::format("there is no table {}: the lake is empty", mention.name()));
    std::vector<std::string> names, same_last;
    for (const iceberg::TableRef& table : tables_) {
      names.push_back(table.name);
      if (data::SameName(table.name.substr(table.name.rfind('.') + 1), mention.table))
        same_last.push_back(table.name);
    }
    if (same_last.size() == 1)
      return NotFound(fmt::format("there is no table {}; did you mean {}?",
                                  mention.name(), same_last[0]));
    if (const std::string near = sql::Closest(mention.name(), names); !near.empty()) {
      return NotFound(
          fmt::format("there is no table {}; did you mean {}?", mention.name(), near));
    }
    return NotFound(fmt::format("there is no table {}; there are {}", mention.name(),
                                fmt::join(names, ", ")));
  }

  // The relation of a table at a version, loaded at its first mention.
  Result<Relation*> Mention(const iceberg::TableRef& table,
                            const std::optional<AsOf>& as_of,
                            const std::string& declared) {
    for (const auto& relation : relations_) {
      const bool plain = declared == table.name;
      if (relation->table == table.name && relation->as_of == as_of &&
          (relation->declared == table.name) == plain)
        return relation.get();
    }
    auto relation = std::make_unique<Relation>();
    relation->table = table.name;
    relation->declared = declared;
    relation->as_of = as_of;
    relation->metadata = WEIR_TRY(iceberg::ReadMetadata(io_, table.metadata_location));
    const iceberg::Snapshot* snapshot =
        WEIR_TRY(Resolve(table.name, relation->metadata, as_of));
    relation->schema = snapshot == nullptr || !as_of
                           ? relation->metadata.schema()
                           : scan::SchemaOf(relation->metadata, *snapshot);
    if (snapshot != nullptr)
      relation->files = WEIR_TRY(iceberg::LiveFiles(io_, relation->metadata, *snapshot));
    relation->read = {table.name, snapshot == nullptr ? 0 : snapshot->id.value, {}};
    relations_.push_back(std::move(relation));
    return relations_.back().get();
  }

  void CollectPredicates(const Json& tree, const std::vector<TableMention>& mentions,
                         const std::vector<Relation*>& of_mention) {
    const std::function<const data::Schema*(const Json*)> schema_of =
        [&](const Json* node) -> const data::Schema* {
      for (size_t i = 0; i < mentions.size(); ++i) {
        if (mentions[i].node == node) return &of_mention[i]->schema;
      }
      return nullptr;
    };
    for (size_t i = 0; i < mentions.size(); ++i) {
      // One relation serves all mentions of a table, so it may leave out only what none
      // of them wants.
      if (of_mention[i]->mentions == 1)
        of_mention[i]->predicates = PredicatesOf(tree, mentions[i].node, schema_of);
    }
  }

  Status DeclareAll() {
    for (const auto& owned : relations_) {
      Relation& relation = *owned;
      WEIR_TRY(session_.DeclareSource(relation.declared, relation.schema,
                                      [this, &relation](const std::vector<int>& columns) {
                                        return Open(relation, columns);
                                      }));
    }
    return {};
  }

  Result<std::unique_ptr<duck::BatchSource>> Open(Relation& relation,
                                                  const std::vector<int>& columns) {
    scan::ScanOptions scan_options;
    scan_options.predicates = relation.predicates;
    scan_options.field_ids.emplace();
    for (const int column : columns)
      scan_options.field_ids->push_back(
          relation.schema.fields[static_cast<size_t>(column)].id);
    return std::unique_ptr<duck::BatchSource>(std::make_unique<ScanSource>(
        scan::ScanFiles(io_, relation.metadata, relation.files, relation.schema,
                        std::move(scan_options)),
        relation));
  }

  static void Rename(Json& node, const std::string& declared) {
    const size_t dot = declared.rfind('.');
    if (node.at("alias").get<std::string>().empty())
      node["alias"] = node.at("table_name");
    node["catalog_name"] = "";
    node["schema_name"] = declared.substr(0, dot);
    node["table_name"] = declared.substr(dot + 1);
    node["at_clause"] = nullptr;
  }

  io::Io& io_;
  const QueryOptions& options_;
  duck::Session& session_;
  const std::vector<iceberg::TableRef>& tables_;
  std::optional<AsOf> default_as_of_;
  std::vector<std::unique_ptr<Relation>> relations_;
};

// The query with columns as text that have a type no table holds (an INTERVAL, an ENUM);
// nullopt: it has none, or it is no query of columns.
std::optional<std::string> AsText(duck::Session& session, std::string_view sql) {
  const std::vector<sql::Token> tokens = sql::Tokenize(sql);
  size_t last = tokens.size() - 1;  // the end
  while (last > 0 && tokens[last - 1].In(sql) == ";") --last;
  if (last == 0) return std::nullopt;
  const std::string query(sql.substr(0, tokens[last - 1].end));
  const auto columns = session.Query("DESCRIBE " + query, nullptr);
  if (!columns.ok()) return std::nullopt;
  std::vector<std::string> names, places;
  for (const auto& batch : *columns) {
    const auto& name = static_cast<const arrow::StringArray&>(*batch->column(0));
    for (int64_t row = 0; row < batch->num_rows(); ++row) {
      places.push_back(fmt::format("c{}", places.size()));
      names.push_back(name.GetString(row));
    }
  }
  const std::string from =
      fmt::format(" FROM ({}\n) AS q({})", query, fmt::join(places, ", "));
  std::string list;
  bool any = false;
  for (size_t i = 0; i < places.size(); ++i) {
    const bool held = session.Describe("SELECT " + places[i] + from).ok();
    any |= !held;
    list += fmt::format("{}{} AS {}", i == 0 ? "" : ", ",
                        held ? places[i] : fmt::format("CAST({} AS VARCHAR)", places[i]),
                        duck::QuoteName(names[i]));
  }
  if (!any) return std::nullopt;
  return "SELECT " + list + from;
}

}  // namespace

Result<QueryReport> RunQuery(
    io::Io& io, Clock& clock, std::string_view sql, const QueryOptions& options,
    const CancelToken& cancel, const std::function<Status(const data::Schema&)>& begin,
    const std::function<Result<bool>(std::shared_ptr<arrow::RecordBatch>)>& visit) {
  QueryReport report;
  std::string note;
  const std::unique_ptr<PinnedCatalog> pinned = WEIR_TRY(PinnedCatalog::Open(
      io, clock, options.catalog_path, options.catalog_name, options.lease, &note));
  if (!note.empty()) report.notes.push_back(note);
  const std::unique_ptr<duck::Session> session =
      WEIR_TRY(duck::Session::Open(options.duck));
  for (const std::string_view macro : sql::kDecayMacros)
    WEIR_TRY(session->Execute(macro));
  Runner runner(io, options, *session, pinned->tables());
  const std::string prepared = WEIR_TRY(runner.Prepare(RewriteAsOf(sql)));
  bool begun = false;
  const auto run = [&](const std::string& text) {
    return session->QueryStreaming(
        text, cancel,
        [&](const data::Schema& schema) {
          begun = true;
          return begin(schema);
        },
        [&](std::shared_ptr<arrow::RecordBatch> rows) -> Result<bool> {
          report.rows += rows->num_rows();
          WEIR_TRY(pinned->Renew());
          return visit(std::move(rows));
        });
  };
  Status done = run(prepared);
  if (!done.ok() && !begun && done.error().code == Code::kInvalid) {
    if (const auto text = AsText(*session, prepared)) done = run(*text);
  }
  WEIR_TRY(std::move(done));
  report.tables = runner.Reads();
  return report;
}

}  // namespace weir::query
