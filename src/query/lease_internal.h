// A row of `weir_readers`: while it is there and has not run out, no file that it may
// read is deleted.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "iceberg/catalog.h"
#include "io/io.h"

namespace weir::query {

// The catalog as one reader sees it: all tables as of one moment, protected from that
// moment on. Used by one thread.
class PinnedCatalog {
 public:
  // Reads the list of tables and takes the lease in one transaction. Where nothing can be
  // written (a read-only folder, a foreign catalog) there is no lease; `note` says so.
  // kNotFound: there is no catalog.
  static Result<std::unique_ptr<PinnedCatalog>> Open(io::Io& io, Clock& clock,
                                                     const std::string& path,
                                                     const std::string& name,
                                                     Micros lease, std::string* note);
  ~PinnedCatalog();  // gives the lease back

  const std::vector<iceberg::TableRef>& tables() const { return tables_; }

  // Prolongs the lease when half of it is over.
  Status Renew();

 private:
  PinnedCatalog(Clock& clock, Micros lease) : clock_(clock), lease_(lease) {}
  Status Take();

  Clock& clock_;
  const Micros lease_;
  std::unique_ptr<iceberg::Catalog> catalog_;
  std::vector<iceberg::TableRef> tables_;
  std::string id_;  // empty: no lease
  Micros expires_ = 0;
};

}  // namespace weir::query
