#include "sql/cdc.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/type.h"
#include "sql/token.h"

namespace weir::sql {
namespace {

using data::SameName;

std::string Quoted(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    out += c;
    if (c == '"') out += c;
  }
  return out + "\"";
}

const SourceColumn* Find(const std::vector<SourceColumn>& columns,
                         std::string_view name) {
  for (const SourceColumn& column : columns) {
    if (SameName(column.name, name)) return &column;
  }
  return nullptr;
}

class Writer {
 public:
  Writer(const std::vector<std::vector<SourceColumn>>& sources, Model* model,
         std::vector<FileProblem>* problems)
      : sources_(sources),
        model_(*model),
        rule_(*model->flows[0].cdc),
        problems_(*problems) {}

  bool Write() {
    if (!FindColumns()) return false;
    for (const Flow& flow : model_.flows) {
      deletes_ |= !flow.cdc->delete_when.text.empty();
      truncates_ |= !flow.cdc->truncate_when.text.empty();
    }
    model_.body.clear();  // a plan's model is planned again by unit tests
    model_.origins.clear();
    Say("WITH _weir_log AS (");
    for (size_t i = 0; i < model_.flows.size(); ++i) {
      if (i > 0) Say(" UNION ALL BY NAME ");
      Log(model_.flows[i], flow_columns_[i]);
    }
    Say(")");
    log_ = "_weir_log";
    if (truncates_) Truncate();
    if (rule_.scd_type == 1) {
      TypeOne();
    } else {
      TypeTwo();
    }
    return true;
  }

 private:
  bool removes() const { return deletes_ || truncates_; }

  // ---- columns

  bool Fault(const Flow& flow, size_t offset, std::string message, std::string fix) {
    const std::string& text = flow.source->text;
    problems_.push_back({flow.source->file,
                         {PlaceOf(text, offset), std::move(message), std::move(fix),
                          LineOf(text, offset)}});
    return false;
  }

  bool IsKey(std::string_view name) const {
    return std::any_of(rule_.keys.begin(), rule_.keys.end(),
                       [&](const Written& key) { return SameName(key.text, name); });
  }

  bool AreColumns(const Flow& flow, const std::vector<Written>& names,
                  const std::vector<SourceColumn>& columns, std::string_view clause,
                  std::string_view of) {
    bool ok = true;
    for (const Written& name : names) {
      if (Find(columns, name.text) != nullptr) continue;
      std::vector<std::string> known;
      for (const SourceColumn& column : columns) known.push_back(column.name);
      const std::string closest = Closest(name.text, known);
      ok = Fault(
          flow, name.begin,
          fmt::format("{} names {}, which is not a column of {}", clause, name.text, of),
          closest.empty() ? "" : fmt::format("did you mean {}?", closest));
    }
    return ok;
  }

  bool FindColumns() {
    bool ok = true;
    for (size_t i = 0; i < model_.flows.size(); ++i) {
      const Flow& flow = model_.flows[i];
      const CdcRule& cdc = *flow.cdc;
      const std::vector<SourceColumn>& source = sources_[i];
      ok &= AreColumns(flow, cdc.keys, source, "KEYS", cdc.source_name);
      ok &= AreColumns(flow, cdc.columns.names, source, "COLUMNS", cdc.source_name);
      std::vector<SourceColumn>& columns = flow_columns_.emplace_back();
      if (cdc.columns.all_but) {
        for (const SourceColumn& column : source) {
          if (!column.name.starts_with('_') && cdc.columns.Has(column.name))
            columns.push_back(column);
        }
      } else {
        for (const Written& name : cdc.columns.names) {
          if (const SourceColumn* column = Find(source, name.text))
            columns.push_back(*column);
        }
      }
      for (const Written& key : cdc.keys) {
        if (!ok || Find(columns, key.text) != nullptr) continue;
        ok = Fault(flow, key.begin,
                   fmt::format("COLUMNS leaves out {}, which is in KEYS", key.text),
                   "the key is part of every row: put it among the columns");
      }
      for (const SourceColumn& column : columns) {
        if (Find(columns_, column.name) == nullptr) columns_.push_back(column);
      }
    }
    if (!ok) return false;
    for (const Flow& flow : model_.flows) {
      ok &= AreColumns(flow, flow.cdc->tracked.names, columns_, "TRACK HISTORY ON",
                       flow.target);
    }
    return ok && KeyFits();
  }

