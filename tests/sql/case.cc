#include "case.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <algorithm>

#include "sql/model.h"
#include "sql/token.h"

namespace weir::sqltest {
namespace {

std::string_view Trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return text;
}

std::string_view TakeWord(std::string_view* text) {
  *text = Trim(*text);
  size_t end = 0;
  while (end < text->size() && (*text)[end] != ' ' && (*text)[end] != ':' &&
         (*text)[end] != '(')
    ++end;
  const std::string_view word = text->substr(0, end);
  *text = Trim(text->substr(end));
  return word;
}

// The text between the parenthesis that begins `text` and its partner.
Result<std::string_view> TakeParenthesis(std::string_view* text) {
  int depth = 0;
  for (size_t i = 0; i < text->size(); ++i) {
    depth += ((*text)[i] == '(') - ((*text)[i] == ')');
    if (depth > 0) continue;
    if (i == 0) break;
    const std::string_view inside = text->substr(1, i - 1);
    *text = Trim(text->substr(i + 1));
    return inside;
  }
  return Invalid("a list in parentheses is missing");
}

std::vector<std::string> Names(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    out.emplace_back(Trim(text.substr(0, comma)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

// Rows on one line stand between semicolons.
void AddRows(std::string_view text, int line, std::vector<RowLine>* rows) {
  bool quoted = false;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '\'') quoted = !quoted;
    if (i < text.size() && (text[i] != ';' || quoted)) continue;
    const std::string_view row = Trim(text.substr(begin, i - begin));
    if (!row.empty()) rows->push_back({std::string(row), line});
    begin = i + 1;
  }
}

class Parser {
 public:
  Parser(std::string file, std::string_view text) : file_(std::move(file)), text_(text) {}

  Result<std::vector<Case>> Parse() {
    Case shared;
    Case* now = &shared;
    while (Next()) {
      if (line_.empty()) continue;
      if (line_.starts_with('#')) {
        comments_.emplace_back(Trim(line_.substr(1)));
        continue;
      }
      if (line_.starts_with(' ')) return Fail("an indented line that belongs to nothing");
      std::string_view rest = line_;
      const std::string_view word = TakeWord(&rest);
      if (word == "case") {
        cases_.push_back(shared);
        now = &cases_.back();
        now->file = file_;
        now->name = std::string(rest);
        now->line = number_;
        now->comments = std::move(comments_);
      } else {
        const Status status = Directive(word, rest, now);
        if (!status.ok()) return Fail(status.error().message);
      }
      comments_.clear();
    }
    if (cases_.empty()) return Fail("a file without a case");
    return std::move(cases_);
  }

 private:
  Error Fail(std::string_view message) const {
    return Invalid(fmt::format("{}:{}: {}", file_, number_, message));
  }

  bool Next() {
    if (at_ >= text_.size()) return false;
    const size_t end = std::min(text_.find('\n', at_), text_.size());
    line_ = text_.substr(at_, end - at_);
    while (!line_.empty() && (line_.back() == ' ' || line_.back() == '\r'))
      line_.remove_suffix(1);
    at_ = end + 1;
    ++number_;
    return true;
  }

  // The indented lines that follow, and blank ones between them.
  std::vector<std::pair<std::string, int>> Block() {
    std::vector<std::pair<std::string, int>> out;
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) {
      Next();
      out.emplace_back(line_.substr(std::min<size_t>(2, line_.size())), number_);
    }
    while (!out.empty() && out.back().first.empty()) out.pop_back();
    return out;
  }

  std::vector<RowLine> Rows(std::string_view first) {
    std::vector<RowLine> out;
    AddRows(first, number_, &out);
    for (const auto& [text, line] : Block()) {
      if (!Trim(text).starts_with('#')) AddRows(text, line, &out);
    }
    return out;
  }

  Status Directive(std::string_view word, std::string_view rest, Case* c) {
    if (word == "table") return Table(rest, c);
    if (word == "model") return Model(rest, c);
    if (word == "flow" || word == "macro") {
      StatementText statement{std::string(word), std::string(rest), ""};
      for (const auto& [text, _] : Block()) statement.body += text + "\n";
      c->statements.push_back(std::move(statement));
      return {};
    }
    if (word == "error") {
      c->errors.emplace_back(rest);
      return {};
    }
    if (word == "approximate") {
      const std::string model(TakeWord(&rest));
      c->approximate[model] = Names(WEIR_TRY(TakeParenthesis(&rest)));
      return {};
    }
    if (c->name.empty())
      return Invalid(fmt::format("'{}' stands before the first case", word));
    if (word == "step") {
      BeginStep(c);
      return {};
    }
    if (word == "watermark") {
      if (c->steps.empty() || !c->steps.back().expected.empty()) BeginStep(c);
      const auto time = ParseRows({{{"time", data::Simple(data::Kind::kTimestampTz)}}},
                                  {{std::string(rest), number_}}, false);
      WEIR_TRY(time);
      const auto& column =
          static_cast<const arrow::TimestampArray&>(*time->rows->column(0));
      c->steps.back().watermark = column.Value(0);
      return {};
    }
    if (word == "feed") {
      if (c->steps.empty() || !c->steps.back().expected.empty()) BeginStep(c);
      Feed feed{data::LowerName(TakeWord(&rest)), {}};
      feed.rows = Rows(rest);
      c->steps.back().feeds.push_back(std::move(feed));
      return {};
    }
    if (word == "change" || word == "result") {
      if (c->steps.empty()) BeginStep(c);
      Expectation expectation{
          data::LowerName(TakeWord(&rest)), word == "change", {}, number_};
      expectation.rows = Rows(rest);
      c->steps.back().expected.push_back(std::move(expectation));
      return {};
    }
    return Invalid(fmt::format("there is no '{}'", word));
  }

  void BeginStep(Case* c) const {
    c->steps.emplace_back();
    c->steps.back().line = number_;
  }

  // NAME (COLUMNS) [KEY (…)] [ORDER (…)] [APPEND ONLY]
  Status Table(std::string_view rest, Case* c) {
    plan::InputTable table;
    table.name = data::LowerName(TakeWord(&rest));
    table.schema = WEIR_TRY(ParseColumns(WEIR_TRY(TakeParenthesis(&rest))));
    while (!rest.empty()) {
      const std::string_view clause = TakeWord(&rest);
      if (clause == "KEY") {
        table.key = Names(WEIR_TRY(TakeParenthesis(&rest)));
      } else if (clause == "ORDER") {
        table.order = Names(WEIR_TRY(TakeParenthesis(&rest)));
      } else if (clause == "APPEND" && TakeWord(&rest) == "ONLY") {
        table.append_only = true;
      } else {
        return Invalid(fmt::format("a table has no '{}'", clause));
      }
    }
    c->tables.push_back(std::move(table));
    return {};
  }

  // NAME[: KIND], and the query below
  Status Model(std::string_view rest, Case* c) {
    ModelText model;
    model.name = data::LowerName(TakeWord(&rest));
    if (rest.starts_with(':'))
      model.kind = std::string(Trim(rest.substr(1)));
    else if (!rest.empty())
      return Invalid("a model's kind stands behind a colon");
    model.line = number_ + 1;
    for (const auto& [text, _] : Block()) model.body += text + "\n";
    if (model.body.empty()) return Invalid("a model without its query");
    model.body.pop_back();
    c->models.push_back(std::move(model));
    return {};
  }

  const std::string file_;
  const std::string_view text_;
  size_t at_ = 0;
  std::string_view line_;
  int number_ = 0;
  std::vector<std::string> comments_;
  std::vector<Case> cases_;
};

bool IsStatement(const ModelText& model) {
  return data::LowerName(model.body.substr(0, 6)) == "create";
}

std::string Statement(const ModelText& model) {
  if (IsStatement(model)) return model.body;
  return fmt::format("CREATE MATERIALIZED VIEW {} AS\n{}", model.name, model.body);
}

std::string Indented(std::string_view text) {
  std::string out = "  ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out + "\n";
}

// ---- judging

using Answers = std::map<std::string, data::Batch>;

class Judge {
 public:
  Judge(const Case& c, const plan::Plan& plan) : case_(c), plan_(plan) {}

