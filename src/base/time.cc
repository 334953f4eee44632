#include "base/time.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace weir {
namespace {

constexpr int64_t kDay = 86'400'000'000;
// 100 years: a double of seconds still holds every microsecond.
constexpr double kDurationMax = 36525.0 * kDay;

bool TwoDigits(const char* p, unsigned* out) {
  const unsigned a = static_cast<unsigned char>(p[0]) - '0';
  const unsigned b = static_cast<unsigned char>(p[1]) - '0';
  if (a > 9 || b > 9) return false;
  *out = a * 10 + b;
  return true;
}

unsigned DaysInMonth(unsigned year, unsigned month) {
  constexpr uint8_t kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (month == 2 && (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))) return 29;
  return kDays[month - 1];
}

// Reads YYYY-MM-DD at `p` (10 characters are there).
bool CivilDate(const char* p, int64_t* days) {
  unsigned century, rest, month, day;
  if (!TwoDigits(p, &century) || !TwoDigits(p + 2, &rest) || p[4] != '-' ||
      !TwoDigits(p + 5, &month) || p[7] != '-' || !TwoDigits(p + 8, &day)) {
    return false;
  }
  const unsigned year = century * 100 + rest;
  if (month < 1 || month > 12 || day < 1 || day > DaysInMonth(year, month)) return false;
  *days = DaysFromCivil(year, month, day);
  return true;
}

}  // namespace

Micros SystemClock::Now() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// CLOCK_BOOTTIME: a lease must not look fresh after the machine was suspended.
Micros SystemClock::Monotonic() {
  struct timespec now;
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * Micros{1'000'000} + now.tv_nsec / 1000;
}

int64_t DaysFromCivil(int64_t y, unsigned m, unsigned d) {
  // Howard Hinnant, "chrono-compatible low-level date algorithms".
  y -= m <= 2;
  const int64_t era = (y >= 0 ? y : y - 399) / 400;
  const unsigned yoe = static_cast<unsigned>(y - era * 400);
  const unsigned doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + static_cast<int64_t>(doe) - 719468;
}

void CivilFromDays(int64_t z, int64_t* year, unsigned* month, unsigned* day) {
  z += 719468;
  const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const unsigned doe = static_cast<unsigned>(z - era * 146097);
  const unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const unsigned mp = (5 * doy + 2) / 153;
  *day = doy - (153 * mp + 2) / 5 + 1;
  *month = mp < 10 ? mp + 3 : mp - 9;
  *year = static_cast<int64_t>(yoe) + era * 400 + (*month <= 2);
}

namespace {

// Leap seconds and zones lead out of the years that can be written.
std::optional<Micros> InYearsOfFourDigits(Micros time) {
  constexpr Micros kYear0 = -62'167'219'200 * 1'000'000,
                   kYear10000 = 253'402'300'800 * 1'000'000;
  return time >= kYear0 && time < kYear10000 ? std::optional(time) : std::nullopt;
}

}  // namespace

std::optional<Micros> ParseTimestamp(std::string_view text, bool* has_zone) {
  *has_zone = false;
  if (text.size() < 19) return std::nullopt;
  const char* p = text.data();
  int64_t days;
  unsigned hour, minute, second;
  if (!CivilDate(p, &days) || (p[10] != 'T' && p[10] != ' ' && p[10] != 't') ||
      !TwoDigits(p + 11, &hour) || p[13] != ':' || !TwoDigits(p + 14, &minute) ||
      p[16] != ':' || !TwoDigits(p + 17, &second)) {
    return std::nullopt;
  }
  if (hour > 23 || minute > 59 || second > 60) return std::nullopt;
  if (second == 60 && minute != 59) return std::nullopt;
  Micros time = ((days * 24 + hour) * 60 + minute) * 60'000'000 + second * 1'000'000LL;
  size_t i = 19;
  if (i < text.size() && (text[i] == '.' || text[i] == ',')) {
    const size_t first = ++i;
    Micros unit = 100'000;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i, unit /= 10) {
      time += unit * (text[i] - '0');
    }
    if (i == first) return std::nullopt;
  }
  if (i == text.size()) return InYearsOfFourDigits(time);
  if (text[i] == 'Z' || text[i] == 'z') {
    if (i + 1 != text.size()) return std::nullopt;
    *has_zone = true;
    return InYearsOfFourDigits(time);
  }
  if (text[i] != '+' && text[i] != '-') return std::nullopt;
  const int sign = text[i] == '-' ? -1 : 1;
  const size_t left = text.size() - i - 1;
  unsigned zone_hour, zone_minute = 0;
  if (left != 2 && left != 4 && left != 5) return std::nullopt;
  if (!TwoDigits(p + i + 1, &zone_hour)) return std::nullopt;
  if (left == 4 && !TwoDigits(p + i + 3, &zone_minute)) return std::nullopt;
  if (left == 5 && (p[i + 3] != ':' || !TwoDigits(p + i + 4, &zone_minute))) {
    return std::nullopt;
  }
  if (zone_hour > 18 || zone_minute > 59) return std::nullopt;
  *has_zone = true;
  const Micros offset = (static_cast<int64_t>(zone_hour) * 60 + zone_minute) * 60'000'000;
  return InYearsOfFourDigits(time - sign * offset);
}

