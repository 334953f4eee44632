#include "ingest/arrivals.h"

#include <gtest/gtest.h>

namespace weir::ingest {
namespace {

std::string Interval(const std::string& pattern, const std::string& name) {
  const auto interval = IntervalOf({3'600'000'000, pattern}, name);
  return interval
             ? FormatTimestamp(interval->first) + " " + FormatTimestamp(interval->second)
             : "none";
}

TEST(ArrivalsTest, NamesSayTheirInterval) {
  const std::string hour = "2024-01-02T03:00:00Z 2024-01-02T04:00:00Z";
  EXPECT_EQ(Interval("c-{yyyyMMddHH}.csv", "c-2024010203.csv"), hour);
  EXPECT_EQ(Interval("c-{yyyyMMddHH}.csv", "c-2024010203.csv.gz"), hour);
  EXPECT_EQ(Interval("{yyyy-MM-dd-HH}", "2024-01-02-03"), hour);
  EXPECT_EQ(Interval("c-{yyyyMMddHHmm}.csv.gz", "c-202401020300.csv.gz"), hour);
  EXPECT_EQ(Interval("c-{yyyyMMdd}", "c-20240102"),
            "2024-01-02T00:00:00Z 2024-01-02T01:00:00Z");
  for (const char* name :
       {"c-2024010203.tsv", "d-2024010203.csv", "c-202401020.csv", "c-2024010x03.csv",
        "c-2024130203.csv", "c-2024010225.csv", ""})
    EXPECT_EQ(Interval("c-{yyyyMMddHH}.csv", name), "none") << name;
}

}  // namespace
}  // namespace weir::ingest
