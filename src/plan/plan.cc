#include "plan/plan.h"

#include <fmt/format.h>

#include <set>

#include "base/hash.h"
#include "plan/query_internal.h"
#include "sql/cdc.h"
#include "sql/macros.h"
#include "sql/token.h"

namespace weir::plan {
namespace {

using data::SameName;

// For the types of expressions; no value is ever asked for.
constexpr std::string_view kWatermarkMacro =
    "CREATE MACRO watermark() AS CAST(NULL AS TIMESTAMPTZ)";

constexpr std::string_view kOnRowError = "weir.onRowError";

// Part of every fingerprint: a change of what pieces and state mean changes it.
constexpr std::string_view kPlanFormat = "plan-2";

class Planner {
 public:
  Planner(std::vector<InputTable> sources, std::vector<sql::Model> models,
          std::vector<PlanProblem>* problems)
      : models_(std::move(models)), problems_(problems) {
    plan_.sources = std::move(sources);
  }

  std::optional<Plan> Make() {
    if (models_.empty()) return std::move(plan_);  // DuckDB's sessions take 10 ms each
    const size_t before = problems_->size();
    Status status = Start();
    if (status.ok()) {
      if (models_[0].macros != nullptr)
        CheckMacros(*models_[0].macros, *bodies_, functions_, problems_);
      const std::vector<size_t> order = FindOrder();
      for (size_t i = 0; status.ok() && i < order.size(); ++i)
        status = PlanModel(order[i]);
    }
    if (!status.ok())
      problems_->push_back(
          {"",
           {{}, "the models could not be planned: " + status.error().message, "", ""}});
    if (problems_->size() != before) return std::nullopt;
    return std::move(plan_);
  }

 private:
  Status Start() {
    bodies_ = WEIR_TRY(duck::Session::Open({}));
    pieces_ = WEIR_TRY(duck::Session::Open({}));
    for (duck::Session* session : {bodies_.get(), pieces_.get()})
      WEIR_TRY(session->Execute(kWatermarkMacro));
    functions_ = WEIR_TRY(Functions::Load(*bodies_));
    for (const InputTable& source : plan_.sources) {
      known_.push_back(source.name);
      WEIR_TRY(Declare(source));
    }
    for (const sql::Model& model : models_) {
      known_.push_back(model.name);
      if (HasRejected(model)) known_.push_back(RejectedTable(model.name));
    }
    return {};
  }

  Status Declare(const InputTable& table) {
    tables_.tables[data::LowerName(table.name)] = table;
    WEIR_TRY(bodies_->DeclareInput(table.name, table.schema));
    data::Schema weighted = table.schema;
    weighted.fields.push_back({"_weight", data::Simple(data::Kind::kInt32)});
    return pieces_->DeclareInput(table.name, weighted);
  }

  void Problem(const sql::Model& model, std::optional<size_t> offset, std::string message,
               std::string fix = "") {
    PlanProblem problem =
        model.ProblemAt(offset.value_or(0), std::move(message), std::move(fix));
    // What AUTO CDC writes twice is one fault.
    const bool known =
        std::any_of(problems_->begin(), problems_->end(), [&](const PlanProblem& other) {
          return other.file == problem.file &&
                 other.problem.place.line == problem.problem.place.line &&
                 other.problem.place.column == problem.problem.place.column &&
                 other.problem.message == problem.problem.message;
        });
    if (!known) problems_->push_back(std::move(problem));
  }

  void Problem(const sql::Model& model, sql::Place place, std::string message,
               std::string fix) {
    size_t line_begin = 0;
    for (int line = 1; line < place.line && line_begin < model.text.size(); ++line) {
      line_begin = std::min(model.text.find('\n', line_begin), model.text.size() - 1) + 1;
    }
    problems_->push_back({model.file,
                          {place, std::move(message), std::move(fix),
                           sql::LineOf(model.text, line_begin)}});
  }

  void Problem(const sql::Model& model, const Error& error) {
    Problem(model, duck::ErrorOffset(error), PlainMessage(error),
            Candidates(error.message));
  }

  // ---- names and order

