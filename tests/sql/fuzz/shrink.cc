// Cuts a failing project down as long as it fails.
#include <chrono>

#include "history.h"

namespace weir::sqltest {
namespace {

class Shrinker {
 public:
  Shrinker(Failing failing, double seconds)
      : best_(std::move(failing)),
        end_(std::chrono::steady_clock::now() +
             std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000))) {}

  Failing Run() {
    OnlyNeededModels();
    for (bool again = true; again && !Over();) {
      again = Steps();
      again |= Rows();
      again |= Queries();
      again |= Models();
      again |= Settings();
      again |= Columns();
    }
    return std::move(best_);
  }

 private:
  bool Over() const { return std::chrono::steady_clock::now() > end_; }

  // Takes over `smaller` if it fails, too.
  bool Try(Failing smaller) {
    if (Over()) return false;
    const Case c = ToCase(smaller.project, smaller.history);
    const Planned planned = PlanCase(c);
    if (!planned.plan) return false;
    for (const auto& model : planned.plan->models) {
      if (model.kind == plan::BlockKind::kFullRefresh) return false;
    }
    auto oracle = Oracle::Open(*planned.plan, 1);
    if (!oracle.ok()) return false;
    const auto played = Play(c, *planned.plan, **oracle, smaller.history);
    if (!played.ok() || !played->wrong || played->dropped > 0) return false;
    smaller.wrong = *played->wrong;
    best_ = std::move(smaller);
    return true;
  }

  void OnlyNeededModels() {
    for (size_t i = best_.project.models.size(); i-- > 0;) {
      Failing smaller = best_;
      auto& models = smaller.project.models;
      models.erase(models.begin() + static_cast<int64_t>(i));
      if (!models.empty()) Try(std::move(smaller));
    }
  }

  bool Models() {
    const size_t before = best_.project.models.size();
    OnlyNeededModels();
    return best_.project.models.size() < before;
  }

  bool Steps() {
    bool any = false;
    for (size_t i = best_.history.steps.size(); i-- > 0;) {  // the last history alone
      if (!best_.history.steps[i].ends || i >= best_.wrong.step) continue;
      Failing smaller = best_;
      auto& steps = smaller.history.steps;
      steps.erase(steps.begin(), steps.begin() + static_cast<int64_t>(i) + 1);
      if (!Try(std::move(smaller))) continue;
      any = true;
      break;
    }
    if (best_.wrong.step + 1 < best_.history.steps.size()) {
      Failing smaller = best_;
      smaller.history.steps.resize(best_.wrong.step + 1);
      any |= Try(std::move(smaller));
    }
    for (size_t i = best_.history.steps.size(); i-- > 0;) {
      if (i >= best_.history.steps.size()) continue;
      Failing smaller = best_;
      auto& steps = smaller.history.steps;
      steps.erase(steps.begin() + static_cast<int64_t>(i));
      if (Try(std::move(smaller))) {
        any = true;
        continue;
      }
      if (i + 1 < best_.history.steps.size()) {  // as one with the next
        smaller = best_;
        auto& all = smaller.history.steps;
        all[i].after = all[i + 1].after;
        if (all[i + 1].watermark) all[i].watermark = all[i + 1].watermark;
        all[i].feeds.insert(all[i].feeds.end(), all[i + 1].feeds.begin(),
                            all[i + 1].feeds.end());
        all.erase(all.begin() + static_cast<int64_t>(i) + 1);
        any |= Try(std::move(smaller));
      }
    }
    return any;
  }

  // A row's insert goes with its delete: taking one away alone would make a weight
  // negative.
  bool Rows() {
    bool any = false;
    for (size_t chunk = 64; chunk > 0; chunk /= 4) {
      for (size_t s = 0; s < best_.history.steps.size(); ++s) {
        for (size_t f = 0; f < best_.history.steps[s].feeds.size(); ++f) {
          for (size_t r = 0; s < best_.history.steps.size() &&
                             f < best_.history.steps[s].feeds.size() &&
                             r < best_.history.steps[s].feeds[f].rows.size();) {
            if (Over()) return any;
            Failing smaller = best_;
            auto& rows = smaller.history.steps[s].feeds[f].rows;
            const std::string table = smaller.history.steps[s].feeds[f].table;
            const size_t end = std::min(r + chunk, rows.size());
            std::vector<std::string> inserted;
            for (size_t i = r; i < end; ++i) {
              if (rows[i].text.starts_with('+'))
                inserted.push_back(rows[i].text.substr(1));
            }
            rows.erase(rows.begin() + static_cast<int64_t>(r),
                       rows.begin() + static_cast<int64_t>(end));
            for (const std::string& text : inserted)
              EraseDelete(table, "-" + text, s, &smaller.history);
            if (Try(std::move(smaller))) {
              any = true;
            } else {
              r += chunk;
            }
          }
        }
      }
    }
    return any;
  }

