#include "base/seal.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(SealTest, ComesOffAgainAndEveryFlippedBitIsNoticedOrHarmless) {
  const std::string text = R"({"offset":1234,"name":"a, b"})";
  const std::string sealed = SealJson(text);
  EXPECT_EQ(sealed, R"({"offset":1234,"name":"a, b","crc32c":")" +
                        sealed.substr(sealed.size() - 10));
  ASSERT_TRUE(UnsealJson(sealed).ok());
  EXPECT_EQ(*UnsealJson(sealed), text);
  const size_t body = text.size() - 1;  // up to the comma of the seal
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    std::string bad = sealed;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    const Result<std::string> opened = UnsealJson(bad);
    // In the seal's own key the text is one without a seal; its content is whole.
    EXPECT_TRUE(!opened.ok() || (bit / 8 >= body && *opened == bad)) << bad;
  }
}

TEST(SealTest, TextWithoutASealIsLeftAlone) {
  for (const char* text : {"", "{}", R"({"crc32c":"00000000"})", "nonsense"})
    EXPECT_EQ(*UnsealJson(text), text);
}

}  // namespace
}  // namespace weir
