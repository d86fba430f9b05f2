#include "replica/applier.h"

#include <gtest/gtest.h>

#include "base/logger.h"
#include "replica/counting_machine.h"

namespace hailstone::replica {
namespace {

/// Wants a flush after every write.
class EagerDatabase final : public Database {
 public:
  Result<std::optional<Bytes>> get(ByteView key) const override { return memory_->get(key); }
  std::unique_ptr<Iterator> iterate(ByteView from, ByteView to) const override { return memory_->iterate(from, to); }
  Result<void> write(const Batch& batch) override { return memory_->write(batch); }
  std::unique_ptr<Reader> snapshot() const override { return memory_->snapshot(); }
  Result<void> flush() override {
    std::this_thread::yield();
    return {};
  }
  uint64_t unflushed_bytes() const override { return 1 << 20; }

 private:
  std::unique_ptr<Database> memory_ = make_memory_database();
};

// A flush that ended while the applier stopped once had a worker look at it afterwards, when it was gone.
TEST(Applier, NothingOfItRunsOnceItHasStopped) {
  NullLogger logger;
  Workers apply(1);
  Workers bulk(1);
  for (int life = 0; life < 3000; ++life) {
    EagerDatabase database;
    CountingMachine machine;
    const GroupOptions options{.log_directory = "", .flush_bytes = 1};
    std::atomic<bool> stopped = false;
    std::atomic<int> late = 0;
    {
      Applier applier("group", database, machine, options, 0, {.apply = apply, .bulk = bulk}, logger);
      ASSERT_TRUE(applier.load());
      applier.start({.applied = [](Slot, uint64_t) {},
                     .flushed = [&](Slot) { late += stopped.load(); },
                     .failed = [](const Error&) {}});
      applier.want_flush();
      for (int i = 0; i < life % 50; ++i) std::this_thread::yield();
      if (life % 2)
        applier.drain();
      else
        applier.abandon();
      stopped = true;
      std::atomic<bool> passed = false;  // behind whatever it left with the workers
      apply.post([&] { passed = true; });
      while (!passed) std::this_thread::yield();
    }
    ASSERT_EQ(late, 0) << "life " << life;
  }
}

}  // namespace
}  // namespace hailstone::replica