  static void EraseDelete(const std::string& table, const std::string& text, size_t from,
                          History* history) {
    for (size_t s = from; s < history->steps.size(); ++s) {
      for (Feed& feed : history->steps[s].feeds) {
        if (feed.table != table) continue;
        const auto found =
            std::find_if(feed.rows.begin(), feed.rows.end(),
                         [&](const RowLine& line) { return line.text == text; });
        if (found == feed.rows.end()) continue;
        feed.rows.erase(found);
        return;
      }
    }
  }

  bool Queries() {
    bool any = false;
    for (size_t m = 0; m < best_.project.models.size(); ++m) {
      for (bool again = true; again && !Over();) {
        again = false;
        if (!best_.project.models[m].cdc.empty()) break;
        for (Query& query : Simpler(best_.project.models[m].query)) {
          Failing smaller = best_;
          smaller.project.models[m].query = std::move(query);
          if (!Try(std::move(smaller))) continue;
          any = again = true;
          break;
        }
      }
    }
    return any;
  }

  bool Settings() {
    bool any = false;
    if (best_.history.shards > 1) {
      Failing smaller = best_;
      smaller.history.shards = 1;
      any |= Try(std::move(smaller));
    }
    if (best_.history.memory_max < 64 << 20) {
      Failing smaller = best_;
      smaller.history.memory_max = 64 << 20;
      any |= Try(std::move(smaller));
    }
    for (size_t i = 0; i < best_.history.steps.size(); ++i) {
      for (const After after : {After::kNothing, After::kCommit, After::kCrash}) {
        if (best_.history.steps[i].after <= after) continue;
        Failing smaller = best_;
        smaller.history.steps[i].after = after;
        if (!Try(std::move(smaller))) continue;
        any = true;
        break;
      }
    }
    return any;
  }

  // Tables nobody reads, and columns of the others.
  bool Columns() {
    bool any = false;
    for (size_t t = best_.project.tables.size(); t-- > 0;) {
      if (best_.project.tables.size() == 1) break;
      Failing smaller = best_;
      const std::string name = smaller.project.tables[t].name;
      smaller.project.tables.erase(smaller.project.tables.begin() +
                                   static_cast<int64_t>(t));
      for (HistoryStep& step : smaller.history.steps)
        std::erase_if(step.feeds, [&](const Feed& f) { return f.table == name; });
      any |= Try(std::move(smaller));
    }
    for (size_t t = 0; t < best_.project.tables.size(); ++t) {
      for (size_t column = best_.project.tables[t].schema.fields.size(); column-- > 1;) {
        Failing smaller = best_;
        if (!EraseColumn(t, column, &smaller)) continue;
        any |= Try(std::move(smaller));
      }
    }
    return any;
  }

  static bool EraseColumn(size_t t, size_t column, Failing* failing) {
    plan::InputTable& table = failing->project.tables[t];
    const std::string name = table.schema.fields[column].name;
    if (std::find(table.key.begin(), table.key.end(), name) != table.key.end() ||
        std::find(table.order.begin(), table.order.end(), name) != table.order.end())
      return false;
    data::Schema schema = table.schema;
    table.schema.fields.erase(table.schema.fields.begin() + static_cast<int64_t>(column));
    for (HistoryStep& step : failing->history.steps) {
      for (Feed& feed : step.feeds) {
        if (feed.table != table.name) continue;
        const auto rows = ParseRows(schema, feed.rows, true);
        if (!rows.ok()) return false;
        std::vector<int> kept;
        for (size_t i = 0; i < schema.fields.size(); ++i) {
          if (i != column) kept.push_back(static_cast<int>(i));
        }
        const auto texts =
            RowTexts(table.schema, data::SelectColumns(*rows, kept), WeightText::kSign);
        for (size_t i = 0; i < texts.size(); ++i) feed.rows[i].text = texts[i];
      }
    }
    return true;
  }

  Failing best_;
  const std::chrono::steady_clock::time_point end_;
};

}  // namespace

Failing Shrink(Failing failing, double seconds) {
  return Shrinker(std::move(failing), seconds).Run();
}

}  // namespace weir::sqltest
