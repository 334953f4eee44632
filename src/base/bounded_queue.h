// A queue between two threads that holds at most so many bytes, so that a slow consumer
// stops its producer instead of filling memory.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace weir {

// Many producers, many consumers.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t bytes_max) : bytes_max_(bytes_max) {}

  // Waits for room. One item is always let in, however large. False: the queue was closed
  // and the item was not taken.
  bool Push(T item, size_t bytes) {
    std::unique_lock lock(mutex_);
    room_.wait(lock,
               [&] { return closed_ || items_.empty() || bytes_ + bytes <= bytes_max_; });
    if (closed_) return false;
    bytes_ += bytes;
    items_.emplace_back(std::move(item), bytes);
    some_.notify_one();
    return true;
  }

  // Like Push, but false at once when there is no room.
  bool TryPush(T item, size_t bytes) {
    std::lock_guard lock(mutex_);
    if (closed_ || (!items_.empty() && bytes_ + bytes > bytes_max_)) return false;
    bytes_ += bytes;
    items_.emplace_back(std::move(item), bytes);
    some_.notify_one();
    return true;
  }

  // Waits for an item. nullopt: closed and empty.
  std::optional<T> Pop() {
    std::unique_lock lock(mutex_);
    some_.wait(lock, [&] { return closed_ || !items_.empty(); });
    return Take();
  }

  // nullopt: nothing there now (or ever again; see closed()).
  std::optional<T> TryPop() {
    std::lock_guard lock(mutex_);
    return Take();
  }

  template <class Duration>
  std::optional<T> PopFor(Duration wait) {
    std::unique_lock lock(mutex_);
    some_.wait_for(lock, wait, [&] { return closed_ || !items_.empty(); });
    return Take();
  }

  // Lets waiting threads go; what is inside can still be popped.
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    some_.notify_all();
    room_.notify_all();
  }

  bool closed() const {
    std::lock_guard lock(mutex_);
    return closed_;
  }
  size_t bytes() const {
    std::lock_guard lock(mutex_);
    return bytes_;
  }

 private:
  std::optional<T> Take() {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front().first));
    bytes_ -= items_.front().second;
    items_.pop_front();
    room_.notify_all();
    return item;
  }

  const size_t bytes_max_;
  mutable std::mutex mutex_;
  std::condition_variable room_, some_;
  std::deque<std::pair<T, size_t>> items_;
  size_t bytes_ = 0;
  bool closed_ = false;
};

}  // namespace weir