  bool KeyFits() {
    std::vector<std::string> key;
    for (const Written& name : rule_.keys) key.push_back(Find(columns_, name.text)->name);
    if (rule_.scd_type == 2) key.push_back("__START_AT");
    if (model_.key.empty()) {
      model_.key = key;
      return true;
    }
    const bool same = std::is_permutation(
        key.begin(), key.end(), model_.key.begin(), model_.key.end(),
        [](const std::string& a, const std::string& b) { return SameName(a, b); });
    if (same) return true;
    // KEY (customer_id) of a history means its KEYS.
    key.pop_back();
    if (rule_.scd_type == 2 &&
        std::is_permutation(
            key.begin(), key.end(), model_.key.begin(), model_.key.end(),
            [](const std::string& a, const std::string& b) { return SameName(a, b); })) {
      model_.key.push_back("__START_AT");
      return true;
    }
    problems_.push_back(
        model_.ProblemAt(std::nullopt,
                         fmt::format("KEY ({}) is not what AUTO CDC tells rows apart by",
                                     fmt::join(model_.key, ", ")),
                         "leave KEY out: it is the KEYS of the flow"));
    return false;
  }

  // ---- text

  void Say(std::string_view text, const Flow* flow = nullptr) {
    if (flow == nullptr) flow = &model_.flows[0];
    model_.origins.push_back({model_.body.size(), flow->begin, true, flow->source});
    model_.body += text;
  }
  void Copy(const Written& written, const Flow& flow) {
    model_.origins.push_back({model_.body.size(), written.begin, false, flow.source});
    model_.body += written.text;
  }
  static std::string List(const std::vector<std::string>& parts) {
    return fmt::format("{}", fmt::join(parts, ", "));
  }
  std::vector<std::string> Keys() const {
    std::vector<std::string> out;
    for (const Written& key : rule_.keys)
      out.push_back(Quoted(Find(columns_, key.text)->name));
    return out;
  }
  std::string Columns() const {
    std::vector<std::string> out;
    for (const SourceColumn& column : columns_) out.push_back(Quoted(column.name));
    return List(out);
  }
  // What decides among changes of one sequence, behind the kinds of change.
  std::string Ties(std::string_view direction) const {
    std::string out;
    for (const SourceColumn& column : columns_) {
      if (!IsKey(column.name) && column.has_order)
        out += fmt::format(", {} {}", Quoted(column.name), direction);
    }
    return out;
  }
  // The rows of a key in the order of the log, the newest first.
  std::string NewestFirst(const std::vector<std::string>& partition) const {
    return fmt::format("PARTITION BY {} ORDER BY _weir_sequence DESC{}{}",
                       List(partition), removes() ? ", _weir_change DESC" : "",
                       Ties("DESC NULLS LAST"));
  }
  std::string OldestFirst(const std::vector<std::string>& partition) const {
    return fmt::format("PARTITION BY {} ORDER BY _weir_sequence{}{}", List(partition),
                       removes() ? ", _weir_change" : "", Ties("NULLS FIRST"));
  }

  // ---- the log

  // What the rows of a source say: their columns, their place, and what is to be done: 0
  // truncate, 1 insert or update, 2 delete.
  void Log(const Flow& flow, const std::vector<SourceColumn>& columns) {
    const CdcRule& cdc = *flow.cdc;
    std::string list = "SELECT ";
    for (const SourceColumn& column : columns) list += Quoted(column.name) + ", ";
    Say(list + "(", &flow);
    Copy(cdc.sequence, flow);
    Say(") AS _weir_sequence", &flow);
    if (removes()) {
      const bool cases = !cdc.delete_when.text.empty() || !cdc.truncate_when.text.empty();
      Say(cases ? ", CASE" : ", 1 AS _weir_change", &flow);
      if (!cdc.truncate_when.text.empty()) When(cdc.truncate_when, 0, flow);
      if (!cdc.delete_when.text.empty()) When(cdc.delete_when, 2, flow);
      if (cases) Say(" ELSE 1 END AS _weir_change", &flow);
    }
    Say(" FROM ", &flow);
    Copy(cdc.source, flow);
    Say(" WHERE (", &flow);
    Copy(cdc.sequence, flow);
    Say(") IS NOT NULL", &flow);
  }