  // Parses all bodies, checks the tables they name, and puts each model behind those it
  // reads.
  std::vector<size_t> FindOrder() {
    queries_.resize(models_.size());
    reads_.resize(models_.size());
    parsed_.assign(models_.size(), false);
    for (size_t i = 0; i < models_.size(); ++i) {
      const std::string name = data::LowerName(models_[i].name);
      if (!by_name_.emplace(name, i).second || tables_.tables.contains(name)) {
        problems_->push_back(models_[i].ProblemAt(
            std::nullopt, fmt::format("there is another table named {}", name), ""));
      }
    }
    for (size_t i = 0; i < models_.size(); ++i) {
      if (models_[i].verb != sql::ModelVerb::kView)
        by_name_.emplace(RejectedTable(data::LowerName(models_[i].name)), i);
    }
    Ast ast(*bodies_);
    for (size_t i = 0; i < models_.size(); ++i) {
      if (models_[i].macros != nullptr &&
          !models_[i].macros->Expand(&models_[i], problems_))
        continue;
      if (models_[i].IsCdc()) {  // its query is written when its sources are planned
        parsed_[i] = true;
        for (const sql::Flow& flow : models_[i].flows)
          parsed_[i] = parsed_[i] && CheckSource(i, flow);
        continue;
      }
      auto query = ast.Parse(models_[i].body);
      if (!query.ok()) {
        Problem(models_[i], query.error());
        continue;
      }
      queries_[i] = *std::move(query);
      parsed_[i] = CheckTables(i);
    }
    for (size_t i = 0; i < models_.size(); ++i) Enter(i);
    return order_;
  }

  bool CheckTables(size_t i) {
    bool ok = true;
    VisitTables(queries_[i], [&](Json& table) {
      const std::string name = TableName(table);
      reads_[i].push_back(name);
      if (tables_.tables.contains(name) || by_name_.contains(name)) return;
      ok = false;
      Problem(models_[i], LocationOf(table), fmt::format("there is no table {}", name),
              InsteadOfTable(name));
    });
    for (const std::string& name : models_[i].stream_inputs) {
      const auto source = tables_.tables.find(name);
      if (source == tables_.tables.end() || source->second.append_only) continue;
      Problem(
          models_[i], 0,
          fmt::format("{} is not append-only, so it cannot be read as a stream", name),
          "make this a MATERIALIZED VIEW");
      ok = false;
    }
    return ok;
  }

  std::string InsteadOfTable(const std::string& name) const {
    std::string closest = sql::Closest(name, known_);
    for (const std::string& known : known_) {  // the schema left out
      if (known.ends_with("." + name)) closest = known;
    }
    return !closest.empty() ? fmt::format("did you mean {}?", closest)
           : name.starts_with("bronze.")
               ? "bronze tables come from contracts: put one that is named " +
                     name.substr(7) + " into contracts/"
               : "make it by a model of that name, or a contract";
  }

  // The source of an AUTO CDC flow.
  bool CheckSource(size_t i, const sql::Flow& flow) {
    const std::string& name = flow.cdc->source_name;
    reads_[i].push_back(name);
    if (tables_.tables.contains(name) || by_name_.contains(name)) return true;
    ProblemIn(flow, flow.cdc->source, fmt::format("there is no table {}", name),
              InsteadOfTable(name));
    return false;
  }

  void ProblemIn(const sql::Flow& flow, const sql::Written& at, std::string message,
                 std::string fix) {
    const std::string& text = flow.source->text;
    problems_->push_back({flow.source->file,
                          {sql::PlaceOf(text, at.begin), std::move(message),
                           std::move(fix), sql::LineOf(text, at.begin)}});
  }

  // Depth first; `path_` holds the models being entered.
  void Enter(size_t i) {
    if (done_.contains(i)) return;
    const auto on_path = std::find(path_.begin(), path_.end(), i);
    if (on_path != path_.end()) {
      std::string cycle;
      for (auto at = on_path; at != path_.end(); ++at) cycle += models_[*at].name + " → ";
      Problem(
          models_[i], 0,
          fmt::format("models read each other in a circle: {}{}", cycle, models_[i].name),
          "a model cannot read what is made from it");
      return;
    }
    path_.push_back(i);
    bool inputs_ok = true;
    for (const std::string& name : reads_[i]) {
      const auto model = by_name_.find(name);
      if (model == by_name_.end()) continue;
      Enter(model->second);
      inputs_ok &= done_.contains(model->second) && done_[model->second];
    }
    path_.pop_back();
    const bool ok = parsed_[i] && inputs_ok;
    if (!done_.contains(i)) {
      done_[i] = ok;
      if (ok) order_.push_back(i);
    }
  }

