// decode → contract → verdict → rows: the part of a record's life that all sources share.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contract/contract.h"
#include "ingest/judged.h"
#include "ingest/verdict.h"

namespace weir::ingest {

// Records after the contract looked at them; one entry a record, in the order given.
struct Checked {
  std::vector<std::string_view> records;
  codec::DecodedRows decoded;
  std::vector<contract::Rejection> rejections;  // ordered by row
  std::vector<uint8_t> rejected;
  std::vector<Hash128> identity;  // empty when the source has none
  std::vector<uint64_t> content;
  std::vector<Micros> event_time;

  Evidence evidence() const { return {rejected, identity, content, event_time}; }
};

// The rule of a source; `live`: its records come as they are made.
VerdictRule RuleOf(const contract::Contract& contract, bool live);

// Used by one thread.
class Pipeline {
 public:
  // With `csv` the records are of that, else JSON.
  static Result<std::unique_ptr<Pipeline>> New(const contract::Contract& contract,
                                               int64_t record_bytes_max,
                                               const codec::CsvDialect* csv = nullptr);

  // `columns`: of CSV.
  Result<Checked> Check(std::span<const std::string_view> records,
                        const codec::CsvColumns* columns = nullptr);

  // The log partition of each record: crc32 of the partition key's text (of the raw bytes
  // where there is no key), modulo `partitions`.
  Result<std::vector<int>> Route(const Checked& checked, int partitions) const;

  // Makes table rows of the judged records `rows` (in log order); rows[i] has offset
  // first + i, and arrived at received_at[i] (or all at the only one there is). Fills
  // batches and counts; `received` and `after` stay the caller's.
  Result<JudgedBatch> Build(const Checked& checked, std::span<const int32_t> rows,
                            std::span<const log::Verdict> verdicts, int partition,
                            LogOffset first, std::span<const Micros> received_at) const;
  Result<JudgedBatch> Build(const Checked& checked, std::span<const int32_t> rows,
                            std::span<const log::Verdict> verdicts, int partition,
                            LogOffset first, Micros received_at) const {
    return Build(checked, rows, verdicts, partition, first, std::span(&received_at, 1));
  }

  const SourceTables& tables() const { return tables_; }
  VerdictRule rule(bool live) const { return RuleOf(*contract_, live); }

 private:
  Pipeline() = default;

  const contract::Contract* contract_ = nullptr;
  SourceTables tables_;
  std::unique_ptr<codec::JsonDecoder> decoder_;  // or csv_
  std::unique_ptr<codec::CsvDecoder> csv_;
  std::unique_ptr<contract::Checker> checker_;
  std::vector<int> identity_columns_, key_columns_;
  int event_time_column_ = -1;
};

}  // namespace weir::ingest
