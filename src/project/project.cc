#include "project/project.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>
#include <set>

#include "data/type.h"
#include "sql/macros.h"
#include "sql/token.h"

namespace weir::project {
namespace {

using contract::Problem;

struct Setting {
  const char* key;
  std::function<Status(Settings&, std::string_view)> apply;
};

Result<int64_t> ParseInteger(std::string_view text, int64_t least,
                             int64_t most = std::numeric_limits<int64_t>::max()) {
  int64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least) {
    return Invalid(fmt::format("'{}' is not a whole number of at least {}", text, least));
  }
  if (value > most) return Invalid(fmt::format("'{}' is more than {}", text, most));
  return value;
}

template <class T>
std::function<Status(Settings&, std::string_view)> Integer(T Settings::*member,
                                                           int64_t least) {
  return [member, least](Settings& settings, std::string_view text) -> Status {
    settings.*member = static_cast<T>(
        WEIR_TRY(ParseInteger(text, least, std::numeric_limits<T>::max())));
    return {};
  };
}

std::function<Status(Settings&, std::string_view)> Bytes(int64_t Settings::*member) {
  return [member](Settings& settings, std::string_view text) -> Status {
    settings.*member = WEIR_TRY(ParseBytes(text));
    return {};
  };
}

std::function<Status(Settings&, std::string_view)> Duration(Micros Settings::*member,
                                                            Micros least = 0) {
  return [member, least](Settings& settings, std::string_view text) -> Status {
    const Micros value = WEIR_TRY(ParseDuration(text));
    if (value < least)
      return Invalid(fmt::format("'{}' is less than {}", text, FormatDuration(least)));
    settings.*member = value;
    return {};
  };
}

const std::vector<Setting>& AllSettings() {
  static const std::vector<Setting> all = {
      {"weir.step.rows", Integer(&Settings::step_rows, 1)},
      {"weir.step.bytes", Bytes(&Settings::step_bytes)},
      {"weir.epoch.interval", Duration(&Settings::epoch_interval)},
      {"weir.epoch.steps", Integer(&Settings::epoch_steps, 0)},
      {"weir.threads.shards", Integer(&Settings::shards, 1)},
      {"weir.memory.max", Bytes(&Settings::memory_max)},
      {"weir.partitions", Integer(&Settings::partitions, 1)},
      {"weir.record.bytes", Bytes(&Settings::record_bytes_max)},
      {"weir.file.quiet", Duration(&Settings::file_quiet)},
      {"weir.lease", Duration(&Settings::lease, 1000)},
      {"weir.table.fileBytes", Bytes(&Settings::table_file_bytes)},
  };
  return all;
}

// What weir.yml may say at its top. `storage` and `catalog` are read by Spark's runner
// too.
const std::vector<std::string> kTopKeys = {
    "name", "libraries", "storage", "catalog", "database", "configuration", "profiles"};

int LineOf(const YAML::Node& node) {
  return node.Mark().is_null() ? 0 : node.Mark().line + 1;
}

// The line, from 1, of the first byte that is not UTF-8 (RFC 3629); 0 when all is.
int LineThatIsNotUtf8(std::string_view text) {
  int line = 1;
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t at) {
      return at < text.size() ? static_cast<unsigned char>(text[at]) : 0;
    };
    const unsigned first = byte(i);
    const size_t size = first < 0x80                     ? 1
                        : first >= 0xc2 && first <= 0xdf ? 2
                        : first >= 0xe0 && first <= 0xef ? 3
                        : first >= 0xf0 && first <= 0xf4 ? 4
                                                         : 0;
    bool valid = size > 0;
    for (size_t k = 1; k < size; ++k) valid = valid && (byte(i + k) & 0xc0) == 0x80;
    const unsigned second = byte(i + 1);
    // Longer than need be, surrogates, beyond U+10FFFF.
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
      valid = false;
    if (!valid) return line;
    if (first == '\n') ++line;
    i += size;
  }
  return 0;
}

class Loader {
 public:
  Loader(io::Io& io, std::string dir, std::vector<Problem>* problems)
      : io_(io), dir_(std::move(dir)), problems_(problems) {}

  std::optional<Project> Load(const ProjectOptions& options) {
    const size_t before = problems_->size();
    project_.dir = dir_;
    const std::string file = io::Join(dir_, "weir.yml");
    if (!io_.Exists(file)) {
      Add("weir.yml", 0, fmt::format("no weir.yml in {}", dir_),
          "run `weir init DIR` to make a project, or point --project at one");
      return std::nullopt;
    }
    const auto text = ReadText("weir.yml");
    if (!text) return std::nullopt;
    ReadSettings(*text, options);
    for (const auto& [key, value] : options.overrides) {
      if (Status s = ApplySetting(project_.settings, key, value); !s.ok()) {
        Add("--set", 0, fmt::format("{}={}: {}", key, value, s.error().message), "");
      }
    }
    ReadContracts();
    ReadModels("functions");
    ReadModels("models");
    ParseModels();
    if (problems_->size() > before) return std::nullopt;
    return std::move(project_);
  }