  // ---- one model

  Status PlanModel(size_t i) {
    for (const std::string& name : reads_[i]) {
      if (tables_.tables.contains(name) || tables_.views.contains(name)) continue;
      const std::string& above = models_[by_name_.at(name)].name;
      if (!SameName(name, above) && tables_.tables.contains(data::LowerName(above)))
        Problem(models_[i], 0,
                fmt::format("there is no table {}: {} rejects no rows", name, above),
                "give it a constraint ON VIOLATION QUARANTINE");
      return {};  // else its input has a problem of its own
    }
    const size_t before = problems_->size();
    if (models_[i].IsCdc()) {
      WEIR_TRY(WriteCdc(&models_[i]));
      if (problems_->size() != before) return {};
      queries_[i] = WEIR_TRY(Ast(*bodies_).Parse(models_[i].body));
    }
    ModelPlan plan;
    plan.model = models_[i];
    const sql::Model& model = plan.model;
    Ast ast(*bodies_);
    auto output = bodies_->Describe(model.body);
    if (!output.ok()) {
      Problem(model, output.error());
      return {};
    }
    plan.output = *std::move(output);
    Json query = queries_[i];
    ReplaceViews(query, tables_);
    VisitTables(query, [&](Json& table) {
      const std::string name = TableName(table);
      if (std::find(plan.inputs.begin(), plan.inputs.end(), name) == plan.inputs.end())
        plan.inputs.push_back(name);
    });
    CheckDetermined(model, query);
    CheckOutput(plan);
    const auto expectations = WEIR_TRY(Expectations(plan));
    if (problems_->size() != before) return {};
    const Json completed = WEIR_TRY(Complete(&plan, query));
    if (problems_->size() != before) return {};
    Checked checked{completed, {}};
    if (!FailsOnRowErrors(model))
      checked = WEIR_TRY(CheckRows(completed, plan.output, *bodies_, functions_));
    const Judged judged(ast, model, expectations);
    plan.completed_sql = WEIR_TRY(ast.Print(WEIR_TRY(judged.Kept(checked.query))));
    if (!judged.Rejects().is_null() || !checked.failed.empty()) {
      plan.rejected_table = RejectedTable(model.name);
      CheckRejectedColumns(plan);
      if (problems_->size() != before) return {};
    }
    WEIR_TRY(PlanQuery(checked, expectations, *pieces_, tables_, functions_, &plan));
    if (plan.kind == BlockKind::kFullRefresh) {
      plan.key = GroupedKey(query, plan.output);
      if (!expectations.empty())
        plan.violations_sql =
            WEIR_TRY(ast.Print(WEIR_TRY(judged.Violations(checked.query))));
    }
    SetKeyAndAppendOnly(&plan);
    if (problems_->size() != before) return {};
    plan.fingerprint = Fingerprint(plan);
    std::optional<ModelPlan> rejected;
    if (!plan.rejected_table.empty())
      rejected =
          WEIR_TRY(Rejected(plan, WEIR_TRY(judged.RejectedSql(checked, plan.output))));
    WEIR_TRY(Publish(plan, std::move(query)));
    plan_.models.push_back(std::move(plan));
    if (!rejected) return {};
    WEIR_TRY(Publish(*rejected, Json()));
    plan_.models.push_back(*std::move(rejected));
    return {};
  }

  // The query of a target of AUTO CDC.
  Status WriteCdc(sql::Model* model) {
    std::vector<std::vector<sql::SourceColumn>> sources;
    const size_t before = problems_->size();
    for (const sql::Flow& flow : model->flows) {
      const sql::CdcRule& cdc = *flow.cdc;
      const auto table = tables_.tables.find(cdc.source_name);
      if (cdc.is_stream && table != tables_.tables.end() && !table->second.append_only) {
        ProblemIn(flow, cdc.source,
                  fmt::format("{} is not append-only, so it cannot be read as a stream",
                              cdc.source_name),
                  "leave STREAM out: changes of its rows are followed too");
      }
      const data::Schema schema =
          WEIR_TRY(bodies_->Describe("SELECT * FROM " + cdc.source.text));
      std::vector<sql::SourceColumn>& columns = sources.emplace_back();
      for (const data::Field& field : schema.fields)
        columns.push_back({field.name, !field.type.is_nested()});
      const auto sequence = bodies_->Describe(
          fmt::format("SELECT ({}\n) AS s FROM {}", cdc.sequence.text, cdc.source.text));
      if (sequence.ok() && sequence->fields[0].type.is_nested()) {
        ProblemIn(flow, cdc.sequence,
                  fmt::format("SEQUENCE BY is of type {}, which has no order here",
                              data::TypeName(sequence->fields[0].type)),
                  "take one value: a time, a number or a text");
      }
    }
    if (problems_->size() != before) return {};
    if (WriteCdcQuery(sources, model, problems_) && model->macros != nullptr)
      model->macros->Expand(model, problems_);
    return {};
  }

