#include "generate/generator.h"

namespace weir::generate {

const std::vector<Generator>& Generators() {
  static const std::vector<Generator> all = {
      {"attribution", "impressions, clicks and hourly conversion files of ad campaigns",
       &GenerateAttribution},
      {"clickstream", "players on TVs, phones and in browsers, and experiments on them",
       &GenerateClickstream},
      {"feed", "posts and what people do with them: likes, clicks, shares",
       &GenerateFeed},
      {"fraud", "card payments with planted fraud, and its labels", &GenerateFraud},
      {"customer360", "what web site, app, CRM and call centre know of the same people",
       &GenerateCustomer360},
  };
  return all;
}

}  // namespace weir::generate
