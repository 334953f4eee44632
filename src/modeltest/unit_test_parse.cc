// tests/*.yml as unit tests.
#include <arrow/api.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "data/arrow.h"
#include "modeltest/engine.h"
#include "modeltest/rows_internal.h"
#include "modeltest/unit_test.h"

namespace weir::modeltest {
namespace {

using contract::Child;
using contract::LineOf;
using data::Kind;

constexpr std::string_view kFileKeys[] = {"version", "unit_tests"};
constexpr std::string_view kTestKeys[] = {
    "name", "description", "model", "given", "watermark", "expect", "tolerance", "then"};
constexpr std::string_view kStepKeys[] = {"description", "given", "watermark", "expect"};
constexpr std::string_view kGivenKeys[] = {"input", "rows", "format"};
constexpr std::string_view kExpectKeys[] = {"rows", "format"};

class Parser {
 public:
  Parser(std::string file, const plan::Plan& plan,
         std::vector<contract::Problem>* problems)
      : file_(file), plan_(plan), report_(std::move(file), problems) {}

  std::vector<UnitTest> Parse(std::string_view text) {
    try {
      const YAML::Node root = YAML::Load(std::string(text));
      ReadFile(root);
    } catch (const YAML::Exception& error) {
      const bool tab = error.msg.find("tab") != std::string::npos ||
                       text.find('\t') != std::string_view::npos;
      report_.Add(error.mark.is_null() ? 0 : error.mark.line + 1,
                  fmt::format("this is not YAML: {}", error.msg),
                  tab ? "indent with spaces, not with tabs"
                      : "check indentation and quotes on this line and the one before");
    }
    report_.SortByLine();
    return std::move(tests_);
  }

 private:
  void ReadFile(const YAML::Node& root) {
    const YAML::Node tests = Child(root, "unit_tests");
    if (!root.IsMap() || !tests.IsDefined() || !tests.IsSequence()) {
      report_.Add(tests.IsDefined() ? tests : root, "this is no file of unit tests",
                  "begin with 'unit_tests:' and below it '- name: what is true'");
      return;
    }
    if (!report_.DistinctKeys(root)) return;
    report_.KnownKeys(root, "a file of unit tests", kFileKeys);
    std::set<std::string> names;
    for (const YAML::Node& node : tests) {
      const size_t before = report_.count();
      auto test = ReadTest(node);
      if (test && !names.insert(test->name).second)
        report_.Add(node, fmt::format("there are two tests '{}'", test->name),
                    "give one of them another name");
      if (test && report_.count() == before) tests_.push_back(*std::move(test));
    }
  }

  std::optional<UnitTest> ReadTest(const YAML::Node& node) {
    if (!node.IsMap()) {
      report_.Add(node, "a test is no map", "write '- name: what is true'");
      return std::nullopt;
    }
    report_.KnownKeys(node, "a test", kTestKeys);
    UnitTest test;
    test.file = file_;
    test.line = LineOf(node);
    test.name = report_.Text(Child(node, "name"), "name").value_or("");
    if (test.name.empty())
      report_.Add(node, "a test without a name", "write '- name: what is true'");
    const YAML::Node tolerance = Child(node, "tolerance");
    test.tolerance = report_.Number(tolerance, "tolerance").value_or(test.tolerance);
    if (!(test.tolerance >= 0 && test.tolerance < 1))
      report_.Add(tolerance, "a tolerance is from 0 to less than 1",
                  "write 1e-9 for the ninth digit");
    const YAML::Node named = Child(node, "model");
    test.model = data::LowerName(report_.Text(named, "model").value_or(""));
    const plan::ModelPlan* model = plan_.Find(test.model);
    if (model == nullptr || !IsKept(*model)) {
      std::vector<std::string_view> models;
      for (const plan::ModelPlan& m : plan_.models) {
        if (IsKept(m)) models.push_back(m.model.name);
      }
      report_.Add(named.IsDefined() ? named : node,
                  test.model.empty() ? "a test without a model"
                  : model == nullptr
                      ? fmt::format("there is no model '{}'", test.model)
                      : fmt::format("{} is a view, which holds no rows", test.model),
                  contract::Suggest(test.model, models));
      return std::nullopt;
    }
    offsets_.clear();
    keys_.clear();
    ReadStep(node, model->output, &test);
    const YAML::Node then = Child(node, "then");
    if (then.IsDefined() && !then.IsSequence())
      report_.Add(then, "then is no list of steps", "write '- given: …' below it");
    if (then.IsSequence()) {
      for (const YAML::Node& step : then) {
        report_.KnownKeys(step, "a step", kStepKeys);
        ReadStep(step, model->output, &test);
      }
    }
    for (const UnitTestStep& step : test.steps) {
      for (const GivenRows& given : step.given) {
        if (given.table == test.model)
          report_.Add(step.line, "rows are given for the model that is tested",
                      "give rows for the tables that it reads");
      }
    }
    return test;
  }

