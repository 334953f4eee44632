#include "flow/drift.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace weir::flow {
namespace {

using data::Kind;

// Walks an `_extra` text, which the decoder has checked, and names what no field
// declares.
class ExtraKeys {
 public:
  // Names that are `known` are passed over.
  ExtraKeys(std::string_view text, const std::set<std::string, std::less<>>& known,
            std::set<std::string>* out)
      : text_(text), known_(known), out_(out) {}

  void Walk(const std::vector<data::Field>& declared) { Object(&declared); }

 private:
  char Peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' ||
                                  text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  std::string_view String() {
    const size_t from = ++at_;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    const size_t end = std::min(at_, text_.size());
    ++at_;
    return text_.substr(from, end - from);
  }

  // One value of a field that no declaration goes into.
  void Skip() {
    int depth = 0;
    do {
      const char c = Peek();
      if (c == '\0') return;
      if (c == '"') {
        String();
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at_;
      if (depth > 0 || c == '}' || c == ']') continue;
      while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '}' &&
             text_[at_] != ']')
        ++at_;
    } while (depth > 0);
  }

  void Object(const std::vector<data::Field>* declared) {
    if (Peek() != '{') return Skip();
    ++at_;
    while (Peek() == '"') {
      const std::string_view key = String();
      if (Peek() == ':') ++at_;
      const size_t before = path_.size();
      if (!path_.empty()) path_ += '.';
      path_ += key;
      const data::Field* field = nullptr;
      for (const data::Field& one : *declared) {
        if (one.name == key) field = &one;
      }
      if (field == nullptr) {
        if (!known_.contains(path_)) out_->insert(path_);
        Skip();
      } else {
        Value(field->type);
      }
      path_.resize(before);
      if (Peek() != ',') break;
      ++at_;
    }
    if (Peek() == '}') ++at_;
  }