  void When(const Written& condition, int change, const Flow& flow) {
    Say(" WHEN (", &flow);
    Copy(condition, flow);
    Say(fmt::format(") THEN {}", change), &flow);
  }

  // A truncation is a change of every key there is.
  void Truncate() {
    Say(fmt::format(
        ", _weir_changes AS (SELECT * FROM _weir_log WHERE _weir_change <> 0 UNION ALL "
        "BY NAME SELECT k.*, t._weir_sequence, 0 AS _weir_change FROM (SELECT DISTINCT "
        "{} FROM _weir_log WHERE _weir_change <> 0) AS k CROSS JOIN (SELECT DISTINCT "
        "_weir_sequence FROM _weir_log WHERE _weir_change = 0) AS t)",
        List(Keys())));
    log_ = "_weir_changes";
  }

  // The log with values in the place of NULLs, as `_weir_filled`; `_weir_last` of equal
  // sequence is what has all their values.
  void FillNulls() {
    std::vector<std::string> partition = Keys();
    std::string from = log_;
    if (removes()) {
      // A span goes on until the next delete or truncation.
      Say(fmt::format(
          ", _weir_spans AS (SELECT *, last_value(CASE WHEN _weir_change <> 1 THEN "
          "_weir_sequence END IGNORE NULLS) OVER w AS _weir_span, last_value(CASE WHEN "
          "_weir_change <> 1 THEN _weir_change END IGNORE NULLS) OVER w AS "
          "_weir_span_by FROM {} WINDOW w AS ({} ROWS BETWEEN UNBOUNDED PRECEDING AND "
          "CURRENT ROW))",
          log_, OldestFirst(partition)));
      from = "_weir_spans";
      partition.insert(partition.end(), {"_weir_span", "_weir_span_by"});
    }
    std::string list;
    for (const SourceColumn& column : columns_) {
      const std::string name = Quoted(column.name);
      if (IsKey(column.name)) {
        list += name + ", ";
        continue;
      }
      list += fmt::format(
          "last_value({} IGNORE NULLS) OVER w AS {}, ",
          removes() ? fmt::format("CASE WHEN _weir_change = 1 THEN {} END", name) : name,
          name);
    }
    const std::string order = OldestFirst(partition);
    Say(fmt::format(
        ", _weir_filled AS (SELECT {0}_weir_sequence{1}, lead(_weir_sequence) OVER ({2}) "
        "IS DISTINCT FROM _weir_sequence AS _weir_last FROM {3} WINDOW w AS ({2} ROWS "
        "BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))",
        list, removes() ? ", _weir_change" : "", order, from));
    log_ = "_weir_filled";
  }

  // ---- the table

  void TypeOne() {
    if (rule_.ignore_nulls && !removes()) return KnownValues();
    if (rule_.ignore_nulls) FillNulls();
    const std::string newest =
        rule_.ignore_nulls
            ? fmt::format(
                  "SELECT * FROM {} WHERE _weir_last QUALIFY row_number() OVER "
                  "(PARTITION BY {} ORDER BY _weir_sequence DESC, _weir_change "
                  "DESC) = 1",
                  log_, List(Keys()))
            : fmt::format("SELECT * FROM {} QUALIFY row_number() OVER ({}) = 1", log_,
                          NewestFirst(Keys()));
    Say(fmt::format(" SELECT {} FROM ({}) AS t{}", Columns(), newest,
                    removes() ? " WHERE _weir_change = 1" : ""));
  }

  // Without deletes the last value of each column is all there is to know.
  void KnownValues() {
    std::string list;
    for (const SourceColumn& column : columns_) {
      const std::string name = Quoted(column.name);
      list += (list.empty() ? "" : ", ") +
              (IsKey(column.name)
                   ? name
                   : fmt::format("last({0} ORDER BY _weir_sequence{1}) FILTER (WHERE "
                                 "{0} IS NOT NULL) AS {0}",
                                 name, Ties("NULLS FIRST")));
    }
    Say(fmt::format(" SELECT {} FROM {} GROUP BY {}", list, log_, List(Keys())));
  }

