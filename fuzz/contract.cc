// Contract files: either every fault has a place and a text, or the contract can be used.
#include "contract/contract.h"

#include <algorithm>

#include "codec/json.h"
#include "fuzz/fuzz.h"

namespace weir::fuzz {

WEIR_FUZZER(contract)(std::string_view bytes) {
  std::vector<contract::Problem> problems;
  const auto parsed = contract::ParseContract("c.yaml", bytes, &problems);
  WEIR_CHECK(parsed.has_value() == problems.empty());
  const auto lines = 1 + std::count(bytes.begin(), bytes.end(), '\n') +
                     std::count(bytes.begin(), bytes.end(), '\r');
  for (const contract::Problem& problem : problems) {
    WEIR_CHECK(problem.file == "c.yaml" && !problem.message.empty());
    WEIR_CHECK(problem.line >= 0 && problem.line <= lines + 1);
  }
  if (!parsed) return;
  WEIR_CHECK(!parsed->name.empty() && !parsed->schema.fields.empty());
  const auto decoder = codec::NewJsonDecoder(
      parsed->schema, {.zoneless_allowed = parsed->zoneless_allowed});
  WEIR_CHECK(decoder.ok());
  const auto checker = contract::NewChecker(*parsed);
  WEIR_CHECK(checker.ok());
  const std::string_view records[] = {"{}", R"({"id":1,"at":"2020-01-01T00:00:00Z"})"};
  const auto decoded = Must((*decoder)->Decode(records));
  static_cast<void>(Must((*checker)->Check(decoded)));
  static_cast<void>(Must(contract::ContentHashes(*parsed, decoded)));
}

}  // namespace weir::fuzz
