// What people ask of a cell that does not go through its log: status, members, leadership, snapshots. JSON.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/codec.h"
#include "server/cell_member.h"

namespace hailstone::server {

/// Between members: u64 id, u8 kind (0 request, 1 response, 2 refusal), then principal and request, response, or code
/// and text.
inline constexpr uint8_t kManageChannel = 18;

/// Requests are JSON objects with "op" (docs/reference/cell.md). What only the leader can do is handed to it. On one
/// thread, that of the service.
class CellManage {
 public:
  using Done = std::function<void(Result<Bytes> response)>;
  /// `run` runs work on the service's thread, from any.
  CellManage(CellMember& member, Clock& clock, std::function<void(std::function<void()>)> run)
      : member_(member), clock_(clock), run_(std::move(run)) {}

  /// Invalid: no such request; Denied: not this principal's; Unavailable: nobody leads; Conflict: the state moved on.
  void handle(ByteView principal, ByteView request, Done done);
  /// From that member.
  void on_frame(net::NodeId from, ByteView frame);
  /// Forgets what is not answered and snapshots that nobody reads any more.
  void on_tick();
  /// Of the member's state; before that goes.
  void forget_snapshots() { snapshots_.clear(); }

 private:
  struct Waiting {
    Done done;
    int64_t until_ns;
  };
  struct Held {
    std::unique_ptr<replica::Reader> state;
    Bytes principal;
    int64_t end_ns;  // however much it is read
    int64_t until_ns;
  };
  struct Request;

  void perform(const Request& request, Done done);
  Result<Bytes> status();
  void add(const Request& request, Done done);
  void promote(const Request& request, Done done);
  void remove(const Request& request, Done done);
  void reconfigure(paxos::Config next, Done done);
  void write_address(uint64_t id, std::optional<std::string> address, Done done);
  void forward(const Request& request, Done done);
  Result<Bytes> begin_snapshot(const Request& request);
  Result<Bytes> read_snapshot(const Request& request);

  CellMember& member_;
  Clock& clock_;
  const std::function<void(std::function<void()>)> run_;
  uint64_t next_id_ = 1;
  std::map<uint64_t, Waiting> waiting_;
  std::map<uint64_t, Held> snapshots_;
};

}  // namespace hailstone::server
