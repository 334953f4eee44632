// What every fuzz driver shares. A driver is one file with one decoder in it:
//
//   WEIR_FUZZER(name)(std::string_view bytes) { … WEIR_CHECK(what must hold); }
//
// Compiled with WEIR_LIBFUZZER (preset fuzz: clang, ASan, UBSan) it is the entry of the
// program fuzz_name; else all drivers are in the one program fuzz_replay, which runs kept
// inputs through them. A driver returns for every input: what it finds wrong ends the
// process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/hash.h"
#include "base/result.h"

namespace weir::fuzz {

using Driver = void (*)(std::string_view bytes);

// Makes a driver known to fuzz_replay. Called before main.
bool Register(const char* name, Driver driver);

// The value, or the end: for what cannot fail whatever the input is.
template <class T>
T Must(Result<T> result) {
  WEIR_CHECK(result.ok());
  return *std::move(result);
}
inline void Must(const Status& status) { WEIR_CHECK(status.ok()); }

// An error says something a person can act on.
inline void CheckError(const Error& error) {
  WEIR_CHECK(!error.message.empty());
  WEIR_CHECK(error.code != Code::kInternal);
}

// The same number for the same input: for choices that are no part of it (how it is cut
// into pieces), so that files of the format are inputs as they are.
inline uint64_t Choice(std::string_view bytes, uint64_t salt, uint64_t below) {
  return HashBytes64(bytes, salt) % below;
}

// The whole file below the repository; it exists.
std::string RepositoryFile(const std::string& path);

}  // namespace weir::fuzz

#ifdef WEIR_LIBFUZZER
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t size_max);

#define WEIR_FUZZER(name)                                                   \
  static void FuzzerRun(std::string_view bytes);                            \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    FuzzerRun({reinterpret_cast<const char*>(data), size});                 \
    return 0;                                                               \
  }                                                                         \
  static void FuzzerRun

// Most mutations break a checksum, behind which nothing of the decoder would be reached:
// `repair(std::string*)` makes the checksums right again, 15 times of 16.
#define WEIR_FUZZER_REPAIR(repair)                                                       \
  extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t size_max, \
                                            unsigned seed) {                             \
    size = LLVMFuzzerMutate(data, size, size_max);                                       \
    if (seed % 16 == 0) return size;                                                     \
    std::string bytes(reinterpret_cast<const char*>(data), size);                        \
    repair(&bytes);                                                                      \
    size = bytes.size() < size_max ? bytes.size() : size_max;                            \
    bytes.copy(reinterpret_cast<char*>(data), size);                                     \
    return size;                                                                         \
  }
#else
#define WEIR_FUZZER(name)                                   \
  static void FuzzerRun(std::string_view bytes);            \
  [[maybe_unused]] static const bool fuzzer_is_registered = \
      ::weir::fuzz::Register(#name, &FuzzerRun);            \
  static void FuzzerRun

#define WEIR_FUZZER_REPAIR(repair) \
  [[maybe_unused]] static const auto fuzzer_repair = &(repair);
#endif
