// Judges a file as a whole, before any of its records enters.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "contract/contract.h"
#include "ingest/pipeline.h"

namespace weir::ingest {

struct GateFailure {
  std::string check;   // "nullValues of user_id"
  std::string actual;  // "52 % null, expected < 2 %"
};

// Counts what the contract's file gates ask for. Used by one thread.
class FileGates {
 public:
  static Result<FileGates> New(const contract::Contract& contract);

  // Some records of the file, all of them in turn.
  Status Add(const Checked& checked);

  // The first gate, in contract order, that the records so far do not pass. A share of no
  // rows at all is 0 %.
  std::optional<GateFailure> Failure() const;
  int64_t rows() const { return rows_; }
  int64_t refused() const { return refused_; }  // by the contract, record by record

 private:
  struct One;
  struct Free {
    void operator()(One*) const;
  };

  FileGates() = default;

  std::vector<std::unique_ptr<One, Free>> gates_;
  int64_t rows_ = 0, refused_ = 0;
};

}  // namespace weir::ingest