  static bool HasRejected(const sql::Model& model) {
    return std::any_of(model.constraints.begin(), model.constraints.end(),
                       [](const sql::Constraint& constraint) {
                         return constraint.on_violation == sql::OnViolation::kQuarantine;
                       });
  }
  static std::string RejectedTable(const std::string& model) {
    return model + "$rejected";
  }

  // The complement of `plan`, which its stages give, too.
  Result<ModelPlan> Rejected(const ModelPlan& plan, std::string sql) {
    ModelPlan out;
    out.model = plan.model;
    out.model.name = plan.rejected_table;
    out.model.key.clear();
    out.model.partitioned_by.clear();
    out.model.cluster_by.clear();
    out.model.constraints.clear();
    out.model.properties.clear();
    out.model.comment = "Rows that " + plan.model.name + " rejects";
    out.part_of = plan.model.name;
    out.inputs = plan.inputs;
    out.output = WEIR_TRY(bodies_->Describe(sql));
    out.completed_sql = std::move(sql);
    out.kind = plan.kind;
    out.why_not_better = plan.why_not_better;
    out.fingerprint = plan.fingerprint;
    if (plan.stages.empty()) return out;
    const Stage& stage = plan.stages[static_cast<size_t>(plan.rejected_stage)];
    out.append_only = stage.append_only;
    if (stage.output != out.output)
      return Internal(
          fmt::format("the rejected rows of {} have other columns", plan.model.name));
    return out;
  }

  void CheckDetermined(const sql::Model& model, const Json& query) {
    std::vector<Fault> faults;
    // Between two stages texts are bytes, which alone say whether they are equal.
    Visit(query, [&](const Json& json) {
      if (!IsClass(json, "COLLATE")) return true;
      faults.push_back(
          {LocationOf(json["child"]),
           fmt::format("texts are compared by their bytes, not by COLLATE {}",
                       json.value("collation", "")),
           "compare values: lower(s) for NOCASE, strip_accents(s) for NOACCENT, "
           "icu_sort_key(s, 'de') for a language"});
      return true;
    });
    if (!model.nondeterministic) FindUndetermined(query, functions_, &faults);
    for (Fault& fault : faults)
      Problem(model, fault.offset, std::move(fault.message), std::move(fault.fix));
  }

  void CheckOutput(const ModelPlan& plan) {
    const sql::Model& model = plan.model;
    std::vector<std::string> names;
    for (const data::Field& field : plan.output.fields) {
      const bool twice = std::any_of(
          names.begin(), names.end(),
          [&](const std::string& name) { return SameName(name, field.name); });
      if (twice)
        Problem(model, 0, fmt::format("two columns are named {}", field.name),
                "rename one with AS");
      const bool validity = model.IsCdc() && field.name.starts_with("__");
      if (field.name.starts_with('_') && !validity && !IsInputColumn(plan, field.name)) {
        Problem(model, 0,
                fmt::format("the column name {} begins with _, which is Weir's own",
                            field.name),
                "rename it with AS");
      }
      names.push_back(field.name);
    }
    const auto check = [&](std::string_view clause, const std::string& column) {
      if (plan.output.IndexOf(column) >= 0) return;
      const std::string closest = sql::Closest(column, names);
      Problem(
          model, sql::PlaceOf(model.text, ClauseAt(model, clause)),
          fmt::format("{} names {}, which is not a column of the query", clause, column),
          closest.empty() ? "" : fmt::format("did you mean {}?", closest));
    };
    for (const std::string& column : model.key) check("KEY", column);
    for (const sql::PartitionTerm& term : model.partitioned_by)
      check("PARTITIONED BY", term.column);
    for (const std::string& column : model.cluster_by) check("CLUSTER BY", column);
    CheckClusterBy(plan);
    for (const auto& [column, _] : model.column_comments) {
      if (plan.output.IndexOf(column.text) >= 0) continue;
      const std::string closest = sql::Closest(column.text, names);
      problems_->push_back(
          {model.file,
           {sql::PlaceOf(model.text, column.begin),
            fmt::format("{} is not a column of the query", column.text),
            closest.empty() ? "" : fmt::format("did you mean {}?", closest),
            sql::LineOf(model.text, column.begin)}});
    }
    CheckOnRowError(model);
  }

