#include "generate/generator.h"

namespace weir::generate {

const std::vector<Generator>& Generators() {
  static const std::vector<Generator> all = {
      {"attribution", "impressions, clicks and hourly conversion files of ad campaigns",
       &GenerateAttribution},
  };
  return all;
}

}  // namespace weir::generate
