#include "ops/exact_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace weir::ops {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// As the aggregate uses the two: narrow while it fits.
struct Sum {
  void Add(double term, int64_t weight = 1) {
    if (narrow.TryAdd(term, weight)) return;
    has_wide = true;
    wide.Add(term, weight);
  }
  double Round(uint64_t divisor = 1) const {
    return RoundedSum(narrow, has_wide ? &wide : nullptr, divisor);
  }

  NarrowSum narrow;
  WideSum wide;
  bool has_wide = false;
};

struct Vector {
  std::vector<double> terms;
  double sum, average;
};

// Sums and averages are those of Python's fractions, rounded once.
const Vector kVectors[] = {
    {{0x1.999999999999ap-4, 0x1.999999999999ap-4, 0x1.999999999999ap-4,
      0x1.999999999999ap-4, 0x1.999999999999ap-4, 0x1.999999999999ap-4,
      0x1.999999999999ap-4, 0x1.999999999999ap-4, 0x1.999999999999ap-4,
      0x1.999999999999ap-4},
     0x1.0000000000000p+0,
     0x1.999999999999ap-4},
    {{0x1.1c37937e08000p+53, 0x1.0000000000000p+0, -0x1.1c37937e08000p+53},
     0x1.0000000000000p+0,
     0x1.5555555555555p-2},
    {{0x0.0000000000001p-1022, 0x0.0000000000001p-1022},
     0x0.0000000000002p-1022,
     0x0.0000000000001p-1022},
    {{0x1.fffffffffffffp+1023, 0x1.fffffffffffffp+1023}, kInf, 0x1.fffffffffffffp+1023},
    {{0x1.0000000000000p+53, 0x1.0000000000000p+0},
     0x1.0000000000000p+53,
     0x1.0000000000000p+52},
    {{0x1.0000000000000p+53, 0x1.0000000000000p+0, 0x1.0000000000000p+0},
     0x1.0000000000001p+53,
     0x1.5555555555557p+51},
    {{0x1.0000000000000p+53, 0x1.0000000000000p+0, 0x1.0000000000000p-60},
     0x1.0000000000001p+53,
     0x1.5555555555556p+51},
    {{-0x1.0000000000000p+53, -0x1.0000000000000p+0, -0x1.0000000000000p-60},
     -0x1.0000000000001p+53,
     -0x1.5555555555556p+51},
    {{0x1.0000000000000p-72, 0x1.542bbd96e5adfp+830, 0x1.0000000000000p+53},
     0x1.542bbd96e5adfp+830,
     0x1.c58fa773dce7fp+828},
    {{0x1.4933333333333p+5, 0x1.4a3d70a3d70a4p+3, 0x1.0000000000000p+0},
     0x1.a3c28f5c28f5cp+5,
     0x1.17d70a3d70a3dp+4},
    {{-0x1.129f000000000p+19, -0x1.504b5555d86e4p+141, -0x1.1c37937e08000p+53,
      0x1.f628f5c28f5c3p+5, -0x1.2685000000000p+17, 0x1.4a147ae147ae1p+4},
     -0x1.504b5555d86e4p+141,
     -0x1.c06471c7cb3dbp+138},
    {{0x1.42e147ae147aep+4, 0x1.307ae147ae148p+4, -0x1.8d30dc3b1b366p-443},
     0x1.39ae147ae147bp+5,
     0x1.a23d70a3d70a4p+3},
    {{0x1.c203e3cae5141p-923, 0x1.0000000000000p-73, 0x1.0a209befef64ap-253,
      -0x0.0000000002197p-1022},
     0x1.0000000000000p-73,
     0x1.0000000000000p-75},
    {{-0x1.ed8f39e1fcc46p-408, 0x1.65c1280d561c6p+141},
     0x1.65c1280d561c6p+141,
     0x1.65c1280d561c6p+140},
    {{0x1.3f2de429ef2edp-67, 0x0.0000000002a99p-1022, -0x1.5bdcd470c1179p-589,
      -0x1.d0121200c54e9p+1016, 0x1.fffffffffffffp+1023, 0x1.6ab851eb851ecp+6},
     0x1.fc5fdbdbfe755p+1023,
     0x1.52ea9292a9a39p+1021},
    {{-0x0.000000000273fp-1022, 0x1.bd2fbbe671198p-725},
     0x1.bd2fbbe671198p-725,
     0x1.bd2fbbe671198p-726},
    {{0x0.0000000000001p-1022, -0x1.ca04ccc61175dp-378},
     -0x1.ca04ccc61175dp-378,
     -0x1.ca04ccc61175dp-379},
    {{0x0.00000000020d5p-1022, 0x1.c41170dea8095p+688, 0x1.773d70a3d70a4p+6,
      -0x0.000000000154fp-1022, 0x1.cb0a3d70a3d71p+5, 0x1.2a8f5c28f5c29p+3},
     0x1.c41170dea8095p+688,
     0x1.2d60f5e9c55b9p+686},
    {{-0x1.4936e15febbe2p+935, 0x1.1071a0b589fd6p+590, -0x1.4550e35bcbccbp+723,
      0x1.a4036031c7c21p-703},
     -0x1.4936e15febbe2p+935,
     -0x1.4936e15febbe2p+933},
    {{0x1.0000000000000p-1022, -0x1.9d47800000000p+18, 0x1.3666666666666p+5},
     -0x1.9d3dccccccccdp+18,
     -0x1.137e888888889p+17},
    {{-0x1.0b345d3b6db0ep-230, 0x1.e23d70a3d70a4p+4, -0x0.0000000000e1cp-1022},
     0x1.e23d70a3d70a4p+4,
     0x1.417e4b17e4b18p+3},
    {{-0x1.90f85152e9ea1p-105, 0x1.1e147ae147ae1p+4, 0x1.946654fb0b0fcp-194},
     0x1.1e147ae147ae1p+4,
     0x1.7d70a3d70a3d7p+2},
    {{-0x1.a776be1fed54ep+14, 0x1.59c71b86108c9p-663, 0x1.b9eb851eb851fp+4,
      -0x1.a85b000000000p+17},
     -0x1.dd3c0867d4b4ep+17,
     -0x1.dd3c0867d4b4ep+15},
    {{0x1.70ba000000000p+19, 0x1.555b400000000p+19, 0x1.aa3d70a3d70a4p+2,
      -0x1.0fe7c00000000p+19},
     0x1.b62e551eb851fp+19,
     0x1.b62e551eb851fp+17},
    {{0x1.f05d3bb404afep+60, 0x0.0000000000fadp-1022},
     0x1.f05d3bb404afep+60,
     0x1.f05d3bb404afep+59},
    {{-0x1.82d3d03f91068p-657, 0x1.0000000000000p+53, 0x1.eb851eb851eb8p-3,
      0x1.52147ae147ae1p+4},
     0x1.000000000000bp+53,
     0x1.000000000000bp+51},
    {{0x0.000000000397ap-1022, -0x1.2be1099eb8a9ep-863, 0x1.0000000000000p+0},
     0x1.0000000000000p+0,
     0x1.5555555555555p-2},
    {{-0x1.61f6323401fa4p+780, -0x0.0000000000d25p-1022},
     -0x1.61f6323401fa4p+780,
     -0x1.61f6323401fa4p+779},
    {{0x1.4047ae147ae14p+6, -0x1.8a60600000000p+19, 0x0.0000000002f87p-1022,
      0x1.fffffffffffffp+1023},
     0x1.fffffffffffffp+1023,
     0x1.fffffffffffffp+1021},
    {{0x1.0000000000000p+0, -0x1.1c37937e08000p+53, 0x1.01aedf9f9fe28p+184},
     0x1.01aedf9f9fe28p+184,
     0x1.5793d4d4d52e0p+182},
    {{0x1.2b70a3d70a3d7p+6, 0x0.0000000000001p-1022, 0x1.7d9999999999ap+5},
     0x1.ea3d70a3d70a4p+6,
     0x1.46d3a06d3a06dp+5},
    {{0x1.0000000000000p-73, 0x1.bf0a3d70a3d71p+3, 0x1.1c37937e08000p+53},
     0x1.1c37937e08007p+53,
     0x1.7af4c4a80aab4p+51},
    {{0x1.6f851eb851eb8p+4, -0x0.0000000000688p-1022, -0x1.6b4f000000000p+17},
     -0x1.6b4383d70a3d7p+17,
     -0x1.e45a051eb851fp+15},
    {{0x0.0000000000df6p-1022, 0x1.3c48bfe23ab59p-416, -0x1.376017e4ca11fp-473,
      0x1.8d10c202a3d9bp-71},
     0x1.8d10c202a3d9bp-71,
     0x1.8d10c202a3d9bp-73},
    {{-0x1.6915df3358e5ap+114, 0x1.71570e724c159p+126, 0x1.fdeacbeec9592p+416,
      0x1.aa45144a567f0p+298, -0x0.00000000027bfp-1022, -0x1.0d38c00000000p+19},
     0x1.fdeacbeec9592p+416,
     0x1.53f1dd49db90cp+414},
    {{0x1.3a25c00000000p+18, 0x1.f82bb6499a8eap-536, -0x1.3f86183fbf2cdp-915,
      0x0.0000000001583p-1022},
     0x1.3a25c00000000p+18,
     0x1.3a25c00000000p+16},
    {{-0x1.7fd594d319782p-165, 0x1.21e51515f1e9cp-849},
     -0x1.7fd594d319782p-165,
     -0x1.7fd594d319782p-166},
    {{-0x0.0000000000001p-1022, -0x1.cfc814998028ep-743, -0x1.bfe2200000000p+19,
      -0x0.0000000003a53p-1022},
     -0x1.bfe2200000000p+19,
     -0x1.bfe2200000000p+17},
    {{0x1.e333800000000p+18, 0x0.0000000001eaep-1022, 0x1.058f5c28f5c29p+6,
      0x1.1d3008c0ad1b0p+59, 0x0.0000000000663p-1022, -0x1.76e8757c742f2p+760},
     -0x1.76e8757c742f2p+760,
     -0x1.f3e09ca5f03edp+757},
    {{-0x1.12e80b186b214p-313, -0x0.0000000000001p-1022, -0x1.54e0a6c7ba88cp+591,
      0x1.548f5c28f5c29p+6, 0x1.0000000000000p-72, -0x0.0000000003156p-1022},
     -0x1.54e0a6c7ba88cp+591,
     -0x1.c680de5fa3610p+588},
    {{0x1.52725e617ff58p+672, 0x1.f25884e31111dp+756, -0x0.0000000001b05p-1022},
     0x1.f25884e31111dp+756,
     0x1.4c3b03420b613p+755},
    {{-0x1.872ba00000000p+19, -0x1.0000000000000p+0, 0x1.e8f20398cd293p-374,
      0x0.0000000000939p-1022, 0x1.0000000000000p-1022, 0x1.0c28f5c28f5c3p+5},
     -0x1.87278f5c28f5cp+19,
     -0x1.04c50a3d70a3dp+17},
    {{-0x1.4c234b96623d0p-563, -0x0.0000000003782p-1022, 0x0.0000000002960p-1022,
      -0x0.0000000003b4cp-1022, -0x1.1c37937e08000p+53, 0x0.000000000343ap-1022},
     -0x1.1c37937e08000p+53,
     -0x1.7af4c4a80aaabp+50},
    {{0x0.0000000002b23p-1022, -0x1.3de5f712212f3p-113, 0x1.5e3930b1e06a9p+445},
     0x1.5e3930b1e06a9p+445,
     0x1.d2f6eb97d5e37p+443},
    {{0x1.8d1eb851eb852p+5, 0x0.000000000082cp-1022, 0x1.18d3a4c5e3f99p-699},
     0x1.8d1eb851eb852p+5,
     0x1.08bf258bf258cp+4},
    {{-0x1.372463474cb16p+873, -0x1.07cff892cbb00p+190, -0x1.20afc00000000p+18,
      0x1.dc385a4d0e3e9p-433},
     -0x1.372463474cb16p+873,
     -0x1.372463474cb16p+871},
    {{-0x1.8dbe600000000p+19, -0x0.0000000003cd6p-1022},
     -0x1.8dbe600000000p+19,
     -0x1.8dbe600000000p+18},
    {{0x1.1c37937e08000p+53, -0x1.fffffffffffffp+1023},
     -0x1.fffffffffffffp+1023,
     -0x1.fffffffffffffp+1022},
};

