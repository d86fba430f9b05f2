// The cell's service on this node: clients' connections, the front and the master on one thread, joined to the root
// group.
#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "cell/front.h"
#include "cell/master.h"
#include "net/streams.h"
#include "server/cell_manage.h"
#include "server/cell_member.h"

namespace hailstone::server {

struct CellFigures {
  cell::Front::Figures front;
  cell::Master::Figures master;  // all zero where this node does not lead
  net::StreamMetrics streams;
  std::vector<net::PeerMetrics> peers;
  bool leads = false;
  uint64_t leader = 0, revision = 0, applied = 0, sessions = 0, files = 0, content_bytes = 0;
};

class CellService final : private net::StreamReceiver, private net::Receiver {
 public:
  /// Opens the member in `directory` and adds its group to `groups`. Everything passed in outlives it.
  static Result<std::unique_ptr<CellService>> open(GroupHost& groups, Clock& clock, const std::string& directory,
                                                   Logger& logger);
  /// Serves clients; after `groups` has started.
  Result<void> start();
  ~CellService() override;  // without finishing; halts the groups
  CellService(const CellService&) = delete;
  CellService& operator=(const CellService&) = delete;

  uint16_t port() const { return port_; }
  CellMember& member() { return *member_; }
  bool healthy() const { return !failed_; }
  /// Tells clients to go elsewhere; then the host may stop. Idempotent.
  void stop();
  /// As of a second ago.
  CellFigures figures() const;

 private:
  struct Opened {
    net::StreamId stream;
    std::string principal;
  };
  struct Frame {
    net::StreamId stream;
    uint8_t channel;
    Bytes payload;
  };
  struct Written {
    net::StreamId stream;
    uint64_t queue_bytes;
  };
  struct Closed {
    net::StreamId stream;
  };
  struct PeerFrame {
    net::NodeId from;
    uint8_t channel;
    Bytes payload;
  };
  struct PeerLost {  // frames to or from it may have been
    net::NodeId peer;
  };
  struct Outcome {
    uint64_t tag;
    Result<Bytes> reply;
  };
  struct ReadPoint {
    uint64_t tag;
    Result<void> reached;
  };
  struct Work {
    std::function<void()> run;
  };
  struct Look {};  // something has changed: the state, who leads, the lease, the time
  using Input = std::variant<Opened, Frame, Written, Closed, PeerFrame, PeerLost, Outcome, ReadPoint, Work, Look>;

  CellService(GroupHost& groups, Clock& clock, Logger& logger)
      : groups_(groups), clock_(clock), config_(groups.config()), logger_(logger) {}

  // From any thread.
  void push(Input input);
  void look();

  // Of the streams, and of the net's thread.
  void on_open(net::StreamId stream, const net::StreamPeer& peer) override;
  void on_frame(net::StreamId stream, uint8_t channel, ByteView payload) override;
  void on_written(net::StreamId stream, uint64_t queue_bytes) override;
  void on_closed(net::StreamId stream, const Error& reason) override;
  void on_frame(net::NodeId from, uint8_t channel, ByteView payload) override;
  void on_up(net::NodeId peer) override;
  void on_down(net::NodeId peer, const Error&) override;

  // The service's thread: one turn takes all inputs there are, on one view of the state that is younger than they.
  struct Turn;
  void run_turn();
  Result<void> take(Turn& turn, Input& input);
  Result<void> take_frame(Turn& turn, Frame& frame);
  Result<void> take_peer_message(Turn& turn, net::NodeId from, cell::wire::PeerMessage message);
  Result<void> follow_leader(Turn& turn);
  Result<void> deliver(Turn& turn);
  void send(cell::MemberId to, const cell::wire::PeerMessage& message);
  void propose(cell::Master::Output::Proposal proposal);
  void send_away();
  void tell_left();
  void sleep_until_wanted();
  void upkeep();
  void fail_with(const Error& error);
  cell::wire::ConnectionId connection_of(net::StreamId stream) const {
    return cell::wire::ConnectionId(life_ << 32 | stream.value);
  }
  static net::StreamId stream_of(cell::wire::ConnectionId connection) {
    return net::StreamId(connection.value & UINT32_MAX);
  }

  GroupHost& groups_;
  Clock& clock_;
  const CellConfig config_;
  Logger& logger_;
  std::atomic<bool> failed_ = false;

  net::asio::io_context loop_{1};
  std::mutex mutex_;  // between all threads and the service's; guards the two below
  std::vector<Input> inbox_;
  bool posted_ = false;  // a turn is on its way
  std::atomic<bool> looking_ = false;

  // The service's thread only.
  uint64_t life_ = 0;
  std::vector<Input> inputs_;
  std::optional<cell::Front> front_;
  cell::Master master_;
  std::optional<CellManage> manage_;
  std::unordered_map<net::StreamId, uint64_t> unwritten_;  // message bytes sent, by stream
  paxos::ReplicaId told_leader_;
  Slot told_applied_;
  bool read_asked_ = false;            // for the master, until the leader's lease is here
  int64_t look_again_ns_ = INT64_MAX;  // it was not to be had
  int64_t upkeep_ns_ = 0;
  bool stopping_ = false;
  std::promise<void> left_;  // kept when stopping_ and no client is here any more
  bool left_told_ = false;
  mutable std::mutex figures_mutex_;
  CellFigures figures_;

  std::unique_ptr<CellMember> member_;
  std::unique_ptr<net::Streams> streams_;
  std::optional<net::Timer> timer_;
  uint16_t port_ = 0;
  std::thread thread_;
  std::mutex stop_mutex_;
  bool stopped_ = false;
};

}  // namespace hailstone::server
