// One thread per shard, and the barrier between them.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"

namespace weir::flow {

// Runs the same piece of work on every shard and waits for all. With one shard it runs on
// the caller's thread. Used by one thread.
class ShardPool {
 public:
  // Of a pool that gives way the threads stand behind others (base/latency.h).
  explicit ShardPool(int shards, bool gives_way = false);
  ~ShardPool();
  int size() const { return shards_; }

  // Calls work(0) … work(size-1) at once; returns the first error, by shard.
  Status Run(const std::function<Status(int shard)>& work);

 private:
  void Work(int shard);

  const int shards_;
  std::mutex mutex_;
  std::condition_variable begin_, end_;
  const std::function<Status(int)>* work_ = nullptr;
  int64_t round_ = 0;
  int running_ = 0;
  bool stopping_ = false;
  std::vector<Status> results_;
  std::vector<std::thread> threads_;
};

}  // namespace weir::flow
