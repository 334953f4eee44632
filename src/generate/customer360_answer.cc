// Who is who: the answer to the models of examples/customer360, by union-find over the
// records.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "generate/customer360_internal.h"

namespace weir::generate {
namespace {

constexpr size_t kSharedByMany = 12;  // records; a value of more links nobody

// One row of silver.records: what one record said with the same values.
struct Said {
  std::string source, id;
  MaybeText email, phone, device;
  auto operator<=>(const Said&) const = default;
};
struct Heard {
  Millis first = INT64_MAX, last = INT64_MIN;
  int64_t events = 0, cents = 0;
  void Add(Millis at, int64_t amount) {
    first = std::min(first, at);
    last = std::max(last, at);
    ++events;
    cents += amount;
  }
};

struct CustomerRow {  // silver.customers
  MaybeText name, email, phone, city;
  Millis first = 0, updated = 0;
};

struct CustomerVersion {
  std::string customer;
  CustomerRow row;
  Millis since = 0, until = 0;  // kStill: it is valid still
};

using RecordKey = std::pair<std::string, std::string>;  // source, source_id

constexpr Millis kStill = INT64_MAX;

class Groups {  // union-find
 public:
  explicit Groups(size_t size) : parent_(size) {
    std::iota(parent_.begin(), parent_.end(), size_t{0});
  }
  size_t Find(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void Join(size_t a, size_t b) { parent_[Find(a)] = Find(b); }

 private:
  std::vector<size_t> parent_;
};

class Answer {
 public:
  Answer(const Customers& world, const CustomerFates& fates)
      : world_(world), fates_(fates) {}

  Status Write(io::Io& io, const std::string& out) {
    FoldCrm();
    Collect();
    Resolve();
    WEIR_TRY(WriteAnswer(io, out, "silver.customers", CustomerRows()));
    WEIR_TRY(WriteAnswer(io, out, "silver.customer_history", history_));
    WEIR_TRY(WriteAnswer(io, out, "silver.records", RecordRows()));
    WEIR_TRY(WriteAnswer(io, out, "silver.identities", IdentityRows()));
    WEIR_TRY(WriteAnswer(io, out, "silver.identity_history", HistoryRows()));
    WEIR_TRY(WriteAnswer(io, out, "gold.profiles", ProfileRows()));
    WEIR_TRY(WriteAnswer(io, out, "gold.active_daily", ActiveRows()));
    return WriteAnswer(io, out, "gold.shared_identifiers", SharedRows());
  }

 private:
  // What the CRM knows of a customer at last, and the versions on the way. A missing
  // value does not replace a known one.
  void FoldCrm() {
    std::map<std::string, std::vector<const CrmChange*>> by_customer;
    for (size_t i = 0; i < world_.crm.size(); ++i) {
      if (fates_.crm.accepted[i])
        by_customer[world_.crm[i].customer].push_back(&world_.crm[i]);
    }
    for (auto& [customer, changes] : by_customer) {
      std::sort(changes.begin(), changes.end(),
                [](const CrmChange* a, const CrmChange* b) { return a->at < b->at; });
      CustomerRow row{.first = changes.front()->at};
      bool gone = false;
      for (size_t i = 0; i < changes.size(); ++i) {
        const CrmChange& change = *changes[i];
        gone = change.is_delete;
        if (gone) break;  // the CRM never takes a customer back
        if (change.name) row.name = change.name;
        if (change.email) row.email = change.email;
        if (change.phone) row.phone = change.phone;
        if (change.city) row.city = change.city;
        row.updated = change.at;
        AddVersion(customer, row, i + 1 < changes.size() ? changes[i + 1] : nullptr);
      }
      if (!gone) customers_[customer] = row;
    }
  }

  void AddVersion(const std::string& customer, const CustomerRow& row,
                  const CrmChange* next) {
    versions_.push_back({customer, row, row.updated, next ? next->at : kStill});
    history_.push_back(
        JsonObject()
            .Set("customer_id", customer)
            .Set("name", row.name)
            .Set("email", row.email)
            .Set("phone", row.phone)
            .Set("city", row.city)
            .Set("__START_AT", Stamp{row.updated})
            .Set("__END_AT", next ? std::optional(Stamp{next->at}) : std::nullopt));
  }

