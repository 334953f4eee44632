// What stands as JSON in catalog.db: frontiers and ledgers.
#include "flow/frontier.h"

#include "fuzz/fuzz.h"

namespace weir::fuzz {

WEIR_FUZZER(frontier)(std::string_view bytes) {
  const auto frontier = flow::ParseFrontier(bytes);
  if (!frontier.ok()) {
    CheckError(frontier.error());
  } else {
    const std::string text = flow::FrontierJson(*frontier);
    WEIR_CHECK(flow::FrontierJson(Must(flow::ParseFrontier(text))) == text);
    static_cast<void>(flow::FrontierSummary(*frontier));
  }
  const auto ledger = flow::ParseLedger(bytes);
  if (!ledger.ok()) return CheckError(ledger.error());
  const std::string text = flow::LedgerJson("s", *ledger);
  WEIR_CHECK(flow::LedgerJson("s", Must(flow::ParseLedger(text))) == text);
}

}  // namespace weir::fuzz
