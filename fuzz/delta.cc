// Epoch deltas: what can be read is written again to the same bytes' meaning.
#include <vector>

#include "fuzz/fuzz.h"
#include "fuzz/log_repair.h"
#include "io/sim_io.h"
#include "state/state.h"
#include "state/state_internal.h"

namespace weir::fuzz {
namespace {

constexpr Epoch kEpoch{7};

void Repair(std::string* bytes) {
  if (bytes->size() < 36) return;
  const size_t end = bytes->size() - 4;
  StoreAt(bytes, 0, *reinterpret_cast<const uint64_t*>("WEIRDLT1"));
  StoreAt(bytes, 8, kEpoch.value);
  StoreAt(bytes, 24, static_cast<uint64_t>(end - 32));
  StoreAt(bytes, end, Crc32c(std::string_view(*bytes).substr(0, end)));
}

// One line a record, or nothing when they are malformed.
Result<std::vector<std::string>> Records(const state::Delta& delta) {
  std::vector<std::string> out;
  WEIR_TRY(delta.ForEach([&](const state::Delta::Record& record) -> Status {
    out.push_back(std::to_string(static_cast<int>(record.op)) + " " +
                  std::string(record.space) + "\0" + std::string(record.key) + "\0" +
                  std::string(record.value));
    return {};
  }));
  return out;
}

}  // namespace

WEIR_FUZZER(delta)(std::string_view bytes) {
  io::SimIo io;
  Must(io.CreateDirs("state"));
  Must(io.WriteNew(state::DeltaPath("state", kEpoch), bytes));
  const auto delta = state::Delta::Read(io, "state", kEpoch);
  if (!delta.ok()) return CheckError(delta.error());
  const auto records = Records(*delta);
  if (!records.ok()) return CheckError(records.error());
  state::Delta copy;
  copy.Append(state::Delta(*delta));
  WEIR_CHECK(Must(Records(copy)) == *records);
  WEIR_CHECK(copy.empty() == records->empty());
  Must(copy.Write(io, "state", kEpoch));
  WEIR_CHECK(Must(Records(Must(state::Delta::Read(io, "state", kEpoch)))) == *records);
}

}  // namespace weir::fuzz

WEIR_FUZZER_REPAIR(weir::fuzz::Repair)
