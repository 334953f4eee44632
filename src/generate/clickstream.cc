// Players on TVs, phones and in browsers, and experiments on them. Scale 1: about 60,000
// events of 240 devices in five days.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "generate/dice.h"
#include "generate/generator.h"
#include "generate/stream.h"

namespace weir::generate {
namespace {

constexpr Millis kStart = 1'748'736'000'000;  // 2025-06-01 00:00 UTC
constexpr Millis kDays = 5;
constexpr Millis kGap = 30 * kMinute, kSessionMax = 36 * kHour;
constexpr Millis kAhead = 4'070'908'800'000;  // 2099-01-01: clocks that are wrong
constexpr int kTitles = 200;
constexpr double kLive = .2;  // of all events: one player's, in one session

enum Purpose : uint64_t { kDeviceDice = 40, kEventDice, kAssignmentDice, kLiveDice };
enum Kind : uint8_t {
  kImpression,
  kClick,
  kPlay,
  kHeartbeat,
  kSeek,
  kBuffering,
  kComplete
};
constexpr std::array<std::string_view, 7> kKindNames = {
    "impression", "click", "play", "heartbeat", "seek", "buffering", "complete"};
constexpr std::array<std::string_view, 3> kRegions = {"EU", "US", "APAC"};
constexpr std::array<std::string_view, 3> kTypes = {"tv", "phone", "web"};
constexpr std::array<std::string_view, 2> kExperiments = {"autoplay", "row_order"};

struct Event {
  Millis at = 0, wrong = 0;  // as the player says; by how much its clock is wrong
  int32_t device = 0, user = -1, content = 0;  // user -1: nobody is logged in
  Kind kind = kImpression;
  int32_t seconds = -1;  // -1: the kind has none
};
struct Assignment {
  Millis at;
  int experiment;
  std::string subject;
  char variant;
};

std::string DeviceName(int32_t i) { return fmt::format("d{:06}", i); }
std::string UserName(int32_t i) { return fmt::format("u{:06}", i); }
std::string ContentName(int32_t i) { return fmt::format("t{:04}", i); }
std::string EventId(size_t i) { return fmt::format("e{:08}", i); }
std::string AssignmentId(size_t i) { return fmt::format("a{:06}", i); }
size_t TypeOf(int32_t device) { return static_cast<size_t>(device) % kTypes.size(); }
size_t RegionOf(int32_t device) {
  return static_cast<size_t>(device) / kTypes.size() % kRegions.size();
}

class World {
 public:
  explicit World(const SystemOptions& options) : options_(options) {
    const auto wanted =
        static_cast<size_t>(std::max(30.0, std::round(60'000 * options.scale)));
    devices_ = std::max(6, static_cast<int32_t>(std::round(240 * options.scale)));
    AddLive(static_cast<int64_t>(kLive * static_cast<double>(wanted)));
    AddAlwaysOn();
    for (uint64_t i = 0; events.size() < wanted; ++i) AddVisit(i);
    AddAssignments();
  }

  std::vector<Event> events;
  std::vector<Assignment> assignments;

 private:
  // Device 0 watches a live stream for hours and tells everything.
  void AddLive(int64_t count) {
    Dice dice = DiceOf(options_.seed, kLiveDice, 0);
    for (int64_t i = 0; i < count; ++i) {
      events.push_back({.at = kStart + kDay + i * 6 * kHour / count,
                        .content = 0,
                        .kind = i == 0            ? kPlay
                                : dice.Chance(.1) ? kSeek
                                                  : kHeartbeat});
      if (events.back().kind == kHeartbeat) events.back().seconds = 1;
    }
  }

  // Device 3 is a TV that is never turned off.
  void AddAlwaysOn() {
    for (Millis at = 2 * kHour; at < 4 * kDay; at += kGap)
      events.push_back({.at = kStart + at,
                        .device = 3,
                        .content = 7,
                        .kind = kHeartbeat,
                        .seconds = 1800});
  }

  void AddVisit(uint64_t number) {
    Dice dice = DiceOf(options_.seed, kDeviceDice, number);
    Event event{.at = kStart + dice.Between(0, kDays * kDay - kDay / 4),
                .device = static_cast<int32_t>(dice.Between(4, devices_ - 1))};
    // A TV seldom knows who watches; two people may share a phone.
    if (dice.Chance(TypeOf(event.device) == 0 ? .2 : .8))
      event.user = event.device * 2 + static_cast<int32_t>(dice.Between(0, 1));
    if (dice.Chance(.004)) event.wrong = kAhead - kStart;
    if (dice.Chance(.004)) event.wrong = -kStart + dice.Between(0, kDay) * 2;  // 1970
    const auto add = [&](Kind kind, Millis after, int32_t seconds) {
      event.at += after;
      Event next = event;
      next.at += next.wrong;
      next.kind = kind;
      next.seconds = seconds;
      events.push_back(next);
    };
    for (int64_t title = dice.Between(1, 4); title > 0; --title) {
      event.content = static_cast<int32_t>(dice.Skewed(kTitles));
      for (int64_t i = dice.Between(0, 3); i > 0; --i)
        add(kImpression, dice.Between(200, 5 * kSecond), -1);
      if (dice.Chance(.5)) add(kClick, dice.Between(200, 5 * kSecond), -1);
      if (!dice.Chance(.8)) continue;
      add(kPlay, dice.Between(200, 2 * kSecond), -1);
      for (int64_t i = dice.Between(1, 12); i > 0; --i) {
        add(kHeartbeat, kMinute, 60);
        if (dice.Chance(.1)) add(kSeek, dice.Between(1, 20 * kSecond), -1);
        if (dice.Chance(.05))
          add(kBuffering, dice.Between(1, 5 * kSecond),
              static_cast<int32_t>(dice.Between(1, 9)));
      }
      if (dice.Chance(.6)) add(kComplete, dice.Between(1, kMinute), -1);
      // A pause that ends exactly when a session does, and one step later.
      if (dice.Chance(.1)) add(kSeek, kGap + dice.Between(0, 1), -1);
    }
  }

  void AddAssignments() {
    for (int32_t device = 0; device < devices_; ++device) {
      AddSubject(DeviceName(device), static_cast<uint64_t>(device) * 3);
      AddSubject(UserName(device * 2), static_cast<uint64_t>(device) * 3 + 1);
      AddSubject(UserName(device * 2 + 1), static_cast<uint64_t>(device) * 3 + 2);
    }
  }

  void AddSubject(const std::string& subject, uint64_t number) {
    Dice dice = DiceOf(options_.seed, kAssignmentDice, number);
    for (int experiment = 0; experiment < static_cast<int>(kExperiments.size());
         ++experiment) {
      if (!dice.Chance(.5)) continue;
      Assignment given{.at = kStart + dice.Between(0, 3 * kDay),
                       .experiment = experiment,
                       .subject = subject,
                       .variant = static_cast<char>('A' + dice.Between(0, 1))};
      assignments.push_back(given);
      // The service's fault: somebody is given another variant, or the same one again.
      if (!dice.Chance(.05)) continue;
      given.at += dice.Chance(.1) ? 0 : dice.Between(kHour, kDay);
      if (dice.Chance(.7)) given.variant = given.variant == 'A' ? 'B' : 'A';
      assignments.push_back(given);
    }
  }

  const SystemOptions& options_;
  int32_t devices_ = 0;
};

Result<SourceFate> WriteEvents(io::Io& io, const SystemOptions& options,
                               const World& world) {
  std::vector<Millis> times, happened;
  for (const Event& event : world.events) {
    times.push_back(event.at);
    happened.push_back(event.at - event.wrong);
  }
  const auto deliveries = Deliver(happened,
                                  {.late = .05,
                                   .late_by = 20 * kHour,
                                   .parked = .003,
                                   .parked_from = 2 * kDay,
                                   .parked_to = 5 * kDay,
                                   .retried = .03,
                                   .conflicting = .001,
                                   .broken = .003},
                                  DiceOf(options.seed, kEventDice, ~0ull).Next());
  SourceText source{.name = "player_events", .lateness = kDay, .ahead = kAhead};
  source.write = [&](const Delivery& delivery, std::string* out) {
    const size_t start = out->size();
    const Event& event = world.events[delivery.event];
    const bool other = delivery.form == Delivered::kConflicting;
    JsonObject record;
    record.Set("event_id", EventId(delivery.event))
        .Set("kind", kKindNames[event.kind])
        .Set("device_id", DeviceName(event.device))
        .Set("content_id", ContentName(event.content + (other ? 1000 : 0)))
        .Set("client_ts", Stamp{event.at})
        .Set("region", kRegions[RegionOf(event.device)])
        .Set("device_type", kTypes[TypeOf(event.device)]);
    if (event.user >= 0) record.Set("user_id", UserName(event.user));
    if (event.seconds >= 0) record.Set("seconds", event.seconds);
    // Old players stay in use; new ones tell the bitrate and what no contract declares.
    Dice dice = DiceOf(options.seed, kEventDice + 100, delivery.event);
    const bool is_new = dice.Chance(.5);
    record.Set("schema_version", is_new ? "1.1" : "1.0");
    if (is_new)
      record.Set("bitrate_kbps", dice.Between(5, 160) * 100).Set("hdr", dice.Chance(.3));
    out->append(record.text());
    if (delivery.form == Delivered::kBroken) CutShort(delivery.dice, start, out);
  };
  return WriteSource(io, options.out, source, times, deliveries);
}

Result<SourceFate> WriteAssignments(io::Io& io, const SystemOptions& options,
                                    const World& world) {
  std::vector<Millis> times;
  for (const Assignment& given : world.assignments) times.push_back(given.at);
  const auto deliveries =
      Deliver(times, {.delay = 20 * kMinute, .late = .1, .late_by = 10 * kHour},
              DiceOf(options.seed, kAssignmentDice, ~0ull).Next());
  SourceText source{.name = "assignments", .lateness = kDay};
  source.write = [&](const Delivery& delivery, std::string* out) {
    const size_t start = out->size();
    const Assignment& given = world.assignments[delivery.event];
    JsonObject record;
    record.Set("assignment_id", AssignmentId(delivery.event))
        .Set("experiment", kExperiments[static_cast<size_t>(given.experiment)])
        .Set("subject", given.subject)
        .Set("variant", std::string(1, given.variant))
        .Set("assigned_at", Stamp{given.at});
    out->append(record.text());
    if (delivery.form == Delivered::kBroken) CutShort(delivery.dice, start, out);
  };
  return WriteSource(io, options.out, source, times, deliveries);
}

// ------------------------------------------------------------------------- the answer

struct Session {
  Millis start = 0, last = 0;
  int32_t user = -1;
  int64_t events = 0, watched = 0, plays = 0, completions = 0, seeks = 0, bufferings = 0,
          waited = 0;
  std::set<int32_t> contents;
};
struct Minute {
  int64_t watched = 0, plays = 0, impressions = 0, clicks = 0;
};
struct Variant {
  std::set<std::string> subjects;
  int64_t plays = 0, completions = 0, watched = 0;
};

std::optional<double> Share(int64_t part, int64_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

class Answer {
 public:
  Answer(const World& world, const SourceFate& events, const SourceFate& assignments)
      : world_(world) {
    for (size_t i = 0; i < world.events.size(); ++i) {
      if (events.accepted[i]) by_device_[world.events[i].device].push_back(i);
    }
    for (size_t i = 0; i < world.assignments.size(); ++i) {
      if (assignments.accepted[i]) AddAssignment(i);
    }
  }

  Status Write(io::Io& io, const std::string& out) {
    for (auto& [device, history] : by_device_) {
      std::sort(history.begin(), history.end(), [&](size_t a, size_t b) {
        return std::pair(world_.events[a].at, a) < std::pair(world_.events[b].at, b);
      });
      AddDevice(device, history);
    }
    WEIR_TRY(WriteAnswer(io, out, "silver.session_events", session_events_));
    WEIR_TRY(WriteAnswer(io, out, "gold.sessions", sessions_));
    WEIR_TRY(WriteAnswer(io, out, "silver.exposures", exposures_));
    WEIR_TRY(WriteAnswer(io, out, "gold.content_minutes", MinuteRows()));
    WEIR_TRY(WriteAnswer(io, out, "gold.experiment_daily", DailyRows()));
    return WriteAnswer(io, out, "gold.experiment_subjects", SubjectRows());
  }

 private:
  struct Given {  // to a subject in an experiment
    size_t first;
    Millis since, last;
    std::set<char> variants;
  };

  void AddAssignment(size_t i) {
    const Assignment& given = world_.assignments[i];
    const auto [it, is_new] = given_.try_emplace({given.experiment, given.subject},
                                                 Given{i, given.at, given.at, {}});
    Given& all = it->second;
    all.variants.insert(given.variant);
    if (std::pair(given.at, i) < std::pair(all.since, all.first)) {
      all.first = i;
      all.since = given.at;
    }
    all.last = std::max(all.last, given.at);
    experiments_.insert(given.experiment);
  }

  void AddDevice(int32_t device, const std::vector<size_t>& history) {
    Millis begin = 0, before = 0;
    std::optional<Session> session;
    for (const size_t i : history) {
      const Event& event = world_.events[i];
      if (!session || event.at - before > kGap) begin = event.at;
      before = event.at;
      const Millis start = begin + (event.at - begin) / kSessionMax * kSessionMax;
      if (session && session->start != start) AddSession(device, *session);
      if (!session || session->start != start) session = Session{.start = start};
      Count(event, &*session);
      AddSessionEvent(i, start);
      CountMinute(event);
      for (const int experiment : experiments_) AddExposure(i, experiment);
    }
    AddSession(device, *session);
  }

  static void Count(const Event& event, Session* session) {
    session->last = event.at;
    ++session->events;
    if (event.user >= 0) session->user = event.user;
    session->seeks += event.kind == kSeek;
    session->completions += event.kind == kComplete;
    if (event.kind == kHeartbeat) session->watched += event.seconds;
    if (event.kind == kPlay) {
      ++session->plays;
      session->contents.insert(event.content);
    }
    if (event.kind == kBuffering) {
      ++session->bufferings;
      session->waited += event.seconds;
    }
  }

  void AddSession(int32_t device, const Session& session) {
    JsonObject row;
    row.Set("device_id", DeviceName(device))
        .Set("session_start", Stamp{session.start})
        .Set("last_event_at", Stamp{session.last});
    SetUser(session.user, &row);
    std::string contents;
    for (const int32_t content : session.contents)
      contents += (contents.empty() ? "\"" : ",\"") + ContentName(content) + "\"";
    row.Set("region", kRegions[RegionOf(device)])
        .Set("device_type", kTypes[TypeOf(device)])
        .Set("events", session.events)
        .Raw("contents", contents.empty() ? "null" : "[" + contents + "]")
        .Set("watch_seconds", session.watched)
        .Set("plays", session.plays)
        .Set("completions", session.completions)
        .Set("completion", Share(session.completions, session.plays))
        .Set("seeks", session.seeks)
        .Set("bufferings", session.bufferings)
        .Set("buffering_seconds", session.waited);
    sessions_.push_back(row);
  }

  static void SetUser(int32_t user, JsonObject* row) {
    if (user < 0) {
      row->Set("user_id", std::nullopt);
    } else {
      row->Set("user_id", UserName(user));
    }
  }

  static void SetSeconds(const Event& event, JsonObject* row) {
    row->Set("seconds",
             event.seconds < 0 ? std::optional<int32_t>() : std::optional(event.seconds));
  }

  void AddSessionEvent(size_t i, Millis start) {
    const Event& event = world_.events[i];
    JsonObject row;
    row.Set("event_id", EventId(i)).Set("device_id", DeviceName(event.device));
    SetUser(event.user, &row);
    row.Set("content_id", ContentName(event.content))
        .Set("kind", kKindNames[event.kind])
        .Set("client_ts", Stamp{event.at});
    SetSeconds(event, &row);
    session_events_.push_back(row.Set("region", kRegions[RegionOf(event.device)])
                                  .Set("device_type", kTypes[TypeOf(event.device)])
                                  .Set("session_start", Stamp{start}));
  }

  void CountMinute(const Event& event) {
    Minute& minute = minutes_[{event.at - event.at % kMinute, event.content,
                               RegionOf(event.device), TypeOf(event.device)}];
    if (event.kind == kHeartbeat) minute.watched += event.seconds;
    minute.plays += event.kind == kPlay;
    minute.impressions += event.kind == kImpression;
    minute.clicks += event.kind == kClick;
  }

  // The variant that the subject has at that time; 0: none.
  char VariantOf(int experiment, const std::string& subject, Millis at) const {
    const auto found = given_.find({experiment, subject});
    if (found == given_.end() || found->second.since > at) return 0;
    return world_.assignments[found->second.first].variant;
  }

  void AddExposure(size_t i, int experiment) {
    const Event& event = world_.events[i];
    std::string subject = event.user < 0 ? "" : UserName(event.user);
    char variant = event.user < 0 ? '\0' : VariantOf(experiment, subject, event.at);
    const bool by_user = variant != 0;
    if (!by_user) {
      subject = DeviceName(event.device);
      variant = VariantOf(experiment, subject, event.at);
    }
    if (variant == 0) return;
    JsonObject row;
    row.Set("event_id", EventId(i))
        .Set("experiment", kExperiments[static_cast<size_t>(experiment)])
        .Set("subject", subject)
        .Set("variant", std::string(1, variant))
        .Set("is_by_user", by_user)
        .Set("kind", kKindNames[event.kind])
        .Set("client_ts", Stamp{event.at});
    SetSeconds(event, &row);
    exposures_.push_back(row);
    Variant& day = days_[{experiment, DateOf(event.at).days, variant}];
    day.subjects.insert(subject);
    day.plays += event.kind == kPlay;
    day.completions += event.kind == kComplete;
    if (event.kind == kHeartbeat) day.watched += event.seconds;
  }

  std::vector<JsonObject> MinuteRows() const {
    std::vector<JsonObject> rows;
    for (const auto& [key, minute] : minutes_) {
      const auto& [at, content, region, type] = key;
      rows.push_back(JsonObject()
                         .Set("minute", Stamp{at})
                         .Set("content_id", ContentName(content))
                         .Set("region", kRegions[region])
                         .Set("device_type", kTypes[type])
                         .Set("watch_seconds", minute.watched)
                         .Set("plays", minute.plays)
                         .Set("impressions", minute.impressions)
                         .Set("clicks", minute.clicks)
                         .Set("ctr", Share(minute.clicks, minute.impressions)));
    }
    return rows;
  }

  std::vector<JsonObject> DailyRows() const {
    std::vector<JsonObject> rows;
    for (const auto& [key, day] : days_) {
      const auto& [experiment, date, variant] = key;
      rows.push_back(JsonObject()
                         .Set("experiment", kExperiments[static_cast<size_t>(experiment)])
                         .Set("day", Date{date})
                         .Set("variant", std::string(1, variant))
                         .Set("subjects", day.subjects.size())
                         .Set("plays", day.plays)
                         .Set("completions", day.completions)
                         .Set("watch_seconds", day.watched));
    }
    return rows;
  }

  // Those in two variants are rejected.
  std::vector<JsonObject> SubjectRows() const {
    std::vector<JsonObject> rows;
    for (const auto& [key, given] : given_) {
      if (given.variants.size() > 1) continue;
      rows.push_back(JsonObject()
                         .Set("experiment", kExperiments[static_cast<size_t>(key.first)])
                         .Set("subject", key.second)
                         .Set("variants", given.variants.size())
                         .Set("first_assigned_at", Stamp{given.since})
                         .Set("last_assigned_at", Stamp{given.last}));
    }
    return rows;
  }

  const World& world_;
  std::map<int32_t, std::vector<size_t>> by_device_;  // accepted
  std::map<std::pair<int, std::string>, Given> given_;
  std::set<int> experiments_;
  std::map<std::tuple<Millis, int32_t, size_t, size_t>, Minute> minutes_;
  std::map<std::tuple<int, int32_t, char>, Variant> days_;
  std::vector<JsonObject> session_events_, sessions_, exposures_;
};

}  // namespace

Result<std::string> GenerateClickstream(io::Io& io, const SystemOptions& options) {
  const World world(options);
  const SourceFate events = WEIR_TRY(WriteEvents(io, options, world));
  const SourceFate assignments = WEIR_TRY(WriteAssignments(io, options, world));
  WEIR_TRY(Answer(world, events, assignments).Write(io, options.out));
  WEIR_TRY(WriteLedgers(
      io, options.out,
      {{"player_events", events.ledger}, {"assignments", assignments.ledger}}));
  return fmt::format("{} player events and {} assignments in {}", events.ledger.received,
                     assignments.ledger.received, options.out);
}

}  // namespace weir::generate
