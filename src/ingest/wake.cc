#include <nlohmann/json.hpp>

#include "base/json.h"
#include "ingest/wake_internal.h"

namespace weir::ingest {

std::string WakeJson(Micros floor) { return nlohmann::json{{"floor", floor}}.dump(); }

std::optional<Micros> WakeFloor(const log::ControlRecord& control) {
  if (control.kind != kWakeControl) return std::nullopt;
  const auto json = ParseJson(control.json);
  const auto floor = json.find("floor");
  if (floor == json.end() || !floor->is_number_integer()) return std::nullopt;
  return floor->get<Micros>();
}

}  // namespace weir::ingest
