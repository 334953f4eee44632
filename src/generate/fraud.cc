// Card payments of some months, with fraud planted in them and labelled later. Scale 1:
// 40,000 transactions of 400 users in 90 days.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "generate/dice.h"
#include "generate/generator.h"
#include "generate/stream.h"

namespace weir::generate {
namespace {

constexpr Millis kStart = 1'748'736'000'000;  // 2025-06-01 00:00 UTC
constexpr Millis kDays = 90;
constexpr Millis kHoliday = 60;  // the day with ten times as many payments
// Terminals whose clock is wrong say so: far behind any day on which this is read.
constexpr Millis kAhead = 4'070'908'800'000;  // 2099-01-01

constexpr std::array<std::string_view, 4> kRules = {
    "amount_over_average", "impossible_travel", "new_device", "velocity"};
enum Rule : int { kAmount, kTravel, kDevice, kVelocity, kNone = -1 };
constexpr std::array<int64_t, 6> kThresholds = {3, 4, 5, 6, 8, 10};

enum Purpose : uint64_t { kUserDice = 20, kTransactionDice, kLabelDice };

struct Transaction {
  Millis at = 0;     // as the terminal says
  Millis ahead = 0;  // by how much its clock is wrong
  int32_t user = 0, merchant = 0;
  int64_t cents = 0;
  std::string device;
  double latitude = 0, longitude = 0;
  int fraud = kNone;  // the rule that is there to catch it
};

struct Label {
  Millis at;
  size_t transaction;
};

struct User {
  int64_t cents;  // of a usual payment
  double latitude, longitude;
  int devices;
};

std::string UserName(int32_t user) { return fmt::format("u{:06}", user); }
std::string TransactionId(size_t i) { return fmt::format("t{:08}", i); }
std::string DeviceName(int32_t user, int64_t number) {
  return fmt::format("d{:06}-{}", user, number);
}
double Degrees(double value) { return std::round(value * 1e4) / 1e4; }

class World {
 public:
  explicit World(const SystemOptions& options) : options_(options) {
    const auto users =
        static_cast<int32_t>(std::max(4.0, std::round(400 * options.scale)));
    const int64_t each = std::max<int64_t>(
        4, std::min<int64_t>(100, static_cast<int64_t>(40'000 * options.scale) / users));
    for (int32_t user = 0; user < users; ++user) AddUser(user, each);
    for (size_t i = 0; i < transactions.size(); ++i) {
      if (transactions[i].fraud == kNone) continue;
      Dice dice = DiceOf(options.seed, kLabelDice, i);
      labels.push_back({transactions[i].at + dice.Between(2 * kHour, 3 * kDay), i});
    }
  }

  std::vector<Transaction> transactions;
  std::vector<Label> labels;

 private:
  void AddUser(int32_t number, int64_t count) {
    Dice dice = DiceOf(options_.seed, kUserDice, static_cast<uint64_t>(number));
    const User user{.cents = dice.Between(500, 20'000),
                    .latitude = 30 + 17 * dice.Share(),
                    .longitude = -120 + 50 * dice.Share(),
                    .devices = static_cast<int>(dice.Between(1, 2))};
    if (number % 8 == 1) {
      AddEdges(number, user, dice);
      return;
    }
    for (int64_t i = 0; i < count; ++i) {
      const Millis day = dice.Chance(.1) ? kHoliday : dice.Between(0, kDays - 1);
      Transaction paid = Usual(number, user, kStart + day * kDay, dice);
      paid.at += dice.Between(0, kDay - 1);
      if (dice.Chance(.001)) {
        paid.ahead = kAhead - kStart;
        paid.at += paid.ahead;
      }
      transactions.push_back(paid);
      if (paid.ahead == 0 && dice.Chance(.012)) AddFraud(paid, number, user, i, dice);
    }
  }

  static Transaction Usual(int32_t number, const User& user, Millis at, Dice& dice) {
    return {.at = at,
            .user = number,
            .merchant = static_cast<int32_t>(dice.Skewed(500)),
            .cents = user.cents / 2 + dice.Between(0, user.cents),
            .device = DeviceName(number, dice.Between(1, user.devices)),
            .latitude = Degrees(user.latitude + .2 * dice.Share()),
            .longitude = Degrees(user.longitude + .2 * dice.Share())};
  }

  // After a usual payment one, or some, by somebody else.
  void AddFraud(const Transaction& usual, int32_t number, const User& user, int64_t i,
                Dice& dice) {
    Transaction fraud = Usual(number, user, usual.at, dice);
    fraud.fraud = static_cast<int>(dice.Between(kAmount, kVelocity));
    switch (fraud.fraud) {
      case kAmount:
        fraud.at += dice.Between(kHour, 4 * kHour);
        fraud.cents = user.cents * dice.Between(8, 30);
        break;
      case kTravel:
        fraud.at += dice.Between(kMinute, 5 * kMinute);
        fraud.latitude = Degrees(48 + 5 * dice.Share());
        fraud.longitude = Degrees(10 * dice.Share());
        fraud.device = usual.device;
        break;
      case kDevice:
        fraud.at += dice.Between(kHour, 4 * kHour);
        fraud.device = DeviceName(number, 100 + i);
        break;
      default:
        for (int k = 1; k <= 12; ++k) {
          fraud.at += dice.Between(kSecond, 4 * kMinute);
          fraud.cents = dice.Between(100, 2000);
          fraud.device = usual.device;
          fraud.fraud = k < 9 ? kNone : kVelocity;  // with the usual one they are ten
          transactions.push_back(fraud);
        }
        return;
    }
    transactions.push_back(fraud);
  }

  // A user whose payments stand exactly at the rules' edges.
  void AddEdges(int32_t number, const User& user, Dice& dice) {
    Transaction paid = Usual(number, user, kStart + dice.Between(0, 50) * kDay, dice);
    paid.device = DeviceName(number, 1);
    paid.cents = 1000;
    for (int i = 0; i < 3; ++i, paid.at += kDay) transactions.push_back(paid);
    paid.cents = 5000;  // exactly five times the average
    if (dice.Chance(.5)) {
      ++paid.cents;
      paid.fraud = kAmount;
    }
    transactions.push_back(paid);
    paid.fraud = kNone;
    paid.cents = 1000;
    paid.at += 30 * kDay - dice.Between(0, 1);  // the window's edge, and one step inside
    transactions.push_back(paid);
    paid.latitude = 50;
    paid.longitude = 10;
    paid.at += 5 * kMinute + dice.Between(0, 1);  // the fifth minute, and one step behind
    transactions.push_back(paid);
    // Two in one millisecond: the id decides which is first.
    transactions.push_back(paid);
  }

  const SystemOptions& options_;
};

Result<SourceFate> WriteTransactions(io::Io& io, const SystemOptions& options,
                                     const World& world) {
  std::vector<Millis> times, happened;
  for (const Transaction& paid : world.transactions) {
    times.push_back(paid.at);
    happened.push_back(paid.at - paid.ahead);
  }
  const auto deliveries = Deliver(
      happened, {.parked = .001, .retried = .03, .conflicting = .002, .broken = .003},
      DiceOf(options.seed, kTransactionDice, ~0ull).Next());
  SourceText source{.name = "transactions", .lateness = kDay, .ahead = kAhead};
  source.write = [&](const Delivery& delivery, std::string* out) {
    const size_t start = out->size();
    const Transaction& paid = world.transactions[delivery.event];
    const bool other = delivery.form == Delivered::kConflicting;
    JsonObject record;
    record.Set("transaction_id", TransactionId(delivery.event))
        .Set("user_id", UserName(paid.user))
        .Set("merchant_id", fmt::format("m{:04}", paid.merchant))
        .Set("amount", Cents{paid.cents + (other ? 1 : 0)})
        .Set("device_id", paid.device)
        .Set("latitude", paid.latitude)
        .Set("longitude", paid.longitude)
        .Set("made_at", Stamp{paid.at});
    out->append(record.text());
    if (delivery.form == Delivered::kBroken) CutShort(delivery.dice, start, out);
  };
  return WriteSource(io, options.out, source, times, deliveries);
}

Result<SourceFate> WriteLabels(io::Io& io, const SystemOptions& options,
                               const World& world) {
  std::vector<Millis> times;
  for (const Label& label : world.labels) times.push_back(label.at);
  const auto deliveries =
      Deliver(times, {.delay = kMinute}, DiceOf(options.seed, kLabelDice, ~0ull).Next());
  SourceText source{.name = "fraud_labels", .lateness = kDay};
  source.write = [&](const Delivery& delivery, std::string* out) {
    const size_t start = out->size();
    const Label& label = world.labels[delivery.event];
    const Transaction& paid = world.transactions[label.transaction];
    JsonObject record;
    record.Set("transaction_id", TransactionId(label.transaction))
        .Set("pattern", kRules[static_cast<size_t>(paid.fraud)])
        .Set("reported_at", Stamp{label.at});
    out->append(record.text());
    if (delivery.form == Delivered::kBroken) CutShort(delivery.dice, start, out);
  };
  return WriteSource(io, options.out, source, times, deliveries);
}

// ------------------------------------------------------------------------- the answer

double Miles(const Transaction& a, const Transaction& b) {
  const auto radians = [](double degrees) { return degrees * std::numbers::pi / 180; };
  const double x = std::sin(radians(b.latitude - a.latitude) / 2);
  const double y = std::sin(radians(b.longitude - a.longitude) / 2);
  const double square =
      x * x + std::cos(radians(a.latitude)) * std::cos(radians(b.latitude)) * y * y;
  return 2 * 3958.7613 * std::asin(std::min(1.0, std::sqrt(square)));
}

struct Quality {
  int64_t fraud = 0, fraud_cents = 0, caught = 0, alerts = 0, alerts_on_fraud = 0;
};

class Answer {
 public:
  Answer(const World& world, const SourceFate& transactions, const SourceFate& labels)
      : world_(world) {
    for (size_t i = 0; i < world.transactions.size(); ++i) {
      if (transactions.accepted[i]) by_user_[world.transactions[i].user].push_back(i);
    }
    for (size_t i = 0; i < world.labels.size(); ++i) {
      const size_t transaction = world.labels[i].transaction;
      if (!labels.accepted[i]) continue;
      labelled_.insert(transaction);
      if (!transactions.accepted[transaction]) continue;
      Quality& quality =
          quality_[kRules[static_cast<size_t>(world.transactions[transaction].fraud)]];
      ++quality.fraud;
      quality.fraud_cents += world.transactions[transaction].cents;
    }
  }

  Status Write(io::Io& io, const std::string& out) {
    for (auto& [user, history] : by_user_) {
      std::sort(history.begin(), history.end(), [&](size_t a, size_t b) {
        return std::pair(At(a), a) < std::pair(At(b), b);
      });
      AddUser(user, history);
    }
    WEIR_TRY(WriteAnswer(io, out, "silver.transaction_features", features_));
    WEIR_TRY(WriteAnswer(io, out, "silver.device_first_use", first_uses_));
    WEIR_TRY(WriteAnswer(io, out, "gold.scored_transactions", scored_));
    WEIR_TRY(WriteAnswer(io, out, "gold.alerts", alerts_));
    WEIR_TRY(WriteAnswer(io, out, "gold.user_profile", profiles_));
    WEIR_TRY(WriteAnswer(io, out, "gold.rule_quality", QualityRows()));
    return WriteAnswer(io, out, "gold.threshold_sweep", SweepRows());
  }

 private:
  Millis At(size_t i) const { return world_.transactions[i].at; }

  void AddUser(int32_t user, const std::vector<size_t>& history) {
    std::set<std::string> devices;
    int64_t highest = 0;
    for (size_t place = 0; place < history.size(); ++place) {
      const Transaction& paid = world_.transactions[history[place]];
      const bool first_use = devices.insert(paid.device).second;
      highest = std::max(highest, paid.cents);
      if (first_use) {
        first_uses_.push_back(
            JsonObject()
                .Set("user_id", UserName(user))
                .Set("device_id", paid.device)
                .Set("first_used_at", Stamp{paid.at})
                .Set("first_transaction_id", TransactionId(history[place])));
      }
      AddTransaction(history, place, first_use);
    }
    const Transaction& last = world_.transactions[history.back()];
    std::string known;
    for (const std::string& device : devices)
      known += (known.empty() ? "\"" : ",\"") + device + "\"";
    profiles_.push_back(JsonObject()
                            .Set("user_id", UserName(user))
                            .Set("transactions", history.size())
                            .Set("devices", devices.size())
                            .Raw("known_devices", "[" + known + "]")
                            .Set("last_made_at", Stamp{last.at})
                            .Set("last_latitude", last.latitude)
                            .Set("last_longitude", last.longitude)
                            .Set("highest_amount", Cents{highest}));
  }

  void AddTransaction(const std::vector<size_t>& history, size_t place, bool first_use) {
    const size_t i = history[place];
    const Transaction& paid = world_.transactions[i];
    int64_t in_month = 0, cents = 0, in_hour = 0;
    for (const size_t other : history) {
      const Millis before = paid.at - At(other);
      if (other == i || before < 0) continue;
      if (before <= 30 * kDay) {
        ++in_month;
        cents += world_.transactions[other].cents;
      }
      if (before <= kHour) ++in_hour;
    }
    const Transaction* previous =
        place == 0 ? nullptr : &world_.transactions[history[place - 1]];
    std::optional<double> average, miles, seconds, times;
    if (in_month > 0)
      average = static_cast<double>(cents) / 100 / static_cast<double>(in_month);
    if (previous != nullptr) {
      miles = Miles(*previous, paid);
      seconds = static_cast<double>(paid.at - previous->at) / 1000;
    }
    if (cents > 0)
      times = static_cast<double>(paid.cents * in_month) / static_cast<double>(cents);
    const std::array<bool, 4> broken = {
        in_month > 0 && paid.cents * in_month > 5 * cents,
        previous != nullptr && *miles > 500 && paid.at - previous->at <= 5 * kMinute,
        previous != nullptr && first_use, in_hour >= 9};

    JsonObject features;
    SetTransaction(i, /*full=*/true, &features);
    features.Set("transactions_30d", in_month)
        .Set("amount_30d", Cents{cents})
        .Set("average_30d", average)
        .Set("transactions_1h", in_hour);
    if (previous != nullptr) {
      features.Set("previous_at", Stamp{previous->at})
          .Set("previous_latitude", previous->latitude)
          .Set("previous_longitude", previous->longitude);
    } else {
      for (const char* column :
           {"previous_at", "previous_latitude", "previous_longitude"})
        features.Set(column, std::nullopt);
    }
    features_.push_back(features);

    JsonObject scored;
    SetTransaction(i, /*full=*/false, &scored);
    scored.Set("transactions_30d", in_month)
        .Set("average_30d", average)
        .Set("transactions_1h", in_hour)
        .Set("miles_from_previous", miles)
        .Set("seconds_since_previous", seconds);
    for (size_t rule = 0; rule < kRules.size(); ++rule)
      scored.Set(kRules[rule], broken[rule]);
    scored_.push_back(scored.Set("times_average", times));
    for (size_t rule = 0; rule < kRules.size(); ++rule) {
      if (broken[rule]) AddAlert(i, static_cast<int>(rule));
    }
    if (times > 2 || (IsLabelled(i) && paid.fraud == kAmount))
      judged_.push_back({times, IsLabelled(i), IsLabelled(i) && paid.fraud == kAmount});
  }

  bool IsLabelled(size_t i) const { return labelled_.contains(i); }

  void SetTransaction(size_t i, bool full, JsonObject* row) const {
    const Transaction& paid = world_.transactions[i];
    row->Set("transaction_id", TransactionId(i))
        .Set("user_id", UserName(paid.user))
        .Set("merchant_id", fmt::format("m{:04}", paid.merchant))
        .Set("amount", Cents{paid.cents})
        .Set("device_id", paid.device)
        .Set("made_at", Stamp{paid.at});
    if (full) row->Set("latitude", paid.latitude).Set("longitude", paid.longitude);
  }

  void AddAlert(size_t i, int rule) {
    const Transaction& paid = world_.transactions[i];
    const std::string_view name = kRules[static_cast<size_t>(rule)];
    alerts_.push_back(JsonObject()
                          .Set("transaction_id", TransactionId(i))
                          .Set("rule", name)
                          .Set("user_id", UserName(paid.user))
                          .Set("merchant_id", fmt::format("m{:04}", paid.merchant))
                          .Set("amount", Cents{paid.cents})
                          .Set("made_at", Stamp{paid.at}));
    Quality& quality = quality_[name];
    ++quality.alerts;
    if (!IsLabelled(i)) return;
    ++quality.alerts_on_fraud;
    if (paid.fraud == rule) ++quality.caught;
  }

  std::vector<JsonObject> QualityRows() const {
    std::vector<JsonObject> rows;
    const auto share = [](int64_t part, int64_t whole) {
      return whole == 0 ? std::optional<double>()
                        : static_cast<double>(part) / static_cast<double>(whole);
    };
    for (const auto& [rule, q] : quality_) {
      rows.push_back(JsonObject()
                         .Set("rule", rule)
                         .Set("fraud", q.fraud)
                         .Set("caught", q.caught)
                         .Set("recall", share(q.caught, q.fraud))
                         .Set("alerts", q.alerts)
                         .Set("false_alarms", q.alerts - q.alerts_on_fraud)
                         .Set("precision", share(q.alerts_on_fraud, q.alerts))
                         .Set("fraud_amount", q.fraud == 0
                                                  ? std::optional<Cents>()
                                                  : std::optional(Cents{q.fraud_cents})));
    }
    return rows;
  }

  std::vector<JsonObject> SweepRows() const {
    std::vector<JsonObject> rows;
    if (judged_.empty()) return rows;
    for (const int64_t threshold : kThresholds) {
      int64_t caught = 0, missed = 0, false_alarms = 0;
      for (const Judged& judged : judged_) {
        const bool alarm = judged.times && *judged.times > static_cast<double>(threshold);
        if (judged.is_amount_fraud) ++(alarm ? caught : missed);
        if (!judged.is_fraud && alarm) ++false_alarms;
      }
      rows.push_back(JsonObject()
                         .Set("threshold", threshold)
                         .Set("caught", caught)
                         .Set("missed", missed)
                         .Set("false_alarms", false_alarms)
                         .Set("cost", 25 * missed + false_alarms));
    }
    return rows;
  }

  struct Judged {
    std::optional<double> times;
    bool is_fraud, is_amount_fraud;
  };
  const World& world_;
  std::map<int32_t, std::vector<size_t>> by_user_;  // accepted
  std::set<size_t> labelled_;                       // by an accepted label
  std::map<std::string_view, Quality> quality_;
  std::vector<Judged> judged_;
  std::vector<JsonObject> features_, first_uses_, scored_, alerts_, profiles_;
};

}  // namespace

Result<std::string> GenerateFraud(io::Io& io, const SystemOptions& options) {
  const World world(options);
  const SourceFate transactions = WEIR_TRY(WriteTransactions(io, options, world));
  const SourceFate labels = WEIR_TRY(WriteLabels(io, options, world));
  WEIR_TRY(Answer(world, transactions, labels).Write(io, options.out));
  WEIR_TRY(WriteLedgers(
      io, options.out,
      {{"transactions", transactions.ledger}, {"fraud_labels", labels.ledger}}));
  return fmt::format("{} transactions and {} labels of fraud in {}",
                     transactions.ledger.received, labels.ledger.received, options.out);
}

}  // namespace weir::generate