  void ReadStep(const YAML::Node& node, const data::Schema& output, UnitTest* test) {
    UnitTestStep step;
    step.line = LineOf(node);
    const YAML::Node given = Child(node, "given");
    if (given.IsDefined() && !given.IsSequence())
      report_.Add(given, "given is no list of inputs", "write '- input: bronze.…'");
    if (given.IsSequence()) {
      for (const YAML::Node& input : given) ReadGiven(input, &step);
    }
    ReadWatermark(Child(node, "watermark"), *test, &step);
    ReadExpected(node, output, test->model, &step);
    test->steps.push_back(std::move(step));
  }

  void ReadWatermark(const YAML::Node& node, const UnitTest& test, UnitTestStep* step) {
    const auto text = report_.Text(node, "watermark");
    if (!text) return;
    bool has_zone = false;
    std::string stamp = *text;
    if (stamp.size() == 10) stamp += "T00:00:00";
    if (stamp.size() == 16) stamp += ":00";
    const auto time = ParseTimestamp(stamp, &has_zone);
    if (!time) {
      report_.Add(node, fmt::format("'{}' is no time", *text),
                  "write 2026-01-31T10:00:00Z");
      return;
    }
    for (const UnitTestStep& earlier : test.steps) {
      if (earlier.watermark > *time)
        report_.Add(node, "a watermark never falls", "write a later time");
    }
    step->watermark = *time;
  }

  void ReadGiven(const YAML::Node& node, UnitTestStep* step) {
    report_.KnownKeys(node, "an input", kGivenKeys);
    const YAML::Node named = Child(node, "input");
    const std::string table = data::LowerName(report_.Text(named, "input").value_or(""));
    const data::Schema* schema = SchemaOf(plan_, table);
    if (schema == nullptr) {
      std::vector<std::string_view> tables;
      for (const plan::InputTable& source : plan_.sources) tables.push_back(source.name);
      for (const plan::ModelPlan& model : plan_.models)
        tables.push_back(model.model.name);
      report_.Add(named.IsDefined() ? named : node,
                  table.empty() ? "given rows without 'input'"
                                : fmt::format("there is no table '{}'", table),
                  contract::Suggest(table, tables));
      return;
    }
    const std::string what = fmt::format("the rows of {}", table);
    const size_t before = report_.count();
    const auto rows = ReadRows(Child(node, "rows"), Child(node, "format"), what, report_);
    const auto columns = NamedColumns(rows, *schema, what, report_);
    data::Schema named_columns;
    for (const std::string& name : columns)
      named_columns.fields.push_back(*schema->Find(name));
    auto typed = TypedRows(rows, named_columns, what, report_);
    if (!typed.ok()) {
      report_.Add(node, typed.error().message, "");
      return;
    }
    if (report_.count() != before) return;
    auto full = Complete(table, *schema, *typed);
    if (full.ok()) {
      CheckKey(table, *full, rows);
      step->given.push_back({table, *std::move(full)});
    } else {
      report_.Add(node, full.error().message, "");
    }
  }

  const std::vector<std::string>& KeyOf(const std::string& table) const {
    for (const plan::InputTable& source : plan_.sources) {
      if (data::SameName(source.name, table)) return source.key;
    }
    return plan_.Find(table)->key;
  }

