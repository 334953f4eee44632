#include "generate/text.h"

#include <fmt/format.h>

#include <charconv>

#include "base/time.h"

namespace weir::generate {
void AppendDigits(uint64_t value, int width, std::string* out) {
  size_t start = out->size();
  out->resize(start + static_cast<size_t>(width));
  for (int i = width - 1; i >= 0; --i, value /= 10)
    (*out)[start + static_cast<size_t>(i)] = static_cast<char>('0' + value % 10);
}

void AppendStamp(Millis time, std::string* out) {
  // Consecutive events mostly share their day.
  thread_local int64_t cached_day = INT64_MIN;
  thread_local std::string cached_date;
  const int64_t day = DateOf(time).days;
  if (day != cached_day) {
    cached_day = day;
    cached_date = FormatDate(static_cast<int32_t>(day));
  }
  const auto of_day = static_cast<uint64_t>(time - day * kDay);
  out->append(cached_date).push_back('T');
  AppendDigits(of_day / 3'600'000, 2, out);
  out->push_back(':');
  AppendDigits(of_day / 60'000 % 60, 2, out);
  out->push_back(':');
  AppendDigits(of_day / 1000 % 60, 2, out);
  out->push_back('.');
  AppendDigits(of_day % 1000, 3, out);
  out->push_back('Z');
}

void AppendHundredths(int64_t value, std::string* out) {
  if (value < 0) out->push_back('-');
  const auto positive = static_cast<uint64_t>(value < 0 ? -value : value);
  fmt::format_to(std::back_inserter(*out), "{}.", positive / 100);
  const uint64_t cents = positive % 100;
  if (cents % 10 == 0) {
    AppendDigits(cents / 10, 1, out);
  } else {
    AppendDigits(cents, 2, out);
  }
}

void AppendJsonString(std::string_view value, std::string* out) {
  out->push_back('"');
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(*out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

void JsonObject::Key(std::string_view key) {
  text_.push_back(text_.empty() ? '{' : ',');
  AppendJsonString(key, &text_);
  text_.push_back(':');
}

JsonObject& JsonObject::Set(std::string_view key, std::string_view value) {
  Key(key);
  AppendJsonString(value, &text_);
  return *this;
}

JsonObject& JsonObject::SetInteger(std::string_view key, int64_t value) {
  Key(key);
  fmt::format_to(std::back_inserter(text_), "{}", value);
  return *this;
}

JsonObject& JsonObject::Set(std::string_view key, double value) {
  Key(key);
  char buffer[40];
  text_.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  return *this;
}

JsonObject& JsonObject::Set(std::string_view key, Stamp value) {
  Key(key);
  text_.push_back('"');
  AppendStamp(value.at, &text_);
  text_.push_back('"');
  return *this;
}

JsonObject& JsonObject::Set(std::string_view key, Date value) {
  return Set(key, FormatDate(value.days));
}

JsonObject& JsonObject::Set(std::string_view key, Cents value) {
  Key(key);
  AppendHundredths(value.hundredths, &text_);
  return *this;
}

JsonObject& JsonObject::Raw(std::string_view key, std::string_view json) {
  Key(key);
  text_.append(json);
  return *this;
}

CsvRow& CsvRow::Add(std::string_view value) {
  if (!empty_) text_.push_back(',');
  empty_ = false;
  if (value.find_first_of(",\"\r\n") == std::string_view::npos) {
    text_.append(value);
    return *this;
  }
  text_.push_back('"');
  for (const char c : value) {
    if (c == '"') text_.push_back('"');
    text_.push_back(c);
  }
  text_.push_back('"');
  return *this;
}

CsvRow& CsvRow::Add(Stamp value) {
  std::string text;
  AppendStamp(value.at, &text);
  return Add(text);
}

CsvRow& CsvRow::Add(Date value) { return Add(FormatDate(value.days)); }

CsvRow& CsvRow::Add(Cents value) {
  std::string text;
  AppendHundredths(value.hundredths, &text);
  return Add(text);
}

}  // namespace weir::generate
