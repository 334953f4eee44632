#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/time.h"
#include "codec/json_number.h"
#include "codec/json_reader_internal.h"
#include "codec/json_string.h"

namespace weir::codec {
namespace {

using data::Kind;

constexpr size_t kActualBytes = 200;
constexpr size_t kFaultsPerRecord = 64;
constexpr size_t kLookAhead = 64;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool IsDigit(char c) { return static_cast<unsigned char>(c - '0') <= 9; }
bool StartsNumber(char c) { return c == '-' || IsDigit(c); }

// What may stand right behind a number or literal.
constexpr std::array<bool, 256> kEndsScalar = [] {
  std::array<bool, 256> ends{};
  for (const char c : {' ', '\t', '\n', '\r', ',', ']', '}'})
    ends[static_cast<unsigned char>(c)] = true;
  return ends;
}();

constexpr std::array<double, 23> kPowersOfTen = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// The first bytes of `text`, whole characters only.
std::string_view Cut(std::string_view text) {
  if (text.size() <= kActualBytes) return text;
  size_t size = kActualBytes;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

size_t LongestName(const Node& node) {
  size_t longest = node.quoted_size;
  for (const auto& child : node.children)
    longest = std::max(longest, LongestName(*child));
  return longest;
}

}  // namespace

JsonReader::JsonReader(const JsonOptions& options, Node* root,
                       std::span<uint64_t> static_seen)
    : options_(options),
      root_(root),
      static_seen_(static_seen),
      look_ahead_(kLookAhead + LongestName(*root)) {}

bool JsonReader::EndsScalar(char c) { return kEndsScalar[static_cast<unsigned char>(c)]; }

void JsonReader::BeginBlock(const char* block, size_t start, size_t end,
                            const uint32_t* tokens) {
  block_ = block;
  base_ = block + start;
  token_ = tokens;
  escapes_ = std::memchr(base_, '\\', end - start) != nullptr;
  if (escapes_ && arena_.size() < end - start + kLookAhead)
    arena_.resize(end - start + kLookAhead);
}

void JsonReader::Shrink() {
  arena_ = {};
  keys_ = {};
  trail_ = {};
}

bool JsonReader::ReadRecord(int64_t row, size_t start, size_t end,
                            std::vector<RowFault>* faults) {
  row_ = row;
  start_ = start;
  faults_ = faults;
  depth_ = 0;
  arena_used_ = 0;
  keys_.clear();
  if (!absent_elements_.empty()) absent_elements_.clear();
  std::fill(static_seen_.begin(), static_seen_.end(), 0);
  trail_.Begin(root_);
  bool ok;
  if (Here() != '{') {
    ok = Bad("not an object");
  } else {
    root_->MarkSeen(root_->present_bit());
    ok = Enter() && ReadObject(*root_, row);
    if (ok && At() != block_ + end + 1) ok = Bad("text after the object");
    if (ok) trail_.Pop();
  }
  SkipRecord(end);
  return ok;
}

void JsonReader::SkipRecord(size_t end) {
  const char* const separator = block_ + end + 1;
  while (At() < separator) ++token_;
  ++token_;
}

std::string JsonReader::Complaint() const {
  return fmt::format("{} at byte {}", complaint_, complaint_at_);
}

bool JsonReader::Bad(const char* what) {
  complaint_ = what;
  complaint_at_ = static_cast<size_t>(At() - (block_ + start_));
  return false;
}

bool JsonReader::Enter() {
  if (++depth_ > options_.depth_max) return Bad("nested too deep");
  return true;
}

bool JsonReader::ReadObject(Node& node, int64_t row) {
  ++token_;
  const size_t keys_first = keys_.size();
  if (Here() == '}') {
    ++token_;
  } else {
    auto guess = static_cast<uint32_t>(node.children.size());
    for (;;) {
      Node* child;
      std::string_view quoted;
      if (!ReadKey(node, &guess, &child, &quoted)) return false;
      if (child == nullptr) {
        if (!ReadUnknown(quoted)) return false;
      } else {
        if (child->field.type.is_nested()) trail_.AtKey(quoted);
        if (!ReadValue(*child, row)) return false;
      }
      const char c = Here();
      if (c != ',' && c != '}') return Bad("expected ',' or '}'");
      ++token_;
      if (c == '}') break;
    }
  }
  if (!node.is_static && !node.AllSeen()) NoteAbsentElements(node);
  --depth_;
  return KeysDistinct(keys_first);
}

// Moves from a key to its value. `child` is null when the key is not declared.
bool JsonReader::ReadKey(Node& node, uint32_t* guess, Node** child,
                         std::string_view* quoted) {
  if (Here() != '"') return Bad("expected a key");
  const char* const key = At() + 1;
  uint32_t index = node.next[*guess];
  *child = index == Node::kNone ? nullptr : node.children[index].get();
  if (*child != nullptr && (*child)->SpelledAt(key)) {
    *quoted = {key - 1, (*child)->quoted_size + 1};
  } else {
    std::string_view raw;
    if (!RawString(&raw) || !KeepKey(raw)) return false;
    *quoted = {key - 1, raw.size() + 2};
    index = node.Find(keys_.back());
    if (index == Node::kNone) {
      *child = nullptr;
    } else {
      keys_.pop_back();
      *child = node.children[index].get();
      node.next[*guess] = index;
    }
  }
  if (*child != nullptr) {
    if (!node.MarkSeen(index)) return Bad("a key stands twice in one object");
    *guess = index;
  }
  if (base_[token_[1]] != ':') return Bad("expected ':' after a key");
  token_ += 2;
  return true;
}

bool JsonReader::ReadUnknown(std::string_view quoted_key) {
  const char* const first = At();
  const char* end;
  if (!SkipValue(&end)) return false;
  trail_.AddUnknown(quoted_key, {first, static_cast<size_t>(end - first)});
  return true;
}

void JsonReader::NoteAbsentElements(Node& node) {
  for (uint32_t i = 0; i < node.children.size(); ++i) {
    if (!node.Seen(i)) absent_elements_.push_back(trail_.PathOf(*node.children[i]));
  }
}

bool JsonReader::ReadValue(Node& node, int64_t row) {
  if (Here() == 'n') {
    const char* end;
    return SkipLiteral("null", &end);
  }
  switch (node.kind) {
    case Kind::kString:
      return ReadString(node, row);
    case Kind::kInt64:
    case Kind::kInt32:
      return ReadWhole(node, row);
    case Kind::kDouble:
      return ReadFraction(node, row);
    case Kind::kFloat:
      return ReadFractionSlowly(node, row);
    case Kind::kBool:
      return ReadBool(node, row);
    case Kind::kDecimal:
      return ReadDecimal(node, row);
    case Kind::kTimestamp:
    case Kind::kTimestampTz:
    case Kind::kDate:
    case Kind::kTime:
    case Kind::kUuid:
    case Kind::kBinary:
      return ReadParsedText(node, row);
    case Kind::kStruct:
      return ReadStruct(node, row);
    case Kind::kList:
      return ReadList(node, row);
    case Kind::kMap:
      return ReadMap(node, row);
  }
  return WrongType(node);
}

bool JsonReader::ReadString(Node& node, int64_t row) {
  if (Here() != '"') return WrongType(node);
  std::string_view raw;
  if (!RawString(&raw)) return false;
  if (escapes_ && raw.find('\\') != std::string_view::npos) {
    auto* to = reinterpret_cast<char*>(
        node.column.BeginBytes(row, static_cast<int64_t>(raw.size())));
    const auto size = UnescapeJson(raw, to);
    if (!size.has_value()) return Bad("a string with a wrong escape");
    node.column.EndBytes(row, static_cast<int64_t>(*size));
  } else {
    node.column.PutBytes(row, raw.data(), static_cast<int64_t>(raw.size()));
  }
  ++token_;
  return true;
}

// Strings that stand for something else.
bool JsonReader::ReadParsedText(Node& node, int64_t row) {
  if (Here() != '"') return WrongType(node);
  const char* const first = At();
  std::string_view raw, text;
  if (!RawString(&raw) || !Unescape(raw, &text)) return false;
  ++token_;
  return PutText(node, row, text) || Reject(node, first, raw.data() + raw.size() + 1);
}

bool JsonReader::PutText(Node& node, int64_t row, std::string_view text) {
  switch (node.kind) {
    case Kind::kTimestampTz: {
      bool has_zone;
      const auto time = ParseTimestamp(text, &has_zone);
      if (!time.has_value() || !(has_zone || options_.zoneless_allowed)) return false;
      node.column.Put(row, *time);
      return true;
    }
    case Kind::kTimestamp: {
      bool has_zone;
      const auto time = ParseTimestamp(text, &has_zone);
      if (!time.has_value() || has_zone) return false;
      node.column.Put(row, *time);
      return true;
    }
    case Kind::kDate: {
      const auto days = ParseDate(text);
      if (!days.has_value()) return false;
      node.column.Put(row, *days);
      return true;
    }
    case Kind::kTime: {
      const auto time = ParseTimeOfDay(text);
      if (!time.has_value()) return false;
      node.column.Put(row, *time);
      return true;
    }
    case Kind::kUuid: {
      std::array<uint8_t, 16> uuid;
      if (!ParseUuid(text, uuid.data())) return false;
      node.column.Put(row, uuid);
      return true;
    }
    case Kind::kBinary: {
      const auto size = DecodeBase64(
          text, node.column.BeginBytes(row, static_cast<int64_t>(text.size())));
      if (!size.has_value()) return false;
      node.column.EndBytes(row, static_cast<int64_t>(*size));
      return true;
    }
    default:
      return false;
  }
}

bool JsonReader::ReadBool(Node& node, int64_t row) {
  const char c = Here();
  if (c != 't' && c != 'f') return WrongType(node);
  const char* end;
  if (!SkipLiteral(c == 't' ? "true" : "false", &end)) return false;
  node.column.PutBool(row, c == 't');
  return true;
}

bool JsonReader::PutWhole(Node& node, int64_t row, int64_t value) {
  if (node.kind == Kind::kInt64) {
    node.column.Put(row, value);
    return true;
  }
  if (value < INT32_MIN || value > INT32_MAX) return false;
  node.column.Put(row, static_cast<int32_t>(value));
  return true;
}

bool JsonReader::ReadWhole(Node& node, int64_t row) {
  const char* p = At();
  const bool negative = *p == '-';
  p += negative ? 1 : 0;
  const char* const digits = p;
  uint64_t value = 0;
  while (IsDigit(*p)) value = value * 10 + static_cast<uint64_t>(*p++ - '0');
  const bool short_enough =
      p > digits && p - digits <= 18 && (*digits != '0' || p - digits == 1);
  if (!short_enough || !EndsScalar(*p)) return ReadWholeSlowly(node, row);
  const auto whole = static_cast<int64_t>(value);
  if (!PutWhole(node, row, negative ? -whole : whole)) return WrongType(node);
  ++token_;
  return true;
}

// 17.0 and 1e3 are whole numbers too.
bool JsonReader::ReadWholeSlowly(Node& node, int64_t row) {
  if (!StartsNumber(Here())) return WrongType(node);
  const auto number = ScanNumber(At());
  if (!number.has_value() || !EndsScalar(*number->end)) return Bad("not a number");
  const auto value = ExactScaled(*number, 0, 19);
  if (!value.has_value() || *value < INT64_MIN || *value > INT64_MAX ||
      !PutWhole(node, row, static_cast<int64_t>(*value))) {
    return WrongType(node);
  }
  ++token_;
  return true;
}

bool JsonReader::ReadFraction(Node& node, int64_t row) {
  const char* p = At();
  const bool negative = *p == '-';
  p += negative ? 1 : 0;
  const char* const digits = p;
  uint64_t mantissa = 0;
  while (IsDigit(*p)) mantissa = mantissa * 10 + static_cast<uint64_t>(*p++ - '0');
  const auto whole_digits = p - digits;
  std::ptrdiff_t fraction_digits = 0;
  bool plain = whole_digits > 0 && (*digits != '0' || whole_digits == 1);
  if (*p == '.') {
    const char* const fraction = ++p;
    while (IsDigit(*p)) mantissa = mantissa * 10 + static_cast<uint64_t>(*p++ - '0');
    fraction_digits = p - fraction;
    plain = plain && fraction_digits > 0;
  }
  // Both are exact doubles, so that their quotient is the nearest double.
  plain = plain && whole_digits + fraction_digits <= 19 &&
          mantissa <= uint64_t{1} << 53 && EndsScalar(*p);
  if (!plain) return ReadFractionSlowly(node, row);
  const double value =
      static_cast<double>(mantissa) / kPowersOfTen[static_cast<size_t>(fraction_digits)];
  node.column.Put(row, negative ? -value : value);
  ++token_;
  return true;
}

bool JsonReader::ReadFractionSlowly(Node& node, int64_t row) {
  if (!StartsNumber(Here())) return WrongType(node);
  const auto number = ScanNumber(At());
  if (!number.has_value() || !EndsScalar(*number->end)) return Bad("not a number");
  if (node.kind == Kind::kDouble) {
    const auto value = NearestDouble(*number);
    if (!value.has_value()) return WrongType(node);
    node.column.Put(row, *value);
  } else {
    const auto value = NearestFloat(*number);
    if (!value.has_value()) return WrongType(node);
    node.column.Put(row, *value);
  }
  ++token_;
  return true;
}

// From a number or from a string that holds one, as senders write who fear for their
// digits.
bool JsonReader::ReadDecimal(Node& node, int64_t row) {
  const char* const first = At();
  std::optional<NumberText> number;
  const char* end;
  if (*first == '"') {
    std::string_view raw, text;
    if (!RawString(&raw) || !Unescape(raw, &text)) return false;
    number = ScanNumber(text.data());
    if (number.has_value() && number->end != text.data() + text.size()) number.reset();
    end = raw.data() + raw.size() + 1;
  } else if (StartsNumber(*first)) {
    number = ScanNumber(first);
    if (!number.has_value() || !EndsScalar(*number->end)) return Bad("not a number");
    end = number->end;
  } else {
    return WrongType(node);
  }
  ++token_;
  if (!number.has_value()) return Reject(node, first, end);
  const auto value =
      ExactScaled(*number, node.field.type.scale, node.field.type.precision);
  if (!value.has_value()) return Reject(node, first, end);
  node.column.Put(row, *value);
  return true;
}

bool JsonReader::ReadStruct(Node& node, int64_t row) {
  if (Here() != '{') return WrongType(node);
  if (!Enter()) return false;
  node.column.PutStruct(row);
  if (!node.is_static) std::fill_n(node.seen, node.seen_words, 0);
  node.MarkSeen(node.present_bit());
  trail_.Push(&node);
  if (!ReadObject(node, row)) return false;
  trail_.Pop();
  return true;
}

bool JsonReader::ReadList(Node& node, int64_t row) {
  if (Here() != '[') return WrongType(node);
  if (!Enter()) return false;
  node.column.BeginList(row);
  trail_.Push(&node);
  ++token_;
  if (Here() == ']') {
    ++token_;
  } else {
    for (int64_t element = 0;; ++element) {
      trail_.AtElement(element);
      if (!ReadValue(*node.children[0], node.column.NextElement())) return false;
      const char c = Here();
      if (c != ',' && c != ']') return Bad("expected ',' or ']'");
      ++token_;
      if (c == ']') break;
    }
  }
  trail_.Pop();
  node.column.EndList(row);
  --depth_;
  return true;
}

bool JsonReader::ReadMap(Node& node, int64_t row) {
  if (Here() != '{') return WrongType(node);
  if (!Enter()) return false;
  node.column.BeginList(row);
  trail_.Push(&node);
  ++token_;
  const size_t keys_first = keys_.size();
  if (Here() == '}') {
    ++token_;
  } else {
    for (;;) {
      if (Here() != '"') return Bad("expected a key");
      std::string_view raw;
      if (!RawString(&raw) || !KeepKey(raw)) return false;
      if (base_[token_[1]] != ':') return Bad("expected ':' after a key");
      token_ += 2;
      trail_.AtKey({raw.data() - 1, raw.size() + 2});
      const int64_t entry = node.column.NextElement();
      const std::string_view key = keys_.back();
      node.children[0]->column.PutBytes(entry, key.data(),
                                        static_cast<int64_t>(key.size()));
      if (!ReadValue(*node.children[1], entry)) return false;
      const char c = Here();
      if (c != ',' && c != '}') return Bad("expected ',' or '}'");
      ++token_;
      if (c == '}') break;
    }
  }
  trail_.Pop();
  node.column.EndList(row);
  --depth_;
  return KeysDistinct(keys_first);
}

bool JsonReader::WrongType(Node& node) {
  const char* const first = At();
  const char* end;
  if (!SkipValue(&end)) return false;
  return Reject(node, first, end);
}

// The value is JSON but not what the field declares: the record stays readable.
bool JsonReader::Reject(const Node& node, const char* first, const char* end) {
  size_t before = 0;
  while (before < faults_->size() && before < kFaultsPerRecord &&
         (*faults_)[faults_->size() - 1 - before].row == row_) {
    ++before;
  }
  if (before == kFaultsPerRecord) return true;
  const std::string_view text(first, static_cast<size_t>(end - first));
  faults_->push_back({static_cast<int32_t>(row_), Fault::kWrongType, trail_.PathOf(node),
                      std::string(Cut(text))});
  return true;
}

bool JsonReader::SkipValue(const char** end) {
  switch (Here()) {
    case '"':
      return SkipString(end);
    case '{':
    case '[':
      return SkipContainer(end);
    case 't':
      return SkipLiteral("true", end);
    case 'f':
      return SkipLiteral("false", end);
    case 'n':
      return SkipLiteral("null", end);
    default:
      return SkipNumber(end);
  }
}

bool JsonReader::SkipString(const char** end) {
  std::string_view raw, text;
  if (!RawString(&raw) || !Unescape(raw, &text)) return false;
  *end = raw.data() + raw.size() + 1;
  ++token_;
  return true;
}

bool JsonReader::SkipNumber(const char** end) {
  if (!StartsNumber(Here())) return Bad("expected a value");
  const auto number = ScanNumber(At());
  if (!number.has_value() || !EndsScalar(*number->end)) return Bad("not a number");
  *end = number->end;
  ++token_;
  return true;
}

bool JsonReader::SkipLiteral(std::string_view word, const char** end) {
  const char* const p = At();
  if (std::memcmp(p, word.data(), word.size()) != 0 || !EndsScalar(p[word.size()])) {
    return Bad("expected a value");
  }
  *end = p + word.size();
  ++token_;
  return true;
}

bool JsonReader::SkipContainer(const char** end) {
  if (!Enter()) return false;
  const bool is_list = Here() == '[';
  ++token_;
  if (Here() == (is_list ? ']' : '}')) {
    ++token_;
  } else if (!(is_list ? SkipListBody() : SkipObjectBody())) {
    return false;
  }
  --depth_;
  *end = base_ + token_[-1] + 1;
  return true;
}

bool JsonReader::SkipListBody() {
  const char* end;
  for (;;) {
    if (!SkipValue(&end)) return false;
    const char c = Here();
    if (c != ',' && c != ']') return Bad("expected ',' or ']'");
    ++token_;
    if (c == ']') return true;
  }
}

bool JsonReader::SkipObjectBody() {
  const size_t keys_first = keys_.size();
  const char* end;
  for (;;) {
    if (Here() != '"') return Bad("expected a key");
    std::string_view raw;
    if (!RawString(&raw) || !KeepKey(raw)) return false;
    if (base_[token_[1]] != ':') return Bad("expected ':' after a key");
    token_ += 2;
    if (!SkipValue(&end)) return false;
    const char c = Here();
    if (c != ',' && c != '}') return Bad("expected ',' or '}'");
    ++token_;
    if (c == '}') return KeysDistinct(keys_first);
  }
}

// The text between the quotes of the string that begins here. Only blanks stand between
// its closing quote and the next token.
bool JsonReader::RawString(std::string_view* raw) {
  const char* const first = At() + 1;
  const char* last = base_ + token_[1] - 1;
  while (last > first && IsSpace(*last)) --last;
  if (last < first || *last != '"') return Bad("a string is not closed");
  *raw = {first, static_cast<size_t>(last - first)};
  return true;
}

// Resolves escapes into scratch that lives until the next call.
bool JsonReader::Unescape(std::string_view raw, std::string_view* text) {
  if (!escapes_ || raw.find('\\') == std::string_view::npos) {
    *text = raw;
    return true;
  }
  char* const to = arena_.data() + arena_used_;
  const auto size = UnescapeJson(raw, to);
  if (!size.has_value()) return Bad("a string with a wrong escape");
  to[*size] = '\0';
  *text = {to, *size};
  return true;
}

// Pushes the unescaped key, which then lives as long as the record.
bool JsonReader::KeepKey(std::string_view raw) {
  std::string_view key;
  if (!Unescape(raw, &key)) return false;
  if (key.data() != raw.data()) arena_used_ += key.size();
  keys_.push_back(key);
  return true;
}

// Compares the keys kept since `first` and forgets them.
bool JsonReader::KeysDistinct(size_t first) {
  const size_t count = keys_.size() - first;
  if (count == 0) return true;
  bool distinct = true;
  const auto begin = keys_.begin() + static_cast<std::ptrdiff_t>(first);
  if (count <= 16) {
    for (auto a = begin; a != keys_.end() && distinct; ++a) {
      distinct = std::find(a + 1, keys_.end(), *a) == keys_.end();
    }
  } else {
    std::sort(begin, keys_.end());
    distinct = std::adjacent_find(begin, keys_.end()) == keys_.end();
  }
  keys_.resize(first);
  return distinct || Bad("a key stands twice in one object");
}

}  // namespace weir::codec
