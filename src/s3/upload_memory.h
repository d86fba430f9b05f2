// The memory that bodies on their way into the store may take, all of them together.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/bytes.h"

namespace hailstone::s3 {

/// Pages of their own, not of the heap: taken by one thread and given back by another, they would leave holes in it
/// that add up to as much again.
struct Unmap {
  size_t bytes = 0;
  void operator()(char* room) const;
};
using Room = std::unique_ptr<char, Unmap>;

/// Room for some bytes of a body. Goes back when the last owner lets go of it.
struct Piece {
  Room room;
  size_t capacity = 0;
  size_t size = 0;  // filled
  ByteView bytes() const { return {room.get(), size}; }
};

/// Thread-safe. The mutex is for the list of free pieces: server threads take them, the threads that work on bodies
/// give them back. Pieces are used again because the first touch of a page costs more than to hash it.
///
/// At most `bytes_max` and 64 KiB for each upload are held, but for what is in work at the moment: who is asked to let
/// go must.
class UploadMemory : public std::enable_shared_from_this<UploadMemory> {
 public:
  static constexpr size_t kPieceBytes = 128u << 10;
  static constexpr size_t kSmallPieceBytes = 32u << 10;  // when there are many uploads

  explicit UploadMemory(uint64_t bytes_max) : bytes_max_(bytes_max) {}

  /// What one upload holds. Lives as long as its pieces; of the upload's thread but for giving back.
  class Account : public std::enable_shared_from_this<Account> {
   public:
    explicit Account(std::shared_ptr<UploadMemory> memory);
    ~Account();
    Account(const Account&) = delete;
    Account& operator=(const Account&) = delete;

    /// Always given. Smaller when there are many uploads.
    std::shared_ptr<Piece> take();
    uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
    /// All together hold too much, and this one more than its share: let go of what is held before the next take().
    bool must_let_go() const;
    /// Bytes that may be read ahead of the work on them.
    uint64_t window() const;

   private:
    friend class UploadMemory;
    const std::shared_ptr<UploadMemory> memory_;
    std::atomic<uint64_t> bytes_ = 0;
  };
  std::shared_ptr<Account> open();

  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  uint64_t uploads() const { return uploads_.load(std::memory_order_relaxed); }

 private:
  struct Free {
    const size_t capacity;
    std::vector<Room> rooms{};
  };
  size_t piece_bytes() const;
  uint64_t share() const;
  void give_back(Piece& piece);
  void shrink();

  const uint64_t bytes_max_;
  std::atomic<uint64_t> bytes_ = 0, uploads_ = 0;
  std::mutex mutex_;
  Free large_{kPieceBytes}, small_{kSmallPieceBytes};
};

}  // namespace hailstone::s3
