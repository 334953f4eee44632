#include "flow/frontier.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace weir::flow {
namespace {

using nlohmann::json;

constexpr const char* kReasonNames[] = {
    "not_json",     "not_csv",       "too_large",    "missing_field",
    "wrong_type",   "unknown_value", "out_of_range", "pattern_mismatch",
    "wrong_length", "duplicate_key"};
static_assert(std::size(kReasonNames) == ingest::kReasons);

json TimeJson(Micros time) { return time == kNoTime ? json(nullptr) : json(time); }
Micros TimeOf(const json& value) {
  return value.is_null() ? kNoTime : IntegerOf<Micros>(value);
}

ingest::FileProgress ProgressOf(const json& p) {
  return {IntegerOf<int64_t>(p.at(0)),
          IntegerOf<int64_t>(p.at(1)),
          IntegerOf<int64_t>(p.at(2)),
          IntegerOf<int64_t>(p.at(3)),
          IntegerOf<int64_t>(p.at(4)),
          TimeOf(p.at(5)),
          TimeOf(p.at(6))};
}

}  // namespace

std::string FrontierJson(const Frontier& frontier) {
  json sources = json::object();
  for (const auto& [source, partitions] : frontier.sources) {
    json list = json::array();
    for (const auto& [number, p] : partitions) {
      list.push_back({{"partition", p.partition},
                      {"next", p.next.value},
                      {"watermark", TimeJson(p.watermark)},
                      {"file", p.file},
                      {"byte", p.file_byte},
                      {"idle", p.idle}});
      if (!p.content.empty()) list.back()["content"] = p.content;
      if (const ingest::FileProgress& f = p.progress; f.rows > 0) {
        list.back()["progress"] = {f.rows,
                                   f.accepted,
                                   f.rejected,
                                   f.duplicate,
                                   f.late,
                                   TimeJson(f.first_event),
                                   TimeJson(f.last_event)};
      }
    }
    sources[source] = std::move(list);
  }
  return json{{"version", 1},
              {"sources", std::move(sources)},
              {"watermark", TimeJson(frontier.watermark)},
              {"marker", frontier.marker},
              {"steps", frontier.steps}}
      .dump();
}

Result<Frontier> ParseFrontier(std::string_view text) {
  const json root = ParseJson(text);
  Frontier out;
  try {
    if (!root.is_object() || IntegerOr(root, "version", 0) != 1)
      return Corrupt("the lane's frontier is not one this Weir wrote");
    out.watermark = TimeOf(root.at("watermark"));
    out.marker = IntegerOf<int64_t>(root.at("marker"));
    out.steps = IntegerOf<int64_t>(root.at("steps"));
    for (const auto& [source, list] : root.at("sources").items()) {
      for (const json& p : list) {
        ingest::PartitionPosition position;
        position.partition = IntegerOf<int>(p.at("partition"));
        position.next = {IntegerOf<int64_t>(p.at("next"))};
        position.watermark = TimeOf(p.at("watermark"));
        position.file = IntegerOf<int64_t>(p.at("file"));
        position.file_byte = IntegerOf<uint64_t>(p.at("byte"));
        position.idle = p.at("idle").get<bool>();
        position.content = p.value("content", std::string());
        if (p.contains("progress")) position.progress = ProgressOf(p.at("progress"));
        out.sources[source][position.partition] = position;
      }
    }
  } catch (const json::exception& e) {
    return Corrupt(std::string("the lane's frontier: ") + e.what());
  }
  return out;
}

std::string FrontierSummary(const Frontier& frontier) {
  json out = json::object();
  for (const auto& [source, partitions] : frontier.sources) {
    for (const auto& [number, p] : partitions)
      out[source + "/" + std::to_string(number)] = p.next.value;
  }
  if (frontier.watermark != kNoTime)
    out["watermark"] = FormatTimestamp(frontier.watermark);
  return out.dump();
}

Micros SummaryWatermark(std::string_view summary) {
  const json parsed = json::parse(summary, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("watermark") ||
      !parsed["watermark"].is_string())
    return kNoTime;
  bool has_zone = false;
  return ParseTimestamp(parsed["watermark"].get<std::string>(), &has_zone)
      .value_or(kNoTime);
}

