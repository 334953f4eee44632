#include <arrow/api.h>
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/hash.h"
#include "contract/contract.h"
#include "contract/leaf_internal.h"
#include "contract/word_set_internal.h"

namespace weir::contract {
namespace {

using data::Kind;

constexpr size_t kActualBytes = 200;
constexpr size_t kListedValues = 12;
constexpr size_t kAllowedMax = 10'000;
constexpr uint32_t kFine = UINT32_MAX;

// A condition with everything about it that does not depend on the batch.
struct Rule {
  Condition condition;
  LeafPath path;
  int codes = -1;       // of its own values, when it is an enumeration of strings
  int when_codes = -1;  // of the field it asks for
  std::vector<bool> allowed_codes, when_set;  // by code
  std::vector<double> allowed_numbers;
  std::shared_ptr<const RE2> pattern;
};

// A string field whose values are compared with few known words: each is looked up once a
// batch, whoever asks.
struct CodedField {
  std::string path;
  LeafPath leaf;
  WordSet words;
};

std::string Cut(std::string text) {
  if (text.size() <= kActualBytes) return text;
  size_t size = kActualBytes;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

std::string ListOfWords(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < std::min(words.size(), kListedValues); ++i)
    text += (i == 0 ? "" : ", ") + words[i];
  if (words.size() > kListedValues) text += ", …";
  return text;
}

int64_t CodePoints(std::string_view text) {
  int64_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

// "route[3].lat" -> "route[].lat"; map keys cannot be told from fields here and stay.
std::string WithoutIndices(std::string_view path) {
  std::string out;
  bool inside = false;
  for (const char c : path) {
    if (c == ']') inside = false;
    if (!inside) out += c;
    if (c == '[') inside = true;
  }
  return out;
}

// `ancestor` is `path` itself or an object around it.
bool Covers(std::string_view ancestor, std::string_view path) {
  return path.starts_with(ancestor) &&
         (path.size() == ancestor.size() || path[ancestor.size()] == '.' ||
          path[ancestor.size()] == '[');
}

class RuleChecker final : public Checker {
 public:
  Result<std::vector<Rejection>> Check(const codec::DecodedRows& decoded) const override;

  data::Schema schema;
  std::vector<Rule> rules;
  std::vector<CodedField> coded;
};

// One call of Check.
class Run {
 public:
  Run(const RuleChecker& checker, const codec::DecodedRows& decoded)
      : checker_(checker),
        decoded_(decoded),
        rows_(*decoded.rows),
        best_(static_cast<size_t>(rows_.num_rows()), kFine),
        at_(best_.size()) {}

  std::vector<Rejection> All() {
    TakeFaults();
    for (const CodedField& field : checker_.coded) codes_.push_back(CodesOf(field));
    leaves_.reserve(checker_.rules.size());
    for (size_t i = 0; i < checker_.rules.size(); ++i)
      Apply(checker_.rules[i], static_cast<uint32_t>(i));
    std::vector<Rejection> out;
    for (size_t row = 0; row < best_.size(); ++row) {
      if (best_[row] != kFine) out.push_back(Tell(static_cast<int32_t>(row)));
    }
    return out;
  }

 private:
  // The strongest is the smallest: reason first, then the place of the rule in the
  // contract. `at`: the value in its leaf.
  void Blame(int32_t row, Reason reason, uint32_t rule, int64_t at) {
    const uint32_t blame = static_cast<uint32_t>(reason) << 24 | rule;
    if (blame >= best_[static_cast<size_t>(row)]) return;
    best_[static_cast<size_t>(row)] = blame;
    at_[static_cast<size_t>(row)] = at;
  }

  void TakeFaults() {
    for (const codec::RowFault& fault : decoded_.faults) {
      switch (fault.fault) {
        case codec::Fault::kNotJson:
          Blame(fault.row, Reason::kNotJson, 0, 0);
          break;
        case codec::Fault::kNotCsv:
          Blame(fault.row, Reason::kNotCsv, 0, 0);
          break;
        case codec::Fault::kTooLarge:
          Blame(fault.row, Reason::kTooLarge, 0, 0);
          break;
        case codec::Fault::kWrongType:
          Blame(fault.row, Reason::kWrongType, RuleOf(fault.field), 0);
          break;
      }
    }
  }

  uint32_t RuleOf(std::string_view fault_path) const {
    const std::string path = WithoutIndices(fault_path);
    uint32_t best = 0;
    for (uint32_t i = 0; i < checker_.rules.size(); ++i) {
      if (Covers(checker_.rules[i].condition.path, path)) best = i;
    }
    return best;
  }

  std::vector<uint16_t> CodesOf(const CodedField& field) const {
    const Leaf leaf = LeafOf(rows_, field.leaf);
    const auto& strings = static_cast<const arrow::StringArray&>(*leaf.values);
    std::vector<uint16_t> codes(static_cast<size_t>(leaf.last - leaf.first),
                                WordSet::kNull);
    for (int64_t i = leaf.first; i < leaf.last; ++i) {
      if (strings.IsValid(i))
        codes[static_cast<size_t>(i - leaf.first)] = field.words.Find(strings.GetView(i));
    }
    return codes;
  }

  void Apply(const Rule& rule, uint32_t index) {
    const Condition& c = rule.condition;
    const Leaf& leaf = leaves_.emplace_back(LeafOf(rows_, rule.path));
    if (c.required || !c.when_field.empty()) CheckRequired(rule, index, leaf);
    if (!c.allowed.empty()) CheckAllowed(rule, index, leaf);
    if (c.minimum || c.maximum) CheckRange(rule, index, leaf);
    if (rule.pattern != nullptr) CheckPattern(rule, index, leaf);
    if (c.length_min || c.length_max) CheckLength(rule, index, leaf);
  }

  void CheckRequired(const Rule& rule, uint32_t index, const Leaf& leaf) {
    if (leaf.values->null_count() == 0) return;
    const std::vector<uint16_t>* codes =
        rule.when_codes < 0 ? nullptr : &codes_[static_cast<size_t>(rule.when_codes)];
    for (int64_t i = leaf.first; i < leaf.last; ++i) {
      if (leaf.values->IsValid(i)) continue;
      if (codes != nullptr && !rule.when_set[(*codes)[static_cast<size_t>(i)]]) continue;
      if (leaf.parent != nullptr && leaf.parent->IsNull(i)) continue;
      const int32_t row = leaf.row(i);
      const uint32_t best = best_[static_cast<size_t>(row)];
      if (best >> 24 < static_cast<uint32_t>(Reason::kMissingField)) continue;
      // Null because what stood there has another type: that is not missing.
      if (HasWrongType(row, rule.condition.path)) continue;
      Blame(row, Reason::kMissingField, index, i);
    }
  }

  bool HasWrongType(int32_t row, std::string_view path) const {
    auto fault =
        std::lower_bound(decoded_.faults.begin(), decoded_.faults.end(), row,
                         [](const codec::RowFault& f, int32_t r) { return f.row < r; });
    for (; fault != decoded_.faults.end() && fault->row == row; ++fault) {
      if (fault->fault == codec::Fault::kWrongType &&
          Covers(WithoutIndices(fault->field), path))
        return true;
    }
    return false;
  }

  void CheckAllowed(const Rule& rule, uint32_t index, const Leaf& leaf) {
    if (rule.codes >= 0) {
      const std::vector<uint16_t>& codes = codes_[static_cast<size_t>(rule.codes)];
      for (int64_t i = leaf.first; i < leaf.last; ++i) {
        const uint16_t code = codes[static_cast<size_t>(i - leaf.first)];
        if (!rule.allowed_codes[code])
          Blame(leaf.row(i), Reason::kUnknownValue, index, i);
      }
      return;
    }
    ForNumbers(rule, leaf, [&](int64_t i, double value) {
      if (!std::binary_search(rule.allowed_numbers.begin(), rule.allowed_numbers.end(),
                              value)) {
        Blame(leaf.row(i), Reason::kUnknownValue, index, i);
      }
    });
  }

  void CheckRange(const Rule& rule, uint32_t index, const Leaf& leaf) {
    const Condition& c = rule.condition;
    const double low = c.minimum.value_or(-INFINITY), high = c.maximum.value_or(INFINITY);
    const bool low_open = c.exclusive_minimum, high_open = c.exclusive_maximum;
    ForNumbers(rule, leaf, [&](int64_t i, double value) {
      const bool inside = (low_open ? value > low : value >= low) &&
                          (high_open ? value < high : value <= high);
      if (!inside) Blame(leaf.row(i), Reason::kOutOfRange, index, i);
    });
  }

  // Calls f(i, value) for every value that is not null, as a double; bounds are doubles
  // too.
  template <class F>
  void ForNumbers(const Rule& rule, const Leaf& leaf, F&& f) const {
    switch (rule.path.type.kind) {
      case Kind::kInt32:
      case Kind::kDate:
        return ForRaw<int32_t>(leaf, f);
      case Kind::kInt64:
      case Kind::kTime:
      case Kind::kTimestamp:
      case Kind::kTimestampTz:
        return ForRaw<int64_t>(leaf, f);
      case Kind::kFloat:
        return ForRaw<float>(leaf, f);
      case Kind::kDouble:
        return ForRaw<double>(leaf, f);
      case Kind::kDecimal: {
        const auto& decimals = static_cast<const arrow::Decimal128Array&>(*leaf.values);
        for (int64_t i = leaf.first; i < leaf.last; ++i) {
          if (decimals.IsValid(i))
            f(i, arrow::Decimal128(decimals.GetValue(i)).ToDouble(rule.path.type.scale));
        }
        return;
      }
      default:
        return;
    }
  }

  template <class T, class F>
  static void ForRaw(const Leaf& leaf, F&& f) {
    const T* values = leaf.values->data()->GetValues<T>(1);
    if (leaf.values->null_count() == 0) {
      for (int64_t i = leaf.first; i < leaf.last; ++i)
        f(i, static_cast<double>(values[i]));
      return;
    }
    for (int64_t i = leaf.first; i < leaf.last; ++i) {
      if (leaf.values->IsValid(i)) f(i, static_cast<double>(values[i]));
    }
  }

  void CheckPattern(const Rule& rule, uint32_t index, const Leaf& leaf) {
    const auto& strings = static_cast<const arrow::StringArray&>(*leaf.values);
    for (int64_t i = leaf.first; i < leaf.last; ++i) {
      if (strings.IsNull(i)) continue;
      if (!RE2::FullMatch(strings.GetView(i), *rule.pattern))
        Blame(leaf.row(i), Reason::kPatternMismatch, index, i);
    }
  }

  void CheckLength(const Rule& rule, uint32_t index, const Leaf& leaf) {
    const int64_t low = rule.condition.length_min.value_or(0),
                  high = rule.condition.length_max.value_or(INT64_MAX);
    for (int64_t i = leaf.first; i < leaf.last; ++i) {
      if (leaf.values->IsNull(i)) continue;
      const int64_t length = LengthOf(rule, leaf, i);
      if (length < low || length > high)
        Blame(leaf.row(i), Reason::kWrongLength, index, i);
    }
  }

  static int64_t LengthOf(const Rule& rule, const Leaf& leaf, int64_t i) {
    const auto* offsets = leaf.values->data()->GetValues<int32_t>(1);
    if (rule.path.type.kind != Kind::kString) return offsets[i + 1] - offsets[i];
    return CodePoints(static_cast<const arrow::StringArray&>(*leaf.values).GetView(i));
  }

  Rejection Tell(int32_t row) const {
    const uint32_t best = best_[static_cast<size_t>(row)];
    const auto reason = static_cast<Reason>(best >> 24);
    const Rule* rule =
        checker_.rules.empty() ? nullptr : &checker_.rules[best & 0xFFFFFF];
    Rejection out{row, reason, "", "", ""};
    switch (reason) {
      case Reason::kNotJson:
      case Reason::kNotCsv:
      case Reason::kTooLarge:
        out.expected = reason == Reason::kNotJson  ? "one JSON object"
                       : reason == Reason::kNotCsv ? "one CSV record of the columns"
                                                   : "a smaller record";
        out.actual = FaultOf(row, "").actual;
        return out;
      case Reason::kWrongType: {
        const codec::RowFault& fault =
            FaultOf(row, rule == nullptr ? "" : rule->condition.path);
        out.field = fault.field;
        out.expected = rule == nullptr ? "" : TypeText(rule->path.type);
        out.actual = fault.actual;
        return out;
      }
      case Reason::kMissingField:
        out.expected = RequiredText(*rule);
        break;
      case Reason::kUnknownValue:
        out.expected = "one of " + ListOfWords(rule->condition.allowed);
        break;
      case Reason::kOutOfRange:
        out.expected = RangeText(*rule);
        break;
      case Reason::kPatternMismatch:
        out.expected = "text that matches " + rule->condition.pattern;
        break;
      case Reason::kWrongLength:
        out.expected = LengthText(*rule);
        break;
      case Reason::kDuplicateKey:  // told by whoever has seen the other record
        break;
    }
    out.field = rule->condition.path;
    if (reason == Reason::kMissingField) {
      out.actual = IsAbsent(row, out.field) ? "absent" : "null";
    } else {
      out.actual = ActualText(*rule, leaves_[best & 0xFFFFFF], reason,
                              at_[static_cast<size_t>(row)]);
    }
    return out;
  }

  // The row's first fault at the path; the row's first when the path has none.
  const codec::RowFault& FaultOf(int32_t row, std::string_view path) const {
    const auto first =
        std::lower_bound(decoded_.faults.begin(), decoded_.faults.end(), row,
                         [](const codec::RowFault& f, int32_t r) { return f.row < r; });
    for (auto fault = first; fault != decoded_.faults.end() && fault->row == row;
         ++fault) {
      if (Covers(path, WithoutIndices(fault->field))) return *fault;
    }
    return *first;
  }

  bool IsAbsent(int32_t row, std::string_view path) const {
    const auto& lists = static_cast<const arrow::ListArray&>(*rows_.columns().back());
    if (lists.IsNull(row)) return false;
    const auto& paths = static_cast<const arrow::StringArray&>(*lists.values());
    for (int64_t i = lists.value_offset(row); i < lists.value_offset(row + 1); ++i) {
      if (Covers(WithoutIndices(paths.GetView(i)), path)) return true;
    }
    return false;
  }

  std::string ActualText(const Rule& rule, const Leaf& leaf, Reason reason,
                         int64_t at) const {
    if (reason == Reason::kWrongLength) {
      return fmt::format("{} {}", LengthOf(rule, leaf, at), LengthUnit(rule));
    }
    const auto scalar = leaf.values->GetScalar(at);
    return scalar.ok() ? Cut((*scalar)->ToString()) : std::string();
  }

  static std::string RequiredText(const Rule& rule) {
    if (rule.condition.when_field.empty()) return "a value";
    return fmt::format("a value when {} is {}", rule.condition.when_field,
                       ListOfWords(rule.condition.when_values));
  }

  static std::string TypeText(const data::Type& type) {
    switch (type.kind) {
      case Kind::kBool:
        return "true or false";
      case Kind::kInt32:
        return "a whole number of 32 bits";
      case Kind::kInt64:
        return "a whole number of 64 bits";
      case Kind::kFloat:
      case Kind::kDouble:
        return "a number that fits a double";
      case Kind::kDecimal:
        return fmt::format("a number that fits decimal({},{})", type.precision,
                           type.scale);
      case Kind::kDate:
        return "a date such as \"2018-01-31\"";
      case Kind::kTime:
        return "a time such as \"18:24:44\"";
      case Kind::kTimestamp:
        return "a timestamp without zone such as \"2018-01-31T18:24:44\"";
      case Kind::kTimestampTz:
        return "a timestamp with a zone such as \"2018-01-31T18:24:44.000Z\"";
      case Kind::kString:
        return "a string";
      case Kind::kBinary:
        return "a string in base64";
      case Kind::kUuid:
        return "a UUID";
      case Kind::kStruct:
      case Kind::kMap:
        return "an object";
      case Kind::kList:
        return "an array";
    }
    return "";
  }

  static std::string BoundText(const Rule& rule, double bound) {
    switch (rule.path.type.kind) {
      case Kind::kTimestamp:
      case Kind::kTimestampTz:
        return FormatTimestamp(static_cast<Micros>(bound));
      case Kind::kDate:
        return FormatDate(static_cast<int32_t>(bound));
      default:
        return fmt::format("{}", bound);
    }
  }

  static std::string RangeText(const Rule& rule) {
    const Condition& c = rule.condition;
    std::string text;
    if (c.minimum)
      text = fmt::format("{} {}",
                         c.exclusive_minimum ? ">" : ">=", BoundText(rule, *c.minimum));
    if (c.maximum) {
      text += fmt::format("{}{} {}", text.empty() ? "" : " and ",
                          c.exclusive_maximum ? "<" : "<=", BoundText(rule, *c.maximum));
    }
    return text;
  }

  static const char* LengthUnit(const Rule& rule) {
    return rule.path.type.kind == Kind::kList     ? "elements"
           : rule.path.type.kind == Kind::kString ? "characters"
                                                  : "bytes";
  }

  static std::string LengthText(const Rule& rule) {
    const Condition& c = rule.condition;
    const char* unit = LengthUnit(rule);
    if (!c.length_max) return fmt::format("at least {} {}", *c.length_min, unit);
    if (!c.length_min) return fmt::format("at most {} {}", *c.length_max, unit);
    return fmt::format("{} to {} {}", *c.length_min, *c.length_max, unit);
  }

  const RuleChecker& checker_;
  const codec::DecodedRows& decoded_;
  const arrow::RecordBatch& rows_;
  std::vector<uint32_t> best_;
  std::vector<int64_t> at_;
  std::vector<Leaf> leaves_;                  // by rule
  std::vector<std::vector<uint16_t>> codes_;  // by coded field
};

Result<std::vector<Rejection>> RuleChecker::Check(
    const codec::DecodedRows& decoded) const {
  if (decoded.rows->num_columns() != static_cast<int>(schema.fields.size()) + 2) {
    return Internal("rows to check were decoded under another contract");
  }
  return Run(*this, decoded).All();
}

size_t CodedFor(RuleChecker& checker, const std::string& path) {
  for (size_t i = 0; i < checker.coded.size(); ++i) {
    if (checker.coded[i].path == path) return i;
  }
  checker.coded.push_back({path, FindLeaf(checker.schema, path), {}});
  return checker.coded.size() - 1;
}

}  // namespace

Result<std::unique_ptr<Checker>> NewChecker(const Contract& contract) {
  auto checker = std::make_unique<RuleChecker>();
  checker->schema = contract.schema;
  // All words of a field are known before codes are given out.
  for (const Condition& condition : contract.conditions) {
    if (condition.allowed.size() > kAllowedMax) {
      return Invalid(fmt::format("{} lists {} values; {} are the most", condition.path,
                                 condition.allowed.size(), kAllowedMax));
    }
    Rule rule{condition, FindLeaf(contract.schema, condition.path)};
    if (!condition.allowed.empty() && rule.path.type.kind == Kind::kString) {
      rule.codes = static_cast<int>(CodedFor(*checker, condition.path));
      for (const std::string& word : condition.allowed)
        checker->coded[static_cast<size_t>(rule.codes)].words.Add(word);
    }
    if (!condition.when_field.empty()) {
      rule.when_codes = static_cast<int>(CodedFor(*checker, condition.when_field));
      for (const std::string& word : condition.when_values)
        checker->coded[static_cast<size_t>(rule.when_codes)].words.Add(word);
    }
    if (!condition.pattern.empty()) {
      rule.pattern = std::make_shared<RE2>(condition.pattern, RE2::Quiet);
      if (!rule.pattern->ok())
        return Invalid(
            fmt::format("the pattern of {}: {}", condition.path, rule.pattern->error()));
    }
    if (!condition.allowed.empty() && rule.codes < 0) {
      for (const std::string& word : condition.allowed) {
        double number;
        if (std::from_chars(word.data(), word.data() + word.size(), number).ec ==
            std::errc())
          rule.allowed_numbers.push_back(number);
      }
      std::sort(rule.allowed_numbers.begin(), rule.allowed_numbers.end());
    }
    checker->rules.push_back(std::move(rule));
  }
  for (Rule& rule : checker->rules) {
    if (rule.codes >= 0) {
      rule.allowed_codes = checker->coded[static_cast<size_t>(rule.codes)].words.Mask(
          rule.condition.allowed);
      rule.allowed_codes[WordSet::kNull] = true;
    }
    if (rule.when_codes >= 0) {
      rule.when_set = checker->coded[static_cast<size_t>(rule.when_codes)].words.Mask(
          rule.condition.when_values);
    }
  }
  return std::unique_ptr<Checker>(std::move(checker));
}

}  // namespace weir::contract
