// What must not allocate: a cache hit, and keep-alives once they run.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "cell/client_testing.h"

namespace {
std::atomic<uint64_t> allocations{0};
}
// Of this whole test program; the other forms of new end up here.
void* operator new(size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace hailstone::cell::client {
namespace {

/// As a driver would: takes what there is and clears it.
wire::Beat beat_of(Core& core) {
  wire::Beat beat;
  for (const auto& message : core.output().messages)
    if (const auto* alive = std::get_if<wire::KeepAlive>(&message)) beat = alive->beat;
  core.output().clear();
  return beat;
}

TEST(ClientMemory, KeepAlivesAllocateNothing) {
  Scripted c;
  c.start();
  c.read("/a");
  c.say(wire::Result{c.next<wire::Fetch>().call,
                     wire::Result::Fetched{.file = File{}, .epoch = wire::Epoch(1), .keep = true}});
  int64_t now_ns = c.now_ns;
  int beats = 0;
  uint64_t before = 0;
  for (int i = 0; i < 1'000; ++i) {
    if (i == 10) before = allocations;
    now_ns = c.core.next_wakeup_ns();
    c.core.on_tick(now_ns);
    const wire::Beat beat = beat_of(c.core);
    if (!beat) continue;
    ++beats;
    c.core.on_message(wire::Lease{SessionId(5), beat, wire::Epoch(1), 9'000, 2'000}, now_ns + kMs);
    c.core.output().clear();
  }
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_GT(beats, 900);
  EXPECT_TRUE(c.core.cached("/a", now_ns));
}

TEST(ClientMemory, ACacheHitAllocatesNothing) {
  Scripted c;
  c.start();
  const Bytes path = "/a/path/that/is/longer/than/what/a/string/holds/in/itself";
  c.read(path);
  c.say(wire::Result{c.next<wire::Fetch>().call,
                     wire::Result::Fetched{.file = File{}, .epoch = wire::Epoch(1), .keep = true}});
  const uint64_t before = allocations;
  size_t hits = 0;
  for (int i = 0; i < 1'000; ++i) hits += c.core.cached(path, c.now_ns + i) != nullptr;
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_EQ(hits, 1'000u);
}

}  // namespace
}  // namespace hailstone::cell::client
