#include "s3/upload_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <utility>

namespace hailstone::s3 {
namespace {

constexpr uint64_t kManyUploads = 16;         // from here on, small pieces
constexpr uint64_t kShareMin = 64u << 10;     // the least that can be stored as a chunk of its own
constexpr uint64_t kWindowMax = 4u << 20;     // a longest chunk may be in work while the next is read
constexpr uint64_t kIdleBytesMax = 4u << 20;  // kept for the next upload, of each size

Room make_room(size_t bytes) {
  void* pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  return Room(static_cast<char*>(pages), Unmap{bytes});
}

}  // namespace

void Unmap::operator()(char* room) const { ::munmap(room, bytes); }

std::shared_ptr<UploadMemory::Account> UploadMemory::open() { return std::make_shared<Account>(shared_from_this()); }

size_t UploadMemory::piece_bytes() const { return uploads() > kManyUploads ? kSmallPieceBytes : kPieceBytes; }

uint64_t UploadMemory::share() const { return std::max(kShareMin, bytes_max_ / std::max<uint64_t>(1, uploads())); }

void UploadMemory::give_back(Piece& piece) {
  const uint64_t held = bytes_.fetch_sub(piece.capacity, std::memory_order_relaxed) - piece.capacity;
  Free& free = piece.capacity == large_.capacity ? large_ : small_;
  const std::scoped_lock lock(mutex_);
  const uint64_t idle = large_.rooms.size() * large_.capacity + small_.rooms.size() * small_.capacity;
  if (held + idle + piece.capacity <= bytes_max_) free.rooms.push_back(std::move(piece.room));
}

void UploadMemory::shrink() {
  const std::scoped_lock lock(mutex_);
  for (Free* free : {&large_, &small_})
    free->rooms.resize(std::min<size_t>(free->rooms.size(), kIdleBytesMax / free->capacity));
}

UploadMemory::Account::Account(std::shared_ptr<UploadMemory> memory) : memory_(std::move(memory)) {
  memory_->uploads_.fetch_add(1, std::memory_order_relaxed);
}

UploadMemory::Account::~Account() {
  if (memory_->uploads_.fetch_sub(1, std::memory_order_relaxed) == 1) memory_->shrink();
}

std::shared_ptr<Piece> UploadMemory::Account::take() {
  Free& free = memory_->piece_bytes() == kPieceBytes ? memory_->large_ : memory_->small_;
  auto piece = std::make_unique<Piece>();
  piece->capacity = free.capacity;
  {
    const std::scoped_lock lock(memory_->mutex_);
    if (!free.rooms.empty()) {
      piece->room = std::move(free.rooms.back());
      free.rooms.pop_back();
    }
  }
  if (!piece->room) piece->room = make_room(piece->capacity);
  bytes_.fetch_add(piece->capacity, std::memory_order_relaxed);
  memory_->bytes_.fetch_add(piece->capacity, std::memory_order_relaxed);
  return {piece.release(), [account = shared_from_this()](Piece* given) {
            const std::unique_ptr<Piece> owned(given);
            account->bytes_.fetch_sub(given->capacity, std::memory_order_relaxed);
            account->memory_->give_back(*given);
          }};
}

bool UploadMemory::Account::must_let_go() const {
  const size_t next = memory_->piece_bytes();
  return memory_->bytes() + next > memory_->bytes_max_ && bytes() + next > memory_->share();
}

uint64_t UploadMemory::Account::window() const { return std::min(kWindowMax, memory_->share() / 2); }

}  // namespace hailstone::s3