std::string FormatTimestamp(Micros time) {
  int64_t days = time / kDay;
  int64_t rest = time % kDay;
  if (rest < 0) {
    rest += kDay;
    --days;
  }
  const int64_t seconds = rest / 1'000'000;
  const int64_t micros = rest % 1'000'000;
  std::string text =
      fmt::format("{}T{:02}:{:02}:{:02}", FormatDate(static_cast<int32_t>(days)),
                  seconds / 3600, seconds / 60 % 60, seconds % 60);
  if (micros != 0) {
    text += micros % 1000 == 0 ? fmt::format(".{:03}", micros / 1000)
                               : fmt::format(".{:06}", micros);
  }
  return text + "Z";
}

std::optional<int32_t> ParseDate(std::string_view text) {
  int64_t days;
  if (text.size() != 10 || !CivilDate(text.data(), &days)) return std::nullopt;
  return static_cast<int32_t>(days);
}

std::string FormatDate(int32_t days) {
  int64_t year;
  unsigned month, day;
  CivilFromDays(days, &year, &month, &day);
  return fmt::format("{:04}-{:02}-{:02}", year, month, day);
}

Result<Micros> ParseDuration(std::string_view text) {
  const auto wrong = [&] {
    return Invalid(fmt::format(
        "'{}' is not a duration; write ISO 8601 as in PT48H, P2D or PT30S", text));
  };
  const auto number = [](std::string_view s, size_t* i, double* out) {
    const size_t first = *i;
    double value = 0, unit = 1;
    bool fraction = false;
    for (; *i < s.size(); ++*i) {
      if (s[*i] == '.' && !fraction) {
        fraction = true;
      } else if (s[*i] >= '0' && s[*i] <= '9') {
        if (fraction) unit /= 10;
        value = fraction ? value + unit * (s[*i] - '0') : value * 10 + (s[*i] - '0');
      } else {
        break;
      }
    }
    *out = value;
    return *i > first;
  };
  const auto whole = [&](double micros) -> Result<Micros> {
    if (micros > kDurationMax)
      return Invalid(fmt::format("'{}' is longer than 100 years", text));
    return static_cast<Micros>(micros + 0.5);
  };
  double micros = 0;
  if (!text.empty() && (text[0] == 'P' || text[0] == 'p')) {
    bool in_time = false, any = false;
    for (size_t i = 1; i < text.size();) {
      if (text[i] == 'T' || text[i] == 't') {
        in_time = true;
        ++i;
        continue;
      }
      double value;
      if (!number(text, &i, &value) || i == text.size()) return wrong();
      switch (std::toupper(static_cast<unsigned char>(text[i++]))) {
        case 'W':
          micros += value * 7 * kDay;
          break;
        case 'D':
          micros += value * kDay;
          break;
        case 'H':
          micros += value * 3.6e9;
          break;
        case 'M':
          if (!in_time) return wrong();
          micros += value * 6e7;
          break;
        case 'S':
          micros += value * 1e6;
          break;
        default:
          return wrong();
      }
      any = true;
    }
    if (!any) return wrong();
    return whole(micros);
  }
  size_t i = 0;
  double value;
  if (!number(text, &i, &value)) return wrong();
  while (i < text.size() && text[i] == ' ') ++i;
  std::string unit(text.substr(i));
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (unit.size() > 1 && unit.back() == 's' && unit != "ms" && unit != "us")
    unit.pop_back();
  if (unit == "us" || unit == "microsecond") return whole(value);
  if (unit == "ms" || unit == "millisecond") return whole(value * 1e3);
  if (unit == "s" || unit == "sec" || unit == "second") return whole(value * 1e6);
  if (unit == "m" || unit == "min" || unit == "minute") return whole(value * 6e7);
  if (unit == "h" || unit == "hour") return whole(value * 3.6e9);
  if (unit == "d" || unit == "day") return whole(value * kDay);
  return wrong();
}

std::string FormatDuration(Micros duration) {
  if (duration % 3'600'000'000 == 0)
    return fmt::format("PT{}H", duration / 3'600'000'000);
  if (duration % 60'000'000 == 0) return fmt::format("PT{}M", duration / 60'000'000);
  if (duration % 1'000'000 == 0) return fmt::format("PT{}S", duration / 1'000'000);
  std::string text =
      fmt::format("{}PT{}.{:06}", duration < 0 ? "-" : "", std::abs(duration / 1'000'000),
                  std::abs(duration % 1'000'000));
  text.resize(text.find_last_not_of('0') + 1);
  return text + "S";
}

}  // namespace weir
