// Prospects with errors, after febrl's generator, and what matching them must find.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "generate/customer360_internal.h"
#include "generate/dice.h"

namespace weir::generate {
namespace {

constexpr uint64_t kLeadDice = 40;
constexpr const char* kGiven[] = {
    "james",  "mary",    "robert",    "patricia", "john",    "jennifer", "michael",
    "linda",  "david",   "elizabeth", "william",  "barbara", "richard",  "susan",
    "joseph", "jessica", "thomas",    "karen",    "charles", "sarah",    "daniel"};
constexpr const char* kSurnames[] = {
    "smith",    "johnson",   "williams", "brown",     "jones",   "garcia",   "miller",
    "davis",    "rodriguez", "martinez", "hernandez", "lopez",   "gonzalez", "wilson",
    "anderson", "thomas",    "taylor",   "moore",     "jackson", "martin",   "lee",
    "perez",    "thompson",  "white",    "harris",    "sanchez", "clark",    "ramirez",
    "lewis",    "robinson",  "walker"};
constexpr const char* kStreets[] = {
    "oak street", "maple avenue",  "cedar lane",   "park road",    "main street",
    "lake drive", "hill crescent", "river parade", "church close", "mill place"};

template <size_t N>
std::string Any(Dice& dice, const char* const (&from)[N]) {
  return from[dice.Between(0, static_cast<int64_t>(N) - 1)];
}

// One typing error.
std::string Mistype(Dice& dice, std::string text) {
  const auto at =
      static_cast<size_t>(dice.Between(0, static_cast<int64_t>(text.size()) - 1));
  const char letter = static_cast<char>('a' + dice.Between(0, 25));
  switch (dice.Between(0, 3)) {
    case 0:
      text[at] = letter;
      break;
    case 1:
      text.insert(at, 1, letter);
      break;
    case 2:
      if (text.size() > 2) text.erase(at, 1);
      break;
    default:
      if (at + 1 < text.size()) std::swap(text[at], text[at + 1]);
  }
  return text;
}

void Damage(Dice& dice, Lead* lead) {
  const int64_t errors = dice.Between(1, 3);
  for (int64_t e = 0; e < errors; ++e) {
    switch (dice.Between(0, 6)) {
      case 0:
        if (lead->given_name) lead->given_name = Mistype(dice, *lead->given_name);
        break;
      case 1:
        if (lead->surname) lead->surname = Mistype(dice, *lead->surname);
        break;
      case 2:
        if (lead->street) lead->street = Mistype(dice, *lead->street);
        break;
      case 3:
        std::swap(lead->given_name, lead->surname);
        break;
      case 4:
        lead->street.reset();
        break;
      case 5:
        lead->given_name.reset();
        break;
      default:  // moved away, or a birth date read wrong
        if (dice.Chance(.5)) {
          lead->postcode = fmt::format("{:04}", dice.Between(1000, 9999));
        } else {
          lead->birth_date.reset();
        }
    }
  }
}

// -------------------------------------------------------------------------------
// matching

// Jaro's similarity, with Winkler's bonus for a common prefix of up to four letters.
double JaroWinkler(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return a.empty() && b.empty() ? 1 : 0;
  const auto longest = static_cast<int64_t>(std::max(a.size(), b.size()));
  const int64_t reach = std::max<int64_t>(longest / 2 - 1, 0);
  std::vector<bool> used(b.size());
  std::string of_a, of_b;
  for (int64_t i = 0; i < static_cast<int64_t>(a.size()); ++i) {
    const int64_t from = std::max<int64_t>(0, i - reach),
                  to = std::min(static_cast<int64_t>(b.size()) - 1, i + reach);
    for (int64_t j = from; j <= to; ++j) {
      const auto k = static_cast<size_t>(j);
      if (used[k] || b[k] != a[static_cast<size_t>(i)]) continue;
      used[k] = true;
      of_a.push_back(b[k]);
      break;
    }
  }
  for (size_t j = 0; j < b.size(); ++j) {
    if (used[j]) of_b.push_back(b[j]);
  }
  if (of_a.empty()) return 0;
  int64_t moved = 0;
  for (size_t i = 0; i < of_a.size(); ++i) moved += of_a[i] != of_b[i];
  const auto common = static_cast<double>(of_a.size());
  const double jaro =
      (common / static_cast<double>(a.size()) + common / static_cast<double>(b.size()) +
       (common - static_cast<double>(moved / 2)) / common) /
      3;
  if (jaro <= .7) return jaro;
  size_t prefix = 0;
  while (prefix < 4 && prefix < a.size() && prefix < b.size() && a[prefix] == b[prefix])
    ++prefix;
  return jaro + static_cast<double>(prefix) * .1 * (1 - jaro);
}

double Alike(const MaybeText& a, const MaybeText& b) {
  return a && b ? JaroWinkler(*a, *b) : .5;
}

double Score(const Lead& a, const Lead& b) {
  const double straight = Alike(a.given_name, b.given_name) + Alike(a.surname, b.surname);
  const double swapped = Alike(a.given_name, b.surname) + Alike(a.surname, b.given_name);
  const double birth =
      a.birth_date && b.birth_date ? (*a.birth_date == *b.birth_date ? 1 : 0) : .5;
  return .3 * std::max(straight, swapped) + .2 * Alike(a.street, b.street) + .2 * birth;
}

constexpr double kJoin = .8, kReview = .7;

}  // namespace

std::vector<Lead> MakeLeads(uint64_t seed, int64_t people) {
  std::vector<Lead> leads;
  for (int64_t p = 0; p < people; ++p) {
    Dice dice = DiceOf(seed, kLeadDice, static_cast<uint64_t>(p));
    Lead original{
        .id = fmt::format("rec-{:06}-org", p),
        .person = static_cast<int32_t>(p),
        .given_name = Any(dice, kGiven),
        .surname = Any(dice, kSurnames),
        .street = fmt::format("{} {}", dice.Between(1, 200), Any(dice, kStreets)),
        .postcode = fmt::format("{:04}", 1000 + dice.Between(0, people / 8)),
        .birth_date = fmt::format("{}-{:02}-{:02}", dice.Between(1940, 2005),
                                  dice.Between(1, 12), dice.Between(1, 28))};
    leads.push_back(original);
    const int64_t copies = dice.Chance(.4) ? dice.Between(1, 2) : 0;
    for (int64_t c = 0; c < copies; ++c) {
      Lead copy = original;
      copy.id = fmt::format("rec-{:06}-dup-{}", p, c);
      Damage(dice, &copy);
      leads.push_back(copy);
    }
  }
  return leads;
}

Status WriteLeadAnswer(io::Io& io, const std::string& out, const std::vector<Lead>& leads,
                       const SourceFate& fate) {
  std::map<std::string, std::vector<size_t>> blocks;
  std::map<int32_t, int64_t> of_person;
  for (size_t i = 0; i < leads.size(); ++i) {
    if (!fate.accepted[i]) continue;
    ++of_person[leads[i].person];
    if (leads[i].postcode) blocks["p" + *leads[i].postcode].push_back(i);
    if (leads[i].birth_date) blocks["b" + *leads[i].birth_date].push_back(i);
  }
  std::set<std::pair<size_t, size_t>> pairs;
  for (const auto& [value, members] : blocks) {
    for (const size_t a : members) {
      for (const size_t b : members) {
        if (leads[a].id < leads[b].id) pairs.emplace(a, b);
      }
    }
  }
  int64_t same = 0, joined = 0, joined_right = 0, review = 0, review_right = 0;
  for (const auto& [person, records] : of_person) same += records * (records - 1) / 2;
  std::vector<JsonObject> matches;
  for (const auto& [a, b] : pairs) {
    const double score = Score(leads[a], leads[b]);
    if (score < kReview) continue;
    const bool is_same = leads[a].person == leads[b].person, join = score >= kJoin;
    (join ? joined : review) += 1;
    (join ? joined_right : review_right) += is_same;
    matches.push_back(JsonObject()
                          .Set("lead_a", leads[a].id)
                          .Set("lead_b", leads[b].id)
                          .Set("score", score)
                          .Set("decision", join ? "join" : "review")
                          .Set("is_same", is_same));
  }
  const auto ratio = [](int64_t part, int64_t whole) -> std::optional<double> {
    if (whole == 0) return std::nullopt;
    return static_cast<double>(part) / static_cast<double>(whole);
  };
  WEIR_TRY(WriteAnswer(io, out, "gold.lead_matches", matches));
  return WriteAnswer(io, out, "gold.match_quality",
                     {JsonObject()
                          .Set("same_pairs", same)
                          .Set("joined", joined)
                          .Set("joined_right", joined_right)
                          .Set("review", review)
                          .Set("review_right", review_right)
                          .Set("precision", ratio(joined_right, joined))
                          .Set("recall", ratio(joined_right, same))
                          .Set("f1", ratio(2 * joined_right, joined + same))});
}

}  // namespace weir::generate
