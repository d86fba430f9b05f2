#include "http/offload.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <semaphore>

namespace hailstone::http {
namespace {

struct Seen {
  Result<int> result = fail(Code::Io, "not run");
  std::thread::id job, resumed;
  std::string thrown;
  bool done = false;
};

Result<int> compute(std::thread::id* where) {
  *where = std::this_thread::get_id();
  return 42;
}

Task<void> run_job(BlockingPool& pool, std::move_only_function<Result<int>()> job, Seen& seen) {
  try {
    seen.result = co_await offload(pool, std::move(job));
  } catch (const std::exception& e) {
    seen.thrown = e.what();
  }
  seen.resumed = std::this_thread::get_id();
  seen.done = true;
}

TEST(Offload, RunsElsewhereAndResumesHere) {
  BlockingPool pool({.threads = 1});
  asio::io_context context;
  Seen seen;
  asio::co_spawn(context, run_job(pool, [&seen] { return compute(&seen.job); }, seen), asio::detached);
  context.run();
  ASSERT_TRUE(seen.done);
  EXPECT_EQ(seen.result, 42);
  EXPECT_EQ(seen.resumed, std::this_thread::get_id());
  EXPECT_NE(seen.job, std::this_thread::get_id());
}

TEST(Offload, CarriesErrorsAndExceptions) {
  BlockingPool pool({.threads = 1});
  asio::io_context context;
  Seen failed, threw;
  asio::co_spawn(context,
                 run_job(pool, [] { return Result<int>(fail(Code::NotFound, "no")); }, failed), asio::detached);
  asio::co_spawn(context,
                 run_job(pool, []() -> Result<int> { throw std::runtime_error("bang"); }, threw), asio::detached);
  context.run();
  EXPECT_EQ(failed.result.error().code, Code::NotFound);
  EXPECT_EQ(threw.thrown, "bang");
}

TEST(Offload, RefusesWhatTheQueueCannotTake) {
  BlockingPool pool({.threads = 1, .queue_max = 1});
  std::binary_semaphore started(0), release(0);
  asio::io_context context;
  Seen running, queued, refused;
  const auto blocking = [&]() -> Result<int> {
    started.release();
    release.acquire();
    return 1;
  };
  asio::co_spawn(context, run_job(pool, blocking, running), asio::detached);
  context.poll();
  started.acquire();  // it has left the queue
  asio::co_spawn(context, run_job(pool, []() -> Result<int> { return 2; }, queued), asio::detached);
  asio::co_spawn(context, run_job(pool, []() -> Result<int> { return 3; }, refused), asio::detached);
  context.poll();
  EXPECT_TRUE(refused.done);
  EXPECT_EQ(refused.result.error().code, Code::Unavailable);
  EXPECT_EQ(pool.queued(), 1u);
  release.release();
  context.run();
  EXPECT_EQ(running.result, 1);
  EXPECT_EQ(queued.result, 2);
}

TEST(Offload, AContextWaitsForItsJobsBeforeItGoes) {
  BlockingPool pool({.threads = 1});
  std::binary_semaphore started(0), release(0);
  std::atomic<bool> finished{false};
  Seen seen;
  auto context = std::make_unique<asio::io_context>();
  const auto blocking = [&]() -> Result<int> {
    started.release();
    release.acquire();
    finished = true;
    return 1;
  };
  asio::co_spawn(*context, run_job(pool, blocking, seen), asio::detached);
  context->poll();
  started.acquire();
  std::thread helper([&] { release.release(); });
  context.reset();
  EXPECT_TRUE(finished);
  EXPECT_FALSE(seen.done);
  helper.join();
}

TEST(Offload, ADestroyedPoolFinishesWhatIsQueued) {
  asio::io_context context;
  std::vector<Seen> seen(20);
  {
    BlockingPool pool({.threads = 2});
    for (Seen& s : seen) asio::co_spawn(context, run_job(pool, []() -> Result<int> { return 5; }, s), asio::detached);
    context.poll();
  }
  context.run();
  for (const Seen& s : seen) EXPECT_EQ(s.result, 5);
}

Task<void> pause_and_set(std::chrono::milliseconds duration, std::chrono::steady_clock::time_point& end) {
  co_await pause_for(duration);
  end = std::chrono::steady_clock::now();
}

TEST(Pause, LastsAtLeastAsLongAsAsked) {
  asio::io_context context;
  const auto start = std::chrono::steady_clock::now();
  auto end = start;
  asio::co_spawn(context, pause_and_set(std::chrono::milliseconds(5), end), asio::detached);
  context.run();
  EXPECT_GE(end - start, std::chrono::milliseconds(5));
}

}  // namespace
}  // namespace hailstone::http