  // Whether no two changes of a key can be one version.
  bool EachChangeIsAVersion() const {
    for (const Flow& flow : model_.flows) {
      const std::string& text = flow.cdc->sequence.text;
      const std::vector<Token> tokens = Tokenize(text);
      if (tokens.size() != 2) return false;  // one, and the end
      const std::string name = TokenValue(tokens[0], text);
      if (Find(columns_, name) == nullptr || !rule_.tracked.Has(name) || IsKey(name) ||
          !SameName(name,
                    TokenValue(Tokenize(rule_.sequence.text)[0], rule_.sequence.text)))
        return false;
    }
    return true;
  }

  void TypeTwo() {
    if (rule_.ignore_nulls) FillNulls();
    std::vector<std::string> place = Keys();
    place.push_back("_weir_sequence");
    const std::string which =
        !rule_.ignore_nulls ? NewestFirst(place)
        : removes()
            ? fmt::format("PARTITION BY {} ORDER BY _weir_change DESC", List(place))
            : "";
    Say(fmt::format(
        ", _weir_steps AS (SELECT * FROM {}{}{})", log_,
        rule_.ignore_nulls ? " WHERE _weir_last" : "",
        which.empty() ? "" : fmt::format(" QUALIFY row_number() OVER ({}) = 1", which)));
    const std::string over =
        fmt::format("PARTITION BY {} ORDER BY _weir_sequence", List(Keys()));
    if (EachChangeIsAVersion()) {
      Say(fmt::format(
          " SELECT {}, _weir_sequence AS \"__START_AT\", \"__END_AT\" FROM (SELECT *, "
          "lead(_weir_sequence) OVER ({}) AS \"__END_AT\" FROM _weir_steps) AS t{}",
          Columns(), over, removes() ? " WHERE _weir_change = 1" : ""));
      return;
    }
    std::string begins = removes()
                             ? fmt::format(
                                   "_weir_change <> 1 OR lag(_weir_change) OVER ({}) IS "
                                   "DISTINCT FROM 1",
                                   over)
                             : fmt::format("lag(_weir_sequence) OVER ({}) IS NULL", over);
    for (const SourceColumn& column : columns_) {
      if (IsKey(column.name) || !rule_.tracked.Has(column.name)) continue;
      begins += fmt::format(" OR {0} IS DISTINCT FROM lag({0}) OVER ({1})",
                            Quoted(column.name), over);
    }
    Say(fmt::format(
        ", _weir_versions AS (SELECT *, {} AS _weir_begins FROM _weir_steps) SELECT {}, "
        "\"__START_AT\", \"__END_AT\" FROM (SELECT *, last_value(CASE WHEN _weir_begins "
        "THEN _weir_sequence END IGNORE NULLS) OVER ({} ROWS BETWEEN UNBOUNDED PRECEDING "
        "AND CURRENT ROW) AS \"__START_AT\", lead(_weir_sequence) OVER ({}) AS "
        "\"__END_AT\", lead(_weir_begins) OVER ({}) AS _weir_ends FROM _weir_versions) "
        "AS t WHERE {}coalesce(_weir_ends, true)",
        begins, Columns(), over, over, over, removes() ? "_weir_change = 1 AND " : ""));
  }

  const std::vector<std::vector<SourceColumn>>& sources_;
  Model& model_;
  const CdcRule& rule_;
  std::vector<FileProblem>& problems_;
  std::vector<std::vector<SourceColumn>> flow_columns_;
  std::vector<SourceColumn> columns_;  // of the target
  bool deletes_ = false, truncates_ = false;
  std::string log_;
};

}  // namespace

bool WriteCdcQuery(const std::vector<std::vector<SourceColumn>>& sources, Model* model,
                   std::vector<FileProblem>* problems) {
  return Writer(sources, model, problems).Write();
}

}  // namespace weir::sql
