#include "ops/testing.h"

#include <arrow/api.h>

#include <charconv>
#include <cmath>

#include "base/check.h"
#include "data/arrow.h"
#include "ops/cells.h"

namespace weir::ops {
namespace {

using data::Kind;

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

__int128 ParseDecimal(std::string_view text, int scale) {
  __int128 value = 0;
  int digits = -1;
  const bool negative = text.starts_with('-');
  for (const char c : text.substr(negative ? 1 : 0)) {
    if (c == '.') {
      digits = 0;
      continue;
    }
    value = value * 10 + (c - '0');
    if (digits >= 0) ++digits;
  }
  for (int i = std::max(digits, 0); i < scale; ++i) value *= 10;
  return negative ? -value : value;
}

std::string DecimalText(__int128 value, int scale) {
  const bool negative = value < 0;
  auto magnitude = negative ? -static_cast<unsigned __int128>(value)
                            : static_cast<unsigned __int128>(value);
  std::string digits;
  for (; magnitude > 0 || static_cast<int>(digits.size()) <= scale; magnitude /= 10) {
    digits.insert(digits.begin(),
                  static_cast<char>('0' + static_cast<int>(magnitude % 10)));
  }
  if (scale > 0) digits.insert(digits.size() - static_cast<size_t>(scale), ".");
  return (negative ? "-" : "") + digits;
}

void AppendText(std::string_view text, CellColumn* column) {
  const data::Type& type = column->type();
  if (text == "NULL") return column->AppendNull();
  switch (type.kind) {
    case Kind::kBool:
      return column->AppendFixed(static_cast<uint8_t>(text == "true"));
    case Kind::kInt32:
    case Kind::kDate:
      return column->AppendFixed(static_cast<int32_t>(std::stol(std::string(text))));
    case Kind::kFloat:
      return column->AppendFixed(std::stof(std::string(text)));
    case Kind::kDouble:
      return column->AppendFixed(std::stod(std::string(text)));
    case Kind::kDecimal:
      return column->AppendFixed(ParseDecimal(text, type.scale));
    case Kind::kUuid:
      return column->Append(std::string(16 - std::min<size_t>(16, text.size()), '0') +
                            std::string(text));
    case Kind::kString:
    case Kind::kBinary:
      return column->Append(text == "''" ? "" : text);
    default:
      return column->AppendFixed(static_cast<int64_t>(std::stoll(std::string(text))));
  }
}

std::string ValueText(const data::Type& type, std::string_view bytes);

// "[1 2 NULL]", from the bytes of a list.
std::string ListText(const data::Type& type, std::string_view bytes) {
  const data::Type& element = type.fields[0].type;
  auto count = ReadAs<uint32_t>(bytes.data() + 1);
  bytes.remove_prefix(1 + sizeof count);
  std::string out = "[";
  for (; count > 0; --count) {
    const bool null = bytes[0] != 0;
    bytes.remove_prefix(1);
    auto size = static_cast<size_t>(null ? 0 : CellWidth(element));
    if (!null && size == 0) {
      size = ReadAs<uint32_t>(bytes.data());
      bytes.remove_prefix(sizeof(uint32_t));
    }
    out += out.size() == 1 ? "" : " ";
    out += null ? "NULL" : ValueText(element, bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return out + "]";
}

std::string ValueText(const data::Type& type, std::string_view bytes) {
  const char* cell = bytes.data();
  switch (type.kind) {
    case Kind::kBool:
      return *cell != 0 ? "true" : "false";
    case Kind::kInt32:
    case Kind::kDate:
      return std::to_string(ReadAs<int32_t>(cell));
    case Kind::kFloat:
      return fmt::format("{}", ReadAs<float>(cell));
    case Kind::kDouble:
      return fmt::format("{}", ReadAs<double>(cell));
    case Kind::kDecimal:
      return DecimalText(ReadAs<__int128>(cell), type.scale);
    case Kind::kUuid:
    case Kind::kString:
    case Kind::kBinary:
      return bytes.empty() ? "''" : std::string(bytes);
    case Kind::kList:
      return ListText(type, bytes);
    default:
      return std::to_string(ReadAs<int64_t>(cell));
  }
}

std::string CellText(const InputColumn& column, size_t row) {
  return column.IsNull(row) ? "NULL" : ValueText(column.type(), column.Cell(row));
}

}  // namespace

data::Schema SchemaFromText(std::string_view columns) {
  data::Schema schema;
  for (size_t at = 0; at < columns.size();) {
    size_t end = at;
    for (int depth = 0; end < columns.size() && (columns[end] != ',' || depth > 0);
         ++end) {
      depth += (columns[end] == '(') - (columns[end] == ')');
    }
    const std::vector<std::string> words = Split(columns.substr(at, end - at), ' ');
    at = end + 1;
    static const std::map<std::string, Kind> kKinds = {
        {"bool", Kind::kBool},     {"int32", Kind::kInt32},
        {"int", Kind::kInt64},     {"float", Kind::kFloat},
        {"double", Kind::kDouble}, {"date", Kind::kDate},
        {"time", Kind::kTime},     {"stamp", Kind::kTimestampTz},
        {"string", Kind::kString}, {"binary", Kind::kBinary},
        {"uuid", Kind::kUuid}};
    data::Field field{words.at(0), {}};
    const auto type_of = [](const std::string& word) {
      if (!word.starts_with("decimal(")) return data::Simple(kKinds.at(word));
      const std::vector<std::string> numbers =
          Split(std::string_view(word).substr(8, word.size() - 9), ',');
      return data::Decimal(std::stoi(numbers.at(0)), std::stoi(numbers.at(1)));
    };
    const std::string& word = words.at(1);
    field.type = word.ends_with("[]")
                     ? data::ListOf(type_of(word.substr(0, word.size() - 2)))
                     : type_of(word);
    schema.fields.push_back(std::move(field));
  }
  return schema;
}

data::Batch BatchFromText(const data::Schema& schema, std::string_view rows) {
  std::vector<CellColumn> columns;
  for (const data::Field& field : schema.fields) columns.emplace_back(field.type);
  data::Batch batch;
  bool only_plus = true;
  for (const std::string& row : Split(rows, ',')) {
    const std::vector<std::string> words = Split(row, ' ');
    WEIR_CHECK(words.size() == columns.size() + 1);
    batch.weights.push_back(words[0] == "+"   ? 1
                            : words[0] == "-" ? -1
                                              : std::stoi(words[0]));
    only_plus &= batch.weights.back() == 1;
    for (size_t i = 0; i < columns.size(); ++i) AppendText(words[i + 1], &columns[i]);
  }
  if (only_plus) batch.weights.clear();
  auto out = FinishRows(data::ToArrow(schema), columns);
  WEIR_CHECK(out.ok());
  batch.rows = *std::move(out);
  return batch;
}

std::string TextFromBatch(const data::Schema& schema, const data::Batch& batch) {
  std::vector<InputColumn> columns;
  for (size_t i = 0; i < schema.fields.size(); ++i) {
    auto column =
        InputColumn::Make(batch.rows->column(static_cast<int>(i)), schema.fields[i].type);
    WEIR_CHECK(column.ok());
    columns.push_back(*std::move(column));
  }
  std::string out;
  for (int64_t row = 0; row < batch.num_rows(); ++row) {
    const int32_t weight = batch.weight(row);
    if (row > 0) out += ", ";
    out += weight == 1 ? "+" : weight == -1 ? "-" : fmt::format("{:+}", weight);
    for (const InputColumn& column : columns)
      out += " " + CellText(column, static_cast<size_t>(row));
  }
  return out;
}

class OperatorTest::Collector final : public Emitter {
 public:
  Status Emit(data::Batch changes) override {
    batches.push_back(std::move(changes));
    return {};
  }
  std::vector<data::Batch> batches;
};

OperatorTest::OperatorTest(data::Schema input, data::Schema output, Make make)
    : OperatorTest(std::vector{std::move(input)}, std::move(output), std::move(make)) {}

OperatorTest::OperatorTest(std::vector<data::Schema> inputs, data::Schema output,
                           Make make)
    : inputs_(std::move(inputs)),
      output_(std::move(output)),
      make_(std::move(make)),
      collector_(std::make_unique<Collector>()) {
  store_ = *state::Store::Open(io_, "state", Epoch{0}, {.deterministic = true});
  Restart();
}

OperatorTest::~OperatorTest() = default;

void OperatorTest::Restart() {
  checkpoint_ = {};
  auto op = make_(store_.get());
  if (!op.ok()) fmt::print(stderr, "{}\n", op.error().message);
  op_ = *std::move(op);
}

Status OperatorTest::Process(data::Batch batch) { return Process(0, std::move(batch)); }
Status OperatorTest::Process(int port, data::Batch batch) {
  return op_->Process(port, std::move(batch), *collector_);
}
Status OperatorTest::Flush() { return op_->Flush(*collector_); }
std::vector<data::Batch> OperatorTest::TakeEmitted() {
  return std::exchange(collector_->batches, {});
}

std::string OperatorTest::Feed(std::string_view rows) {
  if (Status status = Process(BatchFromText(inputs_[0], rows)); !status.ok())
    return status.error().message;
  if (Status status = Flush(); !status.ok()) return status.error().message;
  std::string out;
  for (const data::Batch& batch : TakeEmitted())
    out += (out.empty() ? "" : ", ") + TextFromBatch(output_, batch);
  return out;
}

std::string OperatorTest::Step(std::initializer_list<std::string_view> ports) {
  int port = 0;
  for (const std::string_view rows : ports) {
    const data::Schema& input = inputs_[static_cast<size_t>(port)];
    if (Status status = Process(port++, BatchFromText(input, rows)); !status.ok())
      return status.error().message;
  }
  if (Status status = Flush(); !status.ok()) return status.error().message;
  return EmittedText();
}

std::string OperatorTest::Advance(Micros time) {
  if (Status status = op_->Advance(time, *collector_); !status.ok())
    return status.error().message;
  return EmittedText();
}

std::string OperatorTest::EmittedText() {
  std::map<std::string, int64_t> rows;
  for (const data::Batch& batch : TakeEmitted()) {
    for (int64_t row = 0; row < batch.num_rows(); ++row)
      rows[TextFromBatch(output_, {batch.rows->Slice(row, 1), {}}).substr(1)] +=
          batch.weight(row);
  }
  std::string out;
  for (const auto& [row, weight] : rows) {
    if (weight == 0) continue;
    out += out.empty() ? "" : ", ";
    out += (weight == 1 ? "+" : weight == -1 ? "-" : fmt::format("{:+}", weight)) + row;
  }
  return out;
}

void OperatorTest::Commit() {
  Checkpoint();
  Committed();
}

void OperatorTest::Checkpoint() {
  WEIR_CHECK(checkpoint_.empty());
  const Status status = op_->Checkpoint(checkpoint_);
  if (!status.ok()) fmt::print(stderr, "{}\n", status.error().message);
  WEIR_CHECK(status.ok());
}

void OperatorTest::Committed() {
  WEIR_CHECK(store_->Apply(checkpoint_, Next(store_->applied())).ok());
  checkpoint_ = {};
  op_->Committed();
}

}  // namespace weir::ops
