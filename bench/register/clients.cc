#include <fmt/format.h>

#include <utility>

#include "base/codec.h"
#include "bench/register/client.h"
#include "bench/register/protocol.h"

namespace hailstone::bench {
namespace {

class RegisterClient final : public Client {
 public:
  Bytes hello() override { return {}; }
  Bytes call(Call call, ByteView key, ByteView value) override {
    Bytes body;
    Encoder to(body);
    to.bytes(key);
    if (call == Call::Put) to.bytes(value);
    return frame(++id_, static_cast<uint8_t>(call == Call::Put ? Operation::Put : Operation::Get), body);
  }
  Event take(ByteView bytes, Bytes&) override {
    if (!std::exchange(said_, true)) return Event::Ready;
    in_.append(bytes);
    if (in_.size() < 4) return Event::None;
    const uint32_t size = Decoder(in_).u32();
    if (in_.size() < 4 + size) return Event::None;
    Decoder from(ByteView(in_).substr(4, size));
    const bool ours = from.u64() == id_;
    const auto answer = static_cast<Answer>(from.u8());
    if (answer == Answer::Refused) {
      why = std::string(from.bytes());
      elsewhere = from.u64();
    } else if (answer == Answer::Uncertain) {
      why = std::string(from.bytes());
    }
    in_.erase(0, 4 + size);
    if (!ours) return Event::Failed;
    if (answer == Answer::Refused) return Event::Elsewhere;
    return answer == Answer::Uncertain ? Event::Failed : Event::Done;
  }

 private:
  uint64_t id_ = 0;
  bool said_ = false;
  Bytes in_;
};

/// ZooKeeper's own encoding: big-endian integers, strings and buffers with a length of four bytes.
class JuteEncoder {
 public:
  JuteEncoder& number(int32_t v) { return fixed(static_cast<uint32_t>(v), 4); }
  JuteEncoder& long_number(int64_t v) { return fixed(static_cast<uint64_t>(v), 8); }
  JuteEncoder& flag(bool v) { return fixed(v, 1); }
  JuteEncoder& bytes(ByteView v) {
    number(static_cast<int32_t>(v.size()));
    out_.append(v);
    return *this;
  }
  Bytes packet() const {
    JuteEncoder whole;
    whole.bytes(out_);
    return whole.out_;
  }

 private:
  JuteEncoder& fixed(uint64_t v, int width) {
    for (int shift = 8 * (width - 1); shift >= 0; shift -= 8) out_.push_back(static_cast<char>(v >> shift));
    return *this;
  }
  Bytes out_;
};

uint64_t big_endian(ByteView bytes) {
  uint64_t out = 0;
  for (const char byte : bytes) out = out << 8 | static_cast<uint8_t>(byte);
  return out;
}

class ZooKeeperClient final : public Client {
 public:
  Bytes hello() override {
    return JuteEncoder().number(0).long_number(0).number(30'000).long_number(0).bytes(Bytes(16, '\0')).packet();
  }
  // A node is made by its first put.
  Bytes call(Call call, ByteView key, ByteView value) override {
    const Bytes path = "/" + Bytes(key);
    last_ = {call, Bytes(key), Bytes(value)};
    if (call == Call::Get) return sync_then_get(path);
    return JuteEncoder().number(++id_).number(kSetData).bytes(path).bytes(value).number(-1).packet();
  }
  Event take(ByteView bytes, Bytes& out) override {
    in_.append(bytes);
    if (in_.size() < 4) return Event::None;
    const uint64_t size = big_endian(ByteView(in_).substr(0, 4));
    if (in_.size() < 4 + size) return Event::None;
    const Bytes packet = in_.substr(4, size);
    in_.erase(0, 4 + size);
    if (!std::exchange(connected_, true)) return Event::Ready;
    if (packet.size() < 16) return Event::Failed;
    const auto id = static_cast<int32_t>(big_endian(ByteView(packet).substr(0, 4)));
    const auto error = static_cast<int32_t>(big_endian(ByteView(packet).substr(12, 4)));
    if (id != id_) return take({}, out);  // of the sync
    if (error == kNoNode && last_.call == Call::Put) {
      out = JuteEncoder()
                .number(++id_)
                .number(kCreate)
                .bytes("/" + last_.key)
                .bytes(last_.value)
                .number(1)
                .number(31)
                .bytes("world")
                .bytes("anyone")
                .number(0)
                .packet();
      return Event::None;
    }
    if (error == kNoNode || error == kNodeExists || error == 0) return Event::Done;
    why = fmt::format("ZooKeeper error {}", error);
    return Event::Failed;
  }

 private:
  static constexpr int32_t kCreate = 1, kGetData = 4, kSetData = 5, kSync = 9, kNoNode = -101, kNodeExists = -110;
  Bytes sync_then_get(const Bytes& path) {
    Bytes out = JuteEncoder().number(++id_).number(kSync).bytes(path).packet();
    out += JuteEncoder().number(++id_).number(kGetData).bytes(path).flag(false).packet();
    return out;
  }
  struct {
    Call call;
    Bytes key, value;
  } last_;
  int32_t id_ = 0;
  bool connected_ = false;
  Bytes in_;
};

class FloorClient final : public Client {
 public:
  Bytes hello() override { return {}; }
  Bytes call(Call call, ByteView, ByteView value) override {
    Bytes out;
    Encoder(out).u32(static_cast<uint32_t>(call == Call::Put ? value.size() : 0));
    if (call == Call::Put) out.append(value);
    return out;
  }
  Event take(ByteView bytes, Bytes&) override {
    if (!std::exchange(said_, true)) return Event::Ready;
    got_ += bytes.size();
    if (got_ < 4) return Event::None;
    got_ -= 4;
    return Event::Done;
  }

 private:
  bool said_ = false;
  size_t got_ = 0;
};

}  // namespace

std::unique_ptr<Client> make_register_client() { return std::make_unique<RegisterClient>(); }
std::unique_ptr<Client> make_zookeeper_client() { return std::make_unique<ZooKeeperClient>(); }
std::unique_ptr<Client> make_floor_client() { return std::make_unique<FloorClient>(); }

}  // namespace hailstone::bench