  void CheckClusterBy(const ModelPlan& plan) {
    const sql::Model& model = plan.model;
    const auto problem = [&](const std::string& message, const std::string& fix) {
      Problem(model, sql::PlaceOf(model.text, ClauseAt(model, "CLUSTER BY")), message,
              fix);
    };
    for (auto column = model.cluster_by.begin(); column != model.cluster_by.end();
         ++column) {
      const bool twice =
          std::any_of(model.cluster_by.begin(), column,
                      [&](const std::string& other) { return SameName(other, *column); });
      if (twice)
        problem(fmt::format("CLUSTER BY names {} twice", *column), "leave one out");
      const int i = plan.output.IndexOf(*column);
      if (i < 0) continue;
      const data::Type& type = plan.output.fields[static_cast<size_t>(i)].type;
      if (type.is_nested())
        problem(
            fmt::format("CLUSTER BY names {}, which is {}: rows of a file cannot be in "
                        "the order of a nested type",
                        *column, data::TypeName(type)),
            "name columns of simple types; a part of a struct becomes one in the query");
    }
  }

  // Bronze's own columns may be passed on.
  bool IsInputColumn(const ModelPlan& plan, const std::string& name) const {
    return std::any_of(
        plan.inputs.begin(), plan.inputs.end(), [&](const std::string& input) {
          const auto table = tables_.tables.find(input);
          return table != tables_.tables.end() && table->second.schema.IndexOf(name) >= 0;
        });
  }

  static size_t ClauseAt(const sql::Model& model, std::string_view clause) {
    const std::string_view first = clause.substr(0, clause.find(' '));
    for (const sql::Token& token : sql::Tokenize(model.text)) {
      if (token.kind == sql::TokenKind::kWord && token.begin > model.begin &&
          SameName(token.In(model.text), first))
        return token.begin;
    }
    return 0;
  }

  void CheckRejectedColumns(const ModelPlan& plan) {
    for (const std::string& column : RejectedColumns()) {
      if (plan.output.IndexOf(column) < 0) continue;
      Problem(plan.model, 0,
              fmt::format("the column {} is one that rejected rows get", column),
              "rename it with AS");
    }
  }

  // TBLPROPERTIES ('weir.onRowError' = 'fail'); else 'quarantine'. What is not
  // deterministic cannot be judged before it is computed.
  static bool FailsOnRowErrors(const sql::Model& model) {
    return model.nondeterministic || model.verb == sql::ModelVerb::kView ||
           std::any_of(model.properties.begin(), model.properties.end(),
                       [](const auto& property) {
                         return SameName(property.first, kOnRowError) &&
                                property.second == "fail";
                       });
  }

  void CheckOnRowError(const sql::Model& model) {
    for (const auto& [name, value] : model.properties) {
      if (!SameName(name, kOnRowError) || value == "fail" || value == "quarantine")
        continue;
      Problem(model, sql::PlaceOf(model.text, ClauseAt(model, "TBLPROPERTIES")),
              fmt::format("{} is '{}'", kOnRowError, value),
              "write 'quarantine' (which it is without the property) or 'fail'");
    }
  }

  // The model's constraints, over its columns.
  Result<std::vector<Expectation>> Expectations(const ModelPlan& plan) {
    const sql::Model& model = plan.model;
    if (model.constraints.empty()) return std::vector<Expectation>();
    if (model.verb == sql::ModelVerb::kView) {
      Problem(model, model.constraints[0].place,
              "a VIEW stores no rows that a constraint could keep or reject",
              "make it a MATERIALIZED VIEW");
      return std::vector<Expectation>();
    }
    Ast ast(*bodies_);
    std::vector<Fault> faults;
    auto expectations = ParseExpectations(ast, model, functions_, &faults);
    if (!expectations.ok()) {  // some condition is no expression
      CheckConditions(plan, {});
      return std::vector<Expectation>();
    }
    std::set<size_t> faulty;
    for (Fault& fault : faults) {
      faulty.insert(*fault.offset);
      Problem(model, model.constraints[*fault.offset].place, std::move(fault.message),
              std::move(fault.fix));
    }
    CheckConditions(plan, faulty);
    return expectations;
  }

