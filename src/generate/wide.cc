// The fields that make an event wide.
#include <fmt/format.h>

#include "base/check.h"
#include "generate/rides_internal.h"

namespace weir::generate {
namespace {

constexpr size_t kTraceBytes = 32 << 20;  // far more than a Parquet page holds of them

constexpr std::string_view kAppVersions[] = {"5.14.2", "5.14.1", "5.13.0", "5.12.7",
                                             "5.9.3"};
constexpr std::string_view kModels[] = {"iPhone14,5",   "iPhone12,1", "iPhone10,4",
                                        "SM-G991U",     "SM-A515F",   "Pixel 6",
                                        "moto g power", "CPH2211"};
constexpr std::string_view kCarriers[] = {"Verizon", "AT&T", "T-Mobile", "Mint", "WiFi"};
constexpr std::string_view kNetworks[] = {"LTE", "5G", "WIFI", "3G"};
constexpr std::string_view kLocales[] = {"en-US", "es-US", "fr-FR", "zh-CN", "ru-RU"};
constexpr std::string_view kExperiments[] = {
    "pricing-v3:b,eta-model:treatment,map-tiles:control,pool-upsell:a,new-receipt:on",
    "pricing-v3:a,eta-model:treatment,map-tiles:control,pool-upsell:b,new-receipt:on",
    "pricing-v3:b,eta-model:control,map-tiles:vector,pool-upsell:a,new-receipt:off"};
constexpr std::string_view kFlags =
    "safety_toolkit=1;split_fare=1;quiet_mode=0;scheduled=1;green_only=0;tip_prompt=2;"
    "wait_time_fee=1;dest_change=1;multi_stop=1;audio_recording=0;pin_verify=1;rewards=3";

template <size_t N>
std::string_view Pick(const std::string_view (&from)[N], uint64_t by) {
  return from[by % N];
}

void AppendMember(std::string_view name, std::string_view value, std::string* out) {
  out->append(",\"").append(name).append("\":\"").append(value).append("\"");
}

void AppendHex(std::string_view name, Dice dice, int digits, std::string* out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out->append(",\"").append(name).append("\":\"");
  uint64_t bits = 0;
  for (int i = 0; i < digits; ++i, bits >>= 4) {
    if (i % 16 == 0) bits = dice.Next();
    out->push_back(kDigits[bits & 15]);
  }
  out->push_back('"');
}

}  // namespace

WideFields::WideFields(uint64_t seed, int bytes)
    : bytes_(static_cast<size_t>(bytes)), seed_(seed) {
  WEIR_CHECK(bytes >= kWideBytesMin && bytes <= kWideBytesMax);
  // Google's encoded polyline: characters from '?' on, steps of a moving car being short.
  // The backslash is part of that alphabet and is left out, JSON would escape it.
  traces_.resize(kTraceBytes + static_cast<size_t>(bytes));
  Dice dice(seed ^ 0x706f6c79);
  uint64_t bits = 0;
  for (size_t i = 0; i < traces_.size(); ++i, bits >>= 5) {
    if (i % 12 == 0) bits = dice.Next();
    traces_[i] = static_cast<char>((i % 3 == 0 ? 'b' : '?') + (bits & 15));
  }
}

void WideFields::Append(const Ride& ride, uint8_t kind, size_t start,
                        std::string* out) const {
  const auto rider = static_cast<uint64_t>(ride.rider);
  const uint64_t event_id = seed_ ^ (static_cast<uint64_t>(ride.month) << 48 |
                                     static_cast<uint64_t>(ride.number) << 8 | kind);
  const std::string_view version = Pick(kAppVersions, rider),
                         model = Pick(kModels, rider / 5);
  const bool ios = model.starts_with("iPhone");
  Dice event(Dice(event_id).Next()), of_ride(Dice(event_id >> 8 << 8 | 0xff).Next());
  AppendMember("app_version", version, out);
  AppendMember("app_build", fmt::format("{}.{}", version, 4100 + rider % 7), out);
  AppendMember("platform", ios ? "ios" : "android", out);
  AppendMember("os_version", ios ? "16.3.1" : "13", out);
  AppendMember("device_model", model, out);
  AppendHex("device_id", Dice(rider), 32, out);
  AppendHex("session_id", of_ride, 32, out);
  AppendHex("request_id", event, 32, out);
  AppendHex("trace_parent", Dice(event.Next()), 48, out);
  AppendMember("locale", Pick(kLocales, rider), out);
  AppendMember("timezone", "America/New_York", out);
  AppendMember("carrier", Pick(kCarriers, rider / 3), out);
  AppendMember("network_type", Pick(kNetworks, event.Next()), out);
  AppendMember("battery_level", fmt::format("0.{:02}", event.Between(3, 99)), out);
  AppendMember("screen", ios ? "1170x2532@3" : "1080x2400@2.6", out);
  AppendMember("user_agent",
               fmt::format("RidesApp/{} ({}; {}; Scale/3.00) Network/1404.0.5", version,
                           model, ios ? "iOS 16.3.1" : "Android 13"),
               out);
  AppendMember("gateway_region", "us-east-1b", out);
  AppendMember("service_area", "nyc-metro", out);
  AppendMember("experiments", Pick(kExperiments, rider / 7), out);
  AppendMember("feature_flags", kFlags, out);
  AppendHex("push_token", Dice(~rider), 152, out);
  AppendMember("gps_accuracy",
               fmt::format("{}.{}", event.Between(3, 40), event.Between(0, 9)), out);
  AppendMember("clock_skew_ms", fmt::format("{}", event.Between(-900, 900)), out);
  static constexpr std::string_view kTrace = ",\"gps_trace\":\"";
  const size_t used = out->size() - start + kTrace.size() + 2;
  const size_t trace = bytes_ > used ? bytes_ - used : 0;
  out->append(kTrace);
  out->append(traces_, event.Next() % kTraceBytes, trace);
  out->push_back('"');
}

}  // namespace weir::generate
