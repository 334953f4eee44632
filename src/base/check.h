// WEIR_CHECK: our own bugs stop the process, in release builds too.
#pragma once

namespace weir {

// Prints the place and the failed condition to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace weir

#define WEIR_CHECK(condition)                              \
  do {                                                     \
    if (!(condition)) [[unlikely]]                         \
      ::weir::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (false)