  // That the conditions, but those of `faulty` constraints, speak of the query's columns.
  void CheckConditions(const ModelPlan& plan, const std::set<size_t>& faulty) {
    for (size_t i = 0; i < plan.model.constraints.size(); ++i) {
      if (faulty.contains(i)) continue;
      const sql::Constraint& constraint = plan.model.constraints[i];
      const std::string table = plan.model.name.substr(plan.model.name.find('.') + 1);
      const auto type = bodies_->Describe(
          fmt::format("SELECT ({}\n) AS c FROM ({}\n) AS {}", constraint.condition,
                      plan.model.body, duck::QuoteName(table)));
      if (!type.ok()) {
        Problem(
            plan.model, constraint.place,
            fmt::format("constraint {}: {}", constraint.name, PlainMessage(type.error())),
            Candidates(type.error().message));
      } else if (type->fields[0].type.kind != data::Kind::kBool) {
        Problem(plan.model, constraint.place,
                fmt::format("constraint {} is not a condition but of type {}",
                            constraint.name, data::TypeName(type->fields[0].type)),
                "compare it with something");
      }
    }
  }

  // The query with every order complete, as a tree and in `plan` as text.
  Result<Json> Complete(ModelPlan* plan, const Json& query) {
    Json completed = query;
    std::vector<Fault> faults;
    WEIR_TRY(CompleteOrder(completed, *bodies_, tables_, functions_, &faults));
    if (!plan->model.nondeterministic) {
      for (Fault& fault : faults)
        Problem(plan->model, fault.offset, std::move(fault.message),
                std::move(fault.fix));
    }
    plan->completed_sql = WEIR_TRY(Ast(*bodies_).Print(completed));
    const auto schema = bodies_->Describe(plan->completed_sql);
    if (!schema.ok())
      return Error(schema.error()).Within("completed SQL of " + plan->model.name);
    if (*schema != plan->output)
      return Internal(
          fmt::format("the completed SQL of {} has other columns", plan->model.name));
    return completed;
  }

  // A query that is refreshed as a whole still has the key that its GROUP BY gives it.
  std::vector<std::string> GroupedKey(const Json& query,
                                      const data::Schema& output) const {
    if (!IsType(query, "SELECT_NODE") || !IsAggregated(query, functions_) ||
        query["group_sets"].size() > 1)
      return {};
    if (query["select_list"].size() != output.fields.size()) return {};
    std::vector<std::string> names;
    const std::vector<Json> groups =
        GroupExpressions(query, functions_, [](const std::string&) { return false; });
    for (const Json& group : groups) {
      for (size_t i = 0; i < output.fields.size(); ++i) {
        if (Plain(query["select_list"][i]) != group) continue;
        names.push_back(output.fields[i].name);
        break;
      }
    }
    return names.size() == groups.size() ? names : std::vector<std::string>();
  }

  void SetKeyAndAppendOnly(ModelPlan* plan) {
    const sql::Model& model = plan->model;
    bool inputs_append = true;
    for (const std::string& input : plan->inputs)
      inputs_append &= tables_.tables.at(input).append_only;
    if (model.verb == sql::ModelVerb::kStreamingTable && !model.IsCdc() &&
        !plan->append_only) {
      const std::string why =
          plan->kind == BlockKind::kFullRefresh ? plan->why_not_better
          : !inputs_append                      ? "it reads a table that changes"
                           : fmt::format("its kind is {}", BlockKindName(plan->kind));
      Problem(
          model, 0,
          "a streaming table only adds rows, but this query's rows can change: " + why,
          "make this a MATERIALIZED VIEW");
    }
    if (!model.key.empty()) {
      const std::set<std::string> inferred(plan->key.begin(), plan->key.end());
      plan->key.clear();
      for (const std::string& column : model.key)
        plan->key.push_back(plan->output.Find(column)->name);
      plan->verify_key =
          inferred != std::set<std::string>(plan->key.begin(), plan->key.end());
    }
  }

