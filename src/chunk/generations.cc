#include "chunk/generations.h"

#include "base/check.h"

namespace hailstone::chunk {
namespace {

class Session final : public WriteSession {
 public:
  Session(std::shared_ptr<Generations> generations, std::unique_ptr<WriteSession> local)
      : generations_(std::move(generations)), generation_(generations_->begin()), local_(std::move(local)) {}
  ~Session() override { generations_->end(generation_); }

 private:
  const std::shared_ptr<Generations> generations_;
  const uint64_t generation_;
  const std::unique_ptr<WriteSession> local_;
};

}  // namespace

uint64_t Generations::begin() {
  const std::lock_guard lock(mutex_);
  ++open_[current_];
  return current_;
}

void Generations::end(uint64_t generation) {
  const std::lock_guard lock(mutex_);
  const auto it = open_.find(generation);
  CHECK(it != open_.end());
  if (--it->second == 0) open_.erase(it);
}

void Generations::advance() {
  const std::lock_guard lock(mutex_);
  ++current_;
}

WriterMark Generations::mark() const {
  const std::lock_guard lock(mutex_);
  // With none open the current generation may still get one.
  return {.term = term_, .generation = current_, .ended = (open_.empty() ? current_ : open_.begin()->first) - 1};
}

std::unique_ptr<WriteSession> make_session(std::shared_ptr<Generations> generations,
                                           std::unique_ptr<WriteSession> local) {
  return std::make_unique<Session>(std::move(generations), std::move(local));
}

}  // namespace hailstone::chunk
