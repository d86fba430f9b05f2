// For tests only: a receiver that remembers, a logger that remembers, certificates in files that go with the object.
#pragma once

#include <stdlib.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/logger.h"
#include "net/certificates.h"
#include "net/tls.h"
#include "net/transport.h"

namespace hailstone::net {

inline constexpr auto kPatience = std::chrono::seconds(30);  // a failed test's, never a passing one's

/// Remembers what it is told; tests wait for what they expect.
class Inbox final : public Receiver {
 public:
  struct Frame {
    NodeId from;
    uint8_t channel = 0;
    Bytes payload;
    bool operator==(const Frame&) const = default;
  };

  void on_frame(NodeId from, uint8_t channel, ByteView payload) override {
    if (on_each) on_each(from, payload);
    const std::scoped_lock lock(mutex_);
    bytes_ += payload.size();
    if (keep) frames_.push_back({from, channel, Bytes(payload)});
    changed_.notify_all();
  }
  void on_up(NodeId peer) override {
    const std::scoped_lock lock(mutex_);
    ++ups_[peer];
    up_[peer] = true;
    changed_.notify_all();
  }
  void on_down(NodeId peer, const Error& reason) override {
    const std::scoped_lock lock(mutex_);
    downs_[peer].push_back(reason);
    up_[peer] = false;
    changed_.notify_all();
  }

  bool wait(const std::function<bool(Inbox&)>& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return holds(*this); });
  }
  bool wait_up(NodeId peer) {
    return wait([=](Inbox& in) { return in.up_[peer]; });
  }
  bool wait_down(NodeId peer) {
    return wait([=](Inbox& in) { return !in.up_[peer] && !in.downs_[peer].empty(); });
  }
  /// Waits for a reason that contains `text`.
  bool wait_reason(NodeId peer, const std::string& text) {
    return wait([&](Inbox& in) {
      for (const Error& reason : in.downs_[peer])
        if (reason.message.find(text) != std::string::npos) return true;
      return false;
    });
  }
  bool wait_frames(size_t n) {
    return wait([=](Inbox& in) { return in.frames_.size() >= n; });
  }
  bool wait_bytes(uint64_t n) {
    return wait([=](Inbox& in) { return in.bytes_ >= n; });
  }
  std::vector<Frame> frames() const {
    const std::scoped_lock lock(mutex_);
    return frames_;
  }
  std::vector<Error> downs(NodeId peer) {
    const std::scoped_lock lock(mutex_);
    return downs_[peer];
  }
  int ups(NodeId peer) {
    const std::scoped_lock lock(mutex_);
    return ups_[peer];
  }

  // Set before anything can come.
  std::function<void(NodeId, ByteView)> on_each;
  bool keep = true;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Frame> frames_;
  uint64_t bytes_ = 0;
  std::map<NodeId, bool> up_;
  std::map<NodeId, int> ups_;
  std::map<NodeId, std::vector<Error>> downs_;
};

/// "event key=value ..." of warnings and errors.
class MemoryLogger final : public Logger {
 public:
  void log(Level level, std::string_view event, std::initializer_list<Field> fields) override {
    if (level < Level::Warn) return;
    std::string line(event);
    for (const Field& field : fields)
      if (const auto* text = std::get_if<std::string_view>(&field.value))
        line += " " + std::string(field.key) + "=" + std::string(*text);
    const std::scoped_lock lock(mutex_);
    lines_.push_back(std::move(line));
    changed_.notify_all();
  }
  bool enabled(Level level) const override { return level >= Level::Warn; }
  bool wait_for(const std::string& text) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] {
      for (const std::string& line : lines_)
        if (line.find(text) != std::string::npos) return true;
      return false;
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

/// An authority and its nodes' files.
class TestCell {
 public:
  TestCell() : authority(make_authority("test cell").value()) {
    char name[] = "/tmp/hailstone_net_XXXXXX";
    directory_ = ::mkdtemp(name);
    write("ca.pem", authority.certificate);
  }
  ~TestCell() { std::filesystem::remove_all(directory_); }
  TestCell(const TestCell&) = delete;
  TestCell& operator=(const TestCell&) = delete;

  TlsFiles files(uint64_t node) {
    const auto made = make_node_certificate(authority, NodeId(node)).value();
    const std::string name = std::to_string(node);
    return {directory_ + "/ca.pem", write(name + ".pem", made.certificate), write(name + ".key", made.key)};
  }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ + "/" + name) << text;
    return directory_ + "/" + name;
  }
  const Certified authority;

 private:
  std::string directory_;
};

}  // namespace hailstone::net