TEST(ExactSumTest, SumsAndAveragesAreRoundedOnce) {
  for (const Vector& vector : kVectors) {
    Sum sum, only_wide;
    for (const double term : vector.terms) sum.Add(term);
    EXPECT_EQ(sum.Round(), vector.sum) << testing::PrintToString(vector.terms);
    EXPECT_EQ(sum.Round(vector.terms.size()), vector.average)
        << testing::PrintToString(vector.terms);

    only_wide.has_wide = true;
    for (const double term : vector.terms) only_wide.wide.Add(term, 1);
    EXPECT_EQ(only_wide.Round(), vector.sum) << testing::PrintToString(vector.terms);
    EXPECT_EQ(only_wide.Round(vector.terms.size()), vector.average)
        << testing::PrintToString(vector.terms);
  }
}

TEST(ExactSumTest, NeitherOrderNorRetractionLeavesATrace) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    std::vector<double> kept, gone;
    for (int i = 0; i < 50; ++i) {
      double term = std::bit_cast<double>(random());
      if (round % 2 == 0)
        term =
            static_cast<double>(static_cast<int64_t>(random() % 2'000'000) - 1'000'000) /
            100;
      if (!std::isfinite(term)) continue;
      (i % 3 == 0 ? gone : kept).push_back(term);
    }
    Sum forward, backward;
    for (const double term : kept) forward.Add(term);
    for (const double term : gone) backward.Add(term, 3);
    for (size_t i = kept.size(); i-- > 0;) backward.Add(kept[i]);
    for (const double term : gone) backward.Add(term, -3);
    ASSERT_EQ(forward.Round(), backward.Round());
    ASSERT_EQ(forward.Round(7), backward.Round(7));
  }
}

