#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "data/type.h"
#include "iceberg/refs.h"
#include "query/as_of.h"
#include "sql/token.h"

namespace weir::query {
namespace {

using sql::Token;
using sql::TokenKind;

constexpr std::array<std::string_view, 33> kNoAlias = {
    "where",  "group",     "having",  "order",      "limit",       "offset", "union",
    "except", "intersect", "join",    "inner",      "left",        "right",  "full",
    "cross",  "natural",   "asof",    "positional", "semi",        "anti",   "on",
    "using",  "window",    "qualify", "sample",     "tablesample", "fetch",  "lateral",
    "at",     "select",    "from",    "values",     "for"};

// How a tag is written where DuckDB's clause has a version.
constexpr std::string_view kTagPrefix = "tag:";

bool IsWord(const Token& token, std::string_view sql, std::string_view word) {
  return token.kind == TokenKind::kWord && data::SameName(token.In(sql), word);
}

bool IsAlias(const Token& token, std::string_view sql) {
  if (token.kind == TokenKind::kQuoted) return true;
  return token.kind == TokenKind::kWord &&
         std::none_of(kNoAlias.begin(), kNoAlias.end(),
                      [&](std::string_view word) { return IsWord(token, sql, word); });
}

bool IsValue(const Token& token) {
  return token.kind == TokenKind::kString || token.kind == TokenKind::kNumber;
}

// The clause that begins at `as`: how many tokens it takes and what it is in DuckDB's
// spelling; 0 if it is none.
size_t ReadClause(const std::vector<Token>& tokens, size_t as, std::string_view sql,
                  std::string* out) {
  if (as + 2 >= tokens.size() || !IsWord(tokens[as], sql, "as") ||
      !IsWord(tokens[as + 1], sql, "of"))
    return 0;
  const Token& next = tokens[as + 2];
  if (IsValue(next)) {
    const bool version = next.kind == TokenKind::kNumber;
    *out = fmt::format("AT ({} => {})", version ? "VERSION" : "TIMESTAMP", next.In(sql));
    return 3;
  }
  if (IsWord(next, sql, "tag") && as + 3 < tokens.size() &&
      tokens[as + 3].kind == TokenKind::kString &&
      tokens[as + 3].In(sql).starts_with('\'')) {
    *out =
        fmt::format("AT (VERSION => '{}{})", kTagPrefix, tokens[as + 3].In(sql).substr(1));
    return 4;
  }
  const bool version = IsWord(next, sql, "version"),
             time = IsWord(next, sql, "timestamp");
  if ((!version && !time) || as + 3 >= tokens.size() || !IsValue(tokens[as + 3]))
    return 0;
  *out = fmt::format("AT ({} => {})", version ? "VERSION" : "TIMESTAMP",
                     tokens[as + 3].In(sql));
  return 4;
}

std::string SnapshotList(const iceberg::Metadata& metadata) {
  if (metadata.snapshots.empty()) return "it has no snapshot yet";
  const auto by_sequence = [](const auto& a, const auto& b) {
    return a.sequence_number < b.sequence_number;
  };
  const auto [first, last] = std::minmax_element(metadata.snapshots.begin(),
                                                 metadata.snapshots.end(), by_sequence);
  return fmt::format("kept are versions {} ({}) to {} ({})", first->sequence_number,
                     FormatTimestamp(first->timestamp), last->sequence_number,
                     FormatTimestamp(last->timestamp));
}

}  // namespace

Result<AsOf> ParseAsOfTime(std::string_view text) {
  AsOf out;
  out.text = text;
  bool has_zone = false;
  for (const std::string& candidate : {std::string(text), std::string(text) + ":00"}) {
    if (!out.time) out.time = ParseTimestamp(candidate, &has_zone);
  }
  if (!out.time) {
    if (const auto days = ParseDate(text)) out.time = *days * int64_t{86'400'000'000};
  }
  if (!out.time)
    return Invalid(
        fmt::format("AS OF '{}' is no point in time: write '2018-01-11 18:24:44' or "
                    "'2018-01-11T18:24:44Z'",
                    text));
  return out;
}

Result<AsOf> ParseAsOf(std::string_view text) {
  int64_t version = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), version);
  if (error == std::errc() && end == text.data() + text.size())
    return AsOf{std::nullopt, version, std::nullopt, std::string(text)};
  if (text.starts_with(kTagPrefix))
    return AsOf{std::nullopt, std::nullopt, std::string(text.substr(kTagPrefix.size())),
                std::string(text)};
  return ParseAsOfTime(text);
}

Result<const iceberg::Snapshot*> Resolve(const std::string& table,
                                         const iceberg::Metadata& metadata,
                                         const std::optional<AsOf>& as_of) {
  if (!as_of) return metadata.current();
  if (as_of->tag) {
    const iceberg::Ref tag = WEIR_TRY(iceberg::FindTag(table, metadata, *as_of->tag));
    if (const iceberg::Snapshot* snapshot = metadata.Find(tag.snapshot)) return snapshot;
    return NotFound(fmt::format("the version that tag '{}' of {} names is gone: {}",
                                tag.name, table, SnapshotList(metadata)));
  }
  if (as_of->time) {
    const iceberg::Snapshot* snapshot = metadata.AsOf(*as_of->time);
    if (snapshot != nullptr) return snapshot;
    return NotFound(fmt::format("{} had no snapshot at {}: {}", table, as_of->text,
                                SnapshotList(metadata)));
  }
  if (const iceberg::Snapshot* snapshot = metadata.Find(SnapshotId{*as_of->version}))
    return snapshot;
  for (const iceberg::Snapshot& snapshot : metadata.snapshots) {
    if (snapshot.sequence_number == *as_of->version) return &snapshot;
  }
  return NotFound(fmt::format("{} has no version {}: {}", table, *as_of->version,
                              SnapshotList(metadata)));
}

std::string RewriteAsOf(std::string_view sql) {
  const std::vector<Token> tokens = sql::Tokenize(sql);
  std::string out;
  size_t copied = 0;
  for (size_t i = 1; i < tokens.size(); ++i) {
    std::string clause;
    const size_t length = ReadClause(tokens, i, sql, &clause);
    if (length == 0 || (tokens[i - 1].kind != TokenKind::kWord &&
                        tokens[i - 1].kind != TokenKind::kQuoted))
      continue;
    out += sql.substr(copied, tokens[i].begin - copied);
    size_t next = i + length;
    copied = tokens[next - 1].end;
    // DuckDB wants the alias before the clause.
    const bool with_as = next + 1 < tokens.size() && IsWord(tokens[next], sql, "as") &&
                         IsAlias(tokens[next + 1], sql);
    if (with_as) ++next;
    if (with_as || IsAlias(tokens[next], sql)) {
      out += std::string(tokens[next].In(sql)) + " ";
      copied = tokens[next].end;
      ++next;
    }
    out += clause;
    i = next - 1;
  }
  out += sql.substr(copied);
  return out;
}

}  // namespace weir::query
