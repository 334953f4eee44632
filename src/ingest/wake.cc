#include <nlohmann/json.hpp>

#include "ingest/wake_internal.h"

namespace weir::ingest {

std::string WakeJson(Micros floor) { return nlohmann::json{{"floor", floor}}.dump(); }

std::optional<Micros> WakeFloor(const log::ControlRecord& control) {
  if (control.kind != kWakeControl) return std::nullopt;
  const auto json = nlohmann::json::parse(control.json, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  return json.value("floor", kNoTime);
}

}  // namespace weir::ingest