  std::vector<std::string> Run() {
    const Status status = Prepare();
    if (!status.ok()) return {Where(case_.line) + status.error().message};
    CheckOracle();
    for (const int shards : {1, 3}) {
      Attempt("one batch", shards, [&] { return OneBatch(shards); });
      Attempt("row by row", shards, [&] { return RowByRow(shards); });
      Attempt("as written, restarted after every step", shards,
              [&] { return Restarted(shards); });
    }
    return std::move(failures_);
  }

 private:
  struct Step {
    std::vector<std::pair<std::string, data::Batch>> feeds;
    Answers answers;  // of DuckDB after the step
  };

  std::string Where(int line) const {
    return fmt::format("{}:{}: case {}: ", case_.file, line, case_.name);
  }

  template <class Body>
  void Attempt(std::string_view mode, int shards, Body body) {
    mode_ = fmt::format("{}, {} shard{}", mode, shards, shards == 1 ? "" : "s");
    const Status status = body();
    if (!status.ok()) Fail(case_.line, status.error().message);
  }

  void Fail(int line, std::string_view message) {
    failures_.push_back(
        fmt::format("{}{}{}{}", Where(line), mode_, mode_.empty() ? "" : ": ", message));
  }

  Status Prepare() {
    auto oracle = WEIR_TRY(Oracle::Open(plan_, 1));
    std::map<std::string, Content> sources;
    for (const auto& table : plan_.sources) sources.emplace(table.name, table.schema);
    for (const CaseStep& step : case_.steps) {
      Step out;
      for (const Feed& feed : step.feeds) {
        const auto source = sources.find(feed.table);
        if (source == sources.end())
          return Invalid(
              fmt::format("line {}: there is no table {}", step.line, feed.table));
        out.feeds.emplace_back(
            feed.table, WEIR_TRY(ParseRows(source->second.schema(), feed.rows, true)));
        WEIR_TRY(source->second.Add({out.feeds.back().second}));
      }
      if (step.watermark) WEIR_TRY(oracle->SetWatermark(*step.watermark));
      auto answers = oracle->Answers(sources);
      if (!answers.ok())
        return Invalid(
            fmt::format("line {}: DuckDB: {}", step.line, answers.error().message));
      out.answers = *std::move(answers);
      steps_.push_back(std::move(out));
    }
    return {};
  }

