// The control record that wakes a partition: {"floor": microseconds}.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "log/log.h"

namespace weir::ingest {

inline constexpr const char* kWakeControl = "wake";
inline constexpr const char* kIdleControl = "idle";

std::string WakeJson(Micros floor);
// nullopt: another kind of record.
std::optional<Micros> WakeFloor(const log::ControlRecord& control);

}  // namespace weir::ingest
