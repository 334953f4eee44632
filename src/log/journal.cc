#include "log/journal.h"

#include "log/log.h"

namespace weir::log {
namespace {

// A log whose records are entries: KIND 0x00 JSON. Entry n stands at offset n - 1.
class LogJournal final : public Journal {
 public:
  explicit LogJournal(std::unique_ptr<Log> log) : log_(std::move(log)) {}

  Result<int64_t> Append(std::string_view kind, std::string_view json) override {
    if (kind.empty() || kind.find('\0') != std::string_view::npos) {
      return Invalid("a journal entry needs a kind without NUL");
    }
    entry_.assign(kind);
    entry_ += '\0';
    entry_ += json;
    const Record record{.bytes = entry_};
    return Next(WEIR_TRY(log_->Append(0, std::span(&record, 1)))).value;
  }

  Status Sync() override { return log_->Sync(); }
  int64_t last() const override { return log_->end().value; }

  Status Read(int64_t from, const std::function<Status(const Entry&)>& visit) override {
    if (from < 1) return Invalid("journal entries are counted from 1");
    return log_->Read({from - 1},
                      {.batch = [&](const RecordBatchView& batch) -> Result<bool> {
                        for (size_t i = 0; i < batch.records.size(); ++i) {
                          const std::string_view bytes = batch.records[i].bytes;
                          const size_t nul = bytes.find('\0');
                          if (nul == std::string_view::npos)
                            return Corrupt("a journal entry has no kind");
                          WEIR_TRY(visit({batch.first.value + static_cast<int64_t>(i) + 1,
                                          std::string(bytes.substr(0, nul)),
                                          std::string(bytes.substr(nul + 1))}));
                        }
                        return true;
                      }});
  }

 private:
  const std::unique_ptr<Log> log_;
  std::string entry_;
};

}  // namespace

Result<std::unique_ptr<Journal>> Journal::Open(io::Io& io, const std::string& dir,
                                               int64_t owner) {
  auto log = Log::Open(io, dir, {.segment_bytes_max = 16 << 20, .owner = owner});
  if (!log.ok()) return std::move(log).error().Within("journal");
  return std::unique_ptr<Journal>(std::make_unique<LogJournal>(*std::move(log)));
}

}  // namespace weir::log