 private:
  void Add(std::string file, int line, std::string message, std::string fix) {
    problems_->push_back({std::move(file), line, std::move(message), std::move(fix)});
  }

  // nullopt: there is no such folder, which is no fault, or it was told.
  std::optional<std::vector<std::string>> ListFolder(const std::string& folder) {
    auto names = io_.List(io::Join(dir_, folder));
    if (names.ok()) return *std::move(names);
    if (names.error().code != Code::kNotFound)
      Add(folder, 0, names.error().message, "make it a folder that this user may read");
    return std::nullopt;
  }

  std::optional<std::string> ReadText(const std::string& file) {
    auto text = io_.ReadAll(io::Join(dir_, file));
    if (!text.ok()) {
      Add(file, 0, text.error().message, "put a readable file there");
      return std::nullopt;
    }
    if (const int line = LineThatIsNotUtf8(*text); line > 0) {
      Add(file, line, "the text is not UTF-8", "save the file as UTF-8");
      return std::nullopt;
    }
    return *std::move(text);
  }

  // yaml-cpp keeps both and finds the first: whoever wrote the second would wonder.
  void DistinctKeys(const YAML::Node& node, int depth_left = 100) {
    if (!node.IsMap() || depth_left == 0) return;  // an alias may contain itself
    std::set<std::string> keys;
    for (const auto& entry : node) {
      const std::string key = entry.first.as<std::string>("");
      if (!keys.insert(key).second)
        Add("weir.yml", LineOf(entry.first),
            fmt::format("the key '{}' stands twice", key), "keep one of the two");
      DistinctKeys(entry.second, depth_left - 1);
    }
  }

  void ReadSettings(const std::string& text, const ProjectOptions& options) {
    YAML::Node root;
    try {
      root = YAML::Load(text);
    } catch (const YAML::Exception& e) {
      Add("weir.yml", e.mark.line + 1, "not valid YAML: " + e.msg,
          text.find('\t') != std::string::npos ? "indent with blanks, YAML allows no tabs"
                                               : "");
      return;
    }
    if (!root.IsMap()) {
      Add("weir.yml", 1, "not a mapping of keys", "begin with `name: my_project`");
      return;
    }
    DistinctKeys(root);
    for (const auto& entry : root) {
      const std::string key = entry.first.as<std::string>("");
      if (std::find(kTopKeys.begin(), kTopKeys.end(), key) == kTopKeys.end()) {
        const auto near = DidYouMean(key, kTopKeys);
        Add("weir.yml", LineOf(entry.first), fmt::format("unknown key '{}'", key),
            near ? fmt::format("did you mean '{}'?", *near)
                 : fmt::format("known keys: {}", fmt::join(kTopKeys, ", ")));
      }
    }
    project_.name = root["name"] ? root["name"].as<std::string>("") : "";
    if (project_.name.empty()) {
      Add("weir.yml", 0, "the project has no name", "add `name: my_project`");
    }
    Configure(root["configuration"]);
    if (options.profile.empty()) return;
    const YAML::Node profile = root["profiles"] && root["profiles"].IsMap()
                                   ? root["profiles"][options.profile]
                                   : YAML::Node();
    if (!profile || !profile.IsMap()) {
      Add("weir.yml", 0, fmt::format("no profile '{}'", options.profile),
          "add it under `profiles:`, or leave --profile away");
      return;
    }
    Configure(profile["configuration"]);
  }

  void Configure(const YAML::Node& node) {
    if (!node) return;
    if (!node.IsMap()) {
      Add("weir.yml", LineOf(node), "configuration is not a mapping",
          "write `key: value` lines");
      return;
    }
    for (const auto& entry : node) {
      const std::string key = entry.first.as<std::string>("");
      const std::string value = entry.second.as<std::string>("");
      if (Status s = ApplySetting(project_.settings, key, value); !s.ok()) {
        Add("weir.yml", LineOf(entry.first),
            fmt::format("{}: {}", key, s.error().message), "");
      }
    }
  }

