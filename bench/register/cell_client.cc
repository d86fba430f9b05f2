// A client of the cell: its sans-I/O core, frames and codec, without the drivers of src/client.
#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/register/client.h"
#include "cell/client.h"
#include "net/frame.h"

namespace hailstone::bench {
namespace {

namespace core = cell::client;

class CellClient final : public Client {
 public:
  CellClient() : core_(options(), now()) {}

  Bytes hello() override {
    core_.open(now());
    core_.on_connected(now());
    return pending();
  }

  Bytes call(Call call, ByteView key, ByteView value) override {
    // Locks of an earlier process are held until its sessions have expired.
    const Bytes path = call == Call::LockPair ? fmt::format("/bench/{}/{}", getpid(), key) : "/bench/" + Bytes(key);
    const core::Tag tag(++last_tag_);
    const int64_t at = now(), deadline = at + 10'000 * core::kNsPerMs;
    core_.on_tick(at);
    unlock_ = call == Call::LockPair ? path : Bytes();
    switch (call) {
      case Call::Put:
        core_.command(tag, cell::Txn{.then_operations = {cell::Put{.path = path, .content = Bytes(value)}}}, deadline,
                      at);
        break;
      case Call::Get: core_.ask(tag, cell::wire::Ask::View::Linearizable, cell::Get{path}, deadline, at); break;
      case Call::LockPair:
        core_.lock(tag, path, cell::LockMode::Exclusive, cell::Lock::Wait::Try, 0, deadline, at);
        break;
    }
    return pending();
  }

  Event take(ByteView bytes, Bytes& out) override {
    in_ += bytes;
    size_t at = 0;
    net::FrameView frame;
    while (const auto size = net::read_frame(ByteView(in_).substr(at), frame)) {
      if (*size == 0) break;
      if (frame.type == net::FrameType::Ping) out += net::encode_frame(net::FrameType::Pong, 0, frame.payload);
      if (frame.type == net::FrameType::Data) {
        auto message = cell::wire::decode_member_message(frame.payload);
        if (!message) {
          why = message.error().message;
          return Event::Failed;
        }
        core_.on_message(*std::move(message), now());
      }
      at += *size;
    }
    in_.erase(0, at);
    const Event event = judge();
    out += pending();
    return event;
  }

 private:
  static int64_t now() { return SystemClock().monotonic_ns(); }
  static core::Options options() {
    core::Options out;
    if (getrandom(out.seed.data(), out.seed.size(), 0) < 0) out.seed[0] = 1;
    return out;
  }

  Event judge() {
    Event event = Event::None;
    for (const core::Notice& notice : core_.output().notices) {
      if (const auto* changed = std::get_if<core::SessionChanged>(&notice))
        if (changed->change == core::SessionChanged::Change::Opened) event = Event::Ready;
      const auto* ended = std::get_if<core::CallEnded>(&notice);
      if (!ended) continue;
      event = ended->verdict == core::Verdict::Done ? Event::Done : Event::Failed;
      why = ended->error.message;
    }
    core_.output().notices.clear();
    if (event == Event::Done && !unlock_.empty()) {
      core_.unlock(core::Tag(++last_tag_), std::exchange(unlock_, {}), now() + 10'000 * core::kNsPerMs, now());
      event = judge();
    }
    return event;
  }

  Bytes pending() {
    Bytes out;
    for (const auto& message : core_.output().messages)
      out += net::encode_frame(net::FrameType::Data, cell::wire::kClientChannel, cell::wire::encode(message));
    core_.output().messages.clear();
    return out;
  }

  core::Core core_;
  uint64_t last_tag_ = 0;
  Bytes in_, unlock_;
};

}  // namespace

std::unique_ptr<Client> make_cell_client() { return std::make_unique<CellClient>(); }

}  // namespace hailstone::bench
