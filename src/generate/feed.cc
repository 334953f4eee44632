// A feed: posts, and what people do with them. Scale 1: 60,000 interactions with 600
// posts in three days.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "generate/dice.h"
#include "generate/generator.h"
#include "generate/stream.h"

namespace weir::generate {
namespace {

constexpr Millis kStart = 1'748'736'000'000;  // 2025-06-01 00:00 UTC
constexpr Millis kDays = 3;
constexpr Millis kLateness = 5 * kMinute;
constexpr Millis kAhead = 4'070'908'800'000;  // 2099-01-01: clocks that are wrong
constexpr double kViral = .5;                 // of all interactions, with post 0
constexpr double kHalfLife = 12 * kHour;
constexpr Millis kClickWithin = 30 * kMinute;

enum Purpose : uint64_t { kPostDice = 30, kInteractionDice };
enum Kind : uint8_t { kImpression, kClick, kLike, kShare, kComment, kKinds };
constexpr std::array<std::string_view, kKinds> kKindNames = {"impression", "click",
                                                             "like", "share", "comment"};

struct Post {
  Millis at;
  int32_t creator;
};
struct Interaction {
  Millis at, ahead;  // as the phone says; by how much its clock is wrong
  int32_t post, user;
  Kind kind;
};

std::string PostName(size_t i) { return fmt::format("p{:07}", i); }
std::string CreatorName(int32_t i) { return fmt::format("c{:05}", i); }
std::string UserName(int32_t i) { return fmt::format("u{:06}", i); }
std::string EventId(size_t i) { return fmt::format("e{:08}", i); }

struct World {
  std::vector<Post> posts;
  std::vector<Interaction> interactions;
};

World MakeWorld(const SystemOptions& options) {
  World world;
  const auto count = [&](double of, double least) {
    return static_cast<int64_t>(std::max(least, std::round(of * options.scale)));
  };
  const int64_t posts = count(600, 5), users = count(2000, 5),
                interactions = count(60'000, 20);
  for (int64_t i = 0; i < posts; ++i) {
    Dice dice = DiceOf(options.seed, kPostDice, static_cast<uint64_t>(i));
    world.posts.push_back(
        {.at = kStart + (i == 0 ? kHour : dice.Between(0, kDays * kDay - 1)),
         .creator = static_cast<int32_t>(dice.Skewed(posts / 4 + 1))});
  }
  // Both sources end at one time, so that the watermark does, too.
  constexpr Millis kEnd = kStart + kDays * kDay;
  const auto add = [&](const Interaction& event) {
    if (event.at - event.ahead < kEnd) world.interactions.push_back(event);
  };
  for (int64_t i = 0; i < interactions; ++i) {
    Dice dice = DiceOf(options.seed, kInteractionDice, static_cast<uint64_t>(i));
    // The last of the posts are never shown; posts 1 … are dormant after a day.
    const int64_t shown = std::max<int64_t>(1, posts * 9 / 10);
    const size_t post = dice.Chance(kViral) ? 0 : static_cast<size_t>(dice.Skewed(shown));
    const Millis born = world.posts[post].at;
    Millis at = born;
    if (post == 0) {
      at += dice.Between(0, kStart + kDays * kDay - 1 - born);
    } else if (dice.Chance(.3)) {
      // Around the edge of the first ten minutes.
      static constexpr Millis kEdges[] = {0, 10 * kMinute - 1, 10 * kMinute};
      at += dice.Chance(.1) ? kEdges[dice.Between(0, 2)] : dice.Between(0, 11 * kMinute);
    } else {
      at += dice.Between(
          0, std::max<Millis>(1, std::min(kDay, kStart + kDays * kDay - 1 - born)));
    }
    Interaction seen{.at = at,
                     .ahead = 0,
                     .post = static_cast<int32_t>(post),
                     .user = static_cast<int32_t>(dice.Skewed(users)),
                     .kind = kImpression};
    const double what = dice.Share();
    if (what > .7) seen.kind = kLike;
    if (what > .85) seen.kind = kShare;
    if (what > .92) seen.kind = kComment;
    if (dice.Chance(.001)) {
      seen.ahead = kAhead - kStart;
      seen.at += seen.ahead;
    }
    // Some posts are opened without being seen, from links elsewhere.
    if (post % 16 == 5 && seen.kind == kImpression) seen.kind = kClick;
    add(seen);
    if (seen.kind != kImpression || !dice.Chance(.15)) continue;
    static constexpr Millis kEdges[] = {0, kClickWithin, kClickWithin + 1};
    seen.kind = kClick;
    seen.at += dice.Chance(.1) ? kEdges[dice.Between(0, 2)]
                               : dice.Between(kSecond, 10 * kMinute);
    add(seen);
  }
  world.interactions.push_back({.at = kEnd,
                                .ahead = 0,
                                .post = static_cast<int32_t>(posts),
                                .user = 0,
                                .kind = kImpression});
  world.posts.push_back({.at = kEnd, .creator = 0});
  return world;
}

Result<SourceFate> WritePosts(io::Io& io, const SystemOptions& options,
                              const World& world) {
  std::vector<Millis> times;
  for (size_t i = 0; i + 1 < world.posts.size(); ++i) times.push_back(world.posts[i].at);
  auto deliveries = Deliver(times, {.late_by = 4 * kMinute, .broken = .004},
                            DiceOf(options.seed, kPostDice, ~0ull).Next());
  times.push_back(world.posts.back().at);
  DeliverLast(static_cast<uint32_t>(world.posts.size() - 1), &deliveries);
  SourceText source{.name = "posts", .lateness = kLateness};
  source.write = [&](const Delivery& delivery, std::string* out) {
    const size_t start = out->size();
    const Post& post = world.posts[delivery.event];
    JsonObject record;
    record.Set("content_id", PostName(delivery.event))
        .Set("creator_id", CreatorName(post.creator))
        .Set("created_at", Stamp{post.at});
    out->append(record.text());
    if (delivery.form == Delivered::kBroken) CutShort(delivery.dice, start, out);
  };
  return WriteSource(io, options.out, source, times, deliveries);
}

Result<SourceFate> WriteInteractions(io::Io& io, const SystemOptions& options,
                                     const World& world) {
  std::vector<Millis> times, happened;
  for (const Interaction& event : world.interactions) {
    times.push_back(event.at);
    happened.push_back(event.at - event.ahead);
  }
  happened.pop_back();
  auto deliveries = Deliver(happened,
                            {.late = .05,
                             .late_by = 6 * kMinute,
                             .parked = .002,
                             .parked_from = kHour,
                             .parked_to = 2 * kDay,
                             .retried = .02,
                             .conflicting = .001,
                             .broken = .003},
                            DiceOf(options.seed, kInteractionDice, ~0ull).Next());
  DeliverLast(static_cast<uint32_t>(world.interactions.size() - 1), &deliveries);
  SourceText source{.name = "interactions", .lateness = kLateness, .ahead = kAhead};
  source.write = [&](const Delivery& delivery, std::string* out) {
    const size_t start = out->size();
    const Interaction& event = world.interactions[delivery.event];
    const bool other = delivery.form == Delivered::kConflicting;
    JsonObject record;
    record.Set("event_id", EventId(delivery.event))
        .Set("kind", kKindNames[event.kind])
        .Set("content_id", PostName(static_cast<size_t>(event.post)))
        .Set("user_id", UserName(other ? -1 : event.user))
        .Set("happened_at", Stamp{event.at});
    // New apps say where; more and more phones have one.
    Dice dice = DiceOf(options.seed, kInteractionDice + 100, delivery.event);
    if (dice.Chance(static_cast<double>(event.at - event.ahead - kStart) /
                    static_cast<double>(kDays * kDay)))
      record.Set("surface", dice.Chance(.5) ? "home" : "search");
    out->append(record.text());
    if (delivery.form == Delivered::kBroken) CutShort(delivery.dice, start, out);
  };
  return WriteSource(io, options.out, source, times, deliveries);
}

// ------------------------------------------------------------------------- the answer

using Counts = std::array<int64_t, kKinds>;

Millis MinuteOf(Millis at) { return at - (at % kMinute + kMinute) % kMinute; }

class Answer {
 public:
  Answer(const World& world, const SourceFate& posts, const SourceFate& interactions)
      : world_(world),
        posts_(posts),
        watermark_(std::min(posts.watermark, interactions.watermark)),
        by_post_(world.posts.size()) {
    for (size_t i = 0; i < world.interactions.size(); ++i) {
      if (interactions.accepted[i])
        by_post_[static_cast<size_t>(world.interactions[i].post)].push_back(i);
    }
  }

  Status Write(io::Io& io, const std::string& out) {
    for (size_t post = 0; post < by_post_.size(); ++post) AddPost(post);
    WEIR_TRY(WriteAnswer(io, out, "silver.content_minutes", minutes_));
    WEIR_TRY(WriteAnswer(io, out, "silver.content_history", history_));
    WEIR_TRY(WriteAnswer(io, out, "silver.content_decay", decay_));
    WEIR_TRY(WriteAnswer(io, out, "gold.content_features", features_));
    WEIR_TRY(WriteAnswer(io, out, "gold.training_examples", examples_));
    return WriteAnswer(io, out, "gold.creator_features", CreatorRows());
  }

 private:
  struct Known {
    Millis at;  // the end of the minute
    Counts total;
  };

  void AddPost(size_t post) {
    std::map<Millis, Counts> panes;
    double weight = 0;
    Millis last_liked = INT64_MIN;
    int64_t early = 0;
    Counts hour{}, day{};
    for (const size_t i : by_post_[post]) {
      const Interaction& event = world_.interactions[i];
      const Millis minute = MinuteOf(event.at), end = minute + kMinute;
      ++panes[minute][event.kind];
      // Whole minutes that end by the watermark.
      if (end <= watermark_ && end > watermark_ - kHour) ++hour[event.kind];
      if (end <= watermark_ && end > watermark_ - kDay) ++day[event.kind];
      if (event.kind != kLike) continue;
      const Millis age = event.at - world_.posts[post].at;
      if (age >= 0 && age < 10 * kMinute) ++early;
      if (event.at > watermark_) continue;
      weight += std::exp2(static_cast<double>(event.at - kStart) / kHalfLife);
      last_liked = std::max(last_liked, event.at);
    }
    std::vector<Known> known;
    Counts total{};
    for (const auto& [minute, counts] : panes) {
      for (size_t kind = 0; kind < kKinds; ++kind) total[kind] += counts[kind];
      known.push_back({minute + kMinute, total});
      AddPane(post, minute, counts, total);
    }
    if (weight > 0) {
      decay_.push_back(JsonObject()
                           .Set("content_id", PostName(post))
                           .Set("likes_to_decay", ToDecay(weight))
                           .Set("last_liked_at", Stamp{last_liked}));
    }
    AddExamples(post, known);
    if (!posts_.accepted[post]) return;
    AddFeatures(post, hour, day, weight);
    Creator& creator = creators_[world_.posts[post].creator];
    ++creator.posts;
    creator.early += early;
    creator.last = std::max(creator.last, world_.posts[post].at);
  }

  void AddPane(size_t post, Millis minute, const Counts& counts, const Counts& total) {
    minutes_.push_back(JsonObject()
                           .Set("content_id", PostName(post))
                           .Set("window_start", Stamp{minute})
                           .Set("window_end", Stamp{minute + kMinute})
                           .Set("impressions", counts[kImpression])
                           .Set("clicks", counts[kClick])
                           .Set("likes", counts[kLike])
                           .Set("shares", counts[kShare])
                           .Set("comments", counts[kComment]));
    history_.push_back(JsonObject()
                           .Set("content_id", PostName(post))
                           .Set("known_at", Stamp{minute + kMinute})
                           .Set("impressions", total[kImpression])
                           .Set("clicks", total[kClick])
                           .Set("likes", total[kLike]));
  }

  // What decay_sum keeps of a weight at kStart: its log2, counted from 1970.
  static std::optional<double> ToDecay(double weight) {
    if (weight == 0) return std::nullopt;
    return std::log2(weight) + static_cast<double>(kStart) / kHalfLife;
  }

  static std::optional<double> Share(int64_t part, int64_t whole) {
    if (whole == 0) return std::nullopt;
    return static_cast<double>(part) / static_cast<double>(whole);
  }

  void AddFeatures(size_t post, const Counts& hour, const Counts& day, double weight) {
    features_.push_back(JsonObject()
                            .Set("content_id", PostName(post))
                            .Set("creator_id", CreatorName(world_.posts[post].creator))
                            .Set("created_at", Stamp{world_.posts[post].at})
                            .Set("likes_1h", hour[kLike])
                            .Set("shares_1h", hour[kShare])
                            .Set("comments_1h", hour[kComment])
                            .Set("impressions_24h", day[kImpression])
                            .Set("clicks_24h", day[kClick])
                            .Set("ctr_24h", Share(day[kClick], day[kImpression]))
                            .Set("likes_to_decay", ToDecay(weight)));
  }

  static Counts KnownAt(const std::vector<Known>& known, Millis at) {
    const auto next = std::upper_bound(known.begin(), known.end(), at,
                                       [](Millis t, const Known& k) { return t < k.at; });
    return next == known.begin() ? Counts{} : std::prev(next)->total;
  }

  void AddExamples(size_t post, const std::vector<Known>& known) {
    std::map<int32_t, std::vector<Millis>> clicks;  // by user
    for (const size_t i : by_post_[post]) {
      const Interaction& event = world_.interactions[i];
      if (event.kind == kClick) clicks[event.user].push_back(event.at);
    }
    for (const size_t i : by_post_[post]) {
      const Interaction& shown = world_.interactions[i];
      if (shown.kind != kImpression) continue;
      const Counts now = KnownAt(known, shown.at);
      const Counts hour_ago = KnownAt(known, shown.at - kHour);
      const std::vector<Millis>& of_user = clicks[shown.user];
      const bool clicked = std::any_of(of_user.begin(), of_user.end(), [&](Millis at) {
        return at >= shown.at && at <= shown.at + kClickWithin;
      });
      examples_.push_back(JsonObject()
                              .Set("event_id", EventId(i))
                              .Set("user_id", UserName(shown.user))
                              .Set("content_id", PostName(post))
                              .Set("happened_at", Stamp{shown.at})
                              .Set("impressions_before", now[kImpression])
                              .Set("likes_before", now[kLike])
                              .Set("likes_1h_before", now[kLike] - hour_ago[kLike])
                              .Set("ctr_before", Share(now[kClick], now[kImpression]))
                              .Set("clicked", clicked));
    }
  }

  std::vector<JsonObject> CreatorRows() const {
    std::vector<JsonObject> rows;
    for (const auto& [name, creator] : creators_) {
      rows.push_back(JsonObject()
                         .Set("creator_id", CreatorName(name))
                         .Set("posts", creator.posts)
                         .Set("likes_in_first_10_minutes", creator.early)
                         .Set("early_likes_per_post", Share(creator.early, creator.posts))
                         .Set("last_posted_at", Stamp{creator.last}));
    }
    return rows;
  }

  struct Creator {
    int64_t posts = 0, early = 0;
    Millis last = INT64_MIN;
  };
  const World& world_;
  const SourceFate& posts_;
  const Millis watermark_;
  std::vector<std::vector<size_t>> by_post_;  // accepted interactions
  std::map<int32_t, Creator> creators_;
  std::vector<JsonObject> minutes_, history_, decay_, features_, examples_;
};

}  // namespace

Result<std::string> GenerateFeed(io::Io& io, const SystemOptions& options) {
  const World world = MakeWorld(options);
  const SourceFate posts = WEIR_TRY(WritePosts(io, options, world));
  const SourceFate interactions = WEIR_TRY(WriteInteractions(io, options, world));
  WEIR_TRY(Answer(world, posts, interactions).Write(io, options.out));
  WEIR_TRY(WriteLedgers(
      io, options.out, {{"posts", posts.ledger}, {"interactions", interactions.ledger}}));
  return fmt::format("{} interactions with {} posts in {}", interactions.ledger.received,
                     posts.ledger.received, options.out);
}

}  // namespace weir::generate
