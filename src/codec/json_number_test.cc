#include "codec/json_number.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace weir::codec {
namespace {

std::string Text(__int128 value) {
  const bool negative = value < 0;
  std::string text;
  do {
    text.insert(text.begin(),
                static_cast<char>('0' + std::abs(static_cast<int>(value % 10))));
    value /= 10;
  } while (value != 0);
  return negative ? "-" + text : text;
}

TEST(JsonNumber, ScalesExactlyOrNotAtAll) {
  struct Case {
    const char* text;
    int scale, digits_max;
    const char* expected;
  };
  for (const Case& c :
       {Case{"17", 0, 19, "17"}, Case{"17.50", 1, 19, "175"},
        Case{"17.50", 0, 19, "none"}, Case{"-0.00", 0, 1, "0"}, Case{"100e-2", 0, 1, "1"},
        Case{"1e37", 0, 38, "10000000000000000000000000000000000000"},
        Case{"1e38", 0, 38, "none"},
        Case{"99999999999999999999999999999999999999", 0, 38,
             "99999999999999999999999999999999999999"},
        Case{"-99999999999999999999999999999999999999", 0, 38,
             "-99999999999999999999999999999999999999"},
        Case{"100000000000000000000000000000000000000000e-40", 0, 38, "10"},
        Case{"0.000000000000000000000000000000000000000000001e45", 0, 38, "1"},
        Case{"123456789012345678901234567890123456789", 0, 38, "none"},
        Case{"1e-400", 0, 19, "none"}, Case{"0e-400", 0, 19, "0"},
        Case{"1e999999999999999999999999", 0, 38, "none"},
        Case{"1e-999999999999999999999999", 38, 38, "none"}}) {
    const auto number = ScanNumber(c.text);
    ASSERT_TRUE(number.has_value()) << c.text;
    const auto value = ExactScaled(*number, c.scale, c.digits_max);
    EXPECT_EQ(value.has_value() ? Text(*value) : "none", c.expected) << c.text;
  }
}

TEST(JsonNumber, FindsTheNearestDouble) {
  struct Case {
    const char* text;
    double expected;
  };
  for (const Case& c :
       {Case{"2.2250738585072011e-308", 2.2250738585072011e-308}, Case{"5e-324", 5e-324},
        Case{"1e-400", 0.0}, Case{"0.1", 0.1},
        Case{"1.7976931348623157e308", 1.7976931348623157e308},
        Case{"0.000000000000000000000000000000000000000000000000000000000000001e63",
             1.0}}) {
    EXPECT_EQ(NearestDouble(*ScanNumber(c.text)), c.expected) << c.text;
  }
  EXPECT_TRUE(std::signbit(*NearestDouble(*ScanNumber("-1e-400"))));
  for (const char* text : {"1e309", "-1e309", "1e99999999999999999999"}) {
    EXPECT_EQ(NearestDouble(*ScanNumber(text)), std::nullopt) << text;
  }
  EXPECT_EQ(NearestDouble(*ScanNumber(("1" + std::string(400, '0')).c_str())),
            std::nullopt);
  EXPECT_EQ(NearestFloat(*ScanNumber("3.5e38")), std::nullopt);
  EXPECT_EQ(NearestFloat(*ScanNumber("1e-60")), 0.0f);
}

TEST(JsonNumber, FollowsTheGrammar) {
  for (const char* text :
       {"", "-", "+1", "01", "-01", ".5", "1.", "1.e1", "1e", "1e+", "e1", "x"}) {
    EXPECT_FALSE(ScanNumber(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace weir::codec