  void Collect() {
    for (size_t i = 0; i < world_.web.size(); ++i) {
      const WebEvent& event = world_.web[i];
      if (!fates_.web.accepted[i]) continue;
      said_[{"web", event.device, event.email, {}, event.device}].Add(event.at,
                                                                      event.cents);
    }
    for (size_t i = 0; i < world_.mobile.size(); ++i) {
      if (!fates_.mobile.accepted[i]) continue;
      const MobileEvent& event = world_.mobile[i];
      said_[{"app", MobileRecord(event), event.email, event.KnownPhone(),
             event.KnownDevice()}]
          .Add(event.at, 0);
    }
    for (size_t i = 0; i < world_.calls.size(); ++i) {
      if (!fates_.calls.accepted[i]) continue;
      const Call& call = world_.calls[i];
      said_[{"call", CallId(i), call.email, call.phone, {}}].Add(call.at, 0);
    }
    for (const auto& [customer, row] : customers_) {
      Heard& heard = said_[{"crm", customer, row.email, row.phone, {}}];
      heard.first = row.first;
      heard.last = row.updated;
    }
  }

  static std::string MobileRecord(const MobileEvent& event) {
    return event.KnownDevice().value_or(event.phone);
  }

  void Resolve() {
    std::map<RecordKey, size_t> number;
    for (const auto& [said, heard] : said_) {
      const auto [it, is_new] =
          number.try_emplace({said.source, said.id}, records_.size());
      if (is_new) {
        records_.push_back(it->first);
        first_.push_back(heard.first);
      }
      const size_t record = it->second;
      first_[record] = std::min(first_[record], heard.first);
      if (said.email) carriers_[{"email", *said.email}].insert(record);
      if (said.phone) carriers_[{"phone", *said.phone}].insert(record);
      if (said.device) carriers_[{"device_id", *said.device}].insert(record);
    }
    Groups groups(records_.size());
    for (const auto& [value, carriers] : carriers_) {
      if (carriers.size() > kSharedByMany) continue;
      for (const size_t record : carriers) groups.Join(record, *carriers.begin());
    }
    // An identity is named by its first record.
    std::map<size_t, size_t> first_of;
    for (size_t i = 0; i < records_.size(); ++i) {
      const auto [it, is_new] = first_of.try_emplace(groups.Find(i), i);
      if (!is_new && std::pair(first_[i], records_[i]) <
                         std::pair(first_[it->second], records_[it->second]))
        it->second = i;
    }
    for (size_t i = 0; i < records_.size(); ++i) {
      unified_[records_[i]] = IdOf(records_[first_of[groups.Find(i)]]);
    }
  }

  std::vector<JsonObject> CustomerRows() const {
    std::vector<JsonObject> rows;
    for (const auto& [customer, row] : customers_) {
      rows.push_back(JsonObject()
                         .Set("customer_id", customer)
                         .Set("name", row.name)
                         .Set("email", row.email)
                         .Set("phone", row.phone)
                         .Set("city", row.city)
                         .Set("updated_at", Stamp{row.updated}));
    }
    return rows;
  }

  std::vector<JsonObject> RecordRows() const {
    std::vector<JsonObject> rows;
    for (const auto& [said, heard] : said_) {
      rows.push_back(JsonObject()
                         .Set("source", said.source)
                         .Set("source_id", said.id)
                         .Set("email", said.email)
                         .Set("phone", said.phone)
                         .Set("device_id", said.device)
                         .Set("first_seen", Stamp{heard.first})
                         .Set("last_seen", Stamp{heard.last})
                         .Set("events", heard.events)
                         .Set("amount", Cents{heard.cents}));
    }
    return rows;
  }

  std::vector<JsonObject> IdentityRows() const {
    std::vector<JsonObject> rows;
    for (const auto& [record, id] : unified_) {
      rows.push_back(JsonObject()
                         .Set("source", record.first)
                         .Set("source_id", record.second)
                         .Set("unified_id", id));
    }
    return rows;
  }

  // ---------------------------------------------------------- who was who at a time

  // What a record carried from when until when.
  struct Claim {
    size_t record = 0;
    Millis since = 0, until = kStill;
    std::vector<size_t> values;
  };

  static std::string IdOf(const RecordKey& record) {
    return Md5(fmt::format("[\"{}\",\"{}\"]", record.first, record.second));
  }

