// A contract (Open Data Contract Standard v3.1/3.2) is the declaration of a source.
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "codec/csv.h"
#include "codec/json.h"
#include "data/type.h"

namespace weir::contract {

// A fault in a project file, as `weir check` prints it: "contracts/x.yaml:12: lateness …;
// write …".
struct Problem {
  std::string file;
  int line = 0;  // from 1; 0: the whole file
  std::string message;
  std::string fix;
};

struct Condition {  // of one field, by its dotted path
  std::string path;
  bool required = false;
  // Required only when the field `when_field` has one of these values (customProperties
  // weir.requiredWhen on the property: "event_name in (trip_requested, driver_assigned)"
  // or "event_name = trip_requested").
  std::string when_field;
  std::vector<std::string> when_values;
  std::vector<std::string> allowed;  // enumeration, as text; empty: any
  std::optional<double> minimum, maximum;
  bool exclusive_minimum = false, exclusive_maximum = false;
  std::optional<int64_t> length_min, length_max;
  std::string
      pattern;  // RE2-like regular expression that must match the whole text; empty: any
};

struct Server {  // where the source's records come from (servers[])
  std::string name;
  std::string
      type;  // "http" (the built-in gateway), "local" (files), later kafka, s3, postgres
  std::string location;  // of files: folder, glob, or pattern with {partition}; relative
                         // to the project folder
  std::string format = "ndjson";  // "ndjson", "csv", "parquet"
  codec::CsvDialect csv;          // of "csv": customProperties weir.csv.* of the server
};

// What a source's records are.
enum class SourceKind : uint8_t {
  kEvents,     // each happened once; bronze keeps them all
  kReference,  // the newest content of the files: bronze equals it, row by row
};

// A check of a whole file before any of its records enters (quality rules with
// customProperties weir.gate: file). The metric lies between the bounds.
struct FileGate {
  enum class Metric : uint8_t {
    kRowCount,
    kNullValues,
    kInvalidValues,
    kDuplicateValues
  };
  Metric metric = Metric::kRowCount;
  std::string field;     // a top-level field; empty for kRowCount
  bool percent = false;  // of the file's rows; else rows
  std::optional<double> minimum, maximum;
  bool exclusive_minimum = false, exclusive_maximum = false;
  bool outside = false;            // the metric lies outside of the bounds instead
  std::vector<std::string> valid;  // of kInvalidValues; empty: any
  std::string pattern;             // of kInvalidValues; RE2, the whole text; empty: any
};

// Which files a source of events is to have (weir.expects): one for each interval.
struct ExpectedFiles {
  Micros every = 0;  // length of the intervals, counted from 1970-01-01 UTC
  // Of the file's name, with the beginning of its interval: conv-{yyyyMMddHH}.csv. What
  // may follow (.gz, .zst) need not be said.
  std::string pattern;
};

enum class RawPolicy : uint8_t { kKeep, kArchive, kDrop };

struct Contract {
  std::string file;
  std::string id, name;  // name is the source's: the bronze table is bronze.<name>
  std::string version;
  std::string description;
  data::Schema
      schema;  // the declared fields; ids assigned in declaration order, depth first
  std::vector<Condition> conditions;  // in contract order
  std::vector<Server> servers;

  std::vector<FileGate> gates;  // in contract order

  // customProperties
  SourceKind kind = SourceKind::kEvents;  // weir.kind: events | reference
  bool newest_file = false;  // weir.files: all | newest, by name; of reference data
  std::optional<ExpectedFiles> expects;
  std::string
      event_time;  // weir.eventTime: a timestamp field; empty: none, nothing is ever late
  Micros lateness = 0;  // weir.lateness
  Micros identity_memory =
      0;  // weir.identityMemory; H of DESIGN rule 4; default lateness + 24 h
  std::vector<std::string> identity;       // weir.identity; empty: no deduplication
  std::vector<std::string> partition_key;  // weir.partitionKey; default: the identity
  std::vector<std::string> order;          // weir.order: tie columns
  std::optional<Micros> future_allowance =
      300'000'000;  // weir.futureAllowance; nullopt = off. Default: 5 min …
  bool future_allowance_declared =
      false;  // … which counts for live sources; for files only when declared
  std::optional<Micros> idle_after =
      60'000'000;  // weir.idleAfter; nullopt = off. Counts for live sources only
  bool identity_across_partitions =
      false;                         // weir.identityScope: partition (default) | contract
  RawPolicy raw = RawPolicy::kKeep;  // weir.raw
  bool zoneless_allowed = false;     // weir.timeZone names a zone (only UTC for now)
  std::vector<std::string> partition_by;  // weir.partitionBy: Iceberg transforms of
                                          // bronze, "day(event_timestamp)"
};

// Reads one contract. Every fault is added to `problems` (with its line); nullopt when
// there was any.
std::optional<Contract> ParseContract(const std::string& file, std::string_view yaml,
                                      std::vector<Problem>* problems);

// The closed list of rejection reasons, in order of precedence (docs/reasons.md).
enum class Reason : uint8_t {
  kNotJson,
  kNotCsv,
  kTooLarge,
  kMissingField,
  kWrongType,
  kUnknownValue,
  kOutOfRange,
  kPatternMismatch,
  kWrongLength,
  kDuplicateKey,  // of reference data; not the checker's
};
std::string_view ReasonName(Reason reason);  // "not_json" …

struct Rejection {
  int32_t row;
  Reason reason;
  std::string field, expected, actual;
};

// Checks decoded rows, a column at a time. One rejection a row at most: the strongest by
// precedence, then contract order. Immutable after construction; Check may be called by
// any thread.
class Checker {
 public:
  virtual ~Checker() = default;
  virtual Result<std::vector<Rejection>> Check(
      const codec::DecodedRows& decoded) const = 0;  // ordered by row
};
Result<std::unique_ptr<Checker>> NewChecker(const Contract& contract);

// A 64-bit hash of each row's canonical content: declared fields, then `_extra` with
// sorted keys. Two JSON texts that differ in spacing, key order or an explicit null
// against an absent field… differ only in the last: absent and null are not the same
// content.
Result<std::vector<uint64_t>> ContentHashes(const Contract& contract,
                                            const codec::DecodedRows& decoded);

}  // namespace weir::contract
