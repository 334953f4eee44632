// A shop's customers, seen by its web site, its app, its CRM and its call centre. Scale
// 1: 1,000 people, 20,000 web and 10,000 app events, about 3,000 CRM changes, 1,000
// calls, 1,500 prospects.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/time.h"
#include "generate/customer360_internal.h"
#include "generate/dice.h"

namespace weir::generate {
namespace {

constexpr Millis kStart = 1'748'736'000'000;  // 2025-06-01 00:00 UTC
constexpr Millis kDays = 45;
constexpr Millis kOldSystemDelay = 14 * kDay;
constexpr const char* kSharedPhone =
    "8005550100";  // of a call centre: many people's number

enum Purpose : uint64_t { kPersonDice = 30, kWebDice, kMobileDice, kCrmDice, kCallDice };

constexpr const char* kNames[] = {"Ann Lee",    "Bob Ruiz",   "Cid Moreau",
                                  "Dora Weiss", "Eve Okafor", "Finn Aalto",
                                  "Gia Rossi",  "Hugo Brandt"};

struct Person {
  std::string name, email, phone;
  MaybeText second_email;
  std::vector<std::string>
      devices;  // browsers; those beyond the first may be nobody's yet
  std::string handset;
  std::vector<std::string> accounts;  // in the CRM; a second one is a mistake of the CRM
};

Person MakePerson(uint64_t seed, int64_t number) {
  Dice dice = DiceOf(seed, kPersonDice, static_cast<uint64_t>(number));
  Person person{.name = kNames[dice.Between(0, 7)],
                .email = fmt::format("p{:06}@example.com", number),
                .phone = fmt::format("415{:07}", number)};
  if (dice.Chance(.2)) person.second_email = fmt::format("p{:06}@work.example", number);
  const int64_t devices = dice.Between(1, 3);
  for (int64_t d = 0; d < devices; ++d)
    person.devices.push_back(fmt::format("web-{:06}-{}", number, d));
  // A family's tablet links its people.
  if (dice.Chance(.02)) person.devices.back() = fmt::format("web-{:06}-0", number / 2);
  person.handset = fmt::format("app-{:06}", number);
  const int64_t accounts = dice.Chance(.6) ? (dice.Chance(.1) ? 2 : 1) : 0;
  for (int64_t a = 0; a < accounts; ++a)
    person.accounts.push_back(fmt::format("c{:06}{}", number, a));
  return person;
}

void AddCrmChanges(uint64_t seed, int64_t number, const Person& person,
                   Customers* world) {
  for (size_t a = 0; a < person.accounts.size(); ++a) {
    Dice dice = DiceOf(seed, kCrmDice, static_cast<uint64_t>(number) * 2 + a);
    CrmChange change{.customer = person.accounts[a]};
    change.at = kStart + dice.Between(0, (kDays - 20) * kDay);
    change.name = person.name;
    if (dice.Chance(.9)) change.email = person.email;
    if (dice.Chance(.8)) change.phone = dice.Chance(.06) ? kSharedPhone : person.phone;
    change.city = "city-0";
    world->crm.push_back(change);
    const int64_t updates = dice.Between(0, 6);
    for (int64_t u = 1; u <= updates; ++u) {
      change.at += dice.Between(kMinute, 4 * kDay);
      change.city = fmt::format("city-{}", u);  // every change says something new
      change.name = dice.Chance(.3) ? MaybeText() : person.name;
      change.email = dice.Chance(.5) ? MaybeText() : person.second_email;
      change.phone = dice.Chance(.7) ? MaybeText() : person.phone;
      world->crm.push_back(change);
    }
    if (dice.Chance(.05)) {
      world->crm.push_back({.at = change.at + dice.Between(kMinute, 4 * kDay),
                            .customer = change.customer,
                            .is_delete = true});
    }
  }
}

// Ten times the traffic on the sale day.
Millis MomentOf(Dice& dice) {
  const Millis day = dice.Chance(.18) ? 40 : dice.Between(0, kDays - 1);
  return kStart + day * kDay + dice.Between(0, kDay - 1);
}

Customers MakeCustomers(const SystemOptions& options) {
  Customers world;
  const auto people = std::max<int64_t>(4, std::llround(1000 * options.scale));
  std::vector<Person> persons;
  for (int64_t p = 0; p < people; ++p) {
    persons.push_back(MakePerson(options.seed, p));
    AddCrmChanges(options.seed, p, persons.back(), &world);
  }
  const auto any = [&](Dice& dice) -> const Person& {
    return persons[static_cast<size_t>(dice.Between(0, people - 1))];
  };
  for (int64_t i = 0; i < 20 * people; ++i) {
    Dice dice = DiceOf(options.seed, kWebDice, static_cast<uint64_t>(i));
    const Person& person = any(dice);
    WebEvent event{.at = MomentOf(dice)};
    const auto d = static_cast<size_t>(
        dice.Between(0, static_cast<int64_t>(person.devices.size()) - 1));
    event.device = person.devices[d];
    // On the third device nobody ever logs in: it stays an orphan.
    if (d < 2 && dice.Chance(.25))
      event.email =
          person.second_email && dice.Chance(.5) ? *person.second_email : person.email;
    if (event.email && dice.Chance(.3)) event.cents = dice.Between(100, 20'000);
    world.web.push_back(event);
  }
  for (int64_t i = 0; i < 10 * people; ++i) {
    Dice dice = DiceOf(options.seed, kMobileDice, static_cast<uint64_t>(i));
    const Person& person = any(dice);
    MobileEvent event{
        .at = MomentOf(dice), .device = person.handset, .phone = person.phone};
    // Versions 2 and 3 come out on the 15th and 30th day; half of the people never
    // update.
    const Millis day = (event.at - kStart) / kDay;
    event.version = dice.Chance(.5) ? 1 : day >= 30 ? 3 : day >= 15 ? 2 : 1;
    if (dice.Chance(.1)) event.email = person.email;
    world.mobile.push_back(event);
  }
  for (int64_t i = 0; i < people; ++i) {
    Dice dice = DiceOf(options.seed, kCallDice, static_cast<uint64_t>(i));
    const Person& person = any(dice);
    Call call{.at = MomentOf(dice),
              .phone = dice.Chance(.08) ? kSharedPhone : person.phone,
              .old_system = dice.Chance(.1)};
    if (!call.old_system && dice.Chance(.3)) call.email = person.email;
    world.calls.push_back(call);
  }
  world.leads = MakeLeads(options.seed, people);
  return world;
}

// ------------------------------------------------------------------------- the sources

std::string SpellEmail(Dice& dice, std::string email) {
  if (dice.Chance(.2)) email[0] = static_cast<char>(std::toupper(email[0]));
  return dice.Chance(.1) ? " " + email + " " : email;
}

std::string SpellPhone(Dice& dice, const std::string& digits) {
  switch (dice.Between(0, 2)) {
    case 0:
      return digits;
    case 1:
      return fmt::format("+1 ({}) {}-{}", digits.substr(0, 3), digits.substr(3, 3),
                         digits.substr(6));
    default:
      return fmt::format("{}.{}.{}", digits.substr(0, 3), digits.substr(3, 3),
                         digits.substr(6));
  }
}

template <class T>
std::vector<Millis> TimesOf(const std::vector<T>& events) {
  std::vector<Millis> times;
  times.reserve(events.size());
  for (const T& event : events) times.push_back(event.at);
  return times;
}

// A source of JSON lines. `fill` sets the members of an event; its dice spell a record
// the same way each time it is delivered.
template <class T, class Fill>
Result<SourceFate> WriteEvents(io::Io& io, const SystemOptions& options,
                               const std::string& name, Millis lateness,
                               const std::vector<T>& events, const Trouble& trouble,
                               uint64_t purpose, Fill fill) {
  const std::vector<Millis> times = TimesOf(events);
  SourceText source{.name = name, .lateness = lateness};
  source.write = [&](const Delivery& delivery, std::string* out) {
    const size_t start = out->size();
    Dice dice = DiceOf(options.seed, purpose + 100, delivery.event);
    JsonObject record;
    fill(events[delivery.event], delivery.event, dice, &record);
    if (delivery.form == Delivered::kConflicting) record.Set("resent", true);
    out->append(record.text());
    if (delivery.form == Delivered::kBroken) CutShort(delivery.dice, start, out);
  };
  return WriteSource(
      io, options.out, source, times,
      Deliver(times, trouble, DiceOf(options.seed, purpose, ~0ull).Next()));
}

template <class T>
void SetMaybe(JsonObject* record, std::string_view key, const std::optional<T>& value) {
  if (value) record->Set(key, *value);
}

Result<SourceFate> WriteWeb(io::Io& io, const SystemOptions& options,
                            const Customers& world) {
  const auto fill = [](const WebEvent& event, size_t i, Dice& dice, JsonObject* record) {
    record->Set("event_id", WebEventId(i)).Set("device_id", event.device);
    if (event.email) record->Set("email", SpellEmail(dice, *event.email));
    record->Set("occurred_at", Stamp{event.at});
    if (event.cents) record->Set("amount", Cents{event.cents});
  };
  return WriteEvents(io, options, "web_events", kDay, world.web,
                     {.parked = .002, .conflicting = .002}, kWebDice, fill);
}

Result<SourceFate> WriteMobile(io::Io& io, const SystemOptions& options,
                               const Customers& world) {
  const auto fill = [](const MobileEvent& event, size_t i, Dice& dice,
                       JsonObject* record) {
    record->Set("event_id", MobileEventId(i));
    SetMaybe(record, "device_id", event.KnownDevice());
    if (const auto phone = event.KnownPhone())
      record->Set("phone", SpellPhone(dice, *phone));
    if (event.email) record->Set("email", SpellEmail(dice, *event.email));
    record->Set("occurred_at", Stamp{event.at})
        .Set("schema_version", fmt::format("{}.0", event.version));
  };
  return WriteEvents(io, options, "mobile_events", kDay, world.mobile, {.parked = .002},
                     kMobileDice, fill);
}

Result<SourceFate> WriteCrm(io::Io& io, const SystemOptions& options,
                            const Customers& world) {
  const auto fill = [](const CrmChange& change, size_t i, Dice& dice,
                       JsonObject* record) {
    record->Set("change_id", CrmChangeId(i))
        .Set("customer_id", change.customer)
        .Set("op", change.is_delete ? "delete" : "upsert")
        .Set("updated_at", Stamp{change.at});
    if (change.is_delete) return;
    record->Set("name", change.name);
    if (change.email) record->Set("email", SpellEmail(dice, *change.email));
    if (change.phone) record->Set("phone", SpellPhone(dice, *change.phone));
    record->Set("city", change.city);
    // The CRM's new release tells a language, which no contract declares yet.
    if (change.at >= kStart + 20 * kDay) record->Set("preferred_language", "en");
  };
  return WriteEvents(io, options, "crm_changes", 7 * kDay, world.crm,
                     {.late = .1, .late_by = 6 * kDay}, kCrmDice, fill);
}

Result<SourceFate> WriteCalls(io::Io& io, const SystemOptions& options,
                              const Customers& world) {
  const std::vector<Millis> times = TimesOf(world.calls);
  std::vector<Delivery> deliveries =
      Deliver(times, {.delay = kHour, .late = 0, .broken = 0},
              DiceOf(options.seed, kCallDice, ~0ull).Next());
  // What the old system has comes once, at the beginning of the day two weeks later.
  std::erase_if(deliveries,
                [&](const Delivery& d) { return world.calls[d.event].old_system; });
  for (uint32_t i = 0; i < world.calls.size(); ++i) {
    if (world.calls[i].old_system)
      deliveries.push_back(
          {.at = (times[i] + kOldSystemDelay) / kDay * kDay, .event = i});
  }
  const auto is_old = [&](const Delivery& d) { return world.calls[d.event].old_system; };
  std::stable_sort(deliveries.begin(), deliveries.end(),
                   [&](const Delivery& a, const Delivery& b) {
                     return std::tuple(DateOf(a.at).days, !is_old(a), a.at) <
                            std::tuple(DateOf(b.at).days, !is_old(b), b.at);
                   });
  SourceText source{.name = "calls", .lateness = 16 * kDay};
  source.file = [&](const Delivery& d) {
    return fmt::format("calls-{}-{}.csv", FormatDate(DateOf(d.at).days),
                       is_old(d) ? 1 : 2);
  };
  source.header = [](const std::string& file) {
    return std::string(file.ends_with("-1.csv") ? "call_id,called_at,phone"
                                                : "call_id,called_at,phone,email");
  };
  source.write = [&](const Delivery& d, std::string* out) {
    Dice dice = DiceOf(options.seed, kCallDice + 100, d.event);
    const Call& call = world.calls[d.event];
    CsvRow row;
    row.Add(CallId(d.event)).Add(Stamp{call.at}).Add(SpellPhone(dice, call.phone));
    if (!call.old_system) {
      if (call.email) {
        row.Add(SpellEmail(dice, *call.email));
      } else {
        row.Add(std::nullopt);
      }
    }
    out->append(row.text());
  };
  return WriteSource(io, options.out, source, times, deliveries);
}

// One list, without event time: nothing is late, a record that comes again is a
// duplicate.
Result<SourceFate> WriteLeads(io::Io& io, const SystemOptions& options,
                              const Customers& world) {
  const std::vector<Millis> times(world.leads.size(), kStart);
  std::vector<Delivery> deliveries;
  for (uint32_t i = 0; i < times.size(); ++i)
    deliveries.push_back({.at = kStart + i, .event = i});
  SourceText source{.name = "leads"};
  source.write = [&](const Delivery& delivery, std::string* out) {
    const Lead& lead = world.leads[delivery.event];
    JsonObject record;
    record.Set("lead_id", lead.id)
        .Set("person", fmt::format("h{:06}", lead.person))
        .Set("given_name", lead.given_name)
        .Set("surname", lead.surname)
        .Set("street", lead.street)
        .Set("postcode", lead.postcode)
        .Set("birth_date", lead.birth_date);
    out->append(record.text());
  };
  return WriteSource(io, options.out, source, times, deliveries);
}

}  // namespace

std::string WebEventId(size_t i) { return fmt::format("w{:08}", i); }
std::string MobileEventId(size_t i) { return fmt::format("m{:08}", i); }
std::string CrmChangeId(size_t i) { return fmt::format("x{:08}", i); }
std::string CallId(size_t i) { return fmt::format("l{:08}", i); }

Result<std::string> GenerateCustomer360(io::Io& io, const SystemOptions& options) {
  const Customers world = MakeCustomers(options);
  CustomerFates fates;
  fates.web = WEIR_TRY(WriteWeb(io, options, world));
  fates.mobile = WEIR_TRY(WriteMobile(io, options, world));
  fates.crm = WEIR_TRY(WriteCrm(io, options, world));
  fates.calls = WEIR_TRY(WriteCalls(io, options, world));
  fates.leads = WEIR_TRY(WriteLeads(io, options, world));
  WEIR_TRY(WriteCustomerAnswer(io, options.out, world, fates));
  WEIR_TRY(WriteLeadAnswer(io, options.out, world.leads, fates.leads));
  WEIR_TRY(WriteLedgers(io, options.out,
                        {{"web_events", fates.web.ledger},
                         {"mobile_events", fates.mobile.ledger},
                         {"crm_changes", fates.crm.ledger},
                         {"calls", fates.calls.ledger},
                         {"leads", fates.leads.ledger}}));
  return fmt::format(
      "{} web events, {} app events, {} CRM changes, {} calls and {} leads in {}",
      fates.web.ledger.received, fates.mobile.ledger.received, fates.crm.ledger.received,
      fates.calls.ledger.received, fates.leads.ledger.received, options.out);
}

}  // namespace weir::generate