  // All columns of the table. What a test leaves out is NULL, but key columns are a value
  // of their own in each row, and rows of bronze have the offsets they would have had.
  Result<data::Batch> Complete(const std::string& table, const data::Schema& schema,
                               const data::Batch& named) {
    const std::vector<std::string>& key = KeyOf(table);
    const int64_t count = named.num_rows();
    int64_t& first = offsets_[table];
    arrow::ArrayVector columns;
    for (const data::Field& field : schema.fields) {
      std::shared_ptr<arrow::Array> column = named.rows->GetColumnByName(field.name);
      const bool is_key = std::any_of(key.begin(), key.end(), [&](const auto& k) {
        return data::SameName(k, field.name);
      });
      const bool is_number =
          field.type.kind == Kind::kInt32 || field.type.kind == Kind::kInt64;
      if (column == nullptr && field.name == "_partition") {
        column = WEIR_ARROW(arrow::MakeArrayFromScalar(arrow::Int32Scalar(0), count));
      } else if (column == nullptr &&
                 (field.name == "_offset" || (is_key && is_number))) {
        std::unique_ptr<arrow::ArrayBuilder> numbers;
        WEIR_ARROW_OK(arrow::MakeBuilder(arrow::default_memory_pool(),
                                         data::ToArrow(field.type), &numbers));
        for (int64_t i = 0; i < count; ++i) {
          WEIR_ARROW_OK(numbers->AppendScalar(*WEIR_ARROW(
              arrow::MakeScalar(first + i)->CastTo(data::ToArrow(field.type)))));
        }
        column = WEIR_ARROW(numbers->Finish());
      } else if (column == nullptr && is_key && field.type.kind == Kind::kString) {
        arrow::StringBuilder names;
        for (int64_t i = 0; i < count; ++i)
          WEIR_ARROW_OK(names.Append(fmt::format("row-{}", first + i + 1)));
        column = WEIR_ARROW(names.Finish());
      } else if (column == nullptr) {
        column = WEIR_ARROW(arrow::MakeArrayOfNull(data::ToArrow(field.type), count));
      }
      columns.push_back(std::move(column));
    }
    first += count;
    return data::Batch{arrow::RecordBatch::Make(data::ToArrow(schema), count, columns),
                       {}};
  }

  void CheckKey(const std::string& table, const data::Batch& rows,
                const std::vector<TextRow>& texts) {
    const std::vector<std::string>& key = KeyOf(table);
    if (key.empty()) return;
    std::vector<int> columns;
    for (const std::string& name : key)
      columns.push_back(SchemaOf(plan_, table)->IndexOf(name));
    const auto encoded = data::EncodeKeys(*rows.rows, columns);
    if (!encoded.ok()) return;
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto [first, is_new] =
          keys_[table].emplace(std::string((*encoded)[i]), texts[i].line);
      if (!is_new)
        report_.Add(
            texts[i].line,
            fmt::format("two rows of {} have the same ({}); the other is on line {}",
                        table, fmt::join(key, ", "), first->second),
            "no table holds such rows: give each its own, or leave the column out");
    }
  }

  void ReadExpected(const YAML::Node& step_node, const data::Schema& output,
                    const std::string& model, UnitTestStep* step) {
    const YAML::Node node = Child(step_node, "expect");
    if (!node.IsDefined() || !node.IsMap()) {
      report_.Add(node.IsDefined() ? node : step_node, "nothing is expected",
                  "write 'expect:' and below it 'rows:'");
      return;
    }
    report_.KnownKeys(node, "expect", kExpectKeys);
    const std::string what = fmt::format("the expected rows of {}", model);
    const size_t before = report_.count();
    const auto rows = ReadRows(Child(node, "rows"), Child(node, "format"), what, report_);
    step->columns = NamedColumns(rows, output, what, report_);
    for (const TextRow& row : rows) {
      for (const std::string& column : step->columns) {
        if (std::any_of(row.cells.begin(), row.cells.end(), [&](const auto& cell) {
              return data::SameName(cell.first, column);
            }))
          continue;
        report_.Add(row.line,
                    fmt::format("{}: other rows say what '{}' is, this one does not",
                                what, column),
                    "write the same columns in every row, null where there is no value");
      }
    }
    if (step->columns.empty() && !rows.empty())
      report_.Add(node, fmt::format("{} name no column", what), "write '- {column: 1}'");
    for (const std::string& name : step->columns)
      step->schema.fields.push_back(*output.Find(name));
    if (report_.count() != before) return;
    // No rows: whatever is there shows with all its columns.
    if (rows.empty()) {
      step->schema = output;
      for (const data::Field& field : output.fields) step->columns.push_back(field.name);
    }
    auto typed = TypedRows(rows, step->schema, what, report_);
    if (typed.ok()) {
      step->expected = *std::move(typed);
    } else {
      report_.Add(node, typed.error().message, "");
    }
  }

  const std::string file_;
  const plan::Plan& plan_;
  contract::Report report_;
  std::vector<UnitTest> tests_;
  // Of the test at hand, by table: rows so far, and where each key stands.
  std::map<std::string, int64_t> offsets_;
  std::map<std::string, std::map<std::string, int>> keys_;
};

}  // namespace

std::vector<UnitTest> ParseUnitTests(const std::string& file, std::string_view text,
                                     const plan::Plan& plan,
                                     std::vector<contract::Problem>* problems) {
  return Parser(file, plan, problems).Parse(text);
}

}  // namespace weir::modeltest
