#include "net/memory_transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "base/check.h"
#include "net/frame.h"

namespace hailstone::net {
namespace {

constexpr auto kStopPatience = std::chrono::seconds(1);

class Board final : public MemoryNetwork, public std::enable_shared_from_this<Board> {
 public:
  Board() : thread_([this] { deliver_all(); }) {}
  ~Board() override;

  std::unique_ptr<Transport> join(NodeId id, Receiver& receiver, size_t queue_bytes_max) override;
  void cut(NodeId a, NodeId b) override { set_cut(a, b, true); }
  void mend(NodeId a, NodeId b) override { set_cut(a, b, false); }

  bool send(NodeId from, NodeId to, uint8_t channel, Bytes payload);
  void post(NodeId to, std::function<void()> work);
  Result<void> set_peers(NodeId id, const std::vector<PeerAddress>& peers);
  std::vector<PeerMetrics> metrics(NodeId id) const;
  void leave(NodeId id);

 private:
  /// One direction of a pair, kept by its sender.
  struct Way {
    PeerMetrics metrics;
    uint64_t generation = 0;  // of the connection: what an earlier one carried is lost
  };
  struct Node {
    Receiver* receiver = nullptr;
    size_t queue_bytes_max = 0;
    bool leaving = false;
    std::map<NodeId, Way> peers;
  };
  struct Event {
    NodeId to;
    std::function<void(Receiver&)> call;
    // Of a frame; `from` 0: something else, which is never lost.
    NodeId from;
    uint64_t generation = 0;
    size_t bytes = 0;
  };

  void set_cut(NodeId a, NodeId b, bool cut);
  Way* way(NodeId from, NodeId to);
  bool should_connect(NodeId a, NodeId b) const;
  void refresh(const Error& reason);
  void push(Event event);
  void deliver_all();

  mutable std::mutex mutex_;  // of everything: send() comes from any thread
  std::condition_variable changed_;
  std::map<NodeId, Node> nodes_;
  std::set<std::pair<NodeId, NodeId>> cuts_;
  std::deque<Event> events_;
  NodeId delivering_;  // whose receiver is being called
  bool ending_ = false;
  std::thread thread_;  // last: it uses the rest
};

class MemoryTransport final : public Transport {
 public:
  MemoryTransport(std::shared_ptr<Board> board, NodeId id) : board_(std::move(board)), id_(id) {}
  ~MemoryTransport() override { stop(); }
  bool send(NodeId to, uint8_t channel, Bytes payload) override {
    return board_->send(id_, to, channel, std::move(payload));
  }
  void post(std::function<void()> work) override { board_->post(id_, std::move(work)); }
  Result<void> set_peers(std::vector<PeerAddress> peers) override { return board_->set_peers(id_, peers); }
  std::vector<PeerMetrics> metrics() const override { return board_->metrics(id_); }
  void stop() override { board_->leave(id_); }