  // What is written in the file against DuckDB's answers.
  void CheckOracle() {
    for (size_t i = 0; i < case_.steps.size(); ++i) {
      for (const Expectation& expected : case_.steps[i].expected) {
        const plan::ModelPlan* model = plan_.Find(expected.model);
        if (model == nullptr || !IsKept(*model)) {
          Fail(expected.line, fmt::format("there is no model {}", expected.model));
          continue;
        }
        const data::Schema& schema = model->output;
        const auto rows = ParseRows(schema, expected.rows, expected.is_change);
        if (!rows.ok()) {
          Fail(expected.line, rows.error().message);
          continue;
        }
        data::Batch answer = steps_[i].answers.at(model->model.name);
        if (expected.is_change) answer = Change(*model, i);
        Compare(*model, *rows, "the file", answer, "DuckDB's answer", expected.line);
      }
    }
  }

  data::Batch Change(const plan::ModelPlan& model, size_t step) const {
    const data::Batch& now = steps_[step].answers.at(model.model.name);
    if (step == 0) return now;
    data::Batch before = steps_[step - 1].answers.at(model.model.name);
    std::vector<int32_t> weights;
    for (int64_t i = 0; i < before.num_rows(); ++i) weights.push_back(-before.weight(i));
    before.weights = std::move(weights);
    return *Sum(model.output, {now, before});
  }

  bool Compare(const plan::ModelPlan& model, const data::Batch& a,
               std::string_view a_name, const data::Batch& b, std::string_view b_name,
               int line) {
    const auto difference =
        Difference(model.output, a, a_name, b, b_name, ApproximateColumns(case_, model));
    if (!difference.ok()) {
      Fail(line, difference.error().message);
      return false;
    }
    if (!difference->empty())
      Fail(line, fmt::format("{}:\n{}", model.model.name, *difference));
    return difference->empty();
  }

  // Every model against DuckDB's answer after step `i`.
  bool Check(const Engine& engine, size_t i) {
    bool ok = true;
    for (const auto& model : plan_.models) {
      if (!IsKept(model)) continue;
      ok &= Compare(model, engine.tables().at(model.model.name).rows(), "Weir's table",
                    steps_[i].answers.at(model.model.name), "DuckDB's answer",
                    case_.steps[i].line);
    }
    return ok;
  }

