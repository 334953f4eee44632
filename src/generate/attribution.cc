// Ad campaigns: users see impressions, click, and some buy. Scale 1: 30,000 impressions,
// 12,000 clicks, 3,000 conversions.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/time.h"
#include "generate/dice.h"
#include "generate/generator.h"
#include "generate/stream.h"

namespace weir::generate {
namespace {

constexpr Millis kStart = 1'748'736'000'000;  // 2025-06-01 00:00 UTC
constexpr Millis kDays = 34;                  // clicks come on all of them …
constexpr Millis kFirstConversionDay = 31;    // … conversions on the last three
constexpr Millis kLastClickWindow = 7 * kDay, kFirstClickWindow = 30 * kDay;
constexpr int kCampaigns = 24;
constexpr int32_t kBot = 0;  // the user who clicks as a machine does
constexpr double kBotShare = 0.2;
constexpr int64_t kManyClicks = 20;  // of a user on a day: gold.suspicious_users

enum Purpose : uint64_t { kImpressionDice = 10, kClickDice, kConversionDice };

struct Impression {
  Millis at;
  int32_t user, campaign;
};
struct Click {
  Millis at;
  int32_t user, campaign;
};
struct Conversion {
  Millis at;
  int32_t user;
  int64_t cents;
};

std::string UserName(int32_t user) { return fmt::format("u{:07}", user); }
std::string CampaignName(int32_t campaign) { return fmt::format("c{:03}", campaign); }
std::string ImpressionId(size_t i) { return fmt::format("i{:08}", i); }
std::string ClickId(size_t i) { return fmt::format("k{:08}", i); }
std::string ConversionId(size_t i) { return fmt::format("v{:08}", i); }

struct World {
  std::vector<Impression> impressions;
  std::vector<Click> clicks;
  std::vector<Conversion> conversions;
};

// Traffic of a day: ten times as much in the hour of the campaign's start.
Millis MomentOf(Dice& dice, Millis from, Millis days) {
  const Millis day = from + dice.Between(0, days - 1) * kDay;
  if (dice.Chance(.3)) return day + 20 * kHour + dice.Between(0, kHour - 1);
  return day + dice.Between(0, kDay - 1);
}

World MakeWorld(const SystemOptions& options) {
  World world;
  const auto count = [&](double of) {
    return static_cast<int64_t>(std::max(1.0, std::round(of * options.scale)));
  };
  const int64_t users = 1 + count(3000);
  for (int64_t i = 0; i < count(30'000); ++i) {
    Dice dice = DiceOf(options.seed, kImpressionDice, static_cast<uint64_t>(i));
    world.impressions.push_back(
        {.at = MomentOf(dice, kStart, kDays),
         .user = static_cast<int32_t>(dice.Between(1, users - 1)),
         .campaign = static_cast<int32_t>(dice.Skewed(kCampaigns))});
  }
  for (int64_t i = 0; i < count(12'000); ++i) {
    Dice dice = DiceOf(options.seed, kClickDice, static_cast<uint64_t>(i));
    const Impression& seen = world.impressions[static_cast<size_t>(
        dice.Between(0, static_cast<int64_t>(world.impressions.size()) - 1))];
    Click click{.at = seen.at + dice.Between(kSecond, 3 * kMinute),
                .user = seen.user,
                .campaign = seen.campaign};
    if (dice.Chance(kBotShare)) click.user = kBot;
    world.clicks.push_back(click);
    // Another campaign's click in the same millisecond: only its id decides.
    if (dice.Chance(.03)) {
      click.campaign = (click.campaign + 1) % kCampaigns;
      world.clicks.push_back(click);
    }
  }
  for (int64_t i = 0; i < count(3000); ++i) {
    Dice dice = DiceOf(options.seed, kConversionDice, static_cast<uint64_t>(i));
    Conversion bought{.at = MomentOf(dice, kStart + kFirstConversionDay * kDay,
                                     kDays - kFirstConversionDay),
                      .user = static_cast<int32_t>(dice.Between(1, users - 1)),
                      .cents = dice.Between(99, 50'000)};
    // Those that stand exactly at an edge of a click's window, and one step beyond.
    if (dice.Chance(.1)) {
      const Click& click = world.clicks[static_cast<size_t>(
          dice.Between(0, static_cast<int64_t>(world.clicks.size()) - 1))];
      static constexpr Millis kEdges[] = {0,
                                          -1,
                                          kLastClickWindow,
                                          kLastClickWindow + 1,
                                          kFirstClickWindow,
                                          kFirstClickWindow + 1};
      const Millis at = click.at + kEdges[dice.Between(0, 5)];
      if (click.user != kBot && at >= kStart + kFirstConversionDay * kDay &&
          at < kStart + kDays * kDay) {
        bought.at = at;
        bought.user = click.user;
      }
    }
    if (i < 2) bought.user = kBot;
    world.conversions.push_back(bought);
  }
  return world;
}

template <class T>
std::vector<Millis> TimesOf(const std::vector<T>& events) {
  std::vector<Millis> times;
  times.reserve(events.size());
  for (const T& event : events) times.push_back(event.at);
  return times;
}

// Old apps keep sending what they know for weeks; new ones tell a region that no contract
// declares yet.
void SetVersion(Dice dice, Millis at, JsonObject* record) {
  const double old =
      std::max(0.0, 1.0 - static_cast<double>(at - kStart) / (40.0 * kDay));
  if (dice.Chance(old)) {
    record->Set("schema_version", "1.0");
    return;
  }
  static constexpr const char* kRegions[] = {"EU", "US", "APAC"};
  record->Set("schema_version", "1.1")
      .Set("user_geo_location", kRegions[dice.Between(0, 2)]);
}

Result<SourceFate> WriteImpressions(io::Io& io, const SystemOptions& options,
                                    const World& world) {
  const std::vector<Millis> times = TimesOf(world.impressions);
  const auto deliveries = Deliver(times, {.parked = .002, .broken = .005},
                                  DiceOf(options.seed, kImpressionDice, ~0ull).Next());
  SourceText source{.name = "impressions", .lateness = kDay};
  source.write = [&](const Delivery& delivery, std::string* out) {
    const size_t start = out->size();
    const Impression& seen = world.impressions[delivery.event];
    JsonObject record;
    record.Set("impression_id", ImpressionId(delivery.event))
        .Set("user_id", UserName(seen.user))
        .Set("campaign_id", CampaignName(seen.campaign))
        .Set("seen_at", Stamp{seen.at});
    SetVersion(DiceOf(options.seed, kImpressionDice + 100, delivery.event), seen.at,
               &record);
    out->append(record.text());
    if (delivery.form == Delivered::kBroken) CutShort(delivery.dice, start, out);
  };
  return WriteSource(io, options.out, source, times, deliveries);
}

Result<SourceFate> WriteClicks(io::Io& io, const SystemOptions& options,
                               const World& world) {
  const std::vector<Millis> times = TimesOf(world.clicks);
  const auto deliveries =
      Deliver(times, {.parked = .002, .conflicting = .002, .broken = .005},
              DiceOf(options.seed, kClickDice, ~0ull).Next());
  SourceText source{.name = "clicks", .lateness = kDay};
  source.write = [&](const Delivery& delivery, std::string* out) {
    const size_t start = out->size();
    const Click& click = world.clicks[delivery.event];
    JsonObject record;
    record.Set("click_id", ClickId(delivery.event))
        .Set("user_id", UserName(click.user))
        .Set("campaign_id",
             CampaignName(delivery.form == Delivered::kConflicting ? kCampaigns
                                                                   : click.campaign))
        .Set("clicked_at", Stamp{click.at});
    SetVersion(DiceOf(options.seed, kClickDice + 100, delivery.event), click.at, &record);
    out->append(record.text());
    if (delivery.form == Delivered::kBroken) CutShort(delivery.dice, start, out);
  };
  return WriteSource(io, options.out, source, times, deliveries);
}

// The files of a day of arrival.
struct FilesOfDay {
  std::set<Millis> hours;
  int64_t records = 0;
};

Result<SourceFate> WriteConversions(io::Io& io, const SystemOptions& options,
                                    const World& world,
                                    std::map<int32_t, FilesOfDay>* files) {
  const std::vector<Millis> times = TimesOf(world.conversions);
  // A partner sends some of them a day and a half late; a few come again in another file.
  const auto deliveries = Deliver(times,
                                  {.delay = 10 * kMinute,
                                   .late = .05,
                                   .late_by = 36 * kHour,
                                   .parked = .004,
                                   .retried = .01,
                                   .again_in_hours = .01,
                                   .again_in_days = .01,
                                   .again_to = 4 * kDay,
                                   .conflicting = .003,
                                   .broken = 0},
                                  DiceOf(options.seed, kConversionDice, ~0ull).Next());
  for (const Delivery& delivery : deliveries) {
    FilesOfDay& day = (*files)[DateOf(delivery.at).days];
    day.hours.insert(delivery.at / kHour);
    ++day.records;
  }
  SourceText source{.name = "conversions", .lateness = 2 * kDay};
  source.file = [](const Delivery& delivery) {
    return fmt::format("conversions-{}-{:02}.csv", FormatDate(DateOf(delivery.at).days),
                       delivery.at % kDay / kHour);
  };
  source.header = [](const std::string&) {
    return std::string("conversion_id,user_id,converted_at,amount");
  };
  source.write = [&](const Delivery& delivery, std::string* out) {
    const Conversion& bought = world.conversions[delivery.event];
    const bool other = delivery.form == Delivered::kConflicting;
    CsvRow row;
    row.Add(ConversionId(delivery.event))
        .Add(UserName(bought.user))
        .Add(Stamp{bought.at})
        .Add(Cents{bought.cents + (other ? 100 : 0)});
    out->append(row.text());
  };
  return WriteSource(io, options.out, source, times, deliveries);
}

// ------------------------------------------------------------------------- the answer

struct Day {
  int64_t impressions = 0, clicks = 0, last = 0, first = 0;
  int64_t last_cents = 0, first_cents = 0;
};

class Answer {
 public:
  Answer(const World& world, const SourceFate& impressions, const SourceFate& clicks,
         const SourceFate& conversions)
      : world_(world),
        impressions_(impressions),
        clicks_(clicks),
        conversions_(conversions) {}

  Status Write(io::Io& io, const std::string& out) {
    CountImpressionsAndClicks();
    Attribute();
    WEIR_TRY(WriteAnswer(io, out, "silver.conversion_clicks", pairs_));
    WEIR_TRY(WriteAnswer(io, out, "gold.attributed_conversions_user_level", attributed_));
    WEIR_TRY(WriteAnswer(io, out, "gold.campaign_attribution_daily", DailyRows()));
    return WriteAnswer(io, out, "gold.suspicious_users", SuspiciousRows());
  }

 private:
  void CountImpressionsAndClicks() {
    for (size_t i = 0; i < world_.impressions.size(); ++i) {
      const Impression& seen = world_.impressions[i];
      if (impressions_.accepted[i]) ++DayOf(seen.campaign, seen.at).impressions;
    }
    for (size_t i = 0; i < world_.clicks.size(); ++i) {
      const Click& click = world_.clicks[i];
      if (!clicks_.accepted[i]) continue;
      ++DayOf(click.campaign, click.at).clicks;
      ++clicks_of_day_[{click.user, DateOf(click.at).days}];
      by_user_[click.user].push_back(i);
    }
  }

  void Attribute() {
    for (size_t v = 0; v < world_.conversions.size(); ++v) {
      if (!conversions_.accepted[v]) continue;
      const Conversion& bought = world_.conversions[v];
      std::optional<size_t> last, first;
      int64_t clicks = 0;
      const auto found = by_user_.find(bought.user);
      if (found != by_user_.end()) {
        for (const size_t k : found->second) {
          const Millis before = bought.at - world_.clicks[k].at;
          if (before < 0 || before > kFirstClickWindow) continue;
          ++clicks;
          const bool fresh = before <= kLastClickWindow;
          pairs_.push_back(
              JsonObject()
                  .Set("conversion_id", ConversionId(v))
                  .Set("click_id", ClickId(k))
                  .Set("campaign_id", CampaignName(world_.clicks[k].campaign))
                  .Set("clicked_at", Stamp{world_.clicks[k].at})
                  .Set("within_7_days", fresh));
          if (!first || Earlier(k, *first)) first = k;
          if (fresh && (!last || Earlier(*last, k))) last = k;
        }
      }
      AddAttributed(v, last, first, clicks);
    }
  }

  // Among clicks of one moment the one with the smaller id was first.
  bool Earlier(size_t a, size_t b) const {
    return std::pair(world_.clicks[a].at, a) < std::pair(world_.clicks[b].at, b);
  }

  void AddAttributed(size_t v, std::optional<size_t> last, std::optional<size_t> first,
                     int64_t clicks) {
    const Conversion& bought = world_.conversions[v];
    const auto campaign = [&](std::optional<size_t> click) {
      return click ? world_.clicks[*click].campaign : -1;
    };
    JsonObject row;
    row.Set("conversion_id", ConversionId(v))
        .Set("user_id", UserName(bought.user))
        .Set("converted_at", Stamp{bought.at})
        .Set("amount", Cents{bought.cents});
    const auto add = [&](const std::string& name, std::optional<size_t> click) {
      if (click) {
        row.Set(name + "_id", ClickId(*click))
            .Set(name + "_campaign", CampaignName(campaign(click)));
      } else {
        row.Set(name + "_id", std::nullopt).Set(name + "_campaign", std::nullopt);
      }
    };
    add("last_click", last);
    add("first_click", first);
    row.Set("clicks_in_30_days", clicks);
    attributed_.push_back(row);
    Day& of_last = DayOf(campaign(last), bought.at);
    ++of_last.last;
    of_last.last_cents += bought.cents;
    Day& of_first = DayOf(campaign(first), bought.at);
    ++of_first.first;
    of_first.first_cents += bought.cents;
  }

  std::vector<JsonObject> DailyRows() const {
    std::vector<JsonObject> rows;
    for (const auto& [key, day] : days_) {
      rows.push_back(
          JsonObject()
              .Set("campaign_id", key.first < 0 ? "(no click)" : CampaignName(key.first))
              .Set("day", Date{key.second})
              .Set("impressions", day.impressions)
              .Set("clicks", day.clicks)
              .Set("last_click_conversions", day.last)
              .Set("last_click_revenue", Cents{day.last_cents})
              .Set("first_click_conversions", day.first)
              .Set("first_click_revenue", Cents{day.first_cents}));
    }
    return rows;
  }

  std::vector<JsonObject> SuspiciousRows() const {
    std::vector<JsonObject> rows;
    for (const auto& [key, clicks] : clicks_of_day_) {
      if (clicks < kManyClicks) continue;
      rows.push_back(JsonObject()
                         .Set("user_id", UserName(key.first))
                         .Set("day", Date{key.second})
                         .Set("clicks", clicks));
    }
    return rows;
  }

  Day& DayOf(int32_t campaign, Millis at) { return days_[{campaign, DateOf(at).days}]; }

  const World& world_;
  const SourceFate &impressions_, &clicks_, &conversions_;
  std::map<std::pair<int32_t, int32_t>, Day> days_;               // campaign, day
  std::map<std::pair<int32_t, int32_t>, int64_t> clicks_of_day_;  // user, day
  std::map<int32_t, std::vector<size_t>> by_user_;                // accepted clicks
  std::vector<JsonObject> pairs_, attributed_;
};

// Which days of arrival have a file for each hour.
std::vector<JsonObject> FileRows(const std::map<int32_t, FilesOfDay>& files) {
  std::vector<JsonObject> rows;
  for (const auto& [day, of_day] : files) {
    rows.push_back(JsonObject()
                       .Set("day", Date{day})
                       .Set("hours", of_day.hours.size())
                       .Set("records", of_day.records)
                       .Set("is_complete", of_day.hours.size() == 24));
  }
  return rows;
}

}  // namespace

Result<std::string> GenerateAttribution(io::Io& io, const SystemOptions& options) {
  const World world = MakeWorld(options);
  const SourceFate impressions = WEIR_TRY(WriteImpressions(io, options, world));
  const SourceFate clicks = WEIR_TRY(WriteClicks(io, options, world));
  std::map<int32_t, FilesOfDay> files;
  const SourceFate conversions = WEIR_TRY(WriteConversions(io, options, world, &files));
  WEIR_TRY(Answer(world, impressions, clicks, conversions).Write(io, options.out));
  WEIR_TRY(WriteAnswer(io, options.out, "gold.conversion_days", FileRows(files)));
  WEIR_TRY(WriteLedgers(io, options.out,
                        {{"impressions", impressions.ledger},
                         {"clicks", clicks.ledger},
                         {"conversions", conversions.ledger}}));
  return fmt::format("{} impressions, {} clicks and {} conversions in {}",
                     impressions.ledger.received, clicks.ledger.received,
                     conversions.ledger.received, options.out);
}

}  // namespace weir::generate
