#include "sql/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "data/type.h"
#include "sql/macros.h"
#include "sql/statement_internal.h"

namespace weir::sql {
namespace {

using data::SameName;

struct Statements {
  std::vector<Model> models;
  std::vector<Flow> flows;
  std::vector<Macro> macros;
};

// The statements of one file, up to the first with a fault.
class FileReader : StatementReader {
 public:
  FileReader(FileTokens& file, Statements* out) : StatementReader(file), out_(*out) {}

  void Read() {
    if (!CheckTokens()) return;
    if (At().kind == TokenKind::kEnd) {
      Problem(0, "this file holds no model",
              "CREATE MATERIALIZED VIEW schema.name AS SELECT …");
    }
    while (At().kind != TokenKind::kEnd && Statement()) {
      if (At().kind != TokenKind::kEnd && !TakeSymbol(';')) {
        Expected("';' or the end of the file");
        return;
      }
    }
  }

 private:
  bool CheckTokens() {
    for (const Token& token : file_.tokens) {
      if (token.kind != TokenKind::kBroken) continue;
      const bool comment = text_.substr(token.begin, 2) == "/*";
      return Problem(token.begin,
                     comment ? "this comment never ends" : "this quote is never closed");
    }
    return true;
  }

  bool Statement() {
    if (!TakeWord("CREATE")) {
      if (IsWord("APPLY") || IsWord("AUTO"))
        return Expected("CREATE", "CREATE FLOW name AS AUTO CDC INTO target FROM …");
      return Expected("CREATE",
                      IsWord("SELECT") || IsWord("WITH")
                          ? "put CREATE MATERIALIZED VIEW schema.name AS before the query"
                          : Suggestion({"CREATE"}));
    }
    const size_t replace = IsWord("OR") && IsWord("REPLACE", 1) ? 2 : 0;
    if (IsWord("MACRO", replace) || IsWord("FUNCTION", replace)) {
      Skip(replace + 1);
      Macro macro;
      if (!ReadMacro(file_, &macro)) return false;
      out_.macros.push_back(std::move(macro));
      return true;
    }
    if (IsWord("FLOW")) {
      Flow flow;
      if (!ReadFlow(file_, &flow)) return false;
      out_.flows.push_back(std::move(flow));
      return true;
    }
    Model model;
    model.file = file_.source->file;
    model.text = file_.source->text;
    if (!ReadModel(file_, &model)) return false;
    out_.models.push_back(std::move(model));
    return true;
  }

  Statements& out_;
};

FileProblem ProblemIn(const std::string& file, const std::string& text, size_t offset,
                      std::string message, std::string fix) {
  return {
      file,
      {PlaceOf(text, offset), std::move(message), std::move(fix), LineOf(text, offset)}};
}

// Whether two flows say the same of what must be said once for their target.
std::string Difference(const CdcRule& a, const CdcRule& b) {
  const auto same = [](const std::vector<Written>& x, const std::vector<Written>& y) {
    return std::equal(
        x.begin(), x.end(), y.begin(), y.end(),
        [](const Written& l, const Written& r) { return SameName(l.text, r.text); });
  };
  if (a.scd_type != b.scd_type) return "STORED AS SCD TYPE";
  if (!same(a.keys, b.keys)) return "KEYS";
  if (a.ignore_nulls != b.ignore_nulls) return "IGNORE NULL UPDATES";
  if (a.tracked.all_but != b.tracked.all_but || !same(a.tracked.names, b.tracked.names))
    return "TRACK HISTORY ON";
  return "";
}

// Puts flows to their targets.
class Assembler {
 public:
  Assembler(Statements statements, std::vector<FileProblem>* problems)
      : models_(std::move(statements.models)),
        flows_(std::move(statements.flows)),
        problems_(*problems) {}

  std::vector<Model> Run() {
    // In an order that does not depend on the names of files.
    std::stable_sort(flows_.begin(), flows_.end(),
                     [](const Flow& a, const Flow& b) { return a.name < b.name; });
    for (size_t i = 0; i < flows_.size(); ++i) {
      if (i > 0 && flows_[i].name == flows_[i - 1].name) {
        Fault(flows_[i],
              fmt::format("there is another flow named {}, in {}", flows_[i].name,
                          flows_[i - 1].source->file),
              "rename one");
      }
      AddFlow(flows_[i]);
    }
    std::vector<Model> out;
    for (Model& model : models_) {
      if (!model.has_query && model.flows.empty() && !targets_with_faults_[model.name]) {
        problems_.push_back(model.ProblemAt(
            std::nullopt, fmt::format("nothing flows into {}", model.name),
            fmt::format("write AS SELECT … FROM STREAM, or CREATE FLOW "
                        "name AS INSERT INTO {0} SELECT …, or CREATE "
                        "FLOW name AS AUTO CDC INTO {0} FROM …",
                        model.name)));
        continue;
      }
      if (!model.has_query) Join(&model);
      out.push_back(std::move(model));
    }
    return out;
  }

 private:
  void Fault(const Flow& flow, std::string message, std::string fix) {
    targets_with_faults_[flow.target] = true;
    problems_.push_back(ProblemIn(flow.source->file, flow.source->text, flow.begin,
                                  std::move(message), std::move(fix)));
  }

