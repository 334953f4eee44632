#include <zlib.h>

#include <charconv>
#include <optional>

#include "base/time.h"
#include "generate/rides_internal.h"

namespace weir::generate {
namespace {

Result<std::string> Gunzip(std::string_view gzip) {
  z_stream stream{};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
    return Internal("zlib could not start");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(gzip.data()));
  stream.avail_in = static_cast<uInt>(gzip.size());
  std::string text, piece(1 << 20, '\0');
  int state = Z_OK;
  while (state == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    state = inflate(&stream, Z_NO_FLUSH);
    text.append(piece, 0, piece.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (state != Z_STREAM_END) return Corrupt("the built-in taxi trips do not unpack");
  return text;
}

std::string_view TakeUntil(char end, std::string_view* rest) {
  size_t at = rest->find(end);
  std::string_view head = rest->substr(0, at);
  rest->remove_prefix(at == std::string_view::npos ? rest->size() : at + 1);
  return head;
}

std::optional<int32_t> ParseInt(std::string_view text) {
  int32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "-12.5" -> -1250
std::optional<int32_t> ParseHundredths(std::string_view text) {
  bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  std::string_view fraction = text;
  auto whole = ParseInt(TakeUntil('.', &fraction));
  if (!whole || fraction.size() > 2) return std::nullopt;
  int32_t cents = 0;
  if (!fraction.empty()) {
    auto digits = ParseInt(fraction);
    if (!digits) return std::nullopt;
    cents = fraction.size() == 1 ? *digits * 10 : *digits;
  }
  int32_t value = *whole * 100 + cents;
  return negative ? -value : value;
}

std::optional<Millis> ParseLocal(std::string_view text) {
  bool has_zone = false;
  auto micros = ParseTimestamp(text, &has_zone);
  if (!micros) return std::nullopt;
  return *micros / 1000;
}

constexpr std::string_view kHeader =
    "pickup_datetime,dropoff_datetime,trip_distance,pickup_location_id,dropoff_location_"
    "id,payment_type,"
    "fare_amount,extra,tip_amount,total_amount";

std::optional<TaxiTrip> ParseTrip(std::string_view line) {
  auto pickup = ParseLocal(TakeUntil(',', &line)),
       dropoff = ParseLocal(TakeUntil(',', &line));
  auto distance = ParseHundredths(TakeUntil(',', &line));
  auto pickup_location = ParseInt(TakeUntil(',', &line));
  auto dropoff_location = ParseInt(TakeUntil(',', &line));
  std::string_view payment = TakeUntil(',', &line);
  std::optional<int32_t> payment_type = payment.empty() ? 0 : ParseInt(payment);
  auto fare = ParseHundredths(TakeUntil(',', &line)),
       extra = ParseHundredths(TakeUntil(',', &line));
  auto tip = ParseHundredths(TakeUntil(',', &line)),
       total = ParseHundredths(TakeUntil(',', &line));
  if (!pickup || !dropoff || !distance || !pickup_location || !dropoff_location ||
      !payment_type || !fare || !extra || !tip || !total || !line.empty()) {
    return std::nullopt;
  }
  return TaxiTrip{*pickup,   *dropoff,     *pickup_location, *dropoff_location,
                  *distance, *fare,        *extra,           *tip,
                  *total,    *payment_type};
}

}  // namespace

Result<std::vector<TaxiTrip>> ReadTaxiTrips(const TaxiMonth& month) {
  std::string text = WEIR_TRY(Gunzip(month.gzip));
  std::string_view rest = text;
  if (TakeUntil('\n', &rest) != kHeader)
    return Corrupt(std::string(month.name) + ": unexpected columns");
  std::vector<TaxiTrip> trips;
  while (!rest.empty()) {
    std::string_view line = TakeUntil('\n', &rest);
    auto trip = ParseTrip(line);
    if (!trip)
      return Corrupt(std::string(month.name) + ": not a trip: " + std::string(line));
    trips.push_back(*trip);
  }
  return trips;
}

}  // namespace weir::generate