TEST(ExactSumTest, TermsThatAreNoFiniteNumbersAreCountedApart) {
  Sum sum;
  sum.Add(1.5);
  sum.Add(kInf);
  EXPECT_EQ(sum.Round(), kInf);
  sum.Add(-kInf);
  EXPECT_TRUE(std::isnan(sum.Round()));
  sum.Add(kInf, -1);
  EXPECT_EQ(sum.Round(), -kInf);
  sum.Add(-kInf, -1);
  EXPECT_EQ(sum.Round(), 1.5);
  sum.Add(std::nan(""));
  EXPECT_TRUE(std::isnan(sum.Round()));
  sum.Add(std::nan(""), -1);
  EXPECT_EQ(sum.Round(), 1.5);
}

TEST(ExactSumTest, NothingSumsToPositiveZero) {
  Sum sum;
  sum.Add(-0.0);
  EXPECT_FALSE(std::signbit(sum.Round()));
}

TEST(ExactSumTest, ANarrowSumThatIsFullGoesOnInTheWideOne) {
  Sum sum;
  const double big = std::ldexp(1.0, 52);
  for (int i = 0; i < 10; ++i) sum.Add(big, 1000);
  EXPECT_TRUE(sum.has_wide);
  EXPECT_EQ(sum.Round(), big * 10'000);
  sum.Add(big, -9'999);
  EXPECT_EQ(sum.Round(), big);
}

TEST(ExactSumTest, QuotientsOfIntegersAreRoundedOnce) {
  EXPECT_EQ(RoundedQuotient(Int128{10}, 4), 2.5);
  EXPECT_EQ(RoundedQuotient(Int128{-1}, 3), -1.0 / 3);
  const Int128 large = static_cast<Int128>(1) << 120;
  EXPECT_EQ(RoundedQuotient(large + 1, 1), std::ldexp(1.0, 120));
  EXPECT_EQ(RoundedQuotient(-large, uint64_t{1} << 63), -std::ldexp(1.0, 57));
}

struct VarianceVector {
  std::vector<double> terms;
  double population, sample;
};

// Those of Python's fractions, rounded once.
const VarianceVector kVariances[] = {
    {{0x1.999999999999ap-4, 0x1.999999999999ap-3, 0x1.3333333333333p-2},
     0x1.b4e81b4e81b4dp-8,
     0x1.47ae147ae147ap-7},
    {{0x1.dcd6502000000p+29, 0x1.dcd6503800000p+29, 0x1.dcd6506800000p+29,
      0x1.dcd6508000000p+29},
     0x1.6800000000000p+4,
     0x1.e000000000000p+4},
    {{0x1.0000000000000p+0, 0x1.1c37937e08000p+53, -0x1.1c37937e08000p+53},
     0x1.a4b9cf15c92c9p+105,
     0x1.3b8b5b5056e17p+106},
    {{0x0.0000000000003p-1022, 0x0.0000000000001p-1022}, 0x0.0p+0, 0x0.0p+0},
    {{0x1.38d352e5096afp+498, -0x1.25eed8ffb39c1p-663, 0x1.0000000000000p+1},
     0x1.53ca79555bddfp+994,
     0x1.fdafb60009ccfp+994},
    {{0x1.0000000000000p+60, 0x1.0000000000001p+60, -0x1.0000000000000p+58},
     0x1.638e38e38e38fp+118,
     0x1.0aaaaaaaaaaacp+119},
    {{0x1.549fc18707af9p+39, -0x1.577fd20f35a93p+9, 0x1.7d3a33863b54ap-21,
      -0x1.8a2cb0a1a3fcfp+12, -0x1.d95fd1a7134ebp+18, 0x1.4221a88ae4328p-31,
      -0x1.259b749660731p-30, -0x1.e7f5704229c84p+32, 0x1.4840fd42e6e68p+21},
     0x1.6725c82522801p+75,
     0x1.940a8129c6d01p+75},
    {{0x1.6295010e6841dp+26, 0x1.6c8e84039805ap+25, -0x1.81a09b152e1e0p-41,
      0x1.23c490d954e58p-34, -0x1.d8edab9a8c962p-21, 0x1.cf560dcd80e60p+22,
      -0x1.77ef15f2306ccp+6, -0x1.534552dfb2ce5p+18},
     0x1.d49a9866964b5p+49,
     0x1.0bc60df17a743p+50},
    {{0x1.d2e5b79f5da69p+21, -0x1.cf878a5aa6c9bp-42, 0x1.03eb5408ff6cap+5,
      0x1.8c4acd59031acp+1, 0x1.b5be36c54f4d3p-34},
     0x1.107d794a03296p+41,
     0x1.549cd79c83f3bp+41},
    {{-0x1.efdc87a627f69p-19, 0x1.d037d73e83b2fp-46, -0x1.9042b3db604bep+39,
      -0x1.af16c32651f3fp-31, 0x1.62e6d1253c4e4p-1, -0x1.e7b5c23fdd274p-41},
     0x1.5bacbacbc5267p+76,
     0x1.a135acf4862e3p+76},
    {{-0x1.9335e612bb5edp-38, -0x1.1e39407dd0395p+29},
     0x1.4003f8e6e585fp+56,
     0x1.4003f8e6e585fp+57},
    {{-0x1.3950995996352p+17, 0x1.e241d32ea0630p+37, 0x1.ca838e6ce14bep-9,
      -0x1.0e91b5a910d24p-7, -0x1.364de772dfb82p+3, 0x1.1bb7f2d1a1ae9p-31,
      -0x1.b3984edeec3bcp+32, -0x1.18bd1b96fffe0p-37},
     0x1.90fbe3756900cp+72,
     0x1.ca4471aac1257p+72},
    {{0x1.fe47714064d50p-25, 0x1.870221d8925f2p-22, -0x1.c39deac30d2b2p-24,
      0x1.c3f41a6e2e38ep+39, -0x1.198cbdd06d617p+26, -0x1.dc2715c459110p-3,
      -0x1.545a1eca3e5b0p-23, -0x1.e7d245db08e84p+19, -0x1.b906a25e0db70p-42},
     0x1.3b39a69f668abp+76,
     0x1.62a0db73535c0p+76},
    {{-0x1.7db4732456a5cp+22, 0x1.37e660534d331p-32, -0x1.3aa93e7e29865p-27,
      -0x1.e119090f20760p-15, -0x1.2b54de7486e79p+23},
     0x1.e74cb83546513p+43,
     0x1.308ff3214bf2cp+44},
    {{-0x1.b5dfc5b64eafdp+1, -0x1.c08361ce74e2dp-375, -0x1.483f6f45527c1p+491,
      0x1.10e3fd3754423p-477, 0x1.7cfccb2a95bdcp+130},
     0x1.0d5dd50623be8p+980,
     0x1.50b54a47acae3p+980},
    {{0x1.84c8f3cec256ap-285, 0x1.13237829c6fe3p+322, 0x1.42d4fbd1b0d98p-270,
      0x1.267df5040b7adp-190, 0x1.e56692fef038ap+27},
     0x1.7a8190bd3a0c7p+641,
     0x1.d921f4ec888f9p+641},
    {{0x1.3c00a781cf2f9p-77, 0x1.8e3b3ab1c4d21p-231, 0x1.afc2037a7b63fp+440,
      -0x1.a92b12adb6617p+158, 0x1.261f371fcd73cp-366},
     0x1.d20981c25ce77p+878,
     0x1.2345f1197a10ap+879},
};

struct Squares {
  void Add(double term, int64_t weight) {
    sum.Add(term, weight);
    n += weight;
    if (narrow.TryAdd(term, weight)) return;
    has_wide = true;
    wide.Add(term, weight);
  }
  double Variance(bool sample) const {
    return RoundedVariance(sum.narrow, sum.has_wide ? &sum.wide : nullptr, narrow,
                           has_wide ? &wide : nullptr, n, sample);
  }

  Sum sum;
  NarrowSquares narrow;
  WideSquares wide;
  bool has_wide = false;
  int64_t n = 0;
};

TEST(ExactVarianceTest, IsRoundedOnceWhateverCameAndWent) {
  std::mt19937_64 random(3);
  for (const VarianceVector& vector : kVariances) {
    for (int round = 0; round < 6; ++round) {
      std::vector<double> terms = vector.terms;
      std::shuffle(terms.begin(), terms.end(), random);
      Squares squares;
      if (round > 1) squares.Add(1e300, 3);
      if (round > 2) squares.Add(0x1p39 - 1, 1'000'000'000);
      if (round > 3) squares.Add(-5e-300, 2);
      for (const double term : terms) squares.Add(term, 1);
      if (round > 3) squares.Add(-5e-300, -2);
      if (round > 2) squares.Add(0x1p39 - 1, -1'000'000'000);
      if (round > 1) squares.Add(1e300, -3);
      EXPECT_EQ(squares.Variance(false), vector.population) << terms[0];
      EXPECT_EQ(squares.Variance(true), vector.sample) << terms[0];
    }
  }
}

TEST(ExactVarianceTest, NarrowSquaresGiveWayBeforeTheyOverflow) {
  Squares squares;
  const auto large = static_cast<double>((int64_t{1} << 39) - 1);
  for (int i = 0; i < 3; ++i) squares.Add(large, 2'000'000'000);
  for (int i = 0; i < 3; ++i) squares.Add(-large, 2'000'000'000);
  EXPECT_EQ(squares.Variance(false), large * large);
  squares.Add(large, -2'000'000'000);
  squares.Add(-large, -2'000'000'000);
  EXPECT_EQ(squares.Variance(false), large * large);
}

TEST(PowerSumsTest, AddsPowersOfAnySize) {
  PowerSums sums;
  sums.Add(0, 1);
  EXPECT_EQ(sums.Log2(), 0);
  sums.Add(0, 3);
  EXPECT_EQ(sums.Log2(), 2);
  sums.Add(-1e6, 1);
  EXPECT_EQ(sums.Log2(), 2);
  sums.Add(40'000.5, 1);
  EXPECT_EQ(sums.Log2(), 40'000.5);
  sums.Add(40'000.5, -1);
  sums.Add(0, -4);
  EXPECT_EQ(sums.Log2(), -1e6);
}

TEST(PowerSumsTest, NeighboursAcrossABlockAddUp) {
  PowerSums sums;
  sums.Add(511, 1);
  sums.Add(512, 1);
  EXPECT_DOUBLE_EQ(sums.Log2(), 511 + std::log2(3));
}

TEST(PowerSumsTest, OrderAndTermsTakenBackDoNotMatter) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> near(39'000, 39'010), far(-50'000, 50'000);
  for (int round = 0; round < 50; ++round) {
    std::vector<double> terms;
    for (int i = 0; i < 40; ++i) terms.push_back(near(random));
    PowerSums straight, other;
    for (const double term : terms) straight.Add(term, 1);
    std::shuffle(terms.begin(), terms.end(), random);
    std::vector<double> noise;
    for (const double term : terms) {
      noise.push_back(far(random));
      other.Add(noise.back(), 1);
      other.Add(term, 1);
    }
    for (const double term : noise) other.Add(term, -1);
    EXPECT_EQ(straight.Log2(), other.Log2());
  }
}

}  // namespace
}  // namespace weir::ops