  Status OneBatch(int shards) {
    if (steps_.empty()) return {};
    auto engine = WEIR_TRY(Engine::Open(plan_, {.shards = shards}));
    std::map<std::string, std::vector<data::Batch>> all;
    for (const Step& step : steps_) {
      for (const auto& [table, rows] : step.feeds) all[table].push_back(rows);
    }
    Changes changes;
    for (const auto& [table, batches] : all)
      changes[table] = {WEIR_TRY(data::Concat(batches))};
    for (const CaseStep& step : case_.steps) {
      if (step.watermark) WEIR_TRY(engine->SetWatermark(*step.watermark));
    }
    WEIR_TRY(engine->Step(changes));
    Check(*engine, steps_.size() - 1);
    return {};
  }

  Status RowByRow(int shards) {
    auto engine = WEIR_TRY(Engine::Open(plan_, {.shards = shards}));
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (steps_[i].feeds.empty()) WEIR_TRY(engine->Step({}));
      for (const auto& [table, rows] : steps_[i].feeds) {
        for (int64_t row = 0; row < rows.num_rows(); ++row) {
          const int32_t weight = rows.weight(row), sign = weight < 0 ? -1 : 1;
          for (int32_t n = weight; n != 0; n -= sign)
            WEIR_TRY(engine->Step({{table, {{rows.rows->Slice(row, 1), {sign}}}}}));
        }
      }
      if (case_.steps[i].watermark) {
        WEIR_TRY(engine->SetWatermark(*case_.steps[i].watermark));
        WEIR_TRY(engine->Step({}));
      }
      if (!Check(*engine, i)) return {};
    }
    return {};
  }

  // Every step is done twice: by the operators that did the ones before, then, as if they
  // had been killed before the commit, by new ones that begin with the store at the epoch
  // before. The memory is too small for the state.
  Status Restarted(int shards) {
    auto engine = WEIR_TRY(
        Engine::Open(plan_, {.shards = shards, .memory_max = shards == 1 ? 4096 : 0}));
    for (size_t i = 0; i < steps_.size(); ++i) {
      Changes changes;
      for (const auto& [table, rows] : steps_[i].feeds) changes[table].push_back(rows);
      if (case_.steps[i].watermark)
        WEIR_TRY(engine->SetWatermark(*case_.steps[i].watermark));
      const Changes first = WEIR_TRY(engine->Step(changes));
      WEIR_TRY(engine->Checkpoint());
      WEIR_TRY(engine->Crash());
      if (case_.steps[i].watermark)
        WEIR_TRY(engine->SetWatermark(*case_.steps[i].watermark));
      const Changes again = WEIR_TRY(engine->Step(changes));
      for (const auto& model : plan_.models) {
        if (!IsKept(model)) continue;
        const auto rows = [&](const Changes& of) {
          const auto found = of.find(model.model.name);
          return *Sum(model.output,
                      found == of.end() ? std::vector<data::Batch>() : found->second);
        };
        if (!Compare(model, rows(first), "the first change", rows(again),
                     "the same step after a restart", case_.steps[i].line))
          return {};
      }
      if (!Check(*engine, i)) return {};
      WEIR_TRY(engine->Checkpoint());
      WEIR_TRY(engine->Commit());
    }
    return {};
  }

  const Case& case_;
  const plan::Plan& plan_;
  std::vector<Step> steps_;
  std::string mode_;
  std::vector<std::string> failures_;
};

}  // namespace

Result<std::vector<Case>> ParseCases(const std::string& file, std::string_view text) {
  return Parser(file, text).Parse();
}

std::string CaseText(const Case& c) {
  std::string out;
  for (const std::string& comment : c.comments) out += "# " + comment + "\n";
  const auto list = [](const std::vector<std::string>& names) {
    return fmt::format("({})", fmt::join(names, ", "));
  };
  for (const plan::InputTable& table : c.tables) {
    out += fmt::format("table {} ({})", table.name, ColumnsText(table.schema));
    if (!table.key.empty()) out += " KEY " + list(table.key);
    if (!table.order.empty()) out += " ORDER " + list(table.order);
    out += table.append_only ? " APPEND ONLY\n" : "\n";
  }
  for (const ModelText& model : c.models) {
    out += fmt::format("model {}{}{}\n", model.name, model.kind.empty() ? "" : ": ",
                       model.kind) +
           Indented(model.body);
  }
  for (const StatementText& statement : c.statements)
    out += fmt::format("{} {}\n{}", statement.word, statement.name,
                       Indented(statement.body));
  for (const auto& [model, columns] : c.approximate)
    out += fmt::format("approximate {} {}\n", model, list(columns));
  out += "\ncase " + c.name + "\n";
  for (const std::string& error : c.errors) out += "error " + error + "\n";
  const auto rows = [&](const std::vector<RowLine>& lines) {
    for (const RowLine& line : lines) out += "  " + line.text + "\n";
  };
  for (const CaseStep& step : c.steps) {
    out += "step\n";
    for (const Feed& feed : step.feeds) {
      out += "feed " + feed.table + "\n";
      rows(feed.rows);
    }
    if (step.watermark)
      out += fmt::format("watermark {}\n", FormatTimestamp(*step.watermark));
    for (const Expectation& expected : step.expected) {
      out += (expected.is_change ? "change " : "result ") + expected.model + "\n";
      rows(expected.rows);
    }
  }
  return out;
}

