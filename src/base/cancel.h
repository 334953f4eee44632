// A flag that long work looks at.
#pragma once

#include <atomic>
#include <memory>

#include "base/result.h"

namespace weir {

// Copies share one flag. Safe for concurrent use, and Cancel() from a signal handler too.
class CancelToken {
 public:
  CancelToken() : flag_(std::make_shared<std::atomic<bool>>(false)) {}
  void Cancel() const { flag_->store(true, std::memory_order_release); }
  bool cancelled() const { return flag_->load(std::memory_order_acquire); }
  Status Check() const {
    if (cancelled()) return Cancelled();
    return {};
  }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
};

}  // namespace weir
