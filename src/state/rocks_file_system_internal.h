// RocksDB's view of io::Io: every byte it reads or writes, and every name it makes, goes
// through our interface.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <memory>

#include "io/io.h"

namespace weir::state {

// No mmap, no direct I/O, no hard links. LockFile makes no file: the data directory's
// LOCK keeps a second process away.
std::shared_ptr<rocksdb::FileSystem> NewRocksFileSystem(io::Io& io);

// An Env over `fs` whose background jobs run one at a time, on one thread of its own.
// WaitUntilIdle() returns when none is left, so that a caller who schedules work (a
// flush) and waits here sees all of its file operations done, in one order.
class SerialEnv final : public rocksdb::EnvWrapper {
 public:
  explicit SerialEnv(const std::shared_ptr<rocksdb::FileSystem>& fs);
  ~SerialEnv() override;

  const char* Name() const override { return "weir.SerialEnv"; }
  void Schedule(void (*function)(void*), void* argument, Priority priority, void* tag,
                void (*unschedule)(void*)) override;
  int UnSchedule(void* tag, Priority priority) override;
  unsigned int GetThreadPoolQueueLen(Priority priority) const override;
  std::string GenerateUniqueId() override;

  void WaitUntilIdle();

 private:
  struct Queue;
  std::unique_ptr<Queue> queue_;
};

}  // namespace weir::state