  void AddFlow(const Flow& flow) {
    const auto target =
        std::find_if(models_.begin(), models_.end(),
                     [&](const Model& model) { return model.name == flow.target; });
    if (target == models_.end()) {
      std::vector<std::string> names;
      for (const Model& model : models_) names.push_back(model.name);
      const std::string closest = Closest(flow.target, names);
      return Fault(flow,
                   fmt::format("flow {} goes into {}, which is not declared", flow.name,
                               flow.target),
                   closest.empty()
                       ? fmt::format("write CREATE STREAMING TABLE {};", flow.target)
                       : fmt::format("did you mean {}?", closest));
    }
    if (target->has_query) {
      return Fault(flow,
                   fmt::format("flow {} goes into {}, which has a query of its own",
                               flow.name, flow.target),
                   target->verb == ModelVerb::kStreamingTable
                       ? "make the query behind AS a flow too: CREATE FLOW name AS "
                         "INSERT INTO …"
                       : "flows go into a STREAMING TABLE that is declared without AS");
    }
    if (!target->flows.empty()) {
      const Flow& first = target->flows[0];
      if (first.cdc.has_value() != flow.cdc.has_value()) {
        return Fault(flow,
                     fmt::format("{} is the target of AUTO CDC and of INSERT: flows {} "
                                 "and {}",
                                 flow.target, first.name, flow.name),
                     "let them go into two tables and join those");
      }
      const std::string clause = flow.cdc ? Difference(*first.cdc, *flow.cdc) : "";
      if (!clause.empty()) {
        return Fault(flow,
                     fmt::format("flows {} and {} go into {} but differ in {}",
                                 first.name, flow.name, flow.target, clause),
                     "say the same in both: their changes are one log");
      }
    }
    target->flows.push_back(flow);
  }

  // The queries of INSERT flows together.
  static void Join(Model* model) {
    if (model->IsCdc()) {
      for (const Flow& flow : model->flows) {
        if (flow.cdc->is_stream) model->stream_inputs.push_back(flow.cdc->source_name);
      }
      return;
    }
    const bool alone = model->flows.size() == 1;
    for (size_t i = 0; i < model->flows.size(); ++i) {
      const Flow& flow = model->flows[i];
      const auto ours = [&](std::string_view text) {
        if (alone) return;
        model->origins.push_back({model->body.size(), flow.begin, true, flow.source});
        model->body += text;
      };
      if (i > 0) ours(flow.by_name ? "\nUNION ALL BY NAME\n" : "\nUNION ALL\n");
      ours("(");
      for (Origin origin : flow.query.origins) {
        origin.body += model->body.size();
        origin.source = flow.source;
        model->origins.push_back(std::move(origin));
      }
      model->body += flow.query.body;
      ours("\n)");
      model->stream_inputs.insert(model->stream_inputs.end(),
                                  flow.query.stream_inputs.begin(),
                                  flow.query.stream_inputs.end());
    }
  }

  std::vector<Model> models_;
  std::vector<Flow> flows_;
  std::map<std::string, bool> targets_with_faults_;
  std::vector<FileProblem>& problems_;
};

const Origin* OriginOf(const std::vector<Origin>& origins, size_t body_offset) {
  const Origin* from = nullptr;
  for (const Origin& origin : origins) {
    if (origin.body <= body_offset) from = &origin;
  }
  return from;
}

size_t OffsetIn(const Origin& origin, size_t body_offset) {
  return origin.file + (origin.ours ? 0 : body_offset - origin.body);
}

}  // namespace

bool ColumnList::Has(std::string_view name) const {
  const bool named = std::any_of(names.begin(), names.end(), [&](const Written& n) {
    return SameName(n.text, name);
  });
  return named != all_but;
}

Place Model::PlaceInFile(size_t body_offset) const {
  const Origin* origin = OriginOf(origins, body_offset);
  if (origin == nullptr) return PlaceOf(text, begin);
  return PlaceOf(origin->source == nullptr ? text : origin->source->text,
                 OffsetIn(*origin, body_offset));
}

FileProblem Model::ProblemAt(std::optional<size_t> body_offset, std::string message,
                             std::string fix) const {
  const Origin* origin = body_offset ? OriginOf(origins, *body_offset) : nullptr;
  if (origin == nullptr)
    return ProblemIn(file, text, begin, std::move(message), std::move(fix));
  const bool own = origin->source == nullptr;
  return ProblemIn(own ? file : origin->source->file, own ? text : origin->source->text,
                   OffsetIn(*origin, *body_offset), std::move(message), std::move(fix));
}

std::vector<Model> ParseModels(const std::vector<SourceText>& files,
                               std::vector<FileProblem>* problems) {
  Statements statements;
  for (const SourceText& file : files) {
    std::vector<SqlProblem> found;
    FileTokens tokens;
    tokens.source = std::make_shared<SourceText>(file);
    tokens.text = tokens.source->text;
    tokens.tokens = Tokenize(tokens.text);
    tokens.problems = &found;
    FileReader(tokens, &statements).Read();
    for (SqlProblem& problem : found)
      problems->push_back({file.file, std::move(problem)});
  }
  const auto macros = std::make_shared<const Macros>(
      Macros::Make(std::move(statements.macros), problems));
  if (!macros->empty()) {
    for (Model& model : statements.models) model.macros = macros;
  }
  // What lacks in a file with a fault is not told again as a fault of the others.
  if (!problems->empty()) return std::move(statements.models);
  return Assembler(std::move(statements), problems).Run();
}

std::optional<Model> ParseModel(const std::string& file, std::string_view text,
                                std::vector<SqlProblem>* problems) {
  std::vector<FileProblem> found;
  std::vector<Model> models = ParseModels({{file, std::string(text)}}, &found);
  if (found.empty() && models.size() != 1) {
    const size_t second = models.empty() ? 0 : models[1].begin;
    found.push_back(ProblemIn(file, std::string(text), second,
                              fmt::format("this file makes {} tables", models.size()),
                              "one is expected here"));
  }
  for (FileProblem& problem : found) problems->push_back(std::move(problem.problem));
  if (!found.empty()) return std::nullopt;
  return std::move(models[0]);
}

}  // namespace weir::sql