  std::string Fingerprint(const ModelPlan& plan) const {
    std::string text(kPlanFormat);
    const auto add = [&](std::string_view part) {
      text += fmt::format("\n{}:{}", part.size(), part);
    };
    add(plan.model.name);
    add(plan.completed_sql);
    add(BlockKindName(plan.kind));
    for (const Stage& stage : plan.stages) {
      add(BlockKindName(stage.kind));
      if (stage.kind == BlockKind::kComponents)
        add(stage.components.from >= 0 ? "values in order of time" : "first records");
      for (const Port& port : stage.ports) add(port.sql);
      add(stage.recompute_sql);
    }
    for (const sql::Constraint& constraint : plan.model.constraints) {
      add(constraint.name);
      add(constraint.condition);
      add(fmt::format("on violation {}", static_cast<int>(constraint.on_violation)));
    }
    for (const std::string& column : plan.key) add(column);
    if (plan.verify_key && plan.append_only) add("verified key");
    for (const std::string& input : plan.inputs) {
      const InputTable& table = tables_.tables.at(input);
      add(input);
      add(table.append_only ? "append" : "change");
      for (const data::Field& field : table.schema.fields)
        add(field.name + " " + data::TypeName(field.type));
    }
    const Hash128 hash = HashBytes128(text);
    return fmt::format("{:016x}{:016x}", hash.high, hash.low);
  }

  // Makes the planned model readable for those behind it.
  Status Publish(const ModelPlan& plan, Json query) {
    if (plan.model.verb != sql::ModelVerb::kView) {
      return Declare({plan.model.name, plan.output, plan.key, {}, plan.append_only});
    }
    Visit(query,
          [](Json& json) {  // positions in the view's file mean nothing in its readers'
            json.erase("query_location");
            return true;
          });
    tables_.views[data::LowerName(plan.model.name)] = std::move(query);
    return bodies_->DeclareInput(plan.model.name, plan.output);
  }

  Plan plan_;
  std::vector<sql::Model> models_;
  std::vector<PlanProblem>* problems_;
  std::unique_ptr<duck::Session> bodies_,
      pieces_;  // `pieces_` has `_weight` in every table
  Functions functions_;
  Tables tables_;
  std::vector<std::string> known_;
  std::map<std::string, size_t> by_name_;
  std::vector<Json> queries_;
  std::vector<std::vector<std::string>> reads_;
  std::vector<bool> parsed_;
  std::vector<size_t> path_, order_;
  std::map<size_t, bool> done_;
};

}  // namespace

std::string_view BlockKindName(BlockKind kind) {
  switch (kind) {
    case BlockKind::kRowWise:
      return "row-wise";
    case BlockKind::kUnion:
      return "union";
    case BlockKind::kJoin:
      return "join";
    case BlockKind::kAsof:
      return "as-of join";
    case BlockKind::kTemporal:
      return "temporal filter";
    case BlockKind::kWindow:
      return "window";
    case BlockKind::kComponents:
      return "components";
    case BlockKind::kRecompute:
      return "recompute by key";
    case BlockKind::kDistinct:
      return "distinct";
    case BlockKind::kAggregate:
      return "aggregate";
    case BlockKind::kTop:
      return "top";
    case BlockKind::kFullRefresh:
      return "full refresh";
  }
  return "?";
}

const ModelPlan* Plan::Find(std::string_view name) const {
  for (const ModelPlan& model : models) {
    if (SameName(model.model.name, name)) return &model;
  }
  return nullptr;
}

std::vector<const ModelPlan*> Plan::PartsOf(const ModelPlan& model) const {
  std::vector<const ModelPlan*> parts = {Find(model.model.name)};
  if (!model.rejected_table.empty()) parts.push_back(Find(model.rejected_table));
  return parts;
}

std::vector<std::string> Plan::DependentsOf(std::string_view model) const {
  std::vector<std::string> out;
  std::set<std::string, std::less<>> reached = {data::LowerName(model)};
  for (const ModelPlan& one : models) {
    const bool reads =
        reached.contains(one.part_of) ||
        std::any_of(one.inputs.begin(), one.inputs.end(),
                    [&](const std::string& input) { return reached.contains(input); });
    if (reads && reached.insert(one.model.name).second) out.push_back(one.model.name);
  }
  return out;
}

std::optional<Plan> MakePlan(std::vector<InputTable> sources,
                             std::vector<sql::Model> models,
                             std::vector<PlanProblem>* problems) {
  return Planner(std::move(sources), std::move(models), problems).Make();
}

}  // namespace weir::plan
