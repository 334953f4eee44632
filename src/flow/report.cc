#include <nlohmann/json.hpp>

#include "flow/flow.h"
#include "flow/frontier.h"

namespace weir::flow {

std::string RunReport::Json() const {
  nlohmann::json sources = nlohmann::json::array();
  for (const auto& [source, counts] : ledger)
    sources.push_back(nlohmann::json::parse(LedgerJson(source, counts)));
  nlohmann::json times = nlohmann::json::object();
  for (const auto& [stage, micros] : stages)
    times[stage] = static_cast<double>(micros) / 1e6;
  nlohmann::json stood = nlohmann::json::object();
  for (const auto& [model, why] : halted) stood[model] = why;
  nlohmann::json faults = nlohmann::json::array();
  for (const auto& [source, files] : file_faults) {
    for (const ingest::FileFault& fault : files.newest) {
      faults.push_back({{"source", source},
                        {"path", fault.path},
                        {"error", fault.error},
                        {"fix", fault.fix},
                        {"bytes_taken", fault.bytes_taken}});
    }
  }
  return nlohmann::json{{"steps", steps},
                        {"epochs", epochs},
                        {"received", received},
                        {"bytes", bytes},
                        {"wall_seconds", static_cast<double>(wall) / 1e6},
                        {"stages", std::move(times)},
                        {"ledger", std::move(sources)},
                        {"halted", std::move(stood)},
                        {"file_faults", std::move(faults)}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace weir::flow
