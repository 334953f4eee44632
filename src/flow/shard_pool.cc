#include "flow/shard_pool.h"

#include "base/latency.h"

namespace weir::flow {

ShardPool::ShardPool(int shards, bool gives_way)
    : shards_(shards), results_(static_cast<size_t>(shards)) {
  if (shards == 1) return;
  for (int shard = 0; shard < shards; ++shard)
    threads_.emplace_back([this, shard, gives_way] {
      if (gives_way) GiveWay();
      Work(shard);
    });
}

ShardPool::~ShardPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    begin_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

Status ShardPool::Run(const std::function<Status(int)>& work) {
  if (shards_ == 1) return work(0);
  std::unique_lock lock(mutex_);
  work_ = &work;
  running_ = shards_;
  ++round_;
  begin_.notify_all();
  end_.wait(lock, [&] { return running_ == 0; });
  for (Status& status : results_) {
    if (!status.ok()) return std::move(status);
  }
  return {};
}

void ShardPool::Work(int shard) {
  int64_t seen = 0;
  for (;;) {
    const std::function<Status(int)>* work;
    {
      std::unique_lock lock(mutex_);
      begin_.wait(lock, [&] { return stopping_ || round_ > seen; });
      if (stopping_) return;
      seen = round_;
      work = work_;
    }
    Status status = (*work)(shard);
    std::lock_guard lock(mutex_);
    results_[static_cast<size_t>(shard)] = std::move(status);
    if (--running_ == 0) end_.notify_all();
  }
}

}  // namespace weir::flow
