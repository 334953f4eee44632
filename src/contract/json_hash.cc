#include "base/check.h"
#include "base/hash.h"
#include "codec/json_string.h"
#include "contract/json_hash_internal.h"

namespace weir::contract {
namespace {

constexpr uint64_t kString = 0x510E527FADE682D1u;
constexpr uint64_t kBare = 0x9B05688C2B3E6C1Fu;
constexpr uint64_t kObject = 0x1F83D9ABFB41BD6Bu;
constexpr uint64_t kList = 0x5BE0CD19137E2179u;

bool EndsBare(char c) {
  return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\t' || c == '\n' ||
         c == '\r';
}

}  // namespace

uint64_t JsonHasher::Hash(std::string_view json) {
  at_ = json.data();
  end_ = at_ + json.size();
  return Value();
}

void JsonHasher::SkipSpace() {
  while (at_ < end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r'))
    ++at_;
}

bool JsonHasher::Take(char c) {
  SkipSpace();
  if (at_ == end_ || *at_ != c) return false;
  ++at_;
  return true;
}

uint64_t JsonHasher::Value() {
  SkipSpace();
  WEIR_CHECK(at_ < end_);
  if (*at_ == '{') return Object();
  if (*at_ == '[') return List();
  if (*at_ == '"') return String();
  const char* const first = at_;
  while (at_ < end_ && !EndsBare(*at_)) ++at_;
  return MixHash(kBare, HashBytes64({first, static_cast<size_t>(at_ - first)}));
}

// A sum, so that the order of keys does not matter.
uint64_t JsonHasher::Object() {
  uint64_t sum = kObject;
  ++at_;
  while (!Take('}')) {
    Take(',');
    SkipSpace();
    const uint64_t key = String();
    WEIR_CHECK(Take(':'));
    sum += MixHash(key, Value());
  }
  return MixHash(kObject, sum);
}

uint64_t JsonHasher::List() {
  uint64_t hash = kList;
  ++at_;
  while (!Take(']')) {
    Take(',');
    hash = MixHash(hash, Value());
  }
  return hash;
}

uint64_t JsonHasher::String() {
  const char* const first = ++at_;
  bool escapes = false;
  for (; at_ < end_ && *at_ != '"'; ++at_) {
    if (*at_ != '\\') continue;
    escapes = true;
    ++at_;
  }
  WEIR_CHECK(at_ < end_);
  const std::string_view raw(first, static_cast<size_t>(at_++ - first));
  if (!escapes) return MixHash(kString, HashBytes64(raw));
  scratch_.resize(raw.size());
  const auto size = codec::UnescapeJson(raw, scratch_.data());
  WEIR_CHECK(size.has_value());
  return MixHash(kString, HashBytes64({scratch_.data(), *size}));
}

}  // namespace weir::contract
