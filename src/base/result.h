// Result<T>: a value or an Error whose code says what the caller can do about it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace weir {

enum class Code : uint8_t {
  kInvalid,         // the input is wrong; retrying cannot help
  kNotFound,        // the named thing does not exist
  kConflict,        // someone else won; reload and retry
  kUnknownOutcome,  // it may have happened; look before retrying
  kUnavailable,     // try again later
  kCorrupt,         // stored bytes fail their checks
  kCancelled,       // the caller asked to stop
  kInternal,        // a bug on our side, reported instead of crashing
};

std::string_view CodeName(Code code);

struct [[nodiscard]] Error {
  Code code = Code::kInternal;
  std::string message;

  // The same error with what we were doing put in front: "commit orders: disk full".
  Error Within(std::string_view doing) && {
    message = std::string(doing) + ": " + message;
    return std::move(*this);
  }
};

inline Error Invalid(std::string message) { return {Code::kInvalid, std::move(message)}; }
inline Error NotFound(std::string message) {
  return {Code::kNotFound, std::move(message)};
}
inline Error Conflict(std::string message) {
  return {Code::kConflict, std::move(message)};
}
inline Error Unavailable(std::string message) {
  return {Code::kUnavailable, std::move(message)};
}
inline Error Corrupt(std::string message) { return {Code::kCorrupt, std::move(message)}; }
inline Error Internal(std::string message) {
  return {Code::kInternal, std::move(message)};
}
inline Error Cancelled() { return {Code::kCancelled, "cancelled"}; }

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : v_(std::in_place_index<1>, std::move(error)) {}
  template <class U>
  requires(std::is_convertible_v<U&&, T> && !std::is_same_v<std::decay_t<U>, Result> &&
           !std::is_same_v<std::decay_t<U>, T> && !std::is_same_v<std::decay_t<U>, Error>)
      Result(U&& value)
      : v_(std::in_place_index<0>, std::forward<U>(value)) {}

  bool ok() const { return v_.index() == 0; }
  T& operator*() & {
    WEIR_CHECK(ok());
    return std::get<0>(v_);
  }
  const T& operator*() const& {
    WEIR_CHECK(ok());
    return std::get<0>(v_);
  }
  T&& operator*() && {
    WEIR_CHECK(ok());
    return std::get<0>(std::move(v_));
  }
  T* operator->() {
    WEIR_CHECK(ok());
    return &std::get<0>(v_);
  }
  const T* operator->() const {
    WEIR_CHECK(ok());
    return &std::get<0>(v_);
  }
  const Error& error() const& { return std::get<1>(v_); }
  Error&& error() && { return std::get<1>(std::move(v_)); }

 private:
  std::variant<T, Error> v_;
};

struct Unit {};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  bool ok() const { return !error_.has_value(); }
  Unit operator*() const { return {}; }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace weir

// auto file = WEIR_TRY(io.Open(path));   // returns the error to our caller
#define WEIR_TRY(expr)                        \
  __extension__({                             \
    auto weir_result_ = (expr);               \
    if (!weir_result_.ok()) [[unlikely]]      \
      return std::move(weir_result_).error(); \
    *std::move(weir_result_);                 \
  })