void BrokenFiles::Add(ingest::FileFault fault) {
  ++count;
  if (newest.size() == kNamedMax) newest.erase(newest.begin());
  newest.push_back(std::move(fault));
}

std::string LedgerJson(const std::string& source, const ingest::Counts& counts,
                       const BrokenFiles& broken, std::optional<int64_t> rows) {
  json reasons = json::object();
  for (size_t i = 0; i < ingest::kReasons; ++i) {
    if (counts.rejected_by_reason[i] != 0)
      reasons[kReasonNames[i]] = counts.rejected_by_reason[i];
  }
  json line{{"source", source},
            {"received", counts.received},
            {"accepted", counts.accepted},
            {"rejected", counts.rejected},
            {"duplicate", counts.duplicate},
            {"conflicting", counts.conflicting},
            {"late", counts.late},
            {"blocked", counts.blocked},
            {"rejected_by_reason", std::move(reasons)}};
  if (rows) line["rows"] = *rows;
  if (broken.count > 0) {
    json files = json::array();
    for (const ingest::FileFault& fault : broken.newest) {
      files.push_back({{"path", fault.path},
                       {"error", fault.error},
                       {"fix", fault.fix},
                       {"bytes_taken", fault.bytes_taken}});
    }
    line["broken_files"] = broken.count;
    line["newest_broken_files"] = std::move(files);
  }
  return line.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<BrokenFiles> ParseBrokenFiles(std::string_view text) {
  const json root = json::parse(text, nullptr, false);
  if (!root.is_object()) return Corrupt("a ledger line is not JSON");
  BrokenFiles out;
  out.count = root.value("broken_files", int64_t{0});
  for (const json& file : root.value("newest_broken_files", json::array())) {
    out.newest.push_back({file.value("path", ""), file.value("error", ""),
                          file.value("fix", ""), file.value("bytes_taken", int64_t{0}),
                          true});
  }
  return out;
}

int64_t ParseReferenceRows(std::string_view text) {
  const json root = json::parse(text, nullptr, false);
  const bool there =
      root.is_object() && root.contains("rows") && root["rows"].is_number_integer();
  return there ? root["rows"].get<int64_t>() : 0;
}

Result<ingest::Counts> ParseLedger(std::string_view text) {
  const json root = ParseJson(text);
  if (!root.is_object()) return Corrupt("a ledger line is not JSON");
  ingest::Counts counts;
  try {
    counts.received = IntegerOr(root, "received", int64_t{0});
    counts.accepted = IntegerOr(root, "accepted", int64_t{0});
    counts.rejected = IntegerOr(root, "rejected", int64_t{0});
    counts.duplicate = IntegerOr(root, "duplicate", int64_t{0});
    counts.conflicting = IntegerOr(root, "conflicting", int64_t{0});
    counts.late = IntegerOr(root, "late", int64_t{0});
    counts.blocked = IntegerOr(root, "blocked", int64_t{0});
    const json reasons = root.value("rejected_by_reason", json::object());
    for (size_t i = 0; i < ingest::kReasons; ++i)
      counts.rejected_by_reason[i] = IntegerOr(reasons, kReasonNames[i], int64_t{0});
  } catch (const json::exception& e) {
    return Corrupt(std::string("a ledger line: ") + e.what());
  }
  return counts;
}

void Watermarks::Update(const std::string& source,
                        const ingest::PartitionPosition& position) {
  // What came before a partition went idle counts; then it holds nobody back.
  One& one = partitions_[{source, position.partition}];
  one = {position.watermark, position.watermark == kNoTime && position.idle};
  Advance();
  one.idle = position.idle;
  Advance();
}

void Watermarks::Advance() {
  Micros least = std::numeric_limits<Micros>::max();
  bool active = false;
  for (const auto& [key, one] : partitions_) {
    if (one.idle) continue;
    active = true;
    least = std::min(least, one.watermark);
  }
  if (active) global_ = std::max(global_, least);
}

void Watermarks::Restore(const Frontier& frontier) {
  for (const auto& [source, partitions] : frontier.sources) {
    for (const auto& [number, position] : partitions)
      partitions_[{source, number}] = {position.watermark, position.idle};
  }
  global_ = frontier.watermark;
}

}  // namespace weir::flow
