// The parts of the customer360 generator: people with their devices and accounts, what
// the four channels say of them, and the answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "generate/generator.h"
#include "generate/stream.h"
#include "generate/text.h"
#include "io/io.h"

namespace weir::generate {

using MaybeText = std::optional<std::string>;

// Values as the models clean them: lower case, digits only. The records carry them in
// other spellings.
struct WebEvent {
  Millis at = 0;
  std::string device;
  MaybeText email;    // when somebody is logged in
  int64_t cents = 0;  // of a purchase
};
struct MobileEvent {
  Millis at = 0;
  int version = 1;  // of the app: 2 tells a phone number, 3 no device any more
  std::string device, phone;
  MaybeText email;
  MaybeText KnownDevice() const { return version < 3 ? MaybeText(device) : std::nullopt; }
  MaybeText KnownPhone() const { return version > 1 ? MaybeText(phone) : std::nullopt; }
};
struct CrmChange {
  Millis at = 0;
  std::string customer;
  bool is_delete = false;
  MaybeText name, email, phone, city;  // null: not known to whoever made the change
};
struct Call {
  Millis at = 0;
  std::string phone;
  MaybeText email;
  bool old_system = false;  // comes two weeks later, in a file without e-mails
};
// A record of the labelled list of prospects.
struct Lead {
  std::string id;
  int32_t person = 0;  // the truth
  MaybeText given_name, surname, street, postcode, birth_date;
};

struct Customers {
  std::vector<WebEvent> web;
  std::vector<MobileEvent> mobile;
  std::vector<CrmChange> crm;
  std::vector<Call> calls;
  std::vector<Lead> leads;
};

std::string WebEventId(size_t i);
std::string MobileEventId(size_t i);
std::string CrmChangeId(size_t i);
std::string CallId(size_t i);

struct CustomerFates {
  SourceFate web, mobile, crm, calls, leads;
};

Status WriteCustomerAnswer(io::Io& io, const std::string& out, const Customers& world,
                           const CustomerFates& fates);

// Prospects as febrl makes them: originals, and duplicates with typos, swapped names and
// missing fields.
std::vector<Lead> MakeLeads(uint64_t seed, int64_t people);
Status WriteLeadAnswer(io::Io& io, const std::string& out, const std::vector<Lead>& leads,
                       const SourceFate& fate);

// Lower-case hexadecimal MD5.
std::string Md5(const std::string& text);

}  // namespace weir::generate
