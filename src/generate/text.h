// Text of records and of answers: JSON objects, CSV rows, stamps and amounts.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::generate {

using Millis = int64_t;  // since 1970

inline constexpr Millis kSecond = 1000, kMinute = 60 * kSecond, kHour = 60 * kMinute,
                        kDay = 24 * kHour;

// How a number is meant.
struct Stamp {  // 2019-05-01T10:00:00.123Z
  Millis at = 0;
  auto operator<=>(const Stamp&) const = default;
};
struct Date {  // 2019-05-01
  int32_t days = 0;
  auto operator<=>(const Date&) const = default;
};
struct Cents {  // 12.5
  int64_t hundredths = 0;
  auto operator<=>(const Cents&) const = default;
};

inline Date DateOf(Millis at) {
  return {static_cast<int32_t>(at >= 0 ? at / kDay : (at - kDay + 1) / kDay)};
}

// With leading zeros.
void AppendDigits(uint64_t value, int width, std::string* out);
void AppendStamp(Millis time, std::string* out);
void AppendHundredths(int64_t value, std::string* out);

// One JSON object on one line, members in the order they were set. Nothing is checked for
// being set twice.
class JsonObject {
 public:
  JsonObject& Set(std::string_view key, std::string_view value);
  JsonObject& Set(std::string_view key, const char* value) {
    return Set(key, std::string_view(value));
  }
  JsonObject& Set(std::string_view key, const std::string& value) {
    return Set(key, std::string_view(value));
  }
  template <std::integral T>
  JsonObject& Set(std::string_view key, T value) {
    if constexpr (std::same_as<T, bool>) return Raw(key, value ? "true" : "false");
    return SetInteger(key, static_cast<int64_t>(value));
  }
  JsonObject& Set(std::string_view key,
                  double value);  // the shortest that reads the same
  JsonObject& Set(std::string_view key, Stamp value);
  JsonObject& Set(std::string_view key, Date value);
  JsonObject& Set(std::string_view key, Cents value);
  JsonObject& Set(std::string_view key, std::nullopt_t) { return Raw(key, "null"); }
  template <class T>
  JsonObject& Set(std::string_view key, const std::optional<T>& value) {
    return value ? Set(key, *value) : Set(key, std::nullopt);
  }
  JsonObject& Set(std::string_view key, const JsonObject& value) {
    return Raw(key, value.text());
  }
  // `json` as it is.
  JsonObject& Raw(std::string_view key, std::string_view json);

  std::string text() const { return text_.empty() ? "{}" : text_ + "}"; }

 private:
  void Key(std::string_view key);
  JsonObject& SetInteger(std::string_view key, int64_t value);
  std::string text_;
};

// Appends a JSON string, quoted and escaped.
void AppendJsonString(std::string_view value, std::string* out);

// One row of CSV (RFC 4180); what is not there is an empty field.
class CsvRow {
 public:
  CsvRow& Add(std::string_view value);
  CsvRow& Add(const char* value) { return Add(std::string_view(value)); }
  CsvRow& Add(const std::string& value) { return Add(std::string_view(value)); }
  template <std::integral T>
  CsvRow& Add(T value) {
    return Add(std::to_string(value));
  }
  CsvRow& Add(Stamp value);
  CsvRow& Add(Date value);
  CsvRow& Add(Cents value);
  CsvRow& Add(std::nullopt_t) { return Add(std::string_view()); }
  template <class T>
  CsvRow& Add(const std::optional<T>& value) {
    return value ? Add(*value) : Add(std::nullopt);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  bool empty_ = true;
};

}  // namespace weir::generate