Planned PlanCase(const Case& c) {
  Planned out;
  std::vector<plan::PlanProblem> problems;
  std::vector<sql::SourceText> files;
  for (const ModelText& text : c.models) files.push_back({text.name, Statement(text)});
  for (const StatementText& text : c.statements) files.push_back({text.name, text.body});
  std::vector<sql::Model> models = sql::ParseModels(files, &problems);
  if (problems.empty()) out.plan = plan::MakePlan(c.tables, std::move(models), &problems);
  for (const auto& [file, problem] : problems) {
    sql::Place place = problem.place;
    for (const ModelText& text : c.models) {
      if (text.name == file && !IsStatement(text)) --place.line;
    }
    out.faulty.push_back(file);
    out.problems.push_back(
        fmt::format("{}:{} {}{}", place.line, place.column, problem.message,
                    problem.fix.empty() ? "" : fmt::format(" [{}]", problem.fix)));
  }
  return out;
}

std::string KindText(const plan::ModelPlan& model) {
  if (model.stages.empty()) return std::string(plan::BlockKindName(model.kind));
  std::string out;
  for (const plan::Stage& stage : model.stages) {
    if (stage.kind == plan::BlockKind::kRowWise || !stage.of_rows) continue;
    out += (out.empty() ? "" : ", ") + std::string(plan::BlockKindName(stage.kind));
  }
  return out.empty() ? std::string(plan::BlockKindName(plan::BlockKind::kRowWise)) : out;
}

Approximate ApproximateColumns(const Case& c, const plan::ModelPlan& model) {
  Approximate out(model.output.fields.size());
  const auto columns =
      c.approximate.find(model.part_of.empty() ? model.model.name : model.part_of);
  if (columns == c.approximate.end()) return out;
  for (const std::string& column : columns->second) {
    const int i = model.output.IndexOf(column);
    if (i >= 0) out[static_cast<size_t>(i)] = true;
  }
  return out;
}

std::vector<std::string> RunCase(const Case& c) {
  std::vector<std::string> failures;
  const auto fail = [&](int line, std::string_view message) {
    failures.push_back(fmt::format("{}:{}: case {}: {}", c.file, line, c.name, message));
  };
  const Planned planned = PlanCase(c);
  for (size_t i = 0; i < std::max(planned.problems.size(), c.errors.size()); ++i) {
    if (i >= planned.problems.size()) {
      fail(c.line, "there is no error " + c.errors[i]);
    } else if (i >= c.errors.size()) {
      fail(c.line, "the plan's problem " + planned.problems[i]);
    } else if (planned.problems[i].find(c.errors[i]) == std::string::npos) {
      fail(c.line, fmt::format("the plan's problem is\n  {}\nnot\n  {}",
                               planned.problems[i], c.errors[i]));
    }
  }
  if (!planned.plan || !failures.empty()) return failures;
  for (const ModelText& text : c.models) {
    const plan::ModelPlan* model = planned.plan->Find(text.name);
    if (model == nullptr || !IsKept(*model)) continue;
    const std::string kind = KindText(*model);
    if (text.kind.empty() ? model->kind == plan::BlockKind::kFullRefresh
                          : text.kind != kind)
      fail(text.line,
           fmt::format("{} is kept as '{}'{}{}", text.name, kind,
                       model->why_not_better.empty() ? "" : ": ", model->why_not_better));
  }
  for (std::string& failure : Judge(c, *planned.plan).Run())
    failures.push_back(std::move(failure));
  return failures;
}

}  // namespace weir::sqltest
