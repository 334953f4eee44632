// Between DuckDB's logical types and Weir's. Rules: docs/types.md.
#pragma once

#include <duckdb.h>

#include <string>

#include "base/result.h"
#include "data/type.h"

namespace weir::duck {

// Owns what DuckDB's C API hands out; `destroy` takes a pointer to the handle.
template <class Handle, void (*destroy)(Handle*)>
class Owned {
 public:
  Owned() = default;
  explicit Owned(Handle handle) : handle_(handle) {}
  Owned(Owned&& other) noexcept : handle_(other.handle_) { other.handle_ = nullptr; }
  Owned& operator=(Owned&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owned() {
    if (handle_ != nullptr) destroy(&handle_);
  }
  Handle get() const { return handle_; }
  Handle* out() { return &handle_; }
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  Handle handle_ = nullptr;
};
using LogicalType = Owned<duckdb_logical_type, duckdb_destroy_logical_type>;

// Text that DuckDB allocated.
std::string TakeText(char* text);

// The DuckDB type that a relation's column of this type has.
LogicalType ToDuck(const data::Type& type);

// What a query's column becomes.
struct OutputType {
  data::Type type;
  bool needs_cast = false;  // DuckDB must cast it to SqlType(type) first
};
// kInvalid for a type that Iceberg has no place for; the message names the cast to write.
// `column` is for that message.
Result<OutputType> FromDuck(duckdb_logical_type type, const std::string& column);

}  // namespace weir::duck