  // Every moment at which something begins or ends is looked at by itself: which claims
  // hold then, whom they link, and who is the oldest of each group. Records that no value
  // ever links, over any number of steps, are apart at all times.
  std::vector<JsonObject> HistoryRows() const {
    std::map<RecordKey, size_t> number;
    std::vector<RecordKey> records;
    std::vector<Millis> first;
    std::map<std::pair<std::string, std::string>, size_t> values;
    std::vector<Claim> claims;
    const auto add = [&](const Said& said, Millis seen, Millis since, Millis until) {
      const auto [it, is_new] =
          number.try_emplace({said.source, said.id}, records.size());
      if (is_new) {
        records.push_back(it->first);
        first.push_back(seen);
      }
      first[it->second] = std::min(first[it->second], seen);
      Claim claim{it->second, since, until, {}};
      const std::pair<const char*, const MaybeText*> said_values[] = {
          {"email", &said.email}, {"phone", &said.phone}, {"device_id", &said.device}};
      for (const auto& [kind, value] : said_values) {
        if (*value)
          claim.values.push_back(
              values.try_emplace({kind, **value}, values.size()).first->second);
      }
      claims.push_back(std::move(claim));
    };
    for (const auto& [said, heard] : said_) {
      if (said.source != "crm") add(said, heard.first, heard.first, kStill);
    }
    for (const CustomerVersion& version : versions_) {
      add({"crm", version.customer, version.row.email, version.row.phone, {}},
          version.row.first, version.since, version.until);
    }

    Groups ever(records.size() + values.size());
    for (const Claim& claim : claims) {
      for (const size_t value : claim.values)
        ever.Join(claim.record, records.size() + value);
    }
    std::map<size_t, std::vector<const Claim*>> regions;
    for (const Claim& claim : claims) regions[ever.Find(claim.record)].push_back(&claim);
    std::vector<JsonObject> rows;
    for (const auto& [root, region] : regions) AddHistory(records, first, region, &rows);
    return rows;
  }

  static void AddHistory(const std::vector<RecordKey>& records,
                         const std::vector<Millis>& first,
                         const std::vector<const Claim*>& claims,
                         std::vector<JsonObject>* rows) {
    std::set<Millis> moments;
    for (const Claim* claim : claims) {
      moments.insert(claim->since);
      if (claim->until != kStill) moments.insert(claim->until);
    }
    const auto older = [&](size_t a, size_t b) {
      return std::pair(first[a], records[a]) < std::pair(first[b], records[b]);
    };
    struct Span {
      size_t named;
      Millis since;
    };
    std::map<size_t, Span> open;  // by record
    const auto close = [&](size_t record, const Span& span, Millis until) {
      rows->push_back(JsonObject()
                          .Set("source", records[record].first)
                          .Set("source_id", records[record].second)
                          .Set("unified_id", IdOf(records[span.named]))
                          .Set("valid_from", Stamp{span.since})
                          .Set("valid_to", until == kStill
                                               ? std::nullopt
                                               : std::optional(Stamp{until})));
    };
    std::map<size_t, size_t> place;  // of records and values that occur here
    for (const Claim* claim : claims) {
      place.try_emplace(claim->record, place.size());
      for (const size_t value : claim->values)
        place.try_emplace(records.size() + value, place.size());
    }
    for (const Millis moment : moments) {
      std::map<size_t, std::set<size_t>> carriers;  // value: records
      std::set<size_t> present;
      for (const Claim* claim : claims) {
        if (moment < claim->since || moment >= claim->until) continue;
        present.insert(claim->record);
        for (const size_t value : claim->values) carriers[value].insert(claim->record);
      }
      Groups groups(place.size());
      for (const auto& [value, by] : carriers) {
        if (by.size() > kSharedByMany) continue;
        for (const size_t record : by)
          groups.Join(place.at(record), place.at(*by.begin()));
      }
      std::map<size_t, size_t> named;  // by group
      for (const size_t record : present) {
        const auto [it, is_new] =
            named.try_emplace(groups.Find(place.at(record)), record);
        if (!is_new && older(record, it->second)) it->second = record;
      }
      for (auto it = open.begin(); it != open.end();) {
        const bool gone = !present.contains(it->first);
        if (gone) close(it->first, it->second, moment);
        it = gone ? open.erase(it) : std::next(it);
      }
      for (const size_t record : present) {
        const size_t name = named.at(groups.Find(place.at(record)));
        const auto [it, is_new] = open.try_emplace(record, Span{name, moment});
        if (is_new || it->second.named == name) continue;
        close(record, it->second, moment);
        it->second = {name, moment};
      }
    }
    for (const auto& [record, span] : open) close(record, span, kStill);
  }