  void ReadContracts() {
    const auto names = ListFolder("contracts");
    if (!names) return;
    std::map<std::string, std::string> files;
    for (const std::string& name : *names) {
      if (!name.ends_with(".yaml") && !name.ends_with(".yml")) continue;
      const std::string file = "contracts/" + name;
      const auto text = ReadText(file);
      if (!text) continue;
      auto contract = contract::ParseContract(file, *text, problems_);
      if (!contract) continue;
      const auto [it, inserted] = files.emplace(data::LowerName(contract->name), file);
      if (!inserted) {
        Add(file, 0,
            fmt::format("{} declares the source '{}' too", it->second, contract->name),
            "give one of them another name");
        continue;
      }
      project_.contracts.push_back(*std::move(contract));
    }
  }

  void ReadModels(const std::string& folder) {
    const auto names = ListFolder(folder);
    if (!names) return;
    for (const std::string& name : *names) {
      const std::string file = io::Join(folder, name);
      const auto info = io_.Stat(io::Join(dir_, file));
      if (info.ok() && info->is_dir) {
        ReadModels(file);
        continue;
      }
      if (!name.ends_with(".sql")) continue;
      const auto text = ReadText(file);
      if (!text) continue;
      sql_.push_back({file, *text});
    }
  }

  void ParseModels() {
    std::vector<sql::FileProblem> found;
    project_.models = sql::ParseModels(sql_, &found);
    for (sql::FileProblem& fault : found) {
      Add(fault.file, fault.problem.place.line, fault.problem.message, fault.problem.fix);
    }
    std::map<std::string, const sql::Model*> by_name;
    if (!project_.models.empty() && project_.models[0].macros != nullptr) {
      for (const auto& [name, macro] : project_.models[0].macros->all()) {
        const sql::SourceText& source = *macro.source;
        if (source.file.starts_with("functions/")) continue;
        Add(source.file, sql::PlaceOf(source.text, macro.begin).line,
            fmt::format("the macro {} is among models", name),
            "put it into a file of functions/");
      }
    }
    for (const sql::Model& model : project_.models) {
      if (model.file.starts_with("functions/")) {
        Add(model.file, sql::PlaceOf(model.text, model.begin).line,
            fmt::format("{} is among functions", model.name),
            "functions/ is for CREATE MACRO: put it into a file of models/");
      }
      const auto [other, inserted] = by_name.emplace(model.name, &model);
      if (inserted) continue;
      Add(model.file, sql::PlaceOf(model.text, model.begin).line,
          fmt::format("{} defines {} too", other->second->file, model.name),
          "rename one");
    }
  }

  io::Io& io_;
  const std::string dir_;
  std::vector<Problem>* problems_;
  std::vector<sql::SourceText> sql_;
  Project project_;
};

}  // namespace

std::optional<Project> LoadProject(io::Io& io, const std::string& dir,
                                   const ProjectOptions& options,
                                   std::vector<Problem>* problems) {
  return Loader(io, dir, problems).Load(options);
}

Status ApplySetting(Settings& settings, std::string_view key, std::string_view value) {
  std::vector<std::string> keys;
  for (const Setting& setting : AllSettings()) {
    if (setting.key == key) return setting.apply(settings, value);
    keys.push_back(setting.key);
  }
  const auto near = DidYouMean(key, keys);
  return Invalid(
      near ? fmt::format("no such setting; did you mean {}?", *near)
           : fmt::format("no such setting; there are {}", fmt::join(keys, ", ")));
}

Result<int64_t> ParseBytes(std::string_view text) {
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  const std::string unit = data::LowerName(text.substr(digits));
  int shift = -1;
  if (unit.empty() || unit == "b") shift = 0;
  if (unit == "k" || unit == "kb" || unit == "kib") shift = 10;
  if (unit == "m" || unit == "mb" || unit == "mib") shift = 20;
  if (unit == "g" || unit == "gb" || unit == "gib") shift = 30;
  auto number = ParseInteger(text.substr(0, digits), 1);
  if (digits == 0 || shift < 0 || !number.ok()) {
    return Invalid(fmt::format("'{}' is not a size; write 64KB, 16MB or 2GB", text));
  }
  if (*number > std::numeric_limits<int64_t>::max() >> shift)
    return Invalid(fmt::format("'{}' is more bytes than can be counted", text));
  return *number << shift;
}

std::optional<std::string> DidYouMean(std::string_view word,
                                      const std::vector<std::string>& candidates) {
  const std::string from = data::LowerName(word);
  std::optional<std::string> best;
  size_t best_distance = std::max<size_t>(1, from.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::string to = data::LowerName(candidate);
    std::vector<size_t> row(to.size() + 1);  // Levenshtein, one row at a time
    for (size_t j = 0; j <= to.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= from.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= to.size(); ++j) {
        const size_t substituted = diagonal + (from[i - 1] != to[j - 1]);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace weir::project