 private:
  const std::shared_ptr<Board> board_;
  const NodeId id_;
};

Board::~Board() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::unique_ptr<Transport> Board::join(NodeId id, Receiver& receiver, size_t queue_bytes_max) {
  const std::scoped_lock lock(mutex_);
  CHECK(id && !nodes_.contains(id));
  nodes_[id] = {.receiver = &receiver, .queue_bytes_max = queue_bytes_max};
  refresh({});
  return std::make_unique<MemoryTransport>(shared_from_this(), id);
}

void Board::set_cut(NodeId a, NodeId b, bool cut) {
  const std::scoped_lock lock(mutex_);
  const auto pair = std::minmax(a, b);
  if (cut) {
    cuts_.insert(pair);
  } else {
    cuts_.erase(pair);
  }
  refresh({Code::Unavailable, "cut"});
}

Board::Way* Board::way(NodeId from, NodeId to) {
  const auto node = nodes_.find(from);
  if (node == nodes_.end()) return nullptr;
  const auto found = node->second.peers.find(to);
  return found == node->second.peers.end() ? nullptr : &found->second;
}

bool Board::should_connect(NodeId a, NodeId b) const {
  const auto one = nodes_.find(a), other = nodes_.find(b);
  return one != nodes_.end() && other != nodes_.end() && !one->second.leaving && !other->second.leaving &&
         one->second.peers.contains(b) && other->second.peers.contains(a) && !cuts_.contains(std::minmax(a, b));
}

// Makes connections what they should be, and says so.
void Board::refresh(const Error& reason) {
  for (auto& [id, node] : nodes_)
    for (auto& [peer, way] : node.peers) {
      const bool connected = should_connect(id, peer);
      if (way.metrics.connected == connected) continue;
      way.metrics.connected = way.metrics.heard = connected;
      ++way.generation;
      if (connected) {
        way.metrics.reconnects = way.generation / 2;
        push({.to = id, .call = [peer](Receiver& receiver) { receiver.on_up(peer); }});
      } else {
        const Error why = node.leaving ? Error{Code::Cancelled, "this node is stopping"} : reason;
        push({.to = id, .call = [peer, why](Receiver& receiver) { receiver.on_down(peer, why); }});
      }
    }
}

void Board::push(Event event) {
  events_.push_back(std::move(event));
  changed_.notify_all();
}

bool Board::send(NodeId from, NodeId to, uint8_t channel, Bytes payload) {
  const std::scoped_lock lock(mutex_);
  Way* found = way(from, to);
  if (found == nullptr) return false;
  PeerMetrics& metrics = found->metrics;
  const size_t bytes = kFrameHeaderBytes + payload.size();
  const bool full = metrics.queue_bytes > 0 && metrics.queue_bytes + bytes > nodes_.at(from).queue_bytes_max;
  if (!metrics.connected || full || payload.size() > kPayloadBytesMax) {
    ++metrics.dropped;
    return false;
  }
  metrics.queue_bytes += bytes;
  const auto call = [from, channel, payload = std::move(payload)](Receiver& receiver) {
    receiver.on_frame(from, channel, payload);
  };
  push({to, call, from, found->generation, bytes});
  return true;
}

void Board::post(NodeId to, std::function<void()> work) {
  const std::scoped_lock lock(mutex_);
  push({.to = to, .call = [work = std::move(work)](Receiver&) { work(); }});
}

Result<void> Board::set_peers(NodeId id, const std::vector<PeerAddress>& peers) {
  if (std::string problem = problem_of(peers); !problem.empty()) return fail(Code::Invalid, "net: " + problem);
  const std::scoped_lock lock(mutex_);
  const auto node = nodes_.find(id);
  if (node == nodes_.end()) return fail(Code::Cancelled, "net: stopped");
  auto& known = node->second.peers;
  std::erase_if(known, [&](const auto& item) {
    const NodeId peer = item.first;
    if (std::ranges::find(peers, peer, &PeerAddress::id) != peers.end()) return false;
    const Error why{Code::Cancelled, fmt::format("{} was removed from the peers", node_name(peer))};
    push({.to = id, .call = [peer, why](Receiver& receiver) { receiver.on_down(peer, why); }});
    return true;
  });
  for (const PeerAddress& peer : peers)
    if (peer.id != id) known[peer.id].metrics.id = peer.id;
  refresh({Code::Unavailable, "closed by the peer"});
  return {};
}

std::vector<PeerMetrics> Board::metrics(NodeId id) const {
  const std::scoped_lock lock(mutex_);
  std::vector<PeerMetrics> out;
  if (const auto node = nodes_.find(id); node != nodes_.end())
    for (const auto& [peer, way] : node->second.peers) out.push_back(way.metrics);
  return out;
}

void Board::leave(NodeId id) {
  std::unique_lock lock(mutex_);
  CHECK(std::this_thread::get_id() != thread_.get_id());
  if (!nodes_.contains(id)) return;
  const auto none_left = [&](auto of) { return std::ranges::none_of(events_, of) && delivering_ != id; };
  changed_.wait_for(lock, kStopPatience, [&] { return none_left([&](const Event& e) { return e.from == id; }); });
  nodes_.at(id).leaving = true;
  refresh({Code::Unavailable, "closed by the peer"});
  // What is on its way to us now is the news that we are stopping.
  changed_.wait(lock, [&] { return none_left([&](const Event& e) { return e.to == id; }); });
  nodes_.erase(id);
}

void Board::deliver_all() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return ending_ || !events_.empty(); });
    if (ending_) return;
    const Event event = std::move(events_.front());
    events_.pop_front();
    bool lost = false;
    if (Way* sender = event.from ? way(event.from, event.to) : nullptr) {
      lost = sender->generation != event.generation;
      sender->metrics.queue_bytes -= event.bytes;
      ++(lost ? sender->metrics.dropped : sender->metrics.frames_out);
      if (!lost) sender->metrics.bytes_out += event.bytes;
      if (Way* back = way(event.to, event.from); back != nullptr && !lost) {
        ++back->metrics.frames_in;
        back->metrics.bytes_in += event.bytes;
      }
    } else {
      lost = static_cast<bool>(event.from);
    }
    if (const auto node = nodes_.find(event.to); node != nodes_.end() && !lost) {
      delivering_ = event.to;
      Receiver& receiver = *node->second.receiver;
      lock.unlock();
      event.call(receiver);
      lock.lock();
      delivering_ = NodeId();
    }
    changed_.notify_all();
  }
}

}  // namespace

std::shared_ptr<MemoryNetwork> MemoryNetwork::make() { return std::make_shared<Board>(); }

}  // namespace hailstone::net
