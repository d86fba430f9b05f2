// Background work of a node: seals what has outgrown its bound, drops drafts whose lease has run out; and its upkeep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "server/backoff.h"
#include "server/node.h"
#include "server/upkeep.h"

namespace hailstone::server {

/// Owns one thread from start() to stop(), and another for what takes long.
class Janitor {
 public:
  Janitor(Node& node, Logger& logger) : node_(node), logger_(logger), upkeep_(node, logger) {}
  ~Janitor() { stop(); }
  void start();
  void stop();

  struct Stats {
    uint64_t seals = 0, seal_failures = 0, drafts_expired = 0;
    Upkeep::Totals upkeep;
  };
  Upkeep& upkeep() { return upkeep_; }
  Stats stats() const { return {seals_.load(), seal_failures_.load(), drafts_expired_.load(), upkeep_.totals()}; }

 private:
  void run();
  void seal_due();
  void expire_drafts();

  Node& node_;
  Logger& logger_;
  Upkeep upkeep_;
  std::thread thread_;
  // Guards `stopping_` alone, for the thread to wait on between rounds.
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  using LayerName = std::pair<Bytes, uint64_t>;  // volume, layer
  std::map<LayerName, Backoff> failing_;         // the thread's own, as the one below
  Backoff looking_;
  std::atomic<uint64_t> seals_{0}, seal_failures_{0}, drafts_expired_{0};
};

}  // namespace hailstone::server