  void Value(const data::Type& type) {
    if (type.kind == Kind::kStruct) return Object(&type.fields);
    if (type.kind != Kind::kList || Peek() != '[') return Skip();
    ++at_;
    path_ += "[]";
    while (Peek() != ']' && Peek() != '\0') {
      Value(type.fields[0].type);
      if (Peek() == ',') ++at_;
    }
    ++at_;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string path_;
  const std::set<std::string, std::less<>>& known_;
  std::set<std::string>* const out_;
};

template <class Array>
const Array* ColumnOf(const data::Batch& batch, const std::string& name) {
  return static_cast<const Array*>(batch.rows->GetColumnByName(name).get());
}

}  // namespace

std::string DriftJson(const Drift& drift) {
  return nlohmann::json{
      {"source", drift.source},   {"contract_version", drift.contract_version},
      {"field", drift.field},     {"what", drift.vanished ? "vanished" : "undeclared"},
      {"records", drift.records}, {"partition", drift.partition},
      {"offset", drift.offset}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Status DriftWatch::Replay(const log::Journal::Entry& entry) {
  if (entry.kind != "drift") return {};
  const auto json = ParseJson(entry.json);
  try {
    Source& source = sources_[{json.at("source").get<std::string>(),
                               json.at("contract_version").get<std::string>()}];
    if (json.at("what") == "carried") {
      source.records = source.journalled = IntegerOf<int64_t>(json.at("records"));
      for (const auto& [field, records] : json.at("fields").items())
        source.carried[field] = IntegerOf<int64_t>(records);
      return {};
    }
    (json.at("what") == "vanished" ? source.vanished : source.undeclared)
        .insert(json.at("field").get<std::string>());
  } catch (const nlohmann::json::exception& e) {
    return Corrupt(fmt::format("journal entry {}, a drift: {}", entry.number, e.what()));
  }
  return {};
}

std::optional<std::string> DriftWatch::CarriedJson(const contract::Contract& contract) {
  Source& source = sources_[{contract.name, contract.version}];
  if (source.records < std::max<int64_t>(10, 10 * source.journalled)) return std::nullopt;
  source.journalled = source.records;
  return nlohmann::json{{"source", contract.name},
                        {"contract_version", contract.version},
                        {"what", "carried"},
                        {"records", source.records},
                        {"fields", source.carried}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::vector<Drift> DriftWatch::Look(const contract::Contract& contract,
                                    const data::Batch& accepted, int partition,
                                    int64_t offset) {
  std::vector<Drift> out;
  if (accepted.num_rows() == 0) return out;
  Source& source = sources_[{contract.name, contract.version}];
  LookForUndeclared(contract, accepted, source, &out);
  for (Drift& drift : out) drift.partition = partition;
  LookForVanished(contract, accepted, partition, offset, source, &out);
  source.records += accepted.num_rows();
  for (Drift& drift : out) {
    drift.source = contract.name;
    drift.contract_version = contract.version;
    if (drift.offset < 0) drift.offset = offset;
  }
  return out;
}

void DriftWatch::LookForUndeclared(const contract::Contract& contract,
                                   const data::Batch& accepted, Source& source,
                                   std::vector<Drift>* out) {
  const auto* extra = ColumnOf<arrow::StringArray>(accepted, "_extra");
  if (extra == nullptr || extra->null_count() == extra->length()) return;
  const auto* offsets = ColumnOf<arrow::Int64Array>(accepted, "_offset");
  std::map<std::string, Drift> fresh;
  std::set<std::string> names;
  for (int64_t row = 0; row < extra->length(); ++row) {
    if (extra->IsNull(row)) continue;
    names.clear();
    ExtraKeys(extra->GetView(row), source.undeclared, &names)
        .Walk(contract.schema.fields);
    for (const std::string& name : names) {
      Drift& drift = fresh[name];
      if (drift.records++ == 0)
        drift.offset = offsets == nullptr ? -1 : offsets->Value(row);
    }
  }
  for (auto& [name, drift] : fresh) {
    if (source.undeclared.size() >= kFieldsMax) return;
    source.undeclared.insert(name);
    drift.field = name;
    out->push_back(std::move(drift));
  }
}

void DriftWatch::LookForVanished(const contract::Contract& contract,
                                 const data::Batch& accepted, int partition,
                                 int64_t offset, Source& source,
                                 std::vector<Drift>* out) {
  const auto* absent = ColumnOf<arrow::ListArray>(accepted, "_absent");
  if (absent == nullptr) return;
  const auto& paths = static_cast<const arrow::StringArray&>(*absent->values());
  const auto lacks = [&](int64_t row, std::string_view name) {
    if (absent->IsNull(row)) return false;
    for (int64_t i = absent->value_offset(row); i < absent->value_offset(row + 1); ++i) {
      if (paths.GetView(i) == name) return true;
    }
    return false;
  };
  for (size_t i = 0; i < contract.schema.fields.size(); ++i) {
    const data::Field& field = contract.schema.fields[i];
    if (field.required || source.vanished.contains(field.name)) continue;
    const arrow::Array& column = *accepted.rows->column(static_cast<int>(i));
    bool all = column.null_count() == column.length();
    for (int64_t row = 0; all && row < column.length(); ++row)
      all = lacks(row, field.name);
    if (!all) {  // of nulls, what is there and what is lacking is not told apart
      source.carried[field.name] +=
          std::max<int64_t>(1, column.length() - column.null_count());
      source.without.erase(field.name);
      continue;
    }
    Source::Run& run = source.without[field.name];
    if (run.records == 0) run = {0, offset, partition};
    run.records += column.length();
    const auto carried = source.carried.find(field.name);
    if (carried == source.carried.end() || run.records < kVanishedAfter) continue;
    const int64_t before = source.records + column.length() - run.records;
    if (run.records < kVanishedGaps * (before / carried->second)) continue;
    source.vanished.insert(field.name);
    Drift drift;
    drift.field = field.name;
    drift.vanished = true;
    drift.records = run.records;
    drift.partition = run.partition;
    drift.offset = run.offset;
    out->push_back(std::move(drift));
    source.without.erase(field.name);
  }
}

}  // namespace weir::flow