  struct Profile {
    std::set<RecordKey> records;
    MaybeText email, phone;
    std::optional<std::pair<Millis, Said>> email_at, phone_at;
    Heard heard;
    int64_t crm = 0;
  };

  std::vector<JsonObject> ProfileRows() const {
    std::map<std::string, Profile> profiles;
    for (const auto& [said, heard] : said_) {
      Profile& profile = profiles[unified_.at({said.source, said.id})];
      profile.records.insert({said.source, said.id});
      profile.heard.first = std::min(profile.heard.first, heard.first);
      profile.heard.last = std::max(profile.heard.last, heard.last);
      profile.heard.events += heard.events;
      profile.heard.cents += heard.cents;
      profile.crm += said.source == "crm";
      // The newest known; of those of one moment that of the last record.
      const std::pair when(heard.last, said);
      if (said.email && (!profile.email_at || *profile.email_at < when)) {
        profile.email = said.email;
        profile.email_at = when;
      }
      if (said.phone && (!profile.phone_at || *profile.phone_at < when)) {
        profile.phone = said.phone;
        profile.phone_at = when;
      }
    }
    std::vector<JsonObject> rows;
    for (const auto& [id, profile] : profiles) {
      rows.push_back(JsonObject()
                         .Set("unified_id", id)
                         .Set("records", profile.records.size())
                         .Set("accounts", profile.crm)
                         .Set("email", profile.email)
                         .Set("phone", profile.phone)
                         .Set("is_known", profile.email || profile.phone)
                         .Set("first_seen", Stamp{profile.heard.first})
                         .Set("last_seen", Stamp{profile.heard.last})
                         .Set("events", profile.heard.events)
                         .Set("amount", Cents{profile.heard.cents}));
    }
    return rows;
  }

  std::vector<JsonObject> ActiveRows() const {
    std::map<int32_t, std::set<std::string>> active;
    std::map<int32_t, int64_t> events;
    const auto add = [&](const RecordKey& record, Millis at) {
      const int32_t day = DateOf(at).days;
      active[day].insert(unified_.at(record));
      ++events[day];
    };
    for (size_t i = 0; i < world_.web.size(); ++i) {
      if (fates_.web.accepted[i]) add({"web", world_.web[i].device}, world_.web[i].at);
    }
    for (size_t i = 0; i < world_.mobile.size(); ++i) {
      if (fates_.mobile.accepted[i])
        add({"app", MobileRecord(world_.mobile[i])}, world_.mobile[i].at);
    }
    std::vector<JsonObject> rows;
    for (const auto& [day, people] : active) {
      rows.push_back(JsonObject()
                         .Set("day", Date{day})
                         .Set("events", events[day])
                         .Set("people", people.size()));
    }
    return rows;
  }

  std::vector<JsonObject> SharedRows() const {
    std::vector<JsonObject> rows;
    for (const auto& [value, carriers] : carriers_) {
      std::set<std::string> profiles;
      for (const size_t record : carriers) profiles.insert(unified_.at(records_[record]));
      if (profiles.size() < 2) continue;
      rows.push_back(JsonObject()
                         .Set("kind", value.first)
                         .Set("value", value.second)
                         .Set("records", carriers.size())
                         .Set("profiles", profiles.size()));
    }
    return rows;
  }

  const Customers& world_;
  const CustomerFates& fates_;
  std::map<std::string, CustomerRow> customers_;
  std::vector<JsonObject> history_;
  std::vector<CustomerVersion> versions_;
  std::map<Said, Heard> said_;
  std::vector<RecordKey> records_;
  std::vector<Millis> first_;  // by record
  std::map<std::pair<std::string, std::string>, std::set<size_t>>
      carriers_;  // kind, value
  std::map<RecordKey, std::string> unified_;
};

}  // namespace

Status WriteCustomerAnswer(io::Io& io, const std::string& out, const Customers& world,
                           const CustomerFates& fates) {
  return Answer(world, fates).Write(io, out);
}

}  // namespace weir::generate
